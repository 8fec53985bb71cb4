//! The interface between decisions and the platform.
//!
//! A capture uses the platform only through [`Runtime`]. The real implementation is
//! [`workerd`], which talks to JavaScript and makes no decisions. The native tests and the
//! laboratory of the book use another implementation, `testing`, which they control step by
//! step.

#[cfg(any(test, feature = "laboratory"))]
#[cfg_attr(not(test), allow(dead_code))]
pub(crate) mod testing;
pub(crate) mod workerd;

use std::error::Error;

use uuid::Uuid;
use worker::wasm_bindgen::JsValue;

/// The functions of the platform that a capture uses.
///
/// No method may panic or throw. A method that can fail returns the failure.
pub(crate) trait Runtime {
    /// A handle to a Secrets Store binding, to be read with [`Runtime::secret`].
    type Secret;
    /// A JavaScript value. Two are equal if they are the same object.
    type Value: Clone + PartialEq;
    /// A request that was started.
    type Sent;

    /// Milliseconds since the Unix epoch.
    ///
    /// `SystemTime::now()` cannot be used, because it panics on `wasm32-unknown-unknown`.
    fn now_ms(&self) -> f64;

    /// Whether there is a DSN. It may be malformed.
    fn has_dsn(&self) -> bool;

    /// Reads a binding without waiting.
    fn binding(&self, name: &'static str) -> Binding<Self::Secret>;

    /// Reads a Secrets Store binding. This is the only part of a load that waits.
    async fn secret(&self, secret: Self::Secret) -> Option<String>;

    /// Waits on a timer that belongs to the calling request.
    async fn sleep(&self, ms: u32);

    /// Starts a request, which is given up after `timeout_ms`. Does not wait.
    ///
    /// The request goes on even if its answer is never awaited. After the answer, no timer and
    /// no reading of a body goes on. If `kept` is `true` and the request is never answered, the
    /// next WebAssembly instance can [`resend`](Runtime::resend) it.
    fn send(&self, request: Outgoing<'_>, timeout_ms: u32, kept: bool) -> Self::Sent;

    /// Waits for the answer to a request that [`send`](Runtime::send) started.
    async fn answer(&self, sent: Self::Sent) -> Result<Reply, PostError>;

    /// The platform's handle to a JavaScript value.
    fn value(&self, value: &JsValue) -> Self::Value;

    /// The JavaScript value that an error of `worker` holds. `None` for other errors.
    fn value_in(&self, error: &(dyn Error + 'static)) -> Option<Self::Value>;

    /// Reads the contents of a value. Parts that throw when they are read are left out.
    fn look(&self, value: &Self::Value) -> Look<Self::Value>;

    /// The stack of the caller as V8 writes it, one line for each frame, the innermost first.
    fn stack(&self) -> Option<String>;

    /// The id that the build gave this module, in its custom section `build_id`.
    fn build_id(&self) -> Option<Uuid>;

    /// Whether there are unhandled values to take or requests to send again. `true` is returned
    /// only once. Only the first call in a WebAssembly instance calls JavaScript.
    fn is_news(&self) -> bool;

    /// Sends the unanswered requests of ended WebAssembly instances again, and waits for the
    /// answers. Each request has its original time limit.
    async fn resend(&self);

    /// Takes the values that were thrown in this isolate and not handled, each with its time in
    /// milliseconds since the Unix epoch.
    fn take_unhandled(&self) -> Vec<(Self::Value, f64)>;

    /// Announces that this WebAssembly instance is going to trap, for a reason that was already
    /// reported.
    fn will_trap(&self);

    /// Reads an absolute URL. `None` if the text is not one.
    fn parse_url(&self, text: &str) -> Option<UrlParts>;

    /// Reads a text for [`decimal`](Runtime::decimal), which has already checked its
    /// characters. `NaN` if the text is not a number.
    fn parse_number(&self, text: &str) -> f64;

    /// Reads a decimal number, such as `0.25`.
    ///
    /// `str::parse` is not used, because its tables are a tenth of what the crate adds to an
    /// upload.
    fn decimal(&self, text: &str) -> Option<f64> {
        let is_part = |byte| matches!(byte, b'0'..=b'9' | b'.' | b'+' | b'-' | b'e' | b'E');
        if text.is_empty() || !text.bytes().all(is_part) {
            return None;
        }
        Some(self.parse_number(text)).filter(|number| number.is_finite())
    }

    /// Reads an HTTP date, in milliseconds since the Unix epoch. `NaN` if the text is not a
    /// date.
    fn parse_date(&self, text: &str) -> f64;

    /// Random bytes. `None` if the platform has none: a Worker has none outside of a
    /// handler.
    fn random_bytes<const N: usize>(&self) -> Option<[u8; N]>;

    /// Writes a warning to the console, for the person who configured the Worker.
    fn warn(&self, line: &str);

    /// The value of the binding `SENTRY_DEBUG`.
    fn debug_switch(&self) -> Option<String>;

    /// Writes a line to the console.
    fn log(&self, line: &str);

    /// Writes one line about a decision, if `SENTRY_DEBUG` is on.
    fn debug(&self, line: &str) {
        if self.debug_switch().as_deref().and_then(is_on) == Some(true) {
            self.log(line);
        }
    }
}

/// The functions of the platform that a recording uses.
#[cfg(any(test, feature = "spans"))]
#[derive(Clone, Copy)]
pub(crate) struct Senses {
    pub(crate) now_ms: fn() -> f64,
    pub(crate) random: fn() -> Option<[u8; 24]>,
}

/// Reads a switch. `None` if the text is neither on nor off.
pub(crate) fn is_on(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "on" | "true" | "1" | "yes" => Some(true),
        "off" | "false" | "0" | "no" => Some(false),
        _ => None,
    }
}

/// The value of a binding.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Binding<S> {
    /// There is no such binding.
    Absent,
    /// A var or a Worker Secret; a var's number or `true` as text.
    Text(String),
    /// A Secrets Store binding, still to be read.
    Secret(S),
    /// An object with a `fetch`, under the name of a binding that should have one.
    Service,
    /// A value without a text: an object, a namespace.
    NotText,
}

/// One HTTP request to the receiver.
pub(crate) struct Outgoing<'a> {
    /// The name of the service binding that sends the request. `None` sends it over the
    /// internet.
    pub(crate) service: Option<&'static str>,
    pub(crate) url: &'a str,
    pub(crate) headers: &'a [(&'static str, String)],
    pub(crate) body: &'a [u8],
}

/// The parts of the receiver's answer that are used.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) retry_after: Option<String>,
    pub(crate) rate_limits: Option<String>,
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum PostError {
    /// The connection was refused or reset, or the host is unreachable or does not speak HTTP.
    Network,
    /// There was no answer within the time limit.
    TimedOut,
}

/// The parts of a URL, as the platform's own parser reads them.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct UrlParts {
    /// The whole URL, normalised.
    pub(crate) href: String,
    /// With the colon: `https:`.
    pub(crate) protocol: String,
    pub(crate) username: String,
    pub(crate) password: String,
    /// With the port, if that is not the default port of the protocol.
    pub(crate) host: String,
    /// With the leading slash.
    pub(crate) pathname: String,
}

impl UrlParts {
    /// Whether the runtime's `fetch` speaks this protocol.
    pub(crate) fn is_http(&self) -> bool {
        matches!(self.protocol.as_str(), "http:" | "https:")
    }
}

/// The contents of a JavaScript value, and the values that it refers to.
#[derive(Clone, Debug)]
pub(crate) struct Look<V> {
    pub(crate) seen: Seen,
    /// The value's `cause`.
    pub(crate) cause: Option<V>,
    /// The first `errors` of an `AggregateError`.
    pub(crate) errors: Vec<V>,
    /// Which of [`MARKS`] the platform has set on the value.
    pub(crate) marks: Vec<&'static str>,
}

/// The properties that the platform sets on its own errors.
/// <https://developers.cloudflare.com/durable-objects/best-practices/error-handling/>
pub(crate) const MARKS: [&str; 3] = ["remote", "retryable", "overloaded"];

/// The kinds of values that can be thrown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Kind {
    Null,
    Undefined,
    Text,
    /// A number or a boolean.
    Primitive,
    Symbol,
    BigInt,
    Function,
    #[default]
    Object,
}

/// The contents of a value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) kind: Kind,
    /// A text, or a number or a boolean as text.
    pub(crate) text: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) message: Option<String>,
    /// The lines of the value's stack that name frames.
    pub(crate) stack: Option<String>,
}
