//! A part of step 6: an event as JSON.
//!
//! `sentry-core`'s own [`Event`] writes every field that Sentry knows, from breadcrumbs
//! to debug images: 27 KB of WebAssembly. This crate fills in a dozen of them. So an
//! event that nobody else has touched is written by [`own`], and only a Worker that
//! sets a `before_send` hook, which may add any of the others, has [`whole`] in it.

use std::borrow::Cow;
use std::time::{SystemTime, UNIX_EPOCH};

use sentry_core::protocol::{ClientSdkInfo, Context, Event, Exception, Level, Map, Value, Values};
use serde::Serialize;
use serde::ser::{Error, SerializeMap, Serializer};

/// Writes an event, unless it is no JSON.
pub(crate) type Write = fn(&Event<'static>) -> Option<Vec<u8>>;

/// Any event.
pub(crate) fn whole(event: &Event<'static>) -> Option<Vec<u8>> {
    serde_json::to_vec(event).ok()
}

/// An event as [`Draft::into_event`](crate::event::Draft::into_event) makes it and
/// `sentry-core` completes it.
pub(crate) fn own(event: &Event<'static>) -> Option<Vec<u8>> {
    let own = Own {
        event_id: event.event_id.simple(),
        level: event.level,
        fingerprint: &event.fingerprint,
        transaction: event.transaction.as_deref(),
        platform: &event.platform,
        timestamp: event.timestamp,
        release: event.release.as_deref(),
        environment: event.environment.as_deref(),
        contexts: Contexts(&event.contexts),
        exception: &event.exception,
        tags: &event.tags,
        sdk: event.sdk.as_deref(),
    };
    serde_json::to_vec(&own).ok()
}

/// The fields that this crate fills in, under the names and rules of
/// <https://develop.sentry.dev/sdk/data-model/event-payloads/>.
#[derive(Serialize)]
struct Own<'e> {
    event_id: uuid::fmt::Simple,
    #[serde(skip_serializing_if = "Level::is_error")]
    level: Level,
    #[serde(skip_serializing_if = "is_default")]
    fingerprint: &'e [Cow<'static, str>],
    #[serde(skip_serializing_if = "Option::is_none")]
    transaction: Option<&'e str>,
    platform: &'e str,
    #[serde(serialize_with = "seconds")]
    timestamp: SystemTime,
    #[serde(skip_serializing_if = "Option::is_none")]
    release: Option<&'e str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    environment: Option<&'e str>,
    contexts: Contexts<'e>,
    exception: &'e Values<Exception>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    tags: &'e Map<String, String>,
    sdk: Option<&'e ClientSdkInfo>,
}

fn is_default(fingerprint: &[Cow<'static, str>]) -> bool {
    matches!(fingerprint, [only] if only == "{{ default }}")
}

/// Seconds since the Unix epoch, as a whole number where they are one.
fn seconds<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    match time.duration_since(UNIX_EPOCH) {
        Ok(since) if since.subsec_nanos() == 0 => serializer.serialize_u64(since.as_secs()),
        Ok(since) => serializer.serialize_f64(since.as_secs_f64()),
        Err(_) => Err(S::Error::custom("a time before 1970")),
    }
}

/// The contexts of the two kinds that an event of ours can have.
struct Contexts<'e>(&'e Map<String, Context>);

impl Serialize for Contexts<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (name, context) in self.0 {
            match context {
                Context::Runtime(runtime) => {
                    let name_of_it = runtime.name.as_deref();
                    map.serialize_entry(
                        name,
                        &Runtime {
                            kind: "runtime",
                            name: name_of_it,
                        },
                    )?;
                }
                Context::Other(values) => {
                    map.serialize_entry(
                        name,
                        &Other {
                            kind: "unknown",
                            values,
                        },
                    )?;
                }
                _ => {}
            }
        }
        map.end()
    }
}

#[derive(Serialize)]
struct Runtime<'e> {
    #[serde(rename = "type")]
    kind: &'static str,
    name: Option<&'e str>,
}

#[derive(Serialize)]
struct Other<'e> {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(flatten)]
    values: &'e Map<String, Value>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::IsolateClient;
    use crate::event::Draft;
    use crate::load::tests::config;
    use crate::report::{Place, Report};
    use proptest::prelude::*;
    use sentry_core::protocol::{Frame, Uuid};
    use serde_json::json;
    use std::io;

    fn completed(draft: Draft, now_ms: f64) -> Event<'static> {
        let client = IsolateClient::build(config(&[("SENTRY_RELEASE", "r")]));
        let event = draft.into_event(Uuid::from_u128(7), now_ms);
        client.prepare(event).expect("an event")
    }

    fn parsed(json: Option<Vec<u8>>) -> serde_json::Value {
        serde_json::from_slice(&json.expect("an event is JSON")).expect("JSON")
    }

    #[test]
    fn a_panics_event_is_written_as_sentry_core_writes_it() {
        let at = Frame {
            filename: Some("src/lib.rs".to_owned()),
            lineno: Some(7),
            ..Frame::default()
        };
        let event = completed(Draft::panic(&"no", Some(at), Place::default()), 1_000.0);
        assert_eq!(parsed(own(&event)), parsed(whole(&event)));
    }

    #[test]
    fn an_event_from_before_1970_is_not_written() {
        let mut event = completed(Draft::panic(&"no", None, Place::default()), 1_000.0);
        event.timestamp = UNIX_EPOCH - std::time::Duration::from_secs(1);
        assert_eq!((own(&event), whole(&event)), (None, None));
    }

    proptest! {
        #[test]
        fn whatever_a_report_says_is_written_as_sentry_core_writes_it(
            message in ".{0,40}",
            level in prop::sample::select(vec![Level::Debug, Level::Info, Level::Error, Level::Fatal]),
            names in prop::option::of(Just(("Class", "alarm"))),
            handled in any::<bool>(),
            tags in prop::collection::vec((".{0,8}", ".{0,8}"), 0..3),
            context in prop::option::of((".{0,8}", ".{0,8}", any::<u32>())),
            fingerprint in prop::collection::vec(".{0,8}|\\{\\{ default \\}\\}", 0..3),
            now_ms in prop::sample::select(vec![0.0, 1_000.0, 1_767_323_045_678.0]),
        ) {
            let error = io::Error::other(message);
            let mut report = Report::new(&error).level(level).handled(handled);
            if let Some((class, handler)) = names {
                report = report.in_handler(class, handler);
            }
            for (key, value) in tags {
                report = report.tag(key, value);
            }
            if let Some((name, key, value)) = context {
                report = report.context(name, [(key, json!({"deep": [value, null]}))].into());
            }
            let event = completed(Draft::read(report.fingerprint(fingerprint)), now_ms);
            prop_assert_eq!(parsed(own(&event)), parsed(whole(&event)));
        }
    }
}
