//! A layer for `tracing`.

use std::error::Error;
use std::fmt::Debug;

use sentry_core::protocol::{Level as Word, Map, Value};
use tracing_core::field::{Field, Visit};
#[cfg(feature = "spans")]
use tracing_core::span::{Attributes, Id, Record};
use tracing_core::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer};
use worker::Env;

use super::ambient::in_run;
use super::capture::{deliver, is_too_many};
use super::report::Report;
use crate::item::breadcrumb::Breadcrumb;
use crate::item::draft::{Draft, word};
use crate::item::json::set;
use crate::item::text::{MAX_VALUE, bounded};
use crate::item::value::MAX_TEXT;
use crate::panics;
use crate::platform::Runtime;
use crate::platform::workerd::Workerd;
use crate::scope::Scope;
#[cfg(feature = "spans")]
use crate::scope::spans::Apart;

/// The contexts of an event, under the names that Sentry's own layer uses.
const FIELDS: &str = "Rust Tracing Fields";
const LOCATION: &str = "Rust Tracing Location";
/// The type of the event's mechanism.
const MECHANISM: &str = "auto.log.tracing";
/// The field that holds an event's text.
const MESSAGE: &str = "message";
/// A field whose name begins with this becomes a tag.
const TAG: &str = "tags.";

/// Turns what `tracing` records into events, breadcrumbs, logs and spans of the current run.
///
/// | `tracing` | becomes |
/// | --- | --- |
/// | an event of the level `ERROR` | an event, with the chain of the first field that is a `dyn Error` |
/// | `WARN` and `INFO` | a breadcrumb |
/// | with the feature `logs` and `SENTRY_ENABLE_LOGS`: `INFO` and above | a log as well |
/// | with the feature `spans`, in a run that is recorded: a span of `INFO` and above | a span |
///
/// A span's operation is its field `sentry.op`, or else its target and name. The span's name in
/// Sentry is its field `sentry.name`, or else its own name. What is captured while the span is
/// entered belongs to the span.
///
/// A field whose name begins with `tags.` becomes a tag of the event. The other fields are
/// shown with the event, the breadcrumb or the log. An error that was already reported in its
/// run is not reported again, and the wrapper does not report an error that this layer has
/// reported.
///
/// Events are sent while the run goes on, and logs when the run has ended, with the limits of
/// [`capture_error`](crate::capture_error) and of `Log`. The layer never waits. Outside of a
/// wrapped handler or without a `SENTRY_DSN`, it does nothing.
///
/// ```no_run
/// use tracing_subscriber::prelude::*;
/// use worker::event;
/// use worker_sentry::tracing::SentryLayer;
///
/// #[event(start)]
/// fn start() {
///     tracing_subscriber::registry().with(SentryLayer::new()).init();
/// }
/// ```
#[derive(Clone, Debug)]
pub struct SentryLayer {
    #[cfg(feature = "logs")]
    logs_from: Level,
}

impl Default for SentryLayer {
    fn default() -> Self {
        SentryLayer::new()
    }
}

impl SentryLayer {
    /// Makes a layer that does what the table says.
    #[must_use]
    pub fn new() -> Self {
        SentryLayer {
            #[cfg(feature = "logs")]
            logs_from: Level::INFO,
        }
    }

    /// Sets the lowest level whose events become logs. The default is `INFO`.
    ///
    /// ```
    /// use worker_sentry::tracing::SentryLayer;
    ///
    /// let layer = SentryLayer::new().logs_from(tracing::Level::DEBUG);
    /// # let _ = layer;
    /// ```
    #[cfg(feature = "logs")]
    #[must_use]
    pub fn logs_from(mut self, level: Level) -> Self {
        self.logs_from = level;
        self
    }

    /// Whether an event of this level becomes an event, a breadcrumb or a log.
    fn takes(&self, level: Level) -> bool {
        #[cfg(feature = "logs")]
        let is_logged = level <= self.logs_from;
        #[cfg(not(feature = "logs"))]
        let is_logged = false;
        is_logged || level <= Level::INFO
    }

    fn tell(&self, env: &Env, runtime: &Workerd<'static>, scope: &Scope, event: &Event<'_>) {
        let level = *event.metadata().level();
        if level == Level::ERROR {
            panics::arm(env);
            if let Some(draft) = drafted(runtime, scope, event) {
                scope.send(deliver(env, draft));
            }
        } else if level <= Level::INFO {
            scope.leave_breadcrumb(breadcrumb(event), runtime.now_ms());
        }
        #[cfg(feature = "logs")]
        if level <= self.logs_from {
            super::log::keep_in(env, runtime, scope, || log(event));
        }
    }
}

impl<S: Subscriber> Layer<S> for SentryLayer {
    #[cfg(feature = "spans")]
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, _: Context<'_, S>) {
        spans::begin(attributes, id);
    }

    #[cfg(feature = "spans")]
    fn on_record(&self, id: &Id, values: &Record<'_>, _: Context<'_, S>) {
        spans::record(id, values);
    }

    #[cfg(feature = "spans")]
    fn on_enter(&self, id: &Id, _: Context<'_, S>) {
        spans::with(id, Apart::enter);
    }

    #[cfg(feature = "spans")]
    fn on_exit(&self, id: &Id, _: Context<'_, S>) {
        spans::with(id, Apart::leave);
    }

    #[cfg(feature = "spans")]
    fn on_close(&self, id: Id, _: Context<'_, S>) {
        spans::end(&id);
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if self.takes(*event.metadata().level()) {
            in_run(|env, runtime, scope| self.tell(env, runtime, scope, event));
        }
    }
}

/// The spans of `tracing` that are recorded.
#[cfg(feature = "spans")]
mod spans {
    use std::cell::RefCell;
    use std::collections::HashMap;

    use super::*;

    /// The most spans that are open at the same time. Further spans are not recorded.
    const MOST: usize = 1_000;
    const ORIGIN: &str = "auto.tracing";
    const OP: &str = "sentry.op";
    const NAME: &str = "sentry.name";

    thread_local! {
        /// The open spans, by their id. The subscriber's own extensions must be `Send`, which
        /// `Apart` is not.
        static OPEN: RefCell<HashMap<u64, Apart>> = RefCell::default();
    }

    pub(super) fn begin(attributes: &Attributes<'_>, id: &Id) {
        let metadata = attributes.metadata();
        if *metadata.level() > Level::INFO {
            return;
        }
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        let name = fields.take(NAME);
        let op = fields.take(OP);
        let op = op.unwrap_or_else(|| [metadata.target(), "::", metadata.name()].concat());
        OPEN.with_borrow_mut(|open| {
            if open.len() >= MOST {
                return;
            }
            let parent = attributes.parent().and_then(|id| open.get(&id.into_u64()));
            let name = name.map_or_else(|| metadata.name().into(), Into::into);
            if let Some(span) = Apart::begin(parent, op.into(), name, ORIGIN) {
                fields.give(&span);
                open.insert(id.into_u64(), span);
            }
        });
    }

    pub(super) fn record(id: &Id, values: &Record<'_>) {
        let mut fields = Fields::default();
        values.record(&mut fields);
        with(id, |span| fields.give(span));
    }

    /// Calls `what` with a span, if the span is recorded. `what` must not run code of the
    /// application, because the spans are borrowed.
    pub(super) fn with(id: &Id, what: impl FnOnce(&mut Apart)) {
        OPEN.with(|open| {
            if let Ok(mut open) = open.try_borrow_mut()
                && let Some(span) = open.get_mut(&id.into_u64())
            {
                what(span);
            }
        });
    }

    pub(super) fn end(id: &Id) {
        // Dropping the span may run code of the application, so it is dropped after the borrow.
        let ended = OPEN.with(|open| open.try_borrow_mut().ok()?.remove(&id.into_u64()));
        if let Some(span) = ended {
            span.end();
        }
    }

    impl Fields {
        /// Removes a field and returns its text.
        fn take(&mut self, name: &str) -> Option<String> {
            let at = self.rest.iter().position(|(each, _)| *each == name)?;
            match self.rest.remove(at).1 {
                Value::String(text) => Some(text),
                other => Some(other.to_string()),
            }
        }

        /// Sets all remaining fields as data of a span.
        fn give(self, span: &Apart) {
            for (name, value) in self.rest {
                span.set(name.into(), value.into());
            }
            for (key, value) in self.tags {
                span.set(key.into(), value.into());
            }
        }
    }
}

/// The message, the tags and the other fields of an event or a span of `tracing`.
#[derive(Debug, Default)]
struct Fields {
    message: String,
    tags: Vec<(String, Value)>,
    rest: Vec<(&'static str, Value)>,
    has_error: bool,
}

impl Fields {
    fn of(event: &Event<'_>) -> Self {
        let mut fields = Fields::default();
        event.record(&mut fields);
        fields
    }

    fn add(&mut self, field: &Field, value: impl Into<Value>) {
        match field.name().strip_prefix(TAG) {
            Some(tag) => self.tags.push((tag.to_owned(), value.into())),
            None => self.rest.push((field.name(), value.into())),
        }
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            MESSAGE => self.message = bounded(MAX_VALUE, format_args!("{value}")),
            _ => self.add(field, bounded(MAX_TEXT, format_args!("{value}"))),
        }
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.has_error = true;
        self.add(field, bounded(MAX_TEXT, format_args!("{value}")));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        match field.name() {
            MESSAGE => self.message = bounded(MAX_VALUE, format_args!("{value:?}")),
            _ => self.add(field, bounded(MAX_TEXT, format_args!("{value:?}"))),
        }
    }
}

/// Calls a function with the first error among the fields.
struct FirstError<F>(Option<F>);

impl<F: FnOnce(&(dyn Error + 'static))> Visit for FirstError<F> {
    fn record_error(&mut self, _: &Field, value: &(dyn Error + 'static)) {
        if let Some(show) = self.0.take() {
            show(value);
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn Debug) {}
}

/// The draft of an event of the level `ERROR`. `None` if the error was already reported in this
/// run, or if the run has reached its limit of reports.
fn drafted(runtime: &impl Runtime, scope: &Scope, event: &Event<'_>) -> Option<Draft> {
    let fields = Fields::of(event);
    let mut draft = None;
    let mut is_known = false;
    if fields.has_error {
        event.record(&mut FirstError(Some(|error: &(dyn Error + 'static)| {
            let read = Report::of_error(error, None).read(runtime);
            is_known = scope.has_reported(read.identity());
            if !is_known {
                draft = Some(describe(read, fields, event.metadata()));
                if let Some(draft) = &mut draft {
                    scope.complete(draft, Some(error));
                }
            }
        })));
    } else {
        let message = Draft::of_message("", word(Word::Error));
        let mut message = describe(message, fields, event.metadata());
        scope.complete(&mut message, None);
        draft = Some(message);
    }
    if is_known {
        runtime.debug("the error was reported before it got here");
        return None;
    }
    let mut draft = draft?;
    if is_too_many(runtime, scope) {
        return None;
    }
    if !draft.chain.exceptions.is_empty() {
        scope.note(draft.identity());
    }
    draft.take_stack(runtime);
    Some(draft)
}

/// Adds the data of `tracing` to a draft. It is called before the data of the run is added.
fn describe(mut draft: Draft, fields: Fields, metadata: &'static Metadata<'static>) -> Draft {
    // The error is the event's exception; the text of the `tracing` event is its message.
    draft.message = Some(fields.message).filter(|text| !text.is_empty());
    if draft.message.is_none() && draft.chain.exceptions.is_empty() {
        draft.message = Some(metadata.name().to_owned());
    }
    draft.mechanism = Some(MECHANISM);
    let details = &mut draft.details;
    details.logger = Some(metadata.target().to_owned());
    for (key, value) in fields.tags {
        let value = match value {
            Value::String(text) => text,
            other => other.to_string(),
        };
        details.tags.push((key, value));
    }
    let mut rest = Map::new();
    for (name, value) in fields.rest {
        rest.insert(name.to_owned(), value);
    }
    let mut location = Map::new();
    let texts = [
        ("module_path", metadata.module_path()),
        ("file", metadata.file()),
    ];
    for (name, text) in texts {
        if let Some(text) = text {
            location.insert(name.to_owned(), text.into());
        }
    }
    if let Some(line) = metadata.line() {
        location.insert("line".to_owned(), line.into());
    }
    for (name, values) in [(FIELDS, rest), (LOCATION, location)] {
        if !values.is_empty() {
            set(&mut details.contexts, name.to_owned(), values.into());
        }
    }
    draft
}

/// The breadcrumb of an event.
fn breadcrumb(event: &Event<'_>) -> Breadcrumb {
    let metadata = event.metadata();
    let fields = Fields::of(event);
    let level = match *metadata.level() {
        Level::WARN => Word::Warning,
        _ => Word::Info,
    };
    let mut breadcrumb = Breadcrumb::new(fields.message)
        .category(metadata.target())
        .level(level);
    for (key, value) in fields.tags {
        breadcrumb = breadcrumb.data(key, value);
    }
    for (name, value) in fields.rest {
        breadcrumb = breadcrumb.data(name, value);
    }
    breadcrumb
}

/// The log of an event.
#[cfg(feature = "logs")]
fn log(event: &Event<'_>) -> crate::Log {
    use crate::item::log::Level as LogLevel;
    let metadata = event.metadata();
    let fields = Fields::of(event);
    let level = match *metadata.level() {
        Level::ERROR => LogLevel::Error,
        Level::WARN => LogLevel::Warn,
        Level::INFO => LogLevel::Info,
        Level::DEBUG => LogLevel::Debug,
        Level::TRACE => LogLevel::Trace,
    };
    let mut log = crate::Log::new(level, fields.message)
        .with("sentry.origin", MECHANISM)
        .with("logger.name", metadata.target());
    for (key, value) in fields.tags {
        log = log.with(key, value);
    }
    for (name, value) in fields.rest {
        log = log.with(name, value);
    }
    log
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::into_report::IntoReport;
    use crate::item::breadcrumb::Trail;
    use crate::item::place::{Handler, Place};
    use crate::platform::testing::Fake;
    use serde_json::json;
    use std::cell::RefCell;
    use std::rc::Rc;
    use thiserror::Error;
    use tracing_subscriber::prelude::*;

    #[derive(Debug, Error)]
    #[error("the list could not be stored")]
    struct Outer(#[source] std::num::ParseIntError);

    fn outer() -> Outer {
        Outer("x".parse::<u8>().expect_err("not a number"))
    }

    thread_local! {
        static SEEN: RefCell<Vec<Value>> = const { RefCell::new(Vec::new()) };
    }

    /// Calls `look` for each event of `body` and collects the results.
    fn told(look: fn(&Event<'_>) -> Value, body: impl FnOnce()) -> Vec<Value> {
        struct Look(fn(&Event<'_>) -> Value);
        impl<S: Subscriber> Layer<S> for Look {
            fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
                let seen = self.0(event);
                SEEN.with_borrow_mut(|all| all.push(seen));
            }
        }
        let subscriber = tracing_subscriber::registry().with(Look(look));
        tracing::subscriber::with_default(subscriber, body);
        SEEN.take()
    }

    fn in_scope<T>(body: impl FnOnce() -> T) -> T {
        Scope::within(None, Place::new("Object", Handler::Alarm)).enter(body)
    }

    fn current() -> Rc<Scope> {
        Scope::current().expect("a scope")
    }

    fn as_event(event: &Event<'_>) -> Value {
        let draft = drafted(&Fake::default(), &current(), event);
        draft.map_or(Value::Null, |draft| {
            json!(draft.into_event(uuid::Uuid::from_u128(7), 1_000.0, None, None))
        })
    }

    fn as_breadcrumb(event: &Event<'_>) -> Value {
        let mut trail = Trail::default();
        trail.push(breadcrumb(event), 1_000.0);
        json!(trail)["values"][0].take()
    }

    #[test]
    fn an_error_is_its_chain_with_what_tracing_knows_of_it() {
        let events = in_scope(|| {
            let error = outer();
            let error: &(dyn Error + 'static) = &error;
            told(as_event, || {
                tracing::error!(
                    error,
                    list = "ads",
                    tags.plan = "free",
                    rows = 7,
                    "not stored"
                );
            })
        });
        let [event] = &events[..] else {
            panic!("{events:#?}");
        };
        let values = event["exception"]["values"].as_array().expect("a chain");
        assert_eq!(values.len(), 2);
        assert_eq!(values[1]["value"], "the list could not be stored");
        assert_eq!(values[1]["type"], "Outer");
        assert_eq!(values[1]["mechanism"]["type"], "auto.log.tracing");
        assert_eq!(values[1]["mechanism"]["handled"], true);
        assert_eq!(event["message"], "not stored");
        assert_eq!(event["logger"], module_path!());
        assert_eq!(event["transaction"], "Object.alarm");
        let tags = json!({"class": "Object", "handler": "alarm", "plan": "free"});
        assert_eq!(event["tags"], tags);
        let fields = json!({"error": "the list could not be stored", "list": "ads", "rows": 7});
        for (name, value) in fields.as_object().expect("fields") {
            assert_eq!(&event["contexts"][FIELDS][name], value, "{name}");
        }
        let location = &event["contexts"][LOCATION];
        assert_eq!(location["module_path"], module_path!());
        assert!(
            location["file"]
                .as_str()
                .is_some_and(|it| it.ends_with("tracing.rs"))
        );
        assert!(location["line"].is_u64());
    }

    #[test]
    fn an_error_without_one_in_its_fields_is_a_message() {
        let events = in_scope(|| {
            told(as_event, || {
                tracing::error!(list = ?["a"], "gone");
                tracing::error!(code = 7);
            })
        });
        assert_eq!(events[0]["message"], "gone");
        assert_eq!(events[0].get("exception"), None);
        assert_eq!(events[0]["contexts"][FIELDS]["list"], "[\"a\"]");
        assert!(
            events[1]["message"]
                .as_str()
                .is_some_and(|it| it.starts_with("event "))
        );
        for event in &events {
            assert_eq!(event.get("level"), None, "an error, which is not written");
        }
    }

    #[test]
    fn an_error_is_told_once_whoever_tells_it_first() {
        let tell = |error: &Outer| {
            let error: &(dyn Error + 'static) = error;
            told(as_event, || tracing::error!(error, "again"))[0].clone()
        };
        in_scope(|| {
            let error = outer();
            assert_ne!(tell(&error), Value::Null);
            assert_eq!(tell(&error), Value::Null);
            let draft = (&error).into_report().read(&Fake::default());
            assert!(current().has_reported(draft.identity()), "by the wrapper");
        });
        in_scope(|| {
            let error = outer();
            let draft = (&error).into_report().read(&Fake::default());
            current().note(draft.identity());
            assert_eq!(tell(&error), Value::Null);
        });
        in_scope(|| assert_ne!(tell(&outer()), Value::Null, "another run"));
    }

    #[test]
    fn one_run_reports_so_many_and_no_more() {
        let events = in_scope(|| told(as_event, || (0..30).for_each(|at| tracing::error!(at))));
        assert_eq!(events.iter().filter(|it| !it.is_null()).count(), 25);
    }

    #[test]
    fn a_warning_and_an_information_are_breadcrumbs_with_their_fields() {
        let crumbs = told(as_breadcrumb, || {
            let error = outer();
            let error: &(dyn Error + 'static) = &error;
            tracing::warn!(
                error,
                tags.plan = "free",
                share = 0.5,
                is_new = true,
                "slow"
            );
            tracing::info!(target: "store", big = u64::MAX, "stored {}", 7);
        });
        assert_eq!(
            crumbs,
            [
                json!({
                    "timestamp": 1.0, "level": "warning", "category": module_path!(),
                    "message": "slow",
                    "data": {"plan": "free", "error": "the list could not be stored",
                             "share": 0.5, "is_new": true},
                }),
                json!({
                    "timestamp": 1.0, "category": "store", "message": "stored 7",
                    "data": {"big": u64::MAX as f64},
                }),
            ]
        );
    }

    #[test]
    fn every_text_of_a_field_is_bounded() {
        let big = "x".repeat(100_000);
        let events = in_scope(|| {
            told(
                as_event,
                || tracing::error!(text = %big, debug = ?big, "{big}"),
            )
        });
        assert!(events[0].to_string().len() < 20_000);
    }

    #[cfg(feature = "logs")]
    #[test]
    fn each_level_is_a_log_with_its_fields() {
        use crate::item::log::Log;
        fn as_log(event: &Event<'_>) -> Value {
            json!(format!("{:?}", log(event)))
        }
        let logs = told(as_log, || {
            tracing::error!(n = 1, "a");
            tracing::warn!("a");
            tracing::info!("a");
            tracing::debug!("a");
            tracing::trace!("a");
        });
        let with = |log: Log| {
            let log = log.with("sentry.origin", MECHANISM);
            log.with("logger.name", module_path!())
        };
        let expected = [
            with(Log::error("a")).with("n", 1),
            with(Log::warn("a")),
            with(Log::info("a")),
            with(Log::new(crate::item::log::Level::Debug, "a")),
            with(Log::trace("a")),
        ];
        assert_eq!(logs, expected.map(|log| json!(format!("{log:?}"))));
    }

    #[test]
    fn what_becomes_nothing_is_not_looked_at() {
        let layer = SentryLayer::new();
        assert!(layer.takes(Level::INFO));
        assert!(!layer.takes(Level::DEBUG));
        #[cfg(feature = "logs")]
        assert!(layer.logs_from(Level::DEBUG).takes(Level::DEBUG));
    }

    #[cfg(feature = "spans")]
    mod of_spans {
        use super::*;
        use crate::item::Item;
        use crate::item::transaction::{Sealed, Source};
        use crate::platform::Senses;
        use crate::platform::testing::{block_on, yield_once};
        use crate::scope::spans::{Record as Recorded, Recorder};
        use crate::steps::client::IsolateClient;
        use crate::steps::load::tests::config;
        use crate::trace::ids::Id;
        use crate::trace::sampling::Rate;
        use std::cell::Cell;
        use std::future::{Future, poll_fn};
        use std::pin::pin;
        use tracing::Span;

        fn recorded(share: f64) -> Rc<Scope> {
            let scope = Scope::within(None, Place::new("Object", Handler::Alarm));
            let senses = Senses {
                now_ms: || 1_000.0,
                random: || {
                    let mut bytes = [0; 24];
                    getrandom::fill(&mut bytes).ok()?;
                    Some(bytes)
                },
            };
            let rate = Rate::new(share).expect("a rate");
            scope.record(|position| Recorder::new(position, rate, senses, None));
            scope.suggest_name("run", Source::Task);
            scope
        }

        fn written(record: Option<Recorded>) -> Value {
            let record = record.expect("recorded");
            let client = IsolateClient::build(config(&[("SENTRY_TRACES_SAMPLE_RATE", "1")]));
            let located = record.position.locate(&client.own(), || None);
            let sealed = Sealed {
                transaction: record.transaction,
                event_id: Id::random([7; 16]),
                at: located.expect("ids"),
                release: None,
                environment: "production".to_owned(),
            };
            serde_json::from_slice(&sealed.write().expect("JSON")).expect("JSON")
        }

        fn find<'t>(json: &'t Value, name: &str) -> &'t Value {
            let spans = json["spans"].as_array().expect("spans");
            let mut named = spans.iter().filter(|it| it["description"] == name);
            named
                .next()
                .unwrap_or_else(|| panic!("no {name} in {json:#}"))
        }

        /// As `Instrument` of `tracing`: the span is entered whenever the future is polled.
        async fn instrumented<F: Future>(span: Span, future: F) -> F::Output {
            let mut future = pin!(future);
            poll_fn(|context| span.in_scope(|| future.as_mut().poll(context))).await
        }

        fn subscribed<T>(body: impl FnOnce() -> T) -> T {
            let subscriber = tracing_subscriber::registry().with(SentryLayer::new());
            tracing::subscriber::with_default(subscriber, body)
        }

        #[test]
        fn spans_of_tracing_are_spans_below_each_other_with_their_fields() {
            let json = subscribed(|| {
                let scope = recorded(1.0);
                let body = async {
                    let outer =
                        tracing::info_span!("outer", rows = 7, late = tracing::field::Empty);
                    outer.record("late", "told");
                    let inner = async {
                        yield_once().await;
                        let op = tracing::warn_span!("x", sentry.op = "db", sentry.name = "inner");
                        instrumented(op, yield_once()).await;
                        tracing::debug_span!("too fine").in_scope(|| ());
                    };
                    instrumented(outer, inner).await;
                    tracing::info_span!("beside").in_scope(|| ());
                };
                assert!(block_on(scope.run(body)).is_ok());
                written(scope.end(true))
            });
            let root = &json["contexts"]["trace"]["span_id"];
            let (outer, inner) = (find(&json, "outer"), find(&json, "inner"));
            assert_eq!(json["spans"].as_array().map(Vec::len), Some(3));
            assert_eq!(&outer["parent_span_id"], root);
            assert_eq!(inner["parent_span_id"], outer["span_id"]);
            assert_eq!(&find(&json, "beside")["parent_span_id"], root);
            assert_eq!(outer["op"], format!("{}::outer", module_path!()));
            assert_eq!(inner["op"], "db");
            assert_eq!(outer["data"], json!({"rows": 7, "late": "told"}));
            assert_eq!(outer["origin"], "auto.tracing");
            assert_eq!(outer.get("status"), None);
        }

        #[test]
        fn what_is_captured_in_a_span_is_on_it_and_an_errand_of_it_is_finished_by_the_run() {
            let done = Rc::new(Cell::new(0));
            let (json, at) = subscribed(|| {
                let scope = recorded(1.0);
                let body = async {
                    let flag = Rc::clone(&done);
                    let inside = async {
                        let errand = Rc::clone(&flag);
                        current().send(async move {
                            yield_once().await;
                            errand.set(errand.get() + 1);
                        });
                        yield_once().await;
                        current().position()
                    };
                    let outer = tracing::info_span!("outer");
                    let inner = tracing::info_span!(parent: &outer, "inner");
                    instrumented(inner, inside).await
                };
                let at = block_on(scope.run(body)).expect("no panic");
                block_on(Rc::clone(&scope).finish());
                (written(scope.end(true)), at)
            });
            let client = IsolateClient::build(config(&[]));
            let at = at.locate(&client.own(), || None).expect("begun");
            assert_eq!(find(&json, "inner")["span_id"], json!(at.span_id));
            let outer = find(&json, "outer")["span_id"].clone();
            assert_eq!(find(&json, "inner")["parent_span_id"], outer);
            assert_eq!(done.get(), 1);
        }

        #[test]
        fn a_span_that_is_entered_in_another_run_or_held_over_a_wait_changes_no_run() {
            subscribed(|| {
                let (one, two) = (recorded(1.0), recorded(1.0));
                let shared = RefCell::new(None);
                let first = one.run(async {
                    let span = tracing::info_span!("of one");
                    *shared.borrow_mut() = Some(span.clone());
                    // A guard held over an `await` is a common mistake.
                    let held = span.enter();
                    yield_once().await;
                    yield_once().await;
                    drop(held);
                    current().position()
                });
                let second = two.run(async {
                    yield_once().await;
                    let here = current();
                    let span = shared.borrow().clone().expect("begun");
                    let inside = span.in_scope(current);
                    assert!(Rc::ptr_eq(&here, &inside));
                    assert!(Rc::ptr_eq(&here, &two));
                });
                let (first, second) = block_on(async { futures_util::join!(first, second) });
                assert!(second.is_ok());
                assert!(first.expect("no panic").is_at(&one.position()));
                assert!(Scope::current().is_none());
                shared.take();
                assert_eq!(written(two.end(true))["spans"], json!([]));
                assert_eq!(
                    find(&written(one.end(true)), "of one")["origin"],
                    "auto.tracing"
                );
            });
        }

        #[test]
        fn a_run_that_is_not_recorded_keeps_no_span() {
            subscribed(|| {
                let scope = recorded(0.0);
                let body = async {
                    tracing::info_span!("a").in_scope(|| {
                        assert!(current().position().is_at(&scope.position()));
                    });
                };
                assert!(block_on(scope.run(body)).is_ok());
                assert!(scope.end(true).is_none());
                tracing::info_span!("outside").in_scope(|| ());
            });
        }
    }
}
