//! Reporting an error from wherever it was caught.

use uuid::Uuid;
use worker::Env;

use super::into_report::IntoReport;
use super::report::Report;
use crate::item::draft::Draft;
use crate::panics;
use crate::platform::Runtime;
use crate::platform::workerd::{WaitUntil, Workerd};
use crate::scope::{MOST_REPORTS, Scope};
use crate::steps::slot::shared;
use crate::steps::{self, guard};

/// Reports an error from wherever it was caught: a Durable Object's handler, a
/// Workflow's `run`, or anywhere else.
///
/// Waits until the receiver has answered, five seconds at most. Never fails and
/// never panics. You decide whether to return the error as well.
///
/// Returns the event's id if the receiver accepted the event. Returns `None` if there is
/// no `SENTRY_DSN`, if the configuration could not be loaded (the next call
/// tries again), or if the event was dropped or lost on the way. With the
/// binding `SENTRY_DEBUG` set to `on`, the console says which.
///
/// Each report is a subrequest, and Cloudflare [limits the
/// subrequests](https://developers.cloudflare.com/workers/platform/limits/#subrequests) of an
/// invocation. Therefore one run of a wrapped handler sends at most 25 captures. Further ones
/// are dropped, and the console says so. The error that the handler returns is still reported.
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
pub async fn capture_exception_in_isolate<'e, Kind>(
    env: &Env,
    error: impl IntoReport<'e, Kind>,
) -> Option<Uuid> {
    // Before the error becomes a report: without a DSN there is to be none.
    if guard::is_off(env) {
        return None;
    }
    let report = error.into_report();
    steps::capture(&Workerd::new(env), shared(), |runtime| {
        panics::arm(env);
        read(runtime, report)
    })
    .await
}

/// Reports an error without waiting: the report is handed to `context`'s
/// `wait_until`, and this returns at once.
///
/// For handlers that must not be delayed, such as `websocket_error`. The error is read before
/// this returns, so it need not live longer.
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
    if guard::is_off(env) {
        return;
    }
    let runtime = Workerd::new(env);
    panics::arm(env);
    if let Some(draft) = read(&runtime, error.into_report()) {
        context.wait_until(deliver(env, draft));
    }
}
// ANCHOR_END: background

/// Reads a report in the scope of the code that runs right now, unless that run has sent
/// enough of them.
pub(super) fn read(runtime: &impl Runtime, report: Report<'_>) -> Option<Draft> {
    let scope = Scope::current();
    if scope
        .as_ref()
        .is_some_and(|scope| is_too_many(runtime, scope))
    {
        return None;
    }
    let error = report.error();
    let mut draft = report.read(runtime);
    if let Some(scope) = scope {
        scope.complete(&mut draft, error);
        scope.note(draft.identity());
    }
    draft.take_stack(runtime);
    Some(draft)
}

/// Counts one report more, and says whether that is one too many.
pub(super) fn is_too_many(runtime: &impl Runtime, scope: &Scope) -> bool {
    let number = scope.count_report();
    // Said once for each run.
    if number == MOST_REPORTS + 1 {
        runtime.warn("one run captured more than 25 errors; the rest is dropped");
    }
    number > MOST_REPORTS
}

/// Sends a draft, in a future that may outlive the handler.
pub(super) fn deliver(env: &Env, draft: Draft) -> impl Future<Output = ()> + 'static + use<> {
    let runtime = Workerd::owned(env);
    async move {
        steps::finish(&runtime, shared(), draft.into()).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::item::place::{Handler, Place};
    use crate::platform::testing::{Fake, block_on};

    fn captured(fake: &Fake, times: u32) -> usize {
        let error = "x".parse::<u8>().expect_err("not a number");
        let reads = (0..times).filter(|_| read(fake, (&error).into_report()).is_some());
        reads.count()
    }

    fn run(body: impl FnOnce() -> usize) -> usize {
        let scope = Scope::new(Place::new("Object", Handler::Alarm));
        block_on(scope.run(async { body() })).expect("no panic")
    }

    #[test]
    fn one_run_sends_a_bounded_number_of_reports_and_says_once_that_it_drops_the_rest() {
        let fake = Fake::default();
        let nested = || run(|| captured(&fake, 30));
        assert_eq!(run(|| captured(&fake, 3) + nested()), 25);
        let lines = fake.world.lines.borrow().clone();
        let line = "warn: one run captured more than 25 errors; the rest is dropped";
        assert_eq!(lines, [line]);
        assert!(line.contains(&MOST_REPORTS.to_string()));
        // Another run begins to count anew. Outside of a run, nothing is counted.
        assert_eq!(run(|| captured(&fake, 25)), 25);
        assert_eq!(captured(&fake, 100), 100);
    }
}
