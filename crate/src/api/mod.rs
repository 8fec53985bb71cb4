//! The functions that a user calls. Each passes the scope of the current run on to the six
//! steps; the decisions are made there.

#[cfg(feature = "spans")]
pub(crate) mod alarm;
pub(crate) mod ambient;
pub(crate) mod background;
pub(crate) mod capture;
pub(crate) mod hooks;
pub(crate) mod into_report;
#[cfg(any(test, feature = "logs"))]
pub(crate) mod log;
pub(crate) mod monitor;
pub(crate) mod name;
pub(crate) mod propagation;
#[cfg(feature = "queue")]
pub(crate) mod queue;
pub(crate) mod recording;
pub(crate) mod report;
#[cfg(feature = "spans")]
pub(crate) mod spans;
pub(crate) mod stream;
#[cfg(feature = "tower")]
pub(crate) mod tower;
#[cfg(feature = "tracing")]
pub(crate) mod tracing;
pub(crate) mod with_stack;
pub(crate) mod wrap;
