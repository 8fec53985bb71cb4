//! Wrapping a handler's body, so that one line reports whatever it returns.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::error::Error;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;

use sentry_core::protocol::{Context, Map, Value};
use worker::Env;

use crate::event::Draft;
use crate::report::{Place, Report, Reportable};
use crate::runtime::Runtime;
use crate::workerd::{WaitUntil, Workerd};
use crate::{capture, guard, isolate, panics};

/// The one handler of the main Worker's whose returned error is a panic.
const QUEUE: &str = "queue";
/// How many errors a scope remembers as reported.
const REMEMBERED: usize = 32;

thread_local! {
    /// The handler that is being polled right now. Set only for the length of a
    /// poll, so it never outlives its request's turn on the event loop.
    static CURRENT: RefCell<Option<Rc<Scope>>> = const { RefCell::new(None) };
}

/// One run of one wrapped handler.
///
/// Requests share an isolate and its only thread, so there is no place to keep
/// "the current request" but in the future that serves it.
pub(crate) struct Scope {
    place: Place,
    reported: RefCell<Vec<u64>>,
    added: Option<AddedContext>,
    parent: Option<Rc<Scope>>,
}

/// What a scope adds to one context of its events.
pub(crate) struct AddedContext {
    /// The context's name.
    pub(crate) name: &'static str,
    /// The values, given the error that is reported; a panic is none.
    pub(crate) values: AddedValues,
}

pub(crate) type AddedValues = Box<dyn Fn(Option<&(dyn Error + 'static)>) -> Map<String, Value>>;

impl Scope {
    fn new(place: Place) -> Rc<Self> {
        Scope::adding(place, None)
    }

    /// A scope within the current one.
    pub(crate) fn adding(place: Place, added: Option<AddedContext>) -> Rc<Self> {
        Rc::new(Scope {
            place,
            reported: RefCell::new(Vec::new()),
            added,
            parent: Scope::current(),
        })
    }

    /// A scope within another one than the current.
    pub(crate) fn below(parent: Rc<Scope>, place: Place, added: AddedContext) -> Rc<Self> {
        Rc::new(Scope {
            place,
            reported: RefCell::new(Vec::new()),
            added: Some(added),
            parent: Some(parent),
        })
    }

    pub(crate) fn own_place(&self) -> Place {
        self.place
    }

    /// Completes the contexts of an event with what the current scope and those around it
    /// add. A value of an inner scope replaces that of an outer one, and a context that the
    /// event has already replaces all of them.
    pub(crate) fn complete(
        contexts: &mut BTreeMap<String, Context>,
        error: Option<&(dyn Error + 'static)>,
    ) {
        let mut added: BTreeMap<&'static str, Map<String, Value>> = BTreeMap::new();
        let mut scope = Scope::current();
        while let Some(this) = scope {
            if let Some(context) = &this.added {
                let values = added.entry(context.name).or_default();
                for (key, value) in (context.values)(error) {
                    values.entry(key).or_insert(value);
                }
            }
            scope = this.parent.clone();
        }
        for (name, values) in added {
            contexts
                .entry(name.to_owned())
                .or_insert(Context::Other(values));
        }
    }

    /// The scope of the code that runs right now.
    pub(crate) fn current() -> Option<Rc<Scope>> {
        CURRENT.with(|current| current.try_borrow().ok()?.clone())
    }

    /// Where the code that runs right now belongs to.
    pub(crate) fn place() -> Place {
        Scope::current().map_or_else(Place::default, |scope| scope.place)
    }

    /// Remembers an error as reported, for this handler and those around it.
    pub(crate) fn note(identity: u64) {
        let mut scope = Scope::current();
        while let Some(this) = scope {
            if let Ok(mut reported) = this.reported.try_borrow_mut() {
                if reported.len() == REMEMBERED {
                    reported.remove(0);
                }
                reported.push(identity);
            }
            scope = this.parent.clone();
        }
    }

    fn has_reported(&self, identity: u64) -> bool {
        self.reported
            .try_borrow()
            .is_ok_and(|reported| reported.contains(&identity))
    }

    /// Runs `body` with this scope as the current one, whenever it is polled.
    async fn run<F: Future>(self: &Rc<Self>, body: F) -> F::Output {
        let mut body = pin!(body);
        poll_fn(|context| {
            let _entered = Entered::new(Some(Rc::clone(self)));
            body.as_mut().poll(context)
        })
        .await
    }
}

/// Runs a handler that this crate itself is the way into, so that its panics are
/// reported. Its errors are the application's to report.
pub(crate) async fn watched<F: Future>(
    env: &Env,
    place: Place,
    context: impl FnOnce() -> AddedContext,
    body: F,
) -> F::Output {
    if !guard::is_configured(&Workerd::new(env)) {
        return body.await;
    }
    panics::arm(env);
    within(Some(Scope::adding(place, Some(context()))), body).await
}

/// Whether an error was captured within the current scope.
pub(crate) fn is_reported(error: &(dyn Error + 'static)) -> bool {
    let identity = Draft::read(Report::new(error)).identity();
    Scope::current().is_some_and(|scope| scope.has_reported(identity))
}

/// Runs what the runtime calls back from within `scope`, which is not polled
/// along with the handler that it belongs to.
pub(crate) async fn within<F: Future>(scope: Option<Rc<Scope>>, body: F) -> F::Output {
    match scope {
        Some(scope) => scope.run(body).await,
        None => body.await,
    }
}

/// Puts the previous scope back when a poll ends, also by a panic that unwinds.
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
    CURRENT.with(|current| {
        let mut current = current.try_borrow_mut().ok()?;
        std::mem::replace(&mut *current, scope)
    })
}

/// Runs a handler's body in a Durable Object or a Workflow, reports its error
/// and returns it unchanged.
///
/// Waits for the receiver's answer before it returns an error, five seconds at
/// most; a body that succeeds costs nothing but a look at `env`. An error that
/// was captured inside the body is not reported again. With no `SENTRY_DSN`, the
/// body runs as if it were not wrapped.
///
/// ```no_run
/// use worker::{Env, Response, Result};
/// use worker_sentry::with_sentry_in_isolate;
///
/// async fn alarm(env: &Env) -> Result<Response> {
///     with_sentry_in_isolate(env, "RateLimiterDo", "alarm", async {
///         sweep().await?;
///         Response::empty()
///     })
///     .await
/// }
/// # async fn sweep() -> Result<()> { Ok(()) }
/// ```
pub async fn with_sentry_in_isolate<T, E, Kind>(
    env: &Env,
    class: &'static str,
    handler: &'static str,
    body: impl Future<Output = Result<T, E>>,
) -> Result<T, E>
where
    E: Reportable<Kind>,
{
    let place = Place {
        class: Some(class),
        handler: Some(handler),
    };
    let runtime = Workerd::new(env);
    if !guard::is_configured(&runtime) {
        return body.await;
    }
    panics::arm(env);
    let (result, draft) = run(&runtime, place, body).await;
    if let Some(draft) = draft {
        capture::finish(&runtime, isolate::shared(), draft).await;
    }
    result
}

/// Runs the body of one of the main Worker's handlers, reports its error in the
/// background and returns it unchanged.
///
/// The report is handed to `context`'s `wait_until`, so the response is not
/// delayed. `handler` is `"fetch"`, `"queue"` or `"scheduled"`. With no
/// `SENTRY_DSN`, the body runs as if it were not wrapped.
///
/// For `"queue"` it waits instead, five seconds at most. `worker` makes a panic of
/// an error that a queue handler returns, and nothing in the background survives
/// that; there is no response that could be delayed. The panic itself is not
/// reported again. It still ends the isolate's instance: better deal with the
/// error, say by `retry_all`, and return `Ok`.
///
/// An error that comes back from a Durable Object or another Worker through a stub
/// is a new error here: a JavaScript `Error` that carries the message and the mark
/// `remote`, and nothing by which to know that the other side has reported it. So
/// it is reported here as well, as this handler's.
///
/// ```no_run
/// # mod worker_module {
/// use worker::{Context, Env, Request, Response, Result, event};
/// use worker_sentry::with_sentry_worker;
///
/// #[event(fetch)]
/// async fn fetch(request: Request, env: Env, context: Context) -> Result<Response> {
///     with_sentry_worker(&env, &context, "fetch", async {
///         Response::ok(request.path())
///     })
///     .await
/// }
/// # }
/// ```
pub async fn with_sentry_worker<T, E, Kind>(
    env: &Env,
    context: &impl WaitUntil,
    handler: &'static str,
    body: impl Future<Output = Result<T, E>>,
) -> Result<T, E>
where
    E: Reportable<Kind>,
{
    let place = Place {
        class: Some("main"),
        handler: Some(handler),
    };
    let runtime = Workerd::new(env);
    if !guard::is_configured(&runtime) {
        return body.await;
    }
    panics::arm(env);
    let (result, draft) = run(&runtime, place, body).await;
    match draft {
        Some(draft) if handler == QUEUE => {
            capture::finish(&runtime, isolate::shared(), draft).await;
        }
        Some(draft) => finish_in_background(env, context, draft),
        None => {}
    }
    if let (Err(error), QUEUE) = (&result, handler) {
        panics::returns(error.report().error);
        // This runs after the panic, if there is one.
        context.wait_until(async { panics::returned() });
    }
    result
}

/// Reports an error without waiting: the report is handed to `context`'s
/// `wait_until`, and this returns at once.
///
/// For handlers that must not be held up, such as `websocket_error`. What is to
/// be known of the error is read before this returns.
///
/// ```no_run
/// use worker::{Env, Error, State};
/// use worker_sentry::{Report, capture_exception_in_background};
///
/// fn websocket_error(state: &State, env: &Env, error: &Error) {
///     let report = Report::new(error).in_handler("WsHibernationDo", "websocket_error");
///     capture_exception_in_background(env, state, report);
/// }
/// ```
// ANCHOR: background
pub fn capture_exception_in_background<'e>(
    env: &Env,
    context: &impl WaitUntil,
    error: impl Into<Report<'e>>,
) {
    if !guard::is_configured(&Workerd::new(env)) {
        return;
    }
    let draft = Draft::read(error.into());
    Scope::note(draft.identity());
    finish_in_background(env, context, draft);
}

fn finish_in_background(env: &Env, context: &impl WaitUntil, draft: Draft) {
    let env = env.clone();
    context.wait_until(async move {
        capture::finish(&Workerd::new(&env), isolate::shared(), draft).await;
    });
}
// ANCHOR_END: background

/// Runs the body; gives back its result and, if there is something to report
/// that was not reported inside, the draft of it.
async fn run<T, E, Kind>(
    runtime: &impl Runtime,
    place: Place,
    body: impl Future<Output = Result<T, E>>,
) -> (Result<T, E>, Option<Draft>)
where
    E: Reportable<Kind>,
{
    let scope = Scope::new(place);
    let result = scope.run(body).await;
    let Err(error) = &result else {
        return (result, None);
    };
    let mut report = error.report().handled(false);
    report.place = place;
    let draft = Draft::read(report);
    if scope.has_reported(draft.identity()) {
        runtime.debug("the error was reported before it got here");
        return (result, None);
    }
    // For a wrapper around this one.
    Scope::note(draft.identity());
    (result, Some(draft))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Fake, block_on};
    use std::num::ParseIntError;

    const ALARM: Place = Place {
        class: Some("Object"),
        handler: Some("alarm"),
    };

    fn failure() -> ParseIntError {
        "x".parse::<u8>().expect_err("not a number")
    }

    #[test]
    fn the_error_comes_back_unchanged_and_is_drafted_once() {
        let runtime = Fake::default();
        let (result, draft) = block_on(run(&runtime, ALARM, async { Err::<(), _>(failure()) }));
        assert_eq!(result, Err(failure()));
        assert_eq!(draft.expect("a draft").place, ALARM);
    }

    #[test]
    fn success_reports_nothing() {
        let runtime = Fake::default();
        let (result, draft) = block_on(run(&runtime, ALARM, async { Ok::<_, ParseIntError>(7) }));
        assert_eq!(result, Ok(7));
        assert!(draft.is_none());
    }

    #[test]
    fn an_error_captured_inside_is_not_reported_again_by_any_wrapper_around_it() {
        let runtime = Fake::default();
        let inner = async {
            let body = async {
                let error = failure();
                Scope::note(Draft::read(Report::new(&error)).identity());
                Err::<(), _>(error)
            };
            let (result, draft) = run(&runtime, ALARM, body).await;
            assert!(draft.is_none(), "the inner wrapper");
            result
        };
        let (_, draft) = block_on(run(&runtime, ALARM, inner));
        assert!(draft.is_none(), "the outer wrapper");
    }

    #[test]
    fn another_error_than_the_captured_one_is_reported() {
        let runtime = Fake::default();
        let body = async {
            Scope::note(Draft::read(Report::new(&failure())).identity());
            Err::<(), _>("".parse::<u8>().expect_err("empty"))
        };
        let (_, draft) = block_on(run(&runtime, ALARM, body));
        assert!(draft.is_some());
    }

    #[test]
    fn a_scope_is_current_only_while_its_own_body_is_polled() {
        let runtime = Fake::default();
        let seen = |place: Place| {
            let runtime = &runtime;
            async move {
                let body = async {
                    assert_eq!(Scope::place(), place);
                    crate::testing::yield_once().await;
                    assert_eq!(Scope::place(), place);
                    Ok::<_, ParseIntError>(())
                };
                run(runtime, place, body).await.0
            }
        };
        let other = Place {
            class: Some("Other"),
            handler: Some("fetch"),
        };
        let both = async {
            // Two requests that take turns, as they do in one isolate.
            let (first, second) = futures_util::join!(seen(ALARM), seen(other));
            first.and(second)
        };
        assert_eq!(block_on(both), Ok(()));
        assert_eq!(Scope::place(), Place::default());
    }

    #[test]
    fn a_callback_runs_within_the_scope_that_made_it() {
        let callback = || async {
            crate::testing::yield_once().await;
            Scope::place()
        };
        let made = block_on(Scope::new(ALARM).run(async { Scope::current() }));
        assert_eq!(block_on(within(made, callback())), ALARM);
        assert_eq!(block_on(within(None, callback())), Place::default());
    }

    #[test]
    fn a_scope_forgets_the_oldest_error_rather_than_grow() {
        let scope = Scope::new(ALARM);
        block_on(scope.run(async {
            for identity in 0..=REMEMBERED as u64 {
                Scope::note(identity);
            }
        }));
        assert!(!scope.has_reported(0));
        assert!(scope.has_reported(1));
        assert!(scope.has_reported(REMEMBERED as u64));
    }
}
