//! The Workflows binding, in the real runtime.
//!
//! The notes of a Workflow are in the tally of its instance: see the fixture's `workflows.rs` for
//! the routes and `tally.rs` for the notes.

use std::fs;

use harness::receiver::{Receiver, event};
use harness::shared::Shared;
use harness::worker::Worker;
use harness::{environment, wait};
use serde_json::{Value, json};

harness::trials![
    input_and_output_are_typed,
    an_input_of_another_type_is_reported_by_the_binding,
    a_step_that_fails_is_tried_again_and_knows_its_attempt,
    a_steps_error_is_reported_once_after_its_last_attempt_with_its_causes,
    a_non_retryable_error_ends_the_attempts,
    an_error_of_javascript_keeps_its_name_and_cause,
    a_result_that_javascript_would_round_is_an_error,
    sleeping_takes_its_time_and_steps_around_it_run_once,
    an_event_is_typed_and_one_that_is_late_is_a_timeout,
    a_resumed_run_does_not_run_finished_steps_and_a_pause_is_no_error,
    a_handled_error_that_a_step_reports_is_reported_once_in_spite_of_a_replay,
    a_terminated_instance_ends_and_a_restarted_one_begins_anew,
    steps_and_instances_run_side_by_side,
    a_body_is_told_its_step_its_attempt_and_its_configuration,
    a_restart_from_a_step_runs_that_step_again_and_none_before_it,
    a_workflow_that_fails_is_undone_step_by_step_from_its_end,
    a_rollback_that_fails_for_good_is_reported_once,
    a_replay_for_the_rollbacks_ends_where_the_run_had_come_to,
    an_event_knows_the_instance_the_workflow_the_step_and_the_attempt,
    exporting_a_workflow_adds_no_method_to_the_default_entrypoint,
];

/// The Worker that all tests share, and the receiver of its events.
fn fixture() -> &'static (Worker, Receiver) {
    static FIXTURE: Shared<(Worker, Receiver)> = Shared::new();
    FIXTURE.get(|| {
        let receiver = Receiver::accepting();
        let options = Worker::fixture().secret("SENTRY_DSN", &receiver.dsn());
        (options.start(), receiver)
    })
}

/// An instance of a Workflow of the fixture.
struct Instance {
    workflow: &'static str,
    id: &'static str,
}

impl Instance {
    fn create(workflow: &'static str, id: &'static str, params: &Value) -> Self {
        let path = format!("/workflows/create/{workflow}/{id}");
        let answer = fixture().0.post_json(&path, params);
        assert_eq!(answer.status, 202, "{answer:?}");
        assert_eq!(answer.json(), json!({ "id": id }));
        Instance { workflow, id }
    }

    /// Runs a `ScenarioWorkflow`.
    fn play(id: &'static str, scenario: &Value) -> Self {
        Self::create("SCENARIO", id, scenario)
    }

    fn status(&self) -> Value {
        let Instance { workflow, id } = self;
        let path = format!("/workflows/status/{workflow}/{id}");
        fixture().0.get(&path).json()
    }

    fn wait_for(&self, status: &str) -> Value {
        wait::until(
            &format!("{} that is {status}", self.id),
            wait::LIMIT,
            || {
                let seen = self.status();
                (seen["status"] == status).then_some(seen)
            },
        )
    }

    /// Waits for the end of the instance, and returns its output.
    fn output(&self) -> Value {
        self.wait_for("complete")["output"].take()
    }

    fn act(&self, action: &str) -> u16 {
        let Instance { workflow, id } = self;
        let path = format!("/workflows/{action}/{workflow}/{id}");
        fixture().0.post(&path).status
    }

    fn send(&self, event_type: &str, payload: &Value) {
        let Instance { workflow, id } = self;
        let path = format!("/workflows/event/{workflow}/{id}/{event_type}");
        let answer = fixture().0.post_json(&path, payload);
        assert_eq!(answer.status, 200, "{answer:?}");
    }

    fn notes(&self) -> Vec<String> {
        let notes = fixture().0.get(&format!("/tally/{}", self.id)).json();
        let notes = notes.as_array().expect("notes").iter();
        notes
            .map(|note| note.as_str().expect("text").to_owned())
            .collect()
    }

    fn wait_for_note(&self, note: &str) {
        wait::until(&format!("note {note}"), wait::LIMIT, || {
            self.notes().iter().any(|seen| seen == note).then_some(())
        });
    }
}

/// Each event that contains `marker`. The events of other tests are not read, because reading notes
/// an event as seen by this test.
fn events(marker: &str) -> impl Iterator<Item = Value> {
    let requests = fixture().1.requests().into_iter();
    let requests = requests.filter(move |received| received.request.text().contains(marker));
    requests.map(|received| event(&received.request))
}

/// The types and values of each event that contains `marker`, root cause first.
fn reported(marker: &str) -> Vec<Value> {
    events(marker)
        .map(|event| {
            let values = event["exception"]["values"].as_array().expect("exceptions");
            let parts = values.iter().map(|one| json!([one["type"], one["value"]]));
            parts.collect()
        })
        .collect()
}

/// The context `workflow` of each event that contains `marker`.
fn contexts(marker: &str) -> Vec<Value> {
    events(marker)
        .map(|mut event| {
            let mut context = event["contexts"]["workflow"].take();
            // `sentry-core` gives this type to a context that it does not know.
            let values = context.as_object_mut().expect("the context");
            assert_eq!(values.remove("type"), Some("unknown".into()));
            context
        })
        .collect()
}

fn input_and_output_are_typed() {
    let guest = json!({ "name": "Ada", "age": 36 });
    let output = Instance::create("GREETING", "typed", &guest).output();
    assert_eq!(output["text"], "Hello Ada, 36");
    assert_eq!(output["instance_id"], "typed");
    assert_eq!(output["workflow_name"], "greeting");
    assert_eq!(output["is_scheduled"], false);
    assert!(output["created_ms"].as_u64() > Some(1_700_000_000_000));
    // Without parameters, the input is `()`.
    let answer = fixture().0.post("/workflows/create/EMPTY/empty");
    assert_eq!(answer.status, 202, "{answer:?}");
    let empty = Instance {
        workflow: "EMPTY",
        id: "empty",
    };
    assert_eq!(empty.output(), Value::Null);
    // The same holds for an instance that was created without any options.
    let answer = fixture().0.post("/workflows/default/EMPTY");
    assert_eq!(answer.status, 202, "{answer:?}");
    let id = answer.json()["id"].as_str().expect("an id").to_owned();
    let status = format!("/workflows/status/EMPTY/{id}");
    wait::until("the end of it", wait::LIMIT, || {
        let seen = fixture().0.get(&status).json();
        (seen["status"] == "complete").then_some(())
    });
}

fn an_input_of_another_type_is_reported_by_the_binding() {
    let instance = Instance::create("GREETING", "untyped", &json!({ "name": "Ada" }));
    let error = &instance.wait_for("errored")["error"];
    assert_eq!(error["message"], "missing field `age`");
    let event = fixture().1.wait_for_event("missing field `age`");
    assert_eq!(event["transaction"], "GreetingWorkflow.run", "{event:#}");
    assert_eq!(reported("missing field `age`").len(), 1);
}

fn a_step_that_fails_is_tried_again_and_knows_its_attempt() {
    let instance = Instance::play("retry", &json!({ "scenario": "retry", "failures": 2 }));
    assert_eq!(instance.output(), json!({ "attempt": 3 }));
    assert_eq!(
        instance.notes(),
        ["run", "attempt 1", "attempt 2", "attempt 3"]
    );
}

fn a_steps_error_is_reported_once_after_its_last_attempt_with_its_causes() {
    let instance = Instance::play("fail", &json!({ "scenario": "fail", "marker": "doom" }));
    instance.wait_for("errored");
    assert_eq!(
        instance.notes(),
        [
            "run",
            "attempt 1",
            "attempt 2",
            "attempt 3",
            "caught the step `doomed` failed <- attempt 3 failed: doom <- the cause of doom",
        ]
    );
    let chain = json!([
        ["Cause", "the cause of doom"],
        ["Attempt", "attempt 3 failed: doom"],
        ["ScenarioError::Step", "the step `doomed` failed"],
    ]);
    assert_eq!(reported("the cause of doom"), [chain]);
}

fn a_non_retryable_error_ends_the_attempts() {
    let scenario = json!({ "scenario": "non-retryable", "marker": "never" });
    let typed = Instance::play("refused", &scenario);
    typed.wait_for("errored");
    let caught = "caught the step `refused` failed <- nobody tries this again <- never \
                  <- the cause of never";
    assert_eq!(typed.notes(), ["run", "attempt 1", caught]);
    assert_eq!(reported("the cause of never").len(), 1);

    let scenario = json!({ "scenario": "non-retryable-worker-error", "marker": "nevermore" });
    let flat = Instance::play("refused-flat", &scenario);
    flat.wait_for("errored");
    let caught = "caught the step `refused` failed <- nevermore";
    assert_eq!(flat.notes(), ["run", "attempt 1", caught]);
    let chain = json!([
        ["NonRetryableError", "nevermore"],
        ["ScenarioError::Step", "the step `refused` failed"],
    ]);
    assert_eq!(reported("nevermore"), [chain]);
}

fn an_error_of_javascript_keeps_its_name_and_cause() {
    let scenario = json!({ "scenario": "java-script", "marker": "scripted" });
    let instance = Instance::play("script", &scenario);
    let error = instance.wait_for("errored")["error"].take();
    assert_eq!(error, json!({ "name": "TypeError", "message": "scripted" }));
    let caught = "caught the step `script` failed <- TypeError: scripted <- RangeError: the cause";
    assert_eq!(instance.notes(), ["run", caught]);
    assert_eq!(reported("scripted").len(), 1);
}

fn a_result_that_javascript_would_round_is_an_error() {
    let step = Instance::play("unstorable", &json!({ "scenario": "unstorable" }));
    step.wait_for("errored");
    let notes = step.notes();
    assert_eq!(notes.len(), 2, "{notes:?}");
    assert!(
        notes[1].contains("the result of the step cannot be stored"),
        "{notes:?}"
    );
    let output = Instance::play(
        "unstorable-output",
        &json!({ "scenario": "unstorable-output" }),
    );
    let error = output.wait_for("errored")["error"].take();
    assert!(
        error["message"]
            .to_string()
            .contains("18446744073709551615"),
        "{error}"
    );
}

fn sleeping_takes_its_time_and_steps_around_it_run_once() {
    for (id, scenario) in [("sleep", "sleep"), ("until", "sleep-until")] {
        let instance = Instance::play(id, &json!({ "scenario": scenario, "ms": 1_000 }));
        let slept_ms = instance.output()["slept_ms"].as_u64();
        println!("figure: {scenario} of 1000 ms took {slept_ms:?} ms");
        assert!(slept_ms >= Some(990), "{slept_ms:?}");
        assert_eq!(instance.notes(), ["run", "before", "after"]);
    }
}

fn an_event_is_typed_and_one_that_is_late_is_a_timeout() {
    let scenario = json!({ "scenario": "event", "timeout_ms": 60_000 });
    let instance = Instance::play("event", &scenario);
    instance.wait_for_note("before");
    instance.send("approval", &json!({ "by": "Ada", "votes": 3 }));
    let output = instance.output();
    let seen = [&output["by"], &output["votes"], &output["type"]];
    assert_eq!(json!(seen), json!(["Ada", 3, "approval"]));
    assert_eq!(instance.notes(), ["run", "before", "after"]);

    let late = json!({ "scenario": "event", "timeout_ms": 200 });
    let late = Instance::play("event-late", &late);
    assert_eq!(late.output(), "too late");
}

fn a_resumed_run_does_not_run_finished_steps_and_a_pause_is_no_error() {
    let scenario = json!({ "scenario": "event", "timeout_ms": 60_000 });
    let instance = Instance::play("paused", &scenario);
    instance.wait_for_note("before");
    assert_eq!(instance.act("pause"), 200);
    instance.wait_for("paused");
    assert_eq!(instance.act("resume"), 200);
    wait::until("second run", wait::LIMIT, || {
        (instance.notes().len() == 3).then_some(())
    });
    instance.send("approval", &json!({ "by": "Ada", "votes": 3 }));
    instance.output();
    // There is no note of a caught error, so the pause was not treated as an error.
    assert_eq!(instance.notes(), ["run", "before", "run", "after"]);
    assert_eq!(reported("Aborting engine"), [Value::Null; 0]);
}

fn a_handled_error_that_a_step_reports_is_reported_once_in_spite_of_a_replay() {
    let scenario = json!({ "scenario": "handled", "marker": "handled", "ms": 2_000 });
    let instance = Instance::play("handled", &scenario);
    instance.wait_for_note("reported");
    assert_eq!(instance.act("pause"), 200);
    instance.wait_for("paused");
    assert_eq!(instance.act("resume"), 200);
    instance.output();
    let notes = instance.notes();
    let count = |start: &str| notes.iter().filter(|note| note.starts_with(start)).count();
    let counts = ["run", "attempt", "handled", "reported"].map(count);
    assert_eq!(counts, [2, 3, 2, 1], "{notes:#?}");
    assert_eq!(reported("the cause of handled").len(), 1);
    // The context has the step that failed, and not the step that reports it.
    assert_eq!(
        contexts("the cause of handled"),
        [json!({ "instance_id": "handled", "name": "scenario", "step": "doomed", "attempt": 3 })]
    );
}

fn a_terminated_instance_ends_and_a_restarted_one_begins_anew() {
    let scenario = json!({ "scenario": "event", "timeout_ms": 60_000 });
    let ended = Instance::play("terminated", &scenario);
    ended.wait_for_note("before");
    assert_eq!(ended.act("terminate"), 200);
    ended.wait_for("terminated");
    assert_eq!(ended.notes(), ["run", "before"]);
    assert_eq!(ended.act("terminate"), 500, "it has ended");

    let anew = Instance::play("restarted", &scenario);
    anew.wait_for_note("before");
    assert_eq!(anew.act("restart"), 200);
    wait::until("second start", wait::LIMIT, || {
        (anew.notes().len() == 4).then_some(())
    });
    anew.send("approval", &json!({ "by": "Ada", "votes": 3 }));
    anew.output();
    assert_eq!(anew.notes(), ["run", "before", "run", "before", "after"]);
}

fn steps_and_instances_run_side_by_side() {
    let parallel = Instance::play("parallel", &json!({ "scenario": "parallel" }));
    let retry = json!({ "scenario": "retry", "failures": 1 });
    let retry = Instance::play("beside", &retry);
    assert_eq!(parallel.output().as_array().map(Vec::len), Some(2));
    assert_eq!(retry.output(), json!({ "attempt": 2 }));
    let path = "/workflows/batch/GREETING/batch-1/batch-2";
    let guest = json!({ "name": "Ada", "age": 36 });
    let created = fixture().0.post_json(path, &guest).json();
    assert_eq!(created, json!(["batch-1", "batch-2"]));
    for id in ["batch-1", "batch-2"] {
        let instance = Instance {
            workflow: "GREETING",
            id,
        };
        assert_eq!(instance.output()["instance_id"], id);
    }
}

fn a_body_is_told_its_step_its_attempt_and_its_configuration() {
    let told = Instance::play("told", &json!({ "scenario": "told" })).output();
    assert_eq!(
        told[0],
        json!({
            "name": "told", "count": 1, "attempt": 1, "timeout": "30 seconds",
            "limit": 1, "delay": 20, "backoff": "constant", "sensitive": "output",
        })
    );
    // The second step with this name has the default configuration of the runtime.
    let second = &told[1];
    assert_eq!(
        (&second["name"], &second["count"]),
        (&json!("told"), &json!(2))
    );
    assert_eq!(
        (&second["limit"], &second["sensitive"]),
        (&json!(5), &Value::Null)
    );
    assert_eq!(second["timeout"], "10 minutes", "{second}");
}

fn a_restart_from_a_step_runs_that_step_again_and_none_before_it() {
    let instance = Instance::play("restart-from", &json!({ "scenario": "sleep", "ms": 10 }));
    instance.output();
    assert_eq!(instance.notes(), ["run", "before", "after"]);
    let path = |step| format!("/workflows/restart-from/SCENARIO/restart-from/{step}/1");
    assert_eq!(
        fixture().0.post(&path("nowhere")).status,
        500,
        "no such step"
    );
    assert_eq!(fixture().0.post(&path("after")).status, 200);
    wait::until("second run", wait::LIMIT, || {
        (instance.notes().len() == 5).then_some(())
    });
    instance.output();
    assert_eq!(instance.notes(), ["run", "before", "after", "run", "after"]);
}

/// The notes of a rollback scenario's instance that are about rollbacks.
fn undone(instance: &Instance) -> Vec<String> {
    let notes = instance.notes().into_iter();
    notes.filter(|note| note.starts_with("undo")).collect()
}

fn a_workflow_that_fails_is_undone_step_by_step_from_its_end() {
    let scenario = json!({
        "scenario": "rollback", "marker": "sunk", "failures": 2, "waits": false,
    });
    let instance = Instance::play("rollback", &scenario);
    let error = instance.wait_for("errored")["error"].take();
    assert_eq!(error["message"], "outside of any step: sunk");
    // The rollback of the second step fails twice and runs three times.
    let two = "undo two-1 Some(2): Error: outside of any step: sunk";
    let one = "undo one-1 Some(1): Error: outside of any step: sunk";
    assert_eq!(undone(&instance), [two, two, two, one]);
    // The application's own report is the only event, because the rollback succeeded in the end.
    assert_eq!(reported("outside of any step: not undone sunk").len(), 0);

    // A failed step is rolled back as well, and has no output.
    let scenario = json!({ "scenario": "rollback-of-failed", "marker": "spilt" });
    let failed = Instance::play("rollback-of-failed", &scenario);
    failed.wait_for("errored");
    let none = "undo failed-1 None: Error: Cause: the cause of no output";
    assert_eq!(undone(&failed), [none]);
}

fn a_rollback_that_fails_for_good_is_reported_once() {
    let scenario = json!({
        "scenario": "rollback", "marker": "stuck", "failures": 3, "waits": false,
    });
    let instance = Instance::play("stuck", &scenario);
    instance.wait_for("errored");
    let two = "undo two-1 Some(2): Error: outside of any step: stuck";
    assert_eq!(undone(&instance), [two, two, two], "the series ends");
    let message = "outside of any step: not undone stuck";
    let event = fixture().1.wait_for_event(message);
    assert_eq!(
        event["transaction"], "ScenarioWorkflow.rollback",
        "{event:#}"
    );
    assert_eq!(
        contexts(message),
        [json!({ "instance_id": "stuck", "name": "scenario", "step": "two", "attempt": 3 })]
    );
    // An error that a rollback reports itself is not reported a second time.
    let scenario = json!({ "scenario": "rollback-reported", "marker": "itself" });
    Instance::play("rollback-reported", &scenario).wait_for("errored");
    assert_eq!(reported("the cause of reporting itself").len(), 1);
}

fn a_replay_for_the_rollbacks_ends_where_the_run_had_come_to() {
    let scenario = json!({
        "scenario": "rollback", "marker": "called off", "failures": 0, "waits": true,
    });
    let instance = Instance::play("called-off", &scenario);
    instance.wait_for_note("before");
    assert_eq!(instance.act("undo"), 200);
    instance.wait_for("terminated");
    let notes = instance.notes();
    let two = "undo two-1 Some(2): Error: Instance terminated during rollback";
    let one = "undo one-1 Some(1): Error: Instance terminated during rollback";
    let undone = [two, one].map(str::to_owned);
    assert!(notes.ends_with(&undone), "{notes:#?}");
    assert!(!notes.contains(&"after".to_owned()), "{notes:#?}");
    // The end of a replay is not an error of the application.
    let caught = notes.iter().find(|note| note.starts_with("caught"));
    assert_eq!(caught, None);
    assert_eq!(reported("called-off"), [Value::Null; 0]);
}

fn an_event_knows_the_instance_the_workflow_the_step_and_the_attempt() {
    let scenario = json!({ "scenario": "inside", "marker": "within" });
    Instance::play("inside", &scenario).output();
    assert_eq!(
        contexts("the cause of within"),
        [json!({ "instance_id": "inside", "name": "scenario", "step": "inside", "attempt": 2 })]
    );
    let scenario = json!({ "scenario": "outside", "marker": "without" });
    Instance::play("outside", &scenario).wait_for("errored");
    assert_eq!(
        contexts("outside of any step: without"),
        [json!({ "instance_id": "outside", "name": "scenario" })]
    );
    // The failure of a step, reported by the code that catches the errors of all steps.
    let scenario = json!({ "scenario": "fail", "marker": "gloom" });
    Instance::play("failed", &scenario).wait_for("errored");
    assert_eq!(
        contexts("the cause of gloom"),
        [json!({ "instance_id": "failed", "name": "scenario", "step": "doomed", "attempt": 3 })]
    );
    let guest = json!({ "name": "Ada", "age": "many" });
    Instance::create("GREETING", "unread", &guest).wait_for("errored");
    assert_eq!(
        contexts("invalid type: string"),
        [json!({ "instance_id": "unread", "name": "greeting" })]
    );
}

fn exporting_a_workflow_adds_no_method_to_the_default_entrypoint() {
    let module = environment::path("PROOF_FIXTURE").join("index.js");
    let module = fs::read_to_string(module).expect("the built fixture");
    // In a minified bundle the entrypoint is found by the class that it extends.
    let (_, base) = module
        .split_once("WorkerEntrypoint as ")
        .expect("an import of the base class");
    let base = base.split(['}', ',']).next().expect("its name here");
    let (before, after) = module
        .split_once(&format!("=class extends {base}"))
        .expect("an entrypoint");
    let class = before.rsplit([' ', ',', ';']).next().expect("its name");
    let methods: Vec<&str> = after
        .split(&format!("{class}.prototype."))
        .skip(1)
        .filter_map(|rest| rest.split('=').next())
        .collect();
    // The fixture has four events, and `worker` also exports `start`.
    assert_eq!(methods, ["email", "fetch", "queue", "scheduled", "start"]);
    for workflow in ["GreetingWorkflow", "EmptyWorkflow", "ScenarioWorkflow"] {
        assert!(module.contains(&format!(" as {workflow}")), "{workflow}");
    }
}
