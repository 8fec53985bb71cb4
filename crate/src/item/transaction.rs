//! Transactions and their spans.
//!
//! <https://develop.sentry.dev/sdk/foundations/transport/event-payloads/transaction/>

use std::borrow::Cow;
use std::rc::Rc;

use serde::ser::{Serialize, SerializeStruct, Serializer};

use super::Item;
use super::event::Sdk;
use super::value::{self, Entries, bounded};
use crate::trace::ids::Id;
use crate::trace::{SpanId, Trace, TraceId};

/// The most spans of one transaction. Sentry takes no more.
/// <https://develop.sentry.dev/sdk/telemetry/traces/>
pub(crate) const MAX_SPANS: usize = 1_000;
/// Relay cuts a longer name, and says so in the event.
const MAX_NAME: usize = 200;
/// Relay cuts a longer operation.
const MAX_OP: usize = 128;
const MAX_DESCRIPTION: usize = 1_024;

/// How a span ended, in Sentry's words. Any other word becomes `unknown`.
/// <https://develop.sentry.dev/sdk/foundations/transport/event-payloads/span/>
#[cfg_attr(
    not(test),
    expect(
        dead_code,
        reason = "no answer and no outcome of a run is one of the others"
    )
)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Ok,
    Cancelled,
    Unknown,
    InvalidArgument,
    DeadlineExceeded,
    NotFound,
    AlreadyExists,
    PermissionDenied,
    ResourceExhausted,
    FailedPrecondition,
    Aborted,
    OutOfRange,
    Unimplemented,
    InternalError,
    Unavailable,
    DataLoss,
    Unauthenticated,
}

impl Status {
    /// The status of an HTTP answer.
    /// <https://develop.sentry.dev/sdk/telemetry/traces/span-operations/>
    pub(crate) fn of_http(code: u16) -> Self {
        match code {
            0..=399 => Status::Ok,
            401 => Status::Unauthenticated,
            403 => Status::PermissionDenied,
            404 => Status::NotFound,
            409 => Status::AlreadyExists,
            413 | 429 => Status::ResourceExhausted,
            499 => Status::Cancelled,
            400..=498 => Status::InvalidArgument,
            501 => Status::Unimplemented,
            503 => Status::Unavailable,
            504 => Status::DeadlineExceeded,
            500..=599 => Status::InternalError,
            _ => Status::Unknown,
        }
    }

    /// The word.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Status::Ok => "ok",
            Status::Cancelled => "cancelled",
            Status::Unknown => "unknown",
            Status::InvalidArgument => "invalid_argument",
            Status::DeadlineExceeded => "deadline_exceeded",
            Status::NotFound => "not_found",
            Status::AlreadyExists => "already_exists",
            Status::PermissionDenied => "permission_denied",
            Status::ResourceExhausted => "resource_exhausted",
            Status::FailedPrecondition => "failed_precondition",
            Status::Aborted => "aborted",
            Status::OutOfRange => "out_of_range",
            Status::Unimplemented => "unimplemented",
            Status::InternalError => "internal_error",
            Status::Unavailable => "unavailable",
            Status::DataLoss => "data_loss",
            Status::Unauthenticated => "unauthenticated",
        }
    }
}

impl Serialize for Status {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.word())
    }
}

/// Where a transaction's name comes from. Sentry masks what looks like an id in a name
/// from a URL, and leaves the others alone.
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

    /// The word.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Source::Route => "route",
            Source::Task => "task",
            Source::Custom => "custom",
            Source::Url => "url",
        }
    }
}

/// A piece of work with a beginning and an end: a transaction's own, or one below it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Span {
    pub(crate) trace_id: TraceId,
    pub(crate) span_id: SpanId,
    pub(crate) parent_span_id: Option<SpanId>,
    pub(crate) op: Cow<'static, str>,
    /// What the work is. That of a transaction is the transaction's name.
    pub(crate) name: Cow<'static, str>,
    pub(crate) origin: Cow<'static, str>,
    pub(crate) start_ms: f64,
    pub(crate) end_ms: f64,
    pub(crate) status: Option<Status>,
    pub(crate) data: Entries,
    pub(crate) links: Vec<Link>,
}

/// A link to a span of another trace: from an alarm to the run that set it.
/// <https://develop.sentry.dev/sdk/telemetry/traces/span-links/>
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Link {
    pub(crate) trace_id: TraceId,
    pub(crate) span_id: SpanId,
    pub(crate) sampled: Option<bool>,
}

impl Serialize for Link {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(serde::Serialize)]
        struct Attributes {
            #[serde(rename = "sentry.link.type")]
            kind: &'static str,
        }
        let mut fields = serializer.serialize_struct("Link", 4)?;
        fields.serialize_field("trace_id", &self.trace_id)?;
        fields.serialize_field("span_id", &self.span_id)?;
        if let Some(sampled) = self.sampled {
            fields.serialize_field("sampled", &sampled)?;
        }
        let attributes = Attributes {
            kind: "previous_trace",
        };
        fields.serialize_field("attributes", &attributes)?;
        fields.end()
    }
}

impl Span {
    /// The span's two times in seconds. A span does not end before it starts: Relay
    /// rejects the whole transaction for one that does.
    fn times(&self) -> (f64, f64) {
        let start = value::seconds(self.start_ms);
        (start, value::seconds(self.end_ms).max(start))
    }
}

/// A span below a transaction, as it is written.
impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(serde::Serialize)]
        struct Written<'s> {
            trace_id: TraceId,
            span_id: SpanId,
            #[serde(skip_serializing_if = "Option::is_none")]
            parent_span_id: Option<SpanId>,
            op: &'s str,
            #[serde(skip_serializing_if = "str::is_empty")]
            description: &'s str,
            start_timestamp: f64,
            timestamp: f64,
            #[serde(skip_serializing_if = "Option::is_none")]
            status: Option<Status>,
            origin: Cow<'s, str>,
            #[serde(skip_serializing_if = "Entries::is_empty")]
            data: &'s Entries,
            #[serde(skip_serializing_if = "no_links")]
            links: &'s [Link],
        }
        let (start_timestamp, timestamp) = self.times();
        Written {
            trace_id: self.trace_id,
            span_id: self.span_id,
            parent_span_id: self.parent_span_id,
            op: cut(&self.op, MAX_OP),
            description: cut(&self.name, MAX_DESCRIPTION),
            start_timestamp,
            timestamp,
            status: self.status,
            origin: origin(&self.origin),
            data: &self.data,
            links: &self.links,
        }
        .serialize(serializer)
    }
}

/// A transaction: the span of a whole run, and the spans below it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Transaction {
    pub(crate) event_id: Id<16>,
    pub(crate) span: Span,
    pub(crate) source: Source,
    spans: Vec<Span>,
    /// How many spans there was no room for.
    pub(crate) dropped: u32,
}

impl Transaction {
    /// A transaction without spans below it.
    pub(crate) fn new(event_id: Id<16>, mut span: Span, source: Source) -> Self {
        span.name = match span.name.trim() {
            "" => Cow::Borrowed("unnamed"),
            _ => bounded(span.name, MAX_NAME),
        };
        Transaction {
            event_id,
            span,
            source,
            spans: Vec::new(),
            dropped: 0,
        }
    }

    /// Adds a span that has ended. Past [`MAX_SPANS`] it is counted and dropped.
    pub(crate) fn push(&mut self, span: Span) {
        if self.spans.len() < MAX_SPANS {
            self.spans.push(span);
        } else {
            self.dropped = self.dropped.saturating_add(1);
        }
    }

    /// The spans below it.
    #[cfg(test)]
    pub(crate) fn spans(&self) -> &[Span] {
        &self.spans
    }
}

/// A transaction with what all items of a Worker say of it.
pub(crate) struct Payload<'a, Sdk> {
    pub(crate) transaction: &'a Transaction,
    pub(crate) release: Option<&'a str>,
    pub(crate) environment: &'a str,
    pub(crate) sdk: &'a Sdk,
}

impl<Sdk: Serialize> Serialize for Payload<'_, Sdk> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(serde::Serialize)]
        struct Written<'s, Sdk> {
            #[serde(rename = "type")]
            kind: &'static str,
            event_id: Id<16>,
            platform: &'static str,
            #[serde(skip_serializing_if = "Option::is_none")]
            release: Option<&'s str>,
            environment: &'s str,
            sdk: &'s Sdk,
            transaction: &'s str,
            transaction_info: Info,
            start_timestamp: f64,
            timestamp: f64,
            contexts: Contexts<'s>,
            spans: &'s [Span],
        }
        #[derive(serde::Serialize)]
        struct Info {
            source: &'static str,
        }
        #[derive(serde::Serialize)]
        struct Contexts<'s> {
            trace: Trace<'s>,
            cloud_resource: Cloud,
        }
        #[derive(serde::Serialize)]
        struct Cloud {
            #[serde(rename = "type")]
            kind: &'static str,
            #[serde(rename = "cloud.provider")]
            provider: &'static str,
        }
        #[derive(serde::Serialize)]
        struct Trace<'s> {
            #[serde(rename = "type")]
            kind: &'static str,
            trace_id: TraceId,
            span_id: SpanId,
            #[serde(skip_serializing_if = "Option::is_none")]
            parent_span_id: Option<SpanId>,
            op: &'s str,
            #[serde(skip_serializing_if = "Option::is_none")]
            status: Option<Status>,
            origin: Cow<'s, str>,
            #[serde(skip_serializing_if = "Entries::is_empty")]
            data: &'s Entries,
            #[serde(skip_serializing_if = "no_links")]
            links: &'s [Link],
        }
        let Transaction {
            event_id,
            span,
            source,
            spans,
            ..
        } = self.transaction;
        let (start_timestamp, timestamp) = span.times();
        Written {
            kind: "transaction",
            event_id: *event_id,
            platform: "native",
            release: self.release,
            environment: self.environment,
            sdk: self.sdk,
            transaction: &span.name,
            transaction_info: Info {
                source: source.word(),
            },
            start_timestamp,
            timestamp,
            contexts: Contexts {
                trace: Trace {
                    kind: "trace",
                    trace_id: span.trace_id,
                    span_id: span.span_id,
                    parent_span_id: span.parent_span_id,
                    op: cut(&span.op, MAX_OP),
                    status: span.status,
                    origin: origin(&span.origin),
                    data: &span.data,
                    links: &span.links,
                },
                cloud_resource: Cloud {
                    kind: "cloud_resource",
                    provider: "cloudflare",
                },
            },
            spans,
        }
        .serialize(serializer)
    }
}

/// A transaction that is ready to leave.
pub(crate) struct Sealed {
    pub(crate) transaction: Transaction,
    pub(crate) release: Option<String>,
    pub(crate) environment: String,
    pub(crate) trace: Rc<Trace>,
}

impl Item for Sealed {
    fn kind(&self) -> &'static str {
        "transaction"
    }

    fn id(&self) -> Option<uuid::Uuid> {
        Some(uuid::Uuid::from_bytes(*self.transaction.event_id.bytes()))
    }

    fn write(&self) -> Option<Vec<u8>> {
        serde_json::to_vec(&Payload {
            transaction: &self.transaction,
            release: self.release.as_deref(),
            environment: &self.environment,
            sdk: &Sdk::WITH_PACKAGES,
        })
        .ok()
    }

    /// Half of the spans are left out, the last ones first.
    fn trim(&mut self, _: usize) -> bool {
        let spans = &mut self.transaction.spans;
        let left = spans.len() / 2;
        let is_trimmed = left < spans.len();
        spans.truncate(left);
        is_trimmed
    }

    fn trace(&self) -> Option<Rc<Trace>> {
        Some(Rc::clone(&self.trace))
    }
}

fn no_links(links: &[Link]) -> bool {
    links.is_empty()
}

/// An origin that Sentry takes: letters, digits, `_` and `.`. Anything else becomes `_`,
/// because Relay takes away an origin that has, for example, a `-`.
/// <https://develop.sentry.dev/sdk/telemetry/traces/trace-origin/>
fn origin(text: &str) -> Cow<'_, str> {
    let is_fine = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
    if text.is_empty() {
        Cow::Borrowed("manual")
    } else if text.chars().all(is_fine) {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(
            text.chars()
                .map(|c| if is_fine(c) { c } else { '_' })
                .collect(),
        )
    }
}

/// The beginning of a text, at most `max` bytes.
fn cut(text: &str, max: usize) -> &str {
    let mut end = max.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value as Json, json};

    fn span(at: u64, name: &'static str, start_ms: f64, end_ms: f64) -> Span {
        let mut id = [7; 8];
        id.copy_from_slice(&(at + 1).to_be_bytes());
        Span {
            trace_id: TraceId::random([0x77; 16]),
            span_id: SpanId::random(id),
            parent_span_id: None,
            op: Cow::Borrowed("http.server"),
            name: Cow::Borrowed(name),
            origin: Cow::Borrowed("auto.http.cloudflare"),
            start_ms,
            end_ms,
            status: Some(Status::Ok),
            data: Entries::default(),
            links: Vec::new(),
        }
    }

    fn transaction(span: Span, source: Source) -> Transaction {
        Transaction::new(Id::random([0x11; 16]), span, source)
    }

    fn written(transaction: &Transaction) -> Json {
        json!(Payload {
            transaction,
            release: Some("r"),
            environment: "production",
            sdk: &json!({"name": "sentry.rust.cloudflare", "version": "0.1.0"}),
        })
    }

    const NOW: f64 = 1_767_323_045_678.0;

    #[test]
    fn a_transaction_is_written_as_sentry_specifies_it() {
        let mut root = span(0, "POST /compile", NOW, NOW + 250.0);
        root.parent_span_id = SpanId::read("00f067aa0ba902b7");
        root.data.set("http.request.method", "POST");
        root.data.set("http.response.status_code", 200_u64);
        root.links.push(Link {
            trace_id: TraceId::random([0x22; 16]),
            span_id: SpanId::random([0x33; 8]),
            sampled: Some(true),
        });
        let mut transaction = transaction(root, Source::Route);
        let mut child = span(1, "GET lists.example.com", NOW + 10.0, NOW + 20.0);
        child.op = Cow::Borrowed("http.client");
        child.parent_span_id = Some(transaction.span.span_id);
        child.status = Some(Status::of_http(404));
        transaction.push(child);
        assert_eq!(
            written(&transaction),
            json!({
                "type": "transaction",
                "event_id": "11".repeat(16),
                "platform": "native",
                "release": "r",
                "environment": "production",
                "sdk": {"name": "sentry.rust.cloudflare", "version": "0.1.0"},
                "transaction": "POST /compile",
                "transaction_info": {"source": "route"},
                "start_timestamp": 1_767_323_045.678,
                "timestamp": 1_767_323_045.928,
                "contexts": {
                    "trace": {
                        "type": "trace",
                        "trace_id": "77".repeat(16),
                        "span_id": "0000000000000001",
                        "parent_span_id": "00f067aa0ba902b7",
                        "op": "http.server",
                        "status": "ok",
                        "origin": "auto.http.cloudflare",
                        "data": {
                            "http.request.method": "POST",
                            "http.response.status_code": 200,
                        },
                        "links": [{
                            "trace_id": "22".repeat(16),
                            "span_id": "33".repeat(8),
                            "sampled": true,
                            "attributes": {"sentry.link.type": "previous_trace"},
                        }],
                    },
                    "cloud_resource": {"type": "cloud_resource", "cloud.provider": "cloudflare"},
                },
                "spans": [{
                    "trace_id": "77".repeat(16),
                    "span_id": "0000000000000002",
                    "parent_span_id": "0000000000000001",
                    "op": "http.client",
                    "description": "GET lists.example.com",
                    "start_timestamp": 1_767_323_045.688,
                    "timestamp": 1_767_323_045.698,
                    "status": "not_found",
                    "origin": "auto.http.cloudflare",
                }],
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
            transaction.push(span(1, "y", start, end));
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
    fn a_transaction_has_a_thousand_spans_and_counts_the_others() {
        let mut transaction = transaction(span(0, "x", NOW, NOW), Source::Task);
        for at in 0..1_003 {
            transaction.push(span(at + 1, "y", NOW, NOW));
        }
        assert_eq!(
            (transaction.spans().len(), transaction.dropped),
            (MAX_SPANS, 3)
        );
        assert_eq!(
            transaction.spans()[0].span_id,
            SpanId::random(2_u64.to_be_bytes())
        );
    }

    #[test]
    fn an_origin_has_the_characters_that_sentry_takes() {
        for (given, taken) in [
            (
                "auto.faas.cloudflare.durable_object",
                "auto.faas.cloudflare.durable_object",
            ),
            ("auto.my-thing", "auto.my_thing"),
            ("a b", "a_b"),
            ("ü", "_"),
            ("", "manual"),
        ] {
            assert_eq!(origin(given), taken);
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
    fn the_statuses_are_sentrys_words() {
        let words = json!([
            Status::Ok,
            Status::Cancelled,
            Status::Unknown,
            Status::InvalidArgument,
            Status::DeadlineExceeded,
            Status::NotFound,
            Status::AlreadyExists,
            Status::PermissionDenied,
            Status::ResourceExhausted,
            Status::FailedPrecondition,
            Status::Aborted,
            Status::OutOfRange,
            Status::Unimplemented,
            Status::InternalError,
            Status::Unavailable,
            Status::DataLoss,
            Status::Unauthenticated,
        ]);
        let expected = "ok cancelled unknown invalid_argument deadline_exceeded not_found \
            already_exists permission_denied resource_exhausted failed_precondition aborted \
            out_of_range unimplemented internal_error unavailable data_loss unauthenticated";
        assert_eq!(
            words,
            json!(expected.split_whitespace().collect::<Vec<_>>())
        );
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
    fn names_and_operations_are_bounded() {
        let mut root = span(0, "x", NOW, NOW);
        root.name = Cow::Owned("ü".repeat(500));
        root.op = Cow::Owned("o".repeat(500));
        let mut transaction = transaction(root.clone(), Source::Custom);
        transaction.push(root);
        let json = written(&transaction);
        let length = |value: &Json| value.as_str().map(str::len);
        assert_eq!(length(&json["transaction"]), Some(199));
        assert_eq!(length(&json["contexts"]["trace"]["op"]), Some(128));
        assert_eq!(length(&json["spans"][0]["op"]), Some(128));
        assert_eq!(length(&json["spans"][0]["description"]), Some(1_000));
        let unnamed =
            super::Transaction::new(Id::random([1; 16]), span(0, " ", NOW, NOW), Source::Url);
        assert_eq!(written(&unnamed)["transaction"], "unnamed");
    }

    /// Every kind of transaction of this crate, one JSON a line, for whoever wants to
    /// show them to a receiver:
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
            root.origin = Cow::Borrowed(origin);
            root.data.set(data, "x");
            root.links.push(Link {
                trace_id: TraceId::random([0x22; 16]),
                span_id: SpanId::random([0x33; 8]),
                sampled: None,
            });
            let mut transaction = transaction(root, source);
            for (at, status) in [Status::Ok, Status::InternalError, Status::Cancelled]
                .into_iter()
                .enumerate()
            {
                let mut child = span(at as u64 + 1, "db.query", NOW, NOW + at as f64 / 7.0);
                child.status = Some(status);
                child.parent_span_id = Some(transaction.span.span_id);
                transaction.push(child);
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
            from in "\\PC{0,40}",
            start in any::<f64>(),
            end in any::<f64>(),
            number in any::<f64>(),
        ) {
            let mut root = span(0, "", start, end);
            root.name = Cow::Owned(name);
            root.op = Cow::Owned(op);
            root.origin = Cow::Owned(from);
            root.data.set("number", number);
            let mut transaction = transaction(root.clone(), Source::Url);
            transaction.push(root);
            let json = written(&transaction);
            prop_assert!(json["timestamp"].is_f64() && json["spans"][0]["timestamp"].is_f64());
        }
    }
}
