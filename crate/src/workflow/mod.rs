//! Workflows in Rust, until `worker` brings its own binding.
//!
//! The names are those of the binding that `workers-rs` is preparing, so changing to that
//! binding is mostly a change of imports. This module adds errors that keep their type, and
//! reports that name the instance, the step and the attempt.
//!
//! # A Workflow
//!
//! ```no_run
//! use serde::{Deserialize, Serialize};
//! use worker::{Context, Env, Result};
//! use worker_sentry::workflow::{WorkflowEntrypoint, WorkflowEvent, WorkflowStep};
//!
//! #[derive(Deserialize)]
//! struct Order {
//!     lists: Vec<String>,
//! }
//!
//! #[derive(Serialize)]
//! struct Receipt {
//!     rules: usize,
//! }
//!
//! struct CompilationWorkflow {
//!     env: Env,
//! }
//!
//! impl WorkflowEntrypoint for CompilationWorkflow {
//!     type Input = Order;
//!     type Output = Receipt;
//!
//!     fn new(_context: Context, env: Env) -> Self {
//!         CompilationWorkflow { env }
//!     }
//!
//!     async fn run(&self, event: WorkflowEvent<Order>, step: WorkflowStep) -> Result<Receipt> {
//!         let mut rules = 0;
//!         for list in event.payload.lists {
//!             rules += step
//!                 .do_(&format!("count {list}"), move |_| count(list.clone()))
//!                 .await?;
//!         }
//!         step.sleep("let the dust settle", "10 seconds").await?;
//!         Ok(Receipt { rules })
//!     }
//! }
//!
//! worker_sentry::workflow!(CompilationWorkflow);
//!
//! # async fn count(list: String) -> Result<usize> { Ok(list.len()) }
//! ```
//!
//! and in `wrangler.toml`:
//!
//! ```toml
//! [[workflows]]
//! name = "compilation"
//! binding = "COMPILATION"
//! class_name = "CompilationWorkflow"
//! ```
//!
//! # Reporting
//!
//! Put one wrapper around all the steps. [`WorkflowStep::do_`] returns a step's error only
//! after the last attempt, so the wrapper reports the error once, and not for each retry.
//! `do_` returns a [`StepFailure`]. Its source is the error that the step's body returned,
//! with its type and its own chain of causes.
//!
//! ```no_run
//! # use worker::{Env, Result};
//! # use worker_sentry::workflow::{StepFailure, WorkflowStep};
//! use worker_sentry::{Handler, with_sentry_in_isolate};
//!
//! # struct CompilationWorkflow { env: Env }
//! # impl CompilationWorkflow {
//! async fn run(&self, step: WorkflowStep) -> Result<usize> {
//!     let steps = self.steps(&step);
//!     Ok(with_sentry_in_isolate(&self.env, "CompilationWorkflow", Handler::Run, steps).await?)
//! }
//! # async fn steps(&self, step: &WorkflowStep) -> std::result::Result<usize, StepFailure> { Ok(1) }
//! # }
//! ```
//!
//! Let the wrapped body return a [`StepFailure`], or an error of your own with a [`StepFailure`]
//! as its source. A `worker::Error` made from it keeps the name and the message, but not the
//! type.
//!
//! If a Workflow *handles* a step's error and goes on, report the error in a step of its own.
//! The runtime may run the Workflow again from the start. The failed step then fails again, with
//! its stored error, and a report outside of a step would be sent again. A step that has
//! finished does not run again:
//!
//! ```no_run
//! # use worker::{Env, Result};
//! # use worker_sentry::workflow::WorkflowStep;
//! use std::convert::Infallible;
//! use worker_sentry::{Handler, Report, capture_exception_in_isolate};
//!
//! # async fn run(env: &Env, step: WorkflowStep) -> Result<()> {
//! if let Err(error) = step.do_("notify", |_| notify()).await {
//!     let env = env.clone();
//!     step.do_("report that notify failed", move |_| {
//!         let (env, error) = (env.clone(), error.clone());
//!         async move {
//!             let report = Report::new(&error).in_handler("CompilationWorkflow", Handler::Run);
//!             capture_exception_in_isolate(&env, report).await;
//!             Ok::<_, Infallible>(())
//!         }
//!     })
//!     .await?;
//! }
//! # Ok(())
//! # }
//! # async fn notify() -> Result<()> { Ok(()) }
//! ```
//!
//! An input or an output that does not have its type fails outside of `run`, and a rollback
//! fails after `run` has returned. The binding reports these errors itself.
//!
//! Each event of a run or a step has a context `workflow` with the keys
//! `instance_id`, `name` (of the Workflow), `step` and `attempt`. For an error with a
//! [`StepFailure`] in its chain, `step` is the step that failed, and not the step that reports
//! the error.
//!
//! A pause is not an error: the future of `run` is dropped at the step that it waits for, and
//! nothing is reported.
//!
//! A panic does not count as a failed attempt. It ends the WebAssembly instance, and
//! with it every Workflow that was running there. The step that panicked is not tried
//! again. The runtime ends or abandons the other Workflows, and their `run` gets no error.
//! Return an error instead.

mod binding;
mod config;
mod context;
mod duration;
mod entrypoint;
mod error;
mod js;
mod non_retryable;
mod reporting;
mod step;
mod thrown;

pub use binding::{
    CreateOptions, InstanceError, InstanceStatus, InstanceStatusKind, RestartFrom, RestartOptions,
    RetentionOptions, StepType, Workflow, WorkflowEnv, WorkflowInstance,
};
pub use config::{
    Backoff, RetryConfig, RollbackConfig, StepConfig, StepSensitivity, WaitForEventOptions,
};
pub use context::{
    ResolvedRetryConfig, ResolvedStepConfig, WorkflowRollbackContext, WorkflowStepContext,
    WorkflowStepInfo,
};
pub use duration::{WorkflowDuration, WorkflowSleepDuration};
pub use entrypoint::{WorkflowCronSchedule, WorkflowEntrypoint, WorkflowEvent};
pub use error::{StepError, StepFailure};
pub use non_retryable::NonRetryableError;
pub use step::{Rollback, WorkflowStep, WorkflowStepEvent};

/// What the expansion of [`workflow!`](crate::workflow!) needs. Not an API.
#[doc(hidden)]
pub mod __private {
    pub use super::entrypoint::{Instance, extend_workflow_entrypoint};
    pub use worker::wasm_bindgen::JsValue;
    pub use worker::worker_sys::Context;
    pub use worker::{Env, js_sys, wasm_bindgen, wasm_bindgen_futures};
}
