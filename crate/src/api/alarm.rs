//! The link from an alarm to the run that set it.

use std::future::Future;

use worker::{Result, ScheduledTime, Storage};

use super::propagation::{TraceHeaders, current_trace};
use crate::item::transaction::Link;
use crate::scope::Scope;
use crate::trace::sentry_trace::SentryTrace;

/// The key in the object's storage under which the trace of whoever set the alarm is kept.
const KEY: &str = "__sentry_trace";

/// An alarm whose transaction has a link to the run that set it.
///
/// An alarm is a trace of its own: it comes hours later, and for many runs at once. The link
/// leads from it to the trace of the run that set it last.
///
/// ```no_run
/// use std::time::Duration;
/// use worker::{Response, Result, State};
/// use worker_sentry::TracedAlarm;
///
/// async fn remember(state: &State) -> Result<()> {
///     state.storage().traced_set_alarm(Duration::from_secs(60)).await
/// }
///
/// async fn alarm(state: &State) -> Result<Response> {
///     state.storage().link_alarm().await;
///     Response::empty()
/// }
/// ```
///
/// <https://develop.sentry.dev/sdk/telemetry/traces/span-links/>
pub trait TracedAlarm {
    /// As [`Storage::set_alarm`], with the trace of the current run.
    ///
    /// It is one write to the storage more, under the key `__sentry_trace`. Where that fails,
    /// the alarm is set all the same. Outside of a wrapper and without a DSN nothing is
    /// written. Waits as [`current_trace`] does.
    ///
    /// # Errors
    ///
    /// Those of [`Storage::set_alarm`].
    fn traced_set_alarm(&self, time: impl Into<ScheduledTime>) -> impl Future<Output = Result<()>>;

    /// Links the transaction of the current run to the trace of the run that set the alarm.
    /// Call it in the wrapped `alarm`.
    ///
    /// It is one read of the storage, and nothing where the run is not recorded: see
    /// [`span`](crate::span). A read that fails is a missing link and nothing else.
    fn link_alarm(&self) -> impl Future<Output = ()>;
}

impl TracedAlarm for Storage {
    async fn traced_set_alarm(&self, time: impl Into<ScheduledTime>) -> Result<()> {
        if let Some(trace) = current_trace().await {
            // The alarm is what counts.
            let _ = self.put(KEY, trace).await;
        }
        self.set_alarm(time).await
    }

    async fn link_alarm(&self) {
        if !crate::scope::spans::is_recording() {
            return;
        }
        let Ok(Some(trace)) = self.get::<TraceHeaders>(KEY).await else {
            return;
        };
        if let (Some(scope), Some(header)) =
            (Scope::current(), SentryTrace::read(&trace.sentry_trace))
        {
            scope.link(Link {
                trace_id: header.trace_id,
                span_id: header.span_id,
                sampled: header.sampled,
            });
        }
    }
}
