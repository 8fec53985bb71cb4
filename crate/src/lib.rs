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
//! [`add_breadcrumb`] and [`configure_scope`] add what led to an error, and which user it
//! affected, to each later event of the same run.
//!
//! With the feature `logs`, a `Log` is sent when its run has ended.
//!
//! One line wraps all handlers of a class: [`with_sentry`](macro@with_sentry).
//!
//! The feature `tower` adds the module `tower`, for axum and other services of `tower`. The
//! feature `tracing` adds the module `tracing`, for events and spans of `tracing`.
//!
//! Captures and wrappers take every error type that [`IntoReport`] lists. A [`Report`] adds
//! data to an error, [`WithStack`] keeps the place where an error came up,
//! [`set_before_send`] sees every event before it is sent, [`limit_repeats`] limits the
//! repeats of an error, and [`workflow`](mod@workflow) is the Workflows binding that
//! `worker` does not have yet.
//! Without the binding `SENTRY_DSN` nothing is reported and nothing else changes.
//!
//! # Layout
//!
//! Data goes one way, from each layer to the next:
//!
//! | layer | what is decided there |
//! | --- | --- |
//! | `api` | almost nothing: the functions that a user calls |
//! | `panics` | what the panic hook does; in a build that unwinds, `scope` catches the panic |
//! | `scope` | which run of which handler an event belongs to; the data and the reports of that run |
//! | `steps` | the six steps: `guard` is the first, `load` the second, `slot` the third and fourth, `client` the fifth, `prepare` and `deliver` the sixth. `prepare` asks whether a limit forbids to send |
//! | `item` | the contents of an event: the causes of an error (`exception`, put in Sentry's order by `draft`), a value that JavaScript threw (`thrown`), a type's name, a stack |
//! | `trace` | which trace a run is part of: its ids, the trace it continues, the trace it passes on |
//! | `wire` | how an item is sent: the envelope, the headers (`endpoint`), and the receiver's rate limits (`limits`) |
//! | `platform` | nothing: `Runtime` is the interface, and its implementation `workerd` talks to JavaScript |
//!
//! No layer calls one above it, with one exception: `wire` writes the items of `item`.
//!
//! Everything that is sent, an error as well as a panic, is sent by one function,
//! `steps::exit`. `workflow` stands beside the layers and uses them in one file.

#![warn(missing_docs, unreachable_pub)]
// docs.rs shows for each item the feature that it needs.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod api;
#[cfg(test)]
mod budget;
#[cfg(feature = "hostile")]
#[doc(hidden)]
pub mod hostile;
mod item;
#[cfg(feature = "laboratory")]
#[doc(hidden)]
pub mod laboratory;
mod panics;
mod platform;
mod scope;
mod steps;
mod trace;
mod wire;
pub mod workflow;

#[cfg(feature = "spans")]
pub use api::alarm::TracedAlarm;
pub use api::ambient::{
    ScopeData, add_breadcrumb, capture_error, capture_message, configure_scope,
    fetch_with_breadcrumb,
};
pub use api::background::with_sentry_in_background;
pub use api::capture::{capture_exception_in_background, capture_exception_in_isolate};
#[cfg(any(test, feature = "logs"))]
pub use api::hooks::set_before_send_log;
pub use api::hooks::{limit_repeats, set_before_send};
pub use api::into_report::IntoReport;
#[doc(hidden)]
pub use api::into_report::kind;
pub use api::monitor::{Monitor, with_monitor};
pub use api::name::set_transaction;
pub use api::propagation::{
    CloudflareTrace, TraceHeaders, TraceSource, TracedFetcher, TracedStub, continue_trace,
    current_trace, traced_request,
};
#[cfg(feature = "queue")]
pub use api::queue::{MessageTraces, TracedQueue, message_traces, traced_message};
pub use api::report::Report;
#[cfg(feature = "spans")]
pub use api::spans::{set_response_status, set_span_data, span, try_span};
pub use api::stream::with_sentry_in_stream;
pub use api::with_stack::WithStack;
pub use api::wrap::{
    with_sentry_in_constructor, with_sentry_in_isolate, with_sentry_without_waiting,
    with_sentry_worker,
};
pub use item::breadcrumb::Breadcrumb;
#[cfg(any(test, feature = "logs"))]
pub use item::log::Log;
pub use item::place::Handler;
pub use platform::workerd::WaitUntil;
/// The types of an event and of a log, for [`set_before_send`], `set_before_send_log` and
/// [`Report::level`].
#[doc(no_inline)]
pub use sentry_core::protocol;

/// A layer for `tower`, and so for axum: [`SentryLayer`](tower::SentryLayer).
///
/// An axum handler returns a response even for an error, so the wrappers do not see its
/// errors. The layer does.
#[cfg(feature = "tower")]
pub mod tower {
    pub use crate::api::tower::{SentryLayer, SentryService, with_error};
}

/// A layer for `tracing`: [`SentryLayer`](tracing::SentryLayer).
#[cfg(feature = "tracing")]
pub mod tracing {
    pub use crate::api::tracing::SentryLayer;
}

#[cfg(feature = "macros")]
/// Wraps every handler of a class, or a function of the main Worker, with one line.
///
/// | it stands on | it wraps | with |
/// | --- | --- | --- |
/// | `impl DurableObject for X` | each handler | [`with_sentry_in_isolate`] |
/// | `impl WorkflowEntrypoint for X` | `run` | [`with_sentry_in_isolate`] |
/// | either of them | `new` | [`with_sentry_in_constructor`] |
/// | a function with `#[event(…)]`, above or below that | the function | [`with_sentry_worker`] |
///
/// The class in events is the name of the type; the handler is the name of the method.
///
/// ```no_run
/// use worker::{DurableObject, Env, Request, Response, Result, State, durable_object};
/// use worker_sentry::with_sentry;
///
/// #[durable_object]
/// pub struct RateLimiterDo {
///     state: State,
///     env: Env,
/// }
///
/// #[with_sentry]
/// impl DurableObject for RateLimiterDo {
///     fn new(state: State, env: Env) -> Self {
///         RateLimiterDo { state, env }
///     }
///
///     async fn fetch(&self, request: Request) -> Result<Response> {
///         Response::ok(request.path())
///     }
///
///     async fn alarm(&self) -> Result<Response> {
///         self.state.storage().delete_all().await?;
///         Response::empty()
///     }
/// }
/// ```
///
/// # Errors of your own
///
/// A handler in an `impl` may return an error type of its own, written with two arguments:
/// `Result<Response, SweepError>`. The error is reported with its own type. Then your
/// `From<SweepError>` turns it into a `worker::Error`. A function for `scheduled` may return a
/// `Result`, too. Its error is also written to the console, because the runtime takes no result
/// from `scheduled`.
///
/// # Options
///
/// | option | meaning | default |
/// | --- | --- | --- |
/// | `class = "Limiter"` | the class's name in events | the type's name |
/// | `env = self.environment` | where the object keeps its `Env` | the field that `new` puts it into, else `self.env` |
/// | `skip(fetch)` | these handlers are not wrapped | none |
/// | `background(fetch)` | these do not wait for their report: [`with_sentry_without_waiting`] | none |
/// | `state = self.ctx` | where the object keeps its `State`, for `background` | the field that `new` puts it into, else `self.state` |
/// | `crate = path` | where this crate is | `::worker_sentry` |
/// | `fetch`, `queue`, … | on a function: its event | what `#[event(…)]` says |
///
/// The body of a function of the main Worker may move its `env` and its context: the wrapper
/// keeps handles of its own. The context of `scheduled` cannot be cloned, so the body can only
/// borrow it.
pub use worker_sentry_macros::with_sentry;

/// What the expansion of [`with_sentry`](macro@with_sentry) needs. Not an API.
#[cfg(feature = "macros")]
#[doc(hidden)]
pub mod __private {
    pub use crate::platform::workerd::context;
    pub use worker::Result;

    /// Gives unreachable code the type of a body's value.
    pub fn typed<T>() -> T {
        unreachable!("no code gets here")
    }

    /// Writes an error to the console that the runtime does not take.
    pub fn console_error(error: &dyn std::fmt::Display) {
        worker::console_error!("{error}");
    }
}

/// The front page's code runs as tests.
#[cfg(doctest)]
mod readme {
    doc_comment::doctest!("../README.md");
}
