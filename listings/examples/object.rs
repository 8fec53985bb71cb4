//! The quick start's Durable Object: one alarm, wrapped.

// ANCHOR: object
use worker::{DurableObject, Env, Error, Request, Response, Result, State, durable_object};
use worker_sentry::with_sentry_in_isolate;

#[durable_object(alarm)]
pub struct Reminder {
    state: State,
    env: Env,
}

impl DurableObject for Reminder {
    fn new(state: State, env: Env) -> Self {
        Reminder { state, env }
    }

    async fn fetch(&self, _request: Request) -> Result<Response> {
        self.state.storage().set_alarm(1_000).await?;
        Response::ok("The alarm goes off in a second.\n")
    }

    async fn alarm(&self) -> Result<Response> {
        with_sentry_in_isolate(&self.env, "Reminder", "alarm", async {
            Err(Error::RustError("reminded on purpose".to_owned()))
        })
        .await
    }
}
// ANCHOR_END: object
