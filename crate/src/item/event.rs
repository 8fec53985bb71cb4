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

/// The SDK's name as Sentry shows it, by Sentry's naming rule.
/// <https://develop.sentry.dev/sdk/foundations/transport/event-payloads/sdk/>
pub(crate) const SDK_NAME: &str = "sentry.rust.cloudflare";
/// Its version.
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
    /// The last three are values that are JSON already, so that their types are in no
    /// Worker that does not use them.
    pub(crate) user: Option<Given>,
    pub(crate) extra: Option<Given>,
    pub(crate) breadcrumbs: Option<Given>,
    pub(crate) sdk: Sdk,
}

/// What the Worker's only thread was doing.
///
/// The stack of a report stands here and in no exception. Receivers group errors by the
/// stacks of their exceptions, and all errors that a wrapper reports are reported from the
/// same place. Sentry's SDK for Rust does the same.
/// <https://develop.sentry.dev/sdk/foundations/transport/event-payloads/threads/>
#[derive(Clone, Debug, PartialEq)]
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
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct DebugMeta {
    pub(crate) images: Vec<Image>,
}

/// One build, by the id that its companion file has too.
/// <https://develop.sentry.dev/sdk/foundations/transport/event-payloads/debug-meta/>
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Image {
    pub(crate) kind: &'static str,
    pub(crate) debug_id: Uuid,
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
    /// What the platform has marked a thrown error with.
    Marks(Vec<&'static str>),
    /// Values of a group that Sentry has no rule for.
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
    /// Says in which span it happened. What the caller has put there gives way.
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

/// Which SDK made an event.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Sdk {
    pub(crate) name: &'static str,
    pub(crate) version: &'static str,
    /// One at most.
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

/// Writes the entries of a list, in the object that Sentry wants around it, unless there is
/// none.
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
        // Sentry takes an event without a level for an error.
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

/// As it is sent, for tests that look into it.
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
fn keep<V>(entries: &mut Vec<(String, V)>, names: &[&str]) {
    entries.retain(|(name, _)| names.contains(&name.as_str()));
}
