//! An event, as Sentry reads it.
//!
//! The fields and their names: <https://develop.sentry.dev/sdk/foundations/transport/event-payloads/>

use std::collections::BTreeMap;

use sentry_core::protocol::Value;
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use uuid::Uuid;

use super::Item;
use super::exception::Exception;
use super::text::bounded;

/// The SDK's name as Sentry shows it, by Sentry's naming rule.
/// <https://develop.sentry.dev/sdk/foundations/transport/event-payloads/sdk/>
pub(crate) const SDK_NAME: &str = "sentry.rust.cloudflare";
/// Its version.
pub(crate) const SDK_VERSION: &str = env!("CARGO_PKG_VERSION");
/// Sentry cuts an exception's value here.
/// <https://develop.sentry.dev/sdk/foundations/transport/event-payloads/exception/>
pub(crate) const MAX_VALUE: usize = 8_192;

/// One event, complete.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Event {
    #[serde(serialize_with = "simple")]
    pub(crate) event_id: Uuid,
    /// Seconds since the Unix epoch.
    pub(crate) timestamp: f64,
    #[serde(skip_serializing_if = "is_error")]
    pub(crate) level: &'static str,
    pub(crate) platform: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) transaction: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) release: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) environment: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) fingerprint: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) message: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "values")]
    pub(crate) exception: Vec<Exception>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) tags: BTreeMap<String, String>,
    pub(crate) contexts: BTreeMap<String, Context>,
    /// The last three are values that are JSON already, so that their types are in no
    /// Worker that does not use them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) user: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) extra: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) breadcrumbs: Option<Value>,
    pub(crate) sdk: Sdk,
}

/// A named group of values.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Context {
    /// What runs the code.
    Runtime(&'static str),
    /// Values of a group that Sentry has no rule for.
    Other(BTreeMap<String, Value>),
}

impl Serialize for Context {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        match self {
            Context::Runtime(name) => {
                map.serialize_entry("type", "runtime")?;
                map.serialize_entry("name", name)?;
            }
            Context::Other(values) => {
                map.serialize_entry("type", "unknown")?;
                for (key, value) in values.iter().filter(|(key, _)| *key != "type") {
                    map.serialize_entry(key, value)?;
                }
            }
        }
        map.end()
    }
}

/// Which SDK made an event.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Sdk {
    pub(crate) name: &'static str,
    pub(crate) version: &'static str,
    #[serde(skip_serializing_if = "<[Package]>::is_empty")]
    pub(crate) packages: &'static [Package],
}

/// A package of which an SDK consists.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Package {
    pub(crate) name: &'static str,
    pub(crate) version: &'static str,
}

impl Sdk {
    /// This crate, as an event names it.
    pub(crate) const WITH_PACKAGES: Sdk = Sdk {
        packages: &[Package {
            name: "cargo:worker-sentry",
            version: SDK_VERSION,
        }],
        ..Sdk::THIS
    };
    /// This crate, as an envelope names it.
    pub(crate) const THIS: Sdk = Sdk {
        name: SDK_NAME,
        version: SDK_VERSION,
        packages: &[],
    };
}

/// Sentry takes an event without a level for an error.
fn is_error(level: &&'static str) -> bool {
    *level == "error"
}

/// An id as 32 hexadecimal digits, without dashes.
fn simple<S: Serializer>(id: &Uuid, serializer: S) -> Result<S::Ok, S::Error> {
    id.as_simple().serialize(serializer)
}

/// A list, in the object that Sentry wants around it.
pub(crate) fn values<T: Serialize, S: Serializer>(
    list: &[T],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(1))?;
    map.serialize_entry("values", list)?;
    map.end()
}

impl Item for Event {
    fn kind(&self) -> &'static str {
        "event"
    }

    fn id(&self) -> Option<Uuid> {
        Some(self.event_id)
    }

    fn write(&self) -> Option<Vec<u8>> {
        serde_json::to_vec(self).ok()
    }

    /// What the crate itself puts into an event is bounded and fits; what the caller
    /// added may be too large.
    fn trim(&mut self, step: usize) -> bool {
        match step {
            0 => keep(&mut self.contexts, &["runtime"]),
            1 => {
                for exception in &mut self.exception {
                    exception.stacktrace = None;
                }
                (self.extra, self.breadcrumbs) = (None, None);
            }
            2 => {
                for exception in &mut self.exception {
                    if let Some(value) = &exception.value {
                        exception.value = Some(bounded(MAX_VALUE, format_args!("{value}")));
                    }
                }
                self.user = None;
                keep(&mut self.tags, &["class", "handler"]);
            }
            _ => return false,
        }
        true
    }
}

/// Keeps the entries with these names.
///
/// `BTreeMap::retain` would do the same, and it is much code that nothing else here needs.
fn keep<V>(map: &mut BTreeMap<String, V>, names: &[&str]) {
    for (name, value) in std::mem::take(map) {
        if names.contains(&name.as_str()) {
            map.insert(name, value);
        }
    }
}
