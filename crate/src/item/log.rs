//! Structured logs.
//!
//! <https://develop.sentry.dev/sdk/telemetry/logs/>

use std::borrow::Cow;

use serde::ser::{Serialize, SerializeMap, SerializeSeq, SerializeStruct, Serializer};

use super::value::{Entries, Value, as_seconds, bounded};
use crate::trace::{SpanId, TraceId};

/// The most logs of one item. <https://develop.sentry.dev/sdk/telemetry/logs/#buffering>
pub(crate) const MAX_LOGS: usize = 100;
/// A longer body is cut to this many bytes.
pub(crate) const MAX_BODY: usize = 8_192;
/// The content type of the item, without which Relay does not take it.
pub(crate) const CONTENT_TYPE: &str = "application/vnd.sentry.items.log+json";

/// How severe a log is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
    Fatal,
}

impl Level {
    /// The word: here, other than in a breadcrumb, `warn`.
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

/// One log.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Log {
    pub(crate) timestamp_ms: f64,
    pub(crate) trace_id: TraceId,
    pub(crate) span_id: Option<SpanId>,
    pub(crate) level: Level,
    pub(crate) body: Cow<'static, str>,
    pub(crate) attributes: Entries,
}

impl Log {
    /// Says which template the body was made from, and its parameters in their order. A
    /// template without parameters says nothing that the body does not, and Sentry wants
    /// it left out.
    pub(crate) fn set_template(
        &mut self,
        template: impl Into<Cow<'static, str>>,
        parameters: impl IntoIterator<Item = Value>,
    ) {
        let mut any = false;
        for (at, parameter) in parameters.into_iter().enumerate() {
            let name = ["sentry.message.parameter.", at.to_string().as_str()].concat();
            self.attributes.set(name, parameter);
            any = true;
        }
        if any {
            let template = Value::Text(template.into());
            self.attributes.set("sentry.message.template", template);
        }
    }
}

/// The logs of one run, at most [`MAX_LOGS`].
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Batch(Vec<Log>);

impl Batch {
    /// Adds a log. If the batch is full, it is given back: send the batch first.
    pub(crate) fn push(&mut self, mut log: Log) -> Result<(), Log> {
        if self.0.len() == MAX_LOGS {
            return Err(log);
        }
        log.body = bounded(log.body, MAX_BODY);
        self.0.push(log);
        Ok(())
    }

    /// How many there are: `item_count` in the item's headers.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none. An item without logs must not be sent.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A batch with what every log of a Worker says: release, environment, SDK. A log's own
/// attribute of the same name wins.
pub(crate) struct Payload<'a> {
    pub(crate) batch: &'a Batch,
    pub(crate) common: &'a Entries,
}

impl Serialize for Payload<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Logs", 2)?;
        fields.serialize_field("version", &2)?;
        fields.serialize_field("items", &Items(self))?;
        fields.end()
    }
}

struct Items<'a>(&'a Payload<'a>);

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
        let logs = &self.0.batch.0;
        let mut items = serializer.serialize_seq(Some(logs.len()))?;
        for log in logs {
            items.serialize_element(&Written {
                timestamp: log.timestamp_ms,
                trace_id: log.trace_id,
                span_id: log.span_id,
                level: log.level.word(),
                severity_number: log.level.number(),
                body: &log.body,
                attributes: Attributes(self.0.common, &log.attributes),
            })?;
        }
        items.end()
    }
}

struct Attributes<'a>(&'a Entries, &'a Entries);

impl Serialize for Attributes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(serde::Serialize)]
        struct Attribute<'s> {
            value: &'s Value,
            #[serde(rename = "type")]
            kind: &'static str,
        }
        let Attributes(common, own) = self;
        let is_own = |name: &str| own.iter().any(|(each, _)| each == name);
        let common = common.iter().filter(|(name, _)| !is_own(name));
        let mut map = serializer.serialize_map(None)?;
        for (name, value) in common.chain(own.iter()) {
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

    fn log(level: Level, body: &'static str) -> Log {
        Log {
            timestamp_ms: NOW,
            trace_id: TraceId::random([0x77; 16]),
            span_id: None,
            level,
            body: Cow::Borrowed(body),
            attributes: Entries::default(),
        }
    }

    fn written(logs: impl IntoIterator<Item = Log>) -> Json {
        let mut batch = Batch::default();
        for log in logs {
            batch.push(log).expect("room");
        }
        let mut common = Entries::default();
        common.set("sentry.environment", "production");
        common.set("sentry.release", "r");
        json!(Payload {
            batch: &batch,
            common: &common
        })
    }

    /// <https://develop.sentry.dev/sdk/telemetry/logs/#log-envelope-item-payload>
    #[test]
    fn a_log_is_written_as_sentry_specifies_it() {
        let mut log = log(Level::Info, "User John has logged in!");
        log.span_id = SpanId::read("b0e6f15b45c36b12");
        log.set_template("User {} has logged in!", [Value::from("John")]);
        log.attributes.set("rows", 123_u64);
        log.attributes.set("share", 0.5);
        log.attributes.set("is_new", false);
        log.attributes.set("sentry.release", "its own");
        let mut batch = Batch::default();
        batch.push(log.clone()).expect("room");
        let mut common = Entries::default();
        common.set("sentry.release", "r");
        let payload = Payload {
            batch: &batch,
            common: &common,
        };
        let once = serde_json::to_string(&payload).expect("JSON");
        assert_eq!(once.matches("sentry.release").count(), 1);
        assert_eq!(
            written([log]),
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
        for (level, word, number) in [
            (Level::Trace, "trace", 1),
            (Level::Debug, "debug", 5),
            (Level::Info, "info", 9),
            (Level::Warn, "warn", 13),
            (Level::Error, "error", 17),
            (Level::Fatal, "fatal", 21),
        ] {
            let json = written([log(level, "x")]);
            assert_eq!(json["items"][0]["level"], word);
            assert_eq!(json["items"][0]["severity_number"], number);
            assert_eq!(json["items"][0].get("span_id"), None);
        }
    }

    /// <https://develop.sentry.dev/sdk/telemetry/logs/#log-envelope-item>
    #[test]
    fn the_items_content_type_is_sentrys() {
        assert_eq!(CONTENT_TYPE, "application/vnd.sentry.items.log+json");
    }

    #[test]
    fn a_template_without_parameters_is_left_out() {
        let mut log = log(Level::Info, "x");
        log.set_template("x", []);
        assert!(log.attributes.is_empty());
    }

    #[test]
    fn a_full_batch_gives_the_next_log_back() {
        let mut batch = Batch::default();
        assert!(batch.is_empty());
        for _ in 0..MAX_LOGS {
            assert_eq!(batch.push(log(Level::Info, "x")), Ok(()));
        }
        assert_eq!(
            batch.push(log(Level::Warn, "y")),
            Err(log(Level::Warn, "y"))
        );
        assert_eq!(batch.len(), MAX_LOGS);
    }

    proptest! {
        #[test]
        fn any_log_is_json_with_a_bounded_body(
            body in "\\PC{0,40}",
            times in 1..300usize,
            time in any::<f64>(),
            number in any::<f64>(),
        ) {
            let mut log = log(Level::Error, "");
            log.body = Cow::Owned(body.repeat(times));
            log.timestamp_ms = time;
            log.attributes.set("number", number);
            let json = written([log]);
            prop_assert!(json["items"][0]["body"].as_str().is_some_and(|body| body.len() <= MAX_BODY));
            prop_assert!(json["items"][0]["timestamp"].is_f64());
            prop_assert!(!json["items"][0]["attributes"]["number"]["value"].is_null());
        }
    }
}
