//! The error after which a step must not be tried again.

use std::error::Error;
use std::fmt;

/// The name by which the runtime recognises an error that it must not retry. If the
/// error's name is lost on the way to the engine, the runtime looks for this name at the
/// start of the message.
pub(super) const NON_RETRYABLE: &str = "NonRetryableError";

/// An error that ends a step's attempts, because another attempt would fail in the same way.
///
/// Return it from a step's body, directly or as a cause of another error.
///
/// ```no_run
/// # use worker_sentry::workflow::{NonRetryableError, StepFailure, WorkflowStep};
/// # async fn run(step: WorkflowStep, address: String) -> Result<(), StepFailure> {
/// step.do_("check the address", move |_| {
///     let valid = address.contains('@');
///     async move {
///         match valid {
///             true => Ok(()),
///             false => Err(NonRetryableError::new("this is not an address")),
///         }
///     }
/// })
/// .await
/// # }
/// ```
#[derive(Debug)]
pub struct NonRetryableError {
    message: String,
    source: Option<Box<dyn Error>>,
}

impl NonRetryableError {
    /// Makes an error with a message.
    pub fn new(message: impl Into<String>) -> Self {
        NonRetryableError {
            message: message.into(),
            source: None,
        }
    }

    /// Sets the cause of the error.
    ///
    /// ```
    /// # use worker_sentry::workflow::NonRetryableError;
    /// let cause = "x".parse::<u32>().unwrap_err();
    /// let error = NonRetryableError::new("the list has no size").caused_by(cause);
    /// assert_eq!(error.to_string(), "the list has no size");
    /// ```
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn Error>>) -> Self {
        self.source = Some(source.into());
        self
    }
}

impl fmt::Display for NonRetryableError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for NonRetryableError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref()
    }
}

/// For bodies that return [`worker::Result`]. A `worker::Error` cannot hold the type and the
/// cause, so return a [`NonRetryableError`] itself where you can.
impl From<NonRetryableError> for worker::Error {
    fn from(error: NonRetryableError) -> Self {
        worker::Error::RustError(format!("{NON_RETRYABLE}: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cause_of_a_non_retryable_error_is_its_source() {
        let cause = "x".parse::<u32>().expect_err("not a number");
        let error = NonRetryableError::new("no").caused_by(cause.clone());
        let source = error.source().and_then(|source| source.downcast_ref());
        assert_eq!(source, Some(&cause));
    }
}
