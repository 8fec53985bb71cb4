//! Sentry for Cloudflare Workers, in Rust.
//!
//! # Layout
//!
//! Each module is one step of a capture, in this order, and [`capture`](self)
//! runs through them once:
//!
//! 1. `guard`: is there a `SENTRY_DSN` at all?
//! 2. `load`: the bindings become a configuration.
//! 3. and 4. `isolate`: a failed load is tried again; a client is made once.
//! 5. `client`: a `sentry-core` client whose transport is an outbox.
//! 6. `event`, `deliver`, `limits`: the error becomes an event and leaves.
//!
//! `runtime` is the seam behind which `workerd` talks to JavaScript.

#![warn(missing_docs, unreachable_pub)]

mod capture;
mod client;
mod deliver;
mod event;
mod guard;
mod isolate;
mod limits;
mod load;
mod runtime;
mod workerd;

use std::cell::RefCell;

pub use event::Report;
/// The id of an event, as Sentry shows it.
pub use sentry_core::types::Uuid;
use worker::Env;

// ANCHOR: slot
thread_local! {
    /// The isolate's slot. An isolate has one thread and, with it, one of these.
    /// Leaked because a capture keeps it across waits; it lives as long as the
    /// isolate in any case.
    static ISOLATE: &'static capture::Shared =
        Box::leak(Box::new(RefCell::new(isolate::Isolate::new())));
}
// ANCHOR_END: slot

/// Reports an error from wherever it was caught: a Durable Object's handler, a
/// Workflow's `run`, or anywhere else.
///
/// Waits until the receiver has answered, five seconds at most. Never fails and
/// never panics; whether to re-throw the error is yours to decide.
///
/// Returns the event's id if the receiver took the event, and `None` if there is
/// no `SENTRY_DSN`, if the configuration could not be loaded (the next call
/// tries again), or if the event was dropped or lost on the way. With the
/// binding `SENTRY_DEBUG` set to `on`, the console says which.
///
/// ```no_run
/// use worker::{Env, Result};
/// use worker_sentry::{Report, capture_exception_in_isolate};
///
/// async fn alarm(env: &Env) -> Result<()> {
///     let swept = sweep().await;
///     if let Err(error) = &swept {
///         let report = Report::new(error).in_handler("RateLimiterDo", "alarm");
///         capture_exception_in_isolate(env, report).await;
///     }
///     swept
/// }
/// # async fn sweep() -> Result<()> { Ok(()) }
/// ```
pub async fn capture_exception_in_isolate<'e>(
    env: &Env,
    error: impl Into<Report<'e>>,
) -> Option<Uuid> {
    let runtime = workerd::Workerd::new(env);
    capture::capture(&runtime, ISOLATE.with(|isolate| *isolate), error.into()).await
}
