//! Connects Workflows with captures, scopes and events. Other modules of `workflow` do not use
//! these.
//!
//! Each event of a run or of a step's body has a context `workflow`:
//!
//! | key | value |
//! | --- | --- |
//! | `instance_id` | the instance's id |
//! | `name` | the Workflow's name, if the runtime has it |
//! | `step` | the step that is running, or the one whose failure is reported |
//! | `attempt` | that step's attempt, if it is known |

use std::cell::{Cell, RefCell};
use std::error::Error;
use std::future::Future;
use std::iter::successors;
use std::pin::pin;
use std::rc::Rc;

use sentry_core::protocol::{Map, Value};
use worker::wasm_bindgen::JsValue;
use worker::{Context, Env};

use super::error::StepFailure;
use crate::api::propagation::{OfInstance, TraceHeaders, current_trace};
pub(super) use crate::api::recording::created_ms;
use crate::api::recording::{self, Errand};
use crate::item::draft::Details;
use crate::item::exception::{Subject, read};
use crate::item::place::{Handler, Place};
use crate::panics;
use crate::platform::workerd::{Workerd, get_or_put, go_on_within};
use crate::scope::{Contribute, Said, Scope, resume};
use crate::steps::slot::shared;
use crate::steps::{finish, guard};
use crate::{Report, capture_exception_in_isolate};

const CONTEXT: &str = "workflow";
/// How many errors of a chain are searched.
const MAX_CHAIN: usize = 32;

/// The scope of a run, or of a wrapped part of a run.
pub(super) type Current = Rc<Scope>;

/// How many failed steps of a run are remembered.
const REMEMBERED: usize = 16;

/// The steps that have failed in a run, the latest last.
///
/// If an error of the application is transparent over a [`StepFailure`], its `source` skips the
/// failure and returns the failure's own source. The failure is then found here by that source.
#[derive(Clone, Default)]
pub(super) struct FailedSteps(Rc<RefCell<Vec<StepFailure>>>);

impl FailedSteps {
    pub(super) fn remember(&self, failure: &StepFailure) {
        if let Ok(mut failed) = self.0.try_borrow_mut() {
            if failed.len() == REMEMBERED {
                failed.remove(0);
            }
            failed.push(failure.clone());
        }
    }

    /// The step's failure in the chain of an error.
    fn find(&self, error: &(dyn Error + 'static)) -> Option<StepFailure> {
        let failed = self.0.try_borrow().ok()?;
        let known = |error: &(dyn Error + 'static)| {
            let mut failed = failed.iter().rev();
            failed.find(|failure| failure.comes_from(error)).cloned()
        };
        successors(Some(error), |&error| error.source())
            .take(MAX_CHAIN)
            .find_map(|error| error.downcast_ref().cloned().or_else(|| known(error)))
    }
}

/// How many transactions of attempts may be sent at the same time in the background of a run. A
/// run has only six connections at once, and the application needs them.
/// <https://developers.cloudflare.com/workers/platform/limits/#simultaneous-open-connections>
const MOST_BESIDE: u32 = 2;

/// The background of a run. `waitUntil` of the run's context keeps its errands going if the run
/// ends early.
///
/// The run waits for its errands as well, because the runtime has been seen to cancel work that
/// only `waitUntil` waits for after a Workflow's run.
/// <https://github.com/getsentry/sentry-javascript/issues/23111>
pub(super) struct Background {
    start: Box<dyn Fn(Errand) -> Errand>,
    under_way: Rc<Cell<u32>>,
    is_interrupted: Cell<bool>,
}

impl Background {
    /// The background of the run that has this context.
    pub(super) fn of(context: Context) -> Self {
        Background::by(move |errand| Box::pin(go_on_within(&context, errand)))
    }

    /// `start` starts an errand and returns a future that ends with the errand.
    fn by(start: impl Fn(Errand) -> Errand + 'static) -> Self {
        Background {
            start: Box::new(start),
            under_way: Rc::default(),
            is_interrupted: Cell::new(false),
        }
    }

    /// Marks the run as interrupted by the engine. The engine waits for the end of this run. It
    /// may start the Workflow again in another run.
    pub(super) fn interrupt(&self) {
        self.is_interrupted.set(true);
    }

    /// Starts an errand and returns a future that ends with it. If [`MOST_BESIDE`] errands are
    /// already running, returns the errand itself as the error.
    fn start(&self, errand: Errand) -> Result<Errand, Errand> {
        if self.under_way.get() >= MOST_BESIDE {
            return Err(errand);
        }
        let under_way = Rc::clone(&self.under_way);
        under_way.set(under_way.get() + 1);
        Ok((self.start)(Box::pin(async move {
            errand.await;
            under_way.set(under_way.get().saturating_sub(1));
        })))
    }
}

/// The current scope. The runtime calls a step's body from outside of any scope, so the body
/// enters the scope that was current when the step was started.
pub(super) fn current() -> Option<Current> {
    Scope::current()
}

/// Runs the application's `run`, so that its panics are reported and its events name the
/// instance. The application reports the errors itself. Without a DSN, only runs `future`.
#[expect(clippy::too_many_arguments, reason = "each is told by the engine")]
pub(super) async fn enter_run<T, E>(
    env: &Env,
    class: &'static str,
    instance_id: &str,
    workflow_name: &str,
    created_ms: f64,
    creator: Option<TraceHeaders>,
    failed: FailedSteps,
    background: &Background,
    future: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    // Pinned here, only once: each function that takes a future by value reserves memory for
    // it.
    let future = pin!(future);
    if guard::is_off(env) {
        return future.await;
    }
    let runtime = Workerd::new(env);
    panics::arm(env);
    let scope = Scope::new(place(class, Handler::Run));
    scope.add(added(of_run(instance_id, workflow_name, failed)));
    scope.position().run().continues(Rc::new(OfInstance {
        creator,
        instance_id: instance_id.to_owned(),
    }));
    // After a sleep the engine starts a new run, and only the last run ends. So the transaction
    // begins when the instance was created.
    recording::begin_at(&runtime, &scope, created_ms);
    run_in(scope, Some((background, None)), future).await
}

/// Removes the trace of an instance's creator from its parameters and returns it.
pub(super) fn take_trace(params: &JsValue) -> Option<TraceHeaders> {
    TraceHeaders::take_from(params)
}

/// Puts the trace of the current run into the parameters of instances that are about to be
/// created. If an instance has no parameters, the trace becomes its only one.
pub(super) async fn carry(options: impl Iterator<Item = JsValue>) {
    if let Some(trace) = current_trace().await {
        for options in options {
            trace.put_into(&get_or_put(&options, "params"));
        }
    }
}

/// Runs a future in a scope, and delivers its reports, its logs and its transaction. In a build
/// that unwinds, a panic is passed on after that.
///
/// Two things are delivered in the background: the errands of an interrupted run, and the
/// transaction of an attempt that succeeded. For an attempt, `background` also has the scope
/// that waits for the transaction.
async fn run_in<T, E>(
    scope: Current,
    background: Option<(&Background, Option<Current>)>,
    future: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    let outcome = scope.run(future).await;
    let interrupted = match &background {
        Some((background, None)) if background.is_interrupted.get() => Some(*background),
        _ => None,
    };
    if let Some(env) = panics::env() {
        // The logs are sent now, because a Workflow that sleeps may be removed from memory
        // before it wakes up.
        if let Some(logs) = recording::end_part(&env, &scope) {
            scope.send(logs);
        }
        let is_ok = matches!(outcome, Ok(Ok(_)));
        if let Some(transaction) = recording::end(&env, &scope, is_ok)
            && interrupted.is_none()
        {
            leave(background.filter(|_| is_ok), &scope, transaction);
        }
        let runtime = Workerd::owned(&env);
        for draft in scope.take_panics() {
            finish(&runtime, shared(), draft.into()).await;
        }
    }
    if scope.has_errands() {
        match interrupted {
            Some(background) => drop((background.start)(Box::pin(scope.finish()))),
            None => scope.finish().await,
        }
    }
    resume(outcome)
}

/// Delivers a transaction: in the background of another scope, which waits for it at its own end,
/// or else before the transaction's own scope ends.
fn leave(background: Option<(&Background, Option<Current>)>, scope: &Scope, transaction: Errand) {
    let Some((background, Some(around))) = background else {
        return scope.send(transaction);
    };
    match background.start(transaction) {
        Ok(ended) => around.send(ended),
        Err(transaction) => scope.send(transaction),
    }
}

/// Runs one attempt of a step's body. After a success, the transaction may be sent in the
/// background.
pub(super) async fn enter_step<T, E>(
    parent: Option<Current>,
    name: &str,
    attempt: u32,
    failed: FailedSteps,
    background: Option<&Background>,
    future: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    let future = pin!(future);
    let Some(parent) = parent else {
        return future.await;
    };
    let place = parent.place().clone();
    let scope = below(Rc::clone(&parent), place, of_step(name, attempt, failed));
    let scope = recorded(scope, name, attempt);
    let background = background.map(|background| (background, Some(parent)));
    run_in(scope, background, future).await
}

/// Runs one attempt of a step's rollback, which is a handler of its own.
pub(super) async fn enter_rollback<T, E>(
    parent: Option<Current>,
    class: &'static str,
    name: &str,
    attempt: u32,
    failed: FailedSteps,
    future: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    let future = pin!(future);
    let Some(parent) = parent else {
        return future.await;
    };
    let place = place(class, Handler::Rollback);
    let scope = below(parent, place, of_step(name, attempt, failed));
    let scope = recorded(scope, name, attempt);
    // `run` has returned, so it cannot wait for a background.
    run_in(scope, None, future).await
}

/// Records an attempt as a transaction of its own.
fn recorded(scope: Current, name: &str, attempt: u32) -> Current {
    #[cfg(feature = "spans")]
    if let Some(env) = panics::env() {
        recording::begin_attempt(&Workerd::new(&env), &scope, name, attempt);
    }
    #[cfg(not(feature = "spans"))]
    let _ = (name, attempt);
    scope
}

/// Reports an input or an output that does not have its type. This fails outside of the
/// application's `run`, so the application cannot report it.
pub(super) async fn report_unread(env: &Env, class: &'static str, error: &worker::Error) {
    report(env, class, Handler::Run, error).await;
}

/// Reports the error of a rollback's last attempt, because the runtime passes it to no code. An
/// error that the rollback itself has captured is not reported again.
pub(super) async fn report_rollback(env: &Env, class: &'static str, error: &(dyn Error + 'static)) {
    if !is_reported(error, env) {
        report(env, class, Handler::Rollback, error).await;
    }
}

async fn report(env: &Env, class: &'static str, handler: Handler, error: &(dyn Error + 'static)) {
    let report = Report::new(error).in_handler(class, handler).handled(false);
    capture_exception_in_isolate(env, report).await;
}

fn place(class: &'static str, handler: Handler) -> Place {
    Place::new(class, handler)
}

/// Whether an error was captured within the current scope.
fn is_reported(error: &(dyn Error + 'static), env: &Env) -> bool {
    let chain = read(&Workerd::new(env), Subject::Error(error, None));
    Scope::current().is_some_and(|scope| scope.has_reported(chain.identity))
}

/// Makes the values of the context for the error that is reported.
type Values = Box<dyn Fn(Option<&(dyn Error + 'static)>) -> Map<String, Value>>;

/// Adds the context `workflow` to the events of a run or a step.
struct Added(Values);

impl Contribute for Added {
    fn contribute(
        &self,
        details: &mut Details,
        said: &Said,
        error: Option<&(dyn Error + 'static)>,
    ) {
        if said.iter().any(|name| name == CONTEXT) {
            return;
        }
        let Some(context) = details.context(CONTEXT) else {
            return;
        };
        for (key, value) in (self.0)(error) {
            context.entry(key).or_insert(value);
        }
    }
}

fn added(
    values: impl Fn(Option<&(dyn Error + 'static)>) -> Map<String, Value> + 'static,
) -> Rc<Added> {
    Rc::new(Added(Box::new(values)))
}

/// Makes a scope within `parent`, which need not be the current scope.
fn below(
    parent: Current,
    place: Place,
    values: impl Fn(Option<&(dyn Error + 'static)>) -> Map<String, Value> + 'static,
) -> Current {
    // Each attempt is a span of its own.
    let span = parent.position().below();
    let scope = Scope::at(Some(parent), place, span);
    scope.add(added(values));
    scope
}

/// The values that a run adds to an event: the instance, and the step whose failure is
/// reported.
fn of_run(
    instance_id: &str,
    workflow_name: &str,
    failed: FailedSteps,
) -> impl Fn(Option<&(dyn Error + 'static)>) -> Map<String, Value> + use<> {
    let mut instance = Map::new();
    for (key, value) in [("instance_id", instance_id), ("name", workflow_name)] {
        if !value.is_empty() {
            instance.insert(key.to_owned(), value.into());
        }
    }
    move |error| {
        let mut values = instance.clone();
        if let Some(failure) = error.and_then(|error| failed.find(error)) {
            values.extend(step_values(failure.step(), failure.attempt()));
        }
        values
    }
}

/// The values that an attempt adds to an event: its own step and number, unless the error is the
/// failure of another step that this step reports.
fn of_step(
    name: &str,
    attempt: u32,
    failed: FailedSteps,
) -> impl Fn(Option<&(dyn Error + 'static)>) -> Map<String, Value> + use<> {
    let step = step_values(name, Some(attempt));
    move |error| match error.and_then(|error| failed.find(error)) {
        Some(_) => Map::new(),
        None => step.clone(),
    }
}

fn step_values(name: &str, attempt: Option<u32>) -> Map<String, Value> {
    let mut values = Map::new();
    values.insert("step".to_owned(), name.into());
    if let Some(attempt) = attempt {
        values.insert("attempt".to_owned(), attempt.into());
    }
    values
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::item::draft::{Draft, drafted};
    use crate::item::event::Context;
    use crate::item::json::Group;
    use crate::platform::testing::{Fake, block_on, yield_once};
    use crate::workflow::error::Failure;
    use std::future::poll_fn;
    use std::task::Poll;
    use uuid::Uuid;
    use worker::wasm_bindgen::JsCast;

    const CLASS: &str = "CompilationWorkflow";

    #[derive(Debug, thiserror::Error)]
    #[error("the list is away")]
    struct Away;

    #[derive(Debug, thiserror::Error)]
    #[error("the compilation failed")]
    struct Failed(#[source] StepFailure);

    fn failure(step: &str, attempt: Option<u32>) -> StepFailure {
        let failure = Failure {
            error: Rc::new(Away),
            thrown: JsValue::UNDEFINED,
        };
        StepFailure::new(step, attempt, failure)
    }

    fn failed() -> FailedSteps {
        FailedSteps::default()
    }

    fn run_scope() -> Current {
        let scope = Scope::new(place(CLASS, Handler::Run));
        scope.add(added(of_run("easylist-42", "compilation", failed())));
        scope
    }

    /// The context `workflow` of an event that is made in the current scope.
    fn workflow_context(mut draft: Draft, error: Option<&(dyn Error + 'static)>) -> Value {
        if let Some(scope) = Scope::current() {
            scope.complete(&mut draft, error);
        }
        let event = draft.into_event(Uuid::from_u128(7), 1_000.0, None, None);
        let mut contexts = event.contexts.into_iter();
        match contexts.find(|(name, _)| name == CONTEXT) {
            Some((_, Context::Other(values))) => values.value(),
            _ => json!(null),
        }
    }

    fn captured(error: &(dyn Error + 'static)) -> Value {
        workflow_context(drafted(&Fake::default(), error), Some(error))
    }

    /// A body that does not fail.
    async fn fine<F: Future>(body: F) -> Result<F::Output, ()> {
        Ok(body.await)
    }

    async fn run_in<F: Future>(scope: Current, body: F) -> F::Output {
        let outcome = super::run_in(scope, None, fine(body)).await;
        outcome.expect("no failure")
    }

    async fn enter_step<F: Future>(
        parent: Option<Current>,
        name: &str,
        attempt: u32,
        failed: FailedSteps,
        body: F,
    ) -> F::Output {
        let outcome = super::enter_step(parent, name, attempt, failed, None, fine(body)).await;
        outcome.expect("no failure")
    }

    fn current_place() -> Place {
        Scope::current().map_or_else(Place::default, |scope| scope.place().clone())
    }

    #[test]
    fn an_event_of_a_run_knows_the_instance_and_the_workflow() {
        let seen = block_on(run_in(run_scope(), async { captured(&Away) }));
        let expected = json!({ "instance_id": "easylist-42", "name": "compilation" });
        assert_eq!(seen, expected);
        assert_eq!(captured(&Away), json!(null), "outside of the run");
    }

    #[test]
    fn an_event_of_a_steps_body_knows_the_step_and_the_attempt_also_after_a_wait() {
        let body = async {
            yield_once().await;
            captured(&Away)
        };
        let seen = block_on(enter_step(Some(run_scope()), "fetch", 2, failed(), body));
        let expected = json!({
            "instance_id": "easylist-42", "name": "compilation", "step": "fetch", "attempt": 2,
        });
        assert_eq!(seen, expected);
    }

    #[test]
    fn a_panic_in_a_steps_body_knows_the_step_and_the_attempt() {
        let body = async { workflow_context(Draft::of_panic("no", None, Place::default()), None) };
        let seen = block_on(enter_step(Some(run_scope()), "fetch", 1, failed(), body));
        assert_eq!(
            (&seen["step"], &seen["attempt"]),
            (&json!("fetch"), &json!(1))
        );
    }

    #[test]
    fn the_failure_of_a_step_names_that_step_wherever_it_is_reported() {
        let error = Failed(failure("fetch", Some(6)));
        let in_run = block_on(run_in(run_scope(), async { captured(&error) }));
        let expected = json!({
            "instance_id": "easylist-42", "name": "compilation", "step": "fetch", "attempt": 6,
        });
        assert_eq!(in_run, expected);
        let body = async { captured(&error) };
        let in_step = block_on(enter_step(Some(run_scope()), "report", 1, failed(), body));
        assert_eq!(in_step, expected);
    }

    #[derive(Debug, thiserror::Error)]
    #[error(transparent)]
    struct Passed(#[from] StepFailure);

    #[test]
    fn the_failure_of_a_step_is_known_behind_an_error_that_is_transparent_over_it() {
        let failed = failed();
        let failure = failure("fetch", Some(6));
        failed.remember(&failure);
        for other in 1..REMEMBERED {
            failed.remember(&super::tests::failure("other", Some(other as u32)));
        }
        let error = Passed(failure);
        let in_run = of_run("easylist-42", "", failed.clone())(Some(&error));
        let expected = json!({ "instance_id": "easylist-42", "step": "fetch", "attempt": 6 });
        assert_eq!(json!(in_run), expected);
        assert!(of_step("report", 1, failed.clone())(Some(&error)).is_empty());
        let unrelated = of_run("easylist-42", "", failed)(Some(&Away));
        assert_eq!(json!(unrelated), json!({ "instance_id": "easylist-42" }));
    }

    #[test]
    fn a_failure_of_an_earlier_run_has_no_attempt() {
        let error = failure("fetch", None);
        let body = async { captured(&error) };
        let seen = block_on(enter_step(Some(run_scope()), "report", 1, failed(), body));
        assert_eq!(seen["step"], json!("fetch"));
        assert_eq!(seen.get("attempt"), None);
    }

    #[test]
    fn a_name_that_the_runtime_does_not_tell_is_left_out() {
        let values = of_run("easylist-42", "", failed())(None);
        assert_eq!(json!(values), json!({ "instance_id": "easylist-42" }));
    }

    /// The stack of WebAssembly has one megabyte, and futures are moved on it.
    #[test]
    fn a_run_and_an_attempt_have_room_for_their_body_twice() {
        const BODY: usize = 10_000;
        let body = || async {
            let held = [0u8; BODY];
            yield_once().await;
            std::hint::black_box(&held);
            Ok::<(), ()>(())
        };
        let env: Env = JsValue::NULL.unchecked_into();
        let background = Background::by(|errand| errand);
        let run = super::enter_run(
            &env,
            CLASS,
            "",
            "",
            0.0,
            None,
            failed(),
            &background,
            body(),
        );
        let step = super::enter_step(None, "fetch", 1, failed(), None, body());
        let rollback = enter_rollback(None, CLASS, "fetch", 1, failed(), body());
        for size in [
            size_of_val(&run),
            size_of_val(&step),
            size_of_val(&rollback),
        ] {
            assert!(size < 23 * BODY / 10, "{size}");
        }
    }

    #[test]
    fn a_rollback_is_a_handler_of_its_own_in_the_same_instance() {
        let body = async { (current_place(), captured(&Away)) };
        let outcome = block_on(enter_rollback(
            Some(run_scope()),
            CLASS,
            "fetch",
            3,
            failed(),
            fine(body),
        ));
        let (at, seen) = outcome.expect("no failure");
        assert_eq!(at, place(CLASS, Handler::Rollback));
        let expected = json!({
            "instance_id": "easylist-42", "name": "compilation", "step": "fetch", "attempt": 3,
        });
        assert_eq!(seen, expected);
    }

    #[test]
    fn a_context_of_the_report_itself_wins() {
        let own = [("instance_id".to_owned(), "mine".into())];
        let body = async {
            let mut draft = drafted(&Fake::default(), &Away);
            let own = Group::from(own).into();
            draft.details.contexts.push((CONTEXT.to_owned(), own));
            workflow_context(draft, Some(&Away))
        };
        let seen = block_on(run_in(run_scope(), body));
        assert_eq!(seen, json!({ "instance_id": "mine" }));
    }

    #[test]
    fn an_attempts_transaction_goes_on_beside_the_run_which_waits_for_it_at_its_end() {
        let started = Rc::new(RefCell::new(Vec::new()));
        let going_on = Rc::clone(&started);
        let background = Background::by(move |errand| {
            let done = Rc::new(Cell::new(false));
            let flag = Rc::clone(&done);
            let errand: Errand = Box::pin(async move {
                errand.await;
                flag.set(true);
            });
            going_on.borrow_mut().push(errand);
            Box::pin(poll_fn(move |_| match done.get() {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }))
        });
        let run = run_scope();
        let attempt = || below(Rc::clone(&run), place(CLASS, Handler::Run), |_| Map::new());
        let transaction = || -> Errand { Box::pin(yield_once()) };
        let beside = || Some((&background, Some(Rc::clone(&run))));
        for _ in 0..MOST_BESIDE {
            let attempt = attempt();
            leave(beside(), &attempt, transaction());
            assert!(!attempt.has_errands());
        }
        // The limit is reached, so the next transaction is not sent in the background.
        let one_more = attempt();
        leave(beside(), &one_more, transaction());
        assert!(one_more.has_errands());
        block_on(one_more.finish());
        // The transaction of a failure is not sent in the background.
        let failed = attempt();
        leave(None, &failed, transaction());
        assert!(failed.has_errands());

        let mut end = pin!(Rc::clone(&run).finish());
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(end.as_mut().poll(&mut context).is_pending());
        let started = started.take();
        assert_eq!(started.len(), MOST_BESIDE as usize);
        started.into_iter().for_each(block_on);
        assert!(end.as_mut().poll(&mut context).is_ready());
        // Each errand that has ended makes room for another one.
        let attempt = attempt();
        leave(beside(), &attempt, transaction());
        assert!(!attempt.has_errands());
    }

    #[test]
    fn an_interrupted_run_ends_at_once_and_what_it_has_left_goes_on_in_the_background() {
        let left = Rc::new(RefCell::new(None));
        let slot = Rc::clone(&left);
        let background = Background::by(move |errand| {
            slot.replace(Some(errand));
            Box::pin(async {})
        });
        let done = Rc::new(Cell::new(false));
        for is_interrupted in [false, true] {
            done.set(false);
            let flag = Rc::clone(&done);
            let body = async {
                current().expect("a scope").send(async move {
                    yield_once().await;
                    flag.set(true);
                });
                if is_interrupted {
                    background.interrupt();
                }
                Err::<(), ()>(())
            };
            let outcome = super::run_in(run_scope(), Some((&background, None)), body);
            assert!(block_on(outcome).is_err());
            assert_eq!(done.get(), !is_interrupted);
        }
        block_on(left.take().expect("what was left"));
        assert!(done.get());
    }
}
