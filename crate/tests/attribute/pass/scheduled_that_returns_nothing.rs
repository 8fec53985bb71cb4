//! A cron trigger's function may return nothing, and return early.

use worker::*;
use worker_sentry::with_sentry;

#[with_sentry]
#[event(scheduled)]
async fn scheduled(event: ScheduledEvent, env: Env, context: ScheduleContext) {
    if event.cron().is_empty() {
        return;
    }
    let env = env;
    context.wait_until(async move {
        let _ = env.var("NAME");
    });
}
