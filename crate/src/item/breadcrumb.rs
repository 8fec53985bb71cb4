//! Breadcrumbs: the things that happened in a run before an error.
//!
//! <https://develop.sentry.dev/sdk/foundations/transport/event-payloads/breadcrumbs/>

use std::borrow::Cow;
use std::collections::VecDeque;

use sentry_core::protocol::Level;
use serde::ser::{Serialize, SerializeStruct, Serializer};
use serde_json::Value as Json;

use super::draft::word;
use super::text::cut;
use super::value::{Entries, Value, seconds};

/// The most breadcrumbs that a trail keeps.
pub(crate) const MAX_BREADCRUMBS: usize = 100;
/// A longer message is cut to this many bytes, so that a full trail fits into an event.
pub(crate) const MAX_MESSAGE: usize = 2_048;
/// The longest category, in bytes. Relay cuts longer ones.
const MAX_CATEGORY: usize = 128;
/// The level that Sentry assumes.
const INFO: &str = "info";

/// The type of a breadcrumb, by which Sentry chooses how to show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Default,
    Http,
}

/// One thing that happened in a run before an error, for
/// [`add_breadcrumb`](crate::add_breadcrumb).
///
/// A text can be used as a breadcrumb, too. Sentry's own type cannot be created in a Worker,
/// because its `default` reads a clock that panics there.
///
/// ```
/// use worker_sentry::Breadcrumb;
/// use worker_sentry::protocol::Level;
///
/// let breadcrumb = Breadcrumb::new("the list was parsed")
///     .category("compile")
///     .level(Level::Debug)
///     .data("rules", 7_120);
/// # let _ = breadcrumb;
/// ```
#[derive(Clone, Debug, PartialEq)]
#[must_use = "a breadcrumb does nothing until it is added"]
pub struct Breadcrumb {
    kind: Kind,
    category: Option<Cow<'static, str>>,
    message: Option<Cow<'static, str>>,
    level: &'static str,
    data: Entries,
}

impl Breadcrumb {
    /// Makes a breadcrumb with a message. The message is cut at 2,048 bytes.
    pub fn new(message: impl Into<Cow<'static, str>>) -> Self {
        Breadcrumb {
            message: Some(cut(message.into(), MAX_MESSAGE)),
            ..Breadcrumb::blank()
        }
    }

    fn blank() -> Self {
        Breadcrumb {
            kind: Kind::Default,
            category: None,
            message: None,
            level: INFO,
            data: Entries::default(),
        }
    }

    /// Makes a breadcrumb of an HTTP request that the Worker made: its method, its URL, and the
    /// status of the answer if there was one.
    ///
    /// The query, the fragment, the user and the password of the URL are removed, because they
    /// may be secret. The level is `warning` for a status from 400, and `error` for a status
    /// from 500 or without an answer.
    ///
    /// ```
    /// use worker_sentry::Breadcrumb;
    ///
    /// let breadcrumb = Breadcrumb::fetch("GET", "https://lists.example.com/a?key=1", Some(503));
    /// # let _ = breadcrumb;
    /// ```
    pub fn fetch(method: &str, url: &str, status: Option<u16>) -> Self {
        let level = match status {
            Some(0..=399) => INFO,
            Some(400..=499) => "warning",
            _ => "error",
        };
        let mut breadcrumb = Breadcrumb {
            kind: Kind::Http,
            level,
            ..Breadcrumb::blank().category("fetch")
        };
        breadcrumb.data.set("method", method.to_owned());
        breadcrumb.data.set("url", without_secrets(url));
        if let Some(status) = status {
            breadcrumb.data.set("status_code", i64::from(status));
        }
        breadcrumb
    }

    /// Sets the category, such as `compile`. It is cut at 128 bytes.
    pub fn category(mut self, category: impl Into<Cow<'static, str>>) -> Self {
        self.category = Some(cut(category.into(), MAX_CATEGORY));
        self
    }

    /// Sets the level. The default is [`Level::Info`].
    pub fn level(mut self, level: Level) -> Self {
        self.level = word(level);
        self
    }

    /// Adds a value. A text is cut at 2,048 bytes. A list or an object becomes its JSON text.
    /// Beyond 128 values, a new one is dropped.
    pub fn data(mut self, key: impl Into<Cow<'static, str>>, value: impl Into<Json>) -> Self {
        self.data.set(key, Value::from(value.into()));
        self
    }
}

impl From<&'static str> for Breadcrumb {
    fn from(message: &'static str) -> Self {
        Breadcrumb::new(message)
    }
}

impl From<String> for Breadcrumb {
    fn from(message: String) -> Self {
        Breadcrumb::new(message)
    }
}

/// A breadcrumb and when it was added, in milliseconds since the Unix epoch.
#[derive(Clone, Debug, PartialEq)]
struct Dated(Breadcrumb, f64);

/// Leaves out a type `default` and a level `info`, because Sentry assumes both.
impl Serialize for Dated {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Dated(breadcrumb, at_ms) = self;
        let mut fields = serializer.serialize_struct("Breadcrumb", 6)?;
        fields.serialize_field("timestamp", &seconds(*at_ms))?;
        if breadcrumb.kind == Kind::Http {
            fields.serialize_field("type", "http")?;
        }
        if let Some(category) = &breadcrumb.category {
            fields.serialize_field("category", category)?;
        }
        if let Some(message) = &breadcrumb.message {
            fields.serialize_field("message", message)?;
        }
        if breadcrumb.level != INFO {
            fields.serialize_field("level", breadcrumb.level)?;
        }
        if !breadcrumb.data.is_empty() {
            fields.serialize_field("data", &breadcrumb.data)?;
        }
        fields.end()
    }
}

/// The last [`MAX_BREADCRUMBS`] breadcrumbs of a run, the oldest first.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Trail(VecDeque<Dated>);

impl Trail {
    /// Adds a breadcrumb. If the trail is full the oldest one is dropped.
    pub(crate) fn push(&mut self, breadcrumb: Breadcrumb, at_ms: f64) {
        if self.0.len() == MAX_BREADCRUMBS {
            self.0.pop_front();
        }
        self.0.push_back(Dated(breadcrumb, at_ms));
    }

    /// Whether there are no breadcrumbs.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The value of an event's `breadcrumbs`.
impl Serialize for Trail {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Breadcrumbs", 1)?;
        fields.serialize_field("values", &self.0)?;
        fields.end()
    }
}

fn without_secrets(url: &str) -> String {
    let url = url.split(['?', '#']).next().unwrap_or_default();
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    let authority = rest.find('/').unwrap_or(rest.len());
    let user = rest
        .get(..authority)
        .and_then(|authority| authority.rfind('@'));
    let host = user.and_then(|at| rest.get(at + 1..)).unwrap_or(rest);
    [scheme, "://", host].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::item::value::MAX_TEXT;
    use proptest::prelude::*;
    use serde_json::json;

    const NOW: f64 = 1_767_323_045_678.0;

    fn trail(of: impl IntoIterator<Item = Breadcrumb>) -> Trail {
        let mut trail = Trail::default();
        for one in of {
            trail.push(one, NOW);
        }
        trail
    }

    #[test]
    fn a_breadcrumb_is_written_as_sentry_specifies_it() {
        assert!(Trail::default().is_empty());
        let first = Breadcrumb::new("parsed")
            .category("compile")
            .level(Level::Debug)
            .data("rules", 7);
        let trail = trail([first, "stored".into(), "again".to_owned().into()]);
        assert_eq!(
            json!(trail),
            json!({"values": [
                {"timestamp": 1_767_323_045.678, "category": "compile", "message": "parsed",
                 "level": "debug", "data": {"rules": 7}},
                {"timestamp": 1_767_323_045.678, "message": "stored"},
                {"timestamp": 1_767_323_045.678, "message": "again"},
            ]})
        );
    }

    #[test]
    fn a_request_is_as_bad_as_its_answer_and_its_url_has_no_secret() {
        for (status, level) in [
            (Some(200), json!(null)),
            (Some(302), json!(null)),
            (Some(404), json!("warning")),
            (Some(500), json!("error")),
            (None, json!("error")),
        ] {
            let url = "https://me:pw@lists.example.com/a@b?key=1#x";
            let written = &json!(trail([Breadcrumb::fetch("GET", url, status)]))["values"][0];
            assert_eq!(written["level"], level);
            assert_eq!(written["type"], "http");
            assert_eq!(written["category"], "fetch");
            assert_eq!(written["data"]["url"], "https://lists.example.com/a@b");
            assert_eq!(written["data"]["method"], "GET");
            assert_eq!(
                written["data"].get("status_code"),
                status.map(|code| json!(code)).as_ref()
            );
        }
        assert_eq!(without_secrets("/a?b"), "/a");
        assert_eq!(without_secrets("https://a@b"), "https://b");
        assert_eq!(without_secrets(""), "");
    }

    #[test]
    fn a_full_trail_drops_the_oldest() {
        let mut trail = Trail::default();
        for at in 0..MAX_BREADCRUMBS + 3 {
            trail.push("one".into(), at as f64);
        }
        let times: Vec<_> = trail.0.iter().map(|Dated(_, at)| *at as usize).collect();
        assert_eq!(times, (3..MAX_BREADCRUMBS + 3).collect::<Vec<_>>());
    }

    proptest! {
        #[test]
        fn every_text_is_bounded(text in "\\PC{0,60}", times in 1..300usize, time in any::<f64>()) {
            let text = text.repeat(times);
            let crumb = Breadcrumb::fetch(&text, &text, None);
            let mut crumb = crumb.category(text.clone()).data(text.clone(), json!([&text]));
            crumb.message = Breadcrumb::new(text).message;
            let length = |text: &Option<Cow<'static, str>>| text.as_ref().map_or(0, |text| text.len());
            prop_assert!(length(&crumb.message) <= MAX_MESSAGE);
            prop_assert!(length(&crumb.category) <= MAX_CATEGORY);
            for (key, value) in crumb.data.iter() {
                prop_assert!(key.len() <= 200);
                prop_assert!(json!(value).as_str().is_some_and(|text| text.len() <= MAX_TEXT));
            }
            let mut trail = Trail::default();
            trail.push(crumb, time);
            prop_assert!(json!(trail)["values"][0]["timestamp"].is_f64());
        }
    }
}
