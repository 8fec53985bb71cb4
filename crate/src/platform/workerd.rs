//! The thin layer that talks to the runtime.
//!
//! This file makes no decisions. A call into JavaScript either cannot throw, or its exception is
//! caught, because an exception that crosses a Rust frame leaves the WebAssembly instance
//! unusable.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::error::Error;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use uuid::Uuid;
use worker::js_sys::futures::{JsFuture, future_to_promise};
use worker::js_sys::{Array, Date, Map, Number, Object, Promise, Reflect};
use worker::kv::KvError;
use worker::wasm_bindgen::{self, JsCast, JsValue, prelude::wasm_bindgen};
use worker::web_sys::console;
use worker::{Delay, Env};

use super::{
    Binding, Kind, Look, MARKS, Outgoing, PostError, Reply, Runtime, Seen, UrlParts, is_on,
};

/// The name under which `[version_metadata]` is bound, as in Sentry's own
/// JavaScript SDK for this platform. It is an object with an `id`.
pub(crate) const VERSION_METADATA: &str = "CF_VERSION_METADATA";
/// The name of the binding that carries the envelopes: a service binding, or another binding
/// with a `fetch`.
pub(crate) const SERVICE: &str = "SENTRY_SERVICE";
/// The longest part of a text that is read, in UTF-16 units.
const MAX_TEXT: u32 = 16_384;
/// The longest part of a stack that is read, in UTF-16 units. It has room for 50 frames with
/// names of usual length.
const MAX_STACK: u32 = MAX_TEXT;
/// The start of each console line of this crate.
const PREFIX: &str = "[worker-sentry] ";

#[wasm_bindgen(module = "/src/platform/workerd.js", wasm_bindgen = wasm_bindgen)]
extern "C" {
    /// Reads a property. A getter that throws reads as `undefined`.
    pub(crate) fn get(target: &JsValue, name: &str) -> JsValue;
    #[wasm_bindgen(js_name = hasDsn)]
    fn has_dsn(env: &JsValue) -> bool;
    #[wasm_bindgen(js_name = debugSwitch)]
    fn debug_switch(env: &JsValue) -> Option<String>;
    #[wasm_bindgen(js_namespace = life)]
    fn look(value: &JsValue, most: u32) -> Glance;
    #[wasm_bindgen(js_namespace = life, js_name = stackHere)]
    fn stack_here(most: u32) -> Option<Vec<u8>>;
    #[wasm_bindgen(js_namespace = life, js_name = buildId)]
    fn build_id(module: &JsValue) -> Option<Vec<u8>>;
    #[wasm_bindgen(js_name = parseUrl)]
    fn parse_url(text: &str) -> Option<Url>;
    #[wasm_bindgen(js_namespace = life)]
    fn watch(memory: &JsValue, address: u32) -> bool;
    #[wasm_bindgen(js_namespace = life, js_name = willTrap)]
    fn will_trap();
    #[wasm_bindgen(js_namespace = life, js_name = takeUnhandled)]
    fn take_unhandled() -> Array;
    #[wasm_bindgen(js_namespace = life)]
    fn resend() -> Promise;
    #[wasm_bindgen(js_namespace = life)]
    fn address(url: &str, headers: &str) -> JsValue;
    fn post(
        service: &JsValue,
        address: &JsValue,
        body: &[u8],
        timeout_ms: u32,
        keep: bool,
    ) -> Promise;
}

#[wasm_bindgen(module = "/src/platform/native.js", wasm_bindgen = wasm_bindgen)]
extern "C" {
    /// The ids of the span of the platform's own that is active, in one text.
    #[wasm_bindgen(js_name = nativeSpan)]
    pub(crate) fn native_span() -> Option<String>;
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

    /// The result of `look`: the parts of a thrown value.
    type Glance;
    #[wasm_bindgen(method, getter)]
    fn kind(this: &Glance) -> String;
    #[wasm_bindgen(method, getter)]
    fn text(this: &Glance) -> Option<String>;
    #[wasm_bindgen(method, getter)]
    fn name(this: &Glance) -> Option<String>;
    #[wasm_bindgen(method, getter)]
    fn message(this: &Glance) -> Option<String>;
    #[wasm_bindgen(method, getter)]
    fn stack(this: &Glance) -> Option<String>;
    #[wasm_bindgen(method, getter)]
    fn cause(this: &Glance) -> JsValue;
    #[wasm_bindgen(method, getter)]
    fn errors(this: &Glance) -> Option<Array>;
    #[wasm_bindgen(method, getter)]
    fn marks(this: &Glance) -> Option<Array>;

    /// The result of `post` if an answer has more than its status. The status is 0 if there was no
    /// answer.
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
    /// The value that it returns is awaited like a promise, but `instanceof Promise` is false.
    ///
    /// Not `worker::SecretStore`, which reads the secret with all of serde.
    type StoredSecret;
    #[wasm_bindgen(method, catch, js_name = get)]
    fn read(this: &StoredSecret) -> Result<Promise, JsValue>;
}

/// Whether JavaScript knows the address of [`IS_NEWS`].
static WATCHING: AtomicBool = AtomicBool::new(false);
/// Whether there are errors that no code handled. JavaScript sets it by writing into this
/// instance's memory, because an instance that has trapped cannot be called, and because a
/// question from Rust would cost each run a call into JavaScript.
static IS_NEWS: AtomicBool = AtomicBool::new(false);

/// The address of the last request, and JavaScript's object for it.
struct Address {
    url: String,
    headers: Vec<(&'static str, String)>,
    made: JsValue,
}

thread_local! {
    /// The address of the last request; an isolate nearly always has only one.
    static ADDRESS: RefCell<Option<Address>> = const { RefCell::new(None) };
    /// The id of the build. The outer `None` means that it was not looked for yet.
    static BUILD_ID: Cell<Option<Option<Uuid>>> = const { Cell::new(None) };
    /// Whether `SENTRY_DEBUG` is on. `None` means that it was not looked for yet.
    static IS_DEBUGGING: Cell<Option<bool>> = const { Cell::new(None) };
}

/// JavaScript's object for the address of a request. It is kept, so that the same text is passed
/// to JavaScript only once.
fn address_of(request: &Outgoing<'_>) -> JsValue {
    ADDRESS.with(|slot| {
        let mut slot = slot.try_borrow_mut().ok();
        if let Some(Some(known)) = slot.as_deref()
            && known.url == request.url
            && known.headers == request.headers
        {
            return known.made.clone();
        }
        let mut headers = String::new();
        for (name, value) in request.headers {
            if !headers.is_empty() {
                headers.push('\n');
            }
            headers.push_str(name);
            headers.push_str(": ");
            headers.push_str(value);
        }
        let made = address(request.url, &headers);
        if let Some(slot) = slot.as_deref_mut() {
            *slot = Some(Address {
                url: request.url.to_owned(),
                headers: request.headers.to_vec(),
                made: made.clone(),
            });
        }
        made
    })
}

/// The clock and the random numbers for a recording.
#[cfg(feature = "spans")]
pub(crate) const SENSES: super::Senses = super::Senses {
    now_ms: Date::now,
    random: random_bytes,
};

fn random_bytes<const N: usize>() -> Option<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).ok()?;
    Some(bytes)
}

/// The real runtime, seen from one request.
#[derive(Clone)]
pub(crate) struct Workerd<'e> {
    env: Cow<'e, Env>,
}

impl<'e> Workerd<'e> {
    pub(crate) fn new(env: &'e Env) -> Self {
        Workerd {
            env: Cow::Borrowed(env),
        }
    }

    /// A runtime that may outlive the handler whose `env` it was given.
    pub(crate) fn owned(env: &Env) -> Workerd<'static> {
        Workerd {
            env: Cow::Owned(env.clone()),
        }
    }
}

impl Runtime for Workerd<'_> {
    type Secret = JsValue;
    type Value = JsValue;
    type Sent = Promise;

    fn now_ms(&self) -> f64 {
        Date::now()
    }

    fn has_dsn(&self) -> bool {
        has_dsn(&self.env)
    }

    fn binding(&self, name: &'static str) -> Binding<JsValue> {
        let value = get(&self.env, name);
        if value.is_undefined() || value.is_null() {
            return Binding::Absent;
        }
        if name == VERSION_METADATA {
            return match get(&value, "id").as_string() {
                Some(id) => Binding::Text(id),
                None => Binding::NotText,
            };
        }
        // A service binding has every property one asks for, as a method to be called.
        if name == SERVICE && get(&value, "fetch").is_function() {
            return Binding::Service;
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
    fn send(&self, request: Outgoing<'_>, timeout_ms: u32, keep: bool) -> Promise {
        let service = match request.service {
            Some(name) => get(&self.env, name),
            None => JsValue::UNDEFINED,
        };
        post(
            &service,
            &address_of(&request),
            request.body,
            timeout_ms,
            keep,
        )
    }

    async fn answer(&self, sent: Promise) -> Result<Reply, PostError> {
        let answer = JsFuture::from(sent).await;
        let answer = answer.map_err(|_| PostError::Network)?;
        // Nearly every answer is nothing but its status.
        if let Some(status) = answer.as_f64() {
            return Ok(Reply {
                status: status as u16,
                ..Reply::default()
            });
        }
        let answer: Answer = answer.unchecked_into();
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

    fn value(&self, value: &JsValue) -> JsValue {
        value.clone()
    }

    fn value_in(&self, error: &(dyn Error + 'static)) -> Option<JsValue> {
        use worker::Error::{Internal, JsError, KvError as Kv, UnknownJsError};
        if let Some(KvError::JavaScript(value)) = error.downcast_ref() {
            return Some(value.clone());
        }
        match error.downcast_ref()? {
            UnknownJsError { original, .. } | Internal(original) => Some(original.clone()),
            Kv(KvError::JavaScript(value)) => Some(value.clone()),
            JsError(text) => Some(JsValue::from_str(text)),
            _ => None,
        }
    }

    fn look(&self, value: &JsValue) -> Look<JsValue> {
        let glance = look(value, MAX_TEXT);
        let kind = match glance.kind().as_str() {
            "null" => Kind::Null,
            "undefined" => Kind::Undefined,
            "string" => Kind::Text,
            "number" | "boolean" => Kind::Primitive,
            "symbol" => Kind::Symbol,
            "bigint" => Kind::BigInt,
            "function" => Kind::Function,
            _ => Kind::Object,
        };
        let marks = glance.marks().unwrap_or_default();
        Look {
            seen: Seen {
                kind,
                text: glance.text(),
                name: glance.name(),
                message: glance.message(),
                stack: glance.stack(),
            },
            cause: Some(glance.cause()).filter(|cause| !cause.is_undefined()),
            errors: glance.errors().unwrap_or_default().to_vec(),
            marks: MARKS
                .into_iter()
                .zip(marks.iter())
                .filter_map(|(mark, is_set)| is_set.is_truthy().then_some(mark))
                .collect(),
        }
    }

    fn stack(&self) -> Option<String> {
        // As bytes: wasm-bindgen passes a text letter by letter.
        String::from_utf8(stack_here(MAX_STACK)?).ok()
    }

    fn build_id(&self) -> Option<Uuid> {
        let look = || {
            let id = build_id(&wasm_bindgen::module())?;
            Some(Uuid::from_bytes(id.try_into().ok()?))
        };
        let id = BUILD_ID.get().unwrap_or_else(look);
        BUILD_ID.set(Some(id));
        id
    }

    fn is_news(&self) -> bool {
        if !WATCHING.swap(true, Ordering::Relaxed) {
            // An instance's addresses are 32 bits.
            let address = IS_NEWS.as_ptr().addr() as u32;
            let is_news = watch(&wasm_bindgen::memory(), address);
            IS_NEWS.store(is_news, Ordering::Relaxed);
        }
        IS_NEWS.swap(false, Ordering::Relaxed)
    }

    fn take_unhandled(&self) -> Vec<(JsValue, f64)> {
        let pairs = take_unhandled().to_vec();
        let pairs = pairs.chunks_exact(2);
        pairs
            .map(|pair| (pair[0].clone(), pair[1].as_f64().unwrap_or_default()))
            .collect()
    }

    async fn resend(&self) {
        // The promise is never rejected.
        let _ = JsFuture::from(resend()).await;
    }

    fn will_trap(&self) {
        will_trap();
    }

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

    fn random_bytes<const N: usize>(&self) -> Option<[u8; N]> {
        random_bytes()
    }

    fn warn(&self, line: &str) {
        console::warn_1(&JsValue::from_str(&format!("{PREFIX}{line}")));
    }

    fn debug_switch(&self) -> Option<String> {
        debug_switch(&self.env)
    }

    fn debug(&self, line: &str) {
        let look = || self.debug_switch().as_deref().and_then(is_on) == Some(true);
        let is_on = IS_DEBUGGING.get().unwrap_or_else(look);
        IS_DEBUGGING.set(Some(is_on));
        if is_on {
            self.log(line);
        }
    }

    fn log(&self, line: &str) {
        console::log_1(&JsValue::from_str(&format!("{PREFIX}{line}")));
    }
}

/// The text of a variable. `SENTRY_SAMPLE_RATE = 0.5` in a `wrangler.toml` reaches the Worker
/// as a number, and a switch may be `true`.
fn as_text(value: &JsValue) -> Option<String> {
    value
        .as_string()
        .or_else(|| number(value))
        .or_else(|| Some(value.as_bool()?.to_string()))
}

/// A number as JavaScript writes it. This links no code that formats numbers.
fn number(value: &JsValue) -> Option<String> {
    let number: &Number = value.dyn_ref()?;
    Some(number.to_string_with_radix(10).ok()?.into())
}

/// Sets an object of texts as a property of a plain object. Other targets do not change.
pub(crate) fn put_texts(target: &JsValue, name: &str, texts: &[(&str, &str)]) {
    if !target.is_object() || Array::is_array(target) || target.is_instance_of::<Map>() {
        return;
    }
    let object = Object::new();
    for (key, text) in texts {
        let _ = Reflect::set(&object, &JsValue::from_str(key), &JsValue::from_str(text));
    }
    let _ = Reflect::set(target, &JsValue::from_str(name), &object);
}

/// A property. If there is no such property, it is set to a new object.
pub(crate) fn get_or_put(target: &JsValue, name: &str) -> JsValue {
    let found = get(target, name);
    if !found.is_undefined() {
        return found;
    }
    let object = Object::new();
    let _ = Reflect::set(target, &JsValue::from_str(name), &object);
    object.into()
}

/// Removes a property from its object and returns it.
pub(crate) fn take(target: &JsValue, name: &str) -> Option<JsValue> {
    let found = get(target, name);
    if found.is_undefined() {
        return None;
    }
    if let Some(target) = target.dyn_ref::<Object>() {
        let _ = Reflect::delete_property(target, &JsValue::from_str(name));
    }
    Some(found)
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

/// A second handle to a context, for a body that takes the first one.
#[cfg(any(feature = "macros", feature = "tower"))]
#[cfg_attr(
    not(feature = "macros"),
    expect(unreachable_pub, reason = "the attribute's code calls it from outside")
)]
pub fn context(context: &worker::Context) -> worker::Context {
    let handle: &JsValue = context.as_ref().as_ref();
    worker::Context::new(handle.clone().unchecked_into())
}

/// Lets `future` go on although no code waits for it. A Durable Object stays alive for it; in the
/// main Worker the future would end with the handler.
pub(crate) fn go_on(future: impl Future<Output = ()> + 'static) {
    drop(promise(future));
}

/// Lets `future` go on, and passes it to the context's `waitUntil`, so that the runtime waits for
/// it. The returned future ends with it, and need not be polled.
pub(crate) fn go_on_within(
    context: &worker::Context,
    future: impl Future<Output = ()> + 'static,
) -> impl Future<Output = ()> + 'static {
    let promise = promise(future);
    // A runtime that refuses lets it go on all the same, as long as the handler runs.
    let _ = context.as_ref().wait_until(&promise);
    let ended = JsFuture::from(promise);
    async move {
        let _ = ended.await;
    }
}

fn promise(future: impl Future<Output = ()> + 'static) -> Promise {
    future_to_promise(AssertUnwindSafe(async {
        future.await;
        Ok(JsValue::UNDEFINED)
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bindings_that_javascript_knows_by_name_are_those_of_the_table() {
        let script = include_str!("workerd.js");
        for name in ["SENTRY_DSN", "SENTRY_DEBUG"] {
            assert!(crate::steps::load::BINDINGS.contains(&name));
            assert!(script.contains(&format!("get(env, {name:?})")), "{name}");
        }
    }

    #[test]
    fn the_marks_that_javascript_reads_are_those_of_the_table() {
        let script = include_str!("workerd.js");
        assert!(script.contains(&format!("{MARKS:?}")));
    }
}
