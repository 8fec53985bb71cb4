//! The thin layer that talks to the runtime. Nothing is decided here.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_wasm_bindgen::Serializer;
use worker::js_sys::{Error, Function, Object, Promise, Reflect};
use worker::wasm_bindgen::{self, prelude::wasm_bindgen};
use worker::wasm_bindgen::{JsCast, JsValue};
use worker::wasm_bindgen_futures::JsFuture;

pub(super) use crate::platform::workerd::get as get_property;

#[wasm_bindgen(module = "cloudflare:workers", wasm_bindgen = wasm_bindgen)]
extern "C" {
    #[wasm_bindgen(thread_local_v2, js_name = WorkflowEntrypoint)]
    static WORKFLOW_ENTRYPOINT: JsValue;
}

#[wasm_bindgen(module = "cloudflare:workflows", wasm_bindgen = wasm_bindgen)]
extern "C" {
    #[wasm_bindgen(extends = Error, js_name = NonRetryableError)]
    type NonRetryable;
    #[wasm_bindgen(constructor, js_class = NonRetryableError)]
    fn new(message: &str) -> NonRetryable;
}

#[wasm_bindgen(wasm_bindgen = wasm_bindgen)]
extern "C" {
    /// A stub on the engine that keeps the instance's progress. Its methods
    /// exist only as calls: taken out of it and called later, they are gone.
    #[derive(Clone, Debug)]
    pub(super) type Step;
    #[wasm_bindgen(method, catch, js_name = "do")]
    pub(super) fn do_(this: &Step, name: &str, body: &Function) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(method, catch, js_name = "do")]
    pub(super) fn do_with_config(
        this: &Step,
        name: &str,
        config: &JsValue,
        body: &Function,
    ) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(method, catch)]
    pub(super) fn sleep(this: &Step, name: &str, duration: &JsValue) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(method, catch, js_name = sleepUntil)]
    pub(super) fn sleep_until(this: &Step, name: &str, ms: f64) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(method, catch, js_name = waitForEvent)]
    pub(super) fn wait_for_event(
        this: &Step,
        name: &str,
        options: &JsValue,
    ) -> Result<JsValue, JsValue>;

    #[derive(Clone, Debug)]
    pub(super) type Binding;
    #[wasm_bindgen(method, catch)]
    pub(super) fn get(this: &Binding, id: &str) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(method, catch)]
    pub(super) fn create(this: &Binding, options: &JsValue) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(method, catch, js_name = createBatch)]
    pub(super) fn create_batch(this: &Binding, batch: &JsValue) -> Result<JsValue, JsValue>;

    #[derive(Clone, Debug)]
    pub(super) type Instance;
    #[wasm_bindgen(method, catch)]
    pub(super) fn pause(this: &Instance) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(method, catch)]
    pub(super) fn resume(this: &Instance) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(method, catch)]
    pub(super) fn terminate(this: &Instance) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(method, catch)]
    pub(super) fn restart(this: &Instance) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(method, catch)]
    pub(super) fn status(this: &Instance) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(method, catch, js_name = sendEvent)]
    pub(super) fn send_event(this: &Instance, event: &JsValue) -> Result<JsValue, JsValue>;
}

/// Makes the class of `instance` one that extends the runtime's
/// `WorkflowEntrypoint`, with no method but `run`.
pub(super) fn extend_workflow_entrypoint(instance: &JsValue) -> Result<(), JsValue> {
    let class = Reflect::get(instance, &"constructor".into())?;
    let prototype = Reflect::get(&class, &"prototype".into())?;
    // An entrypoint's methods can be called from other Workers, and what
    // wasm-bindgen adds to a class would free the object under a running
    // Workflow. The collector needs none of it.
    for key in Reflect::own_keys(&prototype)?.iter() {
        if !["constructor", "run"].iter().any(|&kept| key == *kept) {
            Reflect::delete_property(prototype.unchecked_ref::<Object>(), &key)?;
        }
    }
    WORKFLOW_ENTRYPOINT.with(|base| {
        let base_prototype = Reflect::get(base, &"prototype".into())?;
        set_prototype(&class, base)?;
        set_prototype(&prototype, &base_prototype)
    })
}

fn set_prototype(object: &JsValue, prototype: &JsValue) -> Result<(), JsValue> {
    let object: &Object = object.unchecked_ref();
    Object::try_set_prototype_of(object, prototype.unchecked_ref())?;
    Ok(())
}

/// Waits for what a call into the runtime returned, be it a promise, a stub's
/// promise or a plain value.
pub(super) async fn settle(called: Result<JsValue, JsValue>) -> Result<JsValue, JsValue> {
    JsFuture::from(Promise::resolve(&called?)).await
}

/// Into what the runtime can store: objects for maps, and no number that
/// JavaScript would round.
pub(super) fn to_js<T: Serialize + ?Sized>(value: &T) -> Result<JsValue, worker::Error> {
    Ok(value.serialize(&Serializer::json_compatible())?)
}

pub(super) fn from_js<T: DeserializeOwned>(value: JsValue) -> Result<T, worker::Error> {
    Ok(serde_wasm_bindgen::from_value(value)?)
}

pub(super) fn get_string(target: &JsValue, name: &str) -> Result<String, worker::Error> {
    get_property(target, name)
        .as_string()
        .ok_or_else(|| worker::Error::RustError(format!("`{name}` is no text")))
}

/// The name of what was thrown, if it is an error.
pub(super) fn name(thrown: &JsValue) -> String {
    get_property(thrown, "name").as_string().unwrap_or_default()
}

/// What was thrown, in one line. A thrown value that is no error has no message.
pub(super) fn message(thrown: &JsValue) -> String {
    get_property(thrown, "message")
        .as_string()
        .or_else(|| thrown.as_string())
        .unwrap_or_default()
}

pub(super) fn new_error(name: &str, message: &str) -> Error {
    let error = Error::new(message);
    error.set_name(name);
    error
}

pub(super) fn new_non_retryable(message: &str) -> Error {
    NonRetryable::new(message).unchecked_into()
}
