//! A failing application behaves the same with and without a DSN.
//!
//! Each host fails in two Workers, one with a DSN and one without. The test compares everything
//! that can be seen from outside.

use std::thread;

use harness::receiver::Receiver;
use harness::shared::Shared;
use harness::wait;
use harness::worker::Worker;
use serde_json::{Value, json};

use crate::hosts::{HOSTS, Host, SECOND_ATTEMPT};

harness::trials![
    a_request_that_fails_has_the_same_answer_without_a_dsn,
    ..HOSTS.iter().map(|host| {
        let name = host.drill.replace(['/', '-'], "_");
        let rule = format!("{name}_fails_in_the_same_way_without_a_dsn");
        harness::trial!(rule, || fails_in_the_same_way(host))
    }),
];

fn fails_in_the_same_way(host: &Host) {
    let (both, receiver) = workers();
    let seen = both.each_ref().map(|worker| fail(worker, host));
    println!("{}: {:#}", host.drill, seen[1]);
    assert_eq!(seen[0], seen[1]);
    // The Worker with the DSN did send a report.
    receiver.wait_for(&marker(host));
}

fn a_request_that_fails_has_the_same_answer_without_a_dsn() {
    let (both, receiver) = workers();
    let answers = both.each_ref().map(|worker| {
        worker.store("LISTS", "list:same-request", "spoiled by a test");
        worker.get("/lists/same-request")
    });
    assert_eq!(answers[0], answers[1]);
    assert_eq!(answers[0].status, 500, "{answers:?}");
    let event = receiver.wait_for_event("list `same-request`");
    assert_eq!(event["transaction"], "main.fetch", "{event:#}");
}

/// One Worker with a DSN and one without, and the receiver of the first.
fn workers() -> &'static ([Worker; 2], Receiver) {
    static WORKERS: Shared<([Worker; 2], Receiver)> = Shared::new();
    WORKERS.get(|| {
        let receiver = Receiver::accepting();
        let with = Worker::listings().secret("SENTRY_DSN", &receiver.dsn());
        let both = [with, Worker::listings()].map(|it| it.secret("DRILLS", "on").start());
        (both, receiver)
    })
}

fn marker(host: &Host) -> String {
    format!("same-{}", host.drill.replace('/', "-"))
}

/// Makes a host fail, and returns everything that can be seen of it.
fn fail(worker: &Worker, host: &Host) -> Value {
    let marker = marker(host);
    let subscriber = worker.socket(&format!("/lists/{marker}/progress"));
    let answer = worker.drill(host.drill, &marker);
    let mut seen = json!({ "status": answer.status });
    let mut accepted = answer.json();
    let object = accepted["object"].take();
    seen["answer"] = accepted;
    if let Some(workflow) = host.drill.strip_suffix("/run") {
        let id = object.as_str().expect("an instance");
        seen["instance"] = outcome(worker, workflow, id);
    }
    if host.drill == "ws-hibernation/error" {
        seen["socket"] = json!(subscriber.until_the_end());
    }
    // During this time the runtime runs again what it retries.
    thread::sleep(SECOND_ATTEMPT);
    let lines = worker.log().lines();
    let mut lines: Vec<&String> = lines.iter().filter(|line| line.contains(&marker)).collect();
    // These lines contain the time of a request, which varies.
    lines.retain(|line| !line.starts_with("[wrangler:info]"));
    lines.sort_unstable();
    seen["log"] = json!(lines);
    seen["list"] = json!(worker.get(&format!("/lists/{marker}")).status);
    seen["alive"] = json!(worker.get("/").status);
    seen
}

/// The status of an instance, and the result of each attempt of its steps.
fn outcome(worker: &Worker, workflow: &str, id: &str) -> Value {
    let ended = wait::until("end of the instance", wait::LIMIT, || {
        let instance = worker.instance(workflow, id);
        let status = instance["status"].as_str()?;
        matches!(status, "errored" | "complete" | "terminated").then_some(instance)
    });
    let steps = ended["steps"].as_array().cloned().unwrap_or_default();
    let steps = steps.iter().map(|step| {
        let attempts = step["attempts"].as_array().cloned().unwrap_or_default();
        let attempts: Vec<Value> = attempts
            .iter()
            .map(|attempt| json!([attempt["success"], attempt["error"]]))
            .collect();
        json!([step["name"], step["success"], attempts])
    });
    json!({
        "status": ended["status"],
        "error": ended["error"],
        "output": ended["output"],
        "steps": steps.collect::<Value>(),
    })
}
