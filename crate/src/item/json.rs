//! JSON as it is written: piece by piece, by hand.
//!
//! What `derive(Serialize)` makes of the same is a function for each struct and each type of a
//! field, and part of every upload.

use std::fmt;

use serde::Serialize;
use serde_json::Value;

/// A group of values of the caller's.
pub(crate) type Group = std::collections::BTreeMap<String, Value>;

/// JSON that is being written.
pub(crate) struct Json(pub(crate) Vec<u8>);

impl Json {
    pub(crate) fn new() -> Self {
        Json(Vec::with_capacity(1_024))
    }

    /// A part that is JSON.
    pub(crate) fn plain(&mut self, part: &str) {
        self.0.extend_from_slice(part.as_bytes());
    }

    /// A comma, unless what comes next is the first of its list or object, or is the value of
    /// a key.
    fn separate(&mut self) {
        if !matches!(self.0.last(), None | Some(b'{' | b'[' | b':' | b'\n')) {
            self.plain(",");
        }
    }

    /// The beginning of an object or a list: an entry of a list, or the value of a key.
    pub(crate) fn open(&mut self, bracket: &'static str) {
        self.separate();
        self.plain(bracket);
    }

    /// A key, which is written as it is.
    pub(crate) fn key(&mut self, key: &'static str) {
        self.separate();
        self.plain("\"");
        self.plain(key);
        self.plain("\":");
    }

    /// A key of the caller's, or a text in a list.
    pub(crate) fn string(&mut self, text: &str) {
        self.separate();
        self.value(text);
    }

    /// A value behind a key.
    pub(crate) fn value<T: Serialize + ?Sized>(&mut self, value: &T) {
        // Nothing here fails: memory takes bytes, and what is written has texts as keys.
        let _ = serde_json::to_writer(&mut self.0, value);
    }

    /// A text, if there is one.
    pub(crate) fn maybe(&mut self, key: &'static str, text: Option<&str>) {
        if let Some(text) = text {
            self.key(key);
            self.value(text);
        }
    }

    /// A text, unless it is empty.
    pub(crate) fn text(&mut self, key: &'static str, text: &str) {
        self.maybe(key, Some(text).filter(|text| !text.is_empty()));
    }

    /// The entries of a list that is open, each an object.
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

    /// A time or a duration in seconds, to the microsecond. Of what formats any number, the
    /// tables alone would be a part of each upload.
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

/// A value of the caller's that is JSON already, or a group of such values.
///
/// It is behind a table of functions. So what writes a value of any kind is in no Worker that
/// gives none.
pub(crate) struct Given(Box<dyn Held>);

trait Held {
    /// Writes the value; of a group, its entries into the object that is open.
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
    /// Writes the value; of a group, its entries into the object that is open. A group's type
    /// is the crate's to say.
    pub(crate) fn write(&self, json: &mut Json) {
        self.0.write(json);
    }

    /// The value; of a group, an object.
    pub(crate) fn value(&self) -> Value {
        self.0.value()
    }

    /// The entries, if it is a group.
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

/// Sets an entry in a short list of them. An earlier one of that name is replaced.
pub(crate) fn set<V>(entries: &mut Vec<(String, V)>, name: String, value: V) {
    match entries.iter_mut().find(|(each, _)| *each == name) {
        Some((_, old)) => *old = value,
        None => entries.push((name, value)),
    }
}

/// What was written, read again.
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
            // Milliseconds come back as what they were.
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
