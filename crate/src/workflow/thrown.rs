//! Errors that go to the engine and come back, as plain data. All decisions about them are made
//! here, without JavaScript; `js` only reads and makes the JavaScript values.

use std::error::Error;

use worker::KvError;
use worker::wasm_bindgen::JsValue;

use super::non_retryable::{NON_RETRYABLE, NonRetryableError};
use crate::item::type_name::type_name;

/// The name of the engine's error for a step or an event that took too long.
const TIMEOUT: &str = "WorkflowTimeoutError";
/// The start of the message of a rejection by which the engine stops a run.
const INTERRUPTION: &str = "Aborting engine:";
/// How many causes of an error are passed to the engine.
const MAX_CAUSES: usize = 16;

/// The parts of a thrown value that are read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Thrown {
    /// The name, if the value is an error.
    pub(super) name: String,
    /// The message of an error, or a thrown text itself. Empty for any other value.
    pub(super) message: String,
}

impl Thrown {
    /// Whether the engine's rejection stops the run. `false` if it is a failure.
    pub(super) fn is_interruption(&self) -> bool {
        self.message.starts_with(INTERRUPTION)
    }

    /// Whether a step or an event took too long.
    pub(super) fn is_timeout(&self) -> bool {
        self.name == TIMEOUT || self.message.starts_with(TIMEOUT)
    }

    /// Whether this is an error with the message `sent` that this crate passed to the engine.
    /// The engine may have moved the error's name into the message.
    pub(super) fn is_return_of(&self, sent: &str) -> bool {
        match self.message.strip_suffix(sent) {
            Some("") => true,
            Some(name) => !sent.is_empty() && name.ends_with(": "),
            None => false,
        }
    }
}

/// A Rust error in the form in which it is passed to the engine.
#[derive(Debug)]
pub(super) enum Outgoing {
    /// A value that JavaScript threw. It is passed on unchanged.
    Original(JsValue),
    /// An error to make.
    Made {
        class: Class,
        message: String,
        cause: Option<Box<Outgoing>>,
    },
}

/// The class of an error to make.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// The runtime's own class of errors that must not be retried.
    NonRetryable,
    /// JavaScript's `Error`, with this name.
    Named(String),
}

impl Outgoing {
    /// The form of `error`, with its causes.
    pub(super) fn of(error: &(dyn Error + 'static)) -> Self {
        match non_retryable(error) {
            Some(message) => Outgoing::Made {
                class: Class::NonRetryable,
                message,
                cause: cause(error, MAX_CAUSES),
            },
            None => Outgoing::with_causes(error, MAX_CAUSES),
        }
    }

    fn with_causes(error: &(dyn Error + 'static), causes: usize) -> Self {
        use worker::Error::{Internal, KvError as Kv, UnknownJsError};
        match error.downcast_ref() {
            Some(
                UnknownJsError { original, .. }
                | Internal(original)
                | Kv(KvError::JavaScript(original)),
            ) => Outgoing::Original(original.clone()),
            _ => Outgoing::Made {
                class: Class::Named(type_name(error, None)),
                message: error.to_string(),
                cause: cause(error, causes),
            },
        }
    }
}

fn cause(error: &(dyn Error + 'static), causes: usize) -> Option<Box<Outgoing>> {
    let left = causes.checked_sub(1)?;
    Some(Box::new(Outgoing::with_causes(error.source()?, left)))
}

/// The message of an error that must not be retried. `None` if the error may be retried.
fn non_retryable(error: &(dyn Error + 'static)) -> Option<String> {
    let mut chain = std::iter::successors(Some(error), |&error| error.source());
    if chain.any(|error| error.is::<NonRetryableError>()) {
        return Some(error.to_string());
    }
    // The engine recognises this error by its message and does not retry it.
    without_name(&error.to_string()).map(str::to_owned)
}

/// The rest of a message that starts with [`NON_RETRYABLE`].
fn without_name(message: &str) -> Option<&str> {
    let rest = message.strip_prefix(NON_RETRYABLE)?;
    Some(rest.strip_prefix(": ").unwrap_or(rest))
}

/// Reverses the conversion of [`NonRetryableError`] into `worker::Error`.
pub(super) fn unwrapped(error: Box<dyn Error>) -> Box<dyn Error> {
    match error.downcast_ref() {
        Some(worker::Error::RustError(message)) => match without_name(message) {
            Some(message) => NonRetryableError::new(message).into(),
            None => error,
        },
        _ => error,
    }
}

/// Whether an error ends the attempts of a step or a rollback.
pub(super) fn ends_attempts(error: &(dyn Error + 'static)) -> bool {
    non_retryable(error).is_some()
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
        #[error("the list could not be read")]
        Unread(#[source] Box<CompileError>),
    }

    fn thrown(name: &str, message: &str) -> Thrown {
        let (name, message) = (name.to_owned(), message.to_owned());
        Thrown { name, message }
    }

    /// The classes and messages of an error and its causes.
    fn chain(outgoing: &Outgoing) -> Vec<(&str, &str)> {
        let mut chain = Vec::new();
        let mut next = Some(outgoing);
        while let Some(Outgoing::Made {
            class,
            message,
            cause,
        }) = next
        {
            let class = match class {
                Class::NonRetryable => "(not to be retried)",
                Class::Named(name) => name,
            };
            chain.push((class, &**message));
            next = cause.as_deref();
        }
        chain
    }

    #[test]
    fn an_error_crosses_with_its_type_as_its_name_and_with_its_causes() {
        let error = CompileError::Unread(Box::new(CompileError::Away));
        assert_eq!(
            chain(&Outgoing::of(&error)),
            [
                ("Unread", "the list could not be read"),
                ("Away", "the list is away"),
            ]
        );
    }

    #[test]
    fn a_chain_that_is_too_long_crosses_without_its_end() {
        let mut error = CompileError::Away;
        for _ in 0..40 {
            error = CompileError::Unread(Box::new(error));
        }
        assert_eq!(chain(&Outgoing::of(&error)).len(), 1 + MAX_CAUSES);
    }

    #[test]
    fn a_non_retryable_error_is_found_anywhere_in_the_chain_and_keeps_its_causes() {
        let bare = NonRetryableError::new("no");
        assert_eq!(chain(&Outgoing::of(&bare)), [("(not to be retried)", "no")]);
        let caused = CompileError::Empty(NonRetryableError::new("no"));
        assert_eq!(
            chain(&Outgoing::of(&caused)),
            [
                ("(not to be retried)", "nothing to compile"),
                ("NonRetryableError", "no"),
            ]
        );
        assert!(ends_attempts(&caused));
        assert!(!ends_attempts(&CompileError::Away));
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
    fn only_the_engines_own_rejections_are_interruptions() {
        assert!(thrown("Error", "Aborting engine: User called pause").is_interruption());
        assert!(!thrown(TIMEOUT, "Execution timed out after 100ms").is_interruption());
        assert!(!thrown("", "").is_interruption());
    }

    #[test]
    fn a_timeout_is_known_by_its_name_wherever_that_is() {
        let message = "Execution timed out after 1ms";
        assert!(thrown(TIMEOUT, message).is_timeout());
        assert!(thrown("Error", &format!("{TIMEOUT}: {message}")).is_timeout());
        assert!(!thrown("Error", message).is_timeout());
    }

    #[test]
    fn an_error_is_recognised_when_it_comes_back() {
        let is_same = |sent: &str, received: &str| thrown("Error", received).is_return_of(sent);
        assert!(is_same("no list", "no list"));
        assert!(is_same("no list", "CompileError: no list"));
        assert!(is_same("", ""));
        assert!(!is_same("", "Execution timed out after 100ms"));
        assert!(!is_same("no list", "Execution timed out after 100ms"));
        assert!(!is_same("list", "no list"));
    }
}
