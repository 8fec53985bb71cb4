//! The application's last word on an event.

use sentry_core::protocol::Event;

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
