//! A Workflow that reads every list once, so that it is in the cache of the location
//! where it runs.

use serde::{Deserialize, Serialize};
use thiserror::Error;
use worker::{Context, Env, Result};
use worker_sentry::workflow::{
    NonRetryableError, StepFailure, WorkflowEntrypoint, WorkflowEvent, WorkflowStep,
};
use worker_sentry::{Handler, with_sentry_in_isolate};

use super::patient;
use crate::lists;

/// The input of the Workflow.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Warming {
    /// The lists to read. Without it, all lists are read.
    pub lists: Option<Vec<String>>,
}

/// The output of the Workflow.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Warm {
    /// The number of lists that were read.
    pub lists: usize,
    /// Their total length.
    pub bytes: usize,
}

// ANCHOR: error
/// Why not everything is warm.
#[derive(Debug, Error)]
pub enum WarmingError {
    /// The lists could not be listed.
    #[error("there is no telling which lists to warm")]
    Names(#[source] StepFailure),
    /// One could not be read. The others are warm.
    #[error("list `{name}` cannot be warmed")]
    ColdList {
        /// The list.
        name: String,
        /// The step that failed.
        source: StepFailure,
    },
}
// ANCHOR_END: error

// ANCHOR: struct
/// Warms the cache of the location where it runs.
pub struct CacheWarmingWorkflow {
    env: Env,
}

worker_sentry::workflow!(CacheWarmingWorkflow);
// ANCHOR_END: struct

// ANCHOR: impl
impl WorkflowEntrypoint for CacheWarmingWorkflow {
    type Input = Warming;
    type Output = Warm;

    fn new(_context: Context, env: Env) -> Self {
        CacheWarmingWorkflow { env }
    }

    /// One catch around all steps: report, then let the instance fail.
    async fn run(&self, event: WorkflowEvent<Warming>, step: WorkflowStep) -> Result<Warm> {
        let steps = self.steps(event.payload, &step);
        let warm =
            with_sentry_in_isolate(&self.env, "CacheWarmingWorkflow", Handler::Run, steps).await;
        Ok(warm?)
    }
}
// ANCHOR_END: impl

impl CacheWarmingWorkflow {
    // ANCHOR: steps
    async fn steps(&self, warming: Warming, step: &WorkflowStep) -> Result<Warm, WarmingError> {
        let names = match warming.lists {
            Some(names) => names,
            None => {
                let env = self.env.clone();
                let names = move |_| {
                    let env = env.clone();
                    async move { Ok::<_, worker::Error>(Vec::from_iter(lists::names(&env).await?)) }
                };
                let names = step.do_with_config("list the lists", patient(), names);
                names.await.map_err(WarmingError::Names)?
            }
        };
        let mut warm = Warm::default();
        let mut failed = None;
        for name in names {
            match self.warm(&name, step).await {
                Ok(bytes) => {
                    warm.lists += 1;
                    warm.bytes += bytes;
                }
                Err(source) => failed = failed.or(Some(WarmingError::ColdList { name, source })),
            }
        }
        failed.map_or(Ok(warm), Err)
    }
    // ANCHOR_END: steps

    // ANCHOR: warm
    async fn warm(&self, name: &str, step: &WorkflowStep) -> Result<usize, StepFailure> {
        let (env, list) = (self.env.clone(), name.to_owned());
        step.do_with_config(&format!("warm {name}"), patient(), move |_| {
            let (env, list) = (env.clone(), list.clone());
            async move {
                match lists::get(&env, &list).await {
                    Ok(Some((_, text))) => Ok(text.len()),
                    Ok(None) => Err(NonRetryableError::new("there is no such list").into()),
                    Err(error) => Err(Box::<dyn std::error::Error>::from(error)),
                }
            }
        })
        .await
    }
    // ANCHOR_END: warm
}

/// Turns the error into the one that the runtime sees.
impl From<WarmingError> for worker::Error {
    fn from(error: WarmingError) -> Self {
        let (WarmingError::Names(step) | WarmingError::ColdList { source: step, .. }) = error;
        step.into()
    }
}
