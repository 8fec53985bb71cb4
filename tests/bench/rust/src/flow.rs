//! The Workflow. Its `run` does what the request asks for.

use worker::wasm_bindgen::JsValue;
use worker::wasm_bindgen_futures::{JsFuture, future_to_promise};
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
            // A spawned future is outside of the run. A run would report at most 25 captures.
            let env = self.0.clone();
            let outside = future_to_promise(async move {
                let _ = work(&env, Place::Run, &order).await;
                Ok(JsValue::UNDEFINED)
            });
            JsFuture::from(outside).await?;
            return Ok(());
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
