//! Breadcrumbs: what led to an error.
//!
//! <https://develop.sentry.dev/sdk/foundations/transport/event-payloads/breadcrumbs/>

use std::borrow::Cow;
use std::collections::VecDeque;

use serde::ser::{Serialize, SerializeStruct, Serializer};

use super::value::{self, Entries, bounded};

/// The most breadcrumbs that a trail keeps.
pub(crate) const MAX_BREADCRUMBS: usize = 100;
/// A longer message is cut to this many bytes, so that a full trail fits into an event.
pub(crate) const MAX_MESSAGE: usize = 2_048;
/// Relay cuts a longer category.
const MAX_CATEGORY: usize = 128;

/// How bad it was. Sentry knows no other words; `warn` would be an error.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Level {
    Debug,
    #[default]
    Info,
    Warning,
    Error,
    Fatal,
}

impl Level {
    fn word(self) -> &'static str {
        match self {
            Level::Debug => "debug",
            Level::Info => "info",
            Level::Warning => "warning",
            Level::Error => "error",
            Level::Fatal => "fatal",
        }
    }
}

/// How Sentry draws a breadcrumb.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Kind {
    #[default]
    Default,
    Http,
}

/// One thing that happened.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Breadcrumb {
    pub(crate) timestamp_ms: f64,
    pub(crate) kind: Kind,
    pub(crate) category: Option<Cow<'static, str>>,
    pub(crate) message: Option<Cow<'static, str>>,
    pub(crate) level: Level,
    pub(crate) data: Entries,
}

impl Breadcrumb {
    /// An HTTP request that the Worker made, `status` being the answer's if there was
    /// one. The URL is kept without its query, fragment, user and password: they are
    /// where secrets are.
    pub(crate) fn fetch(timestamp_ms: f64, method: &str, url: &str, status: Option<u16>) -> Self {
        let mut data = Entries::default();
        data.set("method", method.to_owned());
        data.set("url", without_secrets(url));
        if let Some(status) = status {
            data.set("status_code", i64::from(status));
        }
        Breadcrumb {
            timestamp_ms,
            kind: Kind::Http,
            category: Some(Cow::Borrowed("fetch")),
            message: None,
            level: match status {
                Some(0..=399) => Level::Info,
                Some(400..=499) => Level::Warning,
                _ => Level::Error,
            },
            data,
        }
    }

    /// A statement that the Worker sent to a database, without its values.
    pub(crate) fn query(timestamp_ms: f64, statement: impl Into<Cow<'static, str>>) -> Self {
        Breadcrumb {
            timestamp_ms,
            category: Some(Cow::Borrowed("query")),
            message: Some(statement.into()),
            ..Breadcrumb::default()
        }
    }
}

impl Serialize for Breadcrumb {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Breadcrumb", 6)?;
        fields.serialize_field("timestamp", &value::seconds(self.timestamp_ms))?;
        let kind = match self.kind {
            Kind::Default => "default",
            Kind::Http => "http",
        };
        fields.serialize_field("type", kind)?;
        if let Some(category) = &self.category {
            fields.serialize_field("category", category)?;
        }
        if let Some(message) = &self.message {
            fields.serialize_field("message", message)?;
        }
        fields.serialize_field("level", self.level.word())?;
        if !self.data.is_empty() {
            fields.serialize_field("data", &self.data)?;
        }
        fields.end()
    }
}

/// The last [`MAX_BREADCRUMBS`] of a run, the oldest first.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Trail(VecDeque<Breadcrumb>);

impl Trail {
    /// Adds a breadcrumb, its texts bounded. If the trail is full the oldest one is
    /// dropped.
    pub(crate) fn push(&mut self, mut breadcrumb: Breadcrumb) {
        breadcrumb.category = breadcrumb.category.map(|text| bounded(text, MAX_CATEGORY));
        breadcrumb.message = breadcrumb.message.map(|text| bounded(text, MAX_MESSAGE));
        if self.0.len() == MAX_BREADCRUMBS {
            self.0.pop_front();
        }
        self.0.push_back(breadcrumb);
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them, the oldest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Breadcrumb> {
        self.0.iter()
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

    #[test]
    fn a_breadcrumb_is_written_as_sentry_specifies_it() {
        let mut trail = Trail::default();
        assert!(trail.is_empty());
        let mut first = Breadcrumb {
            timestamp_ms: NOW,
            category: Some(Cow::Borrowed("compile")),
            message: Some(Cow::Borrowed("parsed")),
            level: Level::Debug,
            ..Breadcrumb::default()
        };
        first.data.set("rules", 7_u64);
        trail.push(first);
        trail.push(Breadcrumb::query(NOW, "SELECT a FROM b WHERE c = ?"));
        assert_eq!(
            json!(trail),
            json!({"values": [
                {"timestamp": 1_767_323_045.678, "type": "default", "category": "compile",
                 "message": "parsed", "level": "debug", "data": {"rules": 7}},
                {"timestamp": 1_767_323_045.678, "type": "default", "category": "query",
                 "message": "SELECT a FROM b WHERE c = ?", "level": "info"},
            ]})
        );
    }

    #[test]
    fn a_request_is_as_bad_as_its_answer_and_its_url_has_no_secret() {
        for (status, level) in [
            (Some(200), "info"),
            (Some(302), "info"),
            (Some(404), "warning"),
            (Some(500), "error"),
            (None, "error"),
        ] {
            let url = "https://me:pw@lists.example.com/a@b?key=1#x";
            let written = json!(Breadcrumb::fetch(NOW, "GET", url, status));
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
    fn levels_are_the_words_that_sentry_knows() {
        let levels = [
            Level::Debug,
            Level::Info,
            Level::Warning,
            Level::Error,
            Level::Fatal,
        ];
        let words = levels.map(Level::word);
        assert_eq!(words, ["debug", "info", "warning", "error", "fatal"]);
    }

    #[test]
    fn a_full_trail_drops_the_oldest() {
        let mut trail = Trail::default();
        for at in 0..MAX_BREADCRUMBS + 3 {
            trail.push(Breadcrumb {
                timestamp_ms: at as f64,
                ..Breadcrumb::default()
            });
        }
        let times: Vec<_> = trail.iter().map(|one| one.timestamp_ms as usize).collect();
        assert_eq!(times, (3..MAX_BREADCRUMBS + 3).collect::<Vec<_>>());
    }

    proptest! {
        #[test]
        fn every_text_is_bounded(text in "\\PC{0,60}", times in 1..300usize, time in any::<f64>()) {
            let text = text.repeat(times);
            let mut crumb = Breadcrumb::fetch(time, &text, &text, None);
            crumb.message = Some(Cow::Owned(text.clone()));
            crumb.category = Some(Cow::Owned(text));
            let mut trail = Trail::default();
            trail.push(crumb);
            let one = trail.iter().next().expect("one");
            let length = |text: &Option<Cow<'static, str>>| text.as_ref().map_or(0, |text| text.len());
            prop_assert!(length(&one.message) <= MAX_MESSAGE);
            prop_assert!(length(&one.category) <= MAX_CATEGORY);
            for (_, value) in one.data.iter() {
                prop_assert!(json!(value).as_str().is_some_and(|text| text.len() <= MAX_TEXT));
            }
            prop_assert!(json!(trail)["values"][0]["timestamp"].is_f64());
        }
    }
}
