//! Writes an item as the bytes of an envelope.
//!
//! The envelopes of `sentry-core` are not used. They can hold every type of item, so their code
//! also writes sessions, attachments and monitors. This crate sends one item at a time.
//!
//! The format: <https://develop.sentry.dev/sdk/foundations/transport/envelopes/>

use uuid::Uuid;

use crate::item::Item;
use crate::item::event::Sdk;
use crate::item::json::Json;
use crate::trace::dsc::Dsc;

/// Sentry rejects items of more than a megabyte.
/// <https://develop.sentry.dev/sdk/foundations/transport/envelopes/#size-limits>
const MAX_ENVELOPE: usize = 1_000_000;

/// The data in the header of every envelope.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sender<'a> {
    /// When the envelope is sent, in RFC 3339 format.
    pub(crate) sent_at: &'a str,
    /// The DSN, for a tunnel. A tunnel learns only from the DSN where to send the envelope.
    pub(crate) dsn: Option<&'a str>,
    /// The trace's DSC, if it has entries.
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
fn write_headers(json: &mut Json, id: Option<Uuid>, sender: Sender<'_>) {
    json.open("{");
    if let Some(id) = id {
        json.text("event_id", id.hyphenated().encode_lower(&mut [0; 36]));
    }
    json.text("sent_at", sender.sent_at);
    json.maybe("dsn", sender.dsn);
    Sdk::THIS.write(json);
    if let Some(dsc) = sender.trace.filter(|dsc| !dsc.is_empty()) {
        json.key("trace");
        dsc.write(json);
    }
    json.plain("}\n");
}

/// Writes an item: its headers and its payload. `list` has the number of entries and their
/// content type, if the item is a list.
fn write_item(json: &mut Json, kind: &str, list: Option<(usize, &str)>, payload: &[u8]) {
    json.open("{");
    json.text("type", kind);
    json.number("length", payload.len() as u64);
    if let Some((count, content_type)) = list {
        json.number("item_count", count as u64);
        json.text("content_type", content_type);
    }
    json.plain("}\n");
    json.0.extend_from_slice(payload);
    json.plain("\n");
}

/// The number of entries and their content type, if the item is a list.
#[cfg(any(test, feature = "logs"))]
fn list_of(item: &dyn Item) -> Option<(usize, &'static str)> {
    item.list()
}

#[cfg(not(any(test, feature = "logs")))]
fn list_of(_: &dyn Item) -> Option<(usize, &'static str)> {
    None
}

// ANCHOR: write
/// The envelope of an item, trimmed until Sentry takes it.
///
/// Nothing comes back if the item cannot be written as JSON.
pub(crate) fn write(sender: Sender<'_>, item: &mut dyn Item) -> Option<Envelope> {
    let mut step = 0;
    loop {
        let payload = item.write()?;
        let mut json = Json(Vec::with_capacity(payload.len() + 512));
        write_headers(&mut json, item.id(), sender);
        write_item(&mut json, item.kind(), list_of(item), &payload);
        #[cfg(any(test, feature = "logs"))]
        if let Some((kind, payload)) = item.beside() {
            write_item(&mut json, kind, None, &payload);
        }
        if json.0.len() <= MAX_ENVELOPE || !item.trim(step) {
            return Some(Envelope {
                id: item.id(),
                bytes: json.0,
            });
        }
        step += 1;
    }
}
// ANCHOR_END: write

#[cfg(test)]
mod tests {
    use super::*;
    use crate::item::draft::Draft;
    use crate::item::event::{Context, Event};
    use crate::item::json::Group;
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
            let values = Group::from([(name.to_owned(), json!(big))]);
            let context = Context::Other(values.into());
            event.contexts.push((name.to_owned(), context));
        }
        event.tags.push(("kept".to_owned(), "yes".to_owned()));
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
