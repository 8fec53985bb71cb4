//! The recording of a run: when it began, and the spans below it that have ended.
//!
//! Each span is a scope of its own. Captures and calls are below a span exactly if they are made
//! while its future is polled. While the run goes on, each span has only a number; the ids are
//! made from the numbers when the run has ended.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::future::Future;
use std::rc::Rc;

use super::{Scope, resume};
use crate::item::place::{Handler, Place};
use crate::item::transaction::{self, Link, MAX_SPANS, Source, Span, Status, Transaction};
use crate::item::value::{Entries, Value, bounded};
use crate::platform::Senses;
use crate::trace::run::Position;
use crate::trace::sampling::Rate;

/// The most bytes of texts that the spans of one run keep.
const MAX_BYTES: usize = 262_144;
/// The most bytes of a span's operation and of its description.
const MAX_OP: usize = 128;
const MAX_NAME: usize = 512;
/// The most links to other traces.
const MAX_LINKS: usize = 16;

/// The part of a scope in a recording.
#[derive(Default)]
pub(crate) enum Spans {
    /// The scope records nothing of its own.
    #[default]
    None,
    /// The scope is a run, or an attempt of a step, that becomes a transaction.
    Run(Rc<Recorder>),
    /// The scope is a span below a transaction.
    Span(Rc<Open>),
}

/// The recording of a run.
pub(crate) struct Recorder {
    position: Position,
    rate: Rate,
    senses: Senses,
    start_ms: f64,
    decision: Cell<Option<bool>>,
    kept: RefCell<Kept>,
}

#[derive(Default)]
struct Kept {
    name: Option<(Cow<'static, str>, Source)>,
    data: Entries,
    status: Option<Status>,
    links: Vec<Link>,
    spans: Vec<Span>,
    dropped: u32,
    bytes: usize,
    is_over: bool,
}

/// A span that has not ended.
#[derive(Default)]
pub(crate) struct Open {
    #[cfg(all(feature = "spans", feature = "tracing"))]
    is_apart: Cell<bool>,
    data: RefCell<Entries>,
    status: Cell<Option<Status>>,
}

/// The finished recording of a run.
pub(crate) struct Record {
    pub(crate) position: Position,
    pub(crate) transaction: Transaction,
}

impl Recorder {
    /// Begins to record a run. `start_ms` is the time at which the run began, if that is not
    /// now.
    pub(crate) fn new(
        position: Position,
        rate: Rate,
        senses: Senses,
        start_ms: Option<f64>,
    ) -> Self {
        let now_ms = (senses.now_ms)();
        Recorder {
            position,
            rate,
            senses,
            start_ms: start_ms
                .filter(|ms| (0.0..=now_ms).contains(ms))
                .unwrap_or(now_ms),
            decision: Cell::new(None),
            kept: RefCell::default(),
        }
    }

    /// Whether the run will be sent. The decision is made at the first call, which reads the
    /// incoming trace.
    fn records(&self) -> bool {
        if let Some(decision) = self.decision.get() {
            return decision;
        }
        let decision = self.position.run().records(self.rate, self.senses.random);
        self.decision.set(Some(decision));
        decision
    }

    fn change(&self, change: impl FnOnce(&mut Kept)) {
        if let Ok(mut kept) = self.kept.try_borrow_mut() {
            change(&mut kept);
        }
    }

    fn push(&self, span: Span) {
        self.change(|kept| {
            if kept.is_over {
                return;
            }
            let texts = span.data.iter().map(|(key, value)| match value {
                Value::Text(text) => key.len() + text.len(),
                _ => key.len() + 8,
            });
            let bytes = span.op.len() + span.name.len() + texts.sum::<usize>();
            if kept.spans.len() < MAX_SPANS && kept.bytes + bytes <= MAX_BYTES {
                kept.bytes += bytes;
                kept.spans.push(span);
            } else {
                kept.dropped = kept.dropped.saturating_add(1);
            }
        });
    }
}

impl Scope {
    /// Records this run from now on. Does nothing if a scope around it already records the run,
    /// because a wrapper inside another one is part of the outer run.
    pub(crate) fn record(&self, recorder: impl FnOnce(Position) -> Recorder) {
        if self.is_recorded() {
            return;
        }
        if let Ok(mut spans) = self.spans.try_borrow_mut() {
            *spans = Spans::Run(Rc::new(recorder(self.position())));
        }
    }

    fn is_recorded(&self) -> bool {
        let recorder = self.recorder();
        recorder.is_some_and(|it| it.position.is_at(self.here()) || self.around_span().is_some())
    }

    /// The recorder of this scope's run.
    fn recorder(&self) -> Option<Rc<Recorder>> {
        self.outwards()
            .find_map(|scope| match &*scope.spans.try_borrow().ok()? {
                Spans::Run(recorder) if recorder.position.is_beside(self.here()) => {
                    Some(Rc::clone(recorder))
                }
                _ => None,
            })
    }

    /// The scope around this one, if this one is a span. Data that is set on the run inside a
    /// span belongs to the run.
    pub(super) fn around_span(&self) -> Option<&Rc<Scope>> {
        match &*self.spans.try_borrow().ok()? {
            Spans::Span(_) => self.parent.as_ref(),
            _ => None,
        }
    }

    /// Whether this scope is a span of `tracing`, which has no future that this crate polls.
    #[cfg(all(feature = "spans", feature = "tracing"))]
    fn is_apart(&self) -> bool {
        match self.spans.try_borrow().as_deref() {
            Ok(Spans::Span(open)) => open.is_apart.get(),
            _ => false,
        }
    }

    /// Sets a value of the current span, or of the run if there is no span.
    pub(crate) fn set_data(&self, key: impl Into<Cow<'static, str>>, value: impl Into<Value>) {
        for scope in self.outwards() {
            let Ok(spans) = scope.spans.try_borrow() else {
                return;
            };
            match &*spans {
                Spans::None => {}
                Spans::Run(recorder) => {
                    return recorder.change(|kept| kept.data.set(key, value));
                }
                Spans::Span(open) => {
                    if let Ok(mut data) = open.data.try_borrow_mut() {
                        data.set(key, value);
                    }
                    return;
                }
            }
        }
    }

    /// Sets the HTTP status of the current span, or of the run if there is no span.
    pub(crate) fn set_http_status(&self, code: u16) {
        self.set_data("http.response.status_code", u64::from(code));
        let status = Some(Status::of_http(code));
        for scope in self.outwards() {
            match scope.spans.try_borrow().as_deref() {
                Ok(Spans::Run(recorder)) => return recorder.change(|kept| kept.status = status),
                Ok(Spans::Span(open)) => return open.status.set(status),
                _ => {}
            }
        }
    }

    /// Sets the name of the run that is used if the application sets none.
    pub(crate) fn suggest_name(&self, name: impl Into<Cow<'static, str>>, source: Source) {
        if let Some(recorder) = self.recorder() {
            recorder.change(|kept| kept.name = Some((name.into(), source)));
        }
    }

    /// Copies the data of another run so far into this one: from a batch to one of its messages.
    #[cfg(any(test, feature = "queue"))]
    pub(crate) fn resemble(&self, other: &Scope) {
        let (Some(from), Some(to)) = (other.recorder(), self.recorder()) else {
            return;
        };
        let said = from
            .kept
            .try_borrow()
            .map(|it| (it.name.clone(), it.data.clone()));
        if let Ok((name, data)) = said {
            to.change(|kept| (kept.name, kept.data) = (name, data));
        }
    }

    /// Links the run to a span of another trace.
    pub(crate) fn link(&self, link: Link) {
        if let Some(recorder) = self.recorder() {
            recorder.change(|kept| {
                if kept.links.len() < MAX_LINKS {
                    kept.links.push(link);
                }
            });
        }
    }

    /// Ends the recording of this run. Returns `None` if the run is not recorded, or is not to
    /// be sent.
    pub(crate) fn end(&self, is_ok: bool) -> Option<Record> {
        let recorder = match std::mem::take(&mut *self.spans.try_borrow_mut().ok()?) {
            Spans::Run(recorder) => recorder,
            other => {
                *self.spans.try_borrow_mut().ok()? = other;
                return None;
            }
        };
        let is_sent = recorder.records();
        let kept = &mut *recorder.kept.try_borrow_mut().ok()?;
        let kept = std::mem::replace(
            kept,
            Kept {
                is_over: true,
                ..Kept::default()
            },
        );
        if !is_sent {
            return None;
        }
        Some(Record {
            position: recorder.position.clone(),
            transaction: self.transaction(&recorder, kept, is_ok),
        })
    }

    fn transaction(&self, recorder: &Recorder, kept: Kept, is_ok: bool) -> Transaction {
        let kind = Kind::of(&self.place);
        let mut data = kept.data;
        if let Some(trigger) = kind.trigger {
            data.set("faas.trigger", trigger);
        }
        if kind.op == QUEUE {
            data.set("messaging.system", "cloudflare");
        }
        let method = recorder.position.run().method();
        let method = method.filter(|_| kind.op == HTTP);
        if let Some(method) = &method {
            data.set("http.request.method", method.clone());
        }
        if kept.dropped > 0 {
            data.set("spans.dropped", u64::from(kept.dropped));
        }
        let (name, source) = self.named(&kind, kept.name, method);
        let status = match is_ok {
            true => kept.status.unwrap_or(Status::OK),
            false => Status::INTERNAL_ERROR,
        };
        Transaction {
            span: Span {
                number: 0,
                parent: 0,
                op: kind.op.into(),
                name: transaction::name(name),
                origin: kind.origin,
                start_ms: recorder.start_ms,
                end_ms: (recorder.senses.now_ms)(),
                status: Some(status),
                data,
            },
            source,
            links: kept.links,
            spans: kept.spans,
        }
    }

    /// The transaction's name and its source. The name contains parts of a URL only if the
    /// application has put them there.
    fn named(
        &self,
        kind: &Kind,
        suggested: Option<(Cow<'static, str>, Source)>,
        method: Option<String>,
    ) -> (Cow<'static, str>, Source) {
        if let Some(name) = self.name() {
            let source = match kind.op == HTTP {
                true => Source::Route,
                false => Source::Custom,
            };
            return (name.into(), source);
        }
        if let Some(named) = suggested {
            return named;
        }
        let place = self.place.transaction().unwrap_or_default();
        match method {
            Some(method) => ([&*method, " ", &*place].concat().into(), Source::Custom),
            None => (place.into(), Source::Task),
        }
    }
}

/// Runs a future as a span of the current run, if the run is recorded. `status` computes the
/// span's status from the output.
pub(crate) async fn span<F: Future>(
    op: impl Into<Cow<'static, str>>,
    name: impl Into<Cow<'static, str>>,
    origin: &'static str,
    status: impl FnOnce(&F::Output) -> Option<Status>,
    future: F,
) -> F::Output {
    let future = std::pin::pin!(future);
    let Some((around, recorder)) = recording() else {
        return future.await;
    };
    let (scope, mut running) = begin(&around, recorder, op.into(), name.into(), origin);
    let outcome = scope.run(future).await;
    running.ended(match &outcome {
        Ok(output) => status(output),
        Err(_) => Some(Status::INTERNAL_ERROR),
    });
    drop(running);
    hand_over(&around, scope);
    resume(outcome)
}

/// Begins a span below the scope `around`.
fn begin(
    around: &Rc<Scope>,
    recorder: Rc<Recorder>,
    op: Cow<'static, str>,
    name: Cow<'static, str>,
    origin: &'static str,
) -> (Rc<Scope>, Running) {
    let position = around.position().below();
    let (number, parent) = position.numbers();
    let scope = Scope::at(Some(Rc::clone(around)), around.place().clone(), position);
    let open = Rc::new(Open::default());
    if let Ok(mut spans) = scope.spans.try_borrow_mut() {
        *spans = Spans::Span(Rc::clone(&open));
    }
    let running = Running {
        span: Some(Span {
            number,
            parent,
            op: bounded(op, MAX_OP),
            name: bounded(name, MAX_NAME),
            origin,
            start_ms: (recorder.senses.now_ms)(),
            end_ms: 0.0,
            // The status if the future is dropped before it has finished.
            status: Some(Status::CANCELLED),
            data: Entries::default(),
        }),
        recorder,
        open,
    };
    (scope, running)
}

/// A span of `tracing`. The application begins, enters, leaves and ends it, in any order.
#[cfg(all(feature = "spans", feature = "tracing"))]
pub(crate) struct Apart {
    scope: Rc<Scope>,
    running: Running,
    /// The nearest scope around this span that has a future. It finishes this span's errands.
    polled: Rc<Scope>,
    /// The scopes that were current when this span was entered.
    before: Vec<Rc<Scope>>,
}

#[cfg(all(feature = "spans", feature = "tracing"))]
impl Apart {
    /// Begins a span in the current run, if the run is recorded. The span is below `parent` if
    /// that belongs to the same run, or else below the current scope.
    pub(crate) fn begin(
        parent: Option<&Apart>,
        op: Cow<'static, str>,
        name: Cow<'static, str>,
        origin: &'static str,
    ) -> Option<Self> {
        let (current, recorder) = recording()?;
        let parent = parent.map(|parent| &parent.scope);
        let around = parent.filter(|it| it.here().is_beside(current.here()));
        let around = around.unwrap_or(&current);
        let (scope, running) = begin(around, recorder, op, name, origin);
        running.open.is_apart.set(true);
        let mut polled = around;
        while let (true, Some(parent)) = (polled.is_apart(), &polled.parent) {
            polled = parent;
        }
        let polled = Rc::clone(polled);
        Some(Apart {
            scope,
            running,
            polled,
            before: Vec::new(),
        })
    }

    /// Sets a value of the span.
    pub(crate) fn set(&self, key: Cow<'static, str>, value: Value) {
        if let Ok(mut data) = self.running.open.data.try_borrow_mut() {
            data.set(key, value);
        }
    }

    /// Makes this span current, if it belongs to the current run.
    pub(crate) fn enter(&mut self) {
        let current = Scope::of_the_application();
        let current = current.filter(|it| it.here().is_beside(self.scope.here()));
        if let Some(before) = current {
            super::swap(Some(Rc::clone(&self.scope)));
            self.before.push(before);
        }
    }

    /// Makes the previous scope current again. If the span was entered in an earlier poll,
    /// that has already happened, because a scope stops being current at the end of its poll.
    pub(crate) fn leave(&mut self) {
        let before = self.before.pop();
        if Scope::current().is_some_and(|it| Rc::ptr_eq(&it, &self.scope)) {
            super::swap(before);
        }
        for panic in self.scope.take_panics() {
            self.polled.leave_panic(panic);
        }
        // This runs at each poll. Moving the errands avoids one more errand around them.
        if !self.scope.has_errands() {
            return;
        }
        let errands = self.scope.kept().errands.try_borrow_mut();
        let errands = errands.map(|mut it| std::mem::take(&mut *it));
        if let Ok(mut polled) = self.polled.kept().errands.try_borrow_mut() {
            polled.extend(errands.unwrap_or_default());
        }
    }

    /// Ends the span.
    pub(crate) fn end(mut self) {
        self.running.ended(None);
    }
}

/// Whether a span can begin: the current run is recorded and will be sent.
pub(crate) fn is_recording() -> bool {
    recording().is_some()
}

fn recording() -> Option<(Rc<Scope>, Rc<Recorder>)> {
    let scope = Scope::of_the_application()?;
    let recorder = scope.recorder()?;
    let is_over = recorder.kept.try_borrow().map_or(true, |kept| kept.is_over);
    (!is_over && recorder.records()).then_some((scope, recorder))
}

/// Moves the unfinished reports of an inner scope to the scope around it.
fn hand_over(around: &Rc<Scope>, inner: Rc<Scope>) {
    for panic in inner.take_panics() {
        around.leave_panic(panic);
    }
    if inner.has_errands() {
        around.send(inner.finish());
    }
}

/// A span whose future is running. The span ends when this is dropped, also if the future is
/// dropped before it has finished.
struct Running {
    span: Option<Span>,
    recorder: Rc<Recorder>,
    open: Rc<Open>,
}

impl Running {
    fn ended(&mut self, status: Option<Status>) {
        if let Some(span) = &mut self.span {
            span.status = status;
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let Some(mut span) = self.span.take() else {
            return;
        };
        span.end_ms = (self.recorder.senses.now_ms)();
        span.data = self.open.data.take();
        span.status = self.open.status.get().or(span.status);
        self.recorder.push(span);
    }
}

const HTTP: &str = "http.server";
const QUEUE: &str = "queue.process";

/// The kind of a transaction, by the handler that it is a run of.
struct Kind {
    op: &'static str,
    origin: &'static str,
    trigger: Option<&'static str>,
}

impl Kind {
    fn of(place: &Place) -> Self {
        let (op, trigger) = match place.handler {
            Some(Handler::Fetch) => (HTTP, None),
            Some(Handler::Queue) => (QUEUE, Some("pubsub")),
            Some(Handler::Scheduled | Handler::Alarm) => ("function", Some("timer")),
            Some(Handler::WebsocketMessage | Handler::WebsocketClose | Handler::WebsocketError) => {
                ("websocket", None)
            }
            _ => ("function", None),
        };
        let origin = match op == HTTP {
            true => "auto.http.cloudflare",
            false => place.mechanism(),
        };
        Kind {
            op,
            origin,
            trigger,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::item::Item;
    use crate::item::draft::Draft;
    use crate::item::transaction::Sealed;
    use crate::platform::testing::{block_on, yield_once};
    use crate::trace::head::Random;
    use crate::trace::ids::Id;
    use crate::trace::run::Origin;
    use crate::trace::{Incoming, Own, SpanId, Trace};
    use futures_util::future::{Either, select};
    use serde_json::{Value as Json, json};
    use std::pin::{Pin, pin};
    use std::task::{Context, Poll, Waker};

    thread_local! {
        static NOW: Cell<f64> = const { Cell::new(1_767_323_045_000.0) };
        static DRAWN: Cell<u8> = const { Cell::new(0) };
    }

    fn now_ms() -> f64 {
        NOW.set(NOW.get() + 1.0);
        NOW.get()
    }

    fn random() -> Option<Random> {
        DRAWN.set(DRAWN.get().wrapping_add(1));
        Some([DRAWN.get().max(1); 24])
    }

    const SENSES: Senses = Senses { now_ms, random };

    fn rate(share: f64) -> Rate {
        Rate::new(share).expect("a rate")
    }

    fn own(share: f64) -> Own<'static> {
        Own {
            public_key: "key",
            release: None,
            environment: "production",
            org_id: None,
            rate: Some(rate(share)),
        }
    }

    fn place() -> Place {
        Place::new("Object", Handler::Alarm)
    }

    fn recorded(share: f64) -> Rc<Scope> {
        let scope = Scope::within(None, place());
        scope.record(|position| Recorder::new(position, rate(share), SENSES, None));
        scope
    }

    fn sealed(record: Record) -> Sealed {
        let at = record.position.locate(&own(1.0), || None);
        Sealed {
            transaction: record.transaction,
            event_id: Id::random([7; 16]),
            at: at.expect("drawn when it was decided"),
            release: None,
            environment: "production".to_owned(),
        }
    }

    fn written(record: Option<Record>) -> Json {
        let sealed = sealed(record.expect("a record"));
        serde_json::from_slice(&sealed.write().expect("JSON")).expect("JSON")
    }

    /// The ids of the current span and of its parent, as an event would have them.
    fn here() -> (SpanId, Option<SpanId>) {
        let mut draft = Draft::of_panic("no", None, Place::default());
        let scope = Scope::current().expect("a scope");
        scope.complete(&mut draft, None);
        let position = draft.position.expect("a position");
        let at = position.locate(&own(1.0), random).expect("ids");
        (at.span_id, at.parent_span_id)
    }

    async fn spanned<F: Future>(name: &str, future: F) -> F::Output {
        span("function", name.to_owned(), "manual", |_| None, future).await
    }

    fn find<'j>(json: &'j Json, name: &str) -> &'j Json {
        let mut spans = json["spans"].as_array().expect("spans").iter();
        spans
            .find(|span| span["description"] == name)
            .unwrap_or_else(|| panic!("no {name} in {json:#}"))
    }

    #[test]
    fn a_run_is_a_transaction_with_the_spans_that_have_ended_in_it() {
        let scope = recorded(1.0);
        let body = async {
            let outer = spanned("outer", async {
                let inner = spanned("inner", async { here() }).await;
                (here(), inner)
            });
            let (outer, inner) = outer.await;
            assert_eq!(inner.1, Some(outer.0));
            assert_eq!(outer.1, Some(here().0));
            (outer.0, inner.0)
        };
        let (outer, inner) = block_on(scope.run(body)).expect("no panic");
        let json = written(scope.end(true));
        assert_eq!(json["transaction"], "Object.alarm");
        assert_eq!(json["transaction_info"]["source"], "task");
        let trace = &json["contexts"]["trace"];
        assert_eq!(trace["op"], "function");
        assert_eq!(trace["origin"], "auto.faas.cloudflare.durable_object");
        assert_eq!(trace["status"], "ok");
        assert_eq!(trace["data"]["faas.trigger"], "timer");
        assert_eq!(find(&json, "outer")["span_id"], json!(outer));
        assert_eq!(find(&json, "outer")["parent_span_id"], trace["span_id"]);
        assert_eq!(find(&json, "inner")["span_id"], json!(inner));
        assert_eq!(find(&json, "inner")["parent_span_id"], json!(outer));
        assert!(scope.end(true).is_none(), "sent twice");
    }

    #[test]
    fn a_run_is_named_by_the_application_also_from_within_a_span() {
        let scope = recorded(1.0);
        scope.suggest_name("process jobs", Source::Task);
        let name = |name: &'static str| spanned("a", async move { crate::set_transaction(name) });
        assert!(block_on(scope.run(name("nightly"))).is_ok());
        let json = written(scope.end(true));
        assert_eq!(json["transaction"], "nightly");
        assert_eq!(json["transaction_info"]["source"], "custom");
        let scope = recorded(1.0);
        scope.suggest_name("process jobs", Source::Task);
        assert_eq!(written(scope.end(false))["transaction"], "process jobs");
    }

    #[test]
    fn what_a_run_ends_with_is_its_status_and_an_answers_status_is_told() {
        let scope = recorded(1.0);
        let json = written(scope.end(false));
        assert_eq!(json["contexts"]["trace"]["status"], "internal_error");
        let scope = recorded(1.0);
        let body = async {
            let call = async { Scope::current().expect("it").set_http_status(503) };
            spanned("call", call).await;
            Scope::current().expect("it").set_http_status(404);
        };
        assert!(block_on(scope.run(body)).is_ok());
        let json = written(scope.end(true));
        let data = &json["contexts"]["trace"]["data"];
        assert_eq!(data["http.response.status_code"], 404);
        assert_eq!(json["contexts"]["trace"]["status"], "not_found");
        let call = find(&json, "call");
        assert_eq!(call["status"], "unavailable");
        assert_eq!(call["data"]["http.response.status_code"], 503);
    }

    #[test]
    fn a_span_that_is_given_up_or_panics_says_so_and_has_an_end() {
        let scope = recorded(1.0);
        let body = async {
            let endless = pin!(spanned("endless", std::future::pending::<()>()));
            let short = pin!(yield_once());
            let Either::Right(_) = select(endless, short).await else {
                panic!("endless");
            };
        };
        assert!(block_on(scope.run(body)).is_ok());
        let json = written(scope.end(true));
        assert_eq!(find(&json, "endless")["status"], "cancelled");

        let scope = recorded(1.0);
        let body = spanned("doomed", async {
            std::panic::resume_unwind(Box::new("gone"))
        });
        let outcome: Result<(), _> = block_on(scope.run(body));
        assert!(outcome.is_err());
        let json = written(scope.end(false));
        assert_eq!(find(&json, "doomed")["status"], "internal_error");
        for time in ["start_timestamp", "timestamp"] {
            assert!(find(&json, "doomed")[time].is_f64());
        }
    }

    #[test]
    fn an_errand_and_a_panic_that_a_span_leaves_are_the_runs() {
        let scope = recorded(1.0);
        let done = Rc::new(Cell::new(false));
        let flag = Rc::clone(&done);
        let body = spanned("a", async move {
            let current = Scope::current().expect("a scope");
            current.leave_panic(Draft::of_panic("caught", None, Place::default()));
            current.send(async move {
                yield_once().await;
                flag.set(true);
            });
        });
        assert!(block_on(scope.run(body)).is_ok());
        assert_eq!(scope.take_panics().len(), 1);
        assert!(scope.has_errands());
        block_on(Rc::clone(&scope).finish());
        assert!(done.get());
    }

    #[test]
    fn a_run_that_is_not_sampled_keeps_nothing_and_its_events_are_on_its_own_span() {
        let scope = recorded(0.0);
        let body = async {
            assert!(!is_recording());
            let around = here();
            assert_eq!(spanned("a", async { here() }).await, around);
        };
        assert!(block_on(scope.run(body)).is_ok());
        assert!(scope.end(true).is_none());
    }

    #[test]
    fn without_a_rate_no_clock_is_read_and_nothing_is_drawn() {
        let before = (NOW.get(), DRAWN.get());
        let scope = Scope::within(None, place());
        let body = spanned("a", async { crate::set_transaction("b") });
        assert!(block_on(scope.run(body)).is_ok());
        assert!(scope.end(true).is_none());
        assert_eq!((NOW.get(), DRAWN.get()), before);
    }

    struct Header(&'static str);
    impl Origin for Header {
        fn begin(&self, own: &Own<'_>, random: Random) -> Trace {
            let incoming = Incoming {
                sentry_trace: Some(self.0),
                ..Incoming::default()
            };
            Trace::start(&incoming, own, None, random)
        }

        fn method(&self) -> Option<String> {
            Some("POST".to_owned())
        }
    }

    #[test]
    fn the_flag_that_came_in_wins_over_the_rate_and_the_trace_is_the_one_that_was_decided_on() {
        let header = |flag: &'static str, share: f64| {
            let scope = Scope::within(None, Place::new("main", Handler::Fetch));
            scope.record(|position| Recorder::new(position, rate(share), SENSES, None));
            scope.position().run().continues(Rc::new(Header(flag)));
            scope.end(true)
        };
        let positive = header("771a43a4192642f0b136d5159a501700-b0e6f15b45c36b12-1", 0.0);
        let json = written(positive);
        let trace = &json["contexts"]["trace"];
        assert_eq!(trace["trace_id"], "771a43a4192642f0b136d5159a501700");
        assert_eq!(trace["parent_span_id"], "b0e6f15b45c36b12");
        assert_eq!(trace["op"], "http.server");
        assert_eq!(trace["data"]["http.request.method"], "POST");
        assert_eq!(json["transaction"], "POST main.fetch");
        let negative = header("771a43a4192642f0b136d5159a501700-b0e6f15b45c36b12-0", 1.0);
        assert!(negative.is_none());

        // The trace is made from the random numbers that were drawn for the decision.
        let scope = recorded(1.0);
        let record = scope.end(true).expect("sampled");
        let drawn = DRAWN.get();
        let first = sealed(record).at.trace.trace_id;
        assert_eq!(DRAWN.get(), drawn);
        assert_eq!(first.last_four_digits(), u16::from_be_bytes([drawn; 2]));
    }

    #[test]
    fn a_wrapper_inside_of_another_is_no_run_of_its_own_and_an_attempt_of_a_step_is() {
        let scope = recorded(1.0);
        let body = async {
            let inner = Scope::new(Place::new("Inner", Handler::Run));
            inner.record(|position| Recorder::new(position, rate(1.0), SENSES, None));
            assert!(inner.run(spanned("in", async {})).await.is_ok());
            assert!(inner.end(true).is_none());
            let around = Scope::current().expect("a scope");
            let below = around.position().below();
            let attempt = Scope::at(Some(around), place(), below);
            attempt.record(|position| Recorder::new(position, rate(1.0), SENSES, None));
            assert!(attempt.run(spanned("try", async {})).await.is_ok());
            written(attempt.end(false))
        };
        let attempt = block_on(scope.run(body)).expect("no panic");
        let run = written(scope.end(true));
        let of_run = &run["contexts"]["trace"];
        let of_attempt = &attempt["contexts"]["trace"];
        assert_eq!(of_attempt["trace_id"], of_run["trace_id"]);
        assert_eq!(of_attempt["parent_span_id"], of_run["span_id"]);
        assert_eq!(
            find(&attempt, "try")["parent_span_id"],
            of_attempt["span_id"]
        );
        assert_eq!(find(&run, "in")["parent_span_id"], of_run["span_id"]);
        assert_eq!(run["spans"].as_array().map(Vec::len), Some(1));
    }

    #[test]
    fn a_message_in_another_trace_than_its_batch_is_a_transaction_that_is_named_like_it() {
        let batch = recorded(1.0);
        batch.suggest_name("process jobs", Source::Task);
        batch.set_data("messaging.destination.name", "jobs");
        let message = Scope::at(Some(Rc::clone(&batch)), place(), Position::default());
        message.record(|position| Recorder::new(position, rate(1.0), SENSES, None));
        message.resemble(&batch);
        assert!(block_on(message.run(spanned("in", async {}))).is_ok());
        let (message, batch) = (written(message.end(true)), written(batch.end(true)));
        let trace = |json: &Json| json["contexts"]["trace"].clone();
        assert_eq!(message["transaction"], "process jobs");
        assert_eq!(trace(&message)["data"], trace(&batch)["data"]);
        assert_ne!(trace(&message)["trace_id"], trace(&batch)["trace_id"]);
        assert_eq!(
            find(&message, "in")["parent_span_id"],
            trace(&message)["span_id"]
        );
        assert_eq!(batch["spans"], json!([]));
    }

    #[test]
    fn a_span_that_ends_after_its_run_is_in_no_transaction() {
        let scope = recorded(1.0);
        let mut late = Box::pin(scope.run(spanned("late", async {
            yield_once().await;
            yield_once().await;
        })));
        let mut context = Context::from_waker(Waker::noop());
        assert!(late.as_mut().poll(&mut context).is_pending());
        let json = written(scope.end(true));
        assert_eq!(json["spans"], json!([]));
        assert!(block_on(late).is_ok());
    }

    #[test]
    fn what_a_run_keeps_is_bounded_and_what_was_dropped_is_counted() {
        let scope = recorded(1.0);
        let body = async {
            for _ in 0..MAX_SPANS + 7 {
                spanned("a", async {}).await;
            }
        };
        assert!(block_on(scope.run(body)).is_ok());
        let json = written(scope.end(true));
        assert_eq!(json["spans"].as_array().map(Vec::len), Some(MAX_SPANS));
        assert_eq!(json["contexts"]["trace"]["data"]["spans.dropped"], 7);

        let scope = recorded(1.0);
        let body = async {
            for at in 0..500 {
                let big = "x".repeat(100_000);
                let data = || Scope::current().expect("it").set_data("key", big.clone());
                spanned(&format!("{at}{big}"), async { data() }).await;
            }
            let link = Link {
                trace_id: Id::random([1; 16]),
                span_id: Id::random([1; 8]),
                sampled: None,
            };
            (0..100).for_each(|_| Scope::current().expect("it").link(link));
        };
        assert!(block_on(scope.run(body)).is_ok());
        let mut sealed = sealed(scope.end(true).expect("a record"));
        let size = sealed.write().expect("JSON").len();
        assert!(size < MAX_BYTES + 100_000, "{size}");
        assert_eq!(sealed.transaction.links.len(), MAX_LINKS);
        while sealed.trim(0) {}
        let json: Json = serde_json::from_slice(&sealed.write().expect("JSON")).expect("JSON");
        assert_eq!(json["spans"], json!([]));
        assert_eq!(sealed.kind(), "transaction");
        assert!(sealed.id().is_some() && sealed.trace().is_some());
    }

    type Run = Pin<Box<dyn Future<Output = (usize, Json)>>>;

    /// One run with nested spans and with spans that run at the same time.
    fn run(kind: usize, who: usize) -> Run {
        let scope = recorded(1.0);
        let name = move |what: &str| format!("{what} {who}");
        let leaf = move |what: &'static str| {
            let name = name(what);
            async move {
                let at = spanned(&name, async {
                    yield_once().await;
                    here()
                });
                (name.clone(), at.await)
            }
        };
        Box::pin(async move {
            let body = async {
                let root = here().0;
                let mut seen = Vec::new();
                match kind {
                    0 => {
                        seen.push((leaf("one").await, root));
                        seen.push((leaf("two").await, root));
                    }
                    1 => {
                        let (one, two) = futures_util::join!(leaf("one"), leaf("two"));
                        seen.extend([(one, root), (two, root)]);
                    }
                    2 => {
                        let around = name("around");
                        let inner = spanned(&around, async {
                            let at = here();
                            let (one, two) = futures_util::join!(leaf("one"), leaf("two"));
                            (at, one, two)
                        });
                        let (at, one, two) = inner.await;
                        seen.extend([(one, at.0), (two, at.0), ((around.clone(), at), root)]);
                    }
                    _ => {
                        // A span at the same time as code outside of any span.
                        let plain = async {
                            yield_once().await;
                            here().0
                        };
                        let (one, plain) = futures_util::join!(leaf("one"), plain);
                        assert_eq!(plain, root);
                        seen.push((one, root));
                    }
                }
                yield_once().await;
                assert_eq!(here().0, root);
                seen
            };
            let seen = scope.run(body).await.expect("no panic");
            let json = written(scope.end(true));
            assert_eq!(json["spans"].as_array().map(Vec::len), Some(seen.len()));
            for ((name, (id, parent)), around) in seen {
                assert_eq!(parent, Some(around), "{name}");
                assert_eq!(find(&json, &name)["span_id"], json!(id));
                assert_eq!(find(&json, &name)["parent_span_id"], json!(around));
            }
            (who, json)
        })
    }

    /// Calls `each` with every order in which two runs can be polled; `left` has how often each
    /// run is polled.
    fn orders(left: [usize; 2], order: &mut Vec<usize>, each: &mut impl FnMut(&[usize])) {
        if left == [0, 0] {
            return each(order);
        }
        for who in 0..2 {
            if left[who] > 0 {
                let mut less = left;
                less[who] -= 1;
                order.push(who);
                orders(less, order, each);
                order.pop();
            }
        }
    }

    #[test]
    fn no_span_is_in_another_run_or_below_another_branch_in_whatever_order_they_are_polled() {
        let mut played = 0;
        for first in 0..4 {
            for second in 0..4 {
                orders([4, 4], &mut Vec::new(), &mut |order| {
                    let mut runs = [Some(run(first, 0)), Some(run(second, 1))];
                    let mut context = Context::from_waker(Waker::noop());
                    let rest = (0..20).map(|at| at % 2);
                    let mut ended = Vec::new();
                    for who in order.iter().copied().chain(rest) {
                        let Some(run) = &mut runs[who] else { continue };
                        if let Poll::Ready((who, json)) = run.as_mut().poll(&mut context) {
                            ended.push(json["contexts"]["trace"]["trace_id"].clone());
                            runs[who] = None;
                        }
                    }
                    assert_eq!(ended.len(), 2, "{first} {second} {order:?}");
                    assert_ne!(ended[0], ended[1]);
                    played += 1;
                });
            }
        }
        assert_eq!(played, 16 * 70);
        assert!(Scope::current().is_none());
    }
}
