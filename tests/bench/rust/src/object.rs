//! The Durable Object. Its alarm does what the request asks for.

use std::time::Duration;

use worker::{DurableObject, Env, Request, Response, Result, State, durable_object};

use crate::reporting::{self, Place};
use crate::{Order, idle, measured, work};

#[durable_object(alarm)]
pub struct Bench {
    state: State,
    env: Env,
}

impl DurableObject for Bench {
    fn new(state: State, env: Env) -> Self {
        Bench { state, env }
    }

    async fn fetch(&self, request: Request) -> Result<Response> {
        let storage = self.state.storage();
        storage.put("order", Order::of(&request.url()?)).await?;
        storage.set_alarm(Duration::ZERO).await?;
        Ok(Response::ok("the alarm is set\n")?.with_status(202))
    }

    async fn alarm(&self) -> Result<Response> {
        let storage = self.state.storage();
        let order = storage.get::<Order>("order").await?;
        // The order is deleted before the work, because the runtime runs a failed alarm again.
        storage.delete("order").await?;
        match order {
            Some(order) if order.op == "wrapped" => {
                measured(&self.env, &order, async {
                    for _ in 0..order.count {
                        let _ = reporting::in_alarm(&self.env, idle()).await;
                    }
                })
                .await;
            }
            #[cfg(feature = "more")]
            Some(order) if order.op == "crumbs" => {
                measured(&self.env, &order, async {
                    for n in 0..order.count {
                        let body = reporting::capture_after_ten(&self.env, Place::Alarm, n);
                        let _ = reporting::in_alarm(&self.env, body).await;
                    }
                })
                .await;
            }
            Some(order) if order.op == "fail" => {
                let body = work(&self.env, Place::Alarm, &order);
                reporting::in_alarm(&self.env, body).await?;
            }
            // This call is outside of a run, which would report at most 25 captures.
            Some(order) => work(&self.env, Place::Alarm, &order).await?,
            None => {}
        }
        Response::empty()
    }
}
