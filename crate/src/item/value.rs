//! Values that the caller gives, and the limits and forms that all items share.

use std::borrow::Cow;

use serde::ser::{Serialize, SerializeMap, Serializer};

/// The text of a value is cut to this many bytes before it is kept. Relay cuts the data
/// of a breadcrumb there.
pub(crate) const MAX_TEXT: usize = 2_048;
/// The most entries that one span, log or breadcrumb keeps.
pub(crate) const MAX_ENTRIES: usize = 128;

/// A value of a span's data, of a log's attributes, of a breadcrumb's data.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    /// A text.
    Text(Cow<'static, str>),
    /// A whole number.
    Integer(i64),
    /// Any other number. One that is not finite is written as a text: JSON has none.
    Double(f64),
    /// `true` or `false`.
    Boolean(bool),
}

impl Value {
    /// The value's type in Sentry's words.
    /// <https://develop.sentry.dev/sdk/telemetry/attributes/>
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
    /// A number that is too large for an integer of Sentry's becomes a double.
    fn from(number: u64) -> Self {
        i64::try_from(number).map_or(Value::Double(number as f64), Value::Integer)
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Value::Double(number)
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
    /// Sets a value. An earlier one of that name is replaced. Past [`MAX_ENTRIES`], a
    /// new name is dropped.
    pub(crate) fn set(&mut self, name: impl Into<Cow<'static, str>>, value: impl Into<Value>) {
        let name = bounded(name.into(), 200);
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

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them.
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

/// A text of at most `max` bytes, cut between two characters, with `...` at its end if
/// it was cut.
pub(crate) fn bounded(text: Cow<'static, str>, max: usize) -> Cow<'static, str> {
    if text.len() <= max {
        return text;
    }
    let mut end = max.saturating_sub(3);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let mut cut = String::with_capacity(end + 3);
    cut.push_str(text.get(..end).unwrap_or_default());
    cut.push_str("...");
    Cow::Owned(cut)
}

/// A time of the platform's in seconds, as Sentry wants it. What is no time (not a
/// number, before 1970) is 1970: a receiver would reject the whole item for a `null`.
pub(crate) fn seconds(ms: f64) -> f64 {
    if ms.is_finite() && ms > 0.0 {
        ms / 1_000.0
    } else {
        0.0
    }
}

/// For `serialize_with`: [`seconds`].
pub(crate) fn as_seconds<S: Serializer>(ms: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(seconds(*ms))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

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

    #[test]
    fn what_is_no_time_is_written_as_1970() {
        for ms in [f64::NAN, f64::INFINITY, -1.0] {
            assert_eq!(seconds(ms), 0.0);
        }
        assert_eq!(seconds(1_767_323_045_678.0), 1_767_323_045.678);
    }

    proptest! {
        #[test]
        fn a_bounded_text_is_cut_between_characters(text in "\\PC{0,60}", max in 3..40usize) {
            let cut = bounded(Cow::Owned(text.clone()), max);
            prop_assert!(cut.len() <= max);
            match cut.strip_suffix("...") {
                Some(start) if cut != text => {
                    prop_assert!(text.starts_with(start) && cut.len() + 4 > max);
                }
                _ => prop_assert_eq!(cut, text),
            }
        }
    }
}
