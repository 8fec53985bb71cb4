//! Functions of the main Worker, with the attribute below `#[event(…)]`.

use worker::*;
use worker_sentry::with_sentry;

#[event(fetch, respond_with_errors)]
#[with_sentry]
async fn fetch(request: Request, env: Env, _: Context) -> Result<Response> {
    // The body takes its `env`.
    Router::new()
        .get_async("/", |_, context| async move {
            Response::ok(context.var("NAME")?.to_string())
        })
        .run(request, env)
        .await
}

#[event(queue)]
#[with_sentry]
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

#[event(scheduled)]
#[with_sentry]
async fn scheduled(event: ScheduledEvent, _env: Env, _context: ScheduleContext) -> Result<()> {
    Err(event.cron().into())
}

#[event(email)]
#[with_sentry]
async fn email(
    message: ForwardableEmailMessage,
    _: Env,
    context: Context,
) -> std::result::Result<(), Box<dyn std::error::Error>> {
    context.wait_until(async {});
    message.to().parse::<u32>()?;
    Ok(())
}

#[event(connect)]
#[with_sentry]
async fn connect(_socket: Socket, env: Env, context: Context) -> Result<()> {
    let _ = (&env, &context);
    Ok(())
}
