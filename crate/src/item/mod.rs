//! What an envelope can hold beside an event, each with a writer of its own: a derived
//! one of a few fields weighs a seventh of that of `sentry-types`.
//!
//! Nothing here calls the platform. Times are milliseconds since the Unix epoch, as the
//! platform gives them, and are written as seconds.

pub(crate) mod breadcrumb;
pub(crate) mod check_in;
pub(crate) mod log;
pub(crate) mod schedule;
pub(crate) mod transaction;
pub(crate) mod value;
