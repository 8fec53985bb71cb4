//! Step 5, *build the client*: a `sentry-core` client whose transport is an
//! outbox.
//!
//! `sentry-core` sends from wherever an event is captured. On this platform
//! sending is I/O and belongs to one request, so the transport only keeps the
//! envelope; the caller that captured takes it out again, in the same turn of
//! the event loop, and delivers it from its own request.
//!
//! The client lives in a slot of ours and is not bound to `sentry-core`'s hub:
//! there, every `sentry_core::capture_message` in the application would go from
//! a harmless no-op to a call that reads a clock this platform does not have.

use std::cell::RefCell;
use std::sync::{Arc, Mutex};

use sentry_core::protocol::{EnvelopeHeaders, Event};
use sentry_core::{
    Client, ClientOptions, Envelope, TracesSamplingStrategy, Transport, TransportFactory,
    TransportOptions,
};

use crate::deliver::Receiver;
use crate::event;
use crate::limits::RateLimits;
use crate::load::Config;

/// Sentry rejects events of more than a megabyte.
/// <https://develop.sentry.dev/sdk/data-model/envelopes/#size-limits>
const MAX_ENVELOPE: usize = 1_000_000;

/// Everything an isolate keeps once it is ready.
pub(crate) struct IsolateClient {
    sentry: Client,
    outbox: Arc<Outbox>,
    pub(crate) receiver: Receiver,
    pub(crate) limits: RefCell<RateLimits>,
    pub(crate) config: Config,
}

impl IsolateClient {
    // ANCHOR: build
    /// Builds the client straight from the loaded configuration. Does no I/O.
    pub(crate) fn build(config: Config) -> Self {
        let outbox = Arc::new(Outbox::default());
        let mut options = ClientOptions::default();
        options.dsn = Some(config.dsn.clone());
        options.release = config.release.clone();
        options.environment = Some(config.environment.clone());
        options.traces_sampling_strategy =
            TracesSamplingStrategy::FixedRate(config.traces_sample_rate);
        options.transport = Some(Arc::new(IntoOutbox(Arc::clone(&outbox))));
        options.default_integrations = false;
        IsolateClient {
            sentry: Client::with_options(options),
            outbox,
            receiver: Receiver::new(&config),
            limits: RefCell::new(RateLimits::default()),
            config,
        }
    }
    // ANCHOR_END: build

    // ANCHOR: envelope
    /// Has `sentry-core` make an envelope of the event.
    ///
    /// Every field that `sentry-core` would fill from a clock is set already.
    pub(crate) fn envelope(&self, event: Event<'static>) -> Option<Envelope> {
        let headers = envelope_headers(&self.config, &event);
        self.sentry.capture_event(event, None);
        Some(self.outbox.take()?.with_headers(headers))
    }
    // ANCHOR_END: envelope
}

/// <https://develop.sentry.dev/sdk/data-model/envelopes/#headers>
pub(crate) fn envelope_headers(config: &Config, event: &Event<'_>) -> EnvelopeHeaders {
    let headers = EnvelopeHeaders::new()
        .with_event_id(event.event_id)
        .with_sent_at(event.timestamp)
        .with_sdk(event::sdk_info());
    match config.tunnel {
        // A tunnel has no other way to know where the event is to go.
        Some(_) => headers.with_dsn(config.dsn.clone()),
        None => headers,
    }
}

/// The envelope as bytes, trimmed until Sentry takes it.
pub(crate) fn to_bytes(mut envelope: Envelope) -> Option<Vec<u8>> {
    let mut step = 0;
    loop {
        let mut bytes = Vec::new();
        envelope.to_writer(&mut bytes).ok()?;
        if bytes.len() <= MAX_ENVELOPE {
            return Some(bytes);
        }
        let mut event = envelope.event()?.clone();
        if !event::trim(&mut event, step) {
            return Some(bytes);
        }
        step += 1;
        let headers = envelope.headers().clone();
        envelope = Envelope::from(event).with_headers(headers);
    }
}

/// A transport that keeps the last envelope until it is taken.
#[derive(Default)]
struct Outbox(Mutex<Option<Envelope>>);

impl Outbox {
    fn take(&self) -> Option<Envelope> {
        self.0.lock().ok()?.take()
    }
}

impl Transport for Outbox {
    fn send_envelope(&self, envelope: Envelope) {
        if let Ok(mut slot) = self.0.lock() {
            *slot = Some(envelope);
        }
    }
}

/// Hands `sentry-core` the outbox that we hold the other end of.
struct IntoOutbox(Arc<Outbox>);

impl TransportFactory for IntoOutbox {
    fn create_transport_with_options(&self, _: TransportOptions) -> Arc<dyn Transport> {
        Arc::clone(&self.0) as Arc<dyn Transport>
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Draft;
    use crate::load::{Config, DSN, Value, Values};
    use crate::report::Report;
    use sentry_core::protocol::Uuid;
    use serde_json::json;

    fn config(pairs: &[(&'static str, &str)]) -> Config {
        let values = pairs.iter().fold(
            Values::default().with(DSN, Value::Text("https://key@s.example.com/1".to_owned())),
            |values, (name, text)| values.with(name, Value::Text((*text).to_owned())),
        );
        Config::resolve(&values).expect("a usable DSN").config
    }

    fn event() -> Event<'static> {
        let error = "x".parse::<u8>().expect_err("no number");
        Draft::read(Report::new(&error)).into_event(Uuid::from_u128(7), 1_000.0)
    }

    fn written(envelope: Envelope) -> Vec<serde_json::Value> {
        let bytes = to_bytes(envelope).expect("bytes");
        String::from_utf8(bytes)
            .expect("text")
            .lines()
            .map(|line| serde_json::from_str(line).expect("JSON"))
            .collect()
    }

    #[test]
    fn step_5_build_the_client_gives_every_event_its_release_and_environment() {
        let client = IsolateClient::build(config(&[("SENTRY_RELEASE", "r"), ("ENVIRONMENT", "e")]));
        let lines = written(client.envelope(event()).expect("an envelope"));
        assert_eq!(lines[0]["event_id"], Uuid::from_u128(7).to_string());
        assert_eq!(lines[0]["sent_at"], "1970-01-01T00:00:01Z");
        assert_eq!(lines[0]["dsn"], json!(null));
        assert_eq!(lines[1]["type"], "event");
        assert_eq!(lines[2]["release"], "r");
        assert_eq!(lines[2]["environment"], "e");
    }

    #[test]
    fn step_5_build_the_client_passes_the_traces_sample_rate_on() {
        let client = IsolateClient::build(config(&[("SENTRY_TRACES_SAMPLE_RATE", "0.5")]));
        let strategy = format!("{:?}", client.sentry.options().traces_sampling_strategy);
        assert_eq!(strategy, "FixedRate(0.5)");
    }

    #[test]
    fn a_tunnel_learns_the_dsn_from_the_envelope() {
        let client = IsolateClient::build(config(&[("SENTRY_TUNNEL", "https://t.example.com/")]));
        let lines = written(client.envelope(event()).expect("an envelope"));
        assert!(
            lines[0]["dsn"]
                .as_str()
                .is_some_and(|dsn| dsn.contains("s.example.com/1"))
        );
    }

    #[test]
    fn an_outbox_is_empty_when_its_envelope_was_taken() {
        let client = IsolateClient::build(config(&[]));
        assert!(client.envelope(event()).is_some());
        assert!(client.outbox.take().is_none());
    }

    #[test]
    fn an_event_that_is_too_large_is_trimmed_until_it_fits() {
        let client = IsolateClient::build(config(&[]));
        let big = "x".repeat(400_000);
        let mut event = event();
        for name in ["a", "b", "c"] {
            event.extra.insert(name.to_owned(), json!(big));
        }
        event.tags.insert("kept".to_owned(), "yes".to_owned());
        let lines = written(client.envelope(event.clone()).expect("an envelope"));
        assert_eq!(lines[2]["extra"], json!(null));
        assert_eq!(lines[2]["tags"]["kept"], "yes");
        assert_eq!(
            lines[2]["event_id"],
            Uuid::from_u128(7).simple().to_string()
        );

        event.exception.values[0].value = Some(big.repeat(3));
        let lines = written(client.envelope(event).expect("an envelope"));
        let value = &lines[2]["exception"]["values"][0]["value"];
        assert!(value.as_str().is_some_and(|value| value.ends_with("...")));
    }
}
