//! The example Worker of the worker-sentry book: a small filter-list compiler.
//!
//! Every way in has a file of its own, named as the book names it. Decisions that do not need the
//! platform are in separate modules, with native tests.
//!
//! - the main Worker: here, with `routes`, `intake` and `periodic`;
//! - Durable Objects: `rate_limiter_do`, `compilation_coordinator`,
//!   `ws_hibernation_do`;
//! - Workflows: `workflows`;
//! - decisions: `filter_list`, `compile_request`, `compilation`, `rate_limit`,
//!   `batch`, `etag`, `health`, `schedule`;
//! - `drill`: makes each handler fail on purpose.

mod batch;
mod call;
mod compilation;
mod compilation_coordinator;
mod compile_request;
mod drill;
#[cfg(test)]
mod error_texts;
mod etag;
pub mod filter_list;
mod fnv;
mod health;
mod intake;
mod lists;
mod periodic;
mod rate_limit;
mod rate_limiter_do;
mod routes;
mod schedule;
mod shard;
mod workflows;
mod ws_hibernation_do;

use worker::{
    Context, Env, MessageBatch, Request, Response, Result, ScheduleContext, ScheduledEvent, event,
};
use worker_sentry::{Handler, Monitor, with_monitor, with_sentry_worker};

pub use compilation_coordinator::CompilationCoordinator;
pub use compile_request::CompileRequest;
pub use rate_limiter_do::RateLimiterDo;
pub use workflows::{
    BatchCompilationWorkflow, CacheWarmingWorkflow, CompilationWorkflow, HealthMonitoringWorkflow,
};
pub use ws_hibernation_do::WsHibernationDo;

// ANCHOR: fetch
/// The main Worker's way in for HTTP.
#[event(fetch)]
async fn fetch(request: Request, env: Env, context: Context) -> Result<Response> {
    let answer = routes::route(request, &env, &context);
    Ok(with_sentry_worker(&env, &context, Handler::Fetch, answer).await?)
}
// ANCHOR_END: fetch

// ANCHOR: queue
/// The main Worker's way in for messages.
///
/// Which messages come again is said message by message, so there is nothing
/// left to tell the runtime. With `worker` 0.8.7, an `Err` from here is a panic.
#[event(queue)]
async fn queue(batch: MessageBatch<CompileRequest>, env: Env, context: Context) -> Result<()> {
    let intake = intake::take_in(&env, &batch);
    if let Err(error) = with_sentry_worker(&env, &context, Handler::Queue, intake).await {
        worker::console_error!("{error}");
    }
    Ok(())
}
// ANCHOR_END: queue

// ANCHOR: scheduled
/// The main Worker's way in for cron triggers. It has no result to return.
///
/// The monitor tells Sentry that the trigger has fired, so that one which stays away is
/// noticed as well.
#[event(scheduled)]
async fn scheduled(event: ScheduledEvent, env: Env, context: ScheduleContext) {
    let cron = event.cron();
    let monitor = Monitor::of(&event).margin(5).max_runtime(10);
    let start = with_monitor(monitor, periodic::start(&env, &cron));
    if let Err(error) = with_sentry_worker(&env, &context, Handler::Scheduled, start).await {
        worker::console_error!("{error}");
    }
}
// ANCHOR_END: scheduled
