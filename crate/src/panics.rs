//! Reporting a panic.
//!
//! In a build that aborts, a panic ends the whole WebAssembly instance. After that nothing can
//! be awaited, and no Rust function can be called back. So the hook starts the request at once,
//! and functions written in JavaScript handle the answer.
//!
//! In a build that unwinds, the wrapper around the panicking code catches the panic. The hook
//! stores the report in the wrapper's scope, and the wrapper delivers it.

use std::cell::{Cell, RefCell};
use std::fmt::Display;
use std::panic::PanicHookInfo;
use std::rc::Rc;
use std::thread::LocalKey;

use worker::Env;

use crate::item::draft::{Draft, message};
use crate::item::exception::{Subject, read};
use crate::item::place::{Handler, Place};
use crate::item::stack::Frame;
use crate::platform::Runtime;
use crate::platform::workerd::Workerd;
use crate::scope::Scope;
use crate::steps::slot::{Shared, shared};
use crate::steps::{CAPTURE_MS, Wait, client_now, exit};

/// A panic hook, as the standard library keeps it.
type Hook = Box<dyn Fn(&PanicHookInfo<'_>) + Send + Sync>;

thread_local! {
    /// The `env` for the hook, which gets none as an argument. The first wrapped handler stores
    /// it here.
    static ENV: RefCell<Option<Env>> = const { RefCell::new(None) };
    /// The address of the crate's hook in memory, by which the hook is recognised.
    static OURS: Cell<usize> = const { Cell::new(0) };
    /// Set while the hook runs. A panic inside the hook, or an earlier hook of this crate that
    /// the hook calls, must not report again.
    static REPORTING: Cell<bool> = const { Cell::new(false) };
    /// The message of an error that was reported and that a handler is about to return.
    static RETURNED: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Announces an error that `worker` turns into a panic as soon as the handler returns. The
/// hook does not report that panic, because the error was already reported.
pub(crate) fn returns(error: &dyn Display) {
    RETURNED.with(|slot| slot.replace(Some(message(&error.to_string()))));
}

/// Withdraws the announcement of [`returns`].
pub(crate) fn returned() {
    RETURNED.with(RefCell::take);
}

/// Whether a panic still has to be reported. `false` if it is the announced error.
fn is_news(text: &str) -> bool {
    RETURNED.with(|slot| match slot.try_borrow() {
        Ok(returned) => returned.as_deref() != Some(&message(text)),
        Err(_) => true,
    })
}

/// Puts our hook in front of the one in force, which runs after it.
///
/// Called by each wrapper and each capture, because the application can set another hook
/// at any time, and `console_error_panic_hook::set_once` in a handler is common.
pub(crate) fn arm(env: &Env) {
    ENV.with(|slot| {
        if let Ok(mut slot) = slot.try_borrow_mut()
            && slot.is_none()
        {
            *slot = Some(env.clone());
        }
    });
    // While a panic unwinds, the standard library refuses to change the hook.
    if std::thread::panicking() {
        return;
    }
    let hook = std::panic::take_hook();
    std::panic::set_hook(match address(&hook) == OURS.get() {
        true => hook,
        false => {
            let ours: Hook = Box::new(move |info| {
                let is_outermost = !REPORTING.replace(true);
                if is_outermost {
                    report(info);
                }
                hook(info);
                if is_outermost {
                    REPORTING.set(false);
                }
            });
            OURS.set(address(&ours));
            ours
        }
    });
}

/// Installs one more panic hook, the first time it is called for `is_armed`. It is for check-ins
/// and logs that are sent when a panic ends the WebAssembly instance. The crate's own hook reports
/// the panic first. Then this hook calls `before`, the earlier hook, and `after`.
pub(crate) fn around(
    env: &Env,
    is_armed: &'static LocalKey<Cell<bool>>,
    before: fn(&Workerd<'static>),
    after: fn(&Workerd<'static>),
) {
    if is_armed.replace(true) {
        return;
    }
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        let runtime = self::env().map(|env| Workerd::owned(&env));
        runtime.iter().for_each(before);
        hook(info);
        runtime.iter().for_each(after);
    }));
    arm(env);
}

/// The `env` that the first wrapped handler stored.
pub(crate) fn env() -> Option<Env> {
    ENV.with(|slot| slot.try_borrow().ok()?.clone())
}

fn address(hook: &Hook) -> usize {
    std::ptr::from_ref(&**hook).cast::<()>().addr()
}

// ANCHOR: report
/// Reports a panic. Whatever is missing for that, it returns quietly.
fn report(info: &PanicHookInfo<'_>) {
    let Some(env) = env() else {
        return;
    };
    let text = info.payload_as_str().unwrap_or("a panic without a message");
    let runtime = Workerd::owned(&env);
    if !is_news(text) {
        // The error was reported; the trap that follows is not to be told as well.
        runtime.will_trap();
        return;
    }
    let at = info.location().map(|location| Frame {
        filename: Some(location.file().to_owned()),
        lineno: Some(location.line().into()),
        colno: Some(location.column().into()),
        // A dependency's path is absolute.
        in_app: (!location.file().starts_with('/')).then_some(true),
        ..Frame::default()
    });
    let mut draft = Draft::of_panic(text, at, Place::default());
    draft.take_way(&runtime);
    leave(&runtime, shared(), Scope::current(), draft);
}

/// Leaves the report with whoever can wait for its delivery, or sends it now.
fn leave(runtime: &impl Runtime, isolate: &Shared, scope: Option<Rc<Scope>>, mut draft: Draft) {
    if let Some(scope) = scope {
        scope.complete(&mut draft, None);
        // A constructor cannot wait.
        let can_wait = scope.place().handler != Some(Handler::New);
        if cfg!(panic = "unwind") && can_wait {
            scope.leave_panic(draft);
            return;
        }
    }
    let most_ms = CAPTURE_MS as u32;
    // What a constructor that panicked has started is dropped by the runtime. Where no run is
    // known, it may be a constructor that panicked.
    let place = &draft.details.place;
    let may_be_dropped = *place == Place::default() || place.handler == Some(Handler::New);
    let wait = match may_be_dropped {
        true => Wait::NextInstance(most_ms),
        false => Wait::Nobody(most_ms),
    };
    send(runtime, isolate, draft, wait);
}

/// What was thrown in this isolate and handled by nobody: through a promise, or through an
/// instance that ended without a panic. It belongs to no run that is known.
pub(crate) fn unhandled(runtime: &impl Runtime) -> Vec<Draft> {
    let draft = |(value, at_ms)| {
        let mut chain = read(runtime, Subject::Value(&value));
        // wasm-bindgen's own error around what was thrown through an import.
        if chain.exceptions.len() > 1
            && chain.exceptions[0].value.as_deref() == Some("Critical error")
        {
            chain.exceptions.remove(0);
        }
        Draft::of_unhandled(chain, at_ms)
    };
    runtime.take_unhandled().into_iter().map(draft).collect()
}

/// Starts the request that carries a panic, and waits for nothing.
pub(crate) fn send(runtime: &impl Runtime, isolate: &Shared, draft: Draft, wait: Wait) {
    let sent =
        client_now(runtime, isolate).and_then(|client| exit(runtime, &client, draft.into(), wait));
    if sent.is_some() {
        runtime.debug("panic reported");
    }
    runtime.will_trap();
}
// ANCHOR_END: report

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::testing::{Fake, Thing};
    use crate::steps::slot::Isolate;

    #[test]
    fn a_panic_made_of_a_returned_error_was_reported_and_any_other_is_news() {
        let error = "x".parse::<u8>().expect_err("not a number");
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

    fn isolate() -> Shared {
        RefCell::new(Isolate::new())
    }

    fn draft() -> Draft {
        let at = Frame {
            filename: Some("src/lib.rs".to_owned()),
            lineno: Some(3),
            ..Frame::default()
        };
        Draft::of_panic("index out of bounds", Some(at), Place::default())
    }

    #[test]
    fn a_panic_that_nobody_catches_leaves_by_the_one_exit_at_once() {
        let fake = Fake::default();
        fake.world.bind("SENTRY_DSN", "https://key@s.example.com/1");
        leave(&fake, &isolate(), None, draft());
        let posted = fake.world.posted.borrow();
        let [sent] = posted.as_slice() else {
            panic!("{} requests", posted.len());
        };
        assert_eq!(f64::from(sent.timeout_ms), CAPTURE_MS);
        assert!(sent.kept, "it belongs to no run");
        let event: serde_json::Value =
            serde_json::from_str(sent.body.lines().nth(2).expect("an event")).expect("JSON");
        assert_eq!(event["level"], "fatal");
        let exception = &event["exception"]["values"][0];
        assert_eq!(exception["type"], "panic");
        assert_eq!(exception["value"], "index out of bounds");
        assert_eq!(exception["mechanism"]["type"], "panic");
        assert_eq!(exception["mechanism"]["handled"], false);
        assert_eq!(exception["stacktrace"]["frames"][0]["lineno"], 3);
        let lines = fake.world.lines.borrow();
        assert_eq!(lines[..], ["debug: panic reported", "will trap"]);
    }

    #[test]
    fn what_nobody_handled_is_told_without_the_error_around_it() {
        let fake = Fake::default();
        let cause = Thing::error("RangeError", "too many");
        let thrown = Thing::error("Error", "Critical error").caused_by(&cause);
        fake.world.unhandled.borrow_mut().push((thrown, 1_000.0));
        let [draft] = &unhandled(&fake)[..] else {
            panic!("one was thrown");
        };
        assert_eq!(draft.chain.exceptions[0].ty, "RangeError");
        assert_eq!(draft.at_ms, Some(1_000.0));
        assert!(unhandled(&fake).is_empty());
    }

    #[test]
    fn a_constructors_panic_is_sent_at_once_with_its_place_and_kept_for_the_next_instance() {
        let fake = Fake::default();
        fake.world.bind("SENTRY_DSN", "https://key@s.example.com/1");
        let scope = Scope::new(Place::new("Object", Handler::New));
        let current = scope.enter(Scope::current);
        assert!(current.is_some() && Scope::current().is_none());
        leave(&fake, &isolate(), current, draft());
        assert!(scope.take_panics().is_empty());
        let posted = fake.world.posted.borrow();
        let [sent] = posted.as_slice() else {
            panic!("{} requests", posted.len());
        };
        assert!(sent.kept);
        assert!(sent.body.contains(r#""transaction":"Object.new""#));
    }

    #[test]
    fn nothing_says_reported_where_nothing_left() {
        let fake = Fake::default();
        fake.world.bind("SENTRY_DSN", "https://key@s.example.com/1");
        fake.world.bind("SENTRY_SAMPLE_RATE", "0");
        leave(&fake, &isolate(), None, draft());
        fake.world.bindings.borrow_mut().clear();
        leave(&fake, &isolate(), None, draft());
        assert!(fake.world.posted.borrow().is_empty());
        let lines = fake.world.lines.borrow();
        assert!(
            !lines.iter().any(|line| line.contains("reported")),
            "{lines:?}"
        );
    }

    #[test]
    fn a_panic_that_a_wrapper_catches_is_left_with_its_scope() {
        let fake = Fake::default();
        fake.world.bind("SENTRY_DSN", "https://key@s.example.com/1");
        let scope = Scope::new(Place::new("Object", Handler::Alarm));
        leave(&fake, &isolate(), Some(Rc::clone(&scope)), draft());
        assert!(fake.world.posted.borrow().is_empty());
        let [left] = &scope.take_panics()[..] else {
            panic!("one panic was left");
        };
        assert_eq!(left.details.place, Place::new("Object", Handler::Alarm));
    }
}
