//! Writes JSON by hand, piece by piece.
//!
//! `derive(Serialize)` generates a function for each struct and for each type of a field. They
//! would be part of every upload.

use std::fmt;

use serde::Serialize;
use serde_json::Value;

/// A group of named values from the caller.
pub(crate) type Group = std::collections::BTreeMap<String, Value>;

/// JSON that is being written.
pub(crate) struct Json(pub(crate) Vec<u8>);

impl Json {
    pub(crate) fn new() -> Self {
        Json(Vec::with_capacity(1_024))
    }

    /// Writes a part that is already JSON.
    pub(crate) fn plain(&mut self, part: &str) {
        self.0.extend_from_slice(part.as_bytes());
    }

    /// Writes a comma, unless the next part is the first of its list or object, or the value of
    /// a key.
    fn separate(&mut self) {
        if !matches!(self.0.last(), None | Some(b'{' | b'[' | b':' | b'\n')) {
            self.plain(",");
        }
    }

    /// Opens an object or a list, as an entry of a list or as the value of a key.
    pub(crate) fn open(&mut self, bracket: &'static str) {
        self.separate();
        self.plain(bracket);
    }

    /// Writes a key without escaping.
    pub(crate) fn key(&mut self, key: &'static str) {
        self.separate();
        self.plain("\"");
        self.plain(key);
        self.plain("\":");
    }

    /// Writes a text with escaping: a key from the caller, or an entry of a list.
    pub(crate) fn string(&mut self, text: &str) {
        self.separate();
        self.value(text);
    }

    /// Writes the value of a key.
    pub(crate) fn value<T: Serialize + ?Sized>(&mut self, value: &T) {
        // This cannot fail: the bytes go to memory, and all keys are texts.
        let _ = serde_json::to_writer(&mut self.0, value);
    }

    /// Writes a key and its text, if there is one.
    pub(crate) fn maybe(&mut self, key: &'static str, text: Option<&str>) {
        if let Some(text) = text {
            self.key(key);
            self.value(text);
        }
    }

    /// Writes a key and its text, unless the text is empty.
    pub(crate) fn text(&mut self, key: &'static str, text: &str) {
        self.maybe(key, Some(text).filter(|text| !text.is_empty()));
    }

    /// Writes the entries of the open list, each as an object.
    pub(crate) fn objects<T>(&mut self, entries: &[T], write: impl Fn(&T, &mut Json)) {
        for entry in entries {
            self.open("{");
            write(entry, self);
            self.plain("}");
        }
    }

    pub(crate) fn flag(&mut self, key: &'static str, flag: bool) {
        self.key(key);
        self.plain(if flag { "true" } else { "false" });
    }

    pub(crate) fn number(&mut self, key: &'static str, number: u64) {
        self.key(key);
        self.value(&number);
    }

    /// Writes a time or a duration in seconds, to the microsecond. The general formatting of
    /// floating-point numbers is not used, because its tables would be part of each upload.
    pub(crate) fn seconds(&mut self, key: &'static str, seconds: f64) {
        let whole = seconds as u64;
        let micros = ((seconds - whole as f64) * 1e6 + 0.5) as u64;
        self.number(key, whole + micros / 1_000_000);
        let mut rest = micros % 1_000_000;
        self.plain(".");
        loop {
            self.0.push(b'0' + (rest / 100_000) as u8);
            rest = rest % 100_000 * 10;
            if rest == 0 {
                return;
            }
        }
    }
}

/// A JSON value from the caller, or a group of such values.
///
/// The value is a trait object, so a Worker that never gives one does not link the code that
/// writes JSON values.
pub(crate) struct Given(Box<dyn Held>);

trait Held {
    /// Writes the value, or the entries of a group into the open object.
    fn write(&self, json: &mut Json);
    fn copy(&self) -> Given;
    fn value(&self) -> Value;
    fn group(&mut self) -> Option<&mut Group>;
}

impl Held for Value {
    fn write(&self, json: &mut Json) {
        json.value(self);
    }

    fn copy(&self) -> Given {
        self.clone().into()
    }

    fn value(&self) -> Value {
        self.clone()
    }

    fn group(&mut self) -> Option<&mut Group> {
        None
    }
}

impl Held for Group {
    fn write(&self, json: &mut Json) {
        for (key, value) in self.iter().filter(|(key, _)| *key != "type") {
            json.string(key);
            json.plain(":");
            json.value(value);
        }
    }

    fn copy(&self) -> Given {
        self.clone().into()
    }

    fn value(&self) -> Value {
        super::value::object(self.clone())
    }

    fn group(&mut self) -> Option<&mut Group> {
        Some(self)
    }
}

impl Given {
    /// Writes the value, or the entries of a group into the open object. The crate itself writes
    /// the type of a group.
    pub(crate) fn write(&self, json: &mut Json) {
        self.0.write(json);
    }

    /// The value, or a group as an object.
    pub(crate) fn value(&self) -> Value {
        self.0.value()
    }

    /// The entries, if this is a group.
    pub(crate) fn group(&mut self) -> Option<&mut Group> {
        self.0.group()
    }
}

impl From<Value> for Given {
    fn from(value: Value) -> Self {
        Given(Box::new(value))
    }
}

impl From<Group> for Given {
    fn from(group: Group) -> Self {
        Given(Box::new(group))
    }
}

impl Clone for Given {
    fn clone(&self) -> Self {
        self.0.copy()
    }
}

impl PartialEq for Given {
    fn eq(&self, other: &Self) -> bool {
        self.value() == other.value()
    }
}

impl fmt::Debug for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut json = Json::new();
        self.write(&mut json);
        f.write_str(&String::from_utf8_lossy(&json.0))
    }
}

/// Sets an entry in a short list. An earlier entry with the same name is replaced.
pub(crate) fn set<V>(entries: &mut Vec<(String, V)>, name: String, value: V) {
    match entries.iter_mut().find(|(each, _)| *each == name) {
        Some((_, old)) => *old = value,
        None => entries.push((name, value)),
    }
}

/// Writes, and reads the result back as a value.
#[cfg(test)]
pub(crate) fn written(write: impl FnOnce(&mut Json)) -> Value {
    let mut json = Json::new();
    write(&mut json);
    serde_json::from_slice(&json.0).expect("JSON")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn objects_lists_and_their_entries_are_separated() {
        let text = |write: &dyn Fn(&mut Json)| {
            let mut json = Json::new();
            write(&mut json);
            String::from_utf8(json.0).expect("text")
        };
        let written = text(&|json| {
            json.open("{");
            json.text("a", "\"x\"");
            json.text("empty", "");
            json.maybe("b", Some(""));
            json.maybe("none", None);
            json.key("list");
            json.open("[");
            for _ in 0..2 {
                json.open("{");
                json.number("n", 7);
                json.flag("f", true);
                json.plain("}");
            }
            json.string("t");
            json.plain("]}");
        });
        let expected = r#"{"a":"\"x\"","b":"","list":[{"n":7,"f":true},{"n":7,"f":true},"t"]}"#;
        assert_eq!(written, expected);
    }

    #[test]
    fn the_entries_of_a_group_go_into_the_object_that_is_open() {
        let group = Group::from([("b".to_owned(), json!([1])), ("type".to_owned(), json!(0))]);
        let given = Given::from(group);
        let write = |json: &mut Json| {
            json.open("{");
            json.text("type", "unknown");
            given.clone().write(json);
            json.plain("}");
        };
        assert_eq!(written(write), json!({"type": "unknown", "b": [1]}));
        assert_eq!(given.value(), json!({"type": 0, "b": [1]}));
    }

    proptest! {
        #[test]
        fn seconds_are_written_to_the_microsecond(micros in 0_u64..8_640_000_000_000_000) {
            let seconds = micros as f64 / 1e6;
            let json = written(|json| {
                json.open("{");
                json.seconds("at", seconds);
                json.plain("}");
            });
            let read = json["at"].as_f64().expect("a number");
            prop_assert!((read - seconds).abs() < 2e-6, "{} {}", read, seconds);
            // Whole milliseconds are read back unchanged.
            let ms = (micros / 1_000) as f64 / 1_000.0;
            let json = written(|json| {
                json.open("{");
                json.seconds("at", ms);
                json.plain("}");
            });
            prop_assert_eq!(json["at"].as_f64(), Some(ms));
        }
    }
}
