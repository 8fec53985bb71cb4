//! An item becomes the bytes of an envelope.
//!
//! `sentry-core` has envelopes too. They can hold everything that Sentry knows, so the code
//! that writes them writes sessions, attachments and monitors; what is sent from here is
//! one item at a time.
//!
//! The format: <https://develop.sentry.dev/sdk/foundations/transport/envelopes/>

use serde::Serialize;
use uuid::Uuid;

use crate::item::Item;
use crate::item::event::Sdk;
use crate::trace::dsc::Dsc;

/// Sentry rejects items of more than a megabyte.
/// <https://develop.sentry.dev/sdk/foundations/transport/envelopes/#size-limits>
const MAX_ENVELOPE: usize = 1_000_000;

/// What is written into the header of every envelope.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sender<'a> {
    /// When the envelope is sent, as RFC 3339 writes it.
    pub(crate) sent_at: &'a str,
    /// The DSN, for a tunnel: it has no other way to know where the envelope is to go.
    pub(crate) dsn: Option<&'a str>,
    /// What the trace's head tells everybody in it, unless it told nothing.
    pub(crate) trace: Option<&'a Dsc>,
}

/// An envelope, ready to be sent.
#[derive(Debug, PartialEq)]
pub(crate) struct Envelope {
    /// The id of the event in it.
    pub(crate) id: Option<Uuid>,
    pub(crate) bytes: Vec<u8>,
}

/// <https://develop.sentry.dev/sdk/foundations/transport/envelopes/#headers>
#[derive(Serialize)]
struct Headers<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    event_id: Option<Uuid>,
    sent_at: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    dsn: Option<&'a str>,
    sdk: Sdk,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace: Option<&'a Dsc>,
}

#[derive(Serialize)]
struct ItemHeaders {
    #[serde(rename = "type")]
    kind: &'static str,
    length: usize,
    #[cfg(any(test, feature = "logs"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    item_count: Option<usize>,
    #[cfg(any(test, feature = "logs"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    content_type: Option<&'static str>,
}

impl ItemHeaders {
    fn of(item: &dyn Item, length: usize) -> Self {
        #[cfg(any(test, feature = "logs"))]
        let list = item.list();
        ItemHeaders {
            kind: item.kind(),
            length,
            #[cfg(any(test, feature = "logs"))]
            item_count: list.map(|(count, _)| count),
            #[cfg(any(test, feature = "logs"))]
            content_type: list.map(|(_, content_type)| content_type),
        }
    }
}

// ANCHOR: write
/// The envelope of an item, trimmed until Sentry takes it.
///
/// Nothing comes back if the item cannot be written as JSON.
pub(crate) fn write(sender: Sender<'_>, item: &mut dyn Item) -> Option<Envelope> {
    let headers = Headers {
        event_id: item.id(),
        sent_at: sender.sent_at,
        dsn: sender.dsn,
        sdk: Sdk::THIS,
        trace: sender.trace.filter(|dsc| !dsc.is_empty()),
    };
    let mut step = 0;
    loop {
        let payload = item.write()?;
        let item_headers = ItemHeaders::of(item, payload.len());
        let mut bytes = serde_json::to_vec(&headers).ok()?;
        bytes.push(b'\n');
        serde_json::to_writer(&mut bytes, &item_headers).ok()?;
        bytes.push(b'\n');
        bytes.extend(payload);
        bytes.push(b'\n');
        #[cfg(any(test, feature = "logs"))]
        write_beside(&mut bytes, item)?;
        if bytes.len() <= MAX_ENVELOPE || !item.trim(step) {
            return Some(Envelope {
                id: item.id(),
                bytes,
            });
        }
        step += 1;
    }
}
// ANCHOR_END: write

/// The item that goes with another one, if there is one.
#[cfg(any(test, feature = "logs"))]
fn write_beside(bytes: &mut Vec<u8>, item: &dyn Item) -> Option<()> {
    if let Some((kind, payload)) = item.beside() {
        let headers = ItemHeaders {
            kind,
            length: payload.len(),
            item_count: None,
            content_type: None,
        };
        serde_json::to_writer(&mut *bytes, &headers).ok()?;
        bytes.push(b'\n');
        bytes.extend(payload);
        bytes.push(b'\n');
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::item::draft::Draft;
    use crate::item::event::{Context, Event};
    use crate::item::place::Place;
    use serde_json::json;

    const SENDER: Sender<'static> = Sender {
        sent_at: "1970-01-01T00:00:01Z",
        dsn: None,
        trace: None,
    };

    fn event() -> Event {
        let draft = Draft::of_panic("no", None, Place::default());
        draft.into_event(Uuid::from_u128(7), 1_000.0, None, None)
    }

    fn written(sender: Sender<'_>, mut event: Event) -> Vec<String> {
        let bytes = write(sender, &mut event).expect("an envelope").bytes;
        let text = String::from_utf8(bytes).expect("text");
        text.lines().map(str::to_owned).collect()
    }

    fn parsed(line: &str) -> serde_json::Value {
        serde_json::from_str(line).expect("JSON")
    }

    #[test]
    fn an_envelope_is_three_lines_headers_item_headers_event() {
        let lines = written(SENDER, event());
        let [headers, item, payload] = lines.as_slice() else {
            panic!("{} lines", lines.len());
        };
        let expected = json!({
            "event_id": Uuid::from_u128(7).to_string(),
            "sent_at": SENDER.sent_at,
            "sdk": {"name": "sentry.rust.cloudflare", "version": env!("CARGO_PKG_VERSION")},
        });
        assert_eq!(parsed(headers), expected);
        let expected = json!({"type": "event", "length": payload.len()});
        assert_eq!(parsed(item), expected);
        assert_eq!(parsed(payload), json!(event()));
    }

    #[test]
    fn sentrys_own_reader_takes_the_envelope_for_what_was_written() {
        let envelope = write(SENDER, &mut event()).expect("an envelope");
        let read = sentry_core::Envelope::from_slice(&envelope.bytes).expect("an envelope");
        let read_event = read.event().expect("an event");
        assert_eq!(
            serde_json::to_value(read_event).expect("JSON"),
            serde_json::to_value(crate::item::protocol::from_event(&event())).expect("JSON"),
        );
        let headers = serde_json::to_value(read.headers()).expect("JSON");
        assert_eq!(headers["event_id"], Uuid::from_u128(7).to_string());
    }

    #[test]
    fn a_tunnel_learns_the_dsn_from_the_envelope() {
        let sender = Sender {
            dsn: Some("https://key@s.example.com/1"),
            ..SENDER
        };
        let headers = parsed(&written(sender, event())[0]);
        assert_eq!(headers["dsn"], "https://key@s.example.com/1");
    }

    #[test]
    fn an_event_that_is_too_large_is_trimmed_until_it_fits() {
        let big = "x".repeat(400_000);
        let mut event = event();
        for name in ["a", "b", "c"] {
            let values = [(name.to_owned(), json!(big))].into();
            event
                .contexts
                .insert(name.to_owned(), Context::Other(values));
        }
        event.tags.insert("kept".to_owned(), "yes".to_owned());
        let payload = parsed(&written(SENDER, event.clone())[2]);
        assert_eq!(payload["contexts"]["a"], json!(null));
        assert_eq!(payload["tags"]["kept"], "yes");
        assert_eq!(payload["event_id"], Uuid::from_u128(7).simple().to_string());

        event.exception[0].value = Some(big.repeat(3));
        let payload = parsed(&written(SENDER, event)[2]);
        let value = &payload["exception"]["values"][0]["value"];
        assert!(value.as_str().is_some_and(|value| value.ends_with("...")));
    }
}
