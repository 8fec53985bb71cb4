//! The parts of an event that are known before the runtime is asked for an id and the time.

use sentry_core::protocol::Level;
use uuid::Uuid;

use super::event::{Context, Event, Sdk, Thread};
use super::exception::{self, Chain, Mechanism};
use super::json::{Given, Group, set};
use super::place::Place;
use super::stack::{self, Frame, Stack};
use super::text::{MAX_VALUE, bounded};
use super::value::seconds;
use crate::platform::Runtime;
use crate::trace::run::Position;

/// Sentry's limits on tags.
/// <https://docs.sentry.io/platforms/rust/enriching-events/tags/>
pub(crate) const MAX_TAGS: usize = 100;
const MAX_TAG_KEY: usize = 200;
const MAX_TAG_VALUE: usize = 200;
/// Parts of a fingerprint beyond this one are left out.
const MAX_PARTS: usize = 32;
/// A part of a fingerprint is cut here.
const MAX_PART: usize = 128;
/// Sentry cuts the name of a transaction here.
/// <https://develop.sentry.dev/sdk/data-model/event-payloads/>
const MAX_TRANSACTION: usize = 200;
/// The context in which the platform's own marks on an error are shown.
const MARKS_CONTEXT: &str = "cloudflare";

/// The data that the caller put on an event.
#[derive(Clone, Debug)]
pub(crate) struct Details {
    pub(crate) place: Place,
    /// The name of the transaction, where it says more than the place: a route.
    pub(crate) transaction: Option<String>,
    pub(crate) handled: bool,
    /// The level. `None` means error.
    pub(crate) level: Option<&'static str>,
    /// The logger that made the event.
    #[cfg(feature = "tracing")]
    pub(crate) logger: Option<String>,
    pub(crate) tags: Vec<(String, String)>,
    pub(crate) contexts: Vec<(String, Given)>,
    pub(crate) fingerprint: Vec<String>,
    pub(crate) user: Option<Given>,
    pub(crate) extra: Option<Given>,
    pub(crate) breadcrumbs: Option<Given>,
}

impl Default for Details {
    fn default() -> Self {
        Details {
            place: Place::default(),
            transaction: None,
            handled: true,
            level: None,
            #[cfg(feature = "tracing")]
            logger: None,
            tags: Vec::new(),
            contexts: Vec::new(),
            fingerprint: Vec::new(),
            user: None,
            extra: None,
            breadcrumbs: None,
        }
    }
}

impl Details {
    /// The context of this name. It is made if it does not exist yet.
    pub(crate) fn context(&mut self, name: &str) -> Option<&mut Group> {
        if !self.contexts.iter().any(|(each, _)| each == name) {
            let context = (name.to_owned(), Group::new().into());
            self.contexts.push(context);
        }
        let mut contexts = self.contexts.iter_mut();
        contexts.find(|(each, _)| each == name)?.1.group()
    }
}

/// The parts of an event that are known before the first wait. They are owned, because the error
/// may be dropped during the wait.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub(crate) details: Details,
    pub(crate) chain: Chain,
    /// The stack of the report, if no error of the chain has a stack of its own.
    pub(crate) reported_at: Option<Stack>,
    /// The text of a message, which is not an error.
    pub(crate) message: Option<String>,
    /// The type of the mechanism, where it cannot be computed from the place.
    pub(crate) mechanism: Option<&'static str>,
    /// The time of the event in milliseconds since the Unix epoch, if it is not the current time.
    pub(crate) at_ms: Option<f64>,
    /// The span of the event. An event without a run gets a trace of its own.
    pub(crate) position: Option<Position>,
}

impl Draft {
    /// The draft of an error.
    pub(crate) fn of_chain(chain: Chain, details: Details) -> Self {
        Draft {
            details,
            chain,
            reported_at: None,
            message: None,
            mechanism: None,
            at_ms: None,
            position: None,
        }
    }

    /// The draft of a message, which is not an error.
    pub(crate) fn of_message(text: &str, level: &'static str) -> Self {
        let details = Details {
            level: Some(level),
            ..Details::default()
        };
        Draft {
            message: Some(message(text)),
            ..Draft::of_chain(Chain::default(), details)
        }
    }

    /// The draft of a thrown value that no code handled.
    pub(crate) fn of_unhandled(chain: Chain, at_ms: f64) -> Self {
        let details = Details {
            handled: false,
            level: Some("fatal"),
            ..Details::default()
        };
        Draft {
            mechanism: Some("auto.faas.cloudflare.unhandled_rejection"),
            at_ms: Some(at_ms),
            ..Draft::of_chain(chain, details)
        }
    }

    /// The draft of a panic.
    pub(crate) fn of_panic(message: &str, at: Option<Frame>, place: Place) -> Self {
        let chain = Chain {
            exceptions: vec![exception::panic(message, at)],
            ..Chain::default()
        };
        let details = Details {
            place,
            handled: false,
            level: Some("fatal"),
            ..Details::default()
        };
        Draft {
            mechanism: Some("panic"),
            ..Draft::of_chain(chain, details)
        }
    }

    /// Takes the stack of the reporting code, if no error of the chain has a stack of its own.
    ///
    /// Called after the guard, and after the data of the error were added, because taking a stack
    /// costs more time than any other part of an event.
    #[inline(never)]
    pub(crate) fn take_stack(&mut self, runtime: &impl Runtime) {
        let has_stack = |it: &exception::Exception| it.stacktrace.is_some();
        if self.reported_at.is_none() && !self.chain.exceptions.iter().any(has_stack) {
            self.reported_at = runtime.stack().as_deref().and_then(stack::from_here);
        }
    }

    /// Takes the stack that leads to a panic. The panic's own place stays the innermost frame.
    pub(crate) fn take_way(&mut self, runtime: &impl Runtime) {
        let way = runtime.stack().as_deref().and_then(stack::from_here);
        let panic = self.chain.exceptions.first_mut();
        if let (Some(mut way), Some(panic)) = (way, panic) {
            way.frames
                .extend(panic.stacktrace.take().unwrap_or_default().frames);
            panic.stacktrace = Some(way);
        }
    }

    /// The identity of this error, made from the types and messages of its chain. By it, the error
    /// is recognised when a caller returns it again.
    pub(crate) fn identity(&self) -> u64 {
        self.chain.identity
    }

    // ANCHOR: event
    /// Adds what only the runtime and the client know.
    pub(crate) fn into_event(
        self,
        event_id: Uuid,
        now_ms: f64,
        release: Option<String>,
        environment: Option<String>,
    ) -> Event {
        let Details {
            place,
            transaction,
            handled,
            level,
            #[cfg(feature = "tracing")]
            logger,
            tags,
            contexts,
            fingerprint,
            user,
            extra,
            breadcrumbs,
        } = self.details;
        let mut event = Event {
            event_id,
            timestamp: seconds(self.at_ms.unwrap_or(now_ms)),
            level: level.unwrap_or("error"),
            #[cfg(feature = "tracing")]
            logger,
            platform: "native",
            transaction: transaction.map(named).or_else(|| place.transaction()),
            release,
            environment,
            fingerprint: bounded_parts(fingerprint),
            message: self.message,
            exception: self.chain.exceptions,
            threads: self
                .reported_at
                .into_iter()
                .map(Thread::reporting)
                .collect(),
            debug_meta: None,
            tags: Vec::new(),
            contexts: Vec::new(),
            user,
            extra,
            breadcrumbs,
            sdk: Sdk::WITH_PACKAGES,
        };
        for (key, name) in place.names() {
            event.tags.push((key.to_owned(), name.to_owned()));
        }
        add_tags(&mut event.tags, tags);
        for (name, values) in contexts {
            set(&mut event.contexts, name, Context::Other(values));
        }
        if !self.chain.marks.is_empty() {
            let context = Context::Marks(self.chain.marks);
            set(&mut event.contexts, MARKS_CONTEXT.to_owned(), context);
        }
        let runtime = Context::Runtime("cloudflare");
        set(&mut event.contexts, "runtime".to_owned(), runtime);
        if let Some(outermost) = event.exception.first_mut() {
            outermost.mechanism = Some(Mechanism {
                ty: self.mechanism.unwrap_or_else(|| place.mechanism()),
                handled: Some(handled),
                data: place,
                member: outermost.mechanism.take().and_then(|it| it.member),
            });
        }
        // Sentry wants the root cause first and the error that was caught last.
        event.exception.reverse();
        event
    }
    // ANCHOR_END: event
}

/// The draft of an error, for tests of the steps after the error was read.
#[cfg(test)]
pub(crate) fn drafted(runtime: &impl Runtime, error: &(dyn std::error::Error + 'static)) -> Draft {
    let subject = exception::Subject::Error(error, None);
    Draft::of_chain(exception::read(runtime, subject), Details::default())
}

fn add_tags(to: &mut Vec<(String, String)>, tags: Vec<(String, String)>) {
    for (key, value) in tags.into_iter().take(MAX_TAGS) {
        if let Some((key, value)) = tag(&key, &value) {
            set(to, key, value);
        }
    }
}

/// A tag in the form that Sentry accepts. `None` if its key or its value is empty then.
///
/// Sentry drops a tag if its key has other characters than these, or if its key or value is too
/// long or has a line break. Sentry removes the space at both ends of a value.
pub(crate) fn tag(key: &str, value: &str) -> Option<(String, String)> {
    let key = tag_key(key);
    let value: String = value
        .chars()
        .take(MAX_TAG_VALUE)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    let value = value.trim();
    (!key.is_empty() && !value.is_empty()).then(|| (key, value.to_owned()))
}

/// The key of a tag, in the characters that Sentry accepts.
pub(crate) fn tag_key(key: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | ':' | '-');
    key.chars()
        .take(MAX_TAG_KEY)
        .map(|c| if is_plain(c) { c } else { '_' })
        .collect()
}

/// Sentry's word for a level.
pub(crate) fn word(level: Level) -> &'static str {
    match level {
        Level::Debug => "debug",
        Level::Info => "info",
        Level::Warning => "warning",
        Level::Error => "error",
        Level::Fatal => "fatal",
    }
}

fn bounded_parts(parts: Vec<String>) -> Vec<String> {
    if matches!(parts.as_slice(), [only] if only == "{{ default }}") {
        return Vec::new();
    }
    let cut = |part: String| bounded(MAX_PART, format_args!("{part}"));
    parts.into_iter().take(MAX_PARTS).map(cut).collect()
}

/// A transaction's name, cut to its limit.
fn named(name: String) -> String {
    bounded(MAX_TRANSACTION, format_args!("{name}"))
}

/// The message of an event without an error, cut to its limit.
pub(crate) fn message(text: &str) -> String {
    bounded(MAX_VALUE, format_args!("{text}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::item::breadcrumb::{Breadcrumb, Trail};
    use crate::item::place::Handler;
    use crate::item::protocol::{Changed, from_event};
    use crate::item::{Item, event::SDK_NAME};
    use crate::platform::testing::Fake;
    use proptest::prelude::*;
    use serde_json::{Value, json};
    use thiserror::Error;

    #[derive(Debug, Error)]
    #[error("the list could not be stored")]
    struct Outer(#[source] Middle);

    #[derive(Debug, Error)]
    enum Middle {
        #[error("the key is taken")]
        Taken { source: std::num::ParseIntError },
    }

    fn nested() -> Outer {
        Outer(Middle::Taken {
            source: "x".parse::<u8>().expect_err("not a number"),
        })
    }

    fn draft() -> Draft {
        drafted(&Fake::default(), &nested())
    }

    fn event(draft: Draft) -> Event {
        let id = Uuid::from_u128(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef);
        draft.into_event(id, 1_767_323_045_678.0, None, None)
    }

    fn json(event: &Event) -> Value {
        serde_json::to_value(event).expect("an event is JSON")
    }

    #[test]
    fn step_6_capture_an_event_is_exactly_this() {
        let mut draft = draft();
        draft.details.place = Place::new("RateLimiterDo", Handler::Alarm);
        draft.details.handled = false;
        let version = env!("CARGO_PKG_VERSION");
        let expected = json!({
            "event_id": "0123456789abcdef0123456789abcdef",
            "timestamp": 1_767_323_045.678,
            "platform": "native",
            "transaction": "RateLimiterDo.alarm",
            "tags": {"class": "RateLimiterDo", "handler": "alarm"},
            "contexts": {"runtime": {"type": "runtime", "name": "cloudflare"}},
            "sdk": {
                "name": SDK_NAME,
                "version": version,
                "packages": [{"name": "cargo:worker-sentry", "version": version}],
            },
            "exception": {"values": [
                {"type": "ParseIntError", "value": "invalid digit found in string"},
                {"type": "Taken", "value": "the key is taken"},
                {
                    "type": "Outer",
                    "value": "the list could not be stored",
                    "mechanism": {
                        "type": "auto.faas.cloudflare.durable_object",
                        "handled": false,
                        "data": {"class": "RateLimiterDo", "handler": "alarm"},
                    },
                },
            ]},
        });
        assert_eq!(json(&event(draft)), expected);
    }

    #[test]
    fn what_the_caller_adds_is_in_this_event() {
        let mut draft = draft();
        draft.details.level = Some("warning");
        draft.details.tags = vec![("shard".to_owned(), "7".to_owned())];
        draft.details.fingerprint = vec!["sweep".to_owned(), "{{ default }}".to_owned()];
        let values = [("lines".to_owned(), json!(12))];
        draft
            .details
            .contexts
            .push(("list".to_owned(), Group::from(values).into()));
        draft.message = Some("swept".to_owned());
        let event = json(&event(draft));
        assert_eq!(event["level"], "warning");
        assert_eq!(event["message"], "swept");
        assert_eq!(event["tags"], json!({"shard": "7"}));
        assert_eq!(event["fingerprint"], json!(["sweep", "{{ default }}"]));
        assert_eq!(event["contexts"]["list"]["lines"], 12);
        let mechanism = &event["exception"]["values"][2]["mechanism"];
        assert_eq!(*mechanism, json!({"type": "generic", "handled": true}));
    }

    #[test]
    fn a_name_of_its_own_stands_for_the_place_and_is_bounded() {
        let mut draft = draft();
        draft.details.place = Place::new("main", Handler::Fetch);
        draft.details.transaction = Some("GET /lists/{name}".to_owned());
        let named = json(&event(draft.clone()));
        assert_eq!(named["transaction"], "GET /lists/{name}");
        assert_eq!(named["tags"]["handler"], "fetch");
        draft.details.transaction = Some("x".repeat(5_000));
        let name = event(draft).transaction.expect("a name");
        assert_eq!(name.chars().count(), MAX_TRANSACTION);
    }

    #[test]
    fn a_caller_cannot_replace_the_runtime() {
        let mut draft = draft();
        let values = [("name".to_owned(), json!("mine"))];
        draft
            .details
            .contexts
            .push(("runtime".to_owned(), Group::from(values).into()));
        let event = json(&event(draft));
        assert_eq!(event["contexts"]["runtime"]["name"], "cloudflare");
    }

    #[test]
    fn a_context_has_one_type_whatever_the_caller_calls_his_values() {
        let mut draft = draft();
        let values = [("type".to_owned(), json!("mine"))];
        draft
            .details
            .contexts
            .push(("list".to_owned(), Group::from(values).into()));
        let written = event(draft).write().expect("JSON");
        let text = String::from_utf8(written).expect("text");
        assert!(text.contains(r#""list":{"type":"unknown"}"#), "{text}");
    }

    #[test]
    fn a_panic_has_a_place_and_is_fatal() {
        let at = Frame {
            filename: Some("src/lib.rs".to_owned()),
            lineno: Some(3),
            ..Frame::default()
        };
        let event = json(&event(Draft::of_panic("no", Some(at), Place::default())));
        assert_eq!(event["level"], "fatal");
        let exception = &event["exception"]["values"][0];
        assert_eq!(exception["type"], "panic");
        assert_eq!(
            exception["mechanism"],
            json!({"type": "panic", "handled": false})
        );
        assert_eq!(exception["stacktrace"]["frames"][0]["lineno"], 3);
    }

    fn taken(stack: &str) -> (Fake, Draft) {
        let fake = Fake::default();
        fake.world.stack.replace(Some(stack.to_owned()));
        (fake, draft())
    }

    const STACK: &str = "Error\n at wasm://wasm/0a:wasm-function[7]:0x1f\n at f (wasm://wasm/0a:wasm-function[8]:0xff)";

    #[test]
    fn the_stack_of_a_report_is_that_of_the_thread_and_of_no_exception() {
        let (fake, mut draft) = taken(STACK);
        draft.take_stack(&fake);
        let mut event = event(draft);
        let id = Uuid::from_u128(0x0123_4567_89ab_cdef_0011_2233_4455_6677);
        event.name_build(|| Some(id));
        let event = json(&event);
        let frames = json!([
            {"function": "f", "in_app": true, "instruction_addr": "0xff", "addr_mode": "rel:0"},
            {"in_app": true, "instruction_addr": "0x1f", "addr_mode": "rel:0"},
        ]);
        let thread = json!({"id": 0, "current": true, "stacktrace": {"frames": frames}});
        assert_eq!(event["threads"], json!({"values": [thread]}));
        assert_eq!(event["exception"]["values"][2]["stacktrace"], Value::Null);
        let image = json!({
            "type": "wasm",
            "debug_id": "01234567-89ab-cdef-0011-223344556677",
            "code_id": "0123456789abcdef0011223344556677",
            "code_file": "index_bg.wasm",
        });
        assert_eq!(event["debug_meta"], json!({"images": [image]}));
    }

    #[test]
    fn a_stack_of_any_depth_is_fifty_frames_and_their_bounded_names() {
        let name = "deep::".repeat(1_000);
        let frame = |at: u32| format!("\n at {name} (wasm://wasm/0a:wasm-function[7]:{at:#x})");
        let deep: String = (0x1000..0x2000).map(frame).collect();
        let (fake, mut draft) = taken(&format!("Error{deep}"));
        draft.take_stack(&fake);
        assert_eq!(fake.world.stacks.get(), 1);
        let event = json(&event(draft));
        let stack = &event["threads"]["values"][0]["stacktrace"];
        let frames = stack["frames"].as_array().expect("frames");
        assert_eq!(frames.len(), 50);
        // The innermost frame comes last.
        assert_eq!(frames[49]["instruction_addr"], "0x1000");
        assert_eq!(frames[0]["instruction_addr"], "0x1031");
        let bytes = stack.to_string().len();
        assert!(bytes < 50 * 350, "{bytes}");
    }

    #[test]
    fn no_stack_is_taken_where_an_error_has_its_own() {
        let (fake, mut draft) = taken(STACK);
        draft.chain.exceptions[1].stacktrace = stack::parse(" at f (a.js:1:2)");
        draft.take_stack(&fake);
        assert_eq!(fake.world.stacks.get(), 0);
        assert_eq!(draft.reported_at, None);
    }

    #[test]
    fn a_panics_own_place_is_the_innermost_of_its_way() {
        let (fake, _) = taken(STACK);
        let at = Frame {
            filename: Some("src/lib.rs".to_owned()),
            ..Frame::default()
        };
        let mut draft = Draft::of_panic("no", Some(at), Place::default());
        draft.take_way(&fake);
        let event = json(&event(draft));
        let frames = &event["exception"]["values"][0]["stacktrace"]["frames"];
        let text = |at: usize, name: &str| frames[at][name].as_str().map(str::to_owned);
        assert_eq!(text(0, "instruction_addr").as_deref(), Some("0xff"));
        assert_eq!(text(2, "filename").as_deref(), Some("src/lib.rs"));
        assert_eq!(event["threads"], Value::Null);
    }

    #[test]
    fn an_address_of_a_build_without_an_id_counts_from_nothing_and_is_kept() {
        let (fake, mut draft) = taken(STACK);
        draft.take_stack(&fake);
        let mut event = event(draft);
        event.name_build(|| None);
        let event = json(&event);
        let frame = &event["threads"]["values"][0]["stacktrace"]["frames"][1];
        assert_eq!(*frame, json!({"in_app": true, "instruction_addr": "0x1f"}));
        assert_eq!(event["debug_meta"], Value::Null);
    }

    #[test]
    fn nobody_asks_for_the_build_of_an_event_without_addresses() {
        let mut event = event(draft());
        event.name_build(|| panic!("asked"));
        assert_eq!(event.debug_meta, None);
    }

    #[test]
    fn for_a_source_map_an_address_is_a_column_and_the_stack_the_errors() {
        let (fake, mut draft) = taken(STACK);
        draft.take_stack(&fake);
        let mut event = event(draft);
        event.name_build(|| Some(Uuid::from_u128(7)));
        event.map_to_columns();
        let event = json(&event);
        let frame = &event["exception"]["values"][2]["stacktrace"]["frames"][1];
        assert_eq!(frame["filename"], "index_bg.wasm");
        assert_eq!(
            (&frame["lineno"], &frame["colno"]),
            (&json!(1), &json!(0x20))
        );
        let images = &event["debug_meta"]["images"];
        assert_eq!(images[1]["type"], "sourcemap");
        assert_eq!(images[1]["debug_id"], images[0]["debug_id"]);
        assert_eq!(event["threads"], Value::Null);
    }

    /// The parts by which Sentry groups an event if it has no companion: the types and texts of
    /// the exceptions, and the function and the file of each frame.
    fn grouped_by(event: &Value) -> Value {
        let mut event = event.clone();
        let mut keys = Vec::new();
        let values = event["exception"]["values"].as_array_mut();
        for value in values.into_iter().flatten() {
            let frames = value["stacktrace"]["frames"].as_array().cloned();
            let frames = frames.into_iter().flatten();
            let frames: Vec<_> = frames
                .map(|it| json!([it["function"], it["filename"]]))
                .collect();
            keys.push(json!([value["type"], value["value"], frames]));
        }
        json!([keys, event["fingerprint"]])
    }

    #[test]
    fn what_receivers_group_by_is_the_same_in_the_next_build() {
        let build = |hash: &str, offset: u32| {
            let names = [
                format!("wasm://wasm/{hash}:wasm-function[{offset}]:{offset:#x}"),
                format!("a::f::h{hash} (wasm://wasm/{hash}:wasm-function[{offset}]:{offset:#x})"),
                format!("imports.__wbg_call_{hash} (index.js:{offset}:7)"),
                format!("b_invoke__h{hash} (index.js:{offset}:7)"),
            ];
            let text: String = names.map(|it| format!("\n    at {it}")).concat();
            let (fake, mut reported) = taken(&text);
            reported.take_stack(&fake);
            let mut panic = Draft::of_panic("no", None, Place::default());
            panic.take_way(&fake);
            let mut thrown = draft();
            thrown.chain.exceptions[0].stacktrace = stack::parse(&text);
            [reported, panic, thrown].map(|draft| {
                let mut event = event(draft);
                event.name_build(|| Some(Uuid::from_u128(offset.into())));
                grouped_by(&json(&event))
            })
        };
        let builds = (
            build("0123456789abcdef", 70),
            build("fedcba9876543210", 9_001),
        );
        assert_eq!(builds.0, builds.1);
    }

    /// Checks that an event loses nothing when a hook sees it.
    fn survives_a_hook(event: &Event) -> (Value, Value) {
        let changed = Changed::new(&from_event(event), event).expect("JSON");
        let changed = changed.write().expect("JSON");
        let mut changed: Value = serde_json::from_slice(&changed).expect("JSON");
        // Sentry has two fields for a message, with the same meaning.
        if let Some(entry) = changed.get("logentry").cloned() {
            let changed = changed.as_object_mut().expect("an object");
            changed.remove("logentry");
            changed.insert("message".to_owned(), entry["message"].clone());
        }
        (json(event), changed)
    }

    #[test]
    fn a_panics_event_is_the_same_in_sentrys_own_types() {
        let at = Frame {
            filename: Some("src/lib.rs".to_owned()),
            lineno: Some(7),
            ..Frame::default()
        };
        let panic = event(Draft::of_panic("no", Some(at), Place::default()));
        let (own, theirs) = survives_a_hook(&panic);
        assert_eq!(own, theirs);
    }

    fn user() -> impl Strategy<Value = Option<Value>> {
        let address = prop::sample::select(vec!["1.2.3.4", "::1", "{{auto}}"]);
        let user = (".{1,8}", address, any::<u32>()).prop_map(|(text, address, number)| {
            json!({"id": text, "email": text, "username": text, "ip_address": address, "plan": number})
        });
        prop::option::of(user)
    }

    fn breadcrumbs() -> impl Strategy<Value = Option<Value>> {
        let one = (".{1,8}", any::<bool>(), any::<u16>()).prop_map(|(text, is_http, status)| {
            let one = match is_http {
                true => Breadcrumb::fetch("GET", &text, Some(status)),
                false => Breadcrumb::new(text).category("note").level(Level::Debug),
            };
            // Odd eighths of a second: `f64` holds them exactly, and Sentry's types and ours both
            // write them as a number with a fraction.
            (one, (f64::from(status) * 2.0 + 1.0) * 125.0)
        });
        let all = prop::collection::vec(one, 1..3).prop_map(|all| {
            let mut trail = Trail::default();
            for (one, at_ms) in all {
                trail.push(one, at_ms);
            }
            json!(trail)
        });
        prop::option::of(all)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn tags_are_as_sentry_takes_them(
            tags in proptest::collection::vec(("\\PC{0,20}|[a-z. ]{190,210}", "\\PC{0,20}|[a-z\n]{190,210}|\\s{0,9}|\u{0}"), 0..150),
        ) {
            let mut draft = draft();
            draft.details.tags = tags;
            let event = event(draft);
            prop_assert!(event.tags.len() <= MAX_TAGS);
            for (key, value) in &event.tags {
                prop_assert!((1..=MAX_TAG_KEY).contains(&key.len()));
                prop_assert!((1..=MAX_TAG_VALUE).contains(&value.chars().count()));
                prop_assert!(!value.contains(char::is_control));
            }
        }

        #[test]
        fn whatever_an_event_says_is_the_same_in_sentrys_own_types(
            text in ".{0,40}",
            level in prop::sample::select(vec!["debug", "info", "warning", "error", "fatal"]),
            named in any::<bool>(),
            handled in any::<bool>(),
            tags in prop::collection::vec((".{0,8}", ".{0,8}"), 0..3),
            context in prop::option::of((".{0,8}", ".{0,8}", any::<u32>())),
            fingerprint in prop::collection::vec(".{0,8}|\\{\\{ default \\}\\}", 0..3),
            message in prop::option::of(".{1,8}"),
            user in user(),
            extra in prop::option::of(".{0,8}".prop_map(|it| json!({"key": [it, null]}))),
            breadcrumbs in breadcrumbs(),
            now_ms in prop::sample::select(vec![1_000.5, 1_767_323_045_678.0]),
            stack in "(\n at (f \\()?wasm://wasm/0a:wasm-function\\[7\\]:0x[0-9a-f]{1,6}\\)?){0,4}",
            build in any::<Option<[u8; 16]>>(),
            mapped in any::<bool>(),
        ) {
            let error = std::io::Error::other(text);
            let fake = Fake::default();
            fake.world.stack.replace(Some(stack));
            let mut draft = drafted(&fake, &error);
            draft.take_stack(&fake);
            draft.message = message;
            let details = &mut draft.details;
            (details.level, details.handled, details.tags) = (Some(level), handled, tags);
            details.user = user.map(Given::from);
            details.extra = extra.map(Given::from);
            details.breadcrumbs = breadcrumbs.map(Given::from);
            details.fingerprint = fingerprint;
            if named {
                details.place = Place::new("Class", Handler::Alarm);
            }
            if let Some((name, key, value)) = context {
                let group = Group::from([(key, json!({"deep": [value, null]}))]);
                details.contexts.push((name, group.into()));
            }
            let release = Some("r".to_owned());
            let mut event = draft.into_event(Uuid::from_u128(7), now_ms, release, None);
            event.name_build(|| build.map(Uuid::from_bytes));
            if mapped {
                event.map_to_columns();
            }
            let (own, theirs) = survives_a_hook(&event);
            prop_assert_eq!(own, theirs);
        }
    }
}
