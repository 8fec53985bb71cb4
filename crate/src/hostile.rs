//! The readers of foreign data, for tests with hostile bytes. Not an API: it changes with the
//! crate.
//!
//! Each function takes any bytes. It panics if a reader panics, or if the result breaks a
//! rule that the rest of the crate relies on.

use std::error::Error;
use std::fmt;

use crate::item::exception::{self, Subject};
use crate::item::json::Json;
use crate::item::text::MAX_VALUE;
use crate::item::{Category, schedule, stack, thrown, type_name};
use crate::platform::testing::{Facts, Fake, Holding, Thing};
use crate::platform::{Kind, Reply, Runtime, Seen, UrlParts};
use crate::trace::baggage;
use crate::trace::outgoing::{self, Existing};
use crate::trace::sampling::Rate;
use crate::trace::sentry_trace::SentryTrace;
use crate::trace::traceparent::Traceparent;
use crate::trace::{Incoming, Own, Trace};
use crate::wire::dsn::Dsn;
use crate::wire::endpoint::Endpoint;
use crate::wire::limits::RateLimits;

/// Takes any bytes, and panics if a rule is broken.
pub type Reader = fn(&[u8]);

/// All readers, by name.
pub const READERS: [(&str, Reader); 6] = [
    ("cron", cron),
    ("dsn", dsn),
    ("limits", limits),
    ("stack", stack_of_v8),
    ("thrown", thrown_by_javascript),
    ("trace", trace),
];

/// Splits a text into as many lines as the caller takes. The last one has the whole rest.
struct Lines<'t>(Option<&'t str>);

impl<'t> Lines<'t> {
    fn next(&mut self) -> Option<&'t str> {
        let text = self.0.take()?;
        let (line, rest) = match text.split_once('\n') {
            Some((line, rest)) => (line, Some(rest)),
            None => (text, None),
        };
        self.0 = rest;
        // An empty line means that the value is missing.
        (!line.is_empty()).then_some(line)
    }

    fn rest(&mut self) -> Option<&'t str> {
        self.0.take().filter(|rest| !rest.is_empty())
    }

    fn owned(&mut self) -> String {
        self.next().unwrap_or_default().to_owned()
    }
}

/// A cron expression of `wrangler.toml`.
fn cron(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Some(translated) = schedule::translate(&text) {
        let fields = translated.split(' ').count();
        assert_eq!(fields, 5, "{translated:?}");
        // Letters are allowed, because the days of the week are written by name.
        let is_known =
            |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || " *,-/".contains(c);
        assert!(translated.chars().all(is_known), "{translated:?}");
    }
    let slug = schedule::slug(&text);
    assert!(slug.len() <= schedule::MAX_SLUG, "{slug:?}");
    let is_known = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_".contains(c);
    assert!(slug.chars().all(is_known), "{slug:?}");
}

/// The text of the binding `SENTRY_DSN`, and any parts that a URL parser could return.
fn dsn(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    read_dsn(Fake::default().parse_url(&text));
    let mut lines = Lines(Some(&text));
    read_dsn(Some(UrlParts {
        protocol: lines.owned(),
        username: lines.owned(),
        password: lines.owned(),
        host: lines.owned(),
        pathname: lines.owned(),
        href: lines.owned(),
    }));
}

fn read_dsn(url: Option<UrlParts>) {
    let Some(dsn) = url.and_then(Dsn::of) else {
        return;
    };
    assert!(dsn.envelope_url.starts_with("http"), "{dsn:?}");
    assert!(dsn.envelope_url.ends_with("/envelope/"), "{dsn:?}");
    assert!(!dsn.public_key.is_empty(), "{dsn:?}");
    let endpoint = Endpoint::new(&dsn, None, None, None);
    assert_eq!(endpoint.request(&[]).url, dsn.envelope_url);
}

/// The headers of an answer: `Retry-After`, and then `X-Sentry-Rate-Limits`.
fn limits(data: &[u8]) {
    const DAY_MS: f64 = 24.0 * 3_600_000.0;
    let text = String::from_utf8_lossy(data);
    let mut lines = Lines(Some(&text));
    let runtime = Fake::default();
    let mut limits = RateLimits::default();
    let reply = Reply {
        status: 429,
        retry_after: lines.next().map(str::to_owned),
        rate_limits: lines.rest().map(str::to_owned),
    };
    limits.learn(&runtime, &reply);
    let now = Category::ALL.map(|it| limits.allow(it, runtime.now_ms()));
    for category in Category::ALL {
        // No pause is longer than a day, whatever the receiver answers.
        assert!(limits.allow(category, runtime.now_ms() + DAY_MS));
    }
    // The same answer again does not shorten a pause.
    limits.learn(&runtime, &reply);
    assert_eq!(
        now,
        Category::ALL.map(|it| limits.allow(it, runtime.now_ms()))
    );
}

/// `Error.stack`, and the compiler's names in it.
fn stack_of_v8(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    for read in [stack::parse(&text), stack::from_here(&text)] {
        let Some(read) = read else { continue };
        assert!(!read.frames.is_empty());
        for frame in &read.frames {
            let names = [&frame.function, &frame.filename];
            let long = names
                .into_iter()
                .flatten()
                .find(|it| it.len() > text.len() + 8);
            assert_eq!(long, None);
        }
        let mut json = Json::new();
        json.open("{");
        read.write(&mut json);
        json.plain("}");
        assert!(serde_json::from_slice::<serde_json::Value>(&json.0).is_ok());
    }
    let (message, frames) = stack::split(&text);
    assert_eq!([message, frames.unwrap_or_default()].concat(), text);
    let _ = type_name::short(&text);
}

/// What JavaScript threw: its kind, name, message and text, and a stack.
fn thrown_by_javascript(data: &[u8]) {
    const KINDS: [Kind; 8] = [
        Kind::Text,
        Kind::Primitive,
        Kind::Null,
        Kind::Undefined,
        Kind::Symbol,
        Kind::BigInt,
        Kind::Function,
        Kind::Object,
    ];
    let (first, rest) = data.split_first().unwrap_or((&0, &[]));
    let kind = KINDS[usize::from(first & 7)];
    let text = String::from_utf8_lossy(rest);
    let mut lines = Lines(Some(&text));
    let mut line = || lines.next().map(str::to_owned);
    let seen = Seen {
        kind,
        name: line(),
        message: line(),
        text: line(),
        stack: lines.rest().map(str::to_owned),
    };
    let outer = Thing::of(Facts {
        seen: seen.clone(),
        ..Facts::default()
    });
    let inner = Thing::error(&text, &text);
    // A chain that ends, a circular chain, or a group that contains itself.
    let error = match first >> 3 & 3 {
        0 => outer.clone(),
        1 => outer.clone().caused_by(&inner),
        2 => outer.clone().caused_by(&inner.clone().caused_by(&outer)),
        _ => outer.clone().with_errors(&[inner, outer.clone()]),
    };
    let runtime = Fake::default();
    let described = thrown::describe(seen);
    assert!(
        described.message.len() <= MAX_VALUE,
        "{}",
        described.message.len()
    );
    let wrapper = Wrapper {
        display: text.clone().into_owned(),
        debug: format!("Wrapped(JsValue({text}))"),
    };
    for subject in [
        Subject::Value(&error),
        Subject::Error(&Holding(error.clone()), None),
        Subject::Error(&wrapper, None),
        Subject::Text(&text),
    ] {
        let _ = exception::read(&runtime, subject).identity;
    }
    // Breaks the circle, because a circle of `Rc`s would never be dropped.
    let _ = error.caused_by(&Thing::default()).with_errors(&[]);
}

/// An error with given texts.
struct Wrapper {
    display: String,
    debug: String,
}

impl fmt::Display for Wrapper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.display)
    }
}

impl fmt::Debug for Wrapper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.debug)
    }
}

impl Error for Wrapper {}

/// The headers of a request: `sentry-trace`, `traceparent`, `baggage`.
fn trace(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut lines = Lines(Some(&text));
    let sentry_trace = lines.next();
    let traceparent = lines.next();
    let incoming = Incoming {
        sentry_trace,
        traceparent,
        baggage: lines.rest(),
        instance: None,
        platform: None,
    };
    if let Some(read) = sentry_trace.and_then(SentryTrace::read) {
        let again = SentryTrace::read(&read.write()).expect("what was written");
        assert_eq!(again.write(), read.write());
    }
    if let Some(read) = traceparent.and_then(Traceparent::read) {
        assert!(Traceparent::read(&read.write(Some(true))).is_some());
    }
    for (_, value) in baggage::pairs(incoming.baggage.unwrap_or_default()) {
        assert!(baggage::decode(value).len() <= value.len());
    }
    let own = Own {
        public_key: "key",
        release: Some(&text),
        environment: "production",
        org_id: Some("1"),
        rate: Rate::new(0.5),
    };
    let trace = Trace::start(&incoming, &own, Some(&text), [7; 24]);
    assert!(trace.dsc().as_baggage().len() <= baggage::MAX_BYTES);
    let existing = Existing {
        sentry_trace: None,
        baggage: incoming.baggage,
        traceparent: false,
    };
    let before = incoming.baggage.unwrap_or_default().trim().len();
    for (name, value) in outgoing::headers(&trace, trace.span(1), &existing, true) {
        assert!(
            value.len() <= before.max(baggage::MAX_BYTES),
            "{name}: {}",
            value.len()
        );
    }
}
