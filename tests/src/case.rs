//! One test, and what it says when it fails.
//!
//! A failure in a test of processes is rarely explained by the assertion alone,
//! so the end of every log that the test used follows it.

use std::any::Any;
use std::cell::RefCell;
use std::fmt::Write;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Arc;

use libtest_mimic::{Failed, Trial};

use crate::process::Log;

/// Lines of each log that a failure shows.
const TAIL: usize = 40;

thread_local! {
    static CURRENT: RefCell<Option<Current>> = const { RefCell::new(None) };
}

/// What is known about the test that runs on this thread.
#[derive(Default)]
struct Current {
    logs: Vec<Arc<Log>>,
    place: Option<String>,
}

/// A test. Its name is the rule it proves; it fails by panicking.
pub fn test(name: &str, run: impl FnOnce() + Send + 'static) -> Trial {
    Trial::test(name, move || explained(run))
}

/// Runs what may panic.
///
/// # Errors
///
/// If it did, with the message and the ends of the logs.
pub fn explained<T>(run: impl FnOnce() -> T) -> Result<T, Failed> {
    CURRENT.set(Some(Current::default()));
    let outcome = catch_unwind(AssertUnwindSafe(run));
    let current = CURRENT.take().unwrap_or_default();
    outcome.map_err(|panic| explain(panic, &current))
}

/// Adds a log to what the running test shows if it fails.
pub(crate) fn uses(log: &Arc<Log>) {
    CURRENT.with_borrow_mut(|current| {
        if let Some(current) = current
            && !current.logs.iter().any(|known| Arc::ptr_eq(known, log))
        {
            current.logs.push(Arc::clone(log));
        }
    });
}

/// Keeps a test's panic out of the middle of the other tests' lines: its message
/// belongs to its own report, at the end.
pub fn report_panics_with_their_test() {
    let usual = take_hook();
    set_hook(Box::new(move |panic| {
        let of_a_test = CURRENT.with_borrow_mut(|current| {
            let Some(current) = current else { return false };
            current.place = panic.location().map(ToString::to_string);
            true
        });
        if !of_a_test {
            usual(panic);
        }
    }));
}

/// A panic's message.
pub(crate) fn message(panic: Box<dyn Any + Send>) -> String {
    match panic.downcast::<String>() {
        Ok(text) => *text,
        Err(panic) => match panic.downcast::<&'static str>() {
            Ok(text) => (*text).to_owned(),
            Err(_) => "a panic without a message".to_owned(),
        },
    }
}

fn explain(panic: Box<dyn Any + Send>, current: &Current) -> Failed {
    let mut text = message(panic);
    if let Some(place) = &current.place {
        let _ = write!(text, "\n    at {place}");
    }
    for log in &current.logs {
        let _ = write!(text, "\n--- the end of {}", log.name());
        let lines = log.lines();
        for line in &lines[lines.len().saturating_sub(TAIL)..] {
            let _ = write!(text, "\n  | {line}");
        }
    }
    text.into()
}
