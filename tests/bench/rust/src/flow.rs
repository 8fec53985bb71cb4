//! The Workflow, whose `run` does what is asked.

use worker::{Context, Env, Response, Result};
use worker_sentry::workflow::{
    CreateOptions, WorkflowEntrypoint, WorkflowEnv, WorkflowEvent, WorkflowStep,
};

use crate::reporting::{self, Place};
use crate::{Order, idle, measured, work};

pub struct BenchFlow(Env);

worker_sentry::workflow!(BenchFlow);

impl WorkflowEntrypoint for BenchFlow {
    type Input = Order;
    type Output = ();

    fn new(_: Context, env: Env) -> Self {
        BenchFlow(env)
    }

    async fn run(&self, event: WorkflowEvent<Order>, step: WorkflowStep) -> Result<()> {
        let order = event.payload;
        if order.op == "fail" {
            let body = work(&self.0, Place::Run, &order);
            return Ok(reporting::in_run(&self.0, body).await?);
        }
        if order.op == "steps" {
            let body = async {
                measured(&self.0, &order, async {
                    for n in 0..order.count {
                        let _ = step.do_(&format!("step {n}"), |_| idle()).await;
                    }
                })
                .await;
                Ok(())
            };
            return Ok(reporting::in_run(&self.0, body).await?);
        }
        if order.op != "wrapped" {
            // Outside of a run, which reports 25 captures and no more.
            return Ok(work(&self.0, Place::Run, &order).await?);
        }
        measured(&self.0, &order, async {
            for _ in 0..order.count {
                let _ = reporting::in_run(&self.0, idle()).await;
            }
        })
        .await;
        Ok(())
    }
}

pub async fn create(env: &Env, order: Order) -> Result<Response> {
    let options = CreateOptions {
        params: Some(order),
        ..CreateOptions::default()
    };
    env.workflow("FLOW")?.create(options).await?;
    Ok(Response::ok("the instance is created\n")?.with_status(202))
}
