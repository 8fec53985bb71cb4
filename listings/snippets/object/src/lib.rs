// ANCHOR: all
use std::time::Duration;

use worker::*;
use worker_sentry::{Handler, with_sentry, with_sentry_worker};

/// Takes a number now and works with it in an alarm.
#[durable_object(alarm)]
pub struct Jobs {
    state: State,
    env: Env,
}

// ANCHOR: impl
#[with_sentry]
impl DurableObject for Jobs {
    fn new(state: State, env: Env) -> Self {
        Jobs { state, env }
    }

    async fn fetch(&self, mut request: Request) -> Result<Response> {
        let storage = self.state.storage();
        storage.put("job", request.text().await?).await?;
        storage.set_alarm(Duration::ZERO).await?;
        Response::ok("the alarm is set\n")
    }

    async fn alarm(&self) -> Result<Response> {
        let storage = self.state.storage();
        let Some(job) = storage.get::<String>("job").await? else {
            return Response::empty();
        };
        // Before the work, because the runtime runs a failed alarm again.
        storage.delete("job").await?;
        match job.parse::<u32>() {
            Ok(number) => console_log!("{number} squared is {}", u64::from(number).pow(2)),
            Err(error) => return Err(Error::RustError(format!("job `{job}`: {error}"))),
        }
        Response::empty()
    }
}
// ANCHOR_END: impl

#[event(fetch)]
async fn fetch(request: Request, env: Env, context: Context) -> Result<Response> {
    with_sentry_worker(&env, &context, Handler::Fetch, async {
        let jobs = env.durable_object("JOBS")?.get_by_name("all")?;
        jobs.fetch_with_request(request).await
    })
    .await
}
// ANCHOR_END: all
