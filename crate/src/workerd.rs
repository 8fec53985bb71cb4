//! The thin layer that talks to the runtime.
//!
//! Nothing is decided here. Every call into JavaScript is one that cannot throw
//! or one whose exception is caught: an exception that crosses a Rust frame
//! leaves the instance unusable.

use std::time::Duration;

use worker::js_sys::{Array, Date, Function, Object, Reflect, Uint8Array, global};
use worker::wasm_bindgen::{JsCast, JsValue};
use worker::web_sys::{AbortSignal, Response, console};
use worker::{Delay, Env};

use crate::load::{DEBUG, VERSION_METADATA, is_on};
use crate::runtime::{Binding, Outgoing, PostError, Reply, Runtime};

/// Marks our lines among the application's.
const PREFIX: &str = "[worker-sentry] ";

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
        if let Some(text) = value.as_string() {
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
        let get: Function = get(&secret, "get").dyn_into().ok()?;
        let promise = get.call0(&secret).ok()?;
        settle(promise).await.ok()?.as_string()
    }

    async fn sleep(&self, ms: u32) {
        Delay::from(Duration::from_millis(ms.into())).await;
    }

    // ANCHOR: post
    async fn post(&self, request: Outgoing<'_>, timeout_ms: u32) -> Result<Reply, PostError> {
        let response = fetch(&request, timeout_ms).await.map_err(|thrown| {
            let timed_out = get(&thrown, "name").as_string().as_deref() == Some("TimeoutError");
            if timed_out {
                PostError::TimedOut
            } else {
                PostError::Network
            }
        })?;
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

    fn random_bytes(&self) -> Option<[u8; 16]> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).ok()?;
        Some(bytes)
    }

    fn warn(&self, line: &str) {
        console::warn_1(&JsValue::from_str(&format!("{PREFIX}{line}")));
    }

    fn debug(&self, line: &str) {
        let switch = get(self.env, DEBUG).as_string();
        if switch.as_deref().and_then(is_on) == Some(true) {
            console::log_1(&JsValue::from_str(&format!("{PREFIX}{line}")));
        }
    }
}

/// Reads a property. A getter that throws reads as `undefined`.
fn get(target: &JsValue, name: &str) -> JsValue {
    Reflect::get(target, &JsValue::from_str(name)).unwrap_or(JsValue::UNDEFINED)
}

/// Waits for a promise; a value that is none is its own result.
async fn settle(value: JsValue) -> Result<JsValue, JsValue> {
    match value.dyn_into::<worker::js_sys::Promise>() {
        Ok(promise) => worker::wasm_bindgen_futures::JsFuture::from(promise).await,
        Err(value) => Ok(value),
    }
}

/// Calls the runtime's own `fetch`, looked up by name so that a call that throws
/// is caught.
async fn fetch(request: &Outgoing<'_>, timeout_ms: u32) -> Result<Response, JsValue> {
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
    let promise = fetch.call2(&global, &JsValue::from_str(request.url), &init)?;
    settle(promise).await?.dyn_into()
}
