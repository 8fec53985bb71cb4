//! The names of the rows that the goals are about, and of rows that the oldest results do not have.
//!
//! If a row is about a host, a comma and the host follow the name.

/// What the crate adds to the upload for errors only.
pub const UPLOAD: &str = "added to the upload, compressed";
/// The size of the upload that a user deploys.
pub const SHIPPED: &str = "the whole upload, as it is shipped";
/// One of many captures in a row.
pub const CAPTURE: &str = "one capture";
/// Many captures at once.
pub const AT_ONCE: &str = "100 at once";
/// A capture that is not sent anywhere.
pub const SILENT_CAPTURE: &str = "a capture without a DSN";
/// A handler that succeeds, with a transaction.
pub const TRACED: &str = "a call that does not fail, traced at rate 1";
/// A handler that succeeds, without its transaction because of the sample rate.
pub const UNSAMPLED: &str = "a call that does not fail, at rate 0";
/// A handler that succeeds, without a sample rate.
pub const UNTRACED: &str = "a call that does not fail, built with `spans`, no rate";
/// A step of a Workflow, with a transaction.
pub const TRACED_STEP: &str = "added to a Workflow's step, traced at rate 1";
/// A step of a Workflow, without its transaction because of the sample rate.
pub const UNSAMPLED_STEP: &str = "added to a Workflow's step, at rate 0";
/// A capture with ten breadcrumbs.
pub const CRUMBS: &str = "one capture after ten breadcrumbs, main `fetch`";
/// A cron run with its two check-ins.
pub const CRON: &str = "a cron run with its check-ins, `scheduled`";
/// A request to axum with the crate's layer.
pub const LAYER: &str = "added by axum's layer to a request";
/// A request to axum with the crate's layer and a transaction.
pub const TRACED_LAYER: &str = "added by axum's layer, traced at rate 1";
/// A panic, from the request to the answer as the client sees it.
pub const PANIC: &str = "a `fetch` that panics or throws, until its answer";
/// The time of a panic, minus that of the Worker without the integration.
pub const PANIC_ADDED: &str = "what the integration adds to a panic";

/// The first row of counts.
pub const COUNTED_CAPTURE: &str = "a capture";
/// Rows of counts that the oldest results do not have.
pub const COUNTED: [&str; 3] = [
    "a capture after ten breadcrumbs",
    "a call that does not fail, traced at rate 1",
    "a call that does not fail, at rate 0",
];

/// The memory that an isolate keeps after so many captures.
pub fn grown(captures: &str) -> String {
    format!("grown between 100 captures and {captures}")
}
