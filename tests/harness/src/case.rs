//! One test, and the message of its failure.
//!
//! The failed assertion alone rarely explains a failure in a test of processes.
//! So the end of every log that the test used follows it. A test that passes leaves
//! a note of what it used, from which the book names the tests that prove a listing.

use std::any::Any;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::process::exit;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use libtest_mimic::Failed;
pub use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::coverage;
use crate::environment;
use crate::process::Log;
use crate::run::end;

/// How many lines of each log a failure shows.
const TAIL: usize = 40;
/// How many tests of a run may pass only on the second attempt.
const MAX_FLAKY: usize = 3;

thread_local! {
    static CURRENT: RefCell<Option<Current>> = const { RefCell::new(None) };
}

/// The state of the test that runs on this thread.
#[derive(Default)]
struct Current {
    logs: Vec<Arc<Log>>,
    place: Option<String>,
    used: BTreeSet<String>,
    name: Option<String>,
    /// How many shared fixtures are being made at the moment, one inside another.
    aside: u32,
}

/// What each passed test has used.
static PASSED: Mutex<BTreeMap<String, BTreeSet<String>>> = Mutex::new(BTreeMap::new());

/// The tests that passed only on the second attempt.
static FLAKY: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// How long each test took.
static TOOK: Mutex<Vec<(Duration, String)>> = Mutex::new(Vec::new());

/// How long each test took, the slowest first. This is for looking at, and no test checks it.
pub fn times() -> String {
    let mut took = TOOK.lock().unwrap_or_else(PoisonError::into_inner).clone();
    took.sort_by(|a, b| b.cmp(a));
    let lines = took
        .iter()
        .map(|(took, name)| format!("{:7.1} s  {name}\n", took.as_secs_f64()));
    lines.collect()
}

/// Defines the function `trials` of a module, with its tests. Each test is the name of a function,
/// and that name is the rule that it proves. `..more()` adds the tests that another function makes.
#[macro_export]
macro_rules! trials {
    ($($rule:ident),* $(,)?) => {
        $crate::trials![$($rule,)* ..None::<$crate::case::Trial>];
    };
    ($($rule:ident,)* $(..$more:expr),* $(,)?) => {
        pub fn trials() -> Vec<$crate::case::Trial> {
            let mut trials = vec![$($crate::trial!($rule)),*];
            $(trials.extend($more);)*
            trials
        }
    };
}

/// Makes one test of a module: of a function whose name is the rule that it proves, or of a rule
/// and a closure that proves it.
#[macro_export]
macro_rules! trial {
    ($rule:ident) => {
        $crate::trial!(stringify!($rule), $rule)
    };
    ($rule:expr, $run:expr $(,)?) => {
        $crate::case::test(module_path!(), &$rule, $run)
    };
}

/// Makes a test. Its name is the module's file and the rule. It fails by panicking.
///
/// A test that fails is tried again, because a wait that is usually long enough can be too short on
/// a busy machine. A test that then passes is flaky: its first failure is printed, and
/// [`are_too_many_flaky`] limits how many a run may have. A test that fails twice fails with the
/// first message: the second attempt often fails because the first one has left something.
pub fn test(module: &str, rule: &str, run: impl Fn() + Send + 'static) -> Trial {
    let file = module.split("::").nth(1).unwrap_or(module);
    let named = format!("{file}::{rule}");
    Trial::test(named.clone(), move || {
        let begin = Instant::now();
        let (mut outcome, mut used) = run_noted(Some(named.clone()), &run);
        // While lines are counted nothing is tried again: counters belong to one attempt.
        if let Err(failed) = &outcome
            && !coverage::is_on()
            && !environment::stops_at_a_failure()
        {
            let first = failed.message().unwrap_or_default().to_owned();
            let (again, now_used) = run_noted(Some(named.clone()), &run);
            if again.is_ok() {
                eprintln!("\nFLAKY {named}: it failed, and passed when tried again. {first}\n");
                flaky().push(named.clone());
                (outcome, used) = (again, now_used);
            }
        }
        let mut took = TOOK.lock().unwrap_or_else(PoisonError::into_inner);
        took.push((begin.elapsed(), named.clone()));
        drop(took);
        coverage::ended(&named, outcome.is_ok());
        if outcome.is_ok() {
            passed().insert(named, used);
        } else if environment::stops_at_a_failure() {
            println!("test {named} ... FAILED");
            end();
            exit(1);
        }
        outcome
    })
}

/// A message with the names of the flaky tests, if there are more of them than chance explains.
pub fn are_too_many_flaky() -> Option<String> {
    let flaky = flaky();
    (flaky.len() > MAX_FLAKY).then(|| {
        format!(
            "{} tests passed only when they were tried again, and {MAX_FLAKY} may: {}",
            flaky.len(),
            flaky.join(", ")
        )
    })
}

fn flaky() -> std::sync::MutexGuard<'static, Vec<String>> {
    FLAKY.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs a closure that may panic.
///
/// # Errors
///
/// If it panics, with the message and the ends of the logs.
pub fn explained<T>(run: impl FnOnce() -> T) -> Result<T, Failed> {
    run_noted(None, run).0
}

fn run_noted<T>(
    name: Option<String>,
    run: impl FnOnce() -> T,
) -> (Result<T, Failed>, BTreeSet<String>) {
    CURRENT.set(Some(Current {
        name,
        ..Current::default()
    }));
    let outcome = catch_unwind(AssertUnwindSafe(run));
    let mut current = CURRENT.take().unwrap_or_default();
    let used = std::mem::take(&mut current.used);
    (outcome.map_err(|panic| explain(panic, &current)), used)
}

fn passed() -> std::sync::MutexGuard<'static, BTreeMap<String, BTreeSet<String>>> {
    PASSED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What each passed test has used, as JSON. A test is left out if it needs a build or a program
/// that not every machine has.
pub fn record() -> Value {
    let mut passed = passed().clone();
    let rare = ["worker unwinding", "sentry-cli", "cargo install"];
    passed.retain(|_, used| !rare.iter().any(|it| used.contains(*it)));
    json!(passed)
}

/// Notes that the running test used something. Fixtures call this. A use that depends on chance,
/// such as a number of attempts, must not be noted.
pub fn used(what: impl Into<String>) {
    CURRENT.with_borrow_mut(|current| {
        if let Some(current) = current {
            current.used.insert(what.into());
        }
    });
}

/// Makes a shared fixture without noting what it uses, since only one of the tests makes it.
pub(crate) fn aside<T>(run: impl FnOnce() -> T) -> T {
    let before = CURRENT.with_borrow_mut(|current| {
        let current = current.as_mut()?;
        current.aside += 1;
        Some(current.used.clone())
    });
    let made = run();
    CURRENT.with_borrow_mut(|current| {
        if let (Some(current), Some(before)) = (current, before) {
            current.used = before;
            current.aside -= 1;
        }
    });
    made
}

/// Whether this thread is making a shared fixture.
pub(crate) fn is_aside() -> bool {
    CURRENT.with_borrow(|current| current.as_ref().is_some_and(|it| it.aside > 0))
}

/// The name of the test on this thread.
pub(crate) fn name() -> Option<String> {
    CURRENT.with_borrow(|current| current.as_ref()?.name.clone())
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

/// Keeps the message of a test's panic out of the other tests' output: the message is part of the
/// test's own report, at the end.
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
