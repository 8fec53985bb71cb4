//! Sentry for Cloudflare Workers, in Rust.
//!
//! | what fails | what reports it |
//! | --- | --- |
//! | a handler of a Durable Object, a Workflow's `run` | [`with_sentry_in_isolate`] around its body |
//! | the same, where the catch is your own | [`capture_exception_in_isolate`] |
//! | a handler that must not wait, such as `websocket_error` | [`capture_exception_in_background`] |
//! | the main Worker's `fetch`, `queue` or `scheduled` | [`with_sentry_worker`] around its body |
//!
//! A [`Report`] says more about an error, [`set_before_send`] sees every event before
//! it leaves, and [`workflow`](mod@workflow) is the Workflows binding that `worker` does
//! not have yet. Without the binding `SENTRY_DSN` nothing is reported and nothing
//! else changes.
//!
//! # Layout
//!
//! Each module is one step of a capture, in this order, and `capture` runs through
//! them once:
//!
//! - step 1, `guard`: is there a `SENTRY_DSN` at all?
//! - step 2, `load`: the bindings become a configuration.
//! - steps 3 and 4, `isolate`: a failed load is tried again; a client is made once.
//! - step 5, `client`: a `sentry-core` client, which completes events and
//!   sends nothing.
//! - step 6, `event`, `payload`, `envelope` and `deliver`: the error becomes an event and
//!   leaves.
//!
//! Beside them, `report` is what the caller says of an error, `wrap` reports
//! whatever a handler's body returns, `panics` sends what cannot wait, and
//! `runtime` is the seam behind which `workerd` talks to JavaScript.

#![warn(missing_docs, unreachable_pub)]

mod before_send;
#[cfg(test)]
mod budget;
mod capture;
mod client;
mod deliver;
mod dsn;
mod envelope;
mod event;
mod guard;
#[cfg(test)]
mod interleavings;
mod isolate;
#[cfg(test)]
mod item;
mod limits;
mod load;
mod panics;
mod payload;
mod report;
mod runtime;
mod stack;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod trace;
mod workerd;
pub mod workflow;
mod wrap;

pub use before_send::set_before_send;
#[cfg(feature = "anyhow")]
#[doc(hidden)]
pub use report::Anyhow;
pub use report::{Report, Reportable};
/// The types of an event, for [`set_before_send`] and [`Report::level`].
#[doc(no_inline)]
pub use sentry_core::protocol;
use sentry_core::protocol::Uuid;
use worker::Env;
pub use workerd::WaitUntil;
pub use wrap::{capture_exception_in_background, with_sentry_in_isolate, with_sentry_worker};

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
    capture::capture(&runtime, isolate::shared(), error.into()).await
}

/// The front page's code runs as tests.
#[cfg(doctest)]
mod readme {
    doc_comment::doctest!("../README.md");
}
