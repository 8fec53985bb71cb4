//! The part of a [`Trace`] that a request, a message or a Workflow's parameters carry.

use super::sentry_trace::{self, SentryTrace};
use super::traceparent::{self, Traceparent};
use super::{SpanId, Trace, baggage};

/// The trace headers that a request already has.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Existing<'a> {
    pub(crate) sentry_trace: Option<&'a str>,
    pub(crate) baggage: Option<&'a str>,
    /// Whether it has a `traceparent`.
    pub(crate) traceparent: bool,
}

/// The headers to set on a request, each with its complete new value. All other headers stay
/// unchanged.
///
/// If the request has the `sentry-trace` that this run continues, the request is the incoming
/// one, passed on to the next service, and the header is replaced. Any other `sentry-trace` is
/// kept. If it is malformed or belongs to another trace, no header is set, because the request's
/// baggage and ours would contradict each other.
///
/// `with_traceparent` adds the header of W3C, for services that only know OpenTelemetry.
pub(crate) fn headers(
    trace: &Trace,
    span_id: SpanId,
    existing: &Existing<'_>,
    with_traceparent: bool,
) -> Vec<(&'static str, String)> {
    let ours = trace.header(span_id);
    let mut headers = Vec::new();
    match existing.sentry_trace {
        None => headers.push((sentry_trace::NAME, ours.write())),
        Some(theirs) => match SentryTrace::read(theirs) {
            // The incoming request is passed on, so the next service is below this run.
            Some(theirs) if is_what_came_in(trace, &theirs) => {
                headers.push((sentry_trace::NAME, ours.write()));
            }
            Some(theirs) if theirs.trace_id == ours.trace_id => {}
            _ => return headers,
        },
    }
    if let Some(joined) = baggage::join(existing.baggage, trace.dsc().as_baggage()) {
        headers.push((baggage::NAME, joined));
    }
    if with_traceparent && !existing.traceparent {
        let header = Traceparent {
            trace_id: ours.trace_id,
            span_id,
        };
        headers.push((traceparent::NAME, header.write(ours.sampled)));
    }
    headers
}

fn is_what_came_in(trace: &Trace, theirs: &SentryTrace) -> bool {
    theirs.trace_id == trace.trace_id && Some(theirs.span_id) == trace.parent_span_id
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::Own;
    use crate::trace::sampling::Rate;

    const BELOW: [u8; 8] = [0xcd; 8];

    fn sent(rate: Option<f64>, existing: Existing<'_>, w3c: bool) -> Vec<(&'static str, String)> {
        let own = Own {
            public_key: "key",
            release: None,
            environment: "production",
            org_id: None,
            rate: rate.and_then(Rate::new),
        };
        let trace = Trace::head(&own, None, [0xab; 24]);
        headers(&trace, SpanId::random(BELOW), &existing, w3c)
    }

    const IDS: &str = "abababababab4bababababababababab-cdcdcdcdcdcdcdcd";

    #[test]
    fn a_request_without_headers_gets_sentrys_two_and_w3cs_on_demand() {
        for (rate, flag, w3c_flag) in [
            (None, "", "00"),
            (Some(0.0), "-0", "00"),
            (Some(1.0), "-1", "01"),
        ] {
            let headers = sent(rate, Existing::default(), true);
            let names: Vec<_> = headers.iter().map(|(name, _)| *name).collect();
            assert_eq!(names, ["sentry-trace", "baggage", "traceparent"]);
            assert_eq!(headers[0].1, format!("{IDS}{flag}"));
            assert!(
                headers[1].1.starts_with("sentry-trace_id=abab"),
                "{headers:?}"
            );
            assert_eq!(headers[2].1, format!("00-{IDS}-{w3c_flag}"));
            assert_eq!(sent(rate, Existing::default(), false), headers[..2]);
        }
    }

    #[test]
    fn what_a_request_has_already_stays() {
        let set = |existing| {
            let headers = sent(Some(1.0), existing, true);
            headers
                .into_iter()
                .map(|(name, _)| name)
                .collect::<Vec<_>>()
        };
        let ours = format!("{IDS}-1");
        let of_ours = Existing {
            sentry_trace: Some(&ours),
            ..Existing::default()
        };
        assert_eq!(set(of_ours), ["baggage", "traceparent"]);
        let other = Existing {
            sentry_trace: Some("771a43a4192642f0b136d5159a501700-b0e6f15b45c36b12"),
            ..Existing::default()
        };
        assert_eq!(set(other), [""; 0]);
        let malformed = Existing {
            sentry_trace: Some("x"),
            ..Existing::default()
        };
        assert_eq!(set(malformed), [""; 0]);
        let baggage = Existing {
            baggage: Some("a=b,sentry-x=1"),
            ..Existing::default()
        };
        assert_eq!(set(baggage), ["sentry-trace", "traceparent"]);
        let w3c = Existing {
            traceparent: true,
            ..Existing::default()
        };
        assert_eq!(set(w3c), ["sentry-trace", "baggage"]);
    }

    #[test]
    fn the_baggage_of_others_is_kept_before_ours() {
        let existing = Existing {
            baggage: Some("a=b"),
            ..Existing::default()
        };
        let headers = sent(None, existing, false);
        assert!(
            headers[1].1.starts_with("a=b,sentry-trace_id=abab"),
            "{headers:?}"
        );
    }

    #[test]
    fn a_request_that_came_in_and_is_passed_on_is_below_this_run() {
        let came_in = "771a43a4192642f0b136d5159a501700-b0e6f15b45c36b12-1";
        let own = Own {
            public_key: "key",
            release: None,
            environment: "production",
            org_id: None,
            rate: None,
        };
        let incoming = crate::trace::Incoming {
            sentry_trace: Some(came_in),
            baggage: Some("sentry-x=1"),
            ..Default::default()
        };
        let trace = Trace::start(&incoming, &own, None, [0xab; 24]);
        let existing = Existing {
            sentry_trace: Some(came_in),
            baggage: Some("sentry-x=1"),
            ..Existing::default()
        };
        let headers = headers(&trace, SpanId::random(BELOW), &existing, false);
        let below = "771a43a4192642f0b136d5159a501700-cdcdcdcdcdcdcdcd-1";
        assert_eq!(headers, [(sentry_trace::NAME, below.to_owned())]);
    }
}
