//! The trace of one run, and the trace that a run begins itself.

use super::dsc::{Decision, Dsc, Head};
use super::sampling::{self, Rand, Rate};
use super::sentry_trace::SentryTrace;
use super::{SpanId, TraceId};

/// The Worker's own data and configuration.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Own<'a> {
    pub(crate) public_key: &'a str,
    pub(crate) release: Option<&'a str>,
    pub(crate) environment: &'a str,
    pub(crate) org_id: Option<&'a str>,
    /// If unset, traces are continued and passed on, and no span is sent.
    pub(crate) rate: Option<Rate>,
}

/// Random bytes: 16 for the trace and 8 for its spans.
pub(crate) type Random = [u8; 24];

/// The trace of one run of a handler.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Trace {
    pub(crate) trace_id: TraceId,
    /// The run's own span: that of its transaction, and of its events outside of any
    /// other span.
    pub(crate) span_id: SpanId,
    pub(crate) parent_span_id: Option<SpanId>,
    /// The decision of the parent, or else that of this run. `None` if there is no decision.
    pub(crate) sampled: Option<bool>,
    /// Whether the run sends its spans: it is sampled, and the Worker has a rate.
    pub(crate) records: bool,
    pub(super) dsc: Dsc,
    /// The number from which the ids of the spans below the run's own span are made.
    pub(super) seed: u64,
}

impl Trace {
    /// The trace of a run that continues no other trace.
    ///
    /// `name` is the run's name if it may be sent to every service of the trace.
    pub(crate) fn head(own: &Own<'_>, name: Option<&str>, random: Random) -> Self {
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&random[..16]);
        let trace_id = TraceId::random(uuid_v4(bytes));
        let rand = Rand::of_trace(&trace_id);
        Trace::begun(trace_id, None, rand, own, name, random)
    }

    /// A trace that has no incoming DSC.
    pub(super) fn begun(
        trace_id: TraceId,
        parent_span_id: Option<SpanId>,
        rand: Rand,
        own: &Own<'_>,
        name: Option<&str>,
        random: Random,
    ) -> Self {
        let sampled = sampling::decide(None, own.rate, rand);
        let decision = own.rate.zip(sampled).map(|(rate, sampled)| Decision {
            sampled,
            rate,
            rand,
        });
        let dsc = Dsc::of_head(&Head {
            trace_id,
            public_key: own.public_key,
            release: own.release,
            environment: own.environment,
            org_id: own.org_id,
            decision,
            transaction: name,
        });
        let span_id = span_of(random);
        Trace {
            trace_id,
            span_id,
            parent_span_id,
            sampled,
            records: sampled == Some(true),
            dsc,
            seed: u64::from_be_bytes(*span_id.bytes()),
        }
    }

    /// The trace's DSC. It is the same for every receiver, because it never changes.
    pub(crate) fn dsc(&self) -> &Dsc {
        &self.dsc
    }

    /// The id of a span of this run by its number; 0 is the run's own.
    pub(crate) fn span(&self, number: u32) -> SpanId {
        match number {
            0 => self.span_id,
            _ => SpanId::random(mixed(self.seed, number).to_be_bytes()),
        }
    }

    /// The outgoing `sentry-trace` below the span `span_id`.
    pub(crate) fn header(&self, span_id: SpanId) -> SentryTrace {
        SentryTrace {
            trace_id: self.trace_id,
            span_id,
            sampled: self.sampled,
        }
    }
}

pub(super) fn span_of(random: Random) -> SpanId {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&random[16..]);
    SpanId::random(bytes)
}

/// Mixes two numbers into one, as SplitMix64 does. For one seed, different `number`s give
/// different results. The randomness of the run's own id is enough for the ids of its spans; a
/// call into JavaScript for each span would cost more than the span.
fn mixed(seed: u64, number: u32) -> u64 {
    let mut z = seed.wrapping_add(u64::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Sentry wants the id of a new trace to be a UUID of version 4.
fn uuid_v4(mut bytes: [u8; 16]) -> [u8; 16] {
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    bytes
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) const OWN: Own<'static> = Own {
        public_key: "key",
        release: None,
        environment: "production",
        org_id: None,
        rate: None,
    };

    #[test]
    fn the_spans_of_a_run_have_ids_that_are_all_different() {
        let first = Trace::head(&OWN, None, [0xab; 24]);
        let second = Trace::head(&OWN, None, [0xac; 24]);
        let mut seen = std::collections::HashSet::new();
        for number in 0..2_000 {
            assert!(seen.insert(first.span(number)), "{number}");
            assert!(seen.insert(second.span(number)), "{number}");
        }
        assert_eq!(first.span(0), first.span_id);
    }

    #[test]
    fn the_dsc_of_a_head_has_its_name_only_where_a_decision_was_made() {
        let sampling = Own {
            rate: Rate::new(1.0),
            ..OWN
        };
        let named = Trace::head(&sampling, Some("a"), [0xab; 24]);
        assert_eq!(named.dsc().get("transaction").as_deref(), Some("a"));
        let written = serde_json::json!(Trace::head(&OWN, Some("a"), [0xab; 24]).dsc());
        for key in ["sample_rate", "sample_rand", "sampled", "transaction"] {
            assert_eq!(written.get(key), None, "{key}");
        }
    }
}
