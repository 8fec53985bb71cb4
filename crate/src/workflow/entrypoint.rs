//! Exports a Rust type as the class of a Workflow.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::rc::Rc;

use futures_util::future::{Either, select};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use worker::wasm_bindgen::{JsCast, JsValue};
use worker::worker_sys::Context as JsContext;
use worker::{Context, Date, DateInit, Env};

use super::js::{self, from_js, to_js};
use super::reporting::{self, Background, FailedSteps};
use super::step::WorkflowStep;

/// A Workflow. Export it with [`workflow!`](crate::workflow!).
pub trait WorkflowEntrypoint {
    /// The type of an instance's parameters; `()` if it has none.
    type Input: DeserializeOwned;
    /// The type of an instance's output.
    type Output: Serialize;

    /// Called for each run of an instance, also when an instance goes on after a sleep.
    fn new(context: Context, env: Env) -> Self;

    /// Runs an instance. Each run begins at the start of this function, so put work that must
    /// happen only once into a [step](WorkflowStep::do_).
    fn run(
        &self,
        event: WorkflowEvent<Self::Input>,
        step: WorkflowStep,
    ) -> impl Future<Output = worker::Result<Self::Output>>;
}

/// The data with which an instance was created.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct WorkflowEvent<T> {
    /// The parameters.
    pub payload: T,
    /// When the instance was created.
    pub timestamp: Date,
    /// The instance's id.
    pub instance_id: String,
    /// The Workflow's `name` in `wrangler.toml`. Empty if an older runtime leaves it out.
    pub workflow_name: String,
    /// The entry of the Workflow's `schedules` in `wrangler.toml` that created the instance, if
    /// one did.
    pub schedule: Option<WorkflowCronSchedule>,
}

/// The schedule that created an instance.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct WorkflowCronSchedule {
    /// The cron expression.
    pub cron: String,
    /// The time for which the instance was scheduled, if the runtime has it.
    pub scheduled_time: Option<Date>,
}

/// Exports a [`WorkflowEntrypoint`] under its own name, the `class_name` of
/// `wrangler.toml`.
///
/// Only the class is exported, so the Worker's default entrypoint gets no new method. See [the
/// module](mod@crate::workflow) for an example.
#[macro_export]
macro_rules! workflow {
    ($class:ident) => {
        const _: () = {
            use $crate::workflow::__private::wasm_bindgen::{self, prelude::wasm_bindgen};
            use $crate::workflow::__private;

            #[wasm_bindgen(
                        js_name = $class,
                        wasm_bindgen = $crate::workflow::__private::wasm_bindgen
                    )]
            pub struct Export(__private::Instance<$class>);

            #[wasm_bindgen(
                        js_class = $class,
                        wasm_bindgen = $crate::workflow::__private::wasm_bindgen,
                        wasm_bindgen_futures = $crate::workflow::__private::wasm_bindgen_futures,
                        js_sys = $crate::workflow::__private::js_sys
                    )]
            impl Export {
                #[wasm_bindgen(constructor)]
                pub fn new(context: __private::Context, env: __private::Env) -> Export {
                    Export(__private::Instance::new(context, env))
                }

                pub async fn run(
                    &self,
                    event: __private::JsValue,
                    step: __private::JsValue,
                ) -> ::core::result::Result<__private::JsValue, __private::JsValue> {
                    let run = self.0.run(::core::stringify!($class), event, step);
                    ::core::panic::AssertUnwindSafe(run).await
                }
            }

            // One start function for each class. It runs after the module has
            // defined the class and before other code can use the class. It has
            // the class's name, because its name must be unique in the crate.
            #[allow(non_snake_case)]
            #[wasm_bindgen(
                        start,
                        private,
                        wasm_bindgen = $crate::workflow::__private::wasm_bindgen
                    )]
            fn $class() {
                __private::extend_workflow_entrypoint(
                    Export(__private::Instance::specimen()).into(),
                );
            }
        };
    };
}

/// An object of the exported class. A build that unwinds requires unwind safety. The assertion
/// is correct, because the object is not used again after a panic in `run`.
pub struct Instance<W>(AssertUnwindSafe<Option<(W, Env, JsValue)>>);

impl<W: WorkflowEntrypoint> Instance<W> {
    /// The constructor of the exported class, `new WorkflowEntrypoint(context, env)`.
    pub fn new(context: JsContext, env: Env) -> Self {
        let handle = JsValue::clone(context.as_ref());
        let workflow = W::new(Context::new(context), env.clone());
        Instance(AssertUnwindSafe(Some((workflow, env, handle))))
    }

    /// An empty object, from which the class is read.
    pub fn specimen() -> Self {
        Instance(AssertUnwindSafe(None))
    }

    /// The method that the engine calls.
    pub async fn run(
        &self,
        class: &'static str,
        event: JsValue,
        step: JsValue,
    ) -> Result<JsValue, JsValue> {
        let Some((workflow, env, context)) = &*self.0 else {
            return Err(js::new_error("this Workflow was not constructed"));
        };
        let event = js::RunEvent::read(&event);
        let instance_id = event.instance_id.clone().unwrap_or_default();
        let workflow_name = event.workflow_name.clone().unwrap_or_default();
        let created_ms = reporting::created_ms(&event.timestamp);
        let creator = reporting::take_trace(&event.payload);
        let failed = FailedSteps::default();
        let context = Context::new(context.clone().unchecked_into());
        let background = Rc::new(Background::of(context));
        let run = async {
            let event = match workflow_event(event) {
                Ok(event) => event,
                Err(error) => return Err(unread(env, class, error).await),
            };
            let beside = Rc::clone(&background);
            let step = WorkflowStep::new(step, env, class, failed.clone(), beside);
            let interrupted = pin!(step.interrupted());
            let run = pin!(workflow.run(event, step));
            match select(run, interrupted).await {
                Either::Left((Ok(output), _)) => match to_js(&output) {
                    Ok(output) => Ok(output),
                    Err(error) => Err(unread(env, class, error).await),
                },
                Either::Left((Err(error), _)) => Err(error.into()),
                // The engine's own error is returned, because the engine recognises it.
                Either::Right((thrown, _)) => {
                    background.interrupt();
                    Err(thrown)
                }
            }
        };
        reporting::enter_run(
            env,
            class,
            &instance_id,
            &workflow_name,
            created_ms,
            creator,
            failed.clone(),
            &background,
            run,
        )
        .await
    }
}

/// Reports an input or an output that does not have its type, and turns the error into the
/// value that is thrown to the engine.
async fn unread(env: &Env, class: &'static str, error: worker::Error) -> JsValue {
    reporting::report_unread(env, class, &error).await;
    error.into()
}

/// Makes the class of `specimen` a subclass of the runtime's own class.
///
/// # Panics
///
/// If the runtime has no Workflows.
pub fn extend_workflow_entrypoint(specimen: JsValue) {
    if let Err(error) = js::extend_workflow_entrypoint(&specimen) {
        worker::wasm_bindgen::throw_val(error);
    }
}

fn workflow_event<T: DeserializeOwned>(event: js::RunEvent) -> worker::Result<WorkflowEvent<T>> {
    let Some(instance_id) = event.instance_id else {
        return Err(worker::Error::RustError("`instanceId` is no text".into()));
    };
    let schedule = schedule(&event.schedule).map(|(cron, ms)| WorkflowCronSchedule {
        cron: cron.to_owned(),
        scheduled_time: ms.map(|ms| DateInit::Millis(ms).into()),
    });
    Ok(WorkflowEvent {
        payload: payload(event.payload)?,
        timestamp: event.timestamp,
        instance_id,
        workflow_name: event.workflow_name.unwrap_or_default(),
        schedule,
    })
}

/// The cron expression of a schedule and the time that it was for, in milliseconds.
fn schedule(told: &Value) -> Option<(&str, Option<u64>)> {
    let cron = told["cron"].as_str()?;
    let ms = told["scheduledTime"].as_f64().filter(|&ms| ms >= 0.0);
    Some((cron, ms.map(|ms| ms as u64)))
}

/// Reads the parameters. An instance that was created without parameters gets an empty object,
/// which serde does not read as `()`.
fn payload<T: DeserializeOwned>(payload: JsValue) -> worker::Result<T> {
    let is_empty = js::is_empty_object(&payload);
    match from_js(payload) {
        Err(_) if is_empty => from_js(JsValue::NULL),
        read => read,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_schedule_is_read_by_the_runtimes_names() {
        let told = json!({ "cron": "0 * * * *", "scheduledTime": 1_798_761_600_000_u64 });
        assert_eq!(
            schedule(&told),
            Some(("0 * * * *", Some(1_798_761_600_000)))
        );
        assert_eq!(
            schedule(&json!({ "cron": "0 * * * *" })),
            Some(("0 * * * *", None))
        );
    }

    #[test]
    fn an_instance_that_was_created_by_hand_has_no_schedule() {
        for told in [
            Value::Null,
            json!({}),
            json!({ "cron": 5 }),
            json!("0 * * * *"),
        ] {
            assert_eq!(schedule(&told), None, "{told}");
        }
    }
}
