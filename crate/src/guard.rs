//! Step 1, *guard*: without a `SENTRY_DSN` binding there is nothing to do.

use crate::load::DSN;
use crate::runtime::Runtime;

// ANCHOR: guard
/// Whether this Worker reports errors at all.
///
/// One look at `env`: no client, no allocation, no log line, no network.
pub(crate) fn is_configured(runtime: &impl Runtime) -> bool {
    runtime.is_bound(DSN)
}
// ANCHOR_END: guard
