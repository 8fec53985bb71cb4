//! The example works, for every way in, in the real runtime.
//!
//! The other tests make the example fail. These tests serve lists in real syntax from a server of
//! their own, and check what a client, a subscriber and an operator get.

mod batch;
mod compile;
mod limits;
mod progress;
mod refusals;
mod sources;
mod upkeep;

use std::time::Duration;

use harness::http::Answer;
use harness::receiver::Receiver;
use harness::shared::Shared;
use harness::wait;
use harness::worker::{Worker, WorkerOptions};
use serde_json::{Value, json};

use sources::Sources;

/// For operations that take several attempts with pauses of some seconds, or two checks half a
/// minute apart.
const LONG: Duration = Duration::from_secs(120);

harness::trials![
    ..compile::trials(),
    ..batch::trials(),
    ..progress::trials(),
    ..limits::trials(),
    ..upkeep::trials(),
    ..refusals::trials(),
];

/// The example, the server of its sources, and the receiver of its reports.
struct Stage {
    worker: Worker,
    sources: Sources,
    receiver: Receiver,
}

/// The stage that most tests share. Each test uses lists and clients of its own.
fn stage() -> &'static Stage {
    static STAGE: Shared<Stage> = Shared::new();
    STAGE.get(|| Stage::new(|options| options))
}

impl Stage {
    fn new(change: impl FnOnce(WorkerOptions) -> WorkerOptions) -> Self {
        let receiver = Receiver::accepting();
        let options = Worker::listings().reporting_to(&receiver.dsn());
        Stage {
            worker: change(options).start(),
            sources: Sources::new(),
            receiver,
        }
    }

    /// Sends JSON as a separate client, so that no test reaches another test's rate limit.
    #[track_caller]
    fn post(&self, client: &str, path: &str, body: &Value) -> Answer {
        let headers = [("CF-Connecting-IP", client)];
        let body = body.to_string();
        self.worker.send("POST", path, &headers, &body)
    }

    /// Requests the compilation of a list, and returns the answer.
    #[track_caller]
    fn compile(&self, name: &str, sources: &Value) -> Value {
        let request = json!({ "name": name, "sources": sources });
        let answer = self.post(name, "/compile", &request);
        assert_eq!(answer.status, 202, "{answer:?}");
        answer.json()
    }

    /// Waits for a list, and returns it.
    #[track_caller]
    fn list(&self, name: &str) -> String {
        wait::until(&format!("list {name}"), LONG, || {
            let answer = self.worker.get(&format!("/lists/{name}"));
            assert!(matches!(answer.status, 200 | 404), "{answer:?}");
            (answer.status == 200).then_some(answer.body)
        })
    }

    /// Waits for the end of a Workflow's instance.
    #[track_caller]
    fn ended(&self, workflow: &str, id: &str) -> Value {
        wait::until(&format!("end of {id}"), LONG, || {
            Some(self.worker.instance(workflow, id)).filter(has_ended)
        })
    }

    /// The reports so far that contain `marker`: the transaction of each, and the values of its
    /// exceptions, root cause first.
    fn reports(&self, marker: &str) -> Vec<Value> {
        let events = self.receiver.events().into_iter();
        let events = events.filter(|event| event.to_string().contains(marker));
        events.map(|event| outline(&event)).collect()
    }

    /// The only report that contains `marker`.
    #[track_caller]
    fn report(&self, marker: &str) -> Value {
        self.receiver.wait_for_event(marker);
        let reports = self.reports(marker);
        assert_eq!(reports.len(), 1, "{reports:#?}");
        reports[0].clone()
    }
}

/// What the runtime knows of the failure of a Workflow's instance.
#[track_caller]
fn failure(instance: &Value) -> &str {
    assert_eq!(instance["status"], "errored", "{instance:#}");
    instance["error"]["message"].as_str().expect("a message")
}

/// An event's transaction, and the values of its exceptions, root cause first.
fn outline(event: &Value) -> Value {
    let values = event["exception"]["values"].as_array();
    let values = values.into_iter().flatten();
    let values: Vec<&Value> = values.map(|exception| &exception["value"]).collect();
    json!([event["transaction"], values])
}

/// Whether an instance has ended. At first the instance may be missing.
fn has_ended(instance: &Value) -> bool {
    let status = instance["status"].as_str();
    status.is_some_and(|status| matches!(status, "complete" | "errored" | "terminated"))
}

/// A list's rules, without its comment lines.
fn rules(list: &str) -> Vec<&str> {
    list.lines()
        .filter(|line| !line.starts_with(['!', '[']))
        .collect()
}
