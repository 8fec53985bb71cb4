//! A Workflow, whose error keeps its type until it was reported.

use worker::{Context, Env, Result};
use worker_sentry::with_sentry;
use worker_sentry::workflow::{StepFailure, WorkflowEntrypoint, WorkflowEvent, WorkflowStep};

pub struct SumWorkflow(Env);

worker_sentry::workflow!(SumWorkflow);

#[with_sentry]
impl WorkflowEntrypoint for SumWorkflow {
    type Input = String;
    type Output = u32;

    fn new(_: Context, env: Env) -> Self {
        SumWorkflow(env)
    }

    async fn run(
        &self,
        event: WorkflowEvent<String>,
        step: WorkflowStep,
    ) -> Result<u32, StepFailure> {
        let sum = step.do_("sum", move |_| {
            let sum = event.payload.parse::<u32>();
            async { sum }
        });
        sum.await
    }
}
