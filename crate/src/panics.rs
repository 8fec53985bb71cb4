//! Reporting a panic, which leaves no time for anything.
//!
//! A panic in a Worker built without unwinding traps, and the whole WebAssembly
//! instance is gone: nothing can be awaited any more, and no Rust function can be
//! called back. So a panic hook sends the event by calling the runtime's `fetch`
//! and leaves the answer to functions of JavaScript's own.

use std::cell::{Cell, RefCell};
use std::error::Error;
use std::fmt::Display;
use std::panic::PanicHookInfo;

use sentry_core::protocol::Frame;
use worker::Env;

use crate::deliver::Receiver;
use crate::event::{Draft, MAX_VALUE, bounded};
use crate::load::{Config, load_now};
use crate::runtime::Runtime;
use crate::workerd::{Workerd, post_and_forget};
use crate::wrap::Scope;
use crate::{capture, envelope, isolate};

thread_local! {
    /// The hook has no `env`, so the first wrapped handler leaves it here.
    static ENV: RefCell<Option<Env>> = const { RefCell::new(None) };
    /// Set while the hook runs: a panic inside it must not run it again.
    static REPORTING: Cell<bool> = const { Cell::new(false) };
    /// The message of an error that a handler is about to return, reported already.
    static RETURNED: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Announces an error of which `worker` is going to make a panic, before anything
/// else can run: that panic is not news.
pub(crate) fn returns(error: &dyn Error) {
    RETURNED.with(|slot| slot.replace(Some(start_of(error))));
}

/// The announced error was not made a panic.
pub(crate) fn returned() {
    RETURNED.with(RefCell::take);
}

fn is_news(message: &str) -> bool {
    RETURNED.with(|slot| match slot.try_borrow() {
        Ok(returned) => returned.as_deref() != Some(&start_of(&message)),
        Err(_) => true,
    })
}

/// As much of a message as it takes to know it again.
fn start_of(message: &dyn Display) -> String {
    bounded(MAX_VALUE, format_args!("{message}"))
}

/// Installs the hook, once for each isolate. The hook in force so far runs after
/// it.
pub(crate) fn arm(env: &Env) {
    let is_new = ENV.with(|slot| match slot.try_borrow_mut() {
        Ok(mut slot) if slot.is_none() => {
            *slot = Some(env.clone());
            true
        }
        _ => false,
    });
    if is_new {
        let previous = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !REPORTING.replace(true) {
                report(info);
                REPORTING.set(false);
            }
            previous(info);
        }));
    }
}

// ANCHOR: report
/// Sends the panic. Whatever is missing for that, it returns quietly.
fn report(info: &PanicHookInfo<'_>) -> Option<()> {
    let message = info.payload_as_str().unwrap_or("a panic without a message");
    if !is_news(message) {
        return None;
    }
    let env = ENV.with(|slot| slot.try_borrow().ok()?.clone())?;
    let runtime = Workerd::new(&env);
    let config = config(&runtime)?;
    let at = info.location().map(|location| Frame {
        filename: Some(location.file().to_owned()),
        lineno: Some(location.line().into()),
        colno: Some(location.column().into()),
        ..Frame::default()
    });
    let draft = Draft::panic(&message, at, Scope::place());
    let mut event = capture::event(&runtime, config.sample_rate, draft)?;
    // `sentry-core` would fill these in, but its client may be what panicked.
    event.release = event.release.or_else(|| config.release.clone());
    event.environment = event
        .environment
        .or_else(|| Some(config.environment.clone()));
    let envelope = envelope::write(&config, event, &runtime.now_text())?;
    post_and_forget(&Receiver::new(&config).request(&envelope));
    runtime.debug("panic reported");
    Some(())
}
// ANCHOR_END: report

/// The isolate's configuration, or a new one if it is not to be had.
fn config(runtime: &impl Runtime) -> Option<Config> {
    let ready = isolate::shared()
        .try_borrow()
        .ok()
        .and_then(|isolate| isolate.ready());
    match ready {
        Some(client) => {
            let allowed = client.limits.try_borrow().ok()?.allow(runtime.now_ms());
            allowed.then(|| client.config.clone())
        }
        None => Some(load_now(runtime).ok()?.config),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_made_of_a_returned_error_is_no_news_and_any_other_is() {
        let error = "x".parse::<u8>().expect_err("no number");
        assert!(is_news(&error.to_string()));
        returns(&error);
        assert!(!is_news(&error.to_string()));
        assert!(is_news("something else"));
        returned();
        assert!(is_news(&error.to_string()));
    }

    #[test]
    fn a_long_message_is_known_again_by_its_start() {
        let error = std::io::Error::other("x".repeat(100_000));
        returns(&error);
        assert!(!is_news(&error.to_string()));
        returned();
    }
}
