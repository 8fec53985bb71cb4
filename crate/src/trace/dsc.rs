//! The dynamic sampling context (DSC): data of the head of a trace for every service in it.
//!
//! The DSC is kept as the text of a `baggage` header. So an incoming DSC is passed on without a
//! change, unknown entries included, and it is the same in the `baggage` of a request and in
//! `trace` of an envelope's headers.
//!
//! <https://develop.sentry.dev/sdk/foundations/trace-propagation/dynamic-sampling-context/>

use super::TraceId;
use super::baggage;
use super::sampling::{Rand, Rate};
use crate::item::json::Json;

/// A DSC. It never changes.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Dsc(String);

/// The data of a run that begins a trace.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head<'a> {
    pub(crate) trace_id: TraceId,
    pub(crate) public_key: &'a str,
    pub(crate) release: Option<&'a str>,
    pub(crate) environment: &'a str,
    pub(crate) org_id: Option<&'a str>,
    /// The sampling decision, if one was made.
    pub(crate) decision: Option<Decision>,
    /// The transaction's name. It is sent to every service of the trace, so it must not be a URL
    /// and must not contain ids. Without a decision it is left out.
    pub(crate) transaction: Option<&'a str>,
}

/// A decision with the values that it was made from: `sampled` is `rand < rate`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Decision {
    pub(crate) sampled: bool,
    pub(crate) rate: Rate,
    pub(crate) rand: Rand,
}

impl Dsc {
    /// The DSC that came in with a `sentry-trace`. Without entries of Sentry it is empty and
    /// stays empty, because the head of that trace is an SDK without DSC.
    pub(crate) fn incoming(baggage: Option<&str>) -> Self {
        Dsc(baggage::sentry_entries(baggage.unwrap_or_default()))
    }

    /// The DSC of a trace that this run begins.
    pub(crate) fn of_head(head: &Head<'_>) -> Self {
        let mut text = String::with_capacity(256);
        let mut push = |key, value: &str| baggage::push(&mut text, key, value);
        head.trace_id.with_text(|id| push("trace_id", id));
        push("public_key", head.public_key);
        if let Some(release) = head.release {
            push("release", release);
        }
        push("environment", head.environment);
        if let Some(org_id) = head.org_id {
            push("org_id", org_id);
        }
        if let Some(decision) = head.decision {
            push("sample_rate", &decision.rate.text());
            push("sample_rand", &decision.rand.text());
            push("sampled", if decision.sampled { "true" } else { "false" });
            if let Some(transaction) = head.transaction {
                push("transaction", transaction);
            }
        }
        Dsc(text)
    }

    /// The entries for a `baggage` header; empty if there are none.
    pub(crate) fn as_baggage(&self) -> &str {
        &self.0
    }

    /// Whether the DSC has no entries. In that case an envelope has no `trace` header.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The value of a key. If a key occurs twice, the last entry counts.
    pub(crate) fn get(&self, key: &str) -> Option<String> {
        let found = baggage::pairs(&self.0).filter(|(each, _)| *each == key);
        found
            .last()
            .map(|(_, value)| baggage::decode(value).into_owned())
    }
}

impl Dsc {
    /// Writes `trace` for an envelope's headers: an object of texts.
    pub(crate) fn write(&self, json: &mut Json) {
        json.open("{");
        let mut rest = self.0.as_str();
        while !rest.is_empty() {
            let (entry, later) = rest.split_once(',').unwrap_or((rest, ""));
            for (key, value) in baggage::pairs(entry) {
                // Readers of JSON differ in how they read a key that occurs twice, so only the last
                // entry of a key is written.
                if baggage::pairs(later).all(|(each, _)| each != key) {
                    json.string(key);
                    json.plain(":");
                    json.value(&*baggage::decode(value));
                }
            }
            rest = later;
        }
        json.plain("}");
    }
}

/// Serialises the DSC as it is sent, for tests.
#[cfg(test)]
impl serde::Serialize for Dsc {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        crate::item::json::written(|json| self.write(json)).serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn head(decision: Option<Decision>) -> Head<'static> {
        Head {
            trace_id: TraceId::random([0x77; 16]),
            public_key: "key",
            release: Some("my app@1.0+ü"),
            environment: "production",
            org_id: Some("123"),
            decision,
            transaction: Some("POST /compile"),
        }
    }

    #[test]
    fn a_head_without_a_decision_says_who_it_is_and_nothing_of_sampling() {
        let dsc = Dsc::of_head(&head(None));
        assert_eq!(
            dsc.as_baggage(),
            format!(
                "sentry-trace_id={},sentry-public_key=key,\
                 sentry-release=my%20app%401.0%2B%C3%BC,sentry-environment=production,\
                 sentry-org_id=123",
                "77".repeat(16)
            )
        );
        let expected = json!({
            "trace_id": "77".repeat(16),
            "public_key": "key",
            "release": "my app@1.0+ü",
            "environment": "production",
            "org_id": "123",
        });
        assert_eq!(json!(dsc), expected);
    }

    #[test]
    fn a_head_with_a_decision_says_what_it_was_made_from_as_text() {
        let decision = Decision {
            sampled: true,
            rate: Rate::read("0.25").expect("a rate"),
            rand: Rand::read("0.1").expect("a number"),
        };
        let written = json!(Dsc::of_head(&head(Some(decision))));
        assert_eq!(written["sample_rate"], "0.25");
        assert_eq!(written["sample_rand"], "0.100000");
        assert_eq!(written["sampled"], "true");
        assert_eq!(written["transaction"], "POST /compile");
    }

    #[test]
    fn an_incoming_dsc_is_not_changed() {
        let text = "sentry-trace_id=1,sentry-sample_rate=0.10,sentry-replay_id=a%20b,sentry-x";
        let dsc = Dsc::incoming(Some(&format!("other=1,{text},more=2")));
        assert_eq!(dsc.as_baggage(), text);
        let expected = json!({"trace_id": "1", "sample_rate": "0.10", "replay_id": "a b"});
        assert_eq!(json!(dsc), expected);
        assert_eq!(dsc.get("replay_id").as_deref(), Some("a b"));
        assert_eq!(dsc.get("x"), None);
    }

    #[test]
    fn an_incoming_trace_without_sentrys_baggage_has_an_empty_dsc() {
        for baggage in [None, Some(""), Some("other=1")] {
            let dsc = Dsc::incoming(baggage);
            assert!(dsc.is_empty());
            assert_eq!(json!(dsc), json!({}));
        }
        assert!(!Dsc::of_head(&head(None)).is_empty());
    }

    #[test]
    fn of_two_entries_with_one_key_the_last_is_written() {
        let dsc = Dsc::incoming(Some("sentry-a=1,sentry-b=2,sentry-a=3"));
        let mut json = Json::new();
        dsc.write(&mut json);
        let text = String::from_utf8(json.0).expect("text");
        assert_eq!(text, r#"{"b":"2","a":"3"}"#);
        assert_eq!(dsc.get("a").as_deref(), Some("3"));
    }

    proptest! {
        #[test]
        fn the_envelopes_header_says_what_the_baggage_says(
            release in ".{0,250}",
            environment in ".{0,64}",
            transaction in ".{0,100}",
        ) {
            let decision = Decision {
                sampled: false,
                rate: Rate::new(0.0).expect("a rate"),
                rand: Rand::read("0.5").expect("a number"),
            };
            let dsc = Dsc::of_head(&Head {
                release: Some(&release),
                environment: &environment,
                transaction: Some(&transaction),
                ..head(Some(decision))
            });
            let written = json!(dsc);
            prop_assert_eq!(&written["release"], &json!(release));
            prop_assert_eq!(&written["environment"], &json!(environment));
            prop_assert_eq!(&written["transaction"], &json!(transaction));
            prop_assert_eq!(Dsc::incoming(Some(dsc.as_baggage())), dsc);
        }

        #[test]
        fn no_baggage_makes_it_panic(baggage in "\\PC{0,100}|(sentry-[a-b]{1,2}=[a-z%0-9]{0,90},){0,90}") {
            prop_assert!(serde_json::to_vec(&Dsc::incoming(Some(&baggage))).is_ok());
        }
    }
}
