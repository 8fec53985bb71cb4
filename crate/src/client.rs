//! Step 5, *build the client*: what an isolate keeps, once it is ready.
//!
//! The client is `sentry-core`'s. It completes an event as every Rust SDK of Sentry
//! does, and sends nothing: on this platform sending is I/O and belongs to one request,
//! so whoever captured takes the event and delivers it from there.
//!
//! The client lives in a slot of ours and is not bound to `sentry-core`'s hub:
//! there, every `sentry_core::capture_message` in the application would go from
//! a harmless no-op to a call that reads a clock this platform does not have.

use std::cell::RefCell;

use sentry_core::protocol::Event;
use sentry_core::{Client, ClientOptions, TracesSamplingStrategy};

use crate::deliver::Receiver;
use crate::limits::RateLimits;
use crate::load::Config;

/// Everything an isolate keeps once it is ready.
pub(crate) struct IsolateClient {
    sentry: Client,
    pub(crate) receiver: Receiver,
    pub(crate) limits: RefCell<RateLimits>,
    pub(crate) config: Config,
}

impl IsolateClient {
    // ANCHOR: build
    /// Builds the client straight from the loaded configuration. Does no I/O.
    pub(crate) fn build(config: Config) -> Self {
        let mut options = ClientOptions::default();
        options.release = config.release.clone();
        options.environment = Some(config.environment.clone());
        options.traces_sampling_strategy =
            TracesSamplingStrategy::FixedRate(config.traces_sample_rate);
        options.default_integrations = false;
        IsolateClient {
            sentry: Client::with_options(options),
            // The DSN and the transport are ours.
            receiver: Receiver::new(&config),
            limits: RefCell::new(RateLimits::default()),
            config,
        }
    }
    // ANCHOR_END: build

    // ANCHOR: prepare
    /// Has `sentry-core` complete an event.
    ///
    /// Every field that it would fill from a clock is set already.
    pub(crate) fn prepare(&self, event: Event<'static>) -> Option<Event<'static>> {
        self.sentry.prepare_event(event, None)
    }
    // ANCHOR_END: prepare
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Draft;
    use crate::load::tests::config;
    use crate::report::Report;
    use sentry_core::protocol::Uuid;

    #[test]
    fn step_5_build_the_client_gives_every_event_its_release_and_environment() {
        let client = IsolateClient::build(config(&[("SENTRY_RELEASE", "r"), ("ENVIRONMENT", "e")]));
        let error = "x".parse::<u8>().expect_err("no number");
        let event = Draft::read(Report::new(&error)).into_event(Uuid::from_u128(7), 1_000.0);
        let event = client.prepare(event).expect("an event");
        assert_eq!(event.release.as_deref(), Some("r"));
        assert_eq!(event.environment.as_deref(), Some("e"));
        assert_eq!(event.event_id, Uuid::from_u128(7));
    }

    #[test]
    fn step_5_build_the_client_passes_the_traces_sample_rate_on() {
        let client = IsolateClient::build(config(&[("SENTRY_TRACES_SAMPLE_RATE", "0.5")]));
        let strategy = format!("{:?}", client.sentry.options().traces_sampling_strategy);
        assert_eq!(strategy, "FixedRate(0.5)");
    }
}
