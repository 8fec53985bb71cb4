//! Step 6, first half, *capture*: decides whether an item is sent, and what the item contains.
//!
//! This step applies the receiver's limits, sampling, the limit of repeats, the application's
//! hook and the limit of size. `sentry-core` could do some of this, but it records each loss with
//! a time stamp, which it cannot take on this platform.

use std::rc::Rc;

use uuid::Uuid;

use super::before_send;
use super::client::IsolateClient;
use super::repeats;
use crate::item::draft::Draft;
use crate::item::value::rfc3339;
use crate::item::{Category, Item};
use crate::platform::Runtime;
use crate::trace::Trace;
use crate::trace::head::Random;
use crate::wire::envelope::{self, Envelope, Sender};

/// The content to be sent, as far as it is known before there is a client.
#[expect(
    clippy::large_enum_variant,
    reason = "nearly always it is an event, and a box would be an allocation for each"
)]
pub(crate) enum Parcel {
    /// The draft of an event. Sampling and the application's hook may still drop it.
    Event(Draft),
    /// Any other item. It is made with the client's release and environment. If `Make` returns
    /// `None`, nothing is sent.
    Item(Category, Make),
}

/// Makes an item as soon as there is a client.
pub(crate) type Make = Box<dyn FnOnce(&IsolateClient) -> Option<Box<dyn Item>>>;

impl Parcel {
    /// The category in which a receiver limits its rate.
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
    let now_ms = runtime.now_ms();
    if !is_allowed(client, parcel.category(), now_ms) {
        runtime.debug("the receiver asked for a pause; event dropped");
        return None;
    }
    let (mut item, trace) = match parcel {
        Parcel::Event(draft) => event(runtime, client, draft, now_ms)?,
        #[cfg(not(any(test, feature = "spans")))]
        Parcel::Item(_, make) => (make(client)?, None),
        #[cfg(any(test, feature = "spans"))]
        Parcel::Item(_, make) => {
            let item = make(client)?;
            let trace = item.trace();
            (item, trace)
        }
    };
    let sent_at = rfc3339(now_ms);
    let tunnelled = client.config.tunnel.is_some();
    let sender = Sender {
        sent_at: &sent_at,
        dsn: tunnelled.then_some(client.config.dsn.text.as_str()),
        trace: trace.as_deref().map(Trace::dsc),
    };
    let envelope = envelope::write(sender, &mut *item);
    if envelope.is_none() {
        runtime.debug("the event could not be written as JSON; dropped");
    }
    envelope
}
// ANCHOR_END: envelope

fn is_allowed(client: &IsolateClient, category: Category, now_ms: f64) -> bool {
    let limits = client.limits.try_borrow();
    limits.is_ok_and(|limits| limits.allow(category, now_ms))
}

/// An item, and the trace that it is a part of, if the item has one of its own.
type Traced = (Box<dyn Item>, Option<Rc<Trace>>);

/// The event and its trace, unless it is sampled out, or the application holds it back or
/// drops it.
fn event(
    runtime: &impl Runtime,
    client: &IsolateClient,
    mut draft: Draft,
    now_ms: f64,
) -> Option<Traced> {
    let options = client.options();
    if !sampled_in(runtime, client.config.sample_rate) {
        runtime.debug("event sampled out");
        return None;
    }
    if let Err(line) = repeats::admit(client, &mut draft, now_ms) {
        runtime.debug(line);
        return None;
    }
    let (id, random) = ids(runtime)?;
    let release = options.release.as_deref().map(str::to_owned);
    let environment = options.environment.as_deref().map(str::to_owned);
    // What belongs to no run is a trace of its own.
    let position = draft.position.clone().unwrap_or_default();
    let located = position.locate(&client.own(), || Some(random))?;
    let mut event = draft.into_event(id, now_ms, release, environment);
    event.locate(&located);
    event.name_build(|| runtime.build_id());
    if client.config.source_maps {
        event.map_to_columns();
    }
    let item = before_send::apply(event);
    if item.is_none() {
        runtime.debug("before_send dropped the event");
    }
    Some((item?, Some(located.trace)))
}

fn sampled_in(runtime: &impl Runtime, rate: f32) -> bool {
    if rate >= 1.0 {
        return true;
    }
    let Some([a, b, c, d]) = runtime.random_bytes() else {
        return true;
    };
    let at = f64::from(u32::from_le_bytes([a, b, c, d])) / f64::from(u32::MAX);
    at < f64::from(rate)
}

/// A random id for the event, and random numbers for a trace that begins with the event. One
/// call into the platform gives both. `Uuid::new_v4` is not used, because it panics if the
/// platform has no random numbers.
fn ids(runtime: &impl Runtime) -> Option<(Uuid, Random)> {
    let Some(bytes) = runtime.random_bytes::<40>() else {
        runtime.debug("no random numbers here; event lost");
        return None;
    };
    let (mut id, mut random) = ([0; 16], [0; 24]);
    id.copy_from_slice(&bytes[..16]);
    random.copy_from_slice(&bytes[16..]);
    Some((uuid::Builder::from_random_bytes(id).into_uuid(), random))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::item::place::{Handler, Place};
    use crate::platform::testing::Fake;
    use crate::scope::Scope;
    use crate::steps::load::tests::config;
    use serde_json::Value;

    /// The head of an envelope and its event.
    fn sent(client: &IsolateClient, scope: Option<&Scope>) -> (Value, Value) {
        let fake = Fake::default();
        let mut draft = Draft::of_panic("no", None, Place::default());
        if let Some(scope) = scope {
            scope.complete(&mut draft, None);
        }
        let envelope = envelope(&fake, client, draft.into()).expect("an envelope");
        let text = String::from_utf8(envelope.bytes).expect("text");
        let json = |line: &str| serde_json::from_str::<Value>(line).expect("JSON");
        let lines: Vec<_> = text.lines().collect();
        (json(lines[0]), json(lines[2]))
    }

    /// The traces in the head of an envelope and in its event.
    fn traces(client: &IsolateClient, scope: Option<&Scope>) -> (Value, Value) {
        let (mut head, mut event) = sent(client, scope);
        (head["trace"].take(), event["contexts"]["trace"].take())
    }

    #[test]
    fn every_event_of_a_run_has_its_trace_and_what_belongs_to_no_run_has_one_of_its_own() {
        let client = IsolateClient::build(config(&[("SENTRY_RELEASE", "r")]));
        let scope = Scope::new(Place::new("Object", Handler::Alarm));
        let (dsc, first) = traces(&client, Some(&scope));
        let (_, second) = traces(&client, Some(&scope));
        assert_eq!(first, second);
        assert_eq!(first["type"], "trace");
        assert_eq!(first.get("parent_span_id"), None);
        assert_eq!(dsc["trace_id"], first["trace_id"]);
        assert_eq!(
            (&dsc["public_key"], &dsc["release"]),
            (&"key".into(), &"r".into())
        );
        assert_eq!(dsc.get("sampled"), None);
        let (_, other) = traces(&client, Some(&Scope::new(Place::default())));
        let (_, alone) = traces(&client, None);
        assert_eq!(other["trace_id"].as_str().map(str::len), Some(32));
        assert_eq!(alone["span_id"].as_str().map(str::len), Some(16));
    }

    #[test]
    fn the_dsn_is_in_the_envelope_for_a_tunnel_and_for_nobody_else() {
        for (bound, dsn) in [
            (&[][..], None),
            (
                &[("SENTRY_TUNNEL", "https://t.example.com/")],
                Some("https://key@s.example.com/1"),
            ),
        ] {
            let client = IsolateClient::build(config(bound));
            let (head, _) = sent(&client, None);
            assert_eq!(head.get("dsn").and_then(Value::as_str), dsn);
        }
    }

    #[test]
    fn a_rate_is_a_decision_that_everybody_is_told() {
        for (rate, sampled) in [("0", "false"), ("1", "true")] {
            let client = IsolateClient::build(config(&[("SENTRY_TRACES_SAMPLE_RATE", rate)]));
            let (dsc, _) = traces(&client, None);
            assert_eq!(
                (&dsc["sampled"], &dsc["sample_rate"]),
                (&sampled.into(), &rate.into())
            );
        }
    }
}
