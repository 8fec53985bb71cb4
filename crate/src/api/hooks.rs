//! Functions of the application that change or drop an event or a log before it is sent.

use std::num::NonZeroU32;

use sentry_core::protocol::Event;
#[cfg(any(test, feature = "logs"))]
use sentry_core::protocol::Log;

use crate::steps::{before_send, repeats};

/// Lets the application see, change or drop every event before it is sent.
///
/// Set the hook in the Worker's start event, which runs first in every isolate. The hook runs
/// once for each event, also for that of a panic. The last hook that was set is used. The hook
/// must not panic.
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

/// Limits how many events of one error each isolate sends in a minute, to `most`.
///
/// Set the limit in the Worker's start event, which runs first in every isolate. The last limit
/// that was set is used. `0` removes the limit. The minute begins with the first event of the
/// error.
///
/// Two events are of the same error if they have the same fingerprint from the application.
/// Without one, they are of the same error if they have the same names and messages of the error
/// and its causes, the same message, or the same text and place of a panic. A message with an id
/// in it is a new error for each id: give its report a
/// [fingerprint](crate::Report::fingerprint). An isolate counts 100 errors at a time. While it
/// counts 100, other errors are sent and not counted, until one of the minutes is over.
///
/// An event over the limit is held back before it costs a request. Its capture returns `None`,
/// and waits at most for the load that the first capture of an isolate begins. The next event of
/// that error that is sent has the number of events held back, as `held_back` in its context
/// `repeats`.
///
/// Check-ins, transactions and logs are not counted. Events that are not sent because of the
/// receiver's pause or of `SENTRY_SAMPLE_RATE` are not counted either. Events that the function
/// for [`set_before_send`] drops are counted. A panic that ends the WebAssembly instance is always
/// sent, because the counts end with the instance.
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
/// Set the hook in the Worker's start event, which runs first in every isolate. The hook runs
/// once for each log, when the logs of a run are sent. The last hook that was set is used. The
/// hook must not panic.
///
/// The hook sees the text with its parameters filled in, and the values that the application put
/// on the log. The environment, the release and the SDK are added after the hook. Changes of the
/// time and of the trace are ignored. The severity number is computed from the level.
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
