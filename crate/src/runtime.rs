//! The seam between decisions and the platform.
//!
//! Everything the capture path wants from the outside goes through
//! [`Runtime`]. The crate has one implementation, [`crate::workerd`], which does
//! as little as it can; the native tests have another, which they drive by hand.

use crate::dsn::UrlParts;

/// What the platform does for a capture.
///
/// No method may panic or throw. Whatever can fail says so in its result.
pub(crate) trait Runtime {
    /// A handle to a Secrets Store binding, to be read with [`Runtime::secret`].
    type Secret;

    /// Milliseconds since the Unix epoch.
    ///
    /// Not `SystemTime::now()`: on `wasm32-unknown-unknown` that panics.
    fn now_ms(&self) -> f64;

    /// Whether there is such a binding at all.
    fn is_bound(&self, name: &'static str) -> bool;

    /// Reads a binding without waiting.
    fn binding(&self, name: &'static str) -> Binding<Self::Secret>;

    /// Reads a Secrets Store binding. This is the only part of a load that waits.
    async fn secret(&self, secret: Self::Secret) -> Option<String>;

    /// Waits on a timer that belongs to the calling request.
    async fn sleep(&self, ms: u32);

    /// Sends a request and gives up after `timeout_ms`.
    ///
    /// The body of the answer has been cancelled when this returns.
    async fn post(&self, request: Outgoing<'_>, timeout_ms: u32) -> Result<Reply, PostError>;

    /// Reads an absolute URL, or returns nothing where it is none.
    fn parse_url(&self, text: &str) -> Option<UrlParts>;

    /// Reads what [`decimal`](Runtime::decimal) has found to look like a number; `NaN`
    /// if it is none.
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

    /// A date as HTTP writes it, in milliseconds since the Unix epoch; `NaN` if it is
    /// none.
    fn parse_date(&self, text: &str) -> f64;

    /// The time, as RFC 3339 writes it.
    fn now_text(&self) -> String;

    /// Random bytes, or nothing where the platform has none to give (a Worker
    /// has none outside a handler).
    fn random_bytes(&self) -> Option<[u8; 16]>;

    /// Writes a warning for whoever configured the Worker.
    fn warn(&self, line: &str);

    /// Writes one line about a decision, if `SENTRY_DEBUG` is on.
    fn debug(&self, line: &str);
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
    /// Something that holds no text: an object, a namespace.
    NotText,
}

/// One HTTP request to the receiver.
pub(crate) struct Outgoing<'a> {
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
