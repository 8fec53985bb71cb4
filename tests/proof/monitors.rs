//! Check-ins of cron monitors: what arrives, when, and what must not wait for it.

use std::collections::BTreeSet;
use std::thread;
use std::time::{Duration, Instant};

use harness::receiver::{Answer, Receiver};
use harness::run;
use harness::worker::{Worker, WorkerOptions};
use serde_json::{Value, json};

harness::trials![
    a_run_checks_in_while_it_goes_on_and_when_it_has_ended,
    a_run_that_fails_is_an_error_of_the_monitor_and_an_event_of_one_trace,
    a_panic_ends_the_run_of_the_monitor_in_either_build,
    a_receiver_that_is_slow_or_hangs_holds_no_handler_up,
    a_limit_for_monitors_keeps_no_event_back,
    twenty_runs_at_once_are_twenty_pairs,
    the_examples_cron_trigger_checks_in_with_its_own_schedule,
];

fn reporting(options: WorkerOptions) -> (Worker, Receiver) {
    options.start_reporting()
}

/// Both check-ins of a run, after checking that the second one belongs to the first.
#[track_caller]
fn pair(receiver: &Receiver, monitor: &str, status: &str) -> (Value, Value) {
    let (begins, at) = receiver.wait_for_check_in(monitor, "in_progress");
    let (ends, after) = receiver.wait_for_check_in(monitor, status);
    assert!(at <= after, "{monitor}");
    for field in ["check_in_id", "contexts", "environment", "monitor_config"] {
        assert_eq!(begins[field], ends[field], "{monitor}");
    }
    (begins, ends)
}

fn a_run_checks_in_while_it_goes_on_and_when_it_has_ended() {
    let (worker, receiver) = reporting(Worker::fixture());
    let answered = thread::scope(|scope| {
        let post = scope.spawn(|| {
            let answer = worker.post("/monitors/ok?marker=twice");
            assert_eq!(answer.status, 200);
            Instant::now()
        });
        post.join().expect("an answer")
    });
    let (begins, ends) = pair(&receiver, "twice", "ok");
    let (_, at) = receiver.wait_for_check_in("twice", "in_progress");
    assert!(
        answered - at > Duration::from_millis(250),
        "while it goes on"
    );
    let config = json!({
        "schedule": {"type": "interval", "value": 5, "unit": "minute"},
        "checkin_margin": 2,
        "max_runtime": 1,
        "timezone": "Etc/UTC",
    });
    assert_eq!(begins["monitor_config"], config);
    let took = ends["duration"].as_f64().unwrap_or_default();
    assert!((0.4..5.0).contains(&took), "{took}");
    assert_eq!(receiver.check_ins().len(), 2);
    assert!(receiver.events().is_empty());
}

fn a_run_that_fails_is_an_error_of_the_monitor_and_an_event_of_one_trace() {
    let (worker, receiver) = reporting(Worker::fixture());
    worker.post("/monitors/error?marker=failing");
    let (begins, _) = pair(&receiver, "failing", "error");
    let event = receiver.wait_for_event_that("event", |event| {
        event["exception"]["values"][0]["value"]
            .as_str()
            .is_some_and(|it| it.contains("failing"))
    });
    let trace = &event["contexts"]["trace"]["trace_id"];
    assert_eq!(trace, &begins["contexts"]["trace"]["trace_id"]);
}

fn a_panic_ends_the_run_of_the_monitor_in_either_build() {
    for options in [Worker::fixture(), Worker::unwinding()] {
        let (worker, receiver) = reporting(options);
        worker.post("/monitors/panic?marker=panicking");
        pair(&receiver, "panicking", "error");
        receiver.wait_for_event_that("panic", |event| event["level"] == "fatal");
        assert_eq!(worker.post("/monitors/quick?marker=next").status, 200);
        pair(&receiver, "next", "ok");
        assert_eq!(receiver.check_ins().len(), 4);
    }
}

/// Runs a monitor that succeeds at once. Its answer must come within `most`. Returns the time
/// between the two check-ins.
#[track_caller]
fn between_check_ins(receiver: &Receiver, monitor: &str, most: Duration) -> Duration {
    let worker = Worker::fixture().reporting_to(&receiver.dsn()).start();
    let begin = Instant::now();
    let answer = worker.post(&format!("/monitors/quick?marker={monitor}"));
    let took = begin.elapsed();
    assert_eq!(answer.status, 200);
    assert!(took < most, "{took:?}");
    let (_, first) = receiver.wait_for_check_in(monitor, "in_progress");
    let (_, second) = receiver.wait_for_check_in(monitor, "ok");
    second - first
}

fn a_receiver_that_is_slow_or_hangs_holds_no_handler_up() {
    // The receiver answers the first check-in after a second, and the second check-in waits for
    // that.
    let slow = Receiver::answering(|_, number| {
        if number == 0 {
            thread::sleep(Duration::from_secs(1));
        }
        Answer::ok()
    });
    let between = between_check_ins(&slow, "slow", Duration::from_millis(800));
    assert!(between > Duration::from_millis(900), "{between:?}");

    let hanging = Receiver::answering(|_, _| Answer::Hang);
    let between = between_check_ins(&hanging, "hanging", Duration::from_secs(2));
    assert!(between < Duration::from_millis(4_500), "{between:?}");
}

fn a_limit_for_monitors_keeps_no_event_back() {
    let receiver = Receiver::answering(|request, _| match request.text().contains("check_in_id") {
        true => {
            let limit = ("X-Sentry-Rate-Limits", "600:monitor:key".to_owned());
            Answer::Reply(429, vec![limit], Vec::new())
        }
        false => Answer::ok(),
    });
    let worker = Worker::fixture().reporting_to(&receiver.dsn()).start();
    worker.post("/monitors/error?marker=limited-1");
    worker.post("/monitors/error?marker=limited-2");
    for marker in ["limited-1", "limited-2"] {
        receiver.wait_for_event_that(marker, |event| event.to_string().contains(marker));
    }
    assert_eq!(receiver.check_ins().len(), 1);
}

fn twenty_runs_at_once_are_twenty_pairs() {
    let (worker, receiver) = reporting(Worker::fixture());
    run::at_once(20, |at| {
        worker.post(&format!("/monitors/ok?marker=run-{at}"));
    });
    let (mut ids, mut traces) = (BTreeSet::new(), BTreeSet::new());
    for at in 0..20 {
        let (begins, _) = pair(&receiver, &format!("run-{at}"), "ok");
        ids.insert(begins["check_in_id"].to_string());
        traces.insert(begins["contexts"].to_string());
    }
    assert_eq!((ids.len(), traces.len()), (20, 20));
    assert_eq!(receiver.check_ins().len(), 40);
}

fn the_examples_cron_trigger_checks_in_with_its_own_schedule() {
    let (worker, receiver) = reporting(Worker::listings());
    worker.get("/cdn-cgi/handler/scheduled?cron=0+*+*+*+2-6");
    let (begins, _) = pair(&receiver, "cron-0-x-x-x-2to6", "ok");
    let config = &begins["monitor_config"];
    let schedule = json!({"type": "crontab", "value": "0 * * * mon-fri"});
    assert_eq!(config["schedule"], schedule);
    assert_eq!(
        (&config["checkin_margin"], &config["max_runtime"]),
        (&json!(5), &json!(10))
    );
}
