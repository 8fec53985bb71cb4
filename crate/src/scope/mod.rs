//! The state of one run of one handler: its place, what it has reported, the data for each of
//! its events, and its reports that are being sent.
//!
//! Requests share an isolate and its only thread, so a global "current request" would be wrong
//! after each `await`. Therefore the future that serves a request owns the scope: the scope is
//! entered each time that its future is polled, and left when the poll ends.

pub(crate) mod data;
#[cfg(any(test, feature = "logs"))]
pub(crate) mod logs;
pub(crate) mod places;
#[cfg(any(test, feature = "spans"))]
pub(crate) mod spans;

use std::any::Any;
use std::cell::{Cell, OnceCell, RefCell};
use std::error::Error;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};

use crate::item::draft::{Details, Draft};
use crate::item::place::Place;
use crate::trace::run::Position;

/// How many errors a scope remembers as reported. The oldest is forgotten first.
const REMEMBERED: usize = 32;

/// How many captures one run may send, in addition to the error that it returns.
///
/// Each report is a request, and an invocation may make 50 requests on the free plan. A queue's
/// batch has up to 100 messages, and each can fail.
/// <https://developers.cloudflare.com/workers/platform/limits/#subrequests>
pub(crate) const MOST_REPORTS: u32 = 25;

thread_local! {
    /// The scope whose future is being polled.
    static CURRENT: Cell<Option<Rc<Scope>>> = const { Cell::new(None) };
    /// Set while errands are polled. The only code of the application that runs then is its
    /// `before_send`. A report from there would call `before_send` again, without end.
    static ON_ERRANDS: Cell<bool> = const { Cell::new(false) };
}

/// A report that is being sent, or other work that a run has to finish.
type Errand = Pin<Box<dyn Future<Output = ()>>>;

/// The outcome of a body: its result, or the payload of a panic that was caught.
///
/// Only a build that unwinds can catch a panic.
pub(crate) type Outcome<T> = Result<T, Box<dyn Any + Send>>;

/// The names of the contexts that the event's own report has set.
pub(crate) type Said = Vec<String>;

/// A value that adds data to each event of a run.
pub(crate) trait Contribute: Any {
    /// Adds data to the details of an event. Data that is already there, and contexts of the
    /// event's own report (`said`), are not changed. Inner scopes come first. `error` is the
    /// error that is reported; it is `None` for a panic and for a value that JavaScript threw.
    fn contribute(&self, details: &mut Details, said: &Said, error: Option<&(dyn Error + 'static)>);
}

/// One run of one wrapped handler.
pub(crate) struct Scope {
    place: Place,
    parent: Option<Rc<Scope>>,
    reports: Cell<u32>,
    /// The position in the trace. It is set when something asks for it.
    position: OnceCell<Position>,
    kept: OnceCell<Box<Kept>>,
    /// The part of this scope in a recording.
    #[cfg(any(test, feature = "spans"))]
    spans: RefCell<spans::Spans>,
    #[cfg(any(test, feature = "logs"))]
    after: logs::After,
}

/// The parts of a scope that most runs do not need, because they report nothing and set no
/// data. It is allocated when it is first needed.
#[derive(Default)]
struct Kept {
    /// The transaction name that the run has set in place of the name of its place.
    name: RefCell<Option<String>>,
    reported: RefCell<Vec<u64>>,
    contributions: RefCell<Vec<Rc<dyn Contribute>>>,
    errands: RefCell<Vec<Errand>>,
    panics: RefCell<Vec<Draft>>,
    /// Where the errors of the run came up.
    places: RefCell<Vec<Rc<places::Place>>>,
}

impl Scope {
    /// Makes a scope within the current one.
    pub(crate) fn new(place: Place) -> Rc<Self> {
        Scope::within(Scope::current(), place)
    }

    /// Makes a scope within the current one, with the same place, for work that outlives the
    /// handler.
    pub(crate) fn continued() -> Rc<Self> {
        let place = Scope::current().map(|scope| scope.place.clone());
        let scope = Scope::new(place.unwrap_or_default());
        #[cfg(any(test, feature = "logs"))]
        scope.outlive_handler();
        scope
    }

    /// Makes a scope within `parent`.
    pub(crate) fn within(parent: Option<Rc<Scope>>, place: Place) -> Rc<Self> {
        Scope::placed(parent, place, OnceCell::new())
    }

    /// Makes a scope within `parent`, with its own position in a trace.
    pub(crate) fn at(parent: Option<Rc<Scope>>, place: Place, position: Position) -> Rc<Self> {
        Scope::placed(parent, place, OnceCell::from(position))
    }

    fn placed(parent: Option<Rc<Scope>>, place: Place, position: OnceCell<Position>) -> Rc<Self> {
        Rc::new(Scope {
            place,
            parent,
            reports: Cell::default(),
            position,
            kept: OnceCell::new(),
            #[cfg(any(test, feature = "spans"))]
            spans: RefCell::default(),
            #[cfg(any(test, feature = "logs"))]
            after: logs::After::default(),
        })
    }

    /// The position of this scope in its trace.
    pub(crate) fn position(&self) -> Position {
        self.here().clone()
    }

    /// The position by reference. It is that of the scope around this one, unless this scope has
    /// been given its own.
    fn here(&self) -> &Position {
        let around = || self.parent.as_ref().map(|scope| scope.position());
        self.position.get_or_init(|| around().unwrap_or_default())
    }

    fn kept(&self) -> &Kept {
        self.kept.get_or_init(Box::default)
    }

    /// The scope of the code that is running.
    pub(crate) fn current() -> Option<Rc<Scope>> {
        CURRENT.with(|current| {
            let scope = current.take();
            current.set(scope.clone());
            scope
        })
    }

    /// The current scope. `None` while errands are polled, because a report from an errand
    /// would lead to another errand, without end.
    pub(crate) fn of_the_application() -> Option<Rc<Scope>> {
        match ON_ERRANDS.get() {
            true => None,
            false => Scope::current(),
        }
    }

    /// This scope and all scopes around it, the innermost first.
    fn outwards(&self) -> impl Iterator<Item = &Scope> {
        std::iter::successors(Some(self), |scope| scope.parent.as_deref())
    }

    /// The class and the handler that this scope's code belongs to.
    pub(crate) fn place(&self) -> &Place {
        &self.place
    }

    /// Sets the transaction name of each later event of this run and of the scopes within it.
    pub(crate) fn set_name(&self, name: String) {
        #[cfg(any(test, feature = "spans"))]
        if let Some(around) = self.around_span() {
            return around.set_name(name);
        }
        if let Ok(mut slot) = self.kept().name.try_borrow_mut() {
            *slot = Some(name);
        }
    }

    /// The name set on this scope, or on the nearest scope around it that has a name.
    fn name(&self) -> Option<String> {
        self.outwards()
            .find_map(|scope| scope.kept.get()?.name.try_borrow().ok()?.clone())
    }

    /// Adds a contribution to each later event of this run.
    pub(crate) fn add(&self, contribution: Rc<dyn Contribute>) {
        if let Ok(mut contributions) = self.kept().contributions.try_borrow_mut() {
            contributions.push(contribution);
        }
    }

    /// Adds the data of this run to a draft, and the place if the draft has none.
    pub(crate) fn complete(&self, draft: &mut Draft, error: Option<&(dyn Error + 'static)>) {
        if draft.details.place == Place::default() {
            draft.details.place = self.place.clone();
        }
        draft.position = Some(self.position());
        if draft.details.transaction.is_none() {
            draft.details.transaction = self.name();
        }
        let said: Said = draft
            .details
            .contexts
            .iter()
            .map(|(name, _)| name.clone())
            .collect();
        for scope in self.outwards() {
            let Some(kept) = scope.kept.get() else {
                continue;
            };
            let contributions = kept.contributions.try_borrow().map(|it| it.clone());
            for contribution in contributions.unwrap_or_default() {
                contribution.contribute(&mut draft.details, &said, error);
            }
        }
        let places = self.kept.get().map(|kept| kept.places.try_borrow());
        let places = places.and_then(|it| Some(it.ok()?.clone()));
        for place in places.unwrap_or_default().iter().rev() {
            place.give(draft);
        }
    }

    /// Keeps the place where an error came up, in this scope and in all scopes around it.
    pub(crate) fn keep(&self, place: &Rc<places::Place>) {
        for scope in self.outwards() {
            if let Ok(mut places) = scope.kept().places.try_borrow_mut() {
                places::keep(&mut places, place);
            }
        }
    }

    /// Counts a report, for all scopes of the run together, and returns its number. The first
    /// report has the number 1.
    pub(crate) fn count_report(&self) -> u32 {
        let outermost = self.outwards().last().unwrap_or(self);
        let number = outermost.reports.get().saturating_add(1);
        outermost.reports.set(number);
        number
    }

    /// Remembers an error as reported, in this scope and in all scopes around it.
    pub(crate) fn note(&self, identity: u64) {
        for scope in self.outwards() {
            if let Ok(mut reported) = scope.kept().reported.try_borrow_mut() {
                if reported.len() == REMEMBERED {
                    reported.remove(0);
                }
                reported.push(identity);
            }
        }
    }

    /// Whether this error was already reported in this run.
    pub(crate) fn has_reported(&self, identity: u64) -> bool {
        self.kept.get().is_some_and(|kept| {
            let reported = kept.reported.try_borrow();
            reported.is_ok_and(|reported| reported.contains(&identity))
        })
    }

    /// Whether anything was reported in this scope or in a scope within it.
    #[cfg(feature = "tower")]
    pub(crate) fn has_reported_any(&self) -> bool {
        self.kept.get().is_some_and(|kept| {
            let reported = kept.reported.try_borrow();
            reported.is_ok_and(|reported| !reported.is_empty())
        })
    }

    /// Adds an errand, which this run has to finish in addition to its body.
    pub(crate) fn send(&self, errand: impl Future<Output = ()> + 'static) {
        if let Ok(mut errands) = self.kept().errands.try_borrow_mut() {
            errands.push(Box::pin(errand));
        }
    }

    /// Stores the draft of a panic. The wrapper that catches the panic takes the draft and
    /// reports it.
    pub(crate) fn leave_panic(&self, draft: Draft) {
        if let Ok(mut panics) = self.kept().panics.try_borrow_mut() {
            panics.push(draft);
        }
    }

    /// Takes the drafts of panics that were stored here.
    pub(crate) fn take_panics(&self) -> Vec<Draft> {
        let panics = self.kept.get().map(|kept| kept.panics.try_borrow_mut());
        let panics = panics.and_then(|it| Some(std::mem::take(&mut *it.ok()?)));
        panics.unwrap_or_default()
    }

    /// Runs `body` with this scope as the current one, whenever it is polled.
    pub(crate) async fn run<F: Future>(self: &Rc<Self>, body: F) -> Outcome<F::Output> {
        let mut body = pin!(body);
        poll_fn(|context| {
            let _entered = Entered::new(Some(Rc::clone(self)));
            let polled = caught(|| body.as_mut().poll(context));
            // A body that is ready leaves its errands to `finish`.
            if matches!(polled, Ok(Poll::Pending)) {
                self.poll_errands(context);
            }
            match polled {
                Ok(Poll::Pending) => Poll::Pending,
                Ok(Poll::Ready(output)) => Poll::Ready(Ok(output)),
                Err(payload) => Poll::Ready(Err(payload)),
            }
        })
        .await
    }

    /// Calls `body` with this scope as the current one.
    pub(crate) fn enter<T>(self: &Rc<Self>, body: impl FnOnce() -> T) -> T {
        let _entered = Entered::new(Some(Rc::clone(self)));
        body()
    }

    /// Whether this run has unfinished errands.
    pub(crate) fn has_errands(&self) -> bool {
        self.kept.get().is_some_and(|kept| {
            let errands = kept.errands.try_borrow();
            errands.is_ok_and(|errands| !errands.is_empty())
        })
    }

    /// Waits until all errands of this run are finished. Each errand limits its own time.
    pub(crate) async fn finish(self: Rc<Self>) {
        poll_fn(|context| {
            let _entered = Entered::new(Some(Rc::clone(&self)));
            match self.poll_errands(context) {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }
        })
        .await;
    }

    /// Polls each errand once, also the errands that are added meanwhile, because a future that
    /// was never polled is never woken. Returns `true` if no errand is left.
    fn poll_errands(&self, context: &mut Context<'_>) -> bool {
        if !self.has_errands() {
            return true;
        }
        let kept = self.kept();
        let _on_errands = OnErrands(ON_ERRANDS.replace(true));
        let mut waiting = Vec::new();
        loop {
            // An errand may add another one, so the list is not borrowed while errands are polled.
            let taken = kept.errands.try_borrow_mut();
            let errands = taken.map(|mut it| std::mem::take(&mut *it));
            let errands = errands.unwrap_or_default();
            if errands.is_empty() {
                break;
            }
            for mut errand in errands {
                if errand.as_mut().poll(context).is_pending() {
                    waiting.push(errand);
                }
            }
        }
        let is_done = waiting.is_empty();
        if let Ok(mut left) = kept.errands.try_borrow_mut() {
            left.append(&mut waiting);
        }
        is_done
    }
}

/// Restores the previous value of `ON_ERRANDS` when dropped, also when a panic unwinds.
struct OnErrands(bool);

impl Drop for OnErrands {
    fn drop(&mut self) {
        ON_ERRANDS.set(self.0);
    }
}

/// Returns the body's result. A panic that was caught is resumed.
pub(crate) fn resume<T>(outcome: Outcome<T>) -> T {
    match outcome {
        Ok(returned) => returned,
        Err(payload) => std::panic::resume_unwind(payload),
    }
}

/// Polls, and catches a panic.
#[cfg(panic = "unwind")]
fn caught<T>(poll: impl FnOnce() -> T) -> Outcome<T> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(poll))
}

/// Polls. In this build a panic ends the WebAssembly instance, so it cannot be caught.
#[cfg(not(panic = "unwind"))]
fn caught<T>(poll: impl FnOnce() -> T) -> Outcome<T> {
    Ok(poll())
}

/// Restores the previous scope when a poll ends, also when a panic unwinds.
struct Entered(Option<Rc<Scope>>);

impl Entered {
    fn new(scope: Option<Rc<Scope>>) -> Self {
        Entered(swap(scope))
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        swap(self.0.take());
    }
}

fn swap(scope: Option<Rc<Scope>>) -> Option<Rc<Scope>> {
    CURRENT.replace(scope)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::item::place::Handler;
    use crate::platform::testing::{block_on, yield_once};
    use std::cell::Cell;

    fn alarm() -> Place {
        Place::new("Object", Handler::Alarm)
    }

    fn current_place() -> Place {
        Scope::current().map_or_else(Place::default, |scope| scope.place().clone())
    }

    #[test]
    fn a_scope_is_current_only_while_its_own_body_is_polled() {
        let seen = |place: Place| async move {
            let body = async {
                assert_eq!(current_place(), place);
                yield_once().await;
                assert_eq!(current_place(), place);
            };
            Scope::new(place.clone()).run(body).await.is_ok()
        };
        let both = async {
            // Two requests that take turns, as they do in one isolate.
            let (first, second) =
                futures_util::join!(seen(alarm()), seen(Place::new("Other", Handler::Fetch)));
            first && second
        };
        assert!(block_on(both));
        assert_eq!(current_place(), Place::default());
    }

    #[test]
    fn a_scope_forgets_the_oldest_error_rather_than_grow() {
        let scope = Scope::new(alarm());
        for identity in 0..=REMEMBERED as u64 {
            scope.note(identity);
        }
        assert!(!scope.has_reported(0));
        assert!(scope.has_reported(1));
        assert!(scope.has_reported(REMEMBERED as u64));
    }

    #[test]
    fn an_error_noted_inside_is_known_to_every_scope_around() {
        let outer = Scope::new(alarm());
        let inner = Scope::within(Some(Rc::clone(&outer)), alarm());
        inner.note(7);
        assert!(outer.has_reported(7));
        outer.note(8);
        assert!(!inner.has_reported(8));
    }

    #[test]
    fn an_errand_goes_on_beside_the_body_and_is_finished_after_it() {
        let done = Rc::new(Cell::new(0));
        let scope = Scope::new(alarm());
        let errand = |yields: usize| {
            let done = Rc::clone(&done);
            async move {
                for _ in 0..yields {
                    yield_once().await;
                }
                done.set(done.get() + 1);
            }
        };
        scope.send(errand(1));
        scope.send(errand(9));
        let body = async {
            for _ in 0..4 {
                yield_once().await;
            }
            done.get()
        };
        assert_eq!(block_on(scope.run(body)).ok(), Some(1));
        assert!(scope.has_errands());
        block_on(Rc::clone(&scope).finish());
        assert_eq!(done.get(), 2);
        assert!(!scope.has_errands());
    }

    #[test]
    fn an_errand_may_send_another_one() {
        let scope = Scope::new(alarm());
        let done = Rc::new(Cell::new(false));
        let (inner, flag) = (Rc::clone(&scope), Rc::clone(&done));
        scope.send(async move { inner.send(async move { flag.set(true) }) });
        block_on(scope.finish());
        assert!(done.get());
    }

    #[test]
    fn a_panic_that_unwinds_is_caught_and_the_scope_is_left() {
        let outcome = block_on(Scope::new(alarm()).run(async {
            yield_once().await;
            std::panic::resume_unwind(Box::new("gone"));
        }));
        let payload = outcome.expect_err("a panic");
        assert_eq!(payload.downcast_ref(), Some(&"gone"));
        assert_eq!(current_place(), Place::default());
    }

    #[test]
    fn a_scope_shares_the_trace_of_the_one_around_it_and_of_no_other() {
        let outer = Scope::new(alarm());
        let inner = Scope::within(Some(Rc::clone(&outer)), Place::default());
        let other = Scope::new(Place::default());
        assert!(outer.position().is_beside(&inner.position()));
        assert!(!outer.position().is_beside(&other.position()));
    }

    #[test]
    fn an_errand_that_is_sent_by_another_one_is_polled_in_the_same_turn() {
        let scope = Scope::new(alarm());
        let (inner, polled) = (Rc::clone(&scope), Rc::new(Cell::new(false)));
        let flag = Rc::clone(&polled);
        scope.send(async move {
            inner.send(async move { flag.set(true) });
        });
        let mut context = Context::from_waker(std::task::Waker::noop());
        // An errand that was never polled is never woken, so it has to be polled here.
        assert!(pin!(scope.finish()).poll(&mut context).is_ready());
        assert!(polled.get());
    }

    #[test]
    fn what_runs_on_an_errand_is_not_the_applications_run() {
        let scope = Scope::new(alarm());
        let seen = Rc::new(Cell::new(None));
        let on_errand = Rc::clone(&seen);
        scope.send(async move {
            on_errand.set(Some(Scope::of_the_application().is_some()));
        });
        let body = async {
            yield_once().await;
            Scope::of_the_application().is_some()
        };
        assert_eq!(block_on(scope.run(body)).ok(), Some(true));
        assert_eq!(seen.get(), Some(false));
    }

    #[test]
    fn a_run_names_its_events_and_those_within_it_unless_they_have_a_name() {
        let outer = Scope::new(alarm());
        let inner = Scope::within(Some(Rc::clone(&outer)), Place::new("In", Handler::Run));
        let name = |scope: &Scope, own: Option<&str>| {
            let mut draft = Draft::of_panic("no", None, Place::default());
            draft.details.transaction = own.map(str::to_owned);
            scope.complete(&mut draft, None);
            draft.details.transaction
        };
        assert_eq!(name(&inner, None), None);
        outer.set_name("GET /lists/{name}".to_owned());
        assert_eq!(name(&inner, None).as_deref(), Some("GET /lists/{name}"));
        inner.set_name("inner".to_owned());
        assert_eq!(name(&inner, None).as_deref(), Some("inner"));
        assert_eq!(name(&outer, None).as_deref(), Some("GET /lists/{name}"));
        assert_eq!(name(&inner, Some("own")).as_deref(), Some("own"));
    }

    struct Tag(&'static str);
    impl Contribute for Tag {
        fn contribute(&self, to: &mut Details, _: &Said, _: Option<&(dyn Error + 'static)>) {
            to.tags.push((self.0.to_owned(), "yes".to_owned()));
        }
    }

    #[test]
    fn what_is_added_to_a_scope_is_in_its_events_and_those_of_inner_scopes_alone() {
        let outer = Scope::new(alarm());
        let inner = Scope::within(Some(Rc::clone(&outer)), Place::new("In", Handler::Run));
        outer.add(Rc::new(Tag("outer")));
        inner.add(Rc::new(Tag("inner")));
        let tags = |scope: &Scope| {
            let mut draft = Draft::of_panic("no", None, Place::default());
            scope.complete(&mut draft, None);
            let names = draft.details.tags.into_iter().map(|(key, _)| key);
            (names.collect::<Vec<_>>(), draft.details.place)
        };
        assert_eq!(tags(&outer), (vec!["outer".to_owned()], alarm()));
        let both = vec!["inner".to_owned(), "outer".to_owned()];
        assert_eq!(tags(&inner), (both, Place::new("In", Handler::Run)));
    }
}
