//! Steps: the parts of a Workflow that finish only once, however often the Workflow runs.

use std::cell::{Cell, RefCell};
use std::error::Error;
use std::fmt;
use std::future::{Future, pending, poll_fn};
use std::rc::Rc;
use std::task::{Poll, Waker};

use serde::Serialize;
use serde::de::DeserializeOwned;
use worker::wasm_bindgen::JsValue;
use worker::{Date, Env};

use super::config::{RollbackConfig, StepConfig, StepSensitivity, WaitForEventOptions};
use super::context::{ResolvedRetryConfig, WorkflowRollbackContext, WorkflowStepContext};
use super::duration::WorkflowSleepDuration;
use super::error::{Failure, StepFailure};
use super::js::{self, Callback, from_js, settle, to_js};
use super::non_retryable::NonRetryableError;
use super::reporting::{self, Background, FailedSteps};
use super::thrown::ends_attempts;

/// The error that ends a replayed run at the first step that has not finished. The runtime logs
/// it and goes on with the rollbacks.
const REPLAY_ENDS: &str = "the replay ends here: this step has not finished";

/// The steps of one run of a Workflow.
///
/// A step that has finished is not run again: the runtime stores its result under the step's
/// name. So give each step a different name that stays the same in each run.
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
///     let config = StepConfig { retries: Some(retries), ..StepConfig::default() };
///     let store = move |context: WorkflowStepContext| store(lines, context.attempt);
///     step.do_with_config("store", config, store).await?;
///
///     step.sleep("let it settle", Duration::from_secs(10)).await?;
///     step.sleep_until("the new year", DateInit::Millis(1_798_761_600_000)).await?;
///
///     let options = WaitForEventOptions { type_: "approval".into(), timeout: None };
///     let approval: WorkflowStepEvent<bool> = step.wait_for_event("approval", options).await?;
///     Ok(approval.payload)
/// }
/// # async fn fetch() -> Result<usize> { Ok(1) }
/// # async fn store(lines: usize, attempt: u32) -> Result<()> { Ok(()) }
/// ```
#[derive(Clone)]
pub struct WorkflowStep {
    stub: js::Step,
    run: Rc<Run>,
}

/// The state that the steps of one run share.
struct Run {
    env: Env,
    class: &'static str,
    interruption: Interruption,
    failed: FailedSteps,
    background: Rc<Background>,
}

impl fmt::Debug for WorkflowStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkflowStep")
            .field("class", &self.run.class)
            .finish_non_exhaustive()
    }
}

/// An event that [`WorkflowStep::wait_for_event`] waited for.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct WorkflowStepEvent<T> {
    /// The payload that was sent with the event.
    pub payload: T,
    /// When the event was received.
    pub timestamp: Date,
    /// The event's type.
    pub type_: String,
    /// The sensitive part of the event, if the runtime names one.
    pub sensitive: Option<StepSensitivity>,
}

/// A function that undoes a step, for [`WorkflowStep::do_with_rollback`].
///
/// ```
/// use worker_sentry::workflow::{Rollback, RollbackConfig, WorkflowRollbackContext};
///
/// # async fn release(seat: u32) -> worker::Result<()> { Ok(()) }
/// let config = RollbackConfig { timeout: Some("1 minute".into()), ..RollbackConfig::default() };
/// let rollback = |undone: WorkflowRollbackContext<u32>| async move {
///     match undone.output {
///         Some(seat) => release(seat).await,
///         None => Ok(()),
///     }
/// };
/// let rollback = Rollback::with_config(rollback, config);
/// # let _ = rollback;
/// ```
#[must_use = "a rollback does nothing until a step is given it"]
pub struct Rollback<R> {
    handler: R,
    config: Option<RollbackConfig>,
}

impl<R> Rollback<R> {
    /// Makes a rollback with the runtime's own rule for retries: up to six attempts, with
    /// growing delays.
    pub fn new(handler: R) -> Self {
        Rollback {
            handler,
            config: None,
        }
    }

    /// Makes a rollback with its own configuration.
    pub fn with_config(handler: R, config: RollbackConfig) -> Self {
        Rollback {
            handler,
            config: Some(config),
        }
    }
}

impl<R> fmt::Debug for Rollback<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rollback")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

impl WorkflowStep {
    pub(super) fn new(
        stub: JsValue,
        env: &Env,
        class: &'static str,
        failed: FailedSteps,
        background: Rc<Background>,
    ) -> Self {
        WorkflowStep {
            stub: js::as_step(stub),
            run: Rc::new(Run {
                env: env.clone(),
                class,
                interruption: Interruption::default(),
                failed,
                background,
            }),
        }
    }

    /// Runs a step and returns its result. If the step has already finished, returns the stored
    /// result.
    ///
    /// `body` is called once for each attempt. If an attempt fails, the runtime
    /// tries again by its own rule: five more times, with growing delays. An
    /// error with a [`NonRetryableError`] in its chain ends the attempts.
    ///
    /// # Errors
    ///
    /// If the last attempt failed.
    pub async fn do_<T, E, F, Fut>(&self, name: &str, body: F) -> Result<T, StepFailure>
    where
        T: Serialize + DeserializeOwned + 'static,
        E: Into<Box<dyn Error>> + 'static,
        F: Fn(WorkflowStepContext) -> Fut + 'static,
        Fut: Future<Output = Result<T, E>> + 'static,
    {
        let result = self.call(name, None, body, None).await?;
        self.read(name, result)
    }

    /// Runs a step as [`do_`](Self::do_) does, with its own configuration.
    ///
    /// # Errors
    ///
    /// If the last attempt failed, or if the runtime rejects the configuration.
    pub async fn do_with_config<T, E, F, Fut>(
        &self,
        name: &str,
        config: StepConfig,
        body: F,
    ) -> Result<T, StepFailure>
    where
        T: Serialize + DeserializeOwned + 'static,
        E: Into<Box<dyn Error>> + 'static,
        F: Fn(WorkflowStepContext) -> Fut + 'static,
        Fut: Future<Output = Result<T, E>> + 'static,
    {
        let result = self.call(name, Some(config), body, None).await?;
        self.read(name, result)
    }

    /// Runs a step as [`do_`](Self::do_) does, with a rollback that undoes it.
    ///
    /// If `run` returns an error, the runtime calls the rollbacks of all steps that were
    /// started, one after the other, the last step first. A rollback gets the step's context,
    /// the error, and the step's result if there is one. If the last attempt of a rollback
    /// fails, the runtime calls no further rollbacks and passes the error to no code, so the
    /// crate reports it, with the handler `rollback`.
    ///
    /// The runtime does not store rollbacks: those of an isolate that has ended are not called.
    /// Rollbacks need a runtime of June 2026 or newer; an older one ignores them.
    ///
    /// ```no_run
    /// use worker::Result;
    /// use worker_sentry::workflow::{Rollback, StepFailure, WorkflowRollbackContext, WorkflowStep};
    ///
    /// # async fn take() -> Result<u32> { Ok(1) }
    /// # async fn release(seat: u32) -> Result<()> { Ok(()) }
    /// async fn reserve(step: &WorkflowStep) -> std::result::Result<u32, StepFailure> {
    ///     let undo = |undone: WorkflowRollbackContext<u32>| async move {
    ///         worker::console_warn!("undoing `{}`: {}", undone.ctx.step.name, undone.error);
    ///         match undone.output {
    ///             Some(seat) => release(seat).await,
    ///             None => Ok(()),
    ///         }
    ///     };
    ///     step.do_with_rollback("take a seat", |_| take(), Rollback::new(undo)).await
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`do_`](Self::do_), or if the runtime rejects the rollback's configuration.
    pub async fn do_with_rollback<T, E, F, Fut, R, RE, RFut>(
        &self,
        name: &str,
        body: F,
        rollback: Rollback<R>,
    ) -> Result<T, StepFailure>
    where
        T: Serialize + DeserializeOwned + 'static,
        E: Into<Box<dyn Error>> + 'static,
        F: Fn(WorkflowStepContext) -> Fut + 'static,
        Fut: Future<Output = Result<T, E>> + 'static,
        RE: Into<Box<dyn Error>> + 'static,
        R: Fn(WorkflowRollbackContext<T>) -> RFut + 'static,
        RFut: Future<Output = Result<(), RE>> + 'static,
    {
        let config = StepConfig::default();
        self.do_with_config_and_rollback(name, config, body, rollback)
            .await
    }

    /// Runs a step with its own configuration and with a rollback: see
    /// [`do_with_rollback`](Self::do_with_rollback).
    ///
    /// # Errors
    ///
    /// As [`do_with_config`](Self::do_with_config), or if the runtime rejects the rollback's
    /// configuration.
    pub async fn do_with_config_and_rollback<T, E, F, Fut, R, RE, RFut>(
        &self,
        name: &str,
        config: StepConfig,
        body: F,
        rollback: Rollback<R>,
    ) -> Result<T, StepFailure>
    where
        T: Serialize + DeserializeOwned + 'static,
        E: Into<Box<dyn Error>> + 'static,
        F: Fn(WorkflowStepContext) -> Fut + 'static,
        Fut: Future<Output = Result<T, E>> + 'static,
        RE: Into<Box<dyn Error>> + 'static,
        R: Fn(WorkflowRollbackContext<T>) -> RFut + 'static,
        RFut: Future<Output = Result<(), RE>> + 'static,
    {
        let undo = self.rollback(name, rollback)?;
        let result = self.call(name, Some(config), body, Some(undo)).await?;
        self.read(name, result)
    }

    /// Sleeps for a length of time. The isolate need not stay in memory meanwhile.
    ///
    /// # Errors
    ///
    /// If the runtime cannot read the duration.
    pub async fn sleep(
        &self,
        name: &str,
        duration: impl Into<WorkflowSleepDuration>,
    ) -> Result<(), StepFailure> {
        let duration = to_js(&duration.into()).map_err(|error| fail(name, error))?;
        match settle(self.stub.sleep(name, &duration)).await {
            Ok(_) => Ok(()),
            Err(thrown) => Err(self.rejected(name, thrown, &Latest::default()).await),
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
    ) -> Result<(), StepFailure> {
        let ms = timestamp.into().as_millis() as f64;
        match settle(self.stub.sleep_until(name, ms)).await {
            Ok(_) => Ok(()),
            Err(thrown) => Err(self.rejected(name, thrown, &Latest::default()).await),
        }
    }

    /// Waits for an event that is sent with
    /// [`WorkflowInstance::send_event`](super::WorkflowInstance::send_event).
    ///
    /// # Errors
    ///
    /// If no event came in time, or if its payload is not a `T`.
    pub async fn wait_for_event<T: DeserializeOwned>(
        &self,
        name: &str,
        options: WaitForEventOptions,
    ) -> Result<WorkflowStepEvent<T>, StepFailure> {
        let options = to_js(&options).map_err(|error| fail(name, error))?;
        match settle(self.stub.wait_for_event(name, &options)).await {
            Ok(event) => {
                let event = self.finished(event).await;
                step_event(&event).map_err(|error| fail(name, error))
            }
            Err(thrown) => Err(self.rejected(name, thrown, &Latest::default()).await),
        }
    }

    /// Lets the engine run a step, and returns the result in the form that the engine stored.
    async fn call<T, E, F, Fut>(
        &self,
        name: &str,
        config: Option<StepConfig>,
        body: F,
        rollback: Option<JsValue>,
    ) -> Result<JsValue, StepFailure>
    where
        T: Serialize + 'static,
        E: Into<Box<dyn Error>> + 'static,
        F: Fn(WorkflowStepContext) -> Fut + 'static,
        Fut: Future<Output = Result<T, E>> + 'static,
    {
        let config = config.map(|config| to_js(&config)).transpose();
        let config = config.map_err(|error| fail(name, error))?;
        let latest = Rc::<Latest>::default();
        let body = attempts(name, body, latest.clone(), Rc::clone(&self.run));
        let body = body.function();
        let called = match (&config, &rollback) {
            (Some(config), Some(undo)) => self.stub.do_with_rollback(name, config, body, undo),
            (Some(config), None) => self.stub.do_with_config(name, config, body),
            (None, _) => self.stub.do_(name, body),
        };
        match settle(called).await {
            Ok(result) => Ok(self.finished(result).await),
            Err(thrown) => Err(self.rejected(name, thrown, &latest).await),
        }
    }

    fn read<T: DeserializeOwned>(&self, name: &str, result: JsValue) -> Result<T, StepFailure> {
        from_js(result).map_err(|error| fail(name, error))
    }

    /// The last argument of a step with a rollback.
    fn rollback<T, R, RE, RFut>(
        &self,
        name: &str,
        rollback: Rollback<R>,
    ) -> Result<JsValue, StepFailure>
    where
        T: DeserializeOwned + 'static,
        RE: Into<Box<dyn Error>> + 'static,
        R: Fn(WorkflowRollbackContext<T>) -> RFut + 'static,
        RFut: Future<Output = Result<(), RE>> + 'static,
    {
        let limit = retries(rollback.config.as_ref());
        let config = rollback.config.map(|config| to_js(&config)).transpose();
        let config = config.map_err(|error| fail(name, error))?;
        let handler = undoings(name, rollback.handler, limit, self.run.clone());
        Ok(js::rollback_options(handler, config.as_ref()))
    }

    /// The result of a step. Does not return if the step has not finished. The engine replays a
    /// run only for its rollbacks, and then answers each unfinished step with `undefined`. A
    /// finished step of this crate never has `undefined` as its result.
    async fn finished(&self, result: JsValue) -> JsValue {
        if js::is_undefined(&result) {
            self.run.interruption.raise(js::new_error(REPLAY_ENDS));
            return pending().await;
        }
        result
    }

    /// Turns a rejection into an error. Does not return if the engine stops this run by the
    /// rejection.
    async fn rejected(&self, name: &str, rejection: JsValue, latest: &Latest) -> StepFailure {
        let thrown = js::read_thrown(&rejection);
        if thrown.is_interruption() {
            self.run.interruption.raise(rejection);
            return pending().await;
        }
        let last = latest.failure.take();
        let failure = last
            .filter(|last| last.is(&thrown))
            .unwrap_or_else(|| Failure::thrown(rejection));
        let failure = StepFailure::new(name, latest.attempt.get(), failure);
        self.run.failed.remember(&failure);
        failure
    }

    /// Waits until the engine stops this run, and returns the engine's rejection.
    pub(super) fn interrupted(&self) -> impl Future<Output = JsValue> + use<> {
        let run = self.run.clone();
        poll_fn(move |context| match run.interruption.thrown.take() {
            Some(thrown) => Poll::Ready(thrown),
            None => {
                run.interruption.waker.set(Some(context.waker().clone()));
                Poll::Pending
            }
        })
    }
}

/// The signal from a step to the run that the engine stops the run.
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

/// The latest attempt of a step in this run. Its error is kept here, because the engine returns
/// only a part of it.
#[derive(Default)]
struct Latest {
    attempt: Cell<Option<u32>>,
    failure: RefCell<Option<Failure>>,
}

/// Makes the function that the engine calls for each attempt.
fn attempts<T, E, F, Fut>(name: &str, body: F, latest: Rc<Latest>, run: Rc<Run>) -> Callback
where
    T: Serialize + 'static,
    E: Into<Box<dyn Error>> + 'static,
    F: Fn(WorkflowStepContext) -> Fut + 'static,
    Fut: Future<Output = Result<T, E>> + 'static,
{
    let mut counted = 0;
    let name = name.to_owned();
    let body = Rc::new(body);
    let current = reporting::current();
    Callback::new(move |told| {
        counted += 1;
        let context = WorkflowStepContext::read(&js::to_value(told), &name, counted);
        latest.attempt.set(Some(context.attempt));
        let (body, latest) = (body.clone(), latest.clone());
        let (current, name, run) = (current.clone(), name.clone(), run.clone());
        async move {
            let attempt = context.attempt;
            // The body is called inside of the scope, because it can panic before it is polled.
            let body = async { body(context).await };
            let (failed, background) = (run.failed.clone(), &run.background);
            let entered =
                reporting::enter_step(current, &name, attempt, failed, Some(&**background), body);
            let failure = match entered.await {
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
            latest.failure.replace(Some(failure));
            Err(thrown)
        }
    })
}

/// Makes the function that the engine calls for each attempt of a rollback. The engine calls it
/// after `run` has returned, so the function itself reports the last error.
fn undoings<T, R, RE, RFut>(name: &str, handler: R, limit: u32, run: Rc<Run>) -> Callback
where
    T: DeserializeOwned + 'static,
    RE: Into<Box<dyn Error>> + 'static,
    R: Fn(WorkflowRollbackContext<T>) -> RFut + 'static,
    RFut: Future<Output = Result<(), RE>> + 'static,
{
    let mut attempt = 0;
    let name = name.to_owned();
    let handler = Rc::new(handler);
    let current = reporting::current();
    Callback::new(move |told| {
        attempt += 1;
        let (handler, run) = (handler.clone(), run.clone());
        let (current, name) = (current.clone(), name.clone());
        let undoing = async move {
            let context = match rollback_context(&told) {
                Ok(context) => context,
                // The next attempt would get the same argument.
                Err(error) => return Err(refused(error)),
            };
            handler(context).await.map_err(Into::into)
        };
        async move {
            let reporting = async {
                let undone: Result<(), Box<dyn Error>> = undoing.await;
                if let Err(error) = &undone
                    && is_last(attempt, limit, &**error)
                {
                    reporting::report_rollback(&run.env, run.class, &**error).await;
                }
                undone
            };
            let failed = run.failed.clone();
            match reporting::enter_rollback(current, run.class, &name, attempt, failed, reporting)
                .await
            {
                Ok(()) => Ok(JsValue::UNDEFINED),
                Err(error) => Err(Failure::returned(error).thrown),
            }
        }
    })
}

fn rollback_context<T: DeserializeOwned>(
    told: &JsValue,
) -> worker::Result<WorkflowRollbackContext<T>> {
    let told = js::RollbackTold::read(told);
    Ok(WorkflowRollbackContext {
        ctx: WorkflowStepContext::read(&told.context, "", 1),
        error: told.error.into(),
        output: told.output.map(from_js).transpose()?,
    })
}

fn refused(error: worker::Error) -> Box<dyn Error> {
    let refused = NonRetryableError::new("the result of the step to undo cannot be read");
    refused.caused_by(error).into()
}

/// How many attempts follow the first attempt of a rollback.
fn retries(config: Option<&RollbackConfig>) -> u32 {
    let retries = config.and_then(|config| config.retries.as_ref());
    retries.map_or(ResolvedRetryConfig::default().limit, |retries| {
        retries.limit
    })
}

/// Whether the attempt that failed with `error` is the last one.
fn is_last(attempt: u32, limit: u32, error: &(dyn Error + 'static)) -> bool {
    attempt > limit || ends_attempts(error)
}

fn step_event<T: DeserializeOwned>(event: &JsValue) -> worker::Result<WorkflowStepEvent<T>> {
    let event = js::ReceivedEvent::read(event);
    Ok(WorkflowStepEvent {
        payload: from_js(event.payload)?,
        timestamp: event.timestamp,
        type_: event.type_.unwrap_or_default(),
        sensitive: serde_json::from_value(event.sensitive).ok(),
    })
}

fn fail(name: &str, error: worker::Error) -> StepFailure {
    StepFailure::new(name, None, Failure::ours(error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workflow::config::RetryConfig;

    #[derive(Debug, thiserror::Error)]
    #[error("the seat is gone")]
    struct Gone(#[source] Option<NonRetryableError>);

    #[test]
    fn the_last_attempt_of_a_rollback_is_known_by_its_number_and_by_its_error() {
        assert!(!is_last(1, 1, &Gone(None)));
        assert!(is_last(2, 1, &Gone(None)));
        assert!(is_last(1, 0, &Gone(None)));
        assert!(is_last(1, 5, &Gone(Some(NonRetryableError::new("no")))));
    }

    #[test]
    fn a_rollback_is_tried_as_often_as_it_says_and_else_as_often_as_a_step() {
        assert_eq!(retries(None), 5);
        assert_eq!(retries(Some(&RollbackConfig::default())), 5);
        let retries_of_two = RetryConfig {
            limit: 2,
            delay: "1 second".into(),
            backoff: None,
        };
        let config = RollbackConfig {
            retries: Some(retries_of_two),
            timeout: None,
        };
        assert_eq!(retries(Some(&config)), 2);
    }
}
