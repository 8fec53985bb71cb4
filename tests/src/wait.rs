//! Polling with a deadline. No test sleeps for a fixed time and hopes.

use std::thread::sleep;
use std::time::{Duration, Instant};

/// Long enough for anything that works at all, on a busy machine.
pub const LIMIT: Duration = Duration::from_secs(60);

const PAUSE: Duration = Duration::from_millis(25);

/// Asks again and again until there is an answer.
///
/// # Panics
///
/// If there is none within `limit`. The message says what was waited for.
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
