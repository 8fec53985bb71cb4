//! What a user calls. Nothing is decided here: each function joins the scope of the run it
//! is called in to the six steps.

pub(crate) mod ambient;
pub(crate) mod background;
pub(crate) mod capture;
pub(crate) mod hooks;
pub(crate) mod into_report;
pub(crate) mod name;
pub(crate) mod propagation;
#[cfg(feature = "queue")]
pub(crate) mod queue;
pub(crate) mod report;
pub(crate) mod stream;
#[cfg(feature = "tower")]
pub(crate) mod tower;
pub(crate) mod with_stack;
pub(crate) mod wrap;
