//! Polling with a deadline, so that no test sleeps for a fixed time.

use std::fmt::Debug;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Long enough for anything that works, on a busy machine.
pub const LIMIT: Duration = Duration::from_secs(60);
/// Long enough for the start of a program, while other programs start too.
pub const START: Duration = Duration::from_secs(180);
/// Long enough for cargo, which may have to compile everything.
pub const BUILD: Duration = Duration::from_secs(900);

/// The time between two attempts.
pub(crate) const PAUSE: Duration = Duration::from_millis(25);

/// Calls a function repeatedly until it returns a value.
///
/// # Panics
///
/// If it returns none within `limit`. The message says what was waited for.
#[track_caller]
pub fn until<T>(what: &str, limit: Duration, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "no {what} within {limit:?}");
        sleep(PAUSE);
    }
}

/// Calls a function repeatedly and checks that it always returns `expected`.
///
/// This is for something that must not happen. It takes the whole time, so it is only for cases in
/// which nothing else shows that it can no longer happen.
///
/// # Panics
///
/// If it returns another value within `time`.
#[track_caller]
pub fn stays<T: PartialEq + Debug>(
    what: &str,
    expected: T,
    time: Duration,
    mut ask: impl FnMut() -> T,
) {
    let deadline = Instant::now() + time;
    while Instant::now() < deadline {
        assert_eq!(ask(), expected, "{what}");
        sleep(PAUSE);
    }
}
