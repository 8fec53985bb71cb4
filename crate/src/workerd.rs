//! The thin layer that talks to the runtime.
//!
//! Nothing is decided here. Every call into JavaScript is one that cannot throw
//! or one whose exception is caught: an exception that crosses a Rust frame
//! leaves the instance unusable.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use worker::js_sys::futures::{JsFuture, future_to_promise};
use worker::js_sys::{
    Array, Date, Function, JsString, Number, Object, Promise, Reflect, Uint8Array, global,
};
use worker::wasm_bindgen::{self, JsCast, JsValue, prelude::wasm_bindgen};
use worker::web_sys::{AbortSignal, Response, console};
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

#[wasm_bindgen(wasm_bindgen = wasm_bindgen)]
extern "C" {
    /// A Secrets Store binding. It is an RPC stub: its method exists only as a call.
    ///
    /// Not `worker::SecretStore`, which reads the secret with all of serde.
    type StoredSecret;
    #[wasm_bindgen(method, catch)]
    fn get(this: &StoredSecret) -> Result<JsValue, JsValue>;
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
        let secret = secret.unchecked_into::<StoredSecret>().get().ok()?;
        settle(secret).await.ok()?.as_string()
    }

    async fn sleep(&self, ms: u32) {
        Delay::from(Duration::from_millis(ms.into())).await;
    }

    // ANCHOR: post
    async fn post(&self, request: Outgoing<'_>, timeout_ms: u32) -> Result<Reply, PostError> {
        let response = async { settle(fetch(&request, timeout_ms)?.into()).await }
            .await
            .map_err(|thrown| match text(&get(&thrown, "name")).as_deref() {
                Some("TimeoutError") => PostError::TimedOut,
                _ => PostError::Network,
            })?;
        let response: Response = response.dyn_into().map_err(|_| PostError::Network)?;
        let header = |name| response.headers().get(name).ok().flatten();
        let reply = Reply {
            status: response.status(),
            retry_after: header("Retry-After"),
            rate_limits: header("X-Sentry-Rate-Limits"),
        };
        // A body that is neither read nor cancelled holds a connection open, and
        // a request has six.
        // https://developers.cloudflare.com/workers/platform/limits/#simultaneous-open-connections
        if let Some(body) = response.body() {
            let _ = settle(body.cancel().into()).await;
        }
        Ok(reply)
    }
    // ANCHOR_END: post

    fn parse_url(&self, text: &str) -> Option<UrlParts> {
        let parse: Function = get(&global(), "URL").dyn_into().ok()?;
        let url = Reflect::construct(&parse, &Array::of1(&JsValue::from_str(text))).ok()?;
        let part = |name| get(&url, name).as_string();
        Some(UrlParts {
            href: part("href")?,
            protocol: part("protocol")?,
            username: part("username")?,
            password: part("password")?,
            host: part("host")?,
            pathname: part("pathname")?,
        })
    }

    fn parse_number(&self, text: &str) -> f64 {
        JsValue::from_str(text).unchecked_into_f64()
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

/// Waits for a promise; a value that is none is its own result.
async fn settle(value: JsValue) -> Result<JsValue, JsValue> {
    match value.dyn_into::<Promise>() {
        Ok(promise) => JsFuture::from(promise).await,
        Err(value) => Ok(value),
    }
}

/// Calls the runtime's own `fetch`, looked up by name so that a call that throws
/// is caught.
fn fetch(request: &Outgoing<'_>, timeout_ms: u32) -> Result<Promise, JsValue> {
    let headers = Array::new();
    for (name, value) in request.headers {
        headers.push(&Array::of2(
            &JsValue::from_str(name),
            &JsValue::from_str(value),
        ));
    }
    let init = Object::new();
    let set = |name: &str, value: &JsValue| Reflect::set(&init, &JsValue::from_str(name), value);
    set("method", &JsValue::from_str("POST"))?;
    set("headers", &headers)?;
    set("body", &Uint8Array::from(request.body))?;
    // Following a redirect would carry the credentials to wherever it points.
    set("redirect", &JsValue::from_str("manual"))?;
    set("signal", &AbortSignal::timeout_with_u32(timeout_ms))?;

    let global = global();
    let fetch: Function = get(&global, "fetch").dyn_into()?;
    fetch
        .call2(&global, &JsValue::from_str(request.url), &init)?
        .dyn_into()
}

/// Sends a request and waits for nothing, not even later: the body of the answer
/// is read by functions of JavaScript's own, which work when no Rust code can
/// run any more.
pub(crate) fn post_and_forget(request: &Outgoing<'_>) {
    let Ok(promise) = fetch(request, FORGET_MS) else {
        return;
    };
    let _ = read_and_forget(&promise);
}

/// `promise.then(response => response.arrayBuffer()).catch(() => {})`, made of
/// what is there: a bound `Function.prototype.call`, and `Boolean`, which takes
/// anything and does nothing.
fn read_and_forget(promise: &Promise) -> Result<(), JsValue> {
    let global = global();
    let prototype = get(&get(&global, "Response"), "prototype");
    let array_buffer: Function = get(&prototype, "arrayBuffer").dyn_into()?;
    let call: Function = get(&array_buffer, "call").dyn_into()?;
    let read = get(&call, "bind")
        .dyn_into::<Function>()?
        .call1(&call, &array_buffer)?;
    let ignore = get(&global, "Boolean");
    let then = |promise: &JsValue, read: &JsValue| -> Result<JsValue, JsValue> {
        get(promise, "then")
            .dyn_into::<Function>()?
            .call2(promise, read, &ignore)
    };
    let body = then(promise, &read)?;
    then(&body, &ignore)?;
    Ok(())
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

/// Reads a property. A getter that throws reads as `undefined`.
pub(crate) fn get(target: &JsValue, name: &str) -> JsValue {
    Reflect::get(target, &JsValue::from_str(name)).unwrap_or(JsValue::UNDEFINED)
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
