//! The caller's side of Workflows: creates instances and controls them.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use worker::wasm_bindgen::JsValue;
use worker::{Env, Result};

use super::duration::WorkflowSleepDuration;
use super::js::{self, from_js, settle, to_js};
use super::reporting;

/// Finds Workflows among the bindings.
///
/// ```no_run
/// use worker::{Env, Response, Result};
/// use worker_sentry::workflow::{CreateOptions, WorkflowEnv};
///
/// async fn start(env: &Env) -> Result<Response> {
///     let options = CreateOptions { params: Some("https://example.com/list"), ..CreateOptions::default() };
///     let instance = env.workflow("COMPILATION")?.create(options).await?;
///     Response::ok(instance.id())
/// }
/// ```
pub trait WorkflowEnv {
    /// The Workflow that is bound as `binding`.
    ///
    /// # Errors
    ///
    /// If no Workflow is bound under this name.
    fn workflow(&self, binding: &str) -> Result<Workflow>;
}

impl WorkflowEnv for Env {
    fn workflow(&self, binding: &str) -> Result<Workflow> {
        match js::binding(self, binding) {
            Some(binding) => Ok(Workflow { binding }),
            None => Err(worker::Error::BindingError(binding.to_owned())),
        }
    }
}

/// A binding to a Workflow. Found with [`WorkflowEnv::workflow`].
///
/// ```no_run
/// use worker::Result;
/// use worker_sentry::workflow::{CreateOptions, Workflow, WorkflowInstance};
///
/// async fn start(workflow: &Workflow, lists: Vec<String>) -> Result<Vec<WorkflowInstance>> {
///     let options = |list| CreateOptions { params: Some(list), ..CreateOptions::default() };
///     workflow.create_batch(lists.into_iter().map(options).collect()).await
/// }
///
/// async fn find(workflow: &Workflow) -> Result<WorkflowInstance> {
///     workflow.get("easylist-42").await
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Workflow {
    binding: js::Binding,
}

impl Workflow {
    /// Creates an instance, which starts at once.
    ///
    /// Within a wrapped handler and with a DSN, the instance becomes a part of the handler's
    /// trace. If its parameters are an object or absent, they get a property `__sentry_trace`,
    /// which [`workflow!`](crate::workflow!) removes before `run` reads them. Waits until the
    /// runtime has created the instance.
    ///
    /// # Errors
    ///
    /// If the id is taken or not allowed, or the parameters cannot be stored.
    pub async fn create<T: Serialize>(
        &self,
        options: CreateOptions<T>,
    ) -> Result<WorkflowInstance> {
        let options = to_js(&options)?;
        let creating = async {
            reporting::carry(std::iter::once(options.clone())).await;
            let instance = settle(self.binding.create(&options)).await?;
            Ok(WorkflowInstance::new(instance))
        };
        #[cfg(feature = "spans")]
        let creating = crate::api::spans::create(creating);
        creating.await
    }

    /// Creates an instance without parameters and with a random id. The instance starts at
    /// once.
    ///
    /// # Errors
    ///
    /// If the runtime refuses.
    pub async fn create_default(&self) -> Result<WorkflowInstance> {
        self.create(CreateOptions::<()>::default()).await
    }

    /// Creates up to 100 instances.
    ///
    /// # Errors
    ///
    /// As for [`create`](Self::create), or if `batch` is empty.
    pub async fn create_batch<T: Serialize>(
        &self,
        batch: Vec<CreateOptions<T>>,
    ) -> Result<Vec<WorkflowInstance>> {
        let batch = to_js(&batch)?;
        let creating = async {
            reporting::carry(js::elements(batch.clone())).await;
            let instances = settle(self.binding.create_batch(&batch)).await?;
            Ok(js::elements(instances).map(WorkflowInstance::new).collect())
        };
        #[cfg(feature = "spans")]
        let creating = crate::api::spans::create(creating);
        creating.await
    }

    /// Finds an instance.
    ///
    /// # Errors
    ///
    /// If there is no instance with this id.
    pub async fn get(&self, id: &str) -> Result<WorkflowInstance> {
        let instance = settle(self.binding.get(id)).await?;
        Ok(WorkflowInstance::new(instance))
    }
}

/// The options of a new instance.
///
/// ```
/// use worker_sentry::workflow::{CreateOptions, RetentionOptions};
///
/// let options = CreateOptions {
///     params: Some("https://example.com/list"),
///     retention: Some(RetentionOptions {
///         success_retention: Some("1 day".into()),
///         ..RetentionOptions::default()
///     }),
///     ..CreateOptions::default()
/// };
/// # let _ = options;
/// ```
#[derive(Clone, Debug, Serialize)]
pub struct CreateOptions<T> {
    /// The instance's id. The default is a random id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The parameters. `run` gets them as the payload of its event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub params: Option<T>,
    /// How long the instance's state is kept after its end. The default depends on the
    /// account's plan. Local runs ignore this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retention: Option<RetentionOptions>,
}

impl<T> Default for CreateOptions<T> {
    fn default() -> Self {
        CreateOptions {
            id: None,
            params: None,
            retention: None,
        }
    }
}

/// How long the state of an instance is kept after its end.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RetentionOptions {
    /// After a successful end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub success_retention: Option<WorkflowSleepDuration>,
    /// After an end by an error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_retention: Option<WorkflowSleepDuration>,
}

/// Where to restart an instance.
///
/// ```
/// use worker_sentry::workflow::{RestartFrom, RestartOptions, StepType};
///
/// let third_of_its_name = RestartFrom {
///     name: "count a list".into(),
///     count: Some(3),
///     type_: Some(StepType::Do),
/// };
/// let options = RestartOptions { from: Some(third_of_its_name) };
/// # let _ = options;
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct RestartOptions {
    /// The first step to run again. The default is to run from the beginning.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<RestartFrom>,
}

/// A step of an instance.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RestartFrom {
    /// The step's name.
    pub name: String,
    /// Which of the steps of this name, counted from 1. The default is the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u32>,
    /// The step's type, if steps of different types have this name.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub type_: Option<StepType>,
}

/// The types of steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum StepType {
    /// A step with a body.
    Do,
    /// A sleep.
    Sleep,
    /// A step that waits for an event.
    WaitForEvent,
}

/// A handle to an instance of a Workflow.
///
/// ```no_run
/// use worker::Result;
/// use worker_sentry::workflow::{InstanceStatusKind, WorkflowInstance};
///
/// async fn approve(instance: &WorkflowInstance) -> Result<()> {
///     let status = instance.status().await?;
///     match status.status {
///         InstanceStatusKind::Paused => instance.resume().await?,
///         InstanceStatusKind::Errored => {
///             worker::console_log!("{}: {:?}", instance.id(), status.error);
///             instance.restart().await?;
///         }
///         _ => {}
///     }
///     instance.send_event("approval", true).await
/// }
/// ```
#[derive(Clone, Debug)]
pub struct WorkflowInstance {
    instance: js::Instance,
}

impl WorkflowInstance {
    fn new(instance: JsValue) -> Self {
        WorkflowInstance {
            instance: js::as_instance(instance),
        }
    }

    /// The id.
    pub fn id(&self) -> String {
        // Every runtime sets the id of an instance.
        js::id(&self.instance).unwrap_or_default()
    }

    /// Asks the runtime for the state of the instance.
    ///
    /// # Errors
    ///
    /// If the runtime does not know the state.
    pub async fn status(&self) -> Result<InstanceStatus> {
        from_js(settle(self.instance.status()).await?)
    }

    /// Pauses the instance at its next step, until it is resumed.
    ///
    /// # Errors
    ///
    /// If the runtime refuses.
    pub async fn pause(&self) -> Result<()> {
        done(self.instance.pause()).await
    }

    /// Lets a paused instance go on.
    ///
    /// # Errors
    ///
    /// If the runtime refuses.
    pub async fn resume(&self) -> Result<()> {
        done(self.instance.resume()).await
    }

    /// Ends the instance. It cannot be resumed.
    ///
    /// # Errors
    ///
    /// If the instance has already ended.
    pub async fn terminate(&self) -> Result<()> {
        done(self.instance.terminate()).await
    }

    /// Starts the instance from the beginning, without the results of earlier steps.
    ///
    /// # Errors
    ///
    /// If the runtime refuses.
    pub async fn restart(&self) -> Result<()> {
        done(self.instance.restart()).await
    }

    /// Starts the instance again from a step. The results of the steps before it are kept.
    ///
    /// A runtime older than June 2026 starts the instance from the beginning instead.
    ///
    /// ```no_run
    /// use worker::Result;
    /// use worker_sentry::workflow::{RestartFrom, RestartOptions, WorkflowInstance};
    ///
    /// async fn store_again(instance: &WorkflowInstance) -> Result<()> {
    ///     let from = RestartFrom { name: "store".into(), count: None, type_: None };
    ///     instance.restart_with_options(RestartOptions { from: Some(from) }).await
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// If the instance has not reached this step, or if the runtime refuses.
    pub async fn restart_with_options(&self, options: RestartOptions) -> Result<()> {
        let options = to_js(&options)?;
        done(self.instance.restart_with_options(&options)).await
    }

    /// Sends an event to
    /// [`WorkflowStep::wait_for_event`](super::WorkflowStep::wait_for_event).
    ///
    /// # Errors
    ///
    /// If the payload cannot be serialised, or the instance cannot receive the event.
    pub async fn send_event<T: Serialize>(&self, type_: &str, payload: T) -> Result<()> {
        let event = Event { type_, payload };
        done(self.instance.send_event(&to_js(&event)?)).await
    }
}

async fn done(called: std::result::Result<JsValue, JsValue>) -> Result<()> {
    settle(called).await?;
    Ok(())
}

#[derive(Serialize)]
struct Event<'e, T> {
    #[serde(rename = "type")]
    type_: &'e str,
    payload: T,
}

/// The status of an instance.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct InstanceStatus {
    /// The instance's state.
    pub status: InstanceStatusKind,
    /// The error by which the instance ended.
    #[serde(default)]
    pub error: Option<InstanceError>,
    /// The output of `run`.
    #[serde(default)]
    pub output: Option<Value>,
}

/// The states of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum InstanceStatusKind {
    /// Not started yet.
    Queued,
    /// Running.
    Running,
    /// Paused, until it is resumed.
    Paused,
    /// Ended by an error.
    Errored,
    /// Ended from outside, for example by [`WorkflowInstance::terminate`].
    Terminated,
    /// Ended successfully.
    Complete,
    /// Sleeping, or waiting for an event.
    Waiting,
    /// Going to be paused at the next step.
    WaitingForPause,
    /// A state that this version does not know.
    #[serde(other)]
    Unknown,
}

/// The error by which an instance ended.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default)]
#[non_exhaustive]
pub struct InstanceError {
    /// The error's name.
    pub name: String,
    /// The error's message.
    pub message: String,
}

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json, to_value};

    use super::*;

    fn status(json: Value) -> InstanceStatus {
        from_value(json).unwrap()
    }

    #[test]
    fn every_state_is_known_by_the_runtimes_name_and_a_new_one_is_unknown() {
        for (name, kind) in [
            ("queued", InstanceStatusKind::Queued),
            ("running", InstanceStatusKind::Running),
            ("paused", InstanceStatusKind::Paused),
            ("errored", InstanceStatusKind::Errored),
            ("terminated", InstanceStatusKind::Terminated),
            ("complete", InstanceStatusKind::Complete),
            ("waiting", InstanceStatusKind::Waiting),
            ("waitingForPause", InstanceStatusKind::WaitingForPause),
            ("unknown", InstanceStatusKind::Unknown),
            ("rollingBack", InstanceStatusKind::Unknown),
        ] {
            assert_eq!(status(json!({ "status": name })).status, kind, "{name}");
        }
    }

    #[test]
    fn a_status_has_the_output_or_the_error_of_the_instance() {
        let complete = status(json!({ "status": "complete", "output": 7, "error": null }));
        assert_eq!((complete.output, complete.error), (Some(json!(7)), None));
        let errored = status(json!({
            "status": "errored",
            "output": null,
            "error": { "name": "CompileError", "message": "no list" },
            "__LOCAL_DEV_STEP_OUTPUTS": [],
        }));
        let error = errored.error.unwrap();
        assert_eq!((&*error.name, &*error.message), ("CompileError", "no list"));
    }

    #[test]
    fn what_is_not_said_is_left_to_the_runtime() {
        let options = CreateOptions::<()>::default();
        assert_eq!(to_value(options).unwrap(), json!({}));
        let options = CreateOptions {
            id: Some("a".into()),
            params: Some([1, 2]),
            retention: Some(RetentionOptions::default()),
        };
        assert_eq!(
            to_value(options).unwrap(),
            json!({ "id": "a", "params": [1, 2], "retention": {} })
        );
    }

    #[test]
    fn retention_has_the_runtimes_names() {
        let retention = RetentionOptions {
            success_retention: Some("1 day".into()),
            error_retention: Some("1 week".into()),
        };
        assert_eq!(
            to_value(retention).unwrap(),
            json!({ "successRetention": "1 day", "errorRetention": "1 week" })
        );
    }

    #[test]
    fn a_restart_has_the_runtimes_names_and_leaves_out_what_is_not_said() {
        assert_eq!(to_value(RestartOptions::default()).unwrap(), json!({}));
        for (type_, name) in [
            (StepType::Do, "do"),
            (StepType::Sleep, "sleep"),
            (StepType::WaitForEvent, "waitForEvent"),
        ] {
            let from = RestartFrom {
                name: "store".into(),
                count: Some(2),
                type_: Some(type_),
            };
            let options = RestartOptions { from: Some(from) };
            assert_eq!(
                to_value(options).unwrap(),
                json!({ "from": { "name": "store", "count": 2, "type": name } })
            );
        }
        let from = RestartFrom {
            name: "store".into(),
            count: None,
            type_: None,
        };
        assert_eq!(to_value(from).unwrap(), json!({ "name": "store" }));
    }

    #[test]
    fn an_event_has_the_runtimes_names() {
        let event = Event {
            type_: "approval",
            payload: true,
        };
        assert_eq!(
            to_value(event).unwrap(),
            json!({ "type": "approval", "payload": true })
        );
    }
}
