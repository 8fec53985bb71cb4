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
