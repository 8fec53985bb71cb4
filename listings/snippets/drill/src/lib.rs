use std::time::Duration;

use worker::*;
use worker_sentry::{Handler, with_sentry_in_isolate, with_sentry_worker};

/// Stores a number in a request and works with it in an alarm.
#[durable_object(alarm)]
pub struct Jobs {
    state: State,
    env: Env,
}

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
        with_sentry_in_isolate(&self.env, "Jobs", Handler::Alarm, self.work()).await?;
        Response::empty()
    }
}

impl Jobs {
    async fn work(&self) -> Result<()> {
        let storage = self.state.storage();
        let Some(job) = storage.get::<String>("job").await? else {
            return Ok(());
        };
        // The job is deleted before the work, because the runtime runs a failed alarm again.
        storage.delete("job").await?;
        match job.parse::<u32>() {
            Ok(number) => console_log!("{number} squared is {}", u64::from(number).pow(2)),
            Err(error) => return Err(Error::RustError(format!("job `{job}`: {error}"))),
        }
        Ok(())
    }
}

// ANCHOR: drill
#[event(fetch)]
async fn fetch(request: Request, env: Env, context: Context) -> Result<Response> {
    with_sentry_worker(&env, &context, Handler::Fetch, async {
        let jobs = env.durable_object("JOBS")?;
        if request.path() == "/drill" {
            return drill(request, &env, &jobs).await;
        }
        jobs.get_by_name("all")?.fetch_with_request(request).await
    })
    .await
}

/// Gives an object of its own a job that its alarm cannot do. The error's message
/// has the text that was sent.
async fn drill(mut request: Request, env: &Env, jobs: &ObjectNamespace) -> Result<Response> {
    let is_on = env.var("DRILLS").is_ok_and(|it| it.to_string() == "on");
    if !is_on {
        return Response::error("Not Found", 404);
    }
    let job = format!("drill {}", request.text().await?);
    let mut init = RequestInit::new();
    init.with_method(Method::Post).with_body(Some(job.into()));
    let bad_job = Request::new_with_init("https://jobs/", &init)?;
    jobs.get_by_name("drill")?.fetch_with_request(bad_job).await
}
// ANCHOR_END: drill
