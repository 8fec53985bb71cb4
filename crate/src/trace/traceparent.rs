//! The header `traceparent` of W3C: `{version}-{trace id}-{parent id}-{flags}`.
//!
//! Sentry's SDKs can write this header. Sentry does not require an SDK to read it. This crate
//! reads it if there is no `sentry-trace`, to continue the traces of callers that only know
//! OpenTelemetry.
//!
//! <https://www.w3.org/TR/trace-context/#traceparent-header>

use super::ids::digit;
use super::{SpanId, TraceId};

/// The header's name.
pub(crate) const NAME: &str = "traceparent";

/// The contents of the header, without its flag `sampled`. The flag is ignored, because Sentry's
/// SDKs write `00` also for a deferred decision, and a `01` from a stranger would override the
/// rate that the Worker's owner has set. So the Worker's own rate decides.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Traceparent {
    pub(crate) trace_id: TraceId,
    pub(crate) span_id: SpanId,
}

impl Traceparent {
    /// Reads the header's value. A version above `00` may have more parts. The version `ff` is
    /// invalid.
    pub(crate) fn read(value: &str) -> Option<Self> {
        let mut parts = value.trim_matches([' ', '\t']).split('-');
        let version = read_byte(parts.next()?)?;
        let trace_id = TraceId::read(parts.next()?)?;
        let span_id = SpanId::read(parts.next()?)?;
        read_byte(parts.next()?)?;
        let ended = parts.next().is_none();
        let allowed = if version == 0 { ended } else { version != 0xff };
        allowed.then_some(Traceparent { trace_id, span_id })
    }

    /// The header's value, 55 bytes. A deferred decision is written as not sampled, because the
    /// header has no third value.
    pub(crate) fn write(&self, sampled: Option<bool>) -> String {
        let mut value = String::with_capacity(55);
        value.push_str("00-");
        self.trace_id.write(&mut value);
        value.push('-');
        self.span_id.write(&mut value);
        value.push_str(if sampled == Some(true) { "-01" } else { "-00" });
        value
    }
}

fn read_byte(text: &str) -> Option<u8> {
    match *text.as_bytes() {
        [high, low] => Some(digit(high)? << 4 | digit(low)?),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const IDS: &str = "4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7";

    #[test]
    fn the_header_is_read_as_w3c_specifies_it() {
        for value in [
            format!("00-{IDS}-01"),
            format!("00-{IDS}-00"),
            format!("00-{IDS}-ff"),
            format!(" 00-{IDS}-01 "),
            // A later version, with and without more parts.
            format!("cc-{IDS}-01"),
            format!("cc-{IDS}-01-what-the-future-will-be-like"),
        ] {
            let read = Traceparent::read(&value).expect(&value);
            assert_eq!(read.write(Some(true)), format!("00-{IDS}-01"));
        }
        for value in [
            String::new(),
            IDS.to_owned(),
            format!("00-{IDS}"),
            format!("00-{IDS}-"),
            format!("00-{IDS}-1"),
            format!("00-{IDS}-0x"),
            format!("00-{IDS}-01-"),
            format!("00-{IDS}-01-more"),
            format!("ff-{IDS}-01"),
            format!("0-{IDS}-01"),
            format!("00-{}-01", IDS.to_uppercase()),
            format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32)),
            format!("00-4bf92f3577b34da6a3ce929d0e0e4736-{}-01", "0".repeat(16)),
        ] {
            assert_eq!(Traceparent::read(&value), None, "{value:?}");
        }
    }

    #[test]
    fn only_a_positive_decision_sets_the_flag() {
        let header = Traceparent::read(&format!("00-{IDS}-01")).expect("a header");
        for (sampled, flags) in [(Some(true), "01"), (Some(false), "00"), (None, "00")] {
            assert_eq!(header.write(sampled), format!("00-{IDS}-{flags}"));
        }
    }

    proptest! {
        #[test]
        fn no_value_makes_it_panic(value in "\\PC{0,60}|[0-9a-f -]{0,60}", times in 1..200usize) {
            let _ = Traceparent::read(&value.repeat(times));
        }
    }
}
