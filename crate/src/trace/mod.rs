//! One trace: what a run continues, decides and passes on. Nothing here calls the
//! platform, so all of it is tested natively.
//!
//! - `head`: a [`Trace`], and the one that a run begins by itself.
//! - `continuation`: from what came in to a [`Trace`].
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
