//! The trace of a run: what a run continues, decides and passes on. This module never calls
//! the platform, so native tests cover all of it.
//!
//! - `head`: a [`Trace`], and the trace that a run begins itself.
//! - `continuation`: makes a [`Trace`] from the incoming headers.
//! - `run`: the trace of one run, made when something asks for it.
//! - `outgoing`: from a [`Trace`] to the headers of a request.
//! - `sentry_trace`, `traceparent`, `baggage`: the three headers.
//! - `dsc`: the dynamic sampling context.
//! - `sampling`: rates, random values, the decision.
//! - `ids`: ids of traces and spans, and the trace id of a Workflow's instance.
//!
//! Rules: <https://develop.sentry.dev/sdk/foundations/trace-propagation/>

pub(crate) mod baggage;
pub(crate) mod continuation;
pub(crate) mod dsc;
pub(crate) mod head;
pub(crate) mod ids;
pub(crate) mod outgoing;
pub(crate) mod run;
pub(crate) mod sampling;
pub(crate) mod sentry_trace;
pub(crate) mod sha1;
pub(crate) mod traceparent;

pub(crate) use continuation::Incoming;
pub(crate) use head::{Own, Trace};
pub(crate) use ids::{SpanId, TraceId};
