//! Structured logs: what arrives of a run, when, and what must not wait for it.

use std::collections::BTreeSet;
use std::thread;
use std::time::{Duration, Instant};

use harness::receiver::{Answer, Receiver};
use harness::worker::Worker;
use harness::{run, wait};
use serde_json::{Value, json};

harness::trials![
    the_logs_of_a_run_arrive_in_one_item_with_its_trace_when_it_has_ended,
    each_level_and_each_type_of_a_value_is_as_sentry_specifies_it,
    unless_they_are_turned_on_no_log_leaves_and_nothing_calls_out,
    twenty_runs_at_once_are_twenty_items_and_nothing_is_crossed,
    a_run_sends_ten_items_at_most_and_tells_how_many_logs_it_dropped,
    a_limit_for_logs_keeps_no_event_back,
    a_log_in_a_span_is_on_that_span_and_its_error_in_the_same_trace,
    a_run_that_panics_sends_its_logs_in_either_build,
    what_goes_on_after_the_handler_sends_its_logs_when_it_ends,
    an_object_sends_its_logs_and_a_workflow_those_of_each_step_that_has_ended,
    a_receiver_that_hangs_holds_no_handler_up,
];

fn post(worker: &Worker, case: &str, marker: &str) {
    let answer = worker.post(&format!("/logs/{case}?marker={marker}"));
    assert_eq!(answer.status, 200, "{answer:?}");
}

/// The id of the trace that all these logs are in.
#[track_caller]
fn trace(logs: &[Value]) -> Value {
    let ids: BTreeSet<_> = logs.iter().map(|log| log["trace_id"].to_string()).collect();
    assert_eq!(ids.len(), 1, "{logs:#?}");
    logs[0]["trace_id"].clone()
}

/// Checks that no more items with a marker arrive than these.
#[track_caller]
fn settled(receiver: &Receiver, marker: &str, items: usize) {
    thread::sleep(Duration::from_millis(300));
    assert_eq!(receiver.logs(marker).len(), items, "{marker}");
}

fn the_logs_of_a_run_arrive_in_one_item_with_its_trace_when_it_has_ended() {
    let options = Worker::fixture().var("SENTRY_RELEASE", "app@1.2.3");
    let (worker, receiver) = options.var("SENTRY_ENVIRONMENT", "canary").start_logging();
    post(&worker, "told", "arrive");
    let answered = Instant::now();
    let logs = receiver.wait_for_logs("arrive");
    assert_eq!(
        logs.texts(),
        ["log 0 of arrive", "log 1 of arrive", "log 2 of arrive"]
    );
    assert_eq!(logs.values("at"), [0, 1, 2]);
    let times = logs.logs.iter().map(|log| log["timestamp"].as_f64());
    assert!(times.is_sorted(), "{:#?}", logs.logs);
    trace(&logs.logs);
    for (name, value) in [
        ("sentry.release", "app@1.2.3"),
        ("sentry.environment", "canary"),
        ("sentry.sdk.name", "sentry.rust.cloudflare"),
    ] {
        assert_eq!(logs.values(name), [value; 3], "{name}");
    }
    for log in &logs.logs {
        assert_eq!(log.get("span_id"), None, "no span is recorded");
    }
    // The logs arrived after the end of the run.
    assert!(logs.at + Duration::from_millis(60) > answered);
    settled(&receiver, "arrive", 1);
    assert_eq!(receiver.requests().len(), 1);
    // Another run has another trace.
    post(&worker, "nested", "nested");
    let nested = receiver.wait_for_logs("nested");
    assert_eq!(nested.values("at"), [0, 1, 2, 3]);
    assert_ne!(trace(&nested.logs), trace(&logs.logs));
    settled(&receiver, "nested", 1);
}

fn each_level_and_each_type_of_a_value_is_as_sentry_specifies_it() {
    let (worker, receiver) = Worker::fixture().start_logging();
    post(&worker, "levels", "levels");
    let logs = receiver.wait_for_logs("levels");
    let levels: Vec<_> = logs.logs.iter().map(|log| log["level"].clone()).collect();
    assert_eq!(levels, logs.values("word"));
    assert_eq!(levels.len(), 6);
    let last = &logs.logs[5];
    assert_eq!(last["body"], "ads has 7120 rules");
    for (name, value, kind) in [
        (
            "sentry.message.template",
            json!("{} has {} rules"),
            "string",
        ),
        ("sentry.message.parameter.0", json!("ads"), "string"),
        ("sentry.message.parameter.1", json!(7_120), "integer"),
        ("share", json!(0.5), "double"),
        ("is_new", json!(true), "boolean"),
        ("list", json!("[1,2]"), "string"),
    ] {
        let expected = json!({"value": value, "type": kind});
        assert_eq!(last["attributes"][name], expected, "{name}");
    }
    // Without I/O between the logs the clock may stand still, so a sequence number gives their
    // order.
    let order = logs.logs.iter().map(|log| {
        let sequence = &log["attributes"]["sentry.timestamp.sequence"]["value"];
        (log["timestamp"].as_f64(), sequence.as_u64())
    });
    assert!(order.is_sorted());
}

fn unless_they_are_turned_on_no_log_leaves_and_nothing_calls_out() {
    for value in [None, Some("false"), Some("sloppy")] {
        let receiver = Receiver::accepting();
        let mut options = Worker::fixture().reporting_to(&receiver.dsn());
        if let Some(value) = value {
            options = options.var("SENTRY_ENABLE_LOGS", value);
        }
        let worker = options.start();
        post(&worker, "told", "off");
        post(&worker, "outside", "off");
        thread::sleep(Duration::from_millis(500));
        assert_eq!(receiver.connections(), 0, "{value:?}");
    }
    // Without a DSN, and outside of a wrapper, no logs can be sent.
    let worker = Worker::fixture().var("SENTRY_ENABLE_LOGS", "true").start();
    post(&worker, "told", "no-dsn");
    let (worker, receiver) = Worker::fixture().start_logging();
    post(&worker, "told", "on");
    post(&worker, "outside", "outside");
    receiver.wait_for_logs("on");
    settled(&receiver, "outside", 0);

    // Where logs are turned off, a log makes no call to JavaScript.
    let receiver = Receiver::accepting();
    let counted = || Worker::fixture().reporting_to(&receiver.dsn()).counted();
    let worker = counted().start();
    let calls = |case: &str| {
        worker.post(&format!("/logs/{case}?marker=counted"));
        worker.get("/counts");
        worker.post(&format!("/logs/{case}?marker=counted"));
        worker.get("/counts").json()["out"]
            .as_f64()
            .expect("a count")
    };
    let (few, many) = (calls("levels"), calls("many"));
    assert!((many - few).abs() < 20.0, "{few} and {many}");
    println!(
        "figure: calls of a request with 6 and with 1,007 logs that are off: {few} and {many}"
    );
}

fn twenty_runs_at_once_are_twenty_items_and_nothing_is_crossed() {
    let (worker, receiver) = Worker::fixture().start_logging();
    run::at_once(20, |at| post(&worker, "told", &format!("run-{at}.")));
    let mut traces = BTreeSet::new();
    for at in 0..20 {
        let marker = format!("run-{at}.");
        // `wait_for_logs` fails if a log of the item has another marker.
        let logs = receiver.wait_for_logs(&marker);
        assert_eq!(logs.values("at"), [0, 1, 2]);
        for text in logs.texts() {
            assert!(text.ends_with(&format!("of {marker}")), "{text}");
        }
        traces.insert(trace(&logs.logs).to_string());
    }
    assert_eq!(traces.len(), 20);
    thread::sleep(Duration::from_millis(300));
    assert_eq!(receiver.requests().len(), 20);
}

fn a_run_sends_ten_items_at_most_and_tells_how_many_logs_it_dropped() {
    let (worker, receiver) = Worker::fixture().start_logging();
    post(&worker, "many", "many");
    wait::until("ten items", wait::LIMIT, || {
        (receiver.logs("many").len() >= 10).then_some(())
    });
    settled(&receiver, "many", 10);
    let all = receiver.logs("many");
    let mut numbers: Vec<u64> = Vec::new();
    for item in &all {
        assert_eq!(item.logs.len(), 100);
        numbers.extend(item.values("at").iter().filter_map(Value::as_u64));
    }
    numbers.sort_unstable();
    assert_eq!(numbers, Vec::from_iter(0..1_000));
    let reports: Vec<_> = all.iter().filter_map(|it| it.report.as_ref()).collect();
    let [report] = &reports[..] else {
        panic!("{reports:#?}");
    };
    let items = json!({"reason": "buffer_overflow", "category": "log_item", "quantity": 7});
    assert_eq!(report["discarded_events"][0], items);
    assert_eq!(report["discarded_events"][1]["category"], "log_byte");
    let line = "one run logged more than 1,000 logs or a megabyte; the rest is dropped";
    worker.process().wait_for_line(line, wait::LIMIT);

    post(&worker, "large", "large");
    wait::until("ten items", wait::LIMIT, || {
        (receiver.logs("large").len() >= 10).then_some(())
    });
    settled(&receiver, "large", 10);
    let largest = receiver
        .requests()
        .iter()
        .map(|it| it.request.body.len())
        .max();
    let largest = largest.unwrap_or_default();
    println!("figure: the largest item of logs: {largest} bytes");
    assert!(largest < 1_000_000, "{largest}");
    let said = worker.log().lines();
    assert_eq!(said.iter().filter(|it| it.contains(line)).count(), 2);
}

fn a_limit_for_logs_keeps_no_event_back() {
    let receiver = Receiver::answering(|request, _| match request.text().contains("item_count") {
        true => {
            let limit = ("X-Sentry-Rate-Limits", "600:log_item:key".to_owned());
            Answer::Reply(429, vec![limit], Vec::new())
        }
        false => Answer::ok(),
    });
    let worker = Worker::fixture().logging_to(&receiver.dsn()).start();
    for marker in ["limited-1.", "limited-2."] {
        worker.post(&format!("/logs/error?marker={marker}"));
        receiver.wait_for_event_that(marker, |event| {
            event["exception"].to_string().contains(marker)
        });
    }
    // The first run sends both items before it gets the answer, so only the second run knows the
    // limit.
    thread::sleep(Duration::from_millis(300));
    assert_eq!(receiver.logs("limited-1.").len(), 1);
    assert_eq!(receiver.logs("limited-2.").len(), 0);
    assert_eq!(receiver.events().len(), 2);
}

fn a_log_in_a_span_is_on_that_span_and_its_error_in_the_same_trace() {
    let (worker, receiver) = Worker::fixture()
        .var("SENTRY_TRACES_SAMPLE_RATE", "1")
        .start_logging();
    post(&worker, "span", "spanned");
    let logs = receiver.wait_for_logs("spanned");
    let transaction = receiver.wait_for_transaction("\"description\":\"inner\"");
    let root = &transaction["contexts"]["trace"];
    assert_eq!(trace(&logs.logs), root["trace_id"]);
    assert_eq!(logs.logs[0]["span_id"], root["span_id"]);
    assert_eq!(logs.logs[1]["span_id"], transaction["spans"][0]["span_id"]);

    worker.post("/logs/error?marker=failing.");
    let logs = receiver.wait_for_logs("failing.");
    let event = receiver.wait_for_event_that("event", |event| {
        event["exception"].to_string().contains("failing.")
    });
    let of_event = &event["contexts"]["trace"];
    assert_eq!(trace(&logs.logs), of_event["trace_id"]);
    assert_eq!(logs.logs[0]["span_id"], of_event["span_id"]);
}

fn a_run_that_panics_sends_its_logs_in_either_build() {
    for options in [Worker::fixture(), Worker::unwinding()] {
        let (worker, receiver) = options.start_logging();
        worker.post("/logs/panic?marker=panicking.");
        let logs = receiver.wait_for_logs("panicking.");
        assert_eq!(logs.values("at"), [0, 1, 2]);
        let event = receiver.wait_for_event_that("panic", |event| event["level"] == "fatal");
        assert_eq!(trace(&logs.logs), event["contexts"]["trace"]["trace_id"]);
        settled(&receiver, "panicking.", 1);
        post(&worker, "told", "next.");
        receiver.wait_for_logs("next.");
    }
}

fn what_goes_on_after_the_handler_sends_its_logs_when_it_ends() {
    let (worker, receiver) = Worker::fixture().start_logging();
    post(&worker, "background", "background.");
    wait::until("two items", wait::LIMIT, || {
        (receiver.logs("background.").len() >= 2).then_some(())
    });
    // The two requests may arrive in any order.
    let mut items = receiver.logs("background.");
    items.sort_by_key(|it| it.values("at")[0].as_u64());
    assert_eq!(items[0].values("at"), [0]);
    assert_eq!(items[1].values("at"), [1]);
    assert_eq!(trace(&items[0].logs), trace(&items[1].logs));

    post(&worker, "stream", "stream.");
    let stream = receiver.wait_for_logs("stream.");
    assert_eq!(stream.values("at"), [0, 1, 2]);
    settled(&receiver, "stream.", 1);
    settled(&receiver, "background.", 2);
}

fn an_object_sends_its_logs_and_a_workflow_those_of_each_step_that_has_ended() {
    let (worker, receiver) = Worker::fixture().start_logging();
    let answer = worker.post("/subject/logging/logs?marker=object.");
    assert_eq!(answer.status, 200);
    assert_eq!(receiver.wait_for_logs("object.").values("at"), [0]);
    settled(&receiver, "object.", 1);

    let params = json!({"scenario": "logging", "marker": "workflow."});
    let answer = worker.send(
        "POST",
        "/workflows/create/SCENARIO/logging",
        &[],
        &params.to_string(),
    );
    assert_eq!(answer.status, 202, "{answer:?}");
    // The Workflow waits for an event that is never sent.
    let logs = receiver.wait_for_logs("workflow.");
    assert_eq!(logs.values("at"), [0, 1]);
    trace(&logs.logs);
    settled(&receiver, "workflow.", 1);
}

fn a_receiver_that_hangs_holds_no_handler_up() {
    let receiver = Receiver::answering(|_, _| Answer::Hang);
    let worker = Worker::fixture().logging_to(&receiver.dsn()).start();
    for path in ["/logs/told?marker=m.", "/subject/hanging/logs?marker=o."] {
        let begin = Instant::now();
        let answer = worker.post(path);
        let took = begin.elapsed();
        assert_eq!(answer.status, 200);
        assert!(took < Duration::from_secs(2), "{path} took {took:?}");
    }
    for marker in ["m.", "o."] {
        receiver.wait_for_logs(marker);
    }
    // Sending ends within the limit of a delivery, and leaves no timer.
    wait::until("no open connection", wait::LIMIT, || {
        (receiver.open_connections() == 0).then_some(())
    });
}
