//! The header `sentry-trace`: `{trace id}-{span id}`, then `-1` or `-0` if a decision was made.
//!
//! <https://develop.sentry.dev/sdk/foundations/trace-propagation/#sentry-trace-header>

use super::{SpanId, TraceId};

/// The header's name.
pub(crate) const NAME: &str = "sentry-trace";

/// The contents of the header.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct SentryTrace {
    pub(crate) trace_id: TraceId,
    pub(crate) span_id: SpanId,
    /// The sampling decision. `None` leaves the decision to the receiver.
    pub(crate) sampled: Option<bool>,
}

impl SentryTrace {
    /// Reads the header's value. Blanks around it are allowed. Returns `None` if the value is
    /// malformed.
    pub(crate) fn read(value: &str) -> Option<Self> {
        let mut parts = value.trim_matches([' ', '\t']).split('-');
        let trace_id = TraceId::read(parts.next()?)?;
        let span_id = SpanId::read(parts.next()?)?;
        let sampled = match parts.next() {
            None => None,
            Some("1") => Some(true),
            Some("0") => Some(false),
            Some(_) => return None,
        };
        parts.next().is_none().then_some(SentryTrace {
            trace_id,
            span_id,
            sampled,
        })
    }

    /// The header's value: 49 or 51 bytes.
    pub(crate) fn write(&self) -> String {
        let mut value = String::with_capacity(51);
        self.trace_id.write(&mut value);
        value.push('-');
        self.span_id.write(&mut value);
        match self.sampled {
            Some(true) => value.push_str("-1"),
            Some(false) => value.push_str("-0"),
            None => {}
        }
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TRACE: &str = "771a43a4192642f0b136d5159a501700";
    const SPAN: &str = "b0e6f15b45c36b12";

    #[test]
    fn the_header_is_read_as_specified() {
        let both = format!("{TRACE}-{SPAN}");
        for (value, sampled) in [
            (both.clone(), None),
            (format!("{both}-1"), Some(true)),
            (format!("{both}-0"), Some(false)),
            (format!(" \t{both}-1\t "), Some(true)),
        ] {
            let read = SentryTrace::read(&value).expect(&value);
            assert_eq!(format!("{:?}", read.trace_id), TRACE);
            assert_eq!(format!("{:?}", read.span_id), SPAN);
            assert_eq!(read.sampled, sampled, "{value:?}");
            assert_eq!(read.write(), value.trim());
        }
    }

    #[test]
    fn a_malformed_header_is_no_header() {
        for value in [
            String::new(),
            " ".to_owned(),
            "1".to_owned(),
            "-1".to_owned(),
            TRACE.to_owned(),
            format!("{TRACE}-"),
            format!("{TRACE}-1"),
            format!("{TRACE}{SPAN}"),
            format!("{TRACE}-{SPAN}-"),
            format!("{TRACE}-{SPAN}-2"),
            format!("{TRACE}-{SPAN}-true"),
            format!("{TRACE}-{SPAN}-1-"),
            format!("{TRACE}-{SPAN}-1-1"),
            format!("{TRACE} - {SPAN}"),
            format!("{TRACE}-{SPAN}\n"),
            format!("{}-{SPAN}", TRACE.to_uppercase()),
            format!("{}-{SPAN}", "0".repeat(32)),
            format!("{TRACE}-{}", "0".repeat(16)),
            format!("00-{TRACE}-{SPAN}-01"),
            format!("{TRACE}-{SPAN}-1, {TRACE}-{SPAN}-1"),
        ] {
            assert_eq!(SentryTrace::read(&value), None, "{value:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(
            trace in any::<[u8; 16]>(),
            span in any::<[u8; 8]>(),
            sampled in any::<Option<bool>>(),
        ) {
            let header = SentryTrace {
                trace_id: TraceId::random(trace),
                span_id: SpanId::random(span),
                sampled,
            };
            prop_assert_eq!(SentryTrace::read(&header.write()), Some(header));
        }

        #[test]
        fn no_value_makes_it_panic(value in "\\PC{0,60}|[0-9a-f -]{0,60}", times in 1..200usize) {
            let _ = SentryTrace::read(&value.repeat(times));
        }
    }
}
