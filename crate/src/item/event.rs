//! An event, as Sentry reads it.
//!
//! The fields and their names: <https://develop.sentry.dev/sdk/foundations/transport/event-payloads/>

use uuid::Uuid;
use uuid::fmt::Simple;

use super::Item;
use super::exception::Exception;
use super::json::{Given, Json, set};
use super::stack::{Address, Frame, Stack};
use super::text::{MAX_VALUE, bounded};
use crate::trace::ids::hex;
use crate::trace::run::Located;
use crate::trace::{SpanId, TraceId};

/// The name of the SDK, by Sentry's naming rule.
/// <https://develop.sentry.dev/sdk/foundations/transport/event-payloads/sdk/>
pub(crate) const SDK_NAME: &str = "sentry.rust.cloudflare";
/// The version of the SDK.
pub(crate) const SDK_VERSION: &str = env!("CARGO_PKG_VERSION");

/// One event, complete.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Event {
    pub(crate) event_id: Uuid,
    /// Seconds since the Unix epoch.
    pub(crate) timestamp: f64,
    pub(crate) level: &'static str,
    #[cfg(feature = "tracing")]
    pub(crate) logger: Option<String>,
    pub(crate) platform: &'static str,
    pub(crate) transaction: Option<String>,
    pub(crate) release: Option<String>,
    pub(crate) environment: Option<String>,
    pub(crate) fingerprint: Vec<String>,
    pub(crate) message: Option<String>,
    pub(crate) exception: Vec<Exception>,
    pub(crate) threads: Vec<Thread>,
    pub(crate) debug_meta: Option<DebugMeta>,
    pub(crate) tags: Vec<(String, String)>,
    pub(crate) contexts: Vec<(String, Context)>,
    /// The last three are JSON values already, so that a Worker that does not use them does not
    /// link their types.
    pub(crate) user: Option<Given>,
    pub(crate) extra: Option<Given>,
    pub(crate) breadcrumbs: Option<Given>,
    pub(crate) sdk: Sdk,
}

/// The state of the Worker's only thread.
///
/// The stack of a report is stored here and not in an exception. Receivers group errors by the
/// stacks of their exceptions, and a wrapper reports all its errors from the same place, so
/// different errors would become one issue. Sentry's SDK for Rust does the same.
/// <https://develop.sentry.dev/sdk/foundations/transport/event-payloads/threads/>
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Thread {
    pub(crate) id: u64,
    pub(crate) current: bool,
    pub(crate) stacktrace: Stack,
}

impl Thread {
    /// The thread of a report, with the report's stack.
    pub(crate) fn reporting(stacktrace: Stack) -> Self {
        Thread {
            id: 0,
            current: true,
            stacktrace,
        }
    }
}

/// The builds to which the addresses of an event belong.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct DebugMeta {
    pub(crate) images: Vec<Image>,
}

/// One build, by the id that is also in its companion file.
/// <https://develop.sentry.dev/sdk/foundations/transport/event-payloads/debug-meta/>
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Image {
    pub(crate) kind: &'static str,
    pub(crate) debug_id: Uuid,
    pub(crate) code_id: Option<Simple>,
    pub(crate) code_file: &'static str,
}

/// The name that `worker-build` gives to the module.
const MODULE: &str = "index_bg.wasm";

impl Event {
    fn stacks(&mut self) -> impl Iterator<Item = &mut Stack> {
        let exceptions = self.exception.iter_mut();
        let stacks = exceptions.filter_map(|it| it.stacktrace.as_mut());
        stacks.chain(self.threads.iter_mut().map(|it| &mut it.stacktrace))
    }

    /// Adds the build to which the addresses belong, or removes `addr_mode` if the build is
    /// unknown. `id` is called only if there are addresses.
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
}

/// A named group of values.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Context {
    /// The runtime.
    Runtime(&'static str),
    /// The trace and the span of the event.
    Trace(TraceContext),
    /// The marks that the platform has put on a thrown error.
    Marks(Vec<&'static str>),
    /// Any other values.
    Other(Given),
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
    /// Sets the span of the event. It replaces a context of the same name from the caller.
    pub(crate) fn locate(&mut self, at: &Located) {
        let context = TraceContext {
            trace_id: at.trace.trace_id,
            span_id: at.span_id,
            parent_span_id: at.parent_span_id,
        };
        let context = Context::Trace(context);
        set(&mut self.contexts, "trace".to_owned(), context);
    }
}

impl Context {
    fn write(&self, json: &mut Json) {
        match self {
            Context::Runtime(name) => {
                json.text("type", "runtime");
                json.text("name", name);
            }
            Context::Trace(ids) => {
                json.text("type", "trace");
                let mut id = |key, id: &[u8]| json.text(key, hex(id, &mut [0; 32]));
                id("trace_id", ids.trace_id.bytes());
                id("span_id", ids.span_id.bytes());
                if let Some(parent) = &ids.parent_span_id {
                    id("parent_span_id", parent.bytes());
                }
            }
            Context::Marks(marks) => {
                json.text("type", "unknown");
                for mark in marks {
                    json.flag(mark, true);
                }
            }
            Context::Other(values) => {
                json.text("type", "unknown");
                values.write(json);
            }
        }
    }
}

/// The SDK that made an event.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Sdk {
    pub(crate) name: &'static str,
    pub(crate) version: &'static str,
    /// At most one package.
    pub(crate) packages: &'static [Package],
}

/// A package of which an SDK consists.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Package {
    pub(crate) name: &'static str,
    pub(crate) version: &'static str,
}

impl Sdk {
    /// Writes it as the value of the key `sdk`.
    pub(crate) fn write(&self, json: &mut Json) {
        json.key("sdk");
        json.open("{");
        json.text("name", self.name);
        json.text("version", self.version);
        if let Some(package) = self.packages.first() {
            json.plain(r#","packages":[{"#);
            json.text("name", package.name);
            json.text("version", package.version);
            json.plain("}]");
        }
        json.plain("}");
    }

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

/// Writes the entries of a list, in the object that Sentry wants around it. Writes nothing if
/// the list is empty.
fn values<T>(json: &mut Json, key: &'static str, list: &[T], write: impl Fn(&T, &mut Json)) {
    if list.is_empty() {
        return;
    }
    json.key(key);
    json.plain(r#"{"values":["#);
    json.objects(list, write);
    json.plain("]}");
}

impl Thread {
    fn write(&self, json: &mut Json) {
        json.number("id", self.id);
        json.flag("current", self.current);
        self.stacktrace.write(json);
    }
}

impl Image {
    fn write(&self, json: &mut Json) {
        json.text("type", self.kind);
        json.text(
            "debug_id",
            self.debug_id.hyphenated().encode_lower(&mut [0; 36]),
        );
        if let Some(id) = &self.code_id {
            json.text("code_id", id.encode_lower(&mut [0; 32]));
        }
        json.text("code_file", self.code_file);
    }
}

impl Event {
    fn write_into(&self, json: &mut Json) {
        json.text("event_id", hex(self.event_id.as_bytes(), &mut [0; 32]));
        json.seconds("timestamp", self.timestamp);
        // Sentry treats an event without a level as an error.
        if self.level != "error" {
            json.text("level", self.level);
        }
        #[cfg(feature = "tracing")]
        json.maybe("logger", self.logger.as_deref());
        json.text("platform", self.platform);
        json.maybe("transaction", self.transaction.as_deref());
        json.maybe("release", self.release.as_deref());
        json.maybe("environment", self.environment.as_deref());
        if !self.fingerprint.is_empty() {
            json.key("fingerprint");
            json.open("[");
            for part in &self.fingerprint {
                json.string(part);
            }
            json.plain("]");
        }
        json.maybe("message", self.message.as_deref());
        values(json, "exception", &self.exception, Exception::write);
        values(json, "threads", &self.threads, Thread::write);
        if let Some(meta) = &self.debug_meta {
            json.key("debug_meta");
            json.plain(r#"{"images":["#);
            json.objects(&meta.images, Image::write);
            json.plain("]}");
        }
        if !self.tags.is_empty() {
            json.key("tags");
            json.open("{");
            for (key, value) in &self.tags {
                json.string(key);
                json.plain(":");
                json.value(value.as_str());
            }
            json.plain("}");
        }
        json.key("contexts");
        json.open("{");
        for (name, context) in &self.contexts {
            json.string(name);
            json.plain(":{");
            context.write(json);
            json.plain("}");
        }
        json.plain("}");
        for (key, given) in [
            ("user", &self.user),
            ("extra", &self.extra),
            ("breadcrumbs", &self.breadcrumbs),
        ] {
            if let Some(given) = given {
                json.key(key);
                given.write(json);
            }
        }
        self.sdk.write(json);
    }
}

/// The event as it is sent, for tests.
#[cfg(test)]
impl serde::Serialize for Event {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let json = self.write().expect("JSON");
        let json: serde_json::Value = serde_json::from_slice(&json).expect("JSON");
        json.serialize(serializer)
    }
}

impl Item for Event {
    fn kind(&self) -> &'static str {
        "event"
    }

    fn id(&self) -> Option<Uuid> {
        Some(self.event_id)
    }

    fn write(&self) -> Option<Vec<u8>> {
        let mut json = Json::new();
        json.open("{");
        self.write_into(&mut json);
        json.plain("}");
        Some(json.0)
    }

    /// The data that the crate adds to an event are bounded and fit. The data of the caller may
    /// be too large.
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
fn keep<V>(entries: &mut Vec<(String, V)>, names: &[&str]) {
    entries.retain(|(name, _)| names.contains(&name.as_str()));
}
