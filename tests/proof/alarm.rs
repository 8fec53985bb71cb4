//! One failing alarm, through all six steps.

use libtest_mimic::Trial;
use proof::bugsink;
use proof::case::test;
use proof::worker::Worker;
use serde_json::{Value, json};

pub fn trials() -> Vec<Trial> {
    vec![test(
        "alarm::a_failing_alarm_reaches_bugsink_with_its_chain",
        a_failing_alarm_reaches_bugsink_with_its_chain,
    )]
}

fn a_failing_alarm_reaches_bugsink_with_its_chain() {
    let project = bugsink::project();
    let worker = Worker::listings()
        .with_drills()
        .secret("SENTRY_DSN", &project.dsn)
        .start();
    println!("{:?}", worker.started_in());
    let answer = worker.drill("rate-limiter/alarm", "proof-1");
    assert_eq!(answer.status, 202, "{answer:?}");
    let event = project.wait_for_event("proof-1");
    println!("{event:#}");
    let _ = (json!({}), Value::Null);
}
