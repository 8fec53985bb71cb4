//! The link from an alarm to the run that set it.

use std::future::Future;

use worker::{Result, ScheduledTime, Storage};

use super::propagation::{TraceHeaders, current_trace};
use crate::item::transaction::Link;
use crate::scope::Scope;
use crate::trace::sentry_trace::SentryTrace;

/// The key in the object's storage for the trace of the run that set the alarm.
const KEY: &str = "__sentry_trace";

/// An alarm whose transaction has a link to the run that set it.
///
/// Each alarm has a trace of its own, because an alarm may run hours later and for many runs
/// at once. The link leads from the alarm to the trace of the run that set it last.
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
/// The rules: <https://develop.sentry.dev/sdk/telemetry/traces/span-links/>
pub trait TracedAlarm {
    /// Sets the alarm as [`Storage::set_alarm`] does, and stores the trace of the current run.
    ///
    /// The trace costs one more write to the storage, under the key `__sentry_trace`. If that
    /// write fails, the alarm is still set. Outside of a wrapper or without a DSN, no trace is
    /// written. Waits as [`current_trace`] does.
    ///
    /// # Errors
    ///
    /// Fails as [`Storage::set_alarm`] does.
    fn traced_set_alarm(&self, time: impl Into<ScheduledTime>) -> impl Future<Output = Result<()>>;

    /// Links the transaction of the current run to the trace of the run that set the alarm.
    /// Call it in the wrapped `alarm`.
    ///
    /// Reads the storage once. A run that is not recorded reads nothing: see
    /// [`span`](crate::span). If the read fails, the link is missing; nothing else changes.
    fn link_alarm(&self) -> impl Future<Output = ()>;
}

impl TracedAlarm for Storage {
    async fn traced_set_alarm(&self, time: impl Into<ScheduledTime>) -> Result<()> {
        if let Some(trace) = current_trace().await {
            // A failed write of the trace must not prevent the alarm.
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
