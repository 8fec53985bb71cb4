//! Functions of the main Worker, with the attribute above `#[event(…)]`.

use worker::*;
use worker_sentry::with_sentry;

#[with_sentry]
#[event(fetch, respond_with_errors)]
async fn fetch(request: Request, env: Env, _: Context) -> Result<Response> {
    // The body takes its `env`.
    Router::new()
        .get_async("/", |_, context| async move {
            Response::ok(context.var("NAME")?.to_string())
        })
        .run(request, env)
        .await
}

#[with_sentry]
#[event(queue)]
async fn queue(batch: MessageBatch<String>, _: Env, context: Context) -> Result<()> {
    keep(context);
    for message in batch.messages()? {
        if message.body().is_empty() {
            return Err("empty".into());
        }
    }
    Ok(())
}

fn keep(_: Context) {}

#[with_sentry]
#[event(scheduled)]
async fn scheduled(event: ScheduledEvent, _env: Env, _context: ScheduleContext) -> Result<()> {
    Err(event.cron().into())
}

#[with_sentry]
#[event(email)]
async fn email(
    message: ForwardableEmailMessage,
    _: Env,
    context: Context,
) -> std::result::Result<(), Box<dyn std::error::Error>> {
    context.wait_until(async {});
    message.to().parse::<u32>()?;
    Ok(())
}

#[with_sentry]
#[event(connect)]
async fn connect(_socket: Socket, env: Env, context: Context) -> Result<()> {
    let _ = (&env, &context);
    Ok(())
}
