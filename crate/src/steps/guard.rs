//! Step 1, *guard*: without a `SENTRY_DSN` binding, the crate does nothing.

use std::cell::Cell;

use worker::Env;

use super::slot::{Shared, shared};
use crate::platform::Runtime;
use crate::platform::workerd::Workerd;

thread_local! {
    /// What the first check in this isolate has found. It is kept outside of the isolate's
    /// state, so that each function that a user calls costs only one read to begin with.
    static FOUND: Cell<Option<bool>> = const { Cell::new(None) };
}

/// Whether this isolate has no DSN. Each public function checks this first, before it makes,
/// moves or borrows anything.
#[inline]
pub(crate) fn is_off(env: &Env) -> bool {
    match FOUND.get() {
        Some(is_configured) => !is_configured,
        None => first_look(env),
    }
}

#[cold]
fn first_look(env: &Env) -> bool {
    let is_configured = is_configured(&Workerd::new(env), shared());
    FOUND.set(Some(is_configured));
    !is_configured
}

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

/// The sample rate of traces, read once for each isolate. `None` if it is in a Secrets Store,
/// because reading one waits.
#[cfg(feature = "spans")]
pub(crate) fn traces_sample_rate(
    runtime: &impl Runtime,
    isolate: &Shared,
) -> Option<crate::trace::sampling::Rate> {
    use crate::platform::Binding;
    use crate::trace::sampling::Rate;
    let look = || match runtime.binding(super::load::TRACES) {
        Binding::Text(text) => runtime.decimal(text.trim()).and_then(Rate::new),
        _ => None,
    };
    isolate.try_borrow_mut().ok()?.traces(look)
}

/// Whether structured logs are sent: `SENTRY_ENABLE_LOGS`, read once for each isolate. `false`
/// if it is in a Secrets Store, because reading one waits.
#[cfg(any(test, feature = "logs"))]
pub(crate) fn sends_logs(runtime: &impl Runtime, isolate: &Shared) -> bool {
    use crate::platform::{Binding, is_on};
    let look = || match runtime.binding(super::load::LOGS) {
        Binding::Text(text) => is_on(&text) == Some(true),
        _ => false,
    };
    isolate
        .try_borrow_mut()
        .is_ok_and(|mut isolate| isolate.logs(look))
}
