//! The seam between decisions and the platform.
//!
//! Everything that a capture wants from the outside goes through [`Runtime`]. Its real
//! implementation is [`workerd`], which talks to JavaScript and decides nothing. The
//! native tests have another one, `testing`, which they drive by hand; so does the
//! laboratory of the book.

#[cfg(any(test, feature = "laboratory"))]
#[cfg_attr(not(test), allow(dead_code))]
pub(crate) mod testing;
pub(crate) mod workerd;

use std::error::Error;

use uuid::Uuid;
use worker::wasm_bindgen::JsValue;

/// What the platform does for a capture.
///
/// No method may panic or throw. Whatever can fail says so in its result.
pub(crate) trait Runtime {
    /// A handle to a Secrets Store binding, to be read with [`Runtime::secret`].
    type Secret;
    /// A value of JavaScript's. Two are equal if they are the same object.
    type Value: Clone + PartialEq;
    /// A request that is on its way.
    type Sent;

    /// Milliseconds since the Unix epoch.
    ///
    /// Not `SystemTime::now()`: on `wasm32-unknown-unknown` that panics.
    fn now_ms(&self) -> f64;

    /// Whether there is a DSN, whatever it is worth.
    fn has_dsn(&self) -> bool;

    /// Reads a binding without waiting.
    fn binding(&self, name: &'static str) -> Binding<Self::Secret>;

    /// Reads a Secrets Store binding. This is the only part of a load that waits.
    async fn secret(&self, secret: Self::Secret) -> Option<String>;

    /// Waits on a timer that belongs to the calling request.
    async fn sleep(&self, ms: u32);

    /// Starts a request, which is given up after `timeout_ms`. Does not wait.
    ///
    /// The request goes on if nobody asks for its answer. Nothing of it outlives the
    /// answer: no timer, and no body that is still being read. If it is to be `kept` and
    /// is never answered, the next instance can [`resend`](Runtime::resend) it.
    fn send(&self, request: Outgoing<'_>, timeout_ms: u32, kept: bool) -> Self::Sent;

    /// Waits for the answer to a request that was started here.
    async fn answer(&self, sent: Self::Sent) -> Result<Reply, PostError>;

    /// The platform's handle to a value of JavaScript's.
    fn value(&self, value: &JsValue) -> Self::Value;

    /// The value of JavaScript's that an error of `worker`'s holds, if it is such an error.
    fn value_in(&self, error: &(dyn Error + 'static)) -> Option<Self::Value>;

    /// Reads what a value tells of itself, as far as it can be read without a throw.
    fn look(&self, value: &Self::Value) -> Look<Self::Value>;

    /// V8's lines of the stack that leads to the caller, the innermost first.
    fn stack(&self) -> Option<String>;

    /// The id that the build gave this module, in its custom section `build_id`.
    fn build_id(&self) -> Option<Uuid>;

    /// Whether there is something to take or to send again. Told once. Except for the first
    /// time in an instance, this does not leave WebAssembly.
    fn is_news(&self) -> bool;

    /// Sends again what ended instances have sent and what was never answered, and waits
    /// for the answers. Each has the time that it was given first.
    async fn resend(&self);

    /// What was thrown in this isolate and handled by nobody, each with the time in
    /// milliseconds since the Unix epoch. Told once.
    fn take_unhandled(&self) -> Vec<(Self::Value, f64)>;

    /// Announces that this instance is going to trap, for a reason that was dealt with.
    fn will_trap(&self);

    /// Reads an absolute URL, or returns nothing if the text is not one.
    fn parse_url(&self, text: &str) -> Option<UrlParts>;

    /// Reads what [`decimal`](Runtime::decimal) has found to look like a number; `NaN`
    /// if it is not.
    fn parse_number(&self, text: &str) -> f64;

    /// A decimal number, such as `0.25`.
    ///
    /// Not `str::parse`, whose tables alone are a tenth of what the crate adds to an
    /// upload.
    fn decimal(&self, text: &str) -> Option<f64> {
        let is_part = |byte| matches!(byte, b'0'..=b'9' | b'.' | b'+' | b'-' | b'e' | b'E');
        if text.is_empty() || !text.bytes().all(is_part) {
            return None;
        }
        Some(self.parse_number(text)).filter(|number| number.is_finite())
    }

    /// A date as HTTP writes it, in milliseconds since the Unix epoch; `NaN` if the
    /// text is not such a date.
    fn parse_date(&self, text: &str) -> f64;

    /// Random bytes, or nothing where the platform has none to give (a Worker
    /// has none outside a handler).
    fn random_bytes<const N: usize>(&self) -> Option<[u8; N]>;

    /// Writes a warning for whoever configured the Worker.
    fn warn(&self, line: &str);

    /// What the binding `SENTRY_DEBUG` says.
    fn debug_switch(&self) -> Option<String>;

    /// Writes a line.
    fn log(&self, line: &str);

    /// Writes one line about a decision, if `SENTRY_DEBUG` is on.
    fn debug(&self, line: &str) {
        if self.debug_switch().as_deref().and_then(is_on) == Some(true) {
            self.log(line);
        }
    }
}

/// What a recording takes from the platform.
#[cfg(any(test, feature = "spans"))]
#[derive(Clone, Copy)]
pub(crate) struct Senses {
    pub(crate) now_ms: fn() -> f64,
    pub(crate) random: fn() -> Option<[u8; 24]>,
}

/// Reads a switch.
pub(crate) fn is_on(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "on" | "true" | "1" | "yes" => Some(true),
        "off" | "false" | "0" | "no" => Some(false),
        _ => None,
    }
}

/// What is bound under a name.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Binding<S> {
    /// Nothing.
    Absent,
    /// A var or a Worker Secret; a var's number or `true` as text.
    Text(String),
    /// A Secrets Store binding, still to be read.
    Secret(S),
    /// What has a `fetch`, under the name of a binding that should have one.
    Service,
    /// Something that holds no text: an object, a namespace.
    NotText,
}

/// One HTTP request to the receiver.
pub(crate) struct Outgoing<'a> {
    /// The name of the binding that carries it. Without one, the internet does.
    pub(crate) service: Option<&'static str>,
    pub(crate) url: &'a str,
    pub(crate) headers: &'a [(&'static str, String)],
    pub(crate) body: &'a [u8],
}

/// What the receiver answered, as far as anyone is interested.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) retry_after: Option<String>,
    pub(crate) rate_limits: Option<String>,
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum PostError {
    /// Refused, reset, unreachable, or not speaking HTTP.
    Network,
    /// No answer within the time allowed.
    TimedOut,
}

/// A URL in its parts, as the platform's own parser reads it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct UrlParts {
    /// All of it, in its normal form.
    pub(crate) href: String,
    /// With the colon: `https:`.
    pub(crate) protocol: String,
    pub(crate) username: String,
    pub(crate) password: String,
    /// With the port where it is not the protocol's own.
    pub(crate) host: String,
    /// With the slash it begins with.
    pub(crate) pathname: String,
}

impl UrlParts {
    /// Whether the runtime's `fetch` speaks this protocol.
    pub(crate) fn is_http(&self) -> bool {
        matches!(self.protocol.as_str(), "http:" | "https:")
    }
}

/// What a value of JavaScript's tells of itself, and the values it leads to.
#[derive(Clone, Debug)]
pub(crate) struct Look<V> {
    pub(crate) seen: Seen,
    /// Its `cause`.
    pub(crate) cause: Option<V>,
    /// The `errors` of an `AggregateError`, the first ones of them.
    pub(crate) errors: Vec<V>,
    /// Which of [`MARKS`] the platform has set on it.
    pub(crate) marks: Vec<&'static str>,
}

/// What the platform marks its own errors with.
/// <https://developers.cloudflare.com/durable-objects/best-practices/error-handling/>
pub(crate) const MARKS: [&str; 3] = ["remote", "retryable", "overloaded"];

/// The kinds of values that can be thrown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Kind {
    Null,
    Undefined,
    Text,
    /// A number or a truth value.
    Primitive,
    Symbol,
    BigInt,
    Function,
    #[default]
    Object,
}

/// What a value tells of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) kind: Kind,
    /// A text, a number or a truth value as text.
    pub(crate) text: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) message: Option<String>,
    /// The lines of its stack that name frames.
    pub(crate) stack: Option<String>,
}
