//! Runs the hook of the application that changes or drops an event or a log before it is sent.

use std::cell::RefCell;
use std::rc::Rc;

use sentry_core::protocol;

use crate::item::Item;
use crate::item::event::Event;
use crate::item::protocol::{Changed, from_event};

/// The application's hook: it changes an event, or drops it by returning `None`.
pub(crate) type Change = dyn Fn(protocol::Event<'static>) -> Option<protocol::Event<'static>>;

/// Applies the hook to an event and returns the item to send, if any.
type Apply = Rc<dyn Fn(Event) -> Option<Box<dyn Item>>>;

thread_local! {
    static HOOK: RefCell<Option<Apply>> = const { RefCell::new(None) };
}

/// Sets the hook. Only this function refers to Sentry's own types, so a Worker without a hook
/// does not link them.
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

    /// Applies the hook to a log.
    type Apply = Rc<dyn Fn(Located) -> Option<Located>>;

    /// Sets the hook. Only this function refers to Sentry's own type of a log, so a Worker
    /// without a hook does not link it.
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
                // The hook sees the text that is sent, with the parameters filled in.
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
