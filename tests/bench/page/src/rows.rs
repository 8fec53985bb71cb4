//! The names of the rows that the goals are about, and of those that came later than the
//! first results.
//!
//! A name with a host behind it has a comma between.

/// What the crate adds, errors only.
pub const UPLOAD: &str = "added to the upload, compressed";
/// What a user uploads in the end.
pub const SHIPPED: &str = "the whole upload, as it is shipped";
/// One in a row of them.
pub const CAPTURE: &str = "one capture";
/// A number of them at once.
pub const AT_ONCE: &str = "100 at once";
/// One that has nowhere to go.
pub const SILENT_CAPTURE: &str = "a capture without a DSN";
/// A handler that succeeds, with a transaction.
pub const TRACED: &str = "a call that does not fail, traced at rate 1";
/// The same where no trace is kept.
pub const UNSAMPLED: &str = "a call that does not fail, at rate 0";
/// The same where nothing asks for traces.
pub const UNTRACED: &str = "a call that does not fail, built with `spans`, no rate";
/// A step of a Workflow, with a transaction.
pub const TRACED_STEP: &str = "added to a Workflow's step, traced at rate 1";
/// The same where no trace is kept.
pub const UNSAMPLED_STEP: &str = "added to a Workflow's step, at rate 0";
/// With what led to it.
pub const CRUMBS: &str = "one capture after ten breadcrumbs, main `fetch`";
/// With two check-ins.
pub const CRON: &str = "a cron run with its check-ins, `scheduled`";
/// The layer for axum.
pub const LAYER: &str = "added by axum's layer to a request";
/// The same with a transaction.
pub const TRACED_LAYER: &str = "added by axum's layer, traced at rate 1";
/// As who asks sees it.
pub const PANIC: &str = "a `fetch` that panics or throws, until its answer";
/// Less the same of the Worker without the integration.
pub const PANIC_ADDED: &str = "what the integration adds to a panic";

/// What is counted first.
pub const COUNTED_CAPTURE: &str = "a capture";
/// The counts that came later.
pub const COUNTED: [&str; 3] = [
    "a capture after ten breadcrumbs",
    "a call that does not fail, traced at rate 1",
    "a call that does not fail, at rate 0",
];

/// What an isolate keeps of captures.
pub fn grown(captures: &str) -> String {
    format!("grown between 100 captures and {captures}")
}
