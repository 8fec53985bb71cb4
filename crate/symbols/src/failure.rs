//! The error type of this crate.

use std::fmt;

/// Why an operation was refused or failed, and what the user can do about it.
///
/// Every failure has both parts, so that every message tells its reader what to do.
///
/// ```
/// let failure = worker_sentry_symbols::Failure::new("no file", "run worker-build");
/// assert_eq!(failure.to_string(), "no file\n  what to do: run worker-build");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    what: String,
    todo: String,
}

impl Failure {
    /// Makes a failure: `what` happened, and `todo` is what the user can do.
    pub fn new(what: impl Into<String>, todo: impl Into<String>) -> Self {
        Failure {
            what: what.into(),
            todo: todo.into(),
        }
    }

    /// What happened.
    pub fn what(&self) -> &str {
        &self.what
    }

    /// What the user can do about it.
    pub fn todo(&self) -> &str {
        &self.todo
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n  what to do: {}", self.what, self.todo)
    }
}

impl std::error::Error for Failure {}
