//! Values from the caller, and the limits and formats that all items share.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::Value as Json;

pub(crate) use super::text::cut as bounded;

/// The text of a value is cut to this many bytes before it is kept. It is Relay's limit for the
/// data of a breadcrumb.
pub(crate) const MAX_TEXT: usize = 2_048;
/// The most entries that one span, log or breadcrumb keeps.
pub(crate) const MAX_ENTRIES: usize = 128;

/// A longer name is cut to this many bytes.
pub(crate) const MAX_NAME: usize = 200;

/// A value in the data of a span, the attributes of a log, or the data of a breadcrumb.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    /// A text.
    Text(Cow<'static, str>),
    /// A whole number.
    Integer(i64),
    /// Any other number. JSON has only finite numbers, so others are written as a text.
    Double(f64),
    /// `true` or `false`.
    Boolean(bool),
}

impl Value {
    /// Sentry's word for the value's type.
    /// <https://develop.sentry.dev/sdk/telemetry/attributes/>
    #[cfg(any(test, feature = "logs"))]
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Value::Integer(_) => "integer",
            Value::Double(number) if number.is_finite() => "double",
            Value::Boolean(_) => "boolean",
            Value::Text(_) | Value::Double(_) => "string",
        }
    }
}

impl From<&'static str> for Value {
    fn from(text: &'static str) -> Self {
        Value::Text(Cow::Borrowed(text))
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Value::Text(Cow::Owned(text))
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Value::Boolean(value)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Value::Integer(number)
    }
}

impl From<u64> for Value {
    /// A number that is too large for Sentry's integer becomes a double.
    fn from(number: u64) -> Self {
        i64::try_from(number).map_or(Value::Double(number as f64), Value::Integer)
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Value::Double(number)
    }
}

impl From<Json> for Value {
    /// A list or an object becomes its JSON text.
    fn from(value: Json) -> Self {
        match value {
            Json::String(text) => Value::Text(Cow::Owned(text)),
            Json::Bool(value) => Value::Boolean(value),
            Json::Number(number) => match (number.as_i64(), number.as_f64()) {
                (Some(number), _) => Value::Integer(number),
                (None, number) => Value::Double(number.unwrap_or(f64::NAN)),
            },
            other => Value::Text(Cow::Owned(other.to_string())),
        }
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Value::Text(text) => serializer.serialize_str(text),
            Value::Integer(number) => serializer.serialize_i64(*number),
            Value::Boolean(value) => serializer.serialize_bool(*value),
            Value::Double(number) if number.is_finite() => serializer.serialize_f64(*number),
            Value::Double(number) => serializer.serialize_str(if number.is_nan() {
                "NaN"
            } else if *number > 0.0 {
                "Infinity"
            } else {
                "-Infinity"
            }),
        }
    }
}

/// Names and values in the order in which they were set, each name once.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Entries(Vec<(Cow<'static, str>, Value)>);

impl Entries {
    /// Sets a value. An earlier value with the same name is replaced. Beyond [`MAX_ENTRIES`],
    /// a new name is dropped.
    pub(crate) fn set(&mut self, name: impl Into<Cow<'static, str>>, value: impl Into<Value>) {
        let name = bounded(name.into(), MAX_NAME);
        let value = match value.into() {
            Value::Text(text) => Value::Text(bounded(text, MAX_TEXT)),
            other => other,
        };
        if let Some((_, old)) = self.0.iter_mut().find(|(each, _)| *each == name) {
            *old = value;
        } else if self.0.len() < MAX_ENTRIES {
            self.0.push((name, value));
        }
    }

    /// Whether there are no entries.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The value of a name.
    #[cfg(any(test, feature = "logs"))]
    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        let mut all = self.iter();
        all.find_map(|(each, value)| (each == name).then_some(value))
    }

    /// All entries.
    #[cfg(any(test, feature = "spans", feature = "logs"))]
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(name, value)| (name.as_ref(), value))
    }
}

impl Serialize for Entries {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

/// Removes an entry. `BTreeMap::remove` is not used, because its code is large and nothing else
/// here needs it.
pub(crate) fn remove<V>(map: &mut BTreeMap<String, V>, name: &str) {
    for (each, value) in std::mem::take(map) {
        if each != name {
            map.insert(each, value);
        }
    }
}

/// The entries as a JSON object. `collect` is not used, because it sorts the entries first.
pub(crate) fn object(entries: impl IntoIterator<Item = (String, Json)>) -> Json {
    let mut object = serde_json::Map::new();
    for (name, value) in entries {
        object.insert(name, value);
    }
    Json::Object(object)
}

/// A key or a name from the caller, cut to [`MAX_NAME`].
pub(crate) fn name(text: String) -> String {
    bounded(Cow::Owned(text), MAX_NAME).into_owned()
}

/// The room that is left for JSON from the caller.
pub(crate) struct Room {
    bytes: usize,
    depth: usize,
}

impl Room {
    /// Room for 8 KB, with the depth that Sentry shows.
    pub(crate) fn new() -> Self {
        Room {
            bytes: 8_192,
            depth: 8,
        }
    }

    /// Keeps as much of a value as there is room for. A list or an object that is too deep
    /// becomes `...`.
    pub(crate) fn value(&mut self, value: Json) -> Json {
        match value {
            Json::String(text) => {
                let text = bounded(Cow::Owned(text), self.bytes.clamp(8, MAX_TEXT));
                self.take(text.len());
                Json::String(text.into_owned())
            }
            Json::Array(_) | Json::Object(_) if self.depth == 0 => Json::from("..."),
            Json::Array(list) => {
                self.depth -= 1;
                let list = list.into_iter();
                let list = list.map_while(|it| self.take(8).then(|| self.value(it)));
                let list = list.collect();
                self.depth += 1;
                Json::Array(list)
            }
            Json::Object(entries) => {
                self.depth -= 1;
                let object = object(self.entries(entries));
                self.depth += 1;
                object
            }
            other => other,
        }
    }

    /// Keeps as many entries of an object as there is room for.
    pub(crate) fn object(&mut self, entries: BTreeMap<String, Json>) -> BTreeMap<String, Json> {
        let mut kept = BTreeMap::new();
        for (name, value) in self.entries(entries) {
            kept.insert(name, value);
        }
        kept
    }

    fn entries(
        &mut self,
        entries: impl IntoIterator<Item = (String, Json)>,
    ) -> impl Iterator<Item = (String, Json)> {
        entries.into_iter().map_while(|(key, value)| {
            let key = name(key);
            self.take(key.len() + 8).then(|| (key, self.value(value)))
        })
    }

    /// Takes `bytes` of the room. Returns `false` if there was no room left.
    fn take(&mut self, bytes: usize) -> bool {
        let is_room = self.bytes > 0;
        self.bytes = self.bytes.saturating_sub(bytes);
        is_room
    }
}

/// The largest time of a JavaScript date, in milliseconds.
const MAX_MS: f64 = 8.64e15;

/// A time of the platform in seconds, as Sentry wants it. A time that cannot be a date becomes
/// 0, because a receiver would reject the whole item for a `null`.
pub(crate) fn seconds(ms: f64) -> f64 {
    match (0.0..=MAX_MS).contains(&ms) {
        true => ms / 1_000.0,
        false => 0.0,
    }
}

/// A time of the platform in RFC 3339 format, in UTC and to the millisecond.
///
/// JavaScript is not asked to write it, because that costs a call, an object and a text that is
/// copied into WebAssembly.
pub(crate) fn rfc3339(ms: f64) -> String {
    let ms = if (0.0..=MAX_MS).contains(&ms) {
        ms as u64
    } else {
        0
    };
    let (days, ms) = (ms / 86_400_000, ms % 86_400_000);
    // Years are counted from March, so that the leap day is the last day of a year.
    // <https://howardhinnant.github.io/date_algorithms.html#civil_from_days>
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = era * 400 + year + u64::from(month <= 2);
    let mut text = String::with_capacity(24);
    for (number, digits, end) in [
        (year, 4, '-'),
        (month, 2, '-'),
        (day, 2, 'T'),
        (ms / 3_600_000, 2, ':'),
        (ms / 60_000 % 60, 2, ':'),
        (ms / 1_000 % 60, 2, '.'),
        (ms % 1_000, 3, 'Z'),
    ] {
        let mut unit = 10_u64.pow(digits - 1);
        while unit > 0 {
            text.push(char::from(b'0' + (number / unit % 10) as u8));
            unit /= 10;
        }
        text.push(end);
    }
    text
}

/// For `serialize_with`: [`seconds`].
#[cfg(any(test, feature = "logs"))]
pub(crate) fn as_seconds<S: Serializer>(ms: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(seconds(*ms))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;
    use std::time::{Duration, UNIX_EPOCH};
    use time::OffsetDateTime;
    use time::format_description::well_known::Rfc3339;

    #[test]
    fn a_time_is_written_as_rfc_3339_has_it() {
        // Each day of two hundred years, each at a different time of day.
        for ms in (0..73_000_u64).map(|day| day * (86_400_000 + 1_234_567) + 1) {
            let time = OffsetDateTime::from(UNIX_EPOCH + Duration::from_millis(ms));
            let day = time.format(&Rfc3339).expect("a time that has a year");
            let written = rfc3339(ms as f64);
            let read = OffsetDateTime::parse(&written, &Rfc3339).expect("a time");
            assert_eq!(read, time, "{written} and {day}");
            assert_eq!(written.len(), "1970-01-01T00:00:00.001Z".len());
        }
        for nonsense in [f64::NAN, f64::INFINITY, -1.0, 9e15] {
            assert_eq!(rfc3339(nonsense), "1970-01-01T00:00:00.000Z");
        }
    }

    #[test]
    fn a_value_is_written_with_its_own_type() {
        for (value, kind, written) in [
            (Value::from("a"), "string", json!("a")),
            (Value::from("a".to_owned()), "string", json!("a")),
            (Value::from(-1_i64), "integer", json!(-1)),
            (Value::from(7_u64), "integer", json!(7)),
            (Value::from(u64::MAX), "double", json!(u64::MAX as f64)),
            (Value::from(0.5), "double", json!(0.5)),
            (Value::from(f64::NAN), "string", json!("NaN")),
            (Value::from(f64::INFINITY), "string", json!("Infinity")),
            (Value::from(f64::NEG_INFINITY), "string", json!("-Infinity")),
            (Value::from(true), "boolean", json!(true)),
            (Value::from(json!("a")), "string", json!("a")),
            (Value::from(json!(-1)), "integer", json!(-1)),
            (
                Value::from(json!(u64::MAX)),
                "double",
                json!(u64::MAX as f64),
            ),
            (Value::from(json!(0.5)), "double", json!(0.5)),
            (Value::from(json!(true)), "boolean", json!(true)),
            (Value::from(json!([1, null])), "string", json!("[1,null]")),
        ] {
            assert_eq!((value.kind(), json!(value)), (kind, written));
        }
    }

    #[test]
    fn a_name_is_there_once_with_its_last_value_and_there_are_so_many_at_most() {
        let mut entries = Entries::default();
        entries.set("a", 1_i64);
        entries.set("b", 2_i64);
        entries.set("a", 3_i64);
        let text = serde_json::to_string(&entries).expect("JSON");
        assert_eq!(text, r#"{"a":3,"b":2}"#);
        for at in 0..500 {
            entries.set(format!("n{at}"), true);
        }
        assert_eq!(entries.iter().count(), MAX_ENTRIES);
    }

    proptest! {
        #[test]
        fn the_callers_json_is_bounded_in_length_and_depth(
            width in 0..3_000usize,
            depth in 0..40usize,
            text in "\\PC{0,40}",
            times in 1..200usize,
        ) {
            let mut deep = json!(text.repeat(times));
            for at in 0..depth {
                deep = match at % 2 {
                    0 => json!([deep]),
                    _ => json!({ "key": deep }),
                };
            }
            let mut map: BTreeMap<String, Json> =
                (0..width).map(|at| (format!("k{at}"), json!(at))).collect();
            map.insert("a".to_owned(), deep.clone());
            map.insert(text.repeat(times), json!(vec![text.as_str(); width]));
            let bounded = Room::new().object(map);
            let written = json!(bounded).to_string();
            // JSON can write one character as six.
            prop_assert!(written.len() < 6 * 10_000, "{}", written.len());
            let too_deep = "[{\"key\":".repeat(5);
            prop_assert!(!written.contains(&too_deep));
            if depth < 8 {
                let same = Room::new().value(deep.clone());
                let is_short = text.len() * times <= MAX_TEXT && !text.contains('\0');
                prop_assert!(!is_short || same == deep);
            }
        }
    }

    #[test]
    fn a_time_that_cannot_be_a_date_is_the_epoch() {
        for ms in [f64::NAN, f64::INFINITY, -1.0, 1e300] {
            assert_eq!(seconds(ms), 0.0);
        }
        assert_eq!(seconds(1_767_323_045_678.0), 1_767_323_045.678);
    }
}
