//! The thin layer that talks to the runtime. It makes no decisions.

use std::future::Future;
use std::panic::AssertUnwindSafe;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_wasm_bindgen::Serializer;
use worker::js_sys::{self, Array, Error, Function, Object, Promise, Reflect};
use worker::wasm_bindgen::closure::Closure;
use worker::wasm_bindgen::{self, prelude::wasm_bindgen};
use worker::wasm_bindgen::{JsCast, JsValue};
use worker::wasm_bindgen_futures::{JsFuture, future_to_promise};
use worker::{Date, Env};

use super::thrown::{Class, Outgoing, Thrown};
use crate::platform::workerd::get as get_property;

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
    /// A stub of the engine that keeps the instance's progress. Its methods must be
    /// called directly on the stub: a method that is read first and called later fails.
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
    #[wasm_bindgen(method, catch, js_name = "do")]
    pub(super) fn do_with_rollback(
        this: &Step,
        name: &str,
        config: &JsValue,
        body: &Function,
        rollback: &JsValue,
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
    #[wasm_bindgen(method, catch, js_name = restart)]
    pub(super) fn restart_with_options(
        this: &Instance,
        options: &JsValue,
    ) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(method, catch)]
    pub(super) fn status(this: &Instance) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(method, catch, js_name = sendEvent)]
    pub(super) fn send_event(this: &Instance, event: &JsValue) -> Result<JsValue, JsValue>;
}

/// The Workflow bound under a name, if there is one.
pub(super) fn binding(env: &Env, name: &str) -> Option<Binding> {
    let bound = get_property(env, name);
    // A Workflow is recognised by its methods, because the class of the binding differs
    // between local runs and production.
    get_property(&bound, "createBatch")
        .is_function()
        .then(|| bound.unchecked_into())
}

/// The elements of an array.
pub(super) fn elements(array: JsValue) -> impl Iterator<Item = JsValue> {
    array.unchecked_into::<Array>().into_iter()
}

/// The id of an instance.
pub(super) fn id(instance: &Instance) -> Option<String> {
    get_property(instance, "id").as_string()
}

pub(super) fn as_instance(instance: JsValue) -> Instance {
    instance.unchecked_into()
}

pub(super) fn as_step(stub: JsValue) -> Step {
    stub.unchecked_into()
}

/// A Rust function that the engine calls for each attempt. The engine can call it until it is
/// dropped.
pub(super) struct Callback(Closure<dyn FnMut(JsValue) -> Promise>);

impl Callback {
    /// Makes a function that calls `body` with its first argument and returns a promise of the
    /// future's output.
    pub(super) fn new<Fut>(mut body: impl FnMut(JsValue) -> Fut + 'static) -> Self
    where
        Fut: Future<Output = Result<JsValue, JsValue>> + 'static,
    {
        Callback(Closure::wrap_assert_unwind_safe(Box::new(
            move |told: JsValue| future_to_promise(AssertUnwindSafe(body(told))),
        )))
    }

    pub(super) fn function(&self) -> &Function {
        self.0.as_ref().unchecked_ref()
    }

    /// Leaves the function to JavaScript's garbage collector, because it is called after all
    /// Rust code of the run has returned.
    pub(super) fn left_to_javascript(self) -> JsValue {
        self.0.into_js_value()
    }
}

/// The last argument of a step with a rollback.
pub(super) fn rollback_options(rollback: Callback, config: Option<&JsValue>) -> JsValue {
    let options = Object::new();
    let set = |name: &str, value: &JsValue| Reflect::set(&options, &name.into(), value);
    // Setting a property of a new plain object cannot fail.
    let _ = set("rollback", &rollback.left_to_javascript());
    if let Some(config) = config {
        let _ = set("rollbackConfig", config);
    }
    options.into()
}

/// The event that the runtime passes to `run`, not yet converted.
pub(super) struct RunEvent {
    pub(super) payload: JsValue,
    pub(super) timestamp: Date,
    pub(super) instance_id: Option<String>,
    pub(super) workflow_name: Option<String>,
    pub(super) schedule: Value,
}

impl RunEvent {
    pub(super) fn read(event: &JsValue) -> Self {
        RunEvent {
            payload: get_property(event, "payload"),
            timestamp: date(event, "timestamp"),
            instance_id: get_property(event, "instanceId").as_string(),
            workflow_name: get_property(event, "workflowName").as_string(),
            schedule: to_value(get_property(event, "schedule")),
        }
    }
}

/// The event that a step waited for, not yet converted.
pub(super) struct ReceivedEvent {
    pub(super) payload: JsValue,
    pub(super) timestamp: Date,
    pub(super) type_: Option<String>,
    pub(super) sensitive: Value,
}

impl ReceivedEvent {
    pub(super) fn read(event: &JsValue) -> Self {
        ReceivedEvent {
            payload: get_property(event, "payload"),
            timestamp: date(event, "timestamp"),
            type_: get_property(event, "type").as_string(),
            sensitive: to_value(get_property(event, "sensitive")),
        }
    }
}

/// The argument that the runtime passes to a rollback, not yet converted.
pub(super) struct RollbackTold {
    pub(super) context: Value,
    pub(super) error: Thrown,
    /// `None` if it is `undefined` or `null`.
    pub(super) output: Option<JsValue>,
}

impl RollbackTold {
    pub(super) fn read(told: &JsValue) -> Self {
        RollbackTold {
            context: to_value(get_property(told, "ctx")),
            error: read_thrown(&get_property(told, "error")),
            output: Some(get_property(told, "output"))
                .filter(|output| !output.is_undefined() && !output.is_null()),
        }
    }
}

fn date(target: &JsValue, name: &str) -> Date {
    js_sys::Date::new(&get_property(target, name)).into()
}

/// Makes the class of `instance` a subclass of the runtime's
/// `WorkflowEntrypoint`, with `run` as its only method.
pub(super) fn extend_workflow_entrypoint(instance: &JsValue) -> Result<(), JsValue> {
    let class = Reflect::get(instance, &"constructor".into())?;
    let prototype = Reflect::get(&class, &"prototype".into())?;
    // Other Workers can call the methods of an entrypoint. The methods that
    // wasm-bindgen adds to a class could free the object while a Workflow runs, so
    // they are removed. The garbage collector does not need them.
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

/// Waits for the result of a call into the runtime: a promise, a stub's promise or a
/// plain value.
pub(super) async fn settle(called: Result<JsValue, JsValue>) -> Result<JsValue, JsValue> {
    JsFuture::from(Promise::resolve(&called?)).await
}

/// Converts a value into a form that the runtime can store: maps become objects. Fails
/// for a number that JavaScript would round.
pub(super) fn to_js<T: Serialize + ?Sized>(value: &T) -> Result<JsValue, worker::Error> {
    Ok(value.serialize(&Serializer::json_compatible())?)
}

pub(super) fn from_js<T: DeserializeOwned>(value: JsValue) -> Result<T, worker::Error> {
    Ok(serde_wasm_bindgen::from_value(value)?)
}

/// A value as JSON. `null` if it cannot be JSON.
pub(super) fn to_value(value: JsValue) -> Value {
    from_js(value).unwrap_or_default()
}

pub(super) fn is_undefined(value: &JsValue) -> bool {
    value.is_undefined()
}

/// Whether a value is an object without properties.
pub(super) fn is_empty_object(value: &JsValue) -> bool {
    value
        .dyn_ref::<Object>()
        .is_some_and(|object| Object::keys(object).length() == 0)
}

pub(super) fn read_thrown(thrown: &JsValue) -> Thrown {
    let text = |name| get_property(thrown, name).as_string();
    Thrown {
        name: text("name").unwrap_or_default(),
        message: text("message")
            .or_else(|| thrown.as_string())
            .unwrap_or_default(),
    }
}

/// Makes a JavaScript error with the name, the message and the causes of a Rust error.
pub(super) fn make_thrown(outgoing: Outgoing) -> JsValue {
    let (class, message, cause) = match outgoing {
        Outgoing::Original(thrown) => return thrown,
        Outgoing::Made {
            class,
            message,
            cause,
        } => (class, message, cause),
    };
    let error: Error = match class {
        Class::NonRetryable => NonRetryable::new(&message).unchecked_into(),
        Class::Named(name) => {
            let error = Error::new(&message);
            error.set_name(&name);
            error
        }
    };
    if let Some(cause) = cause {
        error.set_cause(&make_thrown(*cause));
    }
    error.into()
}

/// Makes an `Error` with a message of this crate.
pub(super) fn new_error(message: &str) -> JsValue {
    Error::new(message).into()
}
