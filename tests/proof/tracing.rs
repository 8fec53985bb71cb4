//! What `tracing` records: errors become events, warnings and information become the breadcrumbs
//! before them, and everything becomes a log if logs are turned on.

use std::collections::BTreeSet;
use std::thread;
use std::time::Duration;

use harness::receiver::{Receiver, envelope};
use harness::run;
use harness::worker::Worker;
use serde_json::{Value, json};

harness::trials![
    an_error_is_an_event_with_its_chain_its_fields_and_the_trail_before_it,
    an_error_is_told_once_whoever_tells_it_and_whoever_returns_it,
    with_logs_on_everything_is_a_log_of_the_same_trace,
    twenty_runs_at_once_share_the_layer_and_nothing_else,
    an_instrumented_function_is_a_span_and_what_it_tells_is_on_it,
    a_panic_has_the_trail_and_outside_of_a_run_nothing_is_told,
];

fn post(worker: &Worker, case: &str, marker: &str) {
    worker.post(&format!("/tracing/{case}?marker={marker}"));
}

/// The only event that contains a marker.
#[track_caller]
fn only_event(receiver: &Receiver, marker: &str) -> Value {
    receiver.wait_for_event_that(marker, |event| event.to_string().contains(marker));
    thread::sleep(Duration::from_millis(300));
    let mut events = receiver.events();
    events.retain(|event| event.to_string().contains(marker));
    assert_eq!(events.len(), 1, "{events:#?}");
    events.remove(0)
}

/// Whether an event has the data of a run of `told` with this marker.
#[track_caller]
fn is_told(event: &Value, marker: &str) {
    let values = event["exception"]["values"].as_array().expect("a chain");
    assert_eq!(values.len(), 2, "{event:#}");
    assert_eq!(values[1]["type"], "Stored");
    let text = format!("the list could not be stored: {marker}");
    assert_eq!(values[1]["value"], text);
    assert_eq!(values[1]["mechanism"]["type"], "auto.log.tracing");
    assert_eq!(values[1]["mechanism"]["handled"], true);
    assert_eq!(event["logger"], "fixture::tracing");
    assert_eq!(event["tags"]["plan"], marker);
    assert_eq!(event["transaction"], "main.fetch");
    let fields = &event["contexts"]["Rust Tracing Fields"];
    assert_eq!(
        (&fields["at"], &fields["marker"]),
        (&json!(2), &json!(marker))
    );
    let location = &event["contexts"]["Rust Tracing Location"];
    assert_eq!(location["module_path"], "fixture::tracing");
    let trail = event["breadcrumbs"]["values"].as_array().expect("a trail");
    let texts: Vec<_> = trail.iter().map(|it| it["message"].clone()).collect();
    assert_eq!(texts, [format!("begin {marker}"), format!("slow {marker}")]);
    assert_eq!(trail[1]["level"], "warning");
    assert_eq!(trail[1]["category"], "fixture::tracing");
    let data = json!({"marker": marker, "at": 1, "share": 0.5});
    assert_eq!(trail[1]["data"], data);
}

fn an_error_is_an_event_with_its_chain_its_fields_and_the_trail_before_it() {
    let (worker, receiver) = Worker::fixture().start_reporting();
    post(&worker, "told", "told.");
    let event = only_event(&receiver, "told.");
    is_told(&event, "told.");
    let text = format!("{}{}", event["logentry"], event["message"]);
    assert!(text.contains("not stored, told."), "{event:#}");
    let threads = &event["threads"]["values"][0]["stacktrace"]["frames"];
    assert!(threads.as_array().is_some_and(|it| !it.is_empty()));

    post(&worker, "text", "text.");
    let event = only_event(&receiver, "text.");
    assert_eq!(event["exception"], Value::Null);
    let text = format!("{}{}", event["logentry"], event["message"]);
    assert!(text.contains("the mirror is away: text."), "{event:#}");
    // No log is sent, and no other request.
    assert_eq!(receiver.requests().len(), 2);
}

fn an_error_is_told_once_whoever_tells_it_and_whoever_returns_it() {
    let (worker, receiver) = Worker::fixture().start_reporting();
    for case in ["returned", "twice"] {
        let marker = format!("once-{case}.");
        post(&worker, case, &marker);
        let event = only_event(&receiver, &marker);
        let text = format!("{}{}", event["logentry"], event["message"]);
        assert!(text.contains("told by a helper"), "{event:#}");
    }
    assert_eq!(receiver.requests().len(), 2);
}

fn with_logs_on_everything_is_a_log_of_the_same_trace() {
    let (worker, receiver) = Worker::fixture().start_logging();
    post(&worker, "told", "logged.");
    let logs = receiver.wait_for_logs("logged.");
    let levels: Vec<_> = logs.logs.iter().map(|log| log["level"].clone()).collect();
    assert_eq!(levels, ["info", "warn", "error"]);
    assert_eq!(
        logs.texts(),
        ["begin logged.", "slow logged.", "not stored, logged."]
    );
    assert_eq!(logs.values("at"), [0, 1, 2]);
    assert_eq!(logs.values("sentry.origin"), ["auto.log.tracing"; 3]);
    assert_eq!(logs.values("logger.name"), ["fixture::tracing"; 3]);
    let error = &logs.logs[2]["attributes"]["error"]["value"];
    assert_eq!(error, "the list could not be stored: logged.");
    let event = receiver.wait_for_event_that("event", |event| event["exception"] != Value::Null);
    is_told(&event, "logged.");
    for log in &logs.logs {
        assert_eq!(log["trace_id"], event["contexts"]["trace"]["trace_id"]);
    }
}

fn twenty_runs_at_once_share_the_layer_and_nothing_else() {
    let (worker, receiver) = Worker::fixture().start_logging();
    run::at_once(20, |at| post(&worker, "told", &format!("run-{at}.")));
    let mut traces = BTreeSet::new();
    for at in 0..20 {
        let marker = format!("run-{at}.");
        let event = receiver.wait_for_event_that(&marker, |event| event["tags"]["plan"] == *marker);
        is_told(&event, &marker);
        // `wait_for_logs` fails if a log of the item has another marker.
        let logs = receiver.wait_for_logs(&marker);
        assert_eq!(logs.values("at"), [0, 1, 2]);
        assert_eq!(
            logs.logs[0]["trace_id"],
            event["contexts"]["trace"]["trace_id"]
        );
        traces.insert(logs.logs[0]["trace_id"].to_string());
    }
    assert_eq!(traces.len(), 20);
    thread::sleep(Duration::from_millis(300));
    assert_eq!(receiver.requests().len(), 40);
}

fn an_instrumented_function_is_a_span_and_what_it_tells_is_on_it() {
    let receiver = Receiver::accepting();
    let worker = Worker::fixture()
        .logging_to(&receiver.dsn())
        .var("SENTRY_TRACES_SAMPLE_RATE", "1")
        .start();
    post(&worker, "spans", "spans.");
    let transaction = receiver.wait_for_transaction("\"type\":\"transaction\"");
    let spans = transaction["spans"].as_array().expect("spans");
    assert_eq!(spans.len(), 3, "{transaction:#}");
    let named = |name: &str| {
        let mut named = spans.iter().filter(|span| span["description"] == name);
        named.next().unwrap_or_else(|| panic!("no {name}"))
    };
    let both = named("both");
    let root = &transaction["contexts"]["trace"];
    assert_eq!(both["parent_span_id"], root["span_id"]);
    assert_eq!(both["op"], "fixture::tracing::both");
    assert_eq!(both["data"]["marker"], "spans.");
    for name in ["left.", "right."] {
        let span = named(name);
        assert_eq!(span["parent_span_id"], both["span_id"], "{name}");
        assert_eq!(span["op"], "db");
        assert_eq!(span["origin"], "auto.tracing");
        let marker = format!("spans.{name}");
        let event = receiver.wait_for_event_that(&marker, |event| {
            event["exception"].to_string().contains(&marker)
        });
        assert_eq!(event["contexts"]["trace"]["span_id"], span["span_id"]);
        let logs = receiver.requests().into_iter().find_map(|it| {
            let (_, items) = envelope(&it.request);
            items
                .into_iter()
                .find(|(header, _)| header["type"] == "log")
        });
        let (_, logs) = logs.expect("logs");
        let logs = logs["items"].as_array().expect("logs");
        let of_span = logs.iter().filter(|log| log["span_id"] == span["span_id"]);
        assert_eq!(of_span.count(), 2, "{logs:#?}");
    }
}

fn a_panic_has_the_trail_and_outside_of_a_run_nothing_is_told() {
    let (worker, receiver) = Worker::fixture().start_logging();
    post(&worker, "outside", "outside.");
    post(&worker, "panic", "panic.");
    let event = receiver.wait_for_event_that("panic", |event| event["level"] == "fatal");
    let trail = &event["breadcrumbs"]["values"];
    assert_eq!(trail[0]["message"], "about to panic, panic.");
    assert_eq!(
        receiver.wait_for_logs("panic.").texts(),
        ["about to panic, panic."]
    );
    thread::sleep(Duration::from_millis(300));
    assert_eq!(receiver.count("outside."), 0);
    assert_eq!(receiver.requests().len(), 2);
}
