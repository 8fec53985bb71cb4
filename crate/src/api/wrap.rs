//! Wraps a handler's body, so that one line reports the errors that the body returns.

use std::borrow::Cow;
use std::future::Future;
use std::pin::pin;
use std::rc::Rc;

use worker::Env;

use super::capture::deliver;
use super::into_report::IntoReport;
use super::recording;
use crate::item::draft::Draft;
use crate::item::place::{Handler, MAIN, Place};
use crate::panics;
use crate::platform::Runtime;
use crate::platform::workerd::{WaitUntil, Workerd, go_on};
use crate::scope::{Outcome, Scope, resume};
use crate::steps::guard;

/// Runs a handler's body in a Durable Object or a Workflow, reports its error
/// and returns it unchanged.
///
/// Waits for the receiver's answer before it returns an error, five seconds at
/// most. If the body succeeds, the cost is less than a microsecond. An error that
/// was captured inside the body is not reported again. With no `SENTRY_DSN`, the
/// body runs as if it were not wrapped.
///
/// In a build that unwinds, a panic of the body is reported in the same way and then passed
/// on.
///
/// ```no_run
/// use worker::{Env, Response, Result};
/// use worker_sentry::{Handler, with_sentry_in_isolate};
///
/// async fn alarm(env: &Env) -> Result<Response> {
///     with_sentry_in_isolate(env, "RateLimiterDo", Handler::Alarm, async {
///         sweep().await?;
///         Response::empty()
///     })
///     .await
/// }
/// # async fn sweep() -> Result<()> { Ok(()) }
/// ```
pub async fn with_sentry_in_isolate<T, E, Kind>(
    env: &Env,
    class: impl Into<Cow<'static, str>>,
    handler: Handler,
    body: impl Future<Output = Result<T, E>>,
) -> Result<T, E>
where
    for<'e> &'e E: IntoReport<'e, Kind>,
{
    let scope = || {
        let scope = Scope::new(Place::new(class, handler));
        recording::begin(&Workerd::new(env), scope)
    };
    // Here and once: each function that takes a future as a value has room for it.
    let body = pin!(body);
    reported(env, scope, body).await
}

/// Runs a body in a scope and waits until the run's reports are delivered.
pub(super) async fn reported<T, E, Kind>(
    env: &Env,
    scope: impl FnOnce() -> Rc<Scope>,
    body: impl Future<Output = Result<T, E>>,
) -> Result<T, E>
where
    for<'e> &'e E: IntoReport<'e, Kind>,
{
    if guard::is_off(env) {
        return body.await;
    }
    let runtime = Workerd::new(env);
    let scope = scope();
    let outcome = run(env, &runtime, &scope, body).await;
    if let Some(transaction) = recording::end(env, &scope, matches!(outcome, Ok(Ok(_)))) {
        match &outcome {
            // A success does not wait: the transaction is sent in the background.
            Ok(Ok(_)) => go_on(transaction),
            _ => scope.send(transaction),
        }
    }
    if scope.has_errands() {
        scope.finish().await;
    }
    resume(outcome)
}

/// Runs a body in a scope, and gives the scope the reports that are still to be sent.
async fn run<T, E, Kind>(
    env: &Env,
    runtime: &Workerd<'_>,
    scope: &Rc<Scope>,
    body: impl Future<Output = Result<T, E>>,
) -> Outcome<Result<T, E>>
where
    for<'e> &'e E: IntoReport<'e, Kind>,
{
    panics::arm(env);
    let outcome = scope.run(body).await;
    send_drafts(env, runtime, scope, drafts(runtime, scope, &outcome));
    outcome
}

/// Runs the body of one of the main Worker's handlers, reports its error in the
/// background and returns it unchanged.
///
/// The report is handed to `context`'s `wait_until`, so the response is not
/// delayed. With no `SENTRY_DSN`, the body runs as if it were not wrapped.
///
/// For [`Handler::Queue`] and [`Handler::Email`] it waits instead, five seconds at most.
/// `worker` turns an error that these handlers return into a panic, and a panic ends all work
/// in the background. These handlers have no response to delay. The panic itself is not
/// reported again. It still ends the WebAssembly instance, so it is better to handle the
/// error, for example with `retry_all`, and to return `Ok`.
///
/// An error that comes back from a Durable Object or another Worker through a stub
/// is a new error here: a JavaScript `Error` with the message and the mark `remote`. It does
/// not show whether the other side has reported it, so it is reported here as well, as an
/// error of this handler.
///
/// ```no_run
/// # mod worker_module {
/// use worker::{Context, Env, Request, Response, Result, event};
/// use worker_sentry::{Handler, with_sentry_worker};
///
/// #[event(fetch)]
/// async fn fetch(request: Request, env: Env, context: Context) -> Result<Response> {
///     with_sentry_worker(&env, &context, Handler::Fetch, async {
///         Response::ok(request.path())
///     })
///     .await
/// }
/// # }
/// ```
pub async fn with_sentry_worker<T, E, Kind>(
    env: &Env,
    context: &impl WaitUntil,
    handler: Handler,
    body: impl Future<Output = Result<T, E>>,
) -> Result<T, E>
where
    for<'e> &'e E: IntoReport<'e, Kind>,
{
    let becomes_panic = handler.panics_on_err();
    let place = || Place::new(MAIN, handler);
    let body = pin!(body);
    in_background(env, context, place, becomes_panic, body).await
}

/// Runs a handler's body in a Durable Object, and reports its error in the background.
///
/// For a handler whose caller must not wait for the receiver. The report is handed to
/// `state`'s `wait_until`, and the error is returned at once, unchanged. With no
/// `SENTRY_DSN`, the body runs as if it were not wrapped.
///
/// ```no_run
/// use worker::{Env, Response, Result, State};
/// use worker_sentry::{Handler, with_sentry_without_waiting};
///
/// async fn fetch(state: &State, env: &Env) -> Result<Response> {
///     with_sentry_without_waiting(env, state, "RateLimiterDo", Handler::Fetch, async {
///         Response::ok(count().await?.to_string())
///     })
///     .await
/// }
/// # async fn count() -> Result<u32> { Ok(1) }
/// ```
pub async fn with_sentry_without_waiting<T, E, Kind>(
    env: &Env,
    state: &impl WaitUntil,
    class: impl Into<Cow<'static, str>>,
    handler: Handler,
    body: impl Future<Output = Result<T, E>>,
) -> Result<T, E>
where
    for<'e> &'e E: IntoReport<'e, Kind>,
{
    let body = pin!(body);
    in_background(env, state, || Place::new(class, handler), false, body).await
}

/// Runs the constructor of a Durable Object or of a Workflow, so that its panic is reported
/// with the class and the handler `new`.
///
/// A constructor can neither return an error nor await, so it can only fail by a panic.
/// Without this function, a constructor's panic is reported only if a wrapper has run in the
/// isolate before, and without class and handler. The runtime may drop the requests of a
/// failed constructor. If the report was not answered, the next WebAssembly instance therefore
/// sends it again, at the end of its first wrapped handler. With no `SENTRY_DSN`, the body
/// runs as if it were not wrapped.
///
/// ```no_run
/// use worker::{Env, State};
/// use worker_sentry::with_sentry_in_constructor;
///
/// struct RateLimiterDo {
///     state: State,
///     env: Env,
/// }
///
/// fn new(state: State, env: Env) -> RateLimiterDo {
///     with_sentry_in_constructor(&env.clone(), "RateLimiterDo", || RateLimiterDo { state, env })
/// }
/// ```
pub fn with_sentry_in_constructor<T>(
    env: &Env,
    class: impl Into<Cow<'static, str>>,
    body: impl FnOnce() -> T,
) -> T {
    if guard::is_off(env) {
        return body();
    }
    panics::arm(env);
    Scope::new(Place::new(class, Handler::New)).enter(body)
}

/// Runs a body in a scope, and sends its reports in the background. After a panic, or before
/// an error that becomes one, waits instead, because a panic ends all work in the background.
async fn in_background<T, E, Kind>(
    env: &Env,
    context: &impl WaitUntil,
    place: impl FnOnce() -> Place,
    becomes_panic: bool,
    body: impl Future<Output = Result<T, E>>,
) -> Result<T, E>
where
    for<'e> &'e E: IntoReport<'e, Kind>,
{
    if guard::is_off(env) {
        return body.await;
    }
    let runtime = Workerd::new(env);
    let scope = recording::begin(&runtime, Scope::new(place()));
    let outcome = run(env, &runtime, &scope, body).await;
    if let Some(transaction) = recording::end(env, &scope, matches!(outcome, Ok(Ok(_)))) {
        match &outcome {
            Ok(Ok(_)) => context.wait_until(transaction),
            _ => scope.send(transaction),
        }
    }
    if scope.has_errands() {
        // A panic ends all work in the background, so the reports are awaited.
        match becomes_panic || outcome.is_err() {
            true => scope.finish().await,
            false => context.wait_until(scope.finish()),
        }
    }
    if let (Ok(Err(error)), true) = (&outcome, becomes_panic) {
        error.into_report().announce(panics::returns);
        // This future runs only after `worker` had its chance to panic.
        context.wait_until(async { panics::returned() });
    }
    resume(outcome)
}

/// Sends the drafts of a run, and reports of panics of the isolate that were not sent yet.
pub(super) fn send_drafts(env: &Env, runtime: &impl Runtime, scope: &Scope, drafts: Vec<Draft>) {
    for draft in drafts {
        scope.send(deliver(env, draft));
    }
    if runtime.is_news() {
        for draft in panics::unhandled(runtime) {
            scope.send(deliver(env, draft));
        }
        let runtime = Workerd::owned(env);
        scope.send(async move { runtime.resend().await });
    }
}

/// The drafts that a run still has to send: those of caught panics, and that of the error that
/// it returned, unless that error was reported inside the run.
pub(crate) fn drafts<T, E, Kind>(
    runtime: &impl Runtime,
    scope: &Rc<Scope>,
    outcome: &Outcome<Result<T, E>>,
) -> Vec<Draft>
where
    for<'e> &'e E: IntoReport<'e, Kind>,
{
    let mut drafts = scope.take_panics();
    let Ok(Err(error)) = outcome else {
        return drafts;
    };
    let report = error.into_report().handled(false);
    let source = report.error();
    let mut draft = report.read(runtime);
    if scope.has_reported(draft.identity()) {
        runtime.debug("the error was reported before it got here");
        return drafts;
    }
    // So that a wrapper around this one does not report the error again.
    scope.note(draft.identity());
    scope.complete(&mut draft, source);
    draft.take_stack(runtime);
    drafts.push(draft);
    drafts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::testing::{Fake, block_on, yield_once};
    use std::num::ParseIntError;
    use worker::wasm_bindgen::{JsCast, JsValue};

    fn alarm() -> Rc<Scope> {
        Scope::new(Place::new("Object", Handler::Alarm))
    }

    fn failure() -> ParseIntError {
        "x".parse::<u8>().expect_err("not a number")
    }

    async fn drafted<T>(
        body: impl Future<Output = Result<T, ParseIntError>>,
    ) -> (Result<T, ParseIntError>, Vec<Draft>) {
        let scope = alarm();
        let outcome = scope.run(body).await;
        let drafts = drafts(&Fake::default(), &scope, &outcome);
        (resume(outcome), drafts)
    }

    fn note(error: &ParseIntError) {
        let draft = error.into_report().read(&Fake::default());
        Scope::current().expect("a scope").note(draft.identity());
    }

    #[test]
    fn the_error_comes_back_unchanged_and_is_drafted_once() {
        let (result, drafts) = block_on(drafted(async { Err::<(), _>(failure()) }));
        assert_eq!(result, Err(failure()));
        let [draft] = drafts.as_slice() else {
            panic!("{} drafts", drafts.len());
        };
        assert_eq!(draft.details.place, Place::new("Object", Handler::Alarm));
        assert!(!draft.details.handled);
    }

    /// The stack of WebAssembly has one megabyte, and futures are moved on it.
    #[test]
    fn a_wrapper_has_room_for_a_body_twice_and_a_monitor_inside_of_it_four_times() {
        const BODY: usize = 10_000;
        let body = || async {
            let held = [0u8; BODY];
            yield_once().await;
            std::hint::black_box(&held);
            Ok::<(), worker::Error>(())
        };
        let env: Env = JsValue::NULL.unchecked_into();
        let times = |size: usize| size as f64 / BODY as f64;
        let wrapped = with_sentry_in_isolate(&env, "Object", Handler::Alarm, body());
        let wrapped = times(size_of_val(&wrapped));
        assert!(wrapped < 2.3, "{wrapped}");
        let monitored = crate::with_monitor(crate::Monitor::named("a"), body());
        let both = with_sentry_in_isolate(&env, "Object", Handler::Alarm, monitored);
        let both = times(size_of_val(&both));
        assert!(both < 4.5, "{both}");
    }

    #[test]
    fn success_reports_nothing() {
        let (result, drafts) = block_on(drafted(async { Ok(7) }));
        assert_eq!(result, Ok(7));
        assert!(drafts.is_empty());
    }

    #[test]
    fn an_error_captured_inside_is_not_reported_again_by_any_wrapper_around_it() {
        let inner = async {
            let body = async {
                let error = failure();
                note(&error);
                Err::<(), _>(error)
            };
            let (result, drafts) = drafted(body).await;
            assert!(drafts.is_empty(), "the inner wrapper");
            result
        };
        let (_, drafts) = block_on(drafted(inner));
        assert!(drafts.is_empty(), "the outer wrapper");
    }

    #[test]
    fn another_error_than_the_captured_one_is_reported() {
        let body = async {
            note(&failure());
            Err::<(), _>("".parse::<u8>().expect_err("empty"))
        };
        let (_, drafts) = block_on(drafted(body));
        assert_eq!(drafts.len(), 1);
    }

    #[test]
    fn a_panic_that_was_caught_is_drafted_beside_what_the_body_returned() {
        let body = async {
            let draft = Draft::of_panic("caught inside", None, Place::default());
            Scope::current().expect("a scope").leave_panic(draft);
            Err::<(), _>(failure())
        };
        let (_, drafts) = block_on(drafted(body));
        assert_eq!(drafts.len(), 2);
    }
}
