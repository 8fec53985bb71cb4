//! Converts an event to Sentry's own types and back, for the hook of the application.
//!
//! Only a Worker that sets a `before_send` hook links this code. Sentry's types have fields for
//! everything that Sentry accepts, and the code that writes them has 54 KB.

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use sentry_core::protocol::{
    self, Addr, ClientSdkInfo, ClientSdkPackage, DebugImage, DebugMeta, Level, LogEntry,
    RuntimeContext, Stacktrace, ThreadId, WasmDebugImage,
};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::Item;
use super::event::{Context, Event, Image, Sdk, Thread};
use super::exception::{Exception, Mechanism, Member};
use super::json::Given;
use super::stack::{Address, Frame, Stack};

/// The event as the hook sees it.
pub(crate) fn from_event(event: &Event) -> protocol::Event<'static> {
    let seconds = Duration::try_from_secs_f64(event.timestamp).unwrap_or_default();
    protocol::Event {
        event_id: event.event_id,
        level: level(event.level),
        fingerprint: match event.fingerprint.is_empty() {
            true => Cow::Borrowed(&[Cow::Borrowed("{{ default }}")]),
            false => event.fingerprint.iter().cloned().map(Cow::Owned).collect(),
        },
        culprit: None,
        transaction: event.transaction.clone(),
        message: None,
        logentry: event.message.clone().map(|message| LogEntry {
            message,
            params: Vec::new(),
        }),
        #[cfg(feature = "tracing")]
        logger: event.logger.clone(),
        #[cfg(not(feature = "tracing"))]
        logger: None,
        modules: Default::default(),
        platform: Cow::Borrowed(event.platform),
        timestamp: SystemTime::UNIX_EPOCH + seconds,
        server_name: None,
        release: event.release.clone().map(Cow::Owned),
        dist: None,
        environment: event.environment.clone().map(Cow::Owned),
        user: event.user.as_ref().map(|it| user(&it.value())),
        request: None,
        contexts: event
            .contexts
            .iter()
            .map(|(name, values)| (name.clone(), context(values)))
            .collect(),
        breadcrumbs: event
            .breadcrumbs
            .as_ref()
            .map(Given::value)
            .as_ref()
            .and_then(|list| list.get("values")?.as_array())
            .map(|list| list.iter().map(breadcrumb).collect::<Vec<_>>())
            .unwrap_or_default()
            .into(),
        exception: event
            .exception
            .iter()
            .map(exception)
            .collect::<Vec<_>>()
            .into(),
        stacktrace: None,
        template: None,
        threads: event.threads.iter().map(thread).collect::<Vec<_>>().into(),
        tags: event.tags.iter().cloned().collect(),
        extra: event
            .extra
            .as_ref()
            .map(Given::value)
            .as_ref()
            .and_then(Value::as_object)
            .map(|extra| extra.clone().into_iter().collect())
            .unwrap_or_default(),
        debug_meta: Cow::Owned(debug_meta(event)),
        sdk: Some(Cow::Owned(sdk(event.sdk))),
    }
}

fn level(name: &str) -> Level {
    match name {
        "debug" => Level::Debug,
        "info" => Level::Info,
        "warning" => Level::Warning,
        "fatal" => Level::Fatal,
        _ => Level::Error,
    }
}

fn text(value: &Value, name: &str) -> Option<String> {
    value.get(name)?.as_str().map(str::to_owned)
}

fn user(value: &Value) -> protocol::User {
    let mut other: protocol::Map<String, Value> = value
        .as_object()
        .map(|fields| fields.clone().into_iter().collect())
        .unwrap_or_default();
    let mut take = |name: &str| match other.remove(name) {
        Some(Value::String(text)) => Some(text),
        _ => None,
    };
    protocol::User {
        id: take("id"),
        email: take("email"),
        username: take("username"),
        ip_address: take("ip_address").and_then(|text| text.parse().ok()),
        other,
    }
}

fn breadcrumb(value: &Value) -> protocol::Breadcrumb {
    let seconds = value.get("timestamp").and_then(Value::as_f64);
    let since = Duration::try_from_secs_f64(seconds.unwrap_or_default()).unwrap_or_default();
    let data = value.get("data").and_then(Value::as_object);
    protocol::Breadcrumb {
        timestamp: SystemTime::UNIX_EPOCH + since,
        ty: text(value, "type").unwrap_or_else(|| "default".to_owned()),
        category: text(value, "category"),
        level: text(value, "level").map_or(Level::Info, |word| level(&word)),
        message: text(value, "message"),
        data: data
            .map(|data| data.clone().into_iter().collect())
            .unwrap_or_default(),
    }
}

fn context(context: &Context) -> protocol::Context {
    match context {
        Context::Runtime(name) => RuntimeContext {
            name: Some((*name).to_owned()),
            ..RuntimeContext::default()
        }
        .into(),
        Context::Trace(ids) => protocol::TraceContext {
            trace_id: (*ids.trace_id.bytes()).into(),
            span_id: (*ids.span_id.bytes()).into(),
            parent_span_id: ids.parent_span_id.map(|id| (*id.bytes()).into()),
            ..protocol::TraceContext::default()
        }
        .into(),
        Context::Marks(marks) => {
            let marks = marks.iter().map(|mark| ((*mark).to_owned(), true.into()));
            protocol::Context::Other(marks.collect())
        }
        Context::Other(given) => {
            let mut given = given.clone();
            let values = given.group().map(std::mem::take);
            protocol::Context::Other(values.unwrap_or_default())
        }
    }
}

fn exception(exception: &Exception) -> protocol::Exception {
    protocol::Exception {
        ty: exception.ty.clone(),
        value: exception.value.clone(),
        stacktrace: exception.stacktrace.as_ref().map(stack),
        mechanism: exception.mechanism.as_ref().map(mechanism),
        ..protocol::Exception::default()
    }
}

fn stack(stack: &Stack) -> Stacktrace {
    Stacktrace {
        frames: stack.frames.iter().map(frame).collect(),
        ..Stacktrace::default()
    }
}

fn frame(frame: &Frame) -> protocol::Frame {
    protocol::Frame {
        function: frame.function.clone(),
        filename: frame.filename.clone(),
        lineno: frame.lineno,
        colno: frame.colno,
        in_app: frame.in_app,
        instruction_addr: frame.instruction_addr.map(|Address(offset)| Addr(offset)),
        addr_mode: frame.addr_mode.map(str::to_owned),
        ..protocol::Frame::default()
    }
}

fn thread(thread: &Thread) -> protocol::Thread {
    protocol::Thread {
        id: Some(ThreadId::Int(thread.id)),
        stacktrace: Some(stack(&thread.stacktrace)),
        current: thread.current,
        ..protocol::Thread::default()
    }
}

fn debug_meta(event: &Event) -> DebugMeta {
    let images = event.debug_meta.iter().flat_map(|meta| &meta.images);
    // Sentry's types have no image for a source map.
    let images = images.filter(|image| image.kind == "wasm").map(|image| {
        DebugImage::Wasm(WasmDebugImage {
            name: image.code_file.to_owned(),
            debug_id: image.debug_id,
            debug_file: None,
            code_id: image.code_id.map(|id| id.to_string()),
            code_file: image.code_file.to_owned(),
        })
    });
    DebugMeta {
        images: images.collect(),
        ..DebugMeta::default()
    }
}

fn mechanism(mechanism: &Mechanism) -> protocol::Mechanism {
    let data = mechanism.data.names();
    protocol::Mechanism {
        ty: mechanism.ty.to_owned(),
        handled: mechanism.handled,
        data: data
            .map(|(key, name)| (key.to_owned(), name.into()))
            .collect(),
        ..protocol::Mechanism::default()
    }
}

fn sdk(sdk: Sdk) -> ClientSdkInfo {
    let packages = sdk.packages.iter().map(|package| ClientSdkPackage {
        name: package.name.to_owned(),
        version: package.version.to_owned(),
    });
    ClientSdkInfo {
        name: sdk.name.to_owned(),
        version: sdk.version.to_owned(),
        integrations: Vec::new(),
        packages: packages.collect(),
    }
}

/// Adds, as JSON, the fields of a mechanism that Sentry's types lack.
fn tell(member: &Member, mechanism: &mut Map<String, Value>) {
    let mut insert = |key: &str, value| mechanism.insert(key.to_owned(), value);
    insert("exception_id", member.exception_id.into());
    if let Some(parent) = member.parent_id {
        insert("parent_id", parent.into());
    }
    if let Some(source) = &member.source {
        insert("source", source.clone().into());
    }
    if member.is_exception_group {
        insert("is_exception_group", true.into());
    }
}

fn image(image: &Image) -> Value {
    let mut json = object([
        ("type", image.kind.into()),
        ("debug_id", image.debug_id.to_string().into()),
        ("code_file", image.code_file.into()),
    ]);
    if let Some(id) = image.code_id {
        json["code_id"] = id.to_string().into();
    }
    json
}

fn object<const N: usize>(entries: [(&str, Value); N]) -> Value {
    let entries = entries.map(|(key, value)| (key.to_owned(), value));
    super::value::object(entries)
}

/// An event that a hook has returned, as JSON.
pub(crate) struct Changed {
    id: Uuid,
    json: Map<String, Value>,
}

impl Changed {
    /// Converts the event that a hook has returned.
    ///
    /// Sentry's types lack the fields that describe a group of exceptions. These fields are
    /// taken from `before`, if the hook has not added, removed or moved an exception.
    pub(crate) fn new(event: &protocol::Event<'static>, before: &Event) -> Option<Self> {
        let Ok(Value::Object(mut json)) = serde_json::to_value(event) else {
            return None;
        };
        let list = json
            .get_mut("exception")
            .and_then(|exception| exception.get_mut("values"))
            .and_then(Value::as_array_mut);
        if let Some(list) = list.filter(|list| list.len() == before.exception.len()) {
            for (json, exception) in list.iter_mut().zip(&before.exception) {
                let member = exception
                    .mechanism
                    .as_ref()
                    .and_then(|it| it.member.as_ref());
                if let (Some(member), Some(Value::Object(mechanism))) =
                    (member, json.get_mut("mechanism"))
                {
                    tell(member, mechanism);
                }
            }
        }
        // Sentry's types lack some kinds of images, too. The images of `before` are kept, unless
        // the hook has removed them.
        if let Some(images) = json.get_mut("debug_meta")
            && let Some(meta) = before.debug_meta.as_ref()
        {
            *images = object([("images", meta.images.iter().map(image).collect())]);
        }
        Some(Changed {
            id: event.event_id,
            json,
        })
    }

    fn each_exception(&mut self, mut change: impl FnMut(&mut Map<String, Value>)) {
        let list = self
            .json
            .get_mut("exception")
            .and_then(|exception| exception.get_mut("values"))
            .and_then(Value::as_array_mut);
        for exception in list.into_iter().flatten() {
            if let Value::Object(exception) = exception {
                change(exception);
            }
        }
    }
}

impl Item for Changed {
    fn kind(&self) -> &'static str {
        "event"
    }

    fn id(&self) -> Option<Uuid> {
        Some(self.id)
    }

    fn write(&self) -> Option<Vec<u8>> {
        serde_json::to_vec(&self.json).ok()
    }

    fn trim(&mut self, step: usize) -> bool {
        match step {
            0 => keep(&mut self.json, "contexts", &["runtime", "trace"]),
            1 => {
                self.each_exception(|exception| drop(exception.remove("stacktrace")));
                for name in ["extra", "breadcrumbs", "threads", "modules", "debug_meta"] {
                    self.json.remove(name);
                }
            }
            2 => {
                self.each_exception(|exception| {
                    if let Some(Value::String(value)) = exception.get_mut("value") {
                        *value = super::draft::message(value);
                    }
                });
                for name in ["request", "user"] {
                    self.json.remove(name);
                }
                keep(&mut self.json, "tags", &["class", "handler"]);
            }
            _ => return false,
        }
        true
    }
}

fn keep(json: &mut Map<String, Value>, group: &str, names: &[&str]) {
    if let Some(Value::Object(group)) = json.get_mut(group) {
        group.retain(|name, _| names.contains(&name.as_str()));
    }
}
