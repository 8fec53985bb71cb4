//! Work that goes on when the handler has returned.

use std::future::Future;
use std::pin::pin;

use worker::Env;

use super::into_report::IntoReport;
use super::wrap::reported;
use crate::platform::workerd::WaitUntil;
use crate::scope::Scope;

/// Lets `future` go on after the handler has returned, and reports the error that the future
/// returns.
///
/// The future keeps the scope of the calling code: its events name the same class and
/// handler. `worker`'s own `wait_until` takes a future too, but drops its error.
///
/// Returns at once. With no `SENTRY_DSN` the future runs as if it were handed to
/// `context`'s own `wait_until`.
///
/// ```no_run
/// use worker::{Context, Env, Result};
/// use worker_sentry::with_sentry_in_background;
///
/// fn respond(env: &Env, context: &Context) {
///     with_sentry_in_background(env, context, async { store_statistics().await });
/// }
/// # async fn store_statistics() -> Result<()> { Ok(()) }
/// ```
pub fn with_sentry_in_background<E, Kind>(
    env: &Env,
    context: &impl WaitUntil,
    future: impl Future<Output = Result<(), E>> + 'static,
) where
    E: 'static,
    for<'e> &'e E: IntoReport<'e, Kind>,
{
    let scope = Scope::continued();
    let env = env.clone();
    context.wait_until(async move {
        let future = pin!(future);
        // The error was reported. No caller is left to return it to.
        let _ = reported(&env, || scope, future).await;
    });
}
