//! Transactions and their spans.
//!
//! <https://develop.sentry.dev/sdk/foundations/transport/event-payloads/transaction/>

use std::borrow::Cow;
use std::rc::Rc;

use super::Item;
use super::event::Sdk;
use super::json::Json;
use super::value::{self, Entries, bounded};
use crate::trace::Trace;
use crate::trace::ids::{Id, hex};
use crate::trace::run::Located;
#[cfg(test)]
use crate::trace::{SpanId, TraceId};

/// The most spans of one transaction that Sentry accepts.
/// <https://develop.sentry.dev/sdk/telemetry/traces/>
pub(crate) const MAX_SPANS: usize = 1_000;
/// The longest name, in bytes. Relay cuts longer ones and marks the event.
const MAX_NAME: usize = 200;

/// How a span ended, in Sentry's words. Sentry turns any unknown word into `unknown`. Sentry has
/// five more words, which match no HTTP status and no outcome of a run.
/// <https://develop.sentry.dev/sdk/foundations/transport/event-payloads/span/>
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Status(&'static str);

impl Status {
    pub(crate) const OK: Self = Status("ok");
    pub(crate) const CANCELLED: Self = Status("cancelled");
    pub(crate) const INTERNAL_ERROR: Self = Status("internal_error");

    /// The span status for an HTTP status code.
    /// <https://develop.sentry.dev/sdk/telemetry/traces/span-operations/>
    pub(crate) fn of_http(code: u16) -> Self {
        match code {
            0..=399 => Status::OK,
            401 => Status("unauthenticated"),
            403 => Status("permission_denied"),
            404 => Status("not_found"),
            409 => Status("already_exists"),
            413 | 429 => Status("resource_exhausted"),
            499 => Status::CANCELLED,
            400..=498 => Status("invalid_argument"),
            501 => Status("unimplemented"),
            503 => Status("unavailable"),
            504 => Status("deadline_exceeded"),
            500..=599 => Status::INTERNAL_ERROR,
            _ => Status("unknown"),
        }
    }

    /// Sentry's word for the status.
    pub(crate) fn word(self) -> &'static str {
        self.0
    }
}

/// The source of a transaction's name. Sentry masks parts that look like ids if the source is
/// a URL, and does not change other names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Route,
    Task,
    Custom,
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "no name of this crate's is a URL's")
    )]
    Url,
}

impl Source {
    /// Whether the name may be sent to every service of a trace, in the DSC.
    #[cfg(test)]
    pub(crate) fn is_good(self) -> bool {
        self != Source::Url
    }

    /// Sentry's word for the source.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Source::Route => "route",
            Source::Task => "task",
            Source::Custom => "custom",
            Source::Url => "url",
        }
    }
}

/// A piece of work with a beginning and an end: a transaction's own span, or one below it. Its
/// texts are already cut to Sentry's limits.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Span {
    /// The number of the span in the run, and that of the span around it. The ids are made from
    /// these numbers.
    pub(crate) number: u32,
    pub(crate) parent: u32,
    pub(crate) op: Cow<'static, str>,
    /// The description of the work. For a transaction, it is the transaction's name.
    pub(crate) name: Cow<'static, str>,
    /// Letters, digits, `_` and `.`. Relay removes an origin with another character, such as `-`.
    /// <https://develop.sentry.dev/sdk/telemetry/traces/trace-origin/>
    pub(crate) origin: &'static str,
    pub(crate) start_ms: f64,
    pub(crate) end_ms: f64,
    pub(crate) status: Option<Status>,
    pub(crate) data: Entries,
}

/// A link to a span of another trace: from an alarm to the run that set it.
/// <https://develop.sentry.dev/sdk/telemetry/traces/span-links/>
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Link {
    pub(crate) trace_id: Id<16>,
    pub(crate) span_id: Id<8>,
    pub(crate) sampled: Option<bool>,
}

/// A transaction: the span of a whole run, and the spans below it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Transaction {
    pub(crate) span: Span,
    pub(crate) source: Source,
    pub(crate) links: Vec<Link>,
    /// At most [`MAX_SPANS`].
    pub(crate) spans: Vec<Span>,
}

/// A transaction's name, cut to Sentry's limit. A blank name gets a substitute, because Sentry
/// requires a name.
pub(crate) fn name(text: Cow<'static, str>) -> Cow<'static, str> {
    match text.trim() {
        "" => Cow::Borrowed("unnamed"),
        _ => bounded(text, MAX_NAME),
    }
}

/// A transaction that is ready to be sent.
pub(crate) struct Sealed {
    pub(crate) transaction: Transaction,
    pub(crate) event_id: Id<16>,
    /// The position of the run in its trace.
    pub(crate) at: Located,
    pub(crate) release: Option<String>,
    pub(crate) environment: String,
}

impl Item for Sealed {
    fn kind(&self) -> &'static str {
        "transaction"
    }

    fn id(&self) -> Option<uuid::Uuid> {
        Some(uuid::Uuid::from_bytes(*self.event_id.bytes()))
    }

    fn write(&self) -> Option<Vec<u8>> {
        let Transaction {
            span,
            source,
            links,
            spans,
        } = &self.transaction;
        let Located {
            trace,
            span_id,
            parent_span_id,
        } = &self.at;
        let parent = parent_span_id.as_ref().map(|id| &id.bytes()[..]);
        let mut json = Json::new();
        json.plain(r#"{"contexts":{"trace":{"type":"trace""#);
        describe(&mut json, trace, span_id.bytes(), parent, span);
        if !links.is_empty() {
            json.key("links");
            json.plain("[");
            for link in links {
                json.open("{");
                id(&mut json, "trace_id", link.trace_id.bytes());
                id(&mut json, "span_id", link.span_id.bytes());
                if let Some(sampled) = link.sampled {
                    json.flag("sampled", sampled);
                }
                json.plain(r#","attributes":{"sentry.link.type":"previous_trace"}}"#);
            }
            json.plain("]");
        }
        json.plain(r#"},"cloud_resource":{"type":"cloud_resource","#);
        json.plain(r#""cloud.provider":"cloudflare"}},"type":"transaction","#);
        json.plain(r#""platform":"native","transaction_info":{"#);
        json.text("source", source.word());
        json.plain("}");
        id(&mut json, "event_id", self.event_id.bytes());
        json.text("release", self.release.as_deref().unwrap_or_default());
        json.text("environment", &self.environment);
        Sdk::WITH_PACKAGES.write(&mut json);
        json.text("transaction", &span.name);
        times(&mut json, span);
        json.key("spans");
        json.plain("[");
        for span in spans {
            json.open("{");
            let [id, parent] = [span.number, span.parent].map(|number| trace.span(number));
            describe(&mut json, trace, id.bytes(), Some(parent.bytes()), span);
            json.text("description", &span.name);
            times(&mut json, span);
            json.plain("}");
        }
        json.plain("]}");
        Some(json.0)
    }

    /// Drops the later half of the spans.
    fn trim(&mut self, _: usize) -> bool {
        let spans = &mut self.transaction.spans;
        let left = spans.len() / 2;
        let is_trimmed = left < spans.len();
        spans.truncate(left);
        is_trimmed
    }

    fn trace(&self) -> Option<Rc<Trace>> {
        Some(Rc::clone(&self.at.trace))
    }
}

fn id(json: &mut Json, key: &'static str, id: &[u8]) {
    json.text(key, hex(id, &mut [0; 32]));
}

/// Writes the fields that a span has both in a list of spans and in the context of a
/// transaction.
fn describe(json: &mut Json, trace: &Trace, span_id: &[u8], parent: Option<&[u8]>, span: &Span) {
    id(json, "trace_id", trace.trace_id.bytes());
    id(json, "span_id", span_id);
    id(json, "parent_span_id", parent.unwrap_or_default());
    json.text("op", &span.op);
    json.text("status", span.status.map_or("", Status::word));
    json.text("origin", span.origin);
    if !span.data.is_empty() {
        json.key("data");
        json.value(&span.data);
    }
}

/// Writes the start and the end of a span, in seconds. The end is at least the start, because
/// Relay rejects a whole transaction if one of its spans ends before it starts.
fn times(json: &mut Json, span: &Span) {
    let start = value::seconds(span.start_ms);
    json.seconds("start_timestamp", start);
    json.seconds("timestamp", value::seconds(span.end_ms).max(start));
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::item::event::{SDK_NAME, SDK_VERSION};
    use crate::trace::head::tests::OWN;
    use proptest::prelude::*;
    use serde_json::{Value as Json, json};

    fn span(number: u32, name: &'static str, start_ms: f64, end_ms: f64) -> Span {
        Span {
            number,
            parent: 0,
            op: Cow::Borrowed("http.server"),
            name: Cow::Borrowed(name),
            origin: "auto.http.cloudflare",
            start_ms,
            end_ms,
            status: Some(Status::OK),
            data: Entries::default(),
        }
    }

    fn transaction(span: Span, source: Source) -> Transaction {
        Transaction {
            span,
            source,
            links: Vec::new(),
            spans: Vec::new(),
        }
    }

    fn link(sampled: Option<bool>) -> Link {
        Link {
            trace_id: TraceId::random([0x22; 16]),
            span_id: SpanId::random([0x33; 8]),
            sampled,
        }
    }

    /// An incoming trace, and a run below its span.
    fn sealed(transaction: &Transaction) -> Sealed {
        let trace = Rc::new(Trace::head(&OWN, None, [0x77; 24]));
        Sealed {
            transaction: transaction.clone(),
            event_id: Id::random([0x11; 16]),
            at: Located {
                span_id: trace.span_id,
                parent_span_id: SpanId::read("00f067aa0ba902b7"),
                trace,
            },
            release: Some("r".to_owned()),
            environment: "production".to_owned(),
        }
    }

    fn written(transaction: &Transaction) -> Json {
        let bytes = sealed(transaction).write().expect("JSON");
        serde_json::from_slice(&bytes).expect("JSON")
    }

    const NOW: f64 = 1_767_323_045_678.0;

    #[test]
    fn a_transaction_is_written_as_sentry_specifies_it() {
        let mut root = span(0, "POST /compile", NOW, NOW + 250.0);
        root.data.set("http.request.method", "POST");
        root.data.set("http.response.status_code", 200_u64);
        let mut transaction = transaction(root, Source::Route);
        transaction.links = vec![link(Some(true)), link(None)];
        let mut child = span(1, "GET lists.example.com", NOW + 10.0, NOW + 20.0);
        child.op = Cow::Borrowed("http.client");
        child.status = Some(Status::of_http(404));
        let mut grandchild = span(2, "", NOW + 10.0, NOW + 10.0);
        (grandchild.parent, grandchild.status) = (1, None);
        transaction.spans = vec![child, grandchild];
        let trace = sealed(&transaction).at.trace;
        let trace_id = "7777777777774777b777777777777777";
        assert_eq!(
            written(&transaction),
            json!({
                "type": "transaction",
                "event_id": "11".repeat(16),
                "platform": "native",
                "release": "r",
                "environment": "production",
                "sdk": {
                    "name": SDK_NAME,
                    "version": SDK_VERSION,
                    "packages": [{"name": "cargo:worker-sentry", "version": SDK_VERSION}],
                },
                "transaction": "POST /compile",
                "transaction_info": {"source": "route"},
                "start_timestamp": 1_767_323_045.678,
                "timestamp": 1_767_323_045.928,
                "contexts": {
                    "trace": {
                        "type": "trace",
                        "trace_id": trace_id,
                        "span_id": "77".repeat(8),
                        "parent_span_id": "00f067aa0ba902b7",
                        "op": "http.server",
                        "status": "ok",
                        "origin": "auto.http.cloudflare",
                        "data": {
                            "http.request.method": "POST",
                            "http.response.status_code": 200,
                        },
                        "links": [
                            {
                                "trace_id": "22".repeat(16),
                                "span_id": "33".repeat(8),
                                "sampled": true,
                                "attributes": {"sentry.link.type": "previous_trace"},
                            },
                            {
                                "trace_id": "22".repeat(16),
                                "span_id": "33".repeat(8),
                                "attributes": {"sentry.link.type": "previous_trace"},
                            },
                        ],
                    },
                    "cloud_resource": {"type": "cloud_resource", "cloud.provider": "cloudflare"},
                },
                "spans": [
                    {
                        "trace_id": trace_id,
                        "span_id": trace.span(1),
                        "parent_span_id": "77".repeat(8),
                        "op": "http.client",
                        "description": "GET lists.example.com",
                        "start_timestamp": 1_767_323_045.688,
                        "timestamp": 1_767_323_045.698,
                        "status": "not_found",
                        "origin": "auto.http.cloudflare",
                    },
                    {
                        "trace_id": trace_id,
                        "span_id": trace.span(2),
                        "parent_span_id": trace.span(1),
                        "op": "http.server",
                        "start_timestamp": 1_767_323_045.688,
                        "timestamp": 1_767_323_045.688,
                        "origin": "auto.http.cloudflare",
                    },
                ],
            })
        );
    }

    #[test]
    fn no_span_ends_before_it_starts() {
        for (start, end) in [
            (NOW, NOW - 1.0),
            (NOW, f64::NAN),
            (f64::NAN, NOW),
            (f64::INFINITY, f64::NEG_INFINITY),
            (NOW, NOW),
        ] {
            let mut transaction = transaction(span(0, "x", start, end), Source::Task);
            transaction.spans.push(span(1, "y", start, end));
            let json = written(&transaction);
            for written in [&json, &json["spans"][0]] {
                let time = |name: &str| written[name].as_f64().expect("a time");
                assert!(
                    time("timestamp") >= time("start_timestamp"),
                    "{start} {end}"
                );
            }
        }
    }

    #[test]
    fn an_answers_code_has_one_of_sentrys_statuses() {
        for (code, word) in [
            (101, "ok"),
            (200, "ok"),
            (304, "ok"),
            (400, "invalid_argument"),
            (401, "unauthenticated"),
            (403, "permission_denied"),
            (404, "not_found"),
            (409, "already_exists"),
            (413, "resource_exhausted"),
            (418, "invalid_argument"),
            (429, "resource_exhausted"),
            (499, "cancelled"),
            (500, "internal_error"),
            (501, "unimplemented"),
            (503, "unavailable"),
            (504, "deadline_exceeded"),
            (520, "internal_error"),
            (600, "unknown"),
        ] {
            assert_eq!(Status::of_http(code).word(), word, "{code}");
        }
    }

    #[test]
    fn only_a_name_that_is_no_url_is_told_to_other_services() {
        assert!(
            [Source::Route, Source::Task, Source::Custom]
                .iter()
                .all(|good| good.is_good())
        );
        assert!(!Source::Url.is_good());
    }

    #[test]
    fn a_name_is_bounded_and_there_is_always_one() {
        let long = name(Cow::Owned("ü".repeat(500)));
        assert!(
            long.len() <= MAX_NAME && long.len() > MAX_NAME - 5,
            "{long}"
        );
        assert_eq!(name(Cow::Borrowed(" ")), "unnamed");
        assert_eq!(name(Cow::Borrowed("GET /")), "GET /");
    }

    /// Writes every kind of transaction of this crate, one JSON in each line, to test a receiver
    /// with them:
    /// `cargo test -p worker-sentry every_kind_of_transaction -- --nocapture`
    #[test]
    fn every_kind_of_transaction_has_its_parts() {
        for (name, op, origin, source, data) in [
            (
                "POST /compile",
                "http.server",
                "auto.http.cloudflare",
                Source::Route,
                "http.request.method",
            ),
            (
                "GET /a/0123456789abcdef",
                "http.server",
                "auto.http.cloudflare",
                Source::Url,
                "http.request.method",
            ),
            (
                "Scheduled Cron 0 3 * * mon-fri",
                "function",
                "auto.faas.cloudflare.scheduled",
                Source::Task,
                "faas.cron",
            ),
            (
                "process compile-jobs",
                "queue.process",
                "auto.faas.cloudflare.queue",
                Source::Task,
                "messaging.destination.name",
            ),
            (
                "alarm",
                "function",
                "auto.faas.cloudflare.durable_object",
                Source::Task,
                "faas.trigger",
            ),
            (
                "websocket_message",
                "websocket",
                "auto.faas.cloudflare.durable_object",
                Source::Task,
                "faas.trigger",
            ),
            (
                "fetch lists",
                "function",
                "auto.faas.cloudflare.workflow",
                Source::Task,
                "workflow.step.name",
            ),
        ] {
            let mut root = span(0, name, NOW, NOW + 1.5);
            root.op = Cow::Borrowed(op);
            root.origin = origin;
            root.data.set(data, "x");
            let mut transaction = transaction(root, source);
            transaction.links.push(link(None));
            for (at, status) in [Status::OK, Status::INTERNAL_ERROR, Status::CANCELLED]
                .into_iter()
                .enumerate()
            {
                let mut child = span(at as u32 + 1, "db.query", NOW, NOW + at as f64 / 7.0);
                child.status = Some(status);
                transaction.spans.push(child);
            }
            let json = written(&transaction);
            println!("{json}");
            assert_eq!(json["transaction"], name);
            assert_eq!(json["contexts"]["trace"]["op"], op);
            assert_eq!(json["contexts"]["trace"]["origin"], origin);
            assert_eq!(json["transaction_info"]["source"], source.word());
        }
    }

    proptest! {
        #[test]
        fn any_transaction_is_json(
            name in "\\PC{0,300}",
            op in "\\PC{0,200}",
            start in any::<f64>(),
            end in any::<f64>(),
            number in any::<f64>(),
        ) {
            let mut root = span(0, "", start, end);
            root.name = Cow::Owned(name.clone());
            root.op = Cow::Owned(op.clone());
            root.data.set("number", number);
            let mut transaction = transaction(root.clone(), Source::Url);
            transaction.spans.push(root);
            let json = written(&transaction);
            prop_assert!(json["timestamp"].is_f64() && json["spans"][0]["timestamp"].is_f64());
            let text = |json: &Json| json.as_str().unwrap_or_default().to_owned();
            prop_assert_eq!(text(&json["transaction"]), name);
            prop_assert_eq!(text(&json["contexts"]["trace"]["op"]), op);
        }
    }
}
