//! Polling with a deadline, so that no test sleeps for a fixed time.

use std::fmt::Debug;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::environment;

/// Long enough for anything that works, on a busy machine.
pub const LIMIT: Duration = Duration::from_secs(60);
/// Long enough for the start of a program, while other programs start too.
pub const START: Duration = Duration::from_secs(180);
/// Long enough for cargo, which may have to compile everything.
pub const BUILD: Duration = Duration::from_secs(900);

/// The time between the first two attempts.
pub(crate) const PAUSE: Duration = Duration::from_millis(25);
/// The longest time between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// What divides each limit when a run stops at its first failure. Such a run looks whether a change
/// of the code is noticed, and often the sign is that something never comes.
const IMPATIENCE: u32 = 3;

/// The time until the next attempt. It is a tenth of the time so far: the wait takes a tenth longer
/// at most, and many tests that wait at once leave the machine to the Workers that they wait for.
fn pause(so_far: Duration) -> Duration {
    (so_far / 10).clamp(PAUSE, LONGEST_PAUSE)
}

/// Calls a function repeatedly until it returns a value.
///
/// # Panics
///
/// If it returns none within `limit`. The message says what was waited for.
#[track_caller]
pub fn until<T>(what: &str, limit: Duration, mut ask: impl FnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    let limit = match environment::stops_at_a_failure() {
        true => limit / IMPATIENCE,
        false => limit,
    };
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(begin.elapsed() < limit, "no {what} within {limit:?}");
        sleep(pause(begin.elapsed()));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_asks_often_at_first_and_later_twice_a_second() {
        let after = |millis| pause(Duration::from_millis(millis)).as_millis();
        assert_eq!([0, 250, 1000, 60_000].map(after), [25, 25, 100, 500]);
    }
}
