//! How many requests a client may make in a window of time.
//!
//! This module needs nothing of the platform, so plain `cargo test`
//! covers it.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A number of requests in each window of time.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    /// Requests a client may make in one window.
    pub requests: u32,
    /// The window's length in milliseconds.
    pub window_ms: u64,
}

/// A client's current window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    started_ms: u64,
    requests: u32,
}

/// The answer to one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "verdict")]
pub enum Verdict {
    /// The request is allowed.
    Allowed {
        /// The number of requests left in this window.
        remaining: u32,
    },
    /// The request is refused.
    Denied {
        /// Seconds until the window ends, at least one.
        retry_after_s: u64,
    },
}

// ANCHOR: unreadable
/// A stored window that cannot be read back.
#[derive(Debug, Error)]
#[error("the window of client `{client}` cannot be read")]
pub struct UnreadableWindow {
    /// Whose window it is.
    pub client: String,
    /// What the reader choked on.
    pub source: serde_json::Error,
}
// ANCHOR_END: unreadable

impl Limit {
    /// Counts one request, in the client's window or in a new one.
    pub fn admit(&self, window: Option<Window>, now_ms: u64) -> (Window, Verdict) {
        let mut window = window
            .filter(|window| !self.has_expired(window, now_ms))
            .unwrap_or(Window {
                started_ms: now_ms,
                requests: 0,
            });
        if window.requests >= self.requests {
            let left_ms = self.end_ms(&window).saturating_sub(now_ms);
            let retry_after_s = left_ms.div_ceil(1_000).max(1);
            return (window, Verdict::Denied { retry_after_s });
        }
        window.requests += 1;
        let remaining = self.requests - window.requests;
        (window, Verdict::Allowed { remaining })
    }

    /// Whether this window has ended and can be forgotten.
    pub fn has_expired(&self, window: &Window, now_ms: u64) -> bool {
        now_ms >= self.end_ms(window)
    }

    fn end_ms(&self, window: &Window) -> u64 {
        window.started_ms.saturating_add(self.window_ms)
    }
}

impl Window {
    /// The form in which a window is stored.
    pub fn to_stored(self) -> String {
        format!(
            r#"{{"started_ms":{},"requests":{}}}"#,
            self.started_ms, self.requests
        )
    }

    /// Reads a stored window back.
    ///
    /// # Errors
    ///
    /// If the text is not what [`Window::to_stored`] writes.
    pub fn from_stored(client: &str, stored: &str) -> Result<Self, UnreadableWindow> {
        serde_json::from_str(stored).map_err(|source| UnreadableWindow {
            client: client.to_owned(),
            source,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Limit = Limit {
        requests: 2,
        window_ms: 10_000,
    };

    #[test]
    fn a_client_is_admitted_up_to_the_limit_and_then_told_when_to_return() {
        let (window, first) = LIMIT.admit(None, 1_000);
        let (window, second) = LIMIT.admit(Some(window), 2_000);
        let (window, third) = LIMIT.admit(Some(window), 3_001);
        assert_eq!(first, Verdict::Allowed { remaining: 1 });
        assert_eq!(second, Verdict::Allowed { remaining: 0 });
        assert_eq!(third, Verdict::Denied { retry_after_s: 8 });
        let (_, at_the_end) = LIMIT.admit(Some(window), 10_999);
        assert_eq!(at_the_end, Verdict::Denied { retry_after_s: 1 });
    }

    #[test]
    fn a_new_window_starts_when_the_old_one_has_expired() {
        let (window, _) = LIMIT.admit(None, 0);
        let (window, _) = LIMIT.admit(Some(window), 0);
        assert!(!LIMIT.has_expired(&window, 9_999));
        assert!(LIMIT.has_expired(&window, 10_000));
        let (_, verdict) = LIMIT.admit(Some(window), 10_000);
        assert_eq!(verdict, Verdict::Allowed { remaining: 1 });
    }

    #[test]
    fn a_window_survives_storage() {
        let (window, _) = LIMIT.admit(None, 42);
        let read = Window::from_stored("a", &window.to_stored());
        assert_eq!(read.expect("our own text"), window);
    }

    #[test]
    fn an_unreadable_window_names_its_client_and_its_cause() {
        let error = Window::from_stored("alice", "{").expect_err("not JSON");
        assert_eq!(
            error.to_string(),
            "the window of client `alice` cannot be read"
        );
        let cause = std::error::Error::source(&error).expect("a cause");
        assert!(cause.to_string().contains("EOF"), "{cause}");
    }
}
