//! The application's last word on an event, and on a log.

use sentry_core::protocol::Event;
#[cfg(any(test, feature = "logs"))]
use sentry_core::protocol::Log;

use crate::steps::before_send;

/// Lets the application see, change or drop every event before it is sent.
///
/// Set it in the Worker's start event, which runs first in every isolate. The hook runs
/// once for each event, a panic's included; the last hook set is the one in force.
/// It must not panic.
///
/// ```no_run
/// use worker::event;
/// use worker_sentry::set_before_send;
///
/// #[event(start)]
/// fn start() {
///     set_before_send(|mut event| {
///         for exception in &mut event.exception.values {
///             exception.value = exception.value.take().map(|text| text.replace("secret", "…"));
///         }
///         Some(event)
///     });
/// }
/// ```
///
/// The rule: <https://docs.sentry.io/platforms/rust/configuration/filtering/>
pub fn set_before_send(hook: impl Fn(Event<'static>) -> Option<Event<'static>> + 'static) {
    before_send::set(Box::new(hook));
}

/// Lets the application see, change or drop every log before it is sent.
///
/// Set it where every isolate passes: in the Worker's start event. The hook runs when the
/// logs of a run leave, once for each; the last hook set is the one in force. It must not
/// panic.
///
/// The hook sees the text with its parameters in it, and the values that were put on the log.
/// The environment, the release and the SDK come after it. A change of the time or of the
/// trace is not taken, and the number of the severity follows from the level.
///
/// ```no_run
/// use worker::event;
/// use worker_sentry::protocol::LogLevel;
/// use worker_sentry::set_before_send_log;
///
/// #[event(start)]
/// fn start() {
///     set_before_send_log(|mut log| {
///         if log.level == LogLevel::Trace {
///             return None;
///         }
///         log.attributes.remove("account");
///         Some(log)
///     });
/// }
/// ```
///
/// The rule: <https://docs.sentry.io/platforms/rust/logs/>
#[cfg(any(test, feature = "logs"))]
pub fn set_before_send_log(hook: impl Fn(Log) -> Option<Log> + 'static) {
    before_send::set_for_logs(hook);
}
