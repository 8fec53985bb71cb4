// ANCHOR: all
use worker::*;
use worker_sentry::workflow::{
    CreateOptions, NonRetryableError, WorkflowEntrypoint, WorkflowEnv, WorkflowEvent, WorkflowStep,
};
use worker_sentry::{Handler, with_sentry_in_isolate};

/// Adds up numbers with spaces between them.
pub struct SumWorkflow(Env);

worker_sentry::workflow!(SumWorkflow);

impl WorkflowEntrypoint for SumWorkflow {
    type Input = String;
    type Output = u32;

    fn new(_: Context, env: Env) -> Self {
        SumWorkflow(env)
    }

    async fn run(&self, event: WorkflowEvent<String>, step: WorkflowStep) -> Result<u32> {
        // All steps are one future, so one catch sees whatever fails.
        let steps = step.do_("sum", move |_| {
            let sum = sum(&event.payload);
            async { sum }
        });
        Ok(with_sentry_in_isolate(&self.0, "SumWorkflow", Handler::Run, steps).await?)
    }
}

fn sum(text: &str) -> Result<u32, NonRetryableError> {
    let numbers = text.split(' ').map(str::parse::<u32>);
    let sum: Result<u32, _> = numbers.sum();
    sum.map_err(|error| NonRetryableError::new(format!("`{text}`: {error}")))
}

#[event(fetch)]
async fn fetch(mut request: Request, env: Env, _: Context) -> Result<Response> {
    let params = Some(request.text().await?);
    let order = CreateOptions {
        params,
        ..CreateOptions::default()
    };
    let instance = env.workflow("SUM")?.create(order).await?;
    Response::ok(instance.id())
}
// ANCHOR_END: all
