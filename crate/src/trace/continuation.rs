//! Makes a [`Trace`] from the incoming headers: one function, [`Trace::start`].

use super::dsc::Dsc;
use super::head::{Own, Random, Trace, span_of};
use super::sampling::{self, Rand, Rate};
use super::sentry_trace::SentryTrace;
use super::traceparent::Traceparent;
use super::{SpanId, TraceId};

/// The trace data that a run of a handler received. Every part may be missing.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Incoming<'a> {
    pub(crate) sentry_trace: Option<&'a str>,
    pub(crate) baggage: Option<&'a str>,
    pub(crate) traceparent: Option<&'a str>,
    /// The id of the instance, if the run is one of a Workflow.
    pub(crate) instance: Option<&'a str>,
    /// The platform's own span, if the platform traces this run.
    pub(crate) platform: Option<(TraceId, SpanId)>,
}

impl Trace {
    /// The trace that a run is part of. The first of these that exists:
    ///
    /// 1. the trace of `sentry-trace`. If that header is malformed or of another organisation,
    ///    the run begins a new trace and `traceparent` is ignored;
    /// 2. the trace of `traceparent`;
    /// 3. the trace of a Workflow's instance, which is the same for each replay;
    /// 4. the platform's own trace;
    /// 5. a new trace.
    ///
    /// The run of a Workflow has the same span in each replay, so that the steps of all
    /// replays are below one span.
    pub(crate) fn start(
        incoming: &Incoming<'_>,
        own: &Own<'_>,
        name: Option<&str>,
        random: Random,
    ) -> Self {
        let mut trace = Trace::joined(incoming, own, name, random);
        if let Some(instance) = incoming.instance {
            trace.span_id = SpanId::of_instance(instance);
        }
        trace
    }

    fn joined(incoming: &Incoming<'_>, own: &Own<'_>, name: Option<&str>, random: Random) -> Self {
        if let Some(header) = incoming.sentry_trace {
            let dsc = Dsc::incoming(incoming.baggage);
            let theirs = dsc.get("org_id");
            if let Some(header) = SentryTrace::read(header)
                && sampling::may_continue(theirs.as_deref(), own.org_id)
            {
                return Trace::continued(header, dsc, own.rate, random);
            }
        }
        let traceparent = match incoming.sentry_trace {
            None => incoming.traceparent.and_then(Traceparent::read),
            Some(_) => None,
        };
        let (trace_id, parent, rand) = if let Some(header) = traceparent {
            let rand = Rand::of_trace(&header.trace_id);
            (header.trace_id, Some(header.span_id), rand)
        } else if let Some(instance) = incoming.instance {
            let trace_id = TraceId::of_instance(instance);
            (trace_id, None, Rand::of_instance(&trace_id))
        } else if let Some((trace_id, span_id)) = incoming.platform {
            (trace_id, Some(span_id), Rand::of_trace(&trace_id))
        } else {
            return Trace::head(own, name, random);
        };
        let mut trace = Trace::begun(trace_id, parent, rand, own, name, random);
        let is_platforms = incoming
            .platform
            .filter(|platform| (platform.0, Some(platform.1)) == (trace_id, parent));
        // A run that sends no spans puts its events on the platform's span.
        if let Some((_, platform)) = is_platforms
            && !trace.records
        {
            trace.span_id = platform;
            trace.parent_span_id = None;
        }
        trace
    }

    fn continued(header: SentryTrace, dsc: Dsc, rate: Option<Rate>, random: Random) -> Self {
        let rand = shared_rand(&header, &dsc);
        let sampled = sampling::decide(header.sampled, rate, rand);
        let span_id = span_of(random);
        Trace {
            trace_id: header.trace_id,
            span_id,
            parent_span_id: Some(header.span_id),
            sampled,
            records: rate.is_some() && sampled == Some(true),
            dsc,
            seed: u64::from_be_bytes(*span_id.bytes()),
        }
    }
}

/// The random value of an incoming trace: the one it carries, or else one that agrees with its
/// flag and its rate, or else one derived from its id.
fn shared_rand(header: &SentryTrace, dsc: &Dsc) -> Rand {
    let read = |key| dsc.get(key);
    if let Some(rand) = read("sample_rand").as_deref().and_then(Rand::read) {
        return rand;
    }
    let derived = Rand::of_trace(&header.trace_id);
    let rate = read("sample_rate").as_deref().and_then(Rate::read);
    match header.sampled.zip(rate) {
        Some((sampled, rate)) => derived.agreeing_with(sampled, rate),
        None => derived,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    const TRACE: &str = "771a43a4192642f0b136d5159a501700";
    const SPAN: &str = "b0e6f15b45c36b12";
    const W3C: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const RANDOM: [u8; 24] = [0xab; 24];

    fn own(rate: Option<f64>) -> Own<'static> {
        Own {
            public_key: "key",
            release: Some("r"),
            environment: "production",
            org_id: Some("1"),
            rate: rate.and_then(Rate::new),
        }
    }

    fn hex(id: impl core::fmt::Debug) -> String {
        format!("{id:?}")
    }

    fn start(incoming: Incoming<'_>, rate: Option<f64>) -> Trace {
        Trace::start(&incoming, &own(rate), Some("ours"), RANDOM)
    }

    fn with_sentry<'a>(sentry_trace: &'a str, baggage: Option<&'a str>) -> Incoming<'a> {
        Incoming {
            sentry_trace: Some(sentry_trace),
            baggage,
            ..Incoming::default()
        }
    }

    /// <https://develop.sentry.dev/sdk/foundations/trace-propagation/#propagation-decision-matrix>
    #[test]
    fn the_decision_matrix_of_sentrys_specification_holds() {
        type Row = (Option<&'static str>, Option<f64>, bool, Option<bool>);
        // The incoming flag, the rate, whether spans are sent, the outgoing flag.
        let table: [Row; 12] = [
            (None, None, false, None),
            (None, Some(0.0), false, Some(false)),
            (None, Some(1.0), true, Some(true)),
            (Some(""), None, false, None),
            (Some(""), Some(0.0), false, Some(false)),
            (Some(""), Some(1.0), true, Some(true)),
            (Some("-1"), None, false, Some(true)),
            (Some("-1"), Some(0.0), true, Some(true)),
            (Some("-1"), Some(1.0), true, Some(true)),
            (Some("-0"), None, false, Some(false)),
            (Some("-0"), Some(0.0), false, Some(false)),
            (Some("-0"), Some(1.0), false, Some(false)),
        ];
        for (flag, rate, records, sampled) in table {
            let header = flag.map(|flag| format!("{TRACE}-{SPAN}{flag}"));
            let incoming = Incoming {
                sentry_trace: header.as_deref(),
                ..Incoming::default()
            };
            let trace = start(incoming, rate);
            assert_eq!(trace.records, records, "{flag:?} {rate:?}");
            assert_eq!(
                trace.header(trace.span_id).sampled,
                sampled,
                "{flag:?} {rate:?}"
            );
            assert_eq!(hex(trace.trace_id) == TRACE, flag.is_some());
            assert_eq!(trace.parent_span_id.map(hex).as_deref(), flag.map(|_| SPAN));
            assert_eq!(hex(trace.span_id), "ab".repeat(8));
        }
    }

    #[test]
    fn a_malformed_sentry_trace_starts_a_new_trace_with_a_dsc_of_its_own() {
        let incoming = Incoming {
            sentry_trace: Some("nonsense"),
            baggage: Some("sentry-trace_id=1,sentry-sample_rand=0.9"),
            traceparent: Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
            ..Incoming::default()
        };
        let trace = start(incoming, Some(0.0));
        // Version 4 of a UUID.
        assert_eq!(hex(trace.trace_id), "abababababab4bababababababababab");
        assert_eq!(trace.parent_span_id, None);
        assert_eq!(json!(trace.dsc())["trace_id"], hex(trace.trace_id));
    }

    #[test]
    fn two_known_and_different_organisations_make_a_new_trace_and_the_flag_is_ignored() {
        let header = format!("{TRACE}-{SPAN}-1");
        for (baggage, continued) in [
            (Some("sentry-org_id=1"), true),
            (Some("sentry-org_id=2"), false),
            (Some("sentry-release=r"), true),
            (None, true),
        ] {
            let mut incoming = with_sentry(&header, baggage);
            incoming.traceparent = Some("00-771a43a4192642f0b136d5159a501700-b0e6f15b45c36b12-01");
            let trace = start(incoming, Some(0.0));
            assert_eq!(hex(trace.trace_id) == TRACE, continued, "{baggage:?}");
            assert_eq!(trace.sampled, Some(continued), "{baggage:?}");
            assert_eq!(trace.parent_span_id.is_some(), continued, "{baggage:?}");
        }
        let unknown = Own {
            org_id: None,
            ..own(None)
        };
        let incoming = with_sentry(&header, Some("sentry-org_id=2"));
        let trace = Trace::start(&incoming, &unknown, None, RANDOM);
        assert_eq!(hex(trace.trace_id), TRACE);
    }

    #[test]
    fn the_incoming_dsc_is_passed_on_as_it_came() {
        let header = format!("{TRACE}-{SPAN}");
        let text = "sentry-trace_id=1,sentry-release=theirs,sentry-sample_rand=0.7,sentry-new=1";
        let trace = start(with_sentry(&header, Some(text)), Some(0.8));
        assert_eq!(trace.sampled, Some(true));
        assert_eq!(trace.dsc().as_baggage(), text);
        // Without Sentry's entries in the baggage, the DSC stays empty. Ours does not replace it.
        let trace = start(with_sentry(&header, Some("other=1")), Some(1.0));
        assert!(trace.dsc().is_empty());
    }

    #[test]
    fn a_deferred_decision_is_made_with_the_random_value_of_the_trace() {
        let header = format!("{TRACE}-{SPAN}");
        for (rand, rate, sampled) in [
            ("0.299999", 0.3, true),
            ("0.3", 0.3, false),
            ("0.300001", 0.3, false),
            ("0", 0.000_001, true),
        ] {
            let baggage = format!("sentry-sample_rand={rand}");
            let trace = start(with_sentry(&header, Some(&baggage)), Some(rate));
            assert_eq!(trace.sampled, Some(sampled), "{rand} {rate}");
        }
    }

    #[test]
    fn a_missing_random_value_agrees_with_the_flag_and_the_rate() {
        let header = |flag| SentryTrace::read(&format!("{TRACE}-{SPAN}{flag}")).expect("a header");
        let dsc = Dsc::incoming(Some("sentry-sample_rate=0.25"));
        let quarter = Rand::read("0.25").expect("a number");
        assert!(shared_rand(&header("-1"), &dsc) < quarter);
        assert!(shared_rand(&header("-0"), &dsc) >= quarter);
        let derived = Rand::of_trace(&header("").trace_id);
        assert_eq!(shared_rand(&header(""), &dsc), derived);
        assert_eq!(shared_rand(&header("-1"), &Dsc::default()), derived);
        // A valid incoming value is always used; an invalid one is ignored.
        let given = Dsc::incoming(Some("sentry-sample_rate=0.25,sentry-sample_rand=0.5"));
        assert_eq!(
            shared_rand(&header("-1"), &given),
            Rand::read("0.5").expect("a number")
        );
        let wrong = Dsc::incoming(Some("sentry-sample_rate=0.25,sentry-sample_rand=1.5"));
        assert!(shared_rand(&header("-1"), &wrong) < quarter);
    }

    #[test]
    fn a_traceparent_gives_its_ids_and_no_decision() {
        for flags in ["00", "01"] {
            let header = format!("00-{W3C}-00f067aa0ba902b7-{flags}");
            let incoming = Incoming {
                traceparent: Some(&header),
                baggage: Some("sentry-trace_id=1"),
                ..Incoming::default()
            };
            for (rate, sampled) in [
                (None, None),
                (Some(0.0), Some(false)),
                (Some(1.0), Some(true)),
            ] {
                let trace = start(incoming, rate);
                assert_eq!(hex(trace.trace_id), W3C);
                assert_eq!(
                    trace.parent_span_id.map(hex).as_deref(),
                    Some("00f067aa0ba902b7")
                );
                assert_eq!(trace.sampled, sampled, "{flags} {rate:?}");
                assert_eq!(trace.dsc().get("trace_id").as_deref(), Some(W3C));
            }
        }
    }

    #[test]
    fn each_replay_of_an_instance_is_one_trace_with_one_decision() {
        let instance = Incoming {
            instance: Some("ae0ee067"),
            platform: Some((TraceId::random([9; 16]), SpanId::random([9; 8]))),
            ..Incoming::default()
        };
        let first = Trace::start(&instance, &own(Some(0.5)), None, [1; 24]);
        let second = Trace::start(&instance, &own(Some(0.5)), None, [2; 24]);
        assert_eq!(hex(first.trace_id), "0d2b6d1743ce6d53af4f5ee416ad5d1b");
        assert_eq!(
            (first.trace_id, first.sampled),
            (second.trace_id, second.sampled)
        );
        // The steps of all replays are below one span, and each step has its own span.
        assert_eq!(first.span_id, second.span_id);
        assert_ne!(first.span(1), second.span(1));
        // 0x5d1b / 65535 = 0.363698
        assert_eq!(first.sampled, Some(true));
        assert_eq!(
            Trace::start(&instance, &own(Some(0.363)), None, [1; 24]).sampled,
            Some(false)
        );
        // The trace of the creator takes precedence.
        let header = format!("{TRACE}-{SPAN}");
        let created = Incoming {
            sentry_trace: Some(&header),
            ..instance
        };
        assert_eq!(hex(start(created, None).trace_id), TRACE);
    }

    #[test]
    fn errors_of_a_run_that_sends_no_spans_belong_to_the_platforms_span() {
        let (trace_id, span_id) = (TraceId::random([9; 16]), SpanId::random([8; 8]));
        let incoming = Incoming {
            platform: Some((trace_id, span_id)),
            ..Incoming::default()
        };
        for rate in [None, Some(0.0)] {
            let trace = start(incoming, rate);
            assert_eq!(
                (trace.trace_id, trace.span_id),
                (trace_id, span_id),
                "{rate:?}"
            );
            assert_eq!(trace.parent_span_id, None);
        }
        let trace = start(incoming, Some(1.0));
        assert_eq!(
            (trace.trace_id, trace.parent_span_id),
            (trace_id, Some(span_id))
        );
        assert_ne!(trace.span_id, span_id);
    }

    proptest! {
        #[test]
        fn nothing_that_comes_in_makes_it_panic_and_what_it_says_agrees(
            sentry_trace in prop::option::of("\\PC{0,60}|[0-9a-f]{32}-[0-9a-f]{16}(-[01])?"),
            baggage in prop::option::of(
                "\\PC{0,60}|(sentry-(sample_rand|sample_rate|org_id|trace_id)=[0-9.e-]{0,9},){0,9}"
            ),
            traceparent in prop::option::of("\\PC{0,60}|00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]"),
            instance in prop::option::of("\\PC{0,60}"),
            rate in prop::option::of(0.0..=1.0),
            random in any::<[u8; 24]>(),
            times in prop::sample::select(vec![1usize, 1, 1, 50]),
        ) {
            let baggage = baggage.map(|baggage| baggage.repeat(times));
            let incoming = Incoming {
                sentry_trace: sentry_trace.as_deref(),
                baggage: baggage.as_deref(),
                traceparent: traceparent.as_deref(),
                instance: instance.as_deref(),
                platform: None,
            };
            let own = own(rate);
            let trace = Trace::start(&incoming, &own, None, random);
            prop_assert!(!trace.records || trace.sampled == Some(true));
            prop_assert_eq!(trace.records && rate.is_none(), false);
            let header = trace.header(trace.span_id).write();
            prop_assert_eq!(SentryTrace::read(&header), Some(trace.header(trace.span_id)));
            let is_head = trace.parent_span_id.is_none() || incoming.sentry_trace.is_none();
            let (trace_id, sampled) = (trace.trace_id, trace.sampled);
            let dsc = trace.dsc();
            prop_assert!(dsc.as_baggage().len() <= 8_192);
            if is_head {
                prop_assert_eq!(dsc.get("trace_id"), Some(hex(trace_id)));
                let rand = dsc.get("sample_rand").as_deref().and_then(Rand::read);
                let at = dsc.get("sample_rate").as_deref().and_then(Rate::read);
                let decision = rand.and_then(|rand| sampling::decide(None, at, rand));
                prop_assert_eq!(decision, sampled);
                let said = dsc.get("sampled").map(|said| said == "true");
                prop_assert_eq!(said, sampled);
            }
        }

        #[test]
        fn the_next_service_continues_what_went_out(
            rate in prop::option::of(0.0..=1.0),
            next_rate in prop::option::of(0.0..=1.0),
            random in any::<[u8; 24]>(),
        ) {
            let own = own(rate);
            let trace = Trace::start(&Incoming::default(), &own, None, random);
            let header = trace.header(trace.span_id).write();
            let baggage = trace.dsc().as_baggage().to_owned();
            let next = Own { rate: next_rate.and_then(Rate::new), ..own };
            let incoming = with_sentry(&header, Some(&baggage));
            let continued = Trace::start(&incoming, &next, None, RANDOM);
            prop_assert_eq!(continued.trace_id, trace.trace_id);
            prop_assert_eq!(continued.parent_span_id, Some(trace.span_id));
            if rate.is_some() {
                prop_assert_eq!(continued.sampled, trace.sampled);
            }
            prop_assert_eq!(continued.dsc(), trace.dsc());
        }
    }
}
