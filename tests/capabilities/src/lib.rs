//! The Worker of `listings/snippets/fetch` with one more capability, which a feature selects.
//! `tests/proof/budget.rs` limits what each capability may add to the upload.

#[cfg(not(feature = "router"))]
mod plain;
#[cfg(feature = "router")]
mod router;

/// Lets the application see each event.
#[cfg(feature = "before-send")]
#[worker::event(start)]
fn start() {
    worker_sentry::set_before_send(|mut event| {
        event.server_name = None;
        Some(event)
    });
}

/// Limits reports that are repeated.
#[cfg(feature = "limit-repeats")]
#[worker::event(start)]
fn start() {
    worker_sentry::limit_repeats(5);
}

/// Lets the application see each log.
#[cfg(feature = "before-send-log")]
#[worker::event(start)]
fn start() {
    worker_sentry::set_before_send_log(|mut log| {
        log.attributes.remove("account");
        Some(log)
    });
}

/// Passes what `tracing` records on to Sentry.
#[cfg(feature = "tracing")]
#[worker::event(start)]
fn start() {
    use tracing_subscriber::prelude::*;
    tracing_subscriber::registry()
        .with(worker_sentry::tracing::SentryLayer::new())
        .init();
}
