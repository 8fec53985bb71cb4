//! Polling with a deadline. No test sleeps for a fixed time and hopes.

use std::fmt::Debug;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Long enough for anything that works at all, on a busy machine.
pub const LIMIT: Duration = Duration::from_secs(60);
/// The same for a program's start, when all the others start too.
pub const START: Duration = Duration::from_secs(180);
/// The same for cargo, which may have to compile everything anew.
pub const BUILD: Duration = Duration::from_secs(900);

/// Between one look and the next.
pub(crate) const PAUSE: Duration = Duration::from_millis(25);

/// Asks again and again until there is an answer.
///
/// # Panics
///
/// If there is none within `limit`. The message says what was waited for.
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

/// Asks again and again and gets nothing else but `expected`.
///
/// For what must not happen. It takes the whole time, so it is for the few cases
/// where nothing else tells that the time for it is over.
///
/// # Panics
///
/// If there is another answer within `time`.
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
