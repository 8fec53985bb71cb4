//! One trace: what a run continues, decides and passes on. Nothing here calls the
//! platform, so all of it is tested natively.
//!
//! - `continuation`: from what came in to a [`Trace`].
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
pub(crate) mod ids;
pub(crate) mod outgoing;
pub(crate) mod sampling;
pub(crate) mod sentry_trace;
pub(crate) mod sha1;
pub(crate) mod traceparent;

pub(crate) use continuation::{Incoming, Own, Trace};
pub(crate) use ids::{SpanId, TraceId};
