//! Steps: what a Workflow does once, however often it is run.

use std::cell::{Cell, RefCell};
use std::error::Error;
use std::future::{Future, pending, poll_fn};
use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::task::{Poll, Waker};

use serde::Serialize;
use serde::de::DeserializeOwned;
use worker::Date;
use worker::js_sys::{Function, Promise};
use worker::wasm_bindgen::closure::Closure;
use worker::wasm_bindgen::{JsCast, JsValue};
use worker::wasm_bindgen_futures::future_to_promise;

use super::config::{StepConfig, WaitForEventOptions, WorkflowDuration};
use super::error::{Failure, NonRetryableError, StepError, is_interruption};
use super::js::{self, from_js, get_property, get_string, settle, to_js};
use crate::scope::{Scope, within};

/// The steps of one run of a Workflow.
///
/// A step that has finished is not run again: the runtime remembers its result
/// by the step's name, so give each step a name of its own that does not change
/// from run to run.
///
/// ```no_run
/// use std::time::Duration;
/// use worker::{DateInit, Result};
/// use worker_sentry::workflow::{
///     RetryConfig, StepConfig, WaitForEventOptions, WorkflowStep, WorkflowStepContext,
///     WorkflowStepEvent,
/// };
///
/// async fn run(step: WorkflowStep) -> Result<bool> {
///     let lines: usize = step.do_("fetch", |_| fetch()).await?;
///
///     let retries = RetryConfig { limit: 3, delay: "5 seconds".into(), backoff: None };
///     let config = StepConfig { retries: Some(retries), timeout: None };
///     let store = move |context: WorkflowStepContext| store(lines, context.attempt);
///     step.do_with_config("store", config, store).await?;
///
///     step.sleep("let it settle", Duration::from_secs(10)).await?;
///     step.sleep_until("the new year", DateInit::Millis(1_798_761_600_000)).await?;
///
///     let options = WaitForEventOptions { event_type: "approval".into(), timeout: None };
///     let approval: WorkflowStepEvent<bool> = step.wait_for_event("approval", options).await?;
///     Ok(approval.payload)
/// }
/// # async fn fetch() -> Result<usize> { Ok(1) }
/// # async fn store(lines: usize, attempt: u32) -> Result<()> { Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct WorkflowStep {
    stub: js::Step,
    interruption: Rc<Interruption>,
}

/// What is known about the attempt at hand.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WorkflowStepContext {
    /// Which attempt this is, counted from 1.
    pub attempt: u32,
}

/// An event that [`WorkflowStep::wait_for_event`] waited for.
#[derive(Clone, Debug)]
pub struct WorkflowStepEvent<T> {
    /// What was sent with it.
    pub payload: T,
    /// When it was received.
    pub timestamp: Date,
    /// Its type.
    pub event_type: String,
}

impl WorkflowStep {
    pub(super) fn new(stub: JsValue) -> Self {
        WorkflowStep {
            stub: stub.unchecked_into(),
            interruption: Rc::default(),
        }
    }

    /// Runs a step and returns its result, or the result it had when it ran.
    ///
    /// `body` is called once for each attempt. If an attempt fails, the runtime
    /// tries again by its own rule: five more times, with growing delays. An
    /// error with a [`NonRetryableError`] in its chain ends the attempts.
    ///
    /// # Errors
    ///
    /// If the last attempt failed.
    pub async fn do_<T, E, F, Fut>(&self, name: &str, body: F) -> Result<T, StepError>
    where
        T: Serialize + DeserializeOwned + 'static,
        E: Into<Box<dyn Error>> + 'static,
        F: Fn(WorkflowStepContext) -> Fut + 'static,
        Fut: Future<Output = Result<T, E>> + 'static,
    {
        self.run_step(name, body, |body| self.stub.do_(name, body))
            .await
    }

    /// Runs a step as [`do_`](Self::do_) does, by another rule.
    ///
    /// # Errors
    ///
    /// If the last attempt failed, or if the runtime rejects the configuration.
    pub async fn do_with_config<T, E, F, Fut>(
        &self,
        name: &str,
        config: StepConfig,
        body: F,
    ) -> Result<T, StepError>
    where
        T: Serialize + DeserializeOwned + 'static,
        E: Into<Box<dyn Error>> + 'static,
        F: Fn(WorkflowStepContext) -> Fut + 'static,
        Fut: Future<Output = Result<T, E>> + 'static,
    {
        let config = to_js(&config).map_err(|error| fail(name, error))?;
        self.run_step(name, body, |body| {
            self.stub.do_with_config(name, &config, body)
        })
        .await
    }

    /// Sleeps for a while, without keeping the isolate.
    ///
    /// # Errors
    ///
    /// If the runtime does not understand the duration.
    pub async fn sleep(
        &self,
        name: &str,
        duration: impl Into<WorkflowDuration>,
    ) -> Result<(), StepError> {
        let duration = to_js(&duration.into()).map_err(|error| fail(name, error))?;
        match settle(self.stub.sleep(name, &duration)).await {
            Ok(_) => Ok(()),
            Err(thrown) => Err(self.rejected(name, thrown, None).await),
        }
    }

    /// Sleeps until a point in time.
    ///
    /// # Errors
    ///
    /// If that time has passed.
    pub async fn sleep_until(
        &self,
        name: &str,
        timestamp: impl Into<Date>,
    ) -> Result<(), StepError> {
        let ms = timestamp.into().as_millis() as f64;
        match settle(self.stub.sleep_until(name, ms)).await {
            Ok(_) => Ok(()),
            Err(thrown) => Err(self.rejected(name, thrown, None).await),
        }
    }

    /// Waits for an event that somebody sends with
    /// [`WorkflowInstance::send_event`](super::WorkflowInstance::send_event).
    ///
    /// # Errors
    ///
    /// If no event came in time, or if its payload is no `T`.
    pub async fn wait_for_event<T: DeserializeOwned>(
        &self,
        name: &str,
        options: WaitForEventOptions,
    ) -> Result<WorkflowStepEvent<T>, StepError> {
        let options = to_js(&options).map_err(|error| fail(name, error))?;
        match settle(self.stub.wait_for_event(name, &options)).await {
            Ok(event) => step_event(event).map_err(|error| fail(name, error)),
            Err(thrown) => Err(self.rejected(name, thrown, None).await),
        }
    }

    async fn run_step<T, E, F, Fut>(
        &self,
        name: &str,
        body: F,
        call: impl FnOnce(&Function) -> Result<JsValue, JsValue>,
    ) -> Result<T, StepError>
    where
        T: Serialize + DeserializeOwned + 'static,
        E: Into<Box<dyn Error>> + 'static,
        F: Fn(WorkflowStepContext) -> Fut + 'static,
        Fut: Future<Output = Result<T, E>> + 'static,
    {
        let last = Rc::new(RefCell::new(None));
        let body = callback(body, last.clone());
        let settled = settle(call(body.as_ref().unchecked_ref())).await;
        match settled {
            Ok(result) => from_js(result).map_err(|error| fail(name, error)),
            Err(thrown) => Err(self.rejected(name, thrown, last.take()).await),
        }
    }

    /// Makes an error of a rejection. Does not return if the rejection is the
    /// engine's way to stop this run.
    async fn rejected(&self, name: &str, thrown: JsValue, last: Option<Failure>) -> StepError {
        if is_interruption(&js::message(&thrown)) {
            self.interruption.raise(thrown);
            return pending().await;
        }
        let failure = last
            .filter(|last| last.is(&thrown))
            .unwrap_or_else(|| Failure::thrown(thrown));
        StepError::new(name, failure)
    }

    /// Waits for the engine to stop this run, and returns what it said.
    pub(super) fn interrupted(&self) -> impl Future<Output = JsValue> + use<> {
        let interruption = self.interruption.clone();
        poll_fn(move |context| match interruption.thrown.take() {
            Some(thrown) => Poll::Ready(thrown),
            None => {
                interruption.waker.set(Some(context.waker().clone()));
                Poll::Pending
            }
        })
    }
}

/// How a step tells the run that the engine wants it to stop.
#[derive(Default)]
struct Interruption {
    thrown: Cell<Option<JsValue>>,
    waker: Cell<Option<Waker>>,
}

impl Interruption {
    fn raise(&self, thrown: JsValue) {
        self.thrown.set(Some(thrown));
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

impl std::fmt::Debug for Interruption {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Interruption")
    }
}

/// The function that the engine calls for each attempt. The error of the latest
/// one is left in `last`, as the engine gives back only part of it.
fn callback<T, E, F, Fut>(
    body: F,
    last: Rc<RefCell<Option<Failure>>>,
) -> Closure<dyn FnMut(JsValue) -> Promise>
where
    T: Serialize + 'static,
    E: Into<Box<dyn Error>> + 'static,
    F: Fn(WorkflowStepContext) -> Fut + 'static,
    Fut: Future<Output = Result<T, E>> + 'static,
{
    let mut attempts = 0;
    let body = Rc::new(body);
    let scope = Scope::current();
    Closure::wrap_assert_unwind_safe(Box::new(move |context: JsValue| {
        attempts += 1;
        let context = WorkflowStepContext {
            attempt: attempt(get_property(&context, "attempt").as_f64(), attempts),
        };
        let (body, last, scope) = (body.clone(), last.clone(), scope.clone());
        future_to_promise(AssertUnwindSafe(async move {
            // The body is called in there too: it can panic before it is polled.
            let failure = match within(scope, async { body(context).await }).await {
                Ok(result) => match to_js(&result) {
                    Ok(result) => return Ok(result),
                    // The next attempt would have the same result.
                    Err(error) => Failure::returned(
                        NonRetryableError::new("the result of the step cannot be stored")
                            .caused_by(error)
                            .into(),
                    ),
                },
                Err(error) => Failure::returned(error.into()),
            };
            let thrown = failure.thrown.clone();
            last.replace(Some(failure));
            Err(thrown)
        }))
    }))
}

/// The attempt's number: the engine's, or our own count where it gives none.
fn attempt(told: Option<f64>, counted: u32) -> u32 {
    match told {
        Some(told) if told >= 1.0 => told as u32,
        _ => counted,
    }
}

fn step_event<T: DeserializeOwned>(event: JsValue) -> worker::Result<WorkflowStepEvent<T>> {
    Ok(WorkflowStepEvent {
        payload: from_js(get_property(&event, "payload"))?,
        timestamp: worker::js_sys::Date::new(&get_property(&event, "timestamp")).into(),
        event_type: get_string(&event, "type")?,
    })
}

fn fail(name: &str, error: worker::Error) -> StepError {
    StepError::new(name, Failure::ours(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_engines_count_of_attempts_wins_over_our_own() {
        assert_eq!(attempt(Some(3.0), 1), 3);
        for told in [None, Some(0.0), Some(f64::NAN)] {
            assert_eq!(attempt(told, 2), 2);
        }
    }
}
