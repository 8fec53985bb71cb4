//! The application's last word on an event, and on a log.

use std::num::NonZeroU32;

use sentry_core::protocol::Event;
#[cfg(any(test, feature = "logs"))]
use sentry_core::protocol::Log;

use crate::steps::{before_send, repeats};

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

/// Sends at most so many events of one error from each isolate in a minute.
///
/// Set it in the Worker's start event, which runs first in every isolate; the last limit set is
/// the one in force. `0` is no limit. The minute begins with the first event of the error.
///
/// Events are one error if they have the same fingerprint from the application, or else the same
/// names and messages of the error and its causes, the same message, or the same text and place
/// of a panic. A message with an id in it is a new error for each id: give its report a
/// [fingerprint](crate::Report::fingerprint). An isolate counts 100 errors at a time. Others are
/// sent and not counted until the minute of one of these is over.
///
/// What is over the limit is held back before it costs a request: the capture returns `None`,
/// and waits at most for the load that the first capture of an isolate begins. The next event of that error that is sent says how many there were, as `held_back` in
/// its context `repeats`.
///
/// Check-ins, transactions and logs are not counted. Nor is what the receiver's pause or
/// `SENTRY_SAMPLE_RATE` leaves out. What a function for [`set_before_send`] drops is. A panic
/// that ends the instance ends its counts as well, so it is always sent.
///
/// ```
/// use worker_sentry::limit_repeats;
///
/// // In your `#[event(start)]`.
/// fn start() {
///     limit_repeats(5);
/// }
/// # start();
/// ```
pub fn limit_repeats(most: u32) {
    repeats::set(NonZeroU32::new(most));
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
