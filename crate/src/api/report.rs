//! An error with the data that the caller adds to it.

use std::borrow::Cow;
use std::error::Error;
use std::fmt::Display;

use sentry_core::protocol::{Level, Map, Value};
use worker::wasm_bindgen::JsValue;

use crate::item::draft::{Details, Draft, word};
use crate::item::exception::{self, Subject};
use crate::item::json::{Given, set};
use crate::item::place::{Handler, Place};
use crate::platform::Runtime;

/// An error to be sent to Sentry, with data about it.
///
/// Captures convert their argument into a report, so `&error` is enough: see
/// [`IntoReport`](crate::IntoReport). The data of a report is on its own event only.
///
/// ```
/// use worker_sentry::{Handler, Report};
///
/// let error = "x".parse::<u32>().unwrap_err();
/// let report = Report::new(&error)
///     .in_handler("RateLimiterDo", Handler::Alarm)
///     .handled(false)
///     .tag("shard", 7);
/// # let _ = report;
/// ```
#[derive(Clone, Debug)]
#[must_use = "a report does nothing until it is captured"]
pub struct Report<'e> {
    subject: Subject<'e, JsValue>,
    place: Place,
    handled: bool,
    level: Option<&'static str>,
    /// Data that few reports have. It is boxed to keep a report small, because a report is moved
    /// into the future of its capture, even without a DSN.
    more: Option<Box<More>>,
}

#[derive(Clone, Debug, Default)]
struct More {
    tags: Vec<(String, String)>,
    contexts: Vec<(String, Given)>,
    fingerprint: Vec<String>,
}

impl<'e> Report<'e> {
    /// A report of `error` and the chain of its sources.
    ///
    /// Takes the same types as a capture. [`IntoReport`](crate::IntoReport) lists them.
    pub fn new<Kind>(error: impl crate::IntoReport<'e, Kind>) -> Self {
        error.into_report()
    }

    pub(super) fn of(subject: Subject<'e, JsValue>) -> Self {
        Report {
            subject,
            place: Place::default(),
            handled: true,
            level: None,
            more: None,
        }
    }

    pub(super) fn of_error(error: &'e (dyn Error + 'static), ty: Option<&'static str>) -> Self {
        Report::of(Subject::Error(error, ty))
    }

    pub(super) fn at(mut self, place: Place) -> Self {
        self.place = place;
        self
    }

    /// Names the class and the handler that failed.
    ///
    /// The event's transaction becomes `Class.handler`, and its tags `class` and `handler` are set.
    /// Without this call, the event has the class and the handler of the wrapper around the
    /// capture.
    pub fn in_handler(self, class: impl Into<Cow<'static, str>>, handler: Handler) -> Self {
        self.at(Place::new(class, handler))
    }

    /// Sets whether the application handles the error itself. The default is `true`.
    ///
    /// Use `false` if the error is returned to the runtime.
    ///
    /// ```
    /// # use worker_sentry::Report;
    /// # let error = "x".parse::<u32>().unwrap_err();
    /// let report = Report::new(&error).handled(false);
    /// # let _ = report;
    /// ```
    pub fn handled(mut self, handled: bool) -> Self {
        self.handled = handled;
        self
    }

    /// Sets the event's level. The default is [`Level::Error`].
    ///
    /// ```
    /// # use worker_sentry::Report;
    /// # let error = "x".parse::<u32>().unwrap_err();
    /// use worker_sentry::protocol::Level;
    ///
    /// let report = Report::new(&error).level(Level::Warning);
    /// # let _ = report;
    /// ```
    pub fn level(mut self, level: Level) -> Self {
        self.level = Some(word(level));
        self
    }

    /// Adds a tag. Events can be searched by tags.
    ///
    /// Characters that Sentry does not accept in a key become `_`. A key or a value is cut after
    /// 200 characters, and the list after 100 tags.
    ///
    /// ```
    /// # use worker_sentry::Report;
    /// # let error = "x".parse::<u32>().unwrap_err();
    /// let report = Report::new(&error).tag("list", "easylist").tag("attempt", 2);
    /// # let _ = report;
    /// ```
    pub fn tag(mut self, key: impl Into<String>, value: impl Display) -> Self {
        self.more().tags.push((key.into(), value.to_string()));
        self
    }

    /// Adds a named group of values, shown with the event but not searchable.
    ///
    /// If an event is too large for Sentry, its contexts are removed first.
    ///
    /// ```
    /// # use worker_sentry::Report;
    /// # let error = "x".parse::<u32>().unwrap_err();
    /// let lines = [("lines".to_owned(), 12.into())];
    /// let report = Report::new(&error).context("list", lines.into());
    /// # let _ = report;
    /// ```
    pub fn context(mut self, name: impl Into<String>, values: Map<String, Value>) -> Self {
        set(&mut self.more().contexts, name.into(), values.into());
        self
    }

    /// Groups the event by these parts instead of by its type and stack.
    ///
    /// ```
    /// # use worker_sentry::Report;
    /// # let error = "x".parse::<u32>().unwrap_err();
    /// let report = Report::new(&error).fingerprint(["{{ default }}", "easylist"]);
    /// # let _ = report;
    /// ```
    pub fn fingerprint<P: Into<String>>(mut self, parts: impl IntoIterator<Item = P>) -> Self {
        self.more().fingerprint = parts.into_iter().map(Into::into).collect();
        self
    }

    fn more(&mut self) -> &mut More {
        self.more.get_or_insert_default()
    }

    /// The error. `None` if the report is of a text or of a JavaScript value.
    pub(crate) fn error(&self) -> Option<&'e (dyn Error + 'static)> {
        match self.subject {
            Subject::Error(error, _) => Some(error),
            Subject::Value(_) | Subject::Text(_) => None,
        }
    }

    /// Passes the error to a function that needs its `Display`.
    pub(super) fn announce(&self, to: impl FnOnce(&dyn Display)) {
        match self.subject {
            Subject::Error(error, _) => to(&error),
            Subject::Text(text) => to(&text),
            // A JavaScript value has no `Display`, so `worker` cannot turn it into a panic.
            Subject::Value(_) => {}
        }
    }

    // ANCHOR: read
    /// Reads the error, before the first wait: after it, the error may be gone.
    pub(crate) fn read(self, runtime: &impl Runtime) -> Draft {
        let value;
        let subject = match self.subject {
            Subject::Error(error, ty) => Subject::Error(error, ty),
            Subject::Text(text) => Subject::Text(text),
            Subject::Value(thrown) => {
                value = runtime.value(thrown);
                Subject::Value(&value)
            }
        };
        let More {
            tags,
            contexts,
            fingerprint,
        } = self.more.map(|more| *more).unwrap_or_default();
        let details = Details {
            place: self.place,
            handled: self.handled,
            level: self.level,
            tags,
            contexts,
            fingerprint,
            ..Details::default()
        };
        Draft::of_chain(exception::read(runtime, subject), details)
    }
    // ANCHOR_END: read
}
