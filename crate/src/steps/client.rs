//! Step 5, *build the client*: makes the state that an isolate keeps.
//!
//! The client is `sentry-core`'s, and it holds the options. It sends nothing: on this
//! platform sending is I/O and belongs to one request, so whoever captured delivers the
//! event from there.
//!
//! The client is kept in a slot of this crate and is not bound to `sentry-core`'s hub. With a
//! bound client, every `sentry_core::capture_message` in the application would read a clock that
//! this platform does not have, and panic. Without one, such a call does nothing.

use std::cell::RefCell;

use sentry_core::{Client, ClientOptions, TracesSamplingStrategy};

use super::load::Config;
use super::repeats::Repeats;
use crate::platform::workerd::SERVICE;
use crate::trace::Own;
use crate::wire::endpoint::Endpoint;
use crate::wire::limits::RateLimits;

/// Everything an isolate keeps once it is ready.
pub(crate) struct IsolateClient {
    sentry: Client,
    pub(crate) endpoint: Endpoint,
    pub(crate) limits: RefCell<RateLimits>,
    pub(crate) repeats: RefCell<Repeats>,
    pub(crate) config: Config,
}

impl IsolateClient {
    // ANCHOR: build
    /// Builds the client straight from the loaded configuration. Does no I/O.
    pub(crate) fn build(config: Config) -> Self {
        let mut options = ClientOptions::default();
        options.release = config.release.clone();
        options.environment = Some(config.environment.clone());
        if let Some(rate) = config.traces_sample_rate {
            options.traces_sampling_strategy = TracesSamplingStrategy::FixedRate(rate.share());
        }
        options.default_integrations = false;
        let tunnel = config.tunnel.as_deref();
        let service = config.has_service.then_some(SERVICE);
        IsolateClient {
            sentry: Client::with_options(options),
            // The DSN and the transport are ours: see `wire`.
            endpoint: Endpoint::new(&config.dsn, tunnel, service, config.access.as_ref()),
            limits: RefCell::new(RateLimits::default()),
            repeats: RefCell::default(),
            config,
        }
    }
    // ANCHOR_END: build

    /// The data of this Worker for the traces that begin here.
    pub(crate) fn own(&self) -> Own<'_> {
        Own {
            public_key: &self.config.dsn.public_key,
            release: self.config.release.as_deref(),
            environment: &self.config.environment,
            org_id: self.config.dsn.org_id.as_deref(),
            rate: self.config.traces_sample_rate,
        }
    }

    /// The options that the client was built with.
    pub(crate) fn options(&self) -> &ClientOptions {
        self.sentry.options()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::steps::load::tests::config;

    #[test]
    fn step_5_build_the_client_has_what_was_loaded() {
        let client = IsolateClient::build(config(&[
            ("SENTRY_RELEASE", "r"),
            ("ENVIRONMENT", "e"),
            ("SENTRY_TRACES_SAMPLE_RATE", "0.5"),
        ]));
        let options = client.options();
        assert_eq!(options.release.as_deref(), Some("r"));
        assert_eq!(options.environment.as_deref(), Some("e"));
        let strategy = format!("{:?}", options.traces_sampling_strategy);
        assert_eq!(strategy, "FixedRate(0.5)");
    }
}
