//! The application's last word on an event, and on a log.

use std::cell::RefCell;
use std::rc::Rc;

use sentry_core::protocol;

use crate::item::Item;
use crate::item::event::Event;
use crate::item::protocol::{Changed, from_event};

/// What the application sets: it changes an event, or drops it.
pub(crate) type Change = dyn Fn(protocol::Event<'static>) -> Option<protocol::Event<'static>>;

/// Turns an event into what a hook leaves of it.
type Apply = Rc<dyn Fn(Event) -> Option<Box<dyn Item>>>;

thread_local! {
    static HOOK: RefCell<Option<Apply>> = const { RefCell::new(None) };
}

/// Sets the hook. Sentry's own types are reached only from here, so that a Worker without
/// a hook is built without them.
pub(crate) fn set(change: Box<Change>) {
    let apply: Apply = Rc::new(move |event| {
        let changed = change(from_event(&event))?;
        Some(Box::new(Changed::new(&changed, &event)?))
    });
    HOOK.with(|slot| {
        if let Ok(mut slot) = slot.try_borrow_mut() {
            *slot = Some(apply);
        }
    });
}

#[cfg(any(test, feature = "logs"))]
pub(crate) use logs::{apply_to_log, set_for_logs};

#[cfg(any(test, feature = "logs"))]
mod logs {
    use std::cell::RefCell;
    use std::rc::Rc;

    use sentry_core::protocol::Log;

    use crate::item::log::Located;

    thread_local! {
        static HOOK: RefCell<Option<Apply>> = const { RefCell::new(None) };
    }

    /// Turns a log into what a hook leaves of it.
    type Apply = Rc<dyn Fn(Located) -> Option<Located>>;

    /// Sets the hook. Sentry's own type is reached only from here, as it is for events.
    pub(crate) fn set_for_logs(change: impl Fn(Log) -> Option<Log> + 'static) {
        let apply: Apply = Rc::new(move |located: Located| {
            let changed = change(located.to_protocol())?;
            Some(located.changed(changed))
        });
        HOOK.with(|slot| {
            if let Ok(mut slot) = slot.try_borrow_mut() {
                *slot = Some(apply);
            }
        });
    }

    /// Runs the hook, if there is one.
    pub(crate) fn apply_to_log(mut log: Located) -> Option<Located> {
        // The hook is taken out of the slot first: it may set another one.
        let hook = HOOK.with(|slot| slot.try_borrow().ok()?.clone());
        match hook {
            Some(apply) => {
                // It is to see what is sent, and no template.
                log.log.fill();
                apply(log)
            }
            None => Some(log),
        }
    }
}

// ANCHOR: apply
/// Runs the hook, if there is one.
pub(crate) fn apply(event: Event) -> Option<Box<dyn Item>> {
    // The hook is taken out of the slot first: it may set another one.
    let hook = HOOK.with(|slot| slot.try_borrow().ok()?.clone());
    match hook {
        Some(apply) => apply(event),
        None => Some(Box::new(event)),
    }
}
// ANCHOR_END: apply
