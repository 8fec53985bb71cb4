//! Step 1, *guard*: without a `SENTRY_DSN` binding there is nothing to do.

use std::cell::Cell;

use worker::Env;

use super::slot::{Shared, shared};
use crate::platform::Runtime;
use crate::platform::workerd::Workerd;

thread_local! {
    /// What the first look in this isolate has found. It stands apart from the isolate's
    /// state, so that whatever a user calls begins with one read and nothing else.
    static FOUND: Cell<Option<bool>> = const { Cell::new(None) };
}

/// Whether this isolate reports nothing. Asked before anything is made, moved or borrowed.
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

/// The rate of the Worker's traces, as far as it is known without a wait. It is read once in
/// an isolate's life; what a Secrets Store holds is none.
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

/// Whether structured logs go out: `SENTRY_ENABLE_LOGS`, read once in an isolate's life. What
/// a Secrets Store holds is not known without a wait, and counts as off.
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
