//! The thin layer that talks to the runtime.
//!
//! Nothing is decided here. Every call into JavaScript is one that cannot throw
//! or one whose exception is caught: an exception that crosses a Rust frame
//! leaves the instance unusable.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use worker::js_sys::futures::{JsFuture, future_to_promise};
use worker::js_sys::{Date, JsString, Number, Promise};
use worker::wasm_bindgen::{self, JsCast, JsValue, prelude::wasm_bindgen};
use worker::web_sys::console;
use worker::{Delay, Env};

use crate::dsn::UrlParts;
use crate::load::{DEBUG, VERSION_METADATA, is_on};
use crate::runtime::{Binding, Outgoing, PostError, Reply, Runtime};

/// How long a panic's report may be on its way, in milliseconds.
const FORGET_MS: u32 = 5_000;
/// More of a text than this, in UTF-16 units, is never read.
const MAX_TEXT: u32 = 16_384;
/// Marks our lines among the application's.
const PREFIX: &str = "[worker-sentry] ";

#[wasm_bindgen(module = "/src/workerd.js", wasm_bindgen = wasm_bindgen)]
extern "C" {
    /// Reads a property. A getter that throws reads as `undefined`.
    pub(crate) fn get(target: &JsValue, name: &str) -> JsValue;
    #[wasm_bindgen(js_name = isBound)]
    fn is_bound(env: &JsValue, name: &str) -> bool;
    #[wasm_bindgen(js_name = parseUrl)]
    fn parse_url(text: &str) -> Option<Url>;
    fn post(url: &str, headers: &str, body: &[u8], timeout_ms: u32) -> Promise;
}

#[wasm_bindgen(wasm_bindgen = wasm_bindgen)]
extern "C" {
    type Url;
    #[wasm_bindgen(method, getter)]
    fn href(this: &Url) -> String;
    #[wasm_bindgen(method, getter)]
    fn protocol(this: &Url) -> String;
    #[wasm_bindgen(method, getter)]
    fn username(this: &Url) -> String;
    #[wasm_bindgen(method, getter)]
    fn password(this: &Url) -> String;
    #[wasm_bindgen(method, getter)]
    fn host(this: &Url) -> String;
    #[wasm_bindgen(method, getter)]
    fn pathname(this: &Url) -> String;

    /// What `post` tells of an answer; status 0 if there was none.
    type Answer;
    #[wasm_bindgen(method, getter)]
    fn status(this: &Answer) -> u16;
    #[wasm_bindgen(method, getter, js_name = retryAfter)]
    fn retry_after(this: &Answer) -> Option<String>;
    #[wasm_bindgen(method, getter, js_name = rateLimits)]
    fn rate_limits(this: &Answer) -> Option<String>;
    #[wasm_bindgen(method, getter, js_name = timedOut)]
    fn timed_out(this: &Answer) -> bool;

    /// A Secrets Store binding. It is an RPC stub: its method exists only as a call.
    ///
    /// What it returns is awaited like a promise, but is none to `instanceof`.
    ///
    /// Not `worker::SecretStore`, which reads the secret with all of serde.
    type StoredSecret;
    #[wasm_bindgen(method, catch, js_name = get)]
    fn read(this: &StoredSecret) -> Result<Promise, JsValue>;
}

/// The real runtime, seen from one request.
pub(crate) struct Workerd<'e> {
    env: &'e Env,
}

impl<'e> Workerd<'e> {
    pub(crate) fn new(env: &'e Env) -> Self {
        Workerd { env }
    }
}

impl Runtime for Workerd<'_> {
    type Secret = JsValue;

    fn now_ms(&self) -> f64 {
        Date::now()
    }

    fn is_bound(&self, name: &'static str) -> bool {
        is_bound(self.env, name)
    }

    fn binding(&self, name: &'static str) -> Binding<JsValue> {
        let value = get(self.env, name);
        if value.is_undefined() || value.is_null() {
            return Binding::Absent;
        }
        if name == VERSION_METADATA {
            return match get(&value, "id").as_string() {
                Some(id) => Binding::Text(id),
                None => Binding::NotText,
            };
        }
        if let Some(text) = as_text(&value) {
            return Binding::Text(text);
        }
        // A Secrets Store binding is an object of an internal class; what marks
        // it is the method that reads it.
        if value.is_object() && get(&value, "get").is_function() {
            return Binding::Secret(value);
        }
        Binding::NotText
    }

    async fn secret(&self, secret: JsValue) -> Option<String> {
        let secret = secret.unchecked_into::<StoredSecret>().read().ok()?;
        JsFuture::from(secret).await.ok()?.as_string()
    }

    async fn sleep(&self, ms: u32) {
        Delay::from(Duration::from_millis(ms.into())).await;
    }

    // ANCHOR: post
    async fn post(&self, request: Outgoing<'_>, timeout_ms: u32) -> Result<Reply, PostError> {
        let answer = JsFuture::from(start(&request, timeout_ms)).await;
        let answer: Answer = answer.map_err(|_| PostError::Network)?.unchecked_into();
        match answer.status() {
            0 if answer.timed_out() => Err(PostError::TimedOut),
            0 => Err(PostError::Network),
            status => Ok(Reply {
                status,
                retry_after: answer.retry_after(),
                rate_limits: answer.rate_limits(),
            }),
        }
    }
    // ANCHOR_END: post

    fn parse_url(&self, text: &str) -> Option<UrlParts> {
        let url = parse_url(text)?;
        Some(UrlParts {
            href: url.href(),
            protocol: url.protocol(),
            username: url.username(),
            password: url.password(),
            host: url.host(),
            pathname: url.pathname(),
        })
    }

    fn parse_number(&self, text: &str) -> f64 {
        JsValue::from_str(text).unchecked_into_f64()
    }

    fn parse_date(&self, text: &str) -> f64 {
        Date::parse(text)
    }

    fn now_text(&self) -> String {
        Date::new_0().to_iso_string().into()
    }

    fn random_bytes(&self) -> Option<[u8; 16]> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).ok()?;
        Some(bytes)
    }

    fn warn(&self, line: &str) {
        console::warn_1(&JsValue::from_str(&format!("{PREFIX}{line}")));
    }

    fn debug(&self, line: &str) {
        let switch = as_text(&get(self.env, DEBUG));
        if switch.as_deref().and_then(is_on) == Some(true) {
            console::log_1(&JsValue::from_str(&format!("{PREFIX}{line}")));
        }
    }
}

/// Calls the runtime's `fetch`. The promise is never rejected.
fn start(request: &Outgoing<'_>, timeout_ms: u32) -> Promise {
    let headers: Vec<String> = request
        .headers
        .iter()
        .map(|(name, value)| [name, ": ", value].concat())
        .collect();
    post(request.url, &headers.join("\n"), request.body, timeout_ms)
}

/// Sends a request and waits for nothing, not even later: the answer is dealt with in
/// JavaScript, which works when no Rust code can run any more.
pub(crate) fn post_and_forget(request: &Outgoing<'_>) {
    drop(start(request, FORGET_MS));
}

/// What JavaScript threw, read without running any of its code that could throw
/// at us.
pub(crate) struct Thrown {
    pub(crate) name: String,
    pub(crate) message: String,
    pub(crate) stack: Option<String>,
}

/// What is inside an error of `worker`'s, if it came from JavaScript.
pub(crate) fn thrown(error: &worker::Error) -> Option<Thrown> {
    let value = match error {
        worker::Error::UnknownJsError { original, .. } => original,
        worker::Error::Internal(value) => value,
        worker::Error::JsError(message) => {
            return Some(Thrown {
                name: "Error".to_owned(),
                message: message.clone(),
                stack: None,
            });
        }
        _ => return None,
    };
    if let Some(text) = text(value) {
        return Some(Thrown {
            name: "Error".to_owned(),
            message: text,
            stack: None,
        });
    }
    let message = text(&get(value, "message")).unwrap_or_else(|| describe(value));
    Some(Thrown {
        name: text(&get(value, "name"))
            .filter(|name| !name.is_empty())
            .unwrap_or_else(|| "Error".to_owned()),
        message,
        stack: frames(&get(value, "stack")),
    })
}

/// Whether two errors came from one thrown value, as happens where a `cause`
/// leads back to where it started.
pub(crate) fn same_thrown(a: &worker::Error, b: &worker::Error) -> bool {
    use worker::Error::UnknownJsError;
    match (a, b) {
        (UnknownJsError { original: a, .. }, UnknownJsError { original: b, .. }) => a == b,
        _ => false,
    }
}

/// The part of a stack that tells where: it starts by repeating the message,
/// which can be longer than all that is read.
fn frames(stack: &JsValue) -> Option<String> {
    let stack: &JsString = stack.dyn_ref()?;
    let start = stack.index_of("\n    at ", 0);
    let start = u32::try_from(start).ok()?;
    Some(stack.slice(start, start.saturating_add(MAX_TEXT)).into())
}

/// Says what was thrown if it has no message of its own.
fn describe(value: &JsValue) -> String {
    if let Some(number) = number(value) {
        return number;
    }
    let what = if value.is_null() {
        "null"
    } else if value.is_undefined() {
        "undefined"
    } else if let Some(truth) = value.as_bool() {
        return truth.to_string();
    } else if value.is_symbol() {
        "a symbol"
    } else if value.is_bigint() {
        "a bigint"
    } else if value.is_function() {
        "a function"
    } else {
        "an object that is not an Error"
    };
    what.to_owned()
}

/// A string's first characters: what is thrown may be of any size, and all of it
/// would have to be copied into our memory, which never shrinks again.
fn text(value: &JsValue) -> Option<String> {
    let text: &JsString = value.dyn_ref()?;
    Some(text.slice(0, MAX_TEXT).into())
}

/// What a var says. `SENTRY_SAMPLE_RATE = 0.5` is natural in a `wrangler.toml`,
/// and reaches the Worker as a number; a switch may be `true`.
fn as_text(value: &JsValue) -> Option<String> {
    value
        .as_string()
        .or_else(|| number(value))
        .or_else(|| Some(value.as_bool()?.to_string()))
}

/// A number as JavaScript writes it, with no code of ours for that.
fn number(value: &JsValue) -> Option<String> {
    let number: &Number = value.dyn_ref()?;
    Some(number.to_string_with_radix(10).ok()?.into())
}

/// Something that keeps the runtime from ending a request before a future is
/// done: a fetch or queue handler's [`worker::Context`], a cron trigger's
/// [`worker::ScheduleContext`], a Durable Object's [`worker::State`].
///
/// ```no_run
/// use worker::{Env, Error};
/// use worker_sentry::{WaitUntil, capture_exception_in_background};
///
/// fn note(env: &Env, context: &impl WaitUntil, error: &Error) {
///     capture_exception_in_background(env, context, error);
/// }
/// ```
pub trait WaitUntil: sealed::Sealed {
    /// Lets `future` go on after the handler has returned.
    #[doc(hidden)]
    fn wait_until(&self, future: impl Future<Output = ()> + 'static);
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for worker::Context {}
    impl Sealed for worker::ScheduleContext {}
    impl Sealed for worker::State {}
}

impl WaitUntil for worker::Context {
    fn wait_until(&self, future: impl Future<Output = ()> + 'static) {
        // Not `Context::wait_until`, which panics if the runtime refuses.
        let _ = self.as_ref().wait_until(&promise(future));
    }
}

impl WaitUntil for worker::ScheduleContext {
    fn wait_until(&self, future: impl Future<Output = ()> + 'static) {
        self.wait_until(future);
    }
}

impl WaitUntil for worker::State {
    fn wait_until(&self, future: impl Future<Output = ()> + 'static) {
        let _ = self.as_raw().wait_until(&promise(future));
    }
}

fn promise(future: impl Future<Output = ()> + 'static) -> Promise {
    future_to_promise(AssertUnwindSafe(async {
        future.await;
        Ok(JsValue::UNDEFINED)
    }))
}
