//! A limit for repeated errors: which events are sent of an error that occurs again and again.

use harness::case::Trial;
use harness::receiver::Receiver;
use harness::worker::{Worker, WorkerOptions};
use harness::{environment, wait};
use serde_json::json;

/// The line that the crate prints about a held-back event.
const HELD_BACK: &str = "limit_repeats allows no more of this error now; event held back";
const MINUTE_MS: i64 = 60_000;

harness::trials![
    of_twenty_times_one_error_as_many_arrive_as_the_limit_says_and_the_other_error,
    a_minute_later_the_error_leaves_again_and_says_how_many_were_held_back,
    every_way_in_counts_the_same_error_and_a_replay_of_a_workflow_does_not,
    a_panic_that_ends_its_instance_is_always_sent,
    ..in_a_build_that_unwinds(),
];

fn in_a_build_that_unwinds() -> Option<Trial> {
    environment::has_unwinding_build().then(|| harness::trial!(a_panic_that_is_caught_is_counted))
}

fn limited(options: WorkerOptions, most: u32) -> (Worker, Receiver) {
    let (worker, receiver) = options.start_reporting();
    worker.post(&format!("/repeats/limit?most={most}"));
    (worker, receiver)
}

/// Makes a request fail, and returns whether the event was sent: the answer waits for it.
fn is_sent(worker: &Worker, marker: &str) -> bool {
    let answer = worker.post(&format!("/main/capture?marker={marker}"));
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json().is_string()
}

fn of_twenty_times_one_error_as_many_arrive_as_the_limit_says_and_the_other_error() {
    for (most, arriving) in [(0, 20), (5, 5)] {
        let (worker, receiver) = limited(Worker::fixture(), most);
        let sent = (0..20).filter(|_| is_sent(&worker, "again.")).count();
        assert_eq!(sent, arriving, "limit {most}");
        assert!(is_sent(&worker, "rare."));
        // Each answer has waited for its event, so all events have arrived.
        assert_eq!(receiver.requests().len(), arriving + 1, "limit {most}");
        assert_eq!(receiver.count("rare."), 1);
        wait::until("lines of what is held back", wait::LIMIT, || {
            (worker.process().count_lines(HELD_BACK) == 20 - arriving).then_some(())
        });
    }
}

fn a_minute_later_the_error_leaves_again_and_says_how_many_were_held_back() {
    let (worker, receiver) = limited(Worker::fixture().with_clock(), 1);
    let sent = (0..20).filter(|_| is_sent(&worker, "again.")).count();
    assert_eq!(sent, 1);
    worker.set_clock(MINUTE_MS - 20_000);
    assert!(!is_sent(&worker, "again."));
    worker.set_clock(MINUTE_MS);
    assert!(is_sent(&worker, "again."));
    let events = receiver.events();
    let told = events.iter().map(|event| &event["contexts"]["repeats"]);
    let told: Vec<_> = told.collect();
    let context = json!({ "type": "unknown", "held_back": 20 });
    assert_eq!(told, [&json!(null), &context]);
    worker.process().wait_for_line(HELD_BACK, wait::LIMIT);
}

fn every_way_in_counts_the_same_error_and_a_replay_of_a_workflow_does_not() {
    let (worker, receiver) = limited(Worker::fixture(), 1);
    let held_back = |count: usize| {
        wait::until("lines of what is held back", wait::LIMIT, || {
            (worker.process().count_lines(HELD_BACK) == count).then_some(())
        });
    };
    worker.post("/main/error?marker=ways.");
    let event = receiver.wait_for_event("ways.");
    assert_eq!(event["transaction"], "main.fetch");
    worker.post("/subject/ways/fetch?marker=ways.");
    held_back(1);
    worker.post("/subject/ways/alarm?marker=ways.");
    held_back(2);
    let mut socket = worker.socket("/subject/ways/socket");
    socket.send("fail:ways.");
    held_back(3);
    assert_eq!(receiver.count("ways."), 1);

    worker.post("/repeats/limit?most=2");
    // A replay of its run does not count the error again.
    handle(&worker, "first", true);
    assert_eq!(receiver.count("the cause of doomed."), 1);
    handle(&worker, "second", false);
    assert_eq!(receiver.count("the cause of doomed."), 2);
    handle(&worker, "third", false);
    held_back(4);
    assert_eq!(receiver.count("the cause of doomed."), 2);
}

/// Runs a Workflow that reports, in a step, the error of a step. Every instance has the same error.
/// An instance that is to be replayed is paused after that.
fn handle(worker: &Worker, id: &str, is_replayed: bool) {
    let ms = if is_replayed { 2_000 } else { 0 };
    let scenario = json!({ "scenario": "handled", "marker": "doomed.", "ms": ms });
    let path = format!("/workflows/create/SCENARIO/{id}");
    let answer = worker.send("POST", &path, &[], &scenario.to_string());
    assert_eq!(answer.status, 202, "{answer:?}");
    let notes = || worker.get(&format!("/tally/{id}")).json().to_string();
    wait::until("report", wait::LIMIT, || {
        notes().contains("reported").then_some(())
    });
    if is_replayed {
        worker.post(&format!("/workflows/pause/SCENARIO/{id}"));
        ended(worker, id, "paused");
        worker.post(&format!("/workflows/resume/SCENARIO/{id}"));
    }
    ended(worker, id, "complete");
    let runs = notes().matches("\"run\"").count();
    assert_eq!(runs, 1 + usize::from(is_replayed), "{}", notes());
}

fn ended(worker: &Worker, id: &str, as_what: &str) {
    wait::until(as_what, wait::LIMIT, || {
        let status = worker.get(&format!("/workflows/status/SCENARIO/{id}"));
        (status.json()["status"] == as_what).then_some(())
    });
}

fn a_panic_that_ends_its_instance_is_always_sent() {
    let (worker, receiver) = limited(Worker::fixture(), 1);
    for time in 1..=3 {
        worker.post("/repeats/panic?most=1&marker=ends.");
        wait::until("panic", wait::LIMIT, || {
            (receiver.count("ends.") == time).then_some(())
        });
    }
    assert_eq!(worker.process().count_lines(HELD_BACK), 0);
}

fn a_panic_that_is_caught_is_counted() {
    let (worker, receiver) = limited(Worker::unwinding(), 1);
    for _ in 0..3 {
        worker.post("/repeats/panic?most=1&marker=caught.");
    }
    wait::until("lines of what is held back", wait::LIMIT, || {
        (worker.process().count_lines(HELD_BACK) == 2).then_some(())
    });
    let event = receiver.wait_for_event("caught.");
    assert_eq!(event["level"], "fatal");
    assert_eq!(receiver.count("caught."), 1);
}
