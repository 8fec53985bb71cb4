//! An event, as Sentry reads it.
//!
//! The fields and their names: <https://develop.sentry.dev/sdk/foundations/transport/event-payloads/>

use std::collections::BTreeMap;

use sentry_core::protocol::Value;
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use uuid::Uuid;
use uuid::fmt::Simple;

use super::Item;
use super::exception::Exception;
use super::stack::{Address, Frame, Stack};
use super::text::{MAX_VALUE, bounded};
use crate::trace::run::Located;
use crate::trace::{SpanId, TraceId};

/// The SDK's name as Sentry shows it, by Sentry's naming rule.
/// <https://develop.sentry.dev/sdk/foundations/transport/event-payloads/sdk/>
pub(crate) const SDK_NAME: &str = "sentry.rust.cloudflare";
/// Its version.
pub(crate) const SDK_VERSION: &str = env!("CARGO_PKG_VERSION");

/// One event, complete.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Event {
    #[serde(serialize_with = "simple")]
    pub(crate) event_id: Uuid,
    /// Seconds since the Unix epoch.
    pub(crate) timestamp: f64,
    #[serde(skip_serializing_if = "is_error")]
    pub(crate) level: &'static str,
    #[cfg(feature = "tracing")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) logger: Option<String>,
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
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "values")]
    pub(crate) threads: Vec<Thread>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) debug_meta: Option<DebugMeta>,
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

/// What the Worker's only thread was doing.
///
/// The stack of a report stands here and in no exception. Receivers group errors by the
/// stacks of their exceptions, and all errors that a wrapper reports are reported from the
/// same place. Sentry's SDK for Rust does the same.
/// <https://develop.sentry.dev/sdk/foundations/transport/event-payloads/threads/>
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Thread {
    pub(crate) id: u64,
    pub(crate) current: bool,
    pub(crate) stacktrace: Stack,
}

impl Thread {
    /// The thread that makes a report.
    pub(crate) fn reporting(stacktrace: Stack) -> Self {
        Thread {
            id: 0,
            current: true,
            stacktrace,
        }
    }
}

/// The builds to which the addresses of an event belong.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct DebugMeta {
    pub(crate) images: Vec<Image>,
}

/// One build, by the id that its companion file has too.
/// <https://develop.sentry.dev/sdk/foundations/transport/event-payloads/debug-meta/>
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Image {
    #[serde(rename = "type")]
    pub(crate) kind: &'static str,
    pub(crate) debug_id: Uuid,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) code_id: Option<Simple>,
    pub(crate) code_file: &'static str,
}

/// What `worker-build` calls the module.
const MODULE: &str = "index_bg.wasm";

impl Event {
    fn stacks(&mut self) -> impl Iterator<Item = &mut Stack> {
        let exceptions = self.exception.iter_mut();
        let stacks = exceptions.filter_map(|it| it.stacktrace.as_mut());
        stacks.chain(self.threads.iter_mut().map(|it| &mut it.stacktrace))
    }

    /// Says to which build the addresses belong, or that nobody knows. `id` is asked only
    /// where there are addresses.
    pub(crate) fn name_build(&mut self, id: impl FnOnce() -> Option<Uuid>) {
        let is_rust = |frame: &Frame| frame.instruction_addr.is_some();
        if !self.stacks().any(|stack| stack.frames.iter().any(is_rust)) {
            return;
        }
        let Some(id) = id() else {
            for frame in self.stacks().flat_map(|it| &mut it.frames) {
                frame.addr_mode = None;
            }
            return;
        };
        self.debug_meta = Some(DebugMeta {
            images: vec![Image {
                kind: "wasm",
                debug_id: id,
                code_id: Some(id.simple()),
                code_file: MODULE,
            }],
        });
    }

    // ANCHOR: map
    /// Writes the addresses once more, as columns of the module's only line, for a receiver
    /// that resolves stacks through source maps. Such a receiver looks at the stacks of
    /// exceptions alone, so the stack of the report becomes that of the error.
    pub(crate) fn map_to_columns(&mut self) {
        if let (Some(thread), Some(reported)) = (self.threads.pop(), self.exception.last_mut()) {
            reported.stacktrace.get_or_insert(thread.stacktrace);
        }
        for frame in self.stacks().flat_map(|it| &mut it.frames) {
            if let Some(Address(offset)) = frame.instruction_addr {
                frame.filename = Some(MODULE.to_owned());
                frame.lineno = Some(1);
                frame.colno = Some(offset + 1);
            }
        }
        if let Some(DebugMeta { images }) = &mut self.debug_meta
            && let Some(debug_id) = images.first().map(|image| image.debug_id)
        {
            images.push(Image {
                kind: "sourcemap",
                debug_id,
                code_id: None,
                code_file: MODULE,
            });
        }
    }
    // ANCHOR_END: map
}

/// A named group of values.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Context {
    /// What runs the code.
    Runtime(&'static str),
    /// Where in which trace it happened.
    Trace(TraceContext),
    /// Values of a group that Sentry has no rule for.
    Other(BTreeMap<String, Value>),
}

/// The ids of the span that an event happened in.
/// <https://develop.sentry.dev/sdk/foundations/transport/event-payloads/contexts/#trace-context>
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct TraceContext {
    pub(crate) trace_id: TraceId,
    pub(crate) span_id: SpanId,
    pub(crate) parent_span_id: Option<SpanId>,
}

impl Event {
    /// Says in which span it happened. What the caller has put there gives way.
    pub(crate) fn locate(&mut self, at: &Located) {
        let context = TraceContext {
            trace_id: at.trace.trace_id,
            span_id: at.span_id,
            parent_span_id: at.parent_span_id,
        };
        let context = Context::Trace(context);
        self.contexts.insert("trace".to_owned(), context);
    }
}

impl Serialize for Context {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        match self {
            Context::Runtime(name) => {
                map.serialize_entry("type", "runtime")?;
                map.serialize_entry("name", name)?;
            }
            Context::Trace(ids) => {
                map.serialize_entry("type", "trace")?;
                map.serialize_entry("trace_id", &ids.trace_id)?;
                map.serialize_entry("span_id", &ids.span_id)?;
                if let Some(parent) = &ids.parent_span_id {
                    map.serialize_entry("parent_span_id", parent)?;
                }
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
            0 => keep(&mut self.contexts, &["runtime", "trace"]),
            1 => {
                for exception in &mut self.exception {
                    exception.stacktrace = None;
                }
                (self.extra, self.breadcrumbs) = (None, None);
                self.threads.clear();
                self.debug_meta = None;
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
