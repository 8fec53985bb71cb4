//! The smallest Workers: each works, and reports its failures.

use harness::http::Answer;
use harness::receiver::Receiver;
use harness::wait;
use harness::worker::Worker;
use serde_json::{Value, json};

/// The error of each Worker for a text that is not a number.
const NO_NUMBER: &str = "`marker`: invalid digit found in string";

harness::trials![
    object_works_and_reports_what_its_alarm_fails_with,
    workflow_works_and_reports_what_its_run_fails_with,
    fetch_works_and_reports_what_it_fails_with,
    drill_fails_on_purpose_only_while_drills_are_on,
    drill_reports_as_the_environment_that_it_runs_in,
];

fn start(snippet: &'static str) -> (Worker, Receiver) {
    let receiver = Receiver::accepting();
    let options = Worker::snippet(snippet).secret("SENTRY_DSN", &receiver.dsn());
    (options.start(), receiver)
}

fn object_works_and_reports_what_its_alarm_fails_with() {
    let (worker, receiver) = start("object");
    assert_eq!(worker.post_text("/", "12").status, 200);
    let result = worker.process();
    result.wait_for_line("12 squared is 144", wait::LIMIT);
    assert_eq!(worker.post_text("/", "marker").status, 200);
    let reported = reported(&receiver);
    assert_eq!(
        reported,
        json!(["Jobs", "alarm", format!("job {NO_NUMBER}")])
    );
}

fn workflow_works_and_reports_what_its_run_fails_with() {
    let (worker, receiver) = start("workflow");
    assert_eq!(status(&worker, "1 2 3")["output"], 6);
    assert_eq!(status(&worker, "1 marker 3")["status"], "errored");
    let reported = reported(&receiver);
    let expected = "`1 marker 3`: invalid digit found in string";
    assert_eq!(reported, json!(["SumWorkflow", "run", expected]));
}

/// Makes an instance, and returns its status when it has ended.
fn status(worker: &Worker, params: &str) -> Value {
    let id = worker.post_text("/", params).body;
    wait::until("end of the instance", wait::LIMIT, || {
        let instance = worker.instance("sum", &id);
        // At first the instance may be missing.
        let status = instance["status"].as_str()?;
        (!matches!(status, "running" | "queued")).then_some(instance)
    })
}

fn fetch_works_and_reports_what_it_fails_with() {
    let (worker, receiver) = start("fetch");
    let squared = Answer {
        status: 200,
        body: "144\n".to_owned(),
    };
    assert_eq!(worker.post_text("/", "12"), squared);
    assert_eq!(worker.post_text("/", "marker").status, 500);
    assert_eq!(reported(&receiver), json!(["main", "fetch", NO_NUMBER]));
}

fn drill_fails_on_purpose_only_while_drills_are_on() {
    let (worker, receiver) = start("drill");
    assert_eq!(worker.post_text("/drill", "marker").status, 404);
    assert_eq!(worker.post_text("/", "12").status, 200);
    worker
        .process()
        .wait_for_line("12 squared is 144", wait::LIMIT);
    assert_eq!(receiver.requests().len(), 0);

    let receiver = Receiver::accepting();
    let options = Worker::snippet("drill").secret("SENTRY_DSN", &receiver.dsn());
    let worker = options.secret("DRILLS", "on").start();
    assert_eq!(worker.post_text("/drill", "marker").status, 200);
    let expected = "job `drill marker`: invalid digit found in string";
    assert_eq!(reported(&receiver), json!(["Jobs", "alarm", expected]));
}

fn drill_reports_as_the_environment_that_it_runs_in() {
    for (line, expected) in [
        ("npx wrangler dev", "production"),
        ("npx wrangler dev --env staging", "staging"),
    ] {
        let receiver = Receiver::accepting();
        let options = Worker::snippet("drill").secret("SENTRY_DSN", &receiver.dsn());
        let worker = options.start_by(line);
        assert_eq!(worker.post_text("/", "marker").status, 200);
        let event = receiver.wait_for_event("marker");
        assert_eq!(event["environment"], expected, "{line}");
    }
}

/// Class, handler and root cause of the only event.
fn reported(receiver: &Receiver) -> Value {
    let event = receiver.wait_for_event("marker");
    assert_eq!(receiver.requests().len(), 1);
    let tags = &event["tags"];
    let cause = &event["exception"]["values"][0]["value"];
    json!([tags["class"], tags["handler"], cause])
}
