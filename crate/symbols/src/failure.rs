//! What is said when a step cannot be done.

use std::fmt;

/// Why a step was refused or failed, and what the user does about it.
///
/// Every failure has both halves, so that no message leaves its reader alone.
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
    /// `what` happened, and what is `todo` now.
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

    /// What the user does about it.
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
