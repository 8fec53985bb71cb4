//! Step 6, first half, *capture*: an error becomes an event.
//!
//! The event is built field by field. `Event::default()`, and with it
//! `sentry_core::event_from_error`, reads `SystemTime::now()`, which panics on
//! this platform and takes the whole isolate along.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::{self, Write};
use std::time::{Duration, SystemTime};

use sentry_core::parse_type_from_debug;
use sentry_core::protocol::{
    ClientSdkInfo, Context, Event, Exception, Level, Mechanism, RuntimeContext, Uuid, Value,
};

/// The SDK's name as Sentry shows it, by Sentry's naming rule.
/// <https://develop.sentry.dev/sdk/overview/#sdk-identification>
pub(crate) const SDK_NAME: &str = "sentry.rust.cloudflare";

/// Errors in a chain beyond this one are left out.
const MAX_CHAIN: usize = 32;
/// Sentry cuts an exception's value here.
/// <https://develop.sentry.dev/sdk/data-model/event-payloads/exception/>
const MAX_VALUE: usize = 8_192;
/// Enough for any type's name, and all that is formatted to learn it.
const MAX_TYPE: usize = 128;

/// An error on its way to Sentry, with what is known about where it happened.
///
/// Made from a reference to any [`std::error::Error`], so passing `&error` is
/// enough. Nothing here is ambient: what is added to one report is in one event.
///
/// ```
/// use worker_sentry::Report;
///
/// let error = "x".parse::<u32>().unwrap_err();
/// let report = Report::new(&error).in_handler("RateLimiterDo", "alarm").handled(false);
/// # let _ = report;
/// ```
#[derive(Clone, Debug)]
pub struct Report<'e> {
    error: &'e (dyn Error + 'static),
    class: Option<&'static str>,
    handler: Option<&'static str>,
    handled: bool,
}

impl<'e> Report<'e> {
    /// A report of `error` and the chain of its sources.
    pub fn new(error: &'e (dyn Error + 'static)) -> Self {
        Report {
            error,
            class: None,
            handler: None,
            handled: true,
        }
    }

    /// Names the class and the handler that failed.
    ///
    /// They become the event's transaction, `Class.handler`, and the tags
    /// `class` and `handler`.
    #[must_use]
    pub fn in_handler(mut self, class: &'static str, handler: &'static str) -> Self {
        self.class = Some(class);
        self.handler = Some(handler);
        self
    }

    /// Whether the application deals with the error itself; `true` if not said.
    ///
    /// Say `false` where the error is re-thrown to the runtime.
    #[must_use]
    pub fn handled(mut self, handled: bool) -> Self {
        self.handled = handled;
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

/// The parts of an event that come from the error: owned, so that they outlive
/// the first wait.
#[derive(Debug)]
pub(crate) struct Draft {
    exceptions: Vec<Exception>,
    class: Option<&'static str>,
    handler: Option<&'static str>,
}

impl Draft {
    // ANCHOR: read
    /// Reads the error and the chain of its sources.
    pub(crate) fn read(report: &Report<'_>) -> Self {
        let mut exceptions: Vec<Exception> =
            std::iter::successors(Some(report.error), |&error| error.source())
                .take(MAX_CHAIN)
                .map(exception)
                .collect();
        if let Some(outermost) = exceptions.first_mut() {
            outermost.mechanism = Some(mechanism(report));
        }
        // Sentry wants the root cause first and the error that was caught last.
        exceptions.reverse();
        Draft {
            exceptions,
            class: report.class,
            handler: report.handler,
        }
    }
    // ANCHOR_END: read

    // ANCHOR: event
    /// Adds what only the runtime knows: an id and the time.
    pub(crate) fn into_event(self, id: Uuid, now_ms: f64) -> Event<'static> {
        let mut tags = BTreeMap::new();
        if let Some(class) = self.class {
            tags.insert("class".to_owned(), class.to_owned());
        }
        if let Some(handler) = self.handler {
            tags.insert("handler".to_owned(), handler.to_owned());
        }
        let transaction = match (self.class, self.handler) {
            (Some(class), Some(handler)) => Some(format!("{class}.{handler}")),
            _ => None,
        };
        Event {
            event_id: id,
            level: Level::Error,
            timestamp: timestamp(now_ms),
            platform: Cow::Borrowed("native"),
            exception: self.exceptions.into(),
            transaction,
            tags,
            contexts: BTreeMap::from([("runtime".to_owned(), runtime_context())]),
            sdk: Some(Cow::Owned(sdk_info())),
            // All that follows is left empty on purpose: an event carries what
            // is listed above and nothing that was lying around.
            fingerprint: Cow::Borrowed(&[Cow::Borrowed("{{ default }}")]),
            culprit: None,
            message: None,
            logentry: None,
            logger: None,
            modules: BTreeMap::new(),
            server_name: None,
            release: None,
            dist: None,
            environment: None,
            user: None,
            request: None,
            breadcrumbs: Vec::new().into(),
            stacktrace: None,
            template: None,
            threads: Vec::new().into(),
            extra: BTreeMap::new(),
            debug_meta: Cow::Owned(Default::default()),
        }
    }
    // ANCHOR_END: event
}

fn exception(error: &(dyn Error + 'static)) -> Exception {
    Exception {
        ty: type_name(error),
        value: Some(bounded(MAX_VALUE, format_args!("{error}"))),
        ..Exception::default()
    }
}

/// The type's name, taken from its `Debug` form as `sentry-core` does.
pub(crate) fn type_name(error: &dyn Error) -> String {
    let debug = bounded(MAX_TYPE, format_args!("{error:?}"));
    let name = parse_type_from_debug(&debug);
    let is_name = name.starts_with(|c: char| c.is_alphabetic() || c == '_')
        && name
            .chars()
            .all(|c| c.is_alphanumeric() || matches!(c, '_' | ':' | '<' | '>'));
    if is_name { name } else { "Error" }.to_owned()
}

fn mechanism(report: &Report<'_>) -> Mechanism {
    let ty = match report.handler {
        Some(handler) => format!("cloudflare.{handler}"),
        None => "generic".to_owned(),
    };
    let data = [("class", report.class), ("handler", report.handler)]
        .into_iter()
        .filter_map(|(key, name)| Some((key.to_owned(), Value::from(name?))))
        .collect();
    Mechanism {
        ty,
        handled: Some(report.handled),
        data,
        ..Mechanism::default()
    }
}

pub(crate) fn sdk_info() -> ClientSdkInfo {
    ClientSdkInfo {
        name: SDK_NAME.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        integrations: Vec::new(),
        packages: Vec::new(),
    }
}

fn runtime_context() -> Context {
    RuntimeContext {
        name: Some("cloudflare".to_owned()),
        ..RuntimeContext::default()
    }
    .into()
}

/// A time the platform gave us. Anything that is none becomes the epoch.
fn timestamp(now_ms: f64) -> SystemTime {
    let since_epoch = Duration::try_from_secs_f64(now_ms / 1_000.0).unwrap_or_default();
    SystemTime::UNIX_EPOCH + since_epoch
}

/// Formats at most `limit` bytes, and stops the formatting there.
///
/// A ten-megabyte message costs no more than a short one.
fn bounded(limit: usize, arguments: fmt::Arguments<'_>) -> String {
    struct Bounded {
        text: String,
        limit: usize,
    }
    impl Write for Bounded {
        fn write_str(&mut self, part: &str) -> fmt::Result {
            let room = self.limit - self.text.len();
            if part.len() <= room {
                self.text.push_str(part);
                return Ok(());
            }
            self.text.push_str(&part[..part.floor_char_boundary(room)]);
            Err(fmt::Error)
        }
    }
    const MARK: &str = "...";
    let mut sink = Bounded {
        text: String::new(),
        limit: limit - MARK.len(),
    };
    let whole = sink.write_fmt(arguments).is_ok();
    let mut text = sink.text;
    // An error here is either our limit or a `Display` that failed midway. Both
    // leave a text that is not all there.
    if !whole {
        text.push_str(MARK);
    }
    text
}
