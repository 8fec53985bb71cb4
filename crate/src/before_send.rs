//! The application's last word on an event.

use std::cell::RefCell;
use std::rc::Rc;

use sentry_core::protocol::Event;

use crate::payload;

/// Changes an event, or drops it.
type Change = Rc<dyn Fn(Event<'static>) -> Option<Event<'static>>>;

#[derive(Clone)]
struct Hook {
    change: Change,
    /// Writes what the hook may have added. Named nowhere but here, so that a Worker
    /// without a hook is built without it.
    write: payload::Write,
}

thread_local! {
    static HOOK: RefCell<Option<Hook>> = const { RefCell::new(None) };
}

/// Lets the application see, change or drop every event before it is sent.
///
/// Set it where every isolate passes: in the Worker's start event. The hook runs
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
    HOOK.with(|slot| {
        if let Ok(mut slot) = slot.try_borrow_mut() {
            *slot = Some(Hook {
                change: Rc::new(hook),
                write: payload::whole,
            });
        }
    });
}

// ANCHOR: apply
/// Runs the hook, if there is one.
pub(crate) fn apply(event: Event<'static>) -> Option<Event<'static>> {
    // The hook is taken out of the slot first: it may set another one.
    match hook() {
        Some(hook) => (hook.change)(event),
        None => Some(event),
    }
}
// ANCHOR_END: apply

/// What is able to write every event of this isolate.
pub(crate) fn writer() -> payload::Write {
    hook().map_or(payload::own, |hook| hook.write)
}

fn hook() -> Option<Hook> {
    HOOK.with(|slot| slot.try_borrow().ok()?.clone())
}
