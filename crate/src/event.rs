//! Step 6, first half, *capture*: an error becomes an event.
//!
//! The event is built field by field. `Event::default()`, and with it
//! `sentry_core::event_from_error`, reads `SystemTime::now()`, which panics on
//! this platform and takes the whole isolate along.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::{self, Write};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::{Duration, SystemTime};

use sentry_core::parse_type_from_debug;
use sentry_core::protocol::{
    ClientSdkInfo, Context, DebugMeta, Event, Exception, Frame, Level, Mechanism, RuntimeContext,
    Stacktrace, Uuid, Value,
};

use crate::report::{Place, Report};
use crate::stack;
use crate::workerd::thrown;

/// The SDK's name as Sentry shows it, by Sentry's naming rule.
/// <https://develop.sentry.dev/sdk/overview/#sdk-identification>
pub(crate) const SDK_NAME: &str = "sentry.rust.cloudflare";

/// Errors in a chain beyond this one are left out.
const MAX_CHAIN: usize = 32;
/// Sentry cuts an exception's value here.
/// <https://develop.sentry.dev/sdk/data-model/event-payloads/exception/>
const MAX_VALUE: usize = 8_192;
/// Enough for any type's name, and all that is formatted to learn it.
const MAX_TYPE: usize = 128;
/// Sentry's limits on tags.
const MAX_TAGS: usize = 100;
const MAX_TAG_KEY: usize = 200;
const MAX_TAG_VALUE: usize = 200;

/// The parts of an event that are known before the runtime is asked: owned, so
/// that they outlive the first wait.
#[derive(Debug)]
pub(crate) struct Draft {
    exceptions: Vec<Exception>,
    pub(crate) place: Place,
    level: Level,
    tags: Vec<(String, String)>,
    contexts: BTreeMap<String, Context>,
    fingerprint: Vec<String>,
}

impl Draft {
    // ANCHOR: read
    /// Reads the error and the chain of its sources.
    pub(crate) fn read(report: Report<'_>) -> Self {
        let mut exceptions: Vec<Exception> =
            std::iter::successors(Some(report.error), |&error| error.source())
                .take(MAX_CHAIN)
                .map(exception)
                .collect();
        if let Some(outermost) = exceptions.first_mut() {
            outermost.mechanism = Some(mechanism(report.place, report.handled));
        }
        // Sentry wants the root cause first and the error that was caught last.
        exceptions.reverse();
        Draft {
            exceptions,
            place: report.place,
            level: report.level,
            tags: report.tags,
            contexts: report.contexts,
            fingerprint: report.fingerprint,
        }
    }
    // ANCHOR_END: read

    /// The draft of a panic, which is no error and has no chain.
    pub(crate) fn panic(message: &dyn fmt::Display, at: Option<Frame>, place: Place) -> Self {
        let exception = Exception {
            ty: "panic".to_owned(),
            value: Some(bounded(MAX_VALUE, format_args!("{message}"))),
            stacktrace: at.map(|frame| Stacktrace {
                frames: vec![frame],
                ..Stacktrace::default()
            }),
            mechanism: Some(Mechanism {
                ty: "panic".to_owned(),
                ..mechanism(place, false)
            }),
            ..Exception::default()
        };
        Draft {
            exceptions: vec![exception],
            place,
            level: Level::Fatal,
            tags: Vec::new(),
            contexts: BTreeMap::new(),
            fingerprint: Vec::new(),
        }
    }

    /// What makes this error the same error when it is met again further up: the
    /// types and messages of its chain.
    pub(crate) fn identity(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        for exception in &self.exceptions {
            exception.ty.hash(&mut hasher);
            exception.value.hash(&mut hasher);
        }
        hasher.finish()
    }

    // ANCHOR: event
    /// Adds what only the runtime knows: an id and the time.
    pub(crate) fn into_event(self, id: Uuid, now_ms: f64) -> Event<'static> {
        let Place { class, handler } = self.place;
        let own_tags = [("class", class), ("handler", handler)]
            .into_iter()
            .filter_map(|(key, name)| Some((key.to_owned(), name?.to_owned())));
        let mut contexts = self.contexts;
        contexts.insert("runtime".to_owned(), runtime_context());
        Event {
            event_id: id,
            level: self.level,
            timestamp: timestamp(now_ms),
            platform: Cow::Borrowed("native"),
            exception: self.exceptions.into(),
            transaction: class
                .zip(handler)
                .map(|(class, handler)| format!("{class}.{handler}")),
            tags: own_tags.chain(tags(self.tags)).collect(),
            contexts,
            fingerprint: fingerprint(self.fingerprint),
            sdk: Some(Cow::Owned(sdk_info())),
            // All that follows is left empty on purpose: an event carries what
            // is listed above and nothing that was lying around.
            culprit: None,
            message: None,
            logentry: None,
            logger: None,
            modules: BTreeMap::new(),
            server_name: None,
            release: None,
            dist: None,
            environment: None,
            user: None,
            request: None,
            breadcrumbs: Vec::new().into(),
            stacktrace: None,
            template: None,
            threads: Vec::new().into(),
            extra: BTreeMap::new(),
            debug_meta: Cow::Owned(DebugMeta::default()),
        }
    }
    // ANCHOR_END: event
}

fn exception(error: &(dyn Error + 'static)) -> Exception {
    // What JavaScript threw is asked for its own name, message and stack. Its
    // `Display` would run the thrown value's code, which can throw again.
    if let Some(thrown) = error.downcast_ref().and_then(thrown) {
        return Exception {
            ty: bounded(MAX_TYPE, format_args!("{}", thrown.name)),
            value: Some(bounded(MAX_VALUE, format_args!("{}", thrown.message))),
            stacktrace: thrown.stack.as_deref().and_then(stack::parse),
            ..Exception::default()
        };
    }
    Exception {
        ty: type_name(error),
        value: Some(bounded(MAX_VALUE, format_args!("{error}"))),
        ..Exception::default()
    }
}

/// The type's name, taken from its `Debug` form as `sentry-core` does.
pub(crate) fn type_name(error: &dyn Error) -> String {
    let debug = bounded(MAX_TYPE, format_args!("{error:?}"));
    let name = parse_type_from_debug(&debug);
    let is_name = name.starts_with(|c: char| c.is_alphabetic() || c == '_')
        && name
            .chars()
            .all(|c| c.is_alphanumeric() || matches!(c, '_' | ':' | '<' | '>'));
    if is_name { name } else { "Error" }.to_owned()
}

fn mechanism(place: Place, handled: bool) -> Mechanism {
    let ty = match place.handler {
        Some(handler) => format!("cloudflare.{handler}"),
        None => "generic".to_owned(),
    };
    let data = [("class", place.class), ("handler", place.handler)]
        .into_iter()
        .filter_map(|(key, name)| Some((key.to_owned(), Value::from(name?))))
        .collect();
    Mechanism {
        ty,
        handled: Some(handled),
        data,
        ..Mechanism::default()
    }
}

/// Tags as Sentry takes them: it drops an event's tag whose key has other
/// characters, or whose key or value is too long or has a line break.
/// <https://docs.sentry.io/platforms/rust/enriching-events/tags/>
fn tags(tags: Vec<(String, String)>) -> impl Iterator<Item = (String, String)> {
    tags.into_iter().take(MAX_TAGS).filter_map(|(key, value)| {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | ':' | '-');
        let key: String = key
            .chars()
            .take(MAX_TAG_KEY)
            .map(|c| if is_plain(c) { c } else { '_' })
            .collect();
        let value: String = value
            .chars()
            .take(MAX_TAG_VALUE)
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        (!key.is_empty() && !value.trim().is_empty()).then_some((key, value))
    })
}

fn fingerprint(parts: Vec<String>) -> Cow<'static, [Cow<'static, str>]> {
    if parts.is_empty() {
        return Cow::Borrowed(&[Cow::Borrowed("{{ default }}")]);
    }
    let bounded = |part: String| Cow::Owned(bounded(MAX_TYPE, format_args!("{part}")));
    Cow::Owned(parts.into_iter().take(MAX_CHAIN).map(bounded).collect())
}

pub(crate) fn sdk_info() -> ClientSdkInfo {
    ClientSdkInfo {
        name: SDK_NAME.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        integrations: Vec::new(),
        packages: Vec::new(),
    }
}

fn runtime_context() -> Context {
    RuntimeContext {
        name: Some("cloudflare".to_owned()),
        ..RuntimeContext::default()
    }
    .into()
}

/// A time the platform gave us. Anything that is none becomes the epoch.
fn timestamp(now_ms: f64) -> SystemTime {
    let since_epoch = Duration::try_from_secs_f64(now_ms / 1_000.0).unwrap_or_default();
    SystemTime::UNIX_EPOCH + since_epoch
}

/// Makes a smaller event of one that is too large, a little more at each step.
/// `false` means that nothing is left to take.
///
/// What the crate itself puts into an event is bounded and fits; what the caller
/// or a `before_send` hook added may not.
pub(crate) fn trim(event: &mut Event<'static>, step: usize) -> bool {
    match step {
        0 => event.contexts.retain(|name, _| name == "runtime"),
        1 => {
            for exception in &mut event.exception.values {
                exception.stacktrace = None;
            }
            event.extra.clear();
            event.breadcrumbs.values.clear();
            event.threads.values.clear();
            event.modules.clear();
        }
        2 => {
            for exception in &mut event.exception.values {
                if let Some(value) = &exception.value {
                    exception.value = Some(bounded(MAX_VALUE, format_args!("{value}")));
                }
            }
            event.request = None;
            event.user = None;
            event
                .tags
                .retain(|key, _| matches!(key.as_str(), "class" | "handler"));
        }
        _ => return false,
    }
    true
}

/// Formats at most `limit` bytes, and stops the formatting there.
///
/// A ten-megabyte message costs no more than a short one.
fn bounded(limit: usize, arguments: fmt::Arguments<'_>) -> String {
    struct Bounded {
        text: String,
        limit: usize,
    }
    impl Write for Bounded {
        fn write_str(&mut self, part: &str) -> fmt::Result {
            let room = self.limit - self.text.len();
            if part.len() <= room {
                self.text.push_str(part);
                return Ok(());
            }
            self.text.push_str(&part[..part.floor_char_boundary(room)]);
            Err(fmt::Error)
        }
    }
    const MARK: &str = "...";
    let mut sink = Bounded {
        text: String::new(),
        limit: limit - MARK.len(),
    };
    let whole = sink.write_fmt(arguments).is_ok();
    let mut text = sink.text;
    // An error here is either our limit or a `Display` that failed midway. Both
    // leave a text that is not all there.
    if !whole {
        text.push_str(MARK);
    }
    text
}
