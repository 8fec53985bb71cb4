//! Sentry for Cloudflare Workers, in Rust.
//!
//! | what fails | what reports it |
//! | --- | --- |
//! | a handler of a Durable Object, a Workflow's `run` | [`with_sentry_in_isolate`] around its body |
//! | a handler of the main Worker: `fetch`, `queue`, `scheduled`, `email`, `connect` | [`with_sentry_worker`] around its body |
//! | work that goes on after the response | [`with_sentry_in_background`] in place of the context's `wait_until` |
//! | the body of a response that is a stream | [`with_sentry_in_stream`] around the stream |
//! | any of these, where the catch is your own | [`capture_exception_in_isolate`] |
//! | a handler that must not wait, such as `websocket_error` | [`capture_exception_in_background`] |
//! | anything below a wrapped handler, where no `env` is at hand | [`capture_error`], [`capture_message`] |
//!
//! [`add_breadcrumb`] and [`configure_scope`] say what led to an error, and whom it met: it
//! is on each later event of the same run and on no other's.
//!
//! Each takes whatever a handler can return, which [`IntoReport`] lists. A [`Report`] says
//! more about an error, [`WithStack`] keeps where it came up, [`set_before_send`] sees every event before it leaves, and
//! [`workflow`](mod@workflow) is the Workflows binding that `worker` does not have yet.
//! Without the binding `SENTRY_DSN` nothing is reported and nothing else changes.
//!
//! # Layout
//!
//! Data goes one way, from floor to floor, and no floor calls one above it:
//!
//! | floor | what is decided there |
//! | --- | --- |
//! | `api` | nothing: it is what a user calls |
//! | `panics` | what happens to a panic |
//! | `scope` | which run of which handler an event belongs to, and what was reported in it |
//! | `steps` | the six steps: `guard`, `load`, `slot` (twice), `client`, `prepare` and `deliver` |
//! | `item` | what an event says: the causes of an error (`exception`), what JavaScript threw (`thrown`), a type's name, a stack |
//! | `wire` | how it is sent: the envelope, the headers (`endpoint`), the rate limits (`limits`) |
//! | `platform` | nothing: `Runtime` is the seam, and behind it `workerd` talks to JavaScript |
//!
//! Whatever leaves, an error as well as a panic, leaves through one function,
//! `steps::exit`. `workflow` stands beside the floors and meets them in one file.

#![warn(missing_docs, unreachable_pub)]

mod api;
#[cfg(test)]
mod budget;
mod item;
#[cfg(feature = "laboratory")]
#[doc(hidden)]
pub mod laboratory;
mod panics;
mod platform;
mod scope;
mod steps;
#[cfg(test)]
mod trace;
mod wire;
pub mod workflow;

pub use api::ambient::{
    ScopeData, add_breadcrumb, capture_error, capture_message, configure_scope,
    fetch_with_breadcrumb,
};
pub use api::background::with_sentry_in_background;
pub use api::capture::{capture_exception_in_background, capture_exception_in_isolate};
pub use api::hooks::set_before_send;
pub use api::into_report::IntoReport;
#[doc(hidden)]
pub use api::into_report::kind;
pub use api::report::Report;
pub use api::stream::with_sentry_in_stream;
pub use api::with_stack::WithStack;
pub use api::wrap::{with_sentry_in_isolate, with_sentry_worker};
pub use item::breadcrumb::Breadcrumb;
pub use item::place::Handler;
pub use platform::workerd::WaitUntil;
/// The types of an event, for [`set_before_send`] and [`Report::level`].
#[doc(no_inline)]
pub use sentry_core::protocol;

/// The front page's code runs as tests.
#[cfg(doctest)]
mod readme {
    doc_comment::doctest!("../README.md");
}
