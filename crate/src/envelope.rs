//! Step 6, *capture and deliver*, between its halves: an event becomes the bytes of
//! an envelope.
//!
//! `sentry-core` has envelopes too. They can hold everything that Sentry knows, so the
//! code that writes them writes transactions, sessions, logs and attachments; what is
//! sent from here is one event.
//!
//! The format: <https://develop.sentry.dev/sdk/data-model/envelopes/>

use sentry_core::protocol::{ClientSdkInfo, Event, Uuid};
use serde::Serialize;

use crate::load::Config;
use crate::{before_send, event};

/// Sentry rejects events of more than a megabyte.
/// <https://develop.sentry.dev/sdk/data-model/envelopes/#size-limits>
const MAX_ENVELOPE: usize = 1_000_000;

/// <https://develop.sentry.dev/sdk/data-model/envelopes/#headers>
#[derive(Serialize)]
struct Headers<'a> {
    event_id: Uuid,
    sent_at: &'a str,
    /// A tunnel has no other way to know where the event is to go.
    #[serde(skip_serializing_if = "Option::is_none")]
    dsn: Option<&'a str>,
    sdk: ClientSdkInfo,
}

#[derive(Serialize)]
struct ItemHeaders {
    #[serde(rename = "type")]
    kind: &'static str,
    length: usize,
}

// ANCHOR: write
/// The envelope of an event, trimmed until Sentry takes it.
///
/// Nothing comes back if the event is no JSON, as when its time is before 1970.
pub(crate) fn write(config: &Config, mut event: Event<'static>, sent_at: &str) -> Option<Vec<u8>> {
    let headers = Headers {
        event_id: event.event_id,
        sent_at,
        dsn: config.tunnel.as_ref().map(|_| config.dsn.text.as_str()),
        sdk: event::sdk_info(),
    };
    let write_event = before_send::writer();
    let mut step = 0;
    loop {
        let payload = write_event(&event)?;
        let item = ItemHeaders {
            kind: "event",
            length: payload.len(),
        };
        let mut envelope = serde_json::to_vec(&headers).ok()?;
        envelope.push(b'\n');
        serde_json::to_writer(&mut envelope, &item).ok()?;
        envelope.push(b'\n');
        envelope.extend(payload);
        envelope.push(b'\n');
        if envelope.len() <= MAX_ENVELOPE || !event::trim(&mut event, step) {
            return Some(envelope);
        }
        step += 1;
    }
}
// ANCHOR_END: write

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Draft;
    use crate::load::tests::config;
    use crate::report::Report;
    use sentry_core::protocol::EnvelopeHeaders;
    use serde_json::json;
    use std::time::{Duration, UNIX_EPOCH};

    const SENT_AT: &str = "1970-01-01T00:00:01Z";

    fn event() -> Event<'static> {
        let error = "x".parse::<u8>().expect_err("no number");
        Draft::read(Report::new(&error)).into_event(Uuid::from_u128(7), 1_000.0)
    }

    fn written(config: &Config, event: Event<'static>) -> Vec<String> {
        let bytes = write(config, event, SENT_AT).expect("bytes");
        let text = String::from_utf8(bytes).expect("text");
        text.lines().map(str::to_owned).collect()
    }

    fn parsed(line: &str) -> serde_json::Value {
        serde_json::from_str(line).expect("JSON")
    }

    #[test]
    fn an_envelope_is_three_lines_headers_item_headers_event() {
        let lines = written(&config(&[]), event());
        let [headers, item, payload] = lines.as_slice() else {
            panic!("{} lines", lines.len());
        };
        let headers = parsed(headers);
        assert_eq!(headers["event_id"], Uuid::from_u128(7).to_string());
        assert_eq!(headers["sent_at"], SENT_AT);
        assert_eq!(headers["sdk"], json!(event::sdk_info()));
        assert_eq!(headers["dsn"], json!(null));
        let expected = json!({"type": "event", "length": payload.len()});
        assert_eq!(parsed(item), expected);
        assert_eq!(parsed(payload), json!(event()));
    }

    #[test]
    fn sentrys_own_reader_takes_the_envelope_for_what_was_written() {
        let bytes = write(&config(&[]), event(), SENT_AT).expect("bytes");
        let read = sentry_core::Envelope::from_slice(&bytes).expect("an envelope");
        assert_eq!(read.event(), Some(&event()));
        let headers = EnvelopeHeaders::new()
            .with_event_id(Uuid::from_u128(7))
            .with_sent_at(UNIX_EPOCH + Duration::from_secs(1))
            .with_sdk(event::sdk_info());
        assert_eq!(read.headers(), &headers);
    }

    #[test]
    fn a_tunnel_learns_the_dsn_from_the_envelope() {
        let config = config(&[("SENTRY_TUNNEL", "https://t.example.com/")]);
        let headers = parsed(&written(&config, event())[0]);
        assert_eq!(headers["dsn"], "https://key@s.example.com/1");
    }

    #[test]
    fn an_event_from_before_1970_is_no_envelope_and_no_panic() {
        let mut event = event();
        event.timestamp = UNIX_EPOCH - Duration::from_secs(1);
        assert_eq!(write(&config(&[]), event, SENT_AT), None);
    }

    #[test]
    fn an_event_that_is_too_large_is_trimmed_until_it_fits() {
        let big = "x".repeat(400_000);
        let mut event = event();
        for name in ["a", "b", "c"] {
            event.extra.insert(name.to_owned(), json!(big));
        }
        event.tags.insert("kept".to_owned(), "yes".to_owned());
        let payload = parsed(&written(&config(&[]), event.clone())[2]);
        assert_eq!(payload["extra"], json!(null));
        assert_eq!(payload["tags"]["kept"], "yes");
        assert_eq!(payload["event_id"], Uuid::from_u128(7).simple().to_string());

        event.exception.values[0].value = Some(big.repeat(3));
        let payload = parsed(&written(&config(&[]), event)[2]);
        let value = &payload["exception"]["values"][0]["value"];
        assert!(value.as_str().is_some_and(|value| value.ends_with("...")));
    }
}
