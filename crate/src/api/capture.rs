//! Reporting an error from wherever it was caught.

use uuid::Uuid;
use worker::Env;

use super::into_report::IntoReport;
use super::report::Report;
use crate::item::draft::Draft;
use crate::panics;
use crate::platform::Runtime;
use crate::platform::workerd::{WaitUntil, Workerd};
use crate::scope::Scope;
use crate::steps::slot::shared;
use crate::steps::{self, guard};

/// Reports an error from wherever it was caught: a Durable Object's handler, a
/// Workflow's `run`, or anywhere else.
///
/// Waits until the receiver has answered, five seconds at most. Never fails and
/// never panics; whether to return the error is yours to decide.
///
/// Returns the event's id if the receiver took the event, and `None` if there is
/// no `SENTRY_DSN`, if the configuration could not be loaded (the next call
/// tries again), or if the event was dropped or lost on the way. With the
/// binding `SENTRY_DEBUG` set to `on`, the console says which.
///
/// ```no_run
/// use worker::{Env, Result};
/// use worker_sentry::{Handler, Report, capture_exception_in_isolate};
///
/// async fn alarm(env: &Env) -> Result<()> {
///     let swept = sweep().await;
///     if let Err(error) = &swept {
///         let report = Report::new(error)
///             .in_handler("RateLimiterDo", Handler::Alarm)
///             .handled(false);
///         capture_exception_in_isolate(env, report).await;
///     }
///     swept
/// }
/// # async fn sweep() -> Result<()> { Ok(()) }
/// ```
// ANCHOR: capture_exception_in_isolate
pub async fn capture_exception_in_isolate<'e, Kind>(
    env: &Env,
    error: impl IntoReport<'e, Kind>,
) -> Option<Uuid> {
    let report = error.into_report();
    steps::capture(&Workerd::new(env), shared(), |runtime| {
        panics::arm(env);
        read(runtime, report)
    })
    .await
}
// ANCHOR_END: capture_exception_in_isolate

/// Reports an error without waiting: the report is handed to `context`'s
/// `wait_until`, and this returns at once.
///
/// For handlers that must not be held up, such as `websocket_error`. What is to
/// be known of the error is read before this returns.
///
/// ```no_run
/// use worker::{Env, Error, State};
/// use worker_sentry::{Handler, Report, capture_exception_in_background};
///
/// fn websocket_error(state: &State, env: &Env, error: &Error) {
///     let report = Report::new(error).in_handler("WsHibernationDo", Handler::WebsocketError);
///     capture_exception_in_background(env, state, report);
/// }
/// ```
// ANCHOR: background
pub fn capture_exception_in_background<'e, Kind>(
    env: &Env,
    context: &impl WaitUntil,
    error: impl IntoReport<'e, Kind>,
) {
    let runtime = Workerd::new(env);
    if !guard::is_configured(&runtime, shared()) {
        return;
    }
    panics::arm(env);
    let draft = read(&runtime, error.into_report());
    context.wait_until(deliver(env, draft));
}
// ANCHOR_END: background

/// Reads a report in the scope of the code that runs right now.
pub(super) fn read(runtime: &impl Runtime, report: Report<'_>) -> Draft {
    let error = report.error();
    let mut draft = report.read(runtime);
    if let Some(scope) = Scope::current() {
        scope.complete(&mut draft, error);
        scope.note(draft.identity());
    }
    draft
}

/// What is left to do for a draft, in a future that outlives the handler.
pub(super) fn deliver(env: &Env, draft: Draft) -> impl Future<Output = ()> + 'static + use<> {
    let runtime = Workerd::owned(env);
    async move {
        steps::finish(&runtime, shared(), draft.into()).await;
    }
}
