//! What the caller says about an error.

use std::collections::BTreeMap;
use std::error::Error;

use sentry_core::protocol::{Context, Level, Map, Value};

/// The class and the handler that failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) class: Option<&'static str>,
    pub(crate) handler: Option<&'static str>,
}

impl Place {
    /// What is known of it, each with the key that it goes by in an event.
    pub(crate) fn names(self) -> impl Iterator<Item = (&'static str, &'static str)> {
        let names = [("class", self.class), ("handler", self.handler)];
        names
            .into_iter()
            .filter_map(|(key, name)| Some((key, name?)))
    }
}

/// An error on its way to Sentry, with what is known about it.
///
/// Made from a reference to any [`std::error::Error`], so passing `&error` is
/// enough. Nothing here is ambient: what is added to one report is in one event
/// and in no other.
///
/// ```
/// use worker_sentry::Report;
///
/// let error = "x".parse::<u32>().unwrap_err();
/// let report = Report::new(&error)
///     .in_handler("RateLimiterDo", "alarm")
///     .handled(false)
///     .tag("shard", "7");
/// # let _ = report;
/// ```
#[derive(Clone, Debug)]
#[must_use = "a report does nothing until it is captured"]
pub struct Report<'e> {
    pub(crate) error: &'e (dyn Error + 'static),
    pub(crate) place: Place,
    pub(crate) handled: bool,
    pub(crate) level: Level,
    pub(crate) tags: Vec<(String, String)>,
    pub(crate) contexts: BTreeMap<String, Context>,
    pub(crate) fingerprint: Vec<String>,
}

impl<'e> Report<'e> {
    /// A report of `error` and the chain of its sources.
    pub fn new(error: &'e (dyn Error + 'static)) -> Self {
        Report {
            error,
            place: Place::default(),
            handled: true,
            level: Level::Error,
            tags: Vec::new(),
            contexts: BTreeMap::new(),
            fingerprint: Vec::new(),
        }
    }

    /// Names the class and the handler that failed.
    ///
    /// They become the event's transaction, `Class.handler`, and the tags
    /// `class` and `handler`.
    pub fn in_handler(mut self, class: &'static str, handler: &'static str) -> Self {
        self.place = Place {
            class: Some(class),
            handler: Some(handler),
        };
        self
    }

    /// Whether the application deals with the error itself; `true` if not said.
    ///
    /// Say `false` where the error is re-thrown to the runtime.
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

    /// The event's level; [`Level::Error`] if not said.
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
        self.level = level;
        self
    }

    /// Adds a tag, by which events can be searched.
    ///
    /// Characters that Sentry does not take in a key become `_`; a key or value
    /// beyond 200 characters is cut, and so is the list beyond 100 tags.
    ///
    /// ```
    /// # use worker_sentry::Report;
    /// # let error = "x".parse::<u32>().unwrap_err();
    /// let report = Report::new(&error).tag("list", "easylist").tag("attempt", 2.to_string());
    /// # let _ = report;
    /// ```
    pub fn tag(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.tags.push((key.into(), value.into()));
        self
    }

    /// Adds a named group of values, shown with the event but not searchable.
    ///
    /// Contexts are the first to go when an event is too large for Sentry.
    ///
    /// ```
    /// # use worker_sentry::Report;
    /// # let error = "x".parse::<u32>().unwrap_err();
    /// let lines = [("lines".to_owned(), 12.into())];
    /// let report = Report::new(&error).context("list", lines.into());
    /// # let _ = report;
    /// ```
    pub fn context(mut self, name: impl Into<String>, values: Map<String, Value>) -> Self {
        self.contexts.insert(name.into(), Context::Other(values));
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
        self.fingerprint = parts.into_iter().map(Into::into).collect();
        self
    }
}

impl<'e, E: Error + 'static> From<&'e E> for Report<'e> {
    fn from(error: &'e E) -> Self {
        Report::new(error)
    }
}

impl<'e> From<&'e (dyn Error + 'static)> for Report<'e> {
    fn from(error: &'e (dyn Error + 'static)) -> Self {
        Report::new(error)
    }
}

/// An error that a wrapped handler may return: any [`std::error::Error`], and
/// with the feature `anyhow` an `anyhow::Error`, which is none.
///
/// `Kind` tells the two apart; the compiler finds it.
///
/// ```no_run
/// use worker::Env;
/// use worker_sentry::{Reportable, with_sentry_in_isolate};
///
/// async fn alarm<E: Reportable>(env: &Env, work: impl Future<Output = Result<(), E>>) {
///     let _ = with_sentry_in_isolate(env, "Sweeper", "alarm", work).await;
/// }
/// ```
pub trait Reportable<Kind = ()> {
    /// The report of this error.
    fn report(&self) -> Report<'_>;
}

impl<E: Error + 'static> Reportable for E {
    fn report(&self) -> Report<'_> {
        Report::new(self)
    }
}

/// The kind of `anyhow::Error`.
#[cfg(feature = "anyhow")]
#[derive(Debug)]
pub enum Anyhow {}

#[cfg(feature = "anyhow")]
impl Reportable<Anyhow> for anyhow::Error {
    fn report(&self) -> Report<'_> {
        Report::new(self.as_ref())
    }
}
