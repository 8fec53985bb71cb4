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
    ClientSdkInfo, Context, DebugMeta, Event, Exception, Frame, Level, Map, Mechanism,
    RuntimeContext, Stacktrace, Uuid, Value,
};

use crate::report::{Place, Report};
use crate::stack;
use crate::workerd::{same_thrown, thrown};
use crate::wrap::Scope;

/// The SDK's name as Sentry shows it, by Sentry's naming rule.
/// <https://develop.sentry.dev/sdk/overview/#sdk-identification>
pub(crate) const SDK_NAME: &str = "sentry.rust.cloudflare";

/// Errors in a chain beyond this one are left out.
const MAX_CHAIN: usize = 32;
/// Sentry cuts an exception's value here.
/// <https://develop.sentry.dev/sdk/data-model/event-payloads/exception/>
pub(crate) const MAX_VALUE: usize = 8_192;
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
        let mut exceptions: Vec<Exception> = chain(report.error).map(exception).collect();
        if let Some(outermost) = exceptions.first_mut() {
            outermost.mechanism = Some(mechanism(report.place, report.handled));
        }
        // Sentry wants the root cause first and the error that was caught last.
        exceptions.reverse();
        let mut contexts = report.contexts;
        Scope::complete(&mut contexts, Some(report.error));
        Draft {
            exceptions,
            place: report.place,
            level: report.level,
            tags: report.tags,
            contexts,
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
        let mut contexts = BTreeMap::new();
        Scope::complete(&mut contexts, None);
        Draft {
            exceptions: vec![exception],
            place,
            level: Level::Fatal,
            tags: Vec::new(),
            contexts,
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
        let mut tags = Map::new();
        for (key, name) in self.place.names() {
            tags.insert(key.to_owned(), name.to_owned());
        }
        add_tags(&mut tags, self.tags);
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
            tags,
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

/// The error and its sources, up to where they end, repeat or become too many.
fn chain<'e>(error: &'e (dyn Error + 'static)) -> impl Iterator<Item = &'e (dyn Error + 'static)> {
    let is_first = move |source: &(dyn Error + 'static)| {
        let thrown = source.downcast_ref().zip(error.downcast_ref());
        thrown.is_some_and(|(source, first)| same_thrown(source, first))
    };
    std::iter::successors(Some(error), move |&error| {
        error.source().filter(|source| !is_first(*source))
    })
    .take(MAX_CHAIN)
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
    // Letters beyond ASCII are taken for what they are: to know them takes tables.
    let is_name = name.starts_with(|c: char| !c.is_ascii() || c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| {
            !c.is_ascii() || c.is_ascii_alphanumeric() || matches!(c, '_' | ':' | '<' | '>')
        });
    if is_name { name } else { "Error" }.to_owned()
}

fn mechanism(place: Place, handled: bool) -> Mechanism {
    let ty = match place.handler {
        Some(handler) => format!("cloudflare.{handler}"),
        None => "generic".to_owned(),
    };
    let mut data = Map::new();
    for (key, name) in place.names() {
        data.insert(key.to_owned(), Value::from(name));
    }
    Mechanism {
        ty,
        handled: Some(handled),
        data,
        ..Mechanism::default()
    }
}

/// Tags as Sentry takes them: it drops an event's tag whose key has other
/// characters, or whose key or value is too long or has a line break, and it
/// takes the space off a value's ends.
/// <https://docs.sentry.io/platforms/rust/enriching-events/tags/>
fn add_tags(to: &mut Map<String, String>, tags: Vec<(String, String)>) {
    for (key, value) in tags.into_iter().take(MAX_TAGS) {
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
        let value = value.trim();
        if !key.is_empty() && !value.is_empty() {
            to.insert(key, value.to_owned());
        }
    }
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
        0 => keep(&mut event.contexts, &["runtime"]),
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
            keep(&mut event.tags, &["class", "handler"]);
        }
        _ => return false,
    }
    true
}

/// Not `retain`: taking single entries out of a map is much code, which nothing else
/// here needs.
fn keep<V>(map: &mut Map<String, V>, names: &[&str]) {
    for (name, value) in std::mem::take(map) {
        if names.contains(&name.as_str()) {
            map.insert(name, value);
        }
    }
}

/// Formats at most `limit` bytes, and stops the formatting there.
///
/// A ten-megabyte message costs no more than a short one.
pub(crate) fn bounded(limit: usize, arguments: fmt::Arguments<'_>) -> String {
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
    // Databases that receivers keep events in take no NUL in a text.
    if text.contains('\0') {
        text = text.replace('\0', " ");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;
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
            source: "x".parse::<u8>().expect_err("no number"),
        })
    }

    fn event(report: Report<'_>) -> Event<'static> {
        let id = Uuid::from_u128(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef);
        Draft::read(report).into_event(id, 1_767_323_045_678.0)
    }

    fn json(event: &Event<'_>) -> serde_json::Value {
        serde_json::to_value(event).expect("an event is JSON")
    }

    #[test]
    fn step_6_capture_an_event_is_exactly_this() {
        let error = nested();
        let report = Report::new(&error)
            .in_handler("RateLimiterDo", "alarm")
            .handled(false);
        let expected = json!({
            "event_id": "0123456789abcdef0123456789abcdef",
            "timestamp": 1_767_323_045.678,
            "platform": "native",
            "transaction": "RateLimiterDo.alarm",
            "tags": {"class": "RateLimiterDo", "handler": "alarm"},
            "contexts": {"runtime": {"type": "runtime", "name": "cloudflare"}},
            "sdk": {"name": SDK_NAME, "version": env!("CARGO_PKG_VERSION")},
            "exception": {"values": [
                {"type": "ParseIntError", "value": "invalid digit found in string"},
                {"type": "Taken", "value": "the key is taken"},
                {
                    "type": "Outer",
                    "value": "the list could not be stored",
                    "mechanism": {
                        "type": "cloudflare.alarm",
                        "handled": false,
                        "data": {"class": "RateLimiterDo", "handler": "alarm"},
                    },
                },
            ]},
        });
        assert_eq!(json(&event(report)), expected);
    }

    #[test]
    fn what_the_caller_adds_is_in_this_event() {
        let error = nested();
        let report = Report::new(&error)
            .level(Level::Warning)
            .tag("shard", "7")
            .fingerprint(["sweep", "{{ default }}"])
            .context("list", [("lines".to_owned(), json!(12))].into());
        let event = json(&event(report));
        assert_eq!(event["level"], "warning");
        assert_eq!(event["tags"], json!({"shard": "7"}));
        assert_eq!(event["fingerprint"], json!(["sweep", "{{ default }}"]));
        assert_eq!(event["contexts"]["list"]["lines"], 12);
        assert_eq!(
            event["exception"]["values"][2]["mechanism"]["type"],
            "generic"
        );
        assert_eq!(
            event["exception"]["values"][2]["mechanism"]["handled"],
            true
        );
    }

    #[test]
    fn a_caller_cannot_replace_the_class_the_handler_or_the_runtime() {
        let error = nested();
        let report = Report::new(&error)
            .in_handler("A", "alarm")
            .context("runtime", [("name".to_owned(), json!("mine"))].into());
        let event = json(&event(report));
        assert_eq!(event["contexts"]["runtime"]["name"], "cloudflare");
        assert_eq!(event["tags"]["class"], "A");
    }

    #[test]
    fn an_error_without_a_type_name_is_an_error() {
        let boxed: Box<dyn Error> = "just text".into();
        let event = event(Report::new(&*boxed));
        assert_eq!(event.exception.values[0].ty, "Error");
        assert_eq!(
            event.exception.values[0].value.as_deref(),
            Some("just text")
        );
    }

    #[derive(Debug)]
    struct Deep(Option<Box<Deep>>);
    impl fmt::Display for Deep {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("deep")
        }
    }
    impl Error for Deep {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            self.0.as_deref().map(|deep| deep as _)
        }
    }

    #[test]
    fn a_chain_is_cut_where_the_outermost_errors_are_kept() {
        let chain = (0..40).fold(Deep(None), |inner, _| Deep(Some(Box::new(inner))));
        let event = event(Report::new(&chain));
        assert_eq!(event.exception.values.len(), MAX_CHAIN);
        let last = event.exception.values.last().expect("an exception");
        assert!(last.mechanism.is_some());
    }

    struct Huge;
    impl fmt::Debug for Huge {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("Huge")
        }
    }
    impl fmt::Display for Huge {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            // Ends only because the writer says no.
            loop {
                f.write_str("äöü ")?;
            }
        }
    }
    impl Error for Huge {}

    #[test]
    fn a_message_without_end_is_cut_and_formatted_no_further() {
        let event = event(Report::new(&Huge));
        let value = event.exception.values[0].value.as_deref().expect("a value");
        assert!(value.len() <= MAX_VALUE, "{}", value.len());
        assert!(value.ends_with("..."));
    }

    #[test]
    fn a_display_that_fails_is_no_panic() {
        #[derive(Debug)]
        struct Broken;
        impl fmt::Display for Broken {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("half")?;
                Err(fmt::Error)
            }
        }
        impl Error for Broken {}
        let event = event(Report::new(&Broken));
        assert_eq!(event.exception.values[0].value.as_deref(), Some("half..."));
    }

    #[test]
    fn a_time_that_is_none_is_the_epoch() {
        for now_ms in [f64::NAN, f64::INFINITY, -1.0, 1e300] {
            assert_eq!(timestamp(now_ms), SystemTime::UNIX_EPOCH, "{now_ms}");
        }
    }

    #[test]
    fn a_panic_has_a_place_and_is_fatal() {
        let at = Frame {
            filename: Some("src/lib.rs".to_owned()),
            lineno: Some(3),
            ..Frame::default()
        };
        let draft = Draft::panic(&"index out of bounds", Some(at), Place::default());
        let event = json(&draft.into_event(Uuid::nil(), 0.0));
        assert_eq!(event["level"], "fatal");
        let exception = &event["exception"]["values"][0];
        assert_eq!(exception["type"], "panic");
        assert_eq!(exception["value"], "index out of bounds");
        assert_eq!(exception["mechanism"]["type"], "panic");
        assert_eq!(exception["mechanism"]["handled"], false);
        assert_eq!(exception["stacktrace"]["frames"][0]["lineno"], 3);
    }

    #[test]
    fn the_identity_is_that_of_the_chain_and_not_of_the_place() {
        let error = nested();
        let other = "".parse::<u8>().expect_err("empty");
        let here = Draft::read(Report::new(&error).in_handler("A", "alarm"));
        let there = Draft::read(Report::new(&error).handled(false));
        assert_eq!(here.identity(), there.identity());
        assert_ne!(here.identity(), Draft::read(Report::new(&other)).identity());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn tags_are_as_sentry_takes_them(
            tags in proptest::collection::vec(("\\PC{0,20}|[a-z. ]{190,210}", "\\PC{0,20}|[a-z\n]{190,210}|\\s{0,9}|\u{0}"), 0..150),
        ) {
            let error = nested();
            let report = tags.iter().fold(Report::new(&error), |report, (key, value)| report.tag(key, value));
            let event = event(report);
            prop_assert!(event.tags.len() <= MAX_TAGS);
            for (key, value) in &event.tags {
                prop_assert!((1..=MAX_TAG_KEY).contains(&key.len()));
                prop_assert!((1..=MAX_TAG_VALUE).contains(&value.chars().count()));
                prop_assert!(!value.contains(char::is_control));
            }
        }

        #[test]
        fn bounded_never_exceeds_its_limit_and_keeps_what_fits(text in "\\PC{0,200}", limit in 3usize..100) {
            let cut = bounded(limit, format_args!("{text}"));
            prop_assert!(cut.len() <= limit);
            if text.len() <= limit - 3 {
                prop_assert_eq!(cut, text);
            }
        }
    }
}
