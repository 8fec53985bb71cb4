//! A Workflow that compiles many lists: starts them, waits, collects failures.

use std::rc::Rc;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use worker::{Context, Env, Result};
use worker_sentry::workflow::{
    InstanceStatusKind, StepFailure, WorkflowEntrypoint, WorkflowEnv, WorkflowEvent, WorkflowStep,
};
use worker_sentry::{Handler, with_sentry_in_isolate};

use super::patient;
use crate::batch::{Member, Outcome, PartialFailure, Summary, is_running, sum_up};
use crate::call;
use crate::compilation_coordinator::Ticket;
use crate::compile_request::CompileRequest;

/// The time between two looks at the running lists, and the number of looks.
const LOOK_EVERY: &str = "10 seconds";
const LOOKS: usize = 30;

/// The lists to compile.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Batch {
    /// One request for each list.
    pub requests: Vec<CompileRequest>,
}

/// Why a batch failed.
#[derive(Debug, Error)]
pub enum BatchError {
    /// Some lists were not compiled; all others were.
    #[error(transparent)]
    PartialFailure(#[from] PartialFailure),
    /// The batch itself could not continue.
    #[error("a batch could not go on")]
    Step(#[from] StepFailure),
}

/// Compiles the lists of a batch, each in a Workflow of its own.
pub struct BatchCompilationWorkflow {
    env: Env,
}

worker_sentry::workflow!(BatchCompilationWorkflow);

impl WorkflowEntrypoint for BatchCompilationWorkflow {
    type Input = Batch;
    type Output = Summary;

    fn new(_context: Context, env: Env) -> Self {
        BatchCompilationWorkflow { env }
    }

    // ANCHOR: run
    /// One catch around all steps: report, then let the instance fail.
    async fn run(&self, event: WorkflowEvent<Batch>, step: WorkflowStep) -> Result<Summary> {
        let steps = self.steps(event.payload, &step);
        let done =
            with_sentry_in_isolate(&self.env, "BatchCompilationWorkflow", Handler::Run, steps)
                .await;
        Ok(done?)
    }
    // ANCHOR_END: run
}

impl BatchCompilationWorkflow {
    // ANCHOR: steps
    async fn steps(&self, batch: Batch, step: &WorkflowStep) -> Result<Summary, BatchError> {
        let mut members = Vec::with_capacity(batch.requests.len());
        for (index, request) in batch.requests.into_iter().enumerate() {
            members.push(self.start(index, request, step).await);
        }
        for look in 1..=LOOKS {
            if !is_running(&members) {
                break;
            }
            step.sleep(&format!("wait {look}"), LOOK_EVERY).await?;
            let (env, seen) = (self.env.clone(), Rc::new(members));
            members = step
                .do_with_config(&format!("look {look}"), patient(), move |_| {
                    let (env, seen) = (env.clone(), Rc::clone(&seen));
                    async move { look_at(&env, &seen).await }
                })
                .await?;
        }
        Ok(sum_up(&members)?)
    }
    // ANCHOR_END: steps

    /// Starts one list. If it cannot be started, the other lists are still compiled.
    async fn start(&self, index: usize, request: CompileRequest, step: &WorkflowStep) -> Member {
        let name = request.name.clone();
        // A batch that is started by hand does not pass the checks of the queue.
        if let Err(error) = request.check() {
            let outcome = Outcome::Failed(error.to_string());
            return Member { name, outcome };
        }
        let env = self.env.clone();
        let started = step
            .do_with_config(&format!("start list {}", index + 1), patient(), move |_| {
                let (env, request) = (env.clone(), request.clone());
                async move {
                    call::ask::<Ticket>(&env, "COORDINATOR", &request.name, "/compile", &request)
                        .await
                }
            })
            .await;
        let outcome = match started {
            Ok(ticket) => Outcome::Running(ticket.instance),
            Err(error) => Outcome::Failed(error.to_string()),
        };
        Member { name, outcome }
    }
}

// ANCHOR: look_at
/// Asks how the running ones are doing.
async fn look_at(env: &Env, members: &[Member]) -> Result<Vec<Member>> {
    let compilation = env.workflow("COMPILATION")?;
    let mut seen = Vec::with_capacity(members.len());
    for member in members {
        let mut member = member.clone();
        if let Outcome::Running(instance) = &member.outcome {
            let status = compilation.get(instance).await?.status().await?;
            match (status.status, status.error) {
                (InstanceStatusKind::Complete, _) => member.outcome = Outcome::Done,
                (InstanceStatusKind::Errored | InstanceStatusKind::Terminated, error) => {
                    let reason = error.map_or("terminated".to_owned(), |error| error.message);
                    member.outcome = Outcome::Failed(reason);
                }
                _ => {}
            }
        }
        seen.push(member);
    }
    Ok(seen)
}
// ANCHOR_END: look_at

/// Turns the error into the one that the runtime sees.
impl From<BatchError> for worker::Error {
    fn from(error: BatchError) -> Self {
        match error {
            BatchError::Step(error) => error.into(),
            BatchError::PartialFailure(error) => worker::Error::RustError(error.to_string()),
        }
    }
}
