//! The errors of steps.

use std::error::Error;
use std::fmt;
use std::rc::Rc;

use worker::wasm_bindgen::JsValue;

use super::js;
use super::thrown::{Outgoing, Thrown, unwrapped};

/// The error by which the Workflow failed, as a rollback gets it: see
/// [`WorkflowRollbackContext`](super::WorkflowRollbackContext).
///
/// It has the parts that the runtime kept of the error that `run` returned. The error that
/// [`do_`](super::WorkflowStep::do_) returns is a [`StepFailure`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepError {
    /// The error's name. Empty if the runtime kept none.
    pub name: String,
    /// The error's message.
    pub message: String,
}

impl From<Thrown> for StepError {
    fn from(thrown: Thrown) -> Self {
        let Thrown { name, message } = thrown;
        StepError { name, message }
    }
}

impl fmt::Display for StepError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.message)
    }
}

impl Error for StepError {}

/// Why a step failed, after its last attempt.
///
/// The failure's [`source`](Error::source) is the error that the step's body returned. If
/// the step failed in an earlier run of the Workflow, or for a reason outside of
/// its body, such as a timeout, the source is a [`worker::Error`] instead.
///
/// ```no_run
/// # use worker_sentry::workflow::{StepFailure, WorkflowStep};
/// # async fn fetch() -> worker::Result<u32> { Ok(1) }
/// async fn lines(step: &WorkflowStep) -> Result<u32, StepFailure> {
///     match step.do_("fetch", |_| fetch()).await {
///         Err(failure) if failure.is_timeout() => {
///             worker::console_warn!("`{}` took too long", failure.step());
///             Ok(0)
///         }
///         lines => lines,
///     }
/// }
/// ```
#[derive(Clone)]
pub struct StepFailure {
    step: String,
    attempt: Option<u32>,
    failure: Failure,
}

impl StepFailure {
    pub(super) fn new(step: &str, attempt: Option<u32>, failure: Failure) -> Self {
        StepFailure {
            step: step.to_owned(),
            attempt,
            failure,
        }
    }

    /// The name of the step.
    pub fn step(&self) -> &str {
        &self.step
    }

    /// The number of the last attempt, counted from 1. `None` if this run made no attempt,
    /// because the step failed in an earlier run or has no attempts.
    pub fn attempt(&self) -> Option<u32> {
        self.attempt
    }

    /// Whether `error` is the source of this failure. Compares the addresses, so that an equal
    /// error is not taken for it.
    pub(super) fn comes_from(&self, error: &(dyn Error + 'static)) -> bool {
        std::ptr::addr_eq(&raw const *self.failure.error, error)
    }

    /// Whether the step failed because its last attempt or the awaited event took too long.
    pub fn is_timeout(&self) -> bool {
        js::read_thrown(&self.failure.thrown).is_timeout()
    }
}

impl fmt::Debug for StepFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StepFailure")
            .field("step", &self.step)
            .field("attempt", &self.attempt)
            .field("error", &self.failure.error)
            .finish()
    }
}

impl fmt::Display for StepFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the step `{}` failed", self.step)
    }
}

impl Error for StepFailure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.failure.error)
    }
}

/// For a `run` that returns [`worker::Result`]: the runtime gets the step's own error.
impl From<StepFailure> for worker::Error {
    fn from(failure: StepFailure) -> Self {
        failure.failure.thrown.into()
    }
}

/// An error in its form in Rust and its form in JavaScript.
#[derive(Clone)]
pub(super) struct Failure {
    pub(super) error: Rc<dyn Error>,
    pub(super) thrown: JsValue,
}

impl Failure {
    /// The failure of an error that a step's body returned.
    pub(super) fn returned(error: Box<dyn Error>) -> Self {
        let error = unwrapped(error);
        Failure {
            thrown: js::make_thrown(Outgoing::of(&*error)),
            error: error.into(),
        }
    }

    /// The failure of a value with which the engine rejected.
    pub(super) fn thrown(thrown: JsValue) -> Self {
        Failure {
            error: Rc::new(worker::Error::from(thrown.clone())),
            thrown,
        }
    }

    /// The failure of an error that came up in this crate.
    pub(super) fn ours(error: worker::Error) -> Self {
        Failure {
            thrown: error.to_js_value(),
            error: Rc::new(error),
        }
    }

    /// Whether the engine's `rejection` is this failure, returned by the engine.
    pub(super) fn is(&self, rejection: &Thrown) -> bool {
        rejection.is_return_of(&js::read_thrown(&self.thrown).message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rollbacks_error_has_the_name_and_the_message_of_what_was_thrown() {
        let error = StepError::from(Thrown {
            name: "CompileError".into(),
            message: "no list".into(),
        });
        assert_eq!((&*error.name, &*error.message), ("CompileError", "no list"));
        assert_eq!(error.to_string(), "CompileError: no list");
    }
}
