//! Step 6, first half, *capture*: whether something is sent, and as what.
//!
//! All of it is decided here: the receiver's limits, sampling, the application's hook, the
//! size. `sentry-core` decides some of it too, but it accounts for each loss with a time
//! stamp that it cannot take on this platform.

use uuid::Uuid;

use super::before_send;
use super::client::IsolateClient;
use crate::item::draft::Draft;
use crate::item::{Category, Item};
use crate::platform::Runtime;
use crate::wire::envelope::{self, Envelope, Sender};

/// What is to be sent, as far as it is known before there is a client.
#[expect(
    clippy::large_enum_variant,
    reason = "nearly always it is an event, and a box would be an allocation for each"
)]
pub(crate) enum Parcel {
    /// What becomes an event, if it is sampled in and the application lets it go.
    Event(Draft),
    /// Any other item, which the client's release and environment are still to be written
    /// into. `None` means that it is not sent.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "what sends such items comes next")
    )]
    Item(Category, Make),
}

/// Makes an item once there is a client.
pub(crate) type Make = Box<dyn FnOnce(&IsolateClient) -> Option<Box<dyn Item>>>;

impl Parcel {
    /// What it counts as when a receiver limits rates.
    fn category(&self) -> Category {
        match self {
            Parcel::Event(_) => Category::Error,
            Parcel::Item(category, _) => *category,
        }
    }
}

impl From<Draft> for Parcel {
    fn from(draft: Draft) -> Self {
        Parcel::Event(draft)
    }
}

// ANCHOR: envelope
/// The envelope of what is to be sent, unless it is not to be sent now.
pub(crate) fn envelope(
    runtime: &impl Runtime,
    client: &IsolateClient,
    parcel: Parcel,
) -> Option<Envelope> {
    if !is_allowed(runtime, client, parcel.category()) {
        runtime.debug("the receiver asked for a pause; event dropped");
        return None;
    }
    let mut item = match parcel {
        Parcel::Event(draft) => event(runtime, client, draft)?,
        Parcel::Item(_, make) => make(client)?,
    };
    let sent_at = runtime.now_text();
    let tunnelled = client.config.tunnel.is_some();
    let sender = Sender {
        sent_at: &sent_at,
        dsn: tunnelled.then_some(client.config.dsn.text.as_str()),
    };
    let envelope = envelope::write(sender, &mut *item);
    if envelope.is_none() {
        runtime.debug("the event could not be written as JSON; dropped");
    }
    envelope
}
// ANCHOR_END: envelope

fn is_allowed(runtime: &impl Runtime, client: &IsolateClient, category: Category) -> bool {
    let limits = client.limits.try_borrow();
    limits.is_ok_and(|limits| limits.allow(category, runtime.now_ms()))
}

// ANCHOR: event
/// The event, unless it is sampled out or the application drops it.
fn event(runtime: &impl Runtime, client: &IsolateClient, draft: Draft) -> Option<Box<dyn Item>> {
    let options = client.options();
    if !sampled_in(runtime, client.config.sample_rate) {
        runtime.debug("event sampled out");
        return None;
    }
    let id = event_id(runtime)?;
    let release = options.release.as_deref().map(str::to_owned);
    let environment = options.environment.as_deref().map(str::to_owned);
    let mut event = draft.into_event(id, runtime.now_ms(), release, environment);
    event.name_build(|| runtime.build_id());
    if client.config.source_maps {
        event.map_to_columns();
    }
    let item = before_send::apply(event);
    if item.is_none() {
        runtime.debug("before_send dropped the event");
    }
    item
}
// ANCHOR_END: event

fn sampled_in(runtime: &impl Runtime, rate: f32) -> bool {
    if rate >= 1.0 {
        return true;
    }
    let Some([a, b, c, d, ..]) = runtime.random_bytes() else {
        return true;
    };
    let at = f64::from(u32::from_le_bytes([a, b, c, d])) / f64::from(u32::MAX);
    at < f64::from(rate)
}

/// A random id. `Uuid::new_v4` would do the same, and it panics where there are no random
/// numbers.
fn event_id(runtime: &impl Runtime) -> Option<Uuid> {
    let Some(bytes) = runtime.random_bytes() else {
        runtime.debug("no random numbers here; event lost");
        return None;
    };
    Some(uuid::Builder::from_random_bytes(bytes).into_uuid())
}
