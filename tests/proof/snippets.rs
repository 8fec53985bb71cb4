//! The smallest Workers: each works, and reports when it does not.

use libtest_mimic::Trial;
use proof::case::test;
use proof::http::Answer;
use proof::receiver::Receiver;
use proof::wait;
use proof::worker::Worker;
use serde_json::{Value, json};

/// What each of them says of something that is no number.
const NO_NUMBER: &str = "`marker`: invalid digit found in string";

pub fn trials() -> Vec<Trial> {
    vec![
        test(
            "snippets::object_works_and_reports_what_its_alarm_fails_with",
            object_works_and_reports,
        ),
        test(
            "snippets::workflow_works_and_reports_what_its_run_fails_with",
            workflow_works_and_reports,
        ),
        test(
            "snippets::fetch_works_and_reports_what_it_fails_with",
            fetch_works_and_reports,
        ),
    ]
}

fn start(snippet: &'static str) -> (Worker, Receiver) {
    let receiver = Receiver::accepting();
    let options = Worker::snippet(snippet).secret("SENTRY_DSN", &receiver.dsn());
    (options.start(), receiver)
}

fn object_works_and_reports() {
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

fn workflow_works_and_reports() {
    let (worker, receiver) = start("workflow");
    assert_eq!(status(&worker, "1 2 3")["output"], 6);
    assert_eq!(status(&worker, "1 marker 3")["status"], "errored");
    let reported = reported(&receiver);
    let expected = "`1 marker 3`: invalid digit found in string";
    assert_eq!(reported, json!(["SumWorkflow", "run", expected]));
}

/// What has become of a new instance.
fn status(worker: &Worker, params: &str) -> Value {
    let id = worker.post_text("/", params).body;
    wait::until("end of the instance", wait::LIMIT, || {
        let instance = worker.instance("sum", &id);
        // At first there may be none.
        let status = instance["status"].as_str()?;
        (!matches!(status, "running" | "queued")).then_some(instance)
    })
}

fn fetch_works_and_reports() {
    let (worker, receiver) = start("fetch");
    let squared = Answer {
        status: 200,
        body: "144\n".to_owned(),
    };
    assert_eq!(worker.post_text("/", "12"), squared);
    assert_eq!(worker.post_text("/", "marker").status, 500);
    assert_eq!(reported(&receiver), json!(["main", "fetch", NO_NUMBER]));
}

/// Class, handler and root cause of the only event.
fn reported(receiver: &Receiver) -> Value {
    let event = receiver.wait_for_event("marker");
    assert_eq!(receiver.requests().len(), 1);
    let tags = &event["tags"];
    let cause = &event["exception"]["values"][0]["value"];
    json!([tags["class"], tags["handler"], cause])
}
