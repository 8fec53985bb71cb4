//! What a step fails with, and how it crosses to the engine and back.

use std::error::Error;
use std::fmt;
use std::rc::Rc;

use worker::wasm_bindgen::JsValue;

use super::js;
use crate::item::type_name::type_name;

/// The name by which the runtime knows an error that it must not retry. Where
/// an error's name does not survive the way to the engine, it looks for this at
/// the start of the message.
const NON_RETRYABLE: &str = "NonRetryableError";
/// The name of the engine's error for a step or an event that took too long.
const TIMEOUT: &str = "WorkflowTimeoutError";
/// How the engine marks the rejections with which it stops a run.
const INTERRUPTION: &str = "Aborting engine:";
/// Causes beyond this one do not cross.
const MAX_CAUSES: usize = 16;

/// An error that ends a step's attempts: the same thing would happen again.
///
/// Return it from a step's body, as such or as the cause of another error.
///
/// ```no_run
/// # use worker_sentry::workflow::{NonRetryableError, StepError, WorkflowStep};
/// # async fn run(step: WorkflowStep, address: String) -> Result<(), StepError> {
/// step.do_("check the address", move |_| {
///     let valid = address.contains('@');
///     async move {
///         match valid {
///             true => Ok(()),
///             false => Err(NonRetryableError::new("this is no address")),
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
    /// An error with a message of its own.
    pub fn new(message: impl Into<String>) -> Self {
        NonRetryableError {
            message: message.into(),
            source: None,
        }
    }

    /// Adds what led to it.
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

/// For bodies that return [`worker::Result`]. `worker::Error` has no place for
/// the type and the cause, so return the error itself where you can.
impl From<NonRetryableError> for worker::Error {
    fn from(error: NonRetryableError) -> Self {
        worker::Error::RustError(format!("{NON_RETRYABLE}: {error}"))
    }
}

/// Why a step failed, after its last attempt.
///
/// Its [`source`](Error::source) is the error that the step's body returned. If
/// the step failed in an earlier run of the Workflow, or for a reason outside of
/// its body, such as a timeout, the source is a [`worker::Error`] instead.
///
/// ```no_run
/// # use worker_sentry::workflow::{StepError, WorkflowStep};
/// # async fn fetch() -> worker::Result<u32> { Ok(1) }
/// async fn lines(step: &WorkflowStep) -> Result<u32, StepError> {
///     match step.do_("fetch", |_| fetch()).await {
///         Err(error) if error.is_timeout() => {
///             worker::console_warn!("`{}` took too long", error.step());
///             Ok(0)
///         }
///         lines => lines,
///     }
/// }
/// ```
#[derive(Clone)]
pub struct StepError {
    step: String,
    failure: Failure,
}

impl StepError {
    pub(super) fn new(step: &str, failure: Failure) -> Self {
        StepError {
            step: step.to_owned(),
            failure,
        }
    }

    /// The name of the step.
    pub fn step(&self) -> &str {
        &self.step
    }

    /// Whether the last attempt, or the event waited for, took too long.
    pub fn is_timeout(&self) -> bool {
        let thrown = &self.failure.thrown;
        is_named(TIMEOUT, &js::name(thrown), &js::message(thrown))
    }
}

impl fmt::Debug for StepError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StepError")
            .field("step", &self.step)
            .field("error", &self.failure.error)
            .finish()
    }
}

impl fmt::Display for StepError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the step `{}` failed", self.step)
    }
}

impl Error for StepError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.failure.error)
    }
}

/// For a `run` that returns [`worker::Result`]: the runtime gets to see the
/// step's own error.
impl From<StepError> for worker::Error {
    fn from(error: StepError) -> Self {
        error.failure.thrown.into()
    }
}

/// An error on this side of the border and on the other.
#[derive(Clone)]
pub(super) struct Failure {
    pub(super) error: Rc<dyn Error>,
    pub(super) thrown: JsValue,
}

impl Failure {
    /// What a step's body returned.
    pub(super) fn returned(error: Box<dyn Error>) -> Self {
        let error = unwrapped(error);
        Failure {
            thrown: to_js(&*error),
            error: error.into(),
        }
    }

    /// What the engine rejected with.
    pub(super) fn thrown(thrown: JsValue) -> Self {
        Failure {
            error: Rc::new(worker::Error::from(thrown.clone())),
            thrown,
        }
    }

    /// What went wrong on our side of a call.
    pub(super) fn ours(error: worker::Error) -> Self {
        Failure {
            thrown: error.to_js_value(),
            error: Rc::new(error),
        }
    }

    /// Whether the engine's `rejection` is this failure, come back.
    pub(super) fn is(&self, rejection: &JsValue) -> bool {
        is_same(&js::message(&self.thrown), &js::message(rejection))
    }
}

/// Whether the engine's rejection tells `run` to stop rather than that
/// something failed.
pub(super) fn is_interruption(message: &str) -> bool {
    message.starts_with(INTERRUPTION)
}

/// Whether an error has a name, be it as its name or, where that does not
/// survive the way, at the start of its message.
fn is_named(expected: &str, name: &str, message: &str) -> bool {
    name == expected || message.starts_with(expected)
}

/// Undoes [`NonRetryableError`]'s conversion into `worker::Error`.
fn unwrapped(error: Box<dyn Error>) -> Box<dyn Error> {
    match error.downcast_ref() {
        Some(worker::Error::RustError(message)) => match without_name(message) {
            Some(message) => NonRetryableError::new(message).into(),
            None => error,
        },
        _ => error,
    }
}

/// The rest of a message that starts with the name of an error not to be retried.
fn without_name(message: &str) -> Option<&str> {
    let rest = message.strip_prefix(NON_RETRYABLE)?;
    Some(rest.strip_prefix(": ").unwrap_or(rest))
}

/// The name may have moved into the message on the way.
fn is_same(sent: &str, received: &str) -> bool {
    match received.strip_suffix(sent) {
        Some("") => true,
        Some(name) => !sent.is_empty() && name.ends_with(": "),
        None => false,
    }
}

/// The message to show for an error that must not be retried.
fn non_retryable(error: &(dyn Error + 'static)) -> Option<String> {
    let mut chain = std::iter::successors(Some(error), |&error| error.source());
    if chain.any(|error| error.is::<NonRetryableError>()) {
        return Some(error.to_string());
    }
    // The engine would not retry this one either, whatever its name.
    without_name(&error.to_string()).map(str::to_owned)
}

/// An error of JavaScript with the name, the message and the causes of one of
/// Rust.
fn to_js(error: &(dyn Error + 'static)) -> JsValue {
    if let Some(message) = non_retryable(error) {
        let thrown = js::new_non_retryable(&message);
        set_cause(&thrown, error, MAX_CAUSES);
        return thrown.into();
    }
    to_js_with_causes(error, MAX_CAUSES)
}

fn to_js_with_causes(error: &(dyn Error + 'static), causes: usize) -> JsValue {
    // What came from JavaScript goes back as it was.
    if let Some(
        worker::Error::UnknownJsError { original, .. } | worker::Error::Internal(original),
    ) = error.downcast_ref()
    {
        return original.clone();
    }
    let thrown = js::new_error(&type_name(error, None), &error.to_string());
    set_cause(&thrown, error, causes);
    thrown.into()
}

fn set_cause(thrown: &worker::js_sys::Error, error: &(dyn Error + 'static), causes: usize) {
    if let Some(source) = error.source()
        && causes > 0
    {
        thrown.set_cause(&to_js_with_causes(source, causes - 1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    enum CompileError {
        #[error("nothing to compile")]
        Empty(#[source] NonRetryableError),
        #[error("the list is away")]
        Away,
    }

    #[test]
    fn a_non_retryable_error_is_found_anywhere_in_the_chain() {
        let bare = NonRetryableError::new("no");
        assert_eq!(non_retryable(&bare), Some("no".into()));
        let cause = CompileError::Empty(NonRetryableError::new("no"));
        assert_eq!(non_retryable(&cause), Some("nothing to compile".into()));
        assert_eq!(non_retryable(&CompileError::Away), None);
    }

    #[test]
    fn a_non_retryable_error_survives_as_a_worker_error() {
        let error = worker::Error::from(NonRetryableError::new("no: never"));
        assert_eq!(non_retryable(&error), Some("no: never".into()));
        let error = unwrapped(error.into());
        assert!(error.is::<NonRetryableError>());
        assert_eq!(error.to_string(), "no: never");
        let error = worker::Error::RustError("no: never".into());
        assert_eq!(non_retryable(&error), None);
        assert!(unwrapped(error.into()).is::<worker::Error>());
    }

    #[test]
    fn the_cause_of_a_non_retryable_error_is_its_source() {
        let error = NonRetryableError::new("no").caused_by(CompileError::Away);
        assert!(error.source().unwrap().is::<CompileError>());
    }

    #[test]
    fn only_the_engines_own_rejections_are_interruptions() {
        assert!(is_interruption("Aborting engine: User called pause"));
        assert!(!is_interruption("Execution timed out after 100ms"));
        assert!(!is_interruption(""));
    }

    #[test]
    fn a_timeout_is_known_by_its_name_wherever_that_is() {
        let message = "Execution timed out after 1ms";
        assert!(is_named(TIMEOUT, TIMEOUT, message));
        assert!(is_named(TIMEOUT, "Error", &format!("{TIMEOUT}: {message}")));
        assert!(!is_named(TIMEOUT, "Error", message));
    }

    #[test]
    fn an_error_is_recognised_when_it_comes_back() {
        assert!(is_same("no list", "no list"));
        assert!(is_same("no list", "CompileError: no list"));
        assert!(is_same("", ""));
        assert!(!is_same("", "Execution timed out after 100ms"));
        assert!(!is_same("no list", "Execution timed out after 100ms"));
        assert!(!is_same("list", "no list"));
    }
}
