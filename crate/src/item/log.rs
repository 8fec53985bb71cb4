//! Structured logs.
//!
//! <https://develop.sentry.dev/sdk/telemetry/logs/>

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use sentry_core::protocol;
use serde::ser::{Serialize, SerializeMap, SerializeSeq, SerializeStruct, Serializer};
use serde_json::Value as Json;

use super::Item;
use super::event::{SDK_NAME, SDK_VERSION};
use super::text::find;
use super::value::{Entries, MAX_NAME, MAX_TEXT, Value, as_seconds, bounded, seconds};
use crate::trace::{SpanId, TraceId};

/// The most logs of one item. It is Sentry's limit for an envelope.
/// <https://develop.sentry.dev/sdk/telemetry/logs/#buffering>
pub(crate) const MAX_LOGS: usize = 100;
/// A longer body is cut to this many bytes.
pub(crate) const MAX_BODY: usize = 8_192;
/// The most bytes of names and values that the attributes of one log keep.
pub(crate) const MAX_ATTRIBUTES: usize = 16_384;
/// About how many bytes of JSON an attribute has besides its name and its value.
const FRAME: usize = 32;
/// The content type of the item. Relay rejects the item without it.
pub(crate) const CONTENT_TYPE: &str = "application/vnd.sentry.items.log+json";

const TEMPLATE: &str = "sentry.message.template";
/// The placeholder for a parameter in a template.
const HOLE: &str = "{}";
/// The number of a log among those of the same millisecond, so that Sentry can show them in
/// order. <https://develop.sentry.dev/sdk/telemetry/logs/#default-attributes>
const SEQUENCE: &str = "sentry.timestamp.sequence";

/// How severe a log is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
    Fatal,
}

impl Level {
    /// Sentry's word for the level. A warning is `warn` here, and `warning` in a breadcrumb.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Level::Trace => "trace",
            Level::Debug => "debug",
            Level::Info => "info",
            Level::Warn => "warn",
            Level::Error => "error",
            Level::Fatal => "fatal",
        }
    }

    /// OpenTelemetry's number, the lowest of the level's range.
    pub(crate) fn number(self) -> u8 {
        match self {
            Level::Trace => 1,
            Level::Debug => 5,
            Level::Info => 9,
            Level::Warn => 13,
            Level::Error => 17,
            Level::Fatal => 21,
        }
    }
}

/// A structured log: a text with a level and with values by which it can be searched.
///
/// Logs are kept and sent only if the binding `SENTRY_ENABLE_LOGS` is `true`. A log belongs
/// to the run in which [`send`](Log::send) is called, and to that run's trace.
///
/// ```no_run
/// use worker_sentry::Log;
///
/// fn compiled(list: &str, rules: usize) {
///     Log::info("a list was compiled").with("list", list).with("rules", rules).send();
/// }
/// ```
#[derive(Clone, Debug, PartialEq)]
#[must_use = "a log does nothing until it is sent"]
pub struct Log {
    level: Level,
    text: Cow<'static, str>,
    parameters: usize,
    attributes: Entries,
    /// About how many bytes the attributes have.
    bytes: usize,
}

impl Log {
    /// A log of the level `trace`, for details that help to find a fault.
    pub fn trace(text: impl Into<Cow<'static, str>>) -> Self {
        Log::new(Level::Trace, text)
    }

    /// A log of the level `debug`.
    pub fn debug(text: impl Into<Cow<'static, str>>) -> Self {
        Log::new(Level::Debug, text)
    }

    /// A log of the level `info`.
    pub fn info(text: impl Into<Cow<'static, str>>) -> Self {
        Log::new(Level::Info, text)
    }

    /// A log of the level `warn`.
    pub fn warn(text: impl Into<Cow<'static, str>>) -> Self {
        Log::new(Level::Warn, text)
    }

    /// A log of the level `error`. A log is not an event: it opens no issue and sends no alert.
    pub fn error(text: impl Into<Cow<'static, str>>) -> Self {
        Log::new(Level::Error, text)
    }

    /// A log of the level `fatal`. As with [`error`](Log::error), it opens no issue.
    pub fn fatal(text: impl Into<Cow<'static, str>>) -> Self {
        Log::new(Level::Fatal, text)
    }

    /// Makes a log. The text is cut at 8 KB.
    pub(crate) fn new(level: Level, text: impl Into<Cow<'static, str>>) -> Self {
        Log {
            level,
            text: bounded(text.into(), MAX_BODY),
            parameters: 0,
            attributes: Entries::default(),
            bytes: 0,
        }
    }

    /// Adds a value. Logs can be searched by their values.
    ///
    /// A text is cut at 2,048 bytes. A list or an object becomes its JSON text. Beyond 128
    /// values, or beyond 16 KB of names and values, a new value is dropped.
    pub fn with(mut self, key: impl Into<Cow<'static, str>>, value: impl Into<Json>) -> Self {
        self.set(key.into(), Value::from(value.into()));
        self
    }

    /// Fills the next `{}` of the text, which makes the text a template. Sentry shows the filled
    /// text. Logs can be searched by the template and by each parameter.
    ///
    /// ```no_run
    /// use worker_sentry::Log;
    ///
    /// fn compiled(list: &str, rules: usize) {
    ///     Log::info("{} has {} rules").parameter(list).parameter(rules).send();
    /// }
    /// ```
    pub fn parameter(mut self, value: impl Into<Json>) -> Self {
        let name = parameter(self.parameters);
        self.parameters += 1;
        self.set(name.into(), Value::from(value.into()));
        self
    }

    /// Adds a value, for code of this crate.
    pub(crate) fn set(&mut self, name: Cow<'static, str>, value: Value) {
        let length = match &value {
            Value::Text(text) => text.len().min(MAX_TEXT),
            _ => 8,
        };
        let bytes = name.len().min(MAX_NAME) + length + FRAME;
        if self.bytes + bytes <= MAX_ATTRIBUTES {
            self.bytes += bytes;
            self.attributes.set(name, value);
        }
    }

    /// About how many bytes the log has.
    pub(crate) fn size(&self) -> usize {
        self.text.len() + self.bytes
    }

    /// Puts the parameters into the text. Without parameters no template is kept, because the
    /// template would equal the text, and Sentry wants it left out.
    ///
    /// A second call changes nothing.
    pub(crate) fn fill(&mut self) {
        let parameters = std::mem::take(&mut self.parameters);
        if parameters == 0 {
            return;
        }
        let mut filled = String::new();
        let mut rest = &*self.text;
        for number in 0..parameters {
            let Some(at) = find(rest, HOLE) else { break };
            let (before, after) = rest.split_at(at);
            filled.push_str(before);
            match self.attributes.get(&parameter(number)) {
                Some(Value::Text(text)) => filled.push_str(text),
                Some(value) => {
                    filled.push_str(&serde_json::to_string(value).unwrap_or_default());
                }
                None => filled.push_str(HOLE),
            }
            rest = after.strip_prefix(HOLE).unwrap_or_default();
        }
        filled.push_str(rest);
        let filled = bounded(filled.into(), MAX_BODY);
        let template = std::mem::replace(&mut self.text, filled);
        self.attributes.set(TEMPLATE, Value::Text(template));
    }
}

/// Converts a log to Sentry's own type and back, for the hook of the application. Only a Worker
/// that sets the hook links this code.
impl Located {
    /// The log as the hook sees it, with the parameters filled in.
    pub(crate) fn to_protocol(&self) -> protocol::Log {
        let seconds = Duration::try_from_secs_f64(seconds(self.at_ms)).unwrap_or_default();
        let level = self.log.level;
        protocol::Log {
            level: match level {
                Level::Trace => protocol::LogLevel::Trace,
                Level::Debug => protocol::LogLevel::Debug,
                Level::Info => protocol::LogLevel::Info,
                Level::Warn => protocol::LogLevel::Warn,
                Level::Error => protocol::LogLevel::Error,
                Level::Fatal => protocol::LogLevel::Fatal,
            },
            body: self.log.text.clone().into_owned(),
            trace_id: Some((*self.trace_id.bytes()).into()),
            timestamp: SystemTime::UNIX_EPOCH + seconds,
            severity_number: level.number().try_into().ok(),
            attributes: self
                .log
                .attributes
                .iter()
                .map(|(name, value)| {
                    let value = serde_json::to_value(value).unwrap_or_default();
                    (name.to_owned(), protocol::LogAttribute(value))
                })
                .collect(),
        }
    }

    /// The log as the hook has changed it. The time and the position in a trace stay unchanged.
    pub(crate) fn changed(self, to: protocol::Log) -> Self {
        let level = match to.level {
            protocol::LogLevel::Trace => Level::Trace,
            protocol::LogLevel::Debug => Level::Debug,
            protocol::LogLevel::Info => Level::Info,
            protocol::LogLevel::Warn => Level::Warn,
            protocol::LogLevel::Error => Level::Error,
            protocol::LogLevel::Fatal => Level::Fatal,
        };
        let mut log = Log::new(level, to.body);
        for (name, value) in to.attributes {
            log.attributes.set(name, value.0);
        }
        Located { log, ..self }
    }
}

/// The attribute name of a parameter.
fn parameter(number: usize) -> String {
    ["sentry.message.parameter.", &number.to_string()].concat()
}

/// A log with its time and its position in a trace.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Located {
    pub(crate) log: Log,
    pub(crate) at_ms: f64,
    /// The number among the logs of the same millisecond.
    pub(crate) sequence: u32,
    pub(crate) trace_id: TraceId,
    pub(crate) span_id: Option<SpanId>,
}

/// How many logs, and how many bytes of them, were dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Dropped {
    pub(crate) logs: usize,
    pub(crate) bytes: usize,
}

impl Dropped {
    /// Counts one more log.
    pub(crate) fn count(&mut self, log: &Log) {
        self.logs += 1;
        self.bytes += log.size();
    }
}

/// The attributes that every log of a Worker has, besides the SDK.
#[derive(Debug)]
pub(crate) struct Sender {
    pub(crate) environment: String,
    pub(crate) release: Option<String>,
}

/// The logs of one item, with the attributes that every log of a Worker has. If a log has an
/// attribute of the same name, the log's attribute is sent.
#[derive(Debug)]
pub(crate) struct Sealed {
    logs: Vec<Located>,
    sender: Sender,
    now_ms: f64,
    dropped: Dropped,
}

impl Sealed {
    /// Makes an item. `None` if there are no logs, because an item without logs must not be
    /// sent.
    pub(crate) fn new(
        mut logs: Vec<Located>,
        sender: Sender,
        now_ms: f64,
        dropped: Dropped,
    ) -> Option<Self> {
        if logs.is_empty() {
            return None;
        }
        for located in &mut logs {
            located.log.fill();
        }
        Some(Sealed {
            logs,
            sender,
            now_ms,
            dropped,
        })
    }
}

impl Item for Sealed {
    fn kind(&self) -> &'static str {
        "log"
    }

    fn id(&self) -> Option<uuid::Uuid> {
        None
    }

    fn write(&self) -> Option<Vec<u8>> {
        serde_json::to_vec(self).ok()
    }

    /// Drops the later half of the logs.
    fn trim(&mut self, _: usize) -> bool {
        if self.logs.len() < 2 {
            return false;
        }
        for located in self.logs.drain(self.logs.len() / 2..) {
            self.dropped.count(&located.log);
        }
        true
    }

    fn list(&self) -> Option<(usize, &'static str)> {
        Some((self.logs.len(), CONTENT_TYPE))
    }

    /// <https://develop.sentry.dev/sdk/telemetry/client-reports/>
    fn beside(&self) -> Option<(&'static str, Vec<u8>)> {
        #[derive(serde::Serialize)]
        struct Discarded {
            reason: &'static str,
            category: &'static str,
            quantity: usize,
        }
        #[derive(serde::Serialize)]
        struct Report {
            timestamp: f64,
            discarded_events: [Discarded; 2],
        }
        if self.dropped.logs == 0 {
            return None;
        }
        let discarded = |category, quantity| Discarded {
            reason: "buffer_overflow",
            category,
            quantity,
        };
        let report = Report {
            timestamp: seconds(self.now_ms),
            discarded_events: [
                discarded("log_item", self.dropped.logs),
                discarded("log_byte", self.dropped.bytes),
            ],
        };
        Some(("client_report", serde_json::to_vec(&report).ok()?))
    }
}

impl Serialize for Sealed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Logs", 2)?;
        fields.serialize_field("version", &2)?;
        fields.serialize_field("items", &Items(self))?;
        fields.end()
    }
}

struct Items<'a>(&'a Sealed);

impl Serialize for Items<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(serde::Serialize)]
        struct Written<'s> {
            #[serde(serialize_with = "as_seconds")]
            timestamp: f64,
            trace_id: TraceId,
            #[serde(skip_serializing_if = "Option::is_none")]
            span_id: Option<SpanId>,
            level: &'static str,
            severity_number: u8,
            body: &'s str,
            attributes: Attributes<'s>,
        }
        let mut items = serializer.serialize_seq(Some(self.0.logs.len()))?;
        for located in &self.0.logs {
            items.serialize_element(&Written {
                timestamp: located.at_ms,
                trace_id: located.trace_id,
                span_id: located.span_id,
                level: located.log.level.word(),
                severity_number: located.log.level.number(),
                body: &located.log.text,
                attributes: Attributes(&self.0.sender, located),
            })?;
        }
        items.end()
    }
}

struct Attributes<'a>(&'a Sender, &'a Located);

impl Serialize for Attributes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(serde::Serialize)]
        struct Attribute<V> {
            value: V,
            #[serde(rename = "type")]
            kind: &'static str,
        }
        let Attributes(sender, located) = self;
        let own = &located.log.attributes;
        let mut map = serializer.serialize_map(None)?;
        let texts = [
            ("sentry.environment", Some(&*sender.environment)),
            ("sentry.release", sender.release.as_deref()),
            ("sentry.sdk.name", Some(SDK_NAME)),
            ("sentry.sdk.version", Some(SDK_VERSION)),
        ];
        for (name, text) in texts {
            if let (Some(value), None) = (text, own.get(name)) {
                let kind = "string";
                map.serialize_entry(name, &Attribute { value, kind })?;
            }
        }
        if own.get(SEQUENCE).is_none() {
            let (value, kind) = (located.sequence, "integer");
            map.serialize_entry(SEQUENCE, &Attribute { value, kind })?;
        }
        for (name, value) in own.iter() {
            let kind = value.kind();
            map.serialize_entry(name, &Attribute { value, kind })?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value as Json, json};

    const NOW: f64 = 1_767_323_045_678.0;

    fn located(log: Log) -> Located {
        Located {
            log,
            at_ms: NOW,
            sequence: 0,
            trace_id: TraceId::random([0x77; 16]),
            span_id: None,
        }
    }

    fn sealed(logs: impl IntoIterator<Item = Located>, dropped: Dropped) -> Sealed {
        let sender = Sender {
            environment: "production".to_owned(),
            release: Some("r".to_owned()),
        };
        Sealed::new(logs.into_iter().collect(), sender, NOW, dropped).expect("logs")
    }

    fn written(logs: impl IntoIterator<Item = Located>) -> Json {
        json!(sealed(logs, Dropped::default()))
    }

    /// <https://develop.sentry.dev/sdk/telemetry/logs/#log-envelope-item-payload>
    #[test]
    fn a_log_is_written_as_sentry_specifies_it() {
        let log = Log::info("User {} has logged in!")
            .parameter("John")
            .with("rows", 123)
            .with("share", 0.5)
            .with("is_new", false)
            .with("sentry.release", "its own");
        let located = Located {
            span_id: SpanId::read("b0e6f15b45c36b12"),
            sequence: 3,
            ..located(log)
        };
        let item = sealed([located], Dropped::default());
        let once = String::from_utf8(item.write().expect("JSON")).expect("text");
        assert_eq!(once.matches("sentry.release").count(), 1);
        assert_eq!(
            json!(item),
            json!({"version": 2, "items": [{
                "timestamp": 1_767_323_045.678,
                "trace_id": "77".repeat(16),
                "span_id": "b0e6f15b45c36b12",
                "level": "info",
                "severity_number": 9,
                "body": "User John has logged in!",
                "attributes": {
                    "sentry.environment": {"value": "production", "type": "string"},
                    "sentry.release": {"value": "its own", "type": "string"},
                    "sentry.sdk.name": {"value": SDK_NAME, "type": "string"},
                    "sentry.sdk.version": {"value": SDK_VERSION, "type": "string"},
                    "sentry.timestamp.sequence": {"value": 3, "type": "integer"},
                    "sentry.message.template": {"value": "User {} has logged in!", "type": "string"},
                    "sentry.message.parameter.0": {"value": "John", "type": "string"},
                    "rows": {"value": 123, "type": "integer"},
                    "share": {"value": 0.5, "type": "double"},
                    "is_new": {"value": false, "type": "boolean"},
                },
            }]})
        );
    }

    /// <https://develop.sentry.dev/sdk/telemetry/logs/#log-severity-number>
    #[test]
    fn each_level_has_its_word_and_its_number() {
        let text = "x";
        for (log, word, number) in [
            (Log::trace(text), "trace", 1),
            (Log::debug(text), "debug", 5),
            (Log::info(text), "info", 9),
            (Log::warn(text), "warn", 13),
            (Log::error(text), "error", 17),
            (Log::fatal(text), "fatal", 21),
        ] {
            let json = written([located(log)]);
            assert_eq!(json["items"][0]["level"], word);
            assert_eq!(json["items"][0]["severity_number"], number);
            assert_eq!(json["items"][0].get("span_id"), None);
        }
    }

    /// <https://develop.sentry.dev/sdk/telemetry/logs/#log-envelope-item>
    #[test]
    fn the_items_headers_are_sentrys_and_an_item_without_logs_is_none() {
        let item = sealed([located(Log::info("x"))], Dropped::default());
        let content_type = "application/vnd.sentry.items.log+json";
        assert_eq!(item.kind(), "log");
        assert_eq!(item.list(), Some((1, content_type)));
        assert_eq!((item.id(), item.beside()), (None, None));
        let none = Sealed::new(Vec::new(), item.sender, NOW, Dropped::default());
        assert!(none.is_none());
    }

    #[test]
    fn a_text_is_a_template_only_where_it_has_parameters() {
        let body = |log| written([located(log)])["items"][0].clone();
        let plain = body(Log::info("a {} b"));
        assert_eq!(plain["body"], "a {} b");
        assert_eq!(plain["attributes"].get(TEMPLATE), None);
        let log = Log::info("{} of {}: {}, {}").parameter(1).parameter(0.5);
        let filled = body(log.parameter(true));
        assert_eq!(filled["body"], "1 of 0.5: true, {}");
        assert_eq!(filled["attributes"][TEMPLATE]["value"], "{} of {}: {}, {}");
        let more = body(Log::info("a").parameter("b"));
        assert_eq!(more["body"], "a");
        assert_eq!(
            more["attributes"]["sentry.message.parameter.0"]["value"],
            "b"
        );
    }

    /// <https://develop.sentry.dev/sdk/telemetry/client-reports/>
    #[test]
    fn what_was_dropped_is_told_beside_the_logs() {
        let mut dropped = Dropped::default();
        dropped.count(&Log::info("four"));
        dropped.count(&Log::info("12").with("key", 1));
        let item = sealed([located(Log::info("x"))], dropped);
        let (kind, report) = item.beside().expect("a report");
        assert_eq!(kind, "client_report");
        let report: Json = serde_json::from_slice(&report).expect("JSON");
        assert_eq!(
            report,
            json!({"timestamp": 1_767_323_045.678, "discarded_events": [
                {"reason": "buffer_overflow", "category": "log_item", "quantity": 2},
                {"reason": "buffer_overflow", "category": "log_byte", "quantity": 4 + 2 + 3 + 8 + 32},
            ]})
        );
    }

    #[test]
    fn an_item_that_is_too_large_loses_its_later_half_and_counts_it() {
        let logs = (0..5).map(|at| located(Log::info(format!("{at}"))));
        let mut item = sealed(logs, Dropped::default());
        assert!(item.trim(0) && item.trim(1));
        assert!(!item.trim(2));
        assert_eq!(json!(item)["items"][0]["body"], "0");
        assert_eq!(item.dropped, Dropped { logs: 4, bytes: 4 });
    }

    proptest! {
        #[test]
        fn any_log_is_json_and_bounded(
            text in "\\PC{0,40}|[{}]{0,9}|[\u{1}]{0,40}",
            times in 1..300usize,
            time in any::<f64>(),
            number in any::<f64>(),
            values in 0..200usize,
        ) {
            let mut log = Log::error(text.repeat(times)).with("number", number);
            for at in 0..values {
                log = log.parameter(text.repeat(times)).with(format!("{at}{text}"), json!([text]));
            }
            prop_assert!(log.size() <= MAX_BODY + MAX_ATTRIBUTES);
            let mut located = located(log);
            located.at_ms = time;
            let json = written([located]);
            prop_assert!(json["items"][0]["body"].as_str().is_some_and(|body| body.len() <= MAX_BODY));
            prop_assert!(json["items"][0]["timestamp"].is_f64());
            prop_assert!(!json["items"][0]["attributes"]["number"]["value"].is_null());
        }
    }
}
