//! Step 1, *guard*: without a `SENTRY_DSN` binding there is nothing to do.

use super::slot::Shared;
use crate::platform::Runtime;

// ANCHOR: guard
/// Whether this Worker reports errors at all.
///
/// `env` is the same for the life of an isolate, so the first look at it is remembered.
/// Each later call reads one value: no call into JavaScript, no client, no allocation, no
/// log line, no network.
pub(crate) fn is_configured(runtime: &impl Runtime, isolate: &Shared) -> bool {
    match isolate.try_borrow_mut() {
        Ok(mut isolate) => isolate.is_configured(|| runtime.has_dsn()),
        Err(_) => runtime.has_dsn(),
    }
}
// ANCHOR_END: guard
