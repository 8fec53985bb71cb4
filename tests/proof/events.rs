//! The content of an event, and what the application may add to it.

use std::collections::BTreeSet;
use std::time::Instant;

use harness::receiver::Receiver;
use harness::run;
use harness::shared::Shared;
use harness::worker::Worker;
use serde_json::{Value, json};

use crate::alarm::tag;

harness::trials![
    a_thrown_javascript_error_keeps_its_name_message_stack_and_cause,
    an_event_names_its_class_handler_mechanism_level_runtime_and_sdk,
    what_a_caller_adds_to_one_report_is_in_no_other_event,
    an_anyhow_error_is_reported_with_its_chain_and_returned_unchanged,
    an_error_reported_inside_is_not_reported_again_on_its_way_out,
    every_function_works_in_one_instance_and_reads_no_clock,
    before_send_changes_or_drops_an_event_and_the_next_one_is_sent,
    a_sample_rate_sends_its_share_and_zero_sends_nothing,
];

fn reporting() -> &'static (Worker, Receiver) {
    static REPORTING: Shared<(Worker, Receiver)> = Shared::new();
    REPORTING.get(|| Worker::fixture().start_reporting())
}

/// Texts that no log may contain. They are signs of a call for the time, or of a trap.
const TRAPS: [&str; 4] = [
    "time not implemented",
    "unreachable",
    "RuntimeError",
    "had hung",
];

pub fn assert_no_trap(worker: &Worker) {
    for sign in TRAPS {
        assert_eq!(worker.process().count_lines(sign), 0, "{sign}");
    }
}

/// The event's level. Sentry treats a missing level as `error`.
pub fn level(event: &Value) -> &str {
    event["level"].as_str().unwrap_or("error")
}

/// The type and the value of each exception, root cause first.
fn chain(event: &Value) -> Vec<(&str, &str)> {
    exceptions(event)
        .iter()
        .map(|exception| (text(&exception["type"]), text(&exception["value"])))
        .collect()
}

fn exceptions(event: &Value) -> &[Value] {
    let values = event["exception"]["values"].as_array();
    values.map(Vec::as_slice).unwrap_or_default()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}"))
}

fn a_thrown_javascript_error_keeps_its_name_message_stack_and_cause() {
    let (worker, receiver) = reporting();
    let id = worker.post("/events/thrown?marker=caught-one").json();
    let event = receiver.wait_for_event("caught-one");
    assert_eq!(event["event_id"], id, "the id that was returned");
    assert_eq!(
        chain(&event),
        [
            ("RangeError", "the cause of caught-one"),
            ("TestError", "caught-one")
        ]
    );
    // The innermost function is the last frame. Below the import that throws come the module's own
    // functions, whose names the build shortens.
    let behind_the_import = |exception: &Value| -> Vec<String> {
        let frames = exception["stacktrace"]["frames"]
            .as_array()
            .expect("frames");
        let names = frames
            .iter()
            .map(|frame| text(&frame["function"]).to_owned());
        names
            .skip_while(|name| !name.contains("throw_error"))
            .skip(1)
            .collect()
    };
    let [cause, error] = exceptions(&event) else {
        panic!("{event:#}");
    };
    let (outer, deepest) = (behind_the_import(error), behind_the_import(cause));
    // How many of the functions are frames of their own is the compiler's choice.
    assert!(
        !outer.is_empty() && outer.len() < deepest.len(),
        "{outer:?} {deepest:?}"
    );
    assert_eq!(outer, deepest[..outer.len()]);
    let frames = error["stacktrace"]["frames"].as_array().expect("frames");
    let last = frames.last().expect("a frame");
    assert!(text(&last["filename"]).ends_with(".js"), "{last}");
    assert!(last["lineno"].as_u64() > Some(0), "{last}");
    assert!(last["colno"].as_u64() > Some(0), "{last}");
    println!("figure: a thrown error's stack has {} frames", frames.len());
}

fn an_event_names_its_class_handler_mechanism_level_runtime_and_sdk() {
    let (worker, receiver) = reporting();
    worker.post("/events/thrown?marker=caught-two");
    let event = receiver.wait_for_event("caught-two");
    assert_eq!(level(&event), "error");
    assert_eq!(event["platform"], "native");
    assert_eq!(event["transaction"], "Events.thrown");
    assert_eq!(tag(&event, "class"), "Events");
    assert_eq!(tag(&event, "handler"), "thrown");
    assert_eq!(event["contexts"]["runtime"]["name"], "cloudflare");
    assert_eq!(event["sdk"]["name"], "sentry.rust.cloudflare");
    assert!(text(&event["sdk"]["version"]).contains('.'));
    let mechanisms: Vec<&Value> = exceptions(&event)
        .iter()
        .map(|exception| &exception["mechanism"])
        .collect();
    let caught = json!({
        "type": "auto.faas.cloudflare.durable_object",
        "handled": false,
        "data": { "class": "Events", "handler": "thrown" },
    });
    // The last exception was caught. A cause was not caught, so it has no mechanism.
    assert_eq!(mechanisms, [&Value::Null, &caught]);
}

fn what_a_caller_adds_to_one_report_is_in_no_other_event() {
    let (worker, receiver) = reporting();
    let markers: Vec<String> = (0..12).map(|n| format!("scope-{n:02}")).collect();
    run::at_once(markers.len(), |number| {
        let (action, marker) = (["rich", "capture"][number % 2], &markers[number]);
        worker.post(&format!("/main/{action}?marker={marker}"));
    });
    for (number, marker) in markers.iter().enumerate() {
        let event = receiver.wait_for_event(marker);
        let seen = json!([
            level(&event),
            tag(&event, "only-here"),
            event["contexts"]["list"]["lines"],
            event["fingerprint"],
        ]);
        let expected = match number % 2 {
            0 => json!(["warning", marker, 12, ["rich", marker]]),
            _ => json!(["error", null, null, null]),
        };
        assert_eq!(seen, expected, "{marker}");
    }
}

fn an_anyhow_error_is_reported_with_its_chain_and_returned_unchanged() {
    let (worker, receiver) = reporting();
    let answer = worker.post("/events/anyhow?marker=any").json();
    let own = "the fixture failed on purpose: any";
    assert_eq!(answer, json!([format!("while sweeping: {own}"), true]));
    let event = receiver.wait_for_event(own);
    assert_eq!(
        chain(&event),
        [("Marker", own), ("Error", "while sweeping")]
    );
    assert_eq!(event["transaction"], "Events.anyhow");
}

fn an_error_reported_inside_is_not_reported_again_on_its_way_out() {
    let (worker, receiver) = reporting();
    worker.post("/main/twice?marker=only-one");
    let event = receiver.wait_for_event("only-one");
    assert_eq!(event["transaction"], "Inner.call");
    // The events of one request arrive in their order, so a second event would arrive before this
    // one.
    worker.post("/main/capture?marker=after-only-one");
    receiver.wait_for_event("after-only-one");
    let count = receiver
        .events()
        .iter()
        .filter(|event| event.to_string().contains(": only-one"))
        .count();
    assert_eq!(count, 1);
}

fn every_function_works_in_one_instance_and_reads_no_clock() {
    let (worker, receiver) = Worker::fixture().start_reporting();
    let instance = worker.get("/instance").json();
    let id = worker.post("/events/every-function?marker=every").json();
    let places = [
        ("full", Some("Events.every")),
        ("boxed", None),
        ("background", None),
        ("isolate", Some("Events.isolate")),
        ("worker", Some("main.fetch")),
    ];
    for (name, transaction) in places {
        let event = receiver.wait_for_event(&format!("every {name}"));
        assert_eq!(event["transaction"], json!(transaction), "{name}");
        if name == "full" {
            assert_eq!(event["event_id"], id);
            assert_eq!(event["level"], "info");
            assert_eq!(event["fingerprint"], json!(["every", "{{ default }}"]));
        }
    }
    worker.post("/subject/every/alarm?marker=every-alarm");
    receiver.wait_for_event("every-alarm");
    assert_eq!(receiver.requests().len(), places.len() + 1);
    let ids: BTreeSet<String> = receiver
        .events()
        .iter()
        .map(|event| event["event_id"].to_string())
        .collect();
    assert_eq!(ids.len(), places.len() + 1, "each event has its own id");
    assert_eq!(worker.get("/instance").json(), instance);
    worker.process().says_once("client initialised");
    assert_no_trap(&worker);
}

fn before_send_changes_or_drops_an_event_and_the_next_one_is_sent() {
    let (worker, receiver) = Worker::fixture().start_reporting();
    let instance = worker.get("/instance").json();
    // These are the isolate's first events, so nothing is initialised before the dropped one.
    for round in 0..3 {
        let answer = worker.post(&format!("/events/dropped-then-sent?marker=after-{round}"));
        let ids = answer.json();
        assert_eq!(ids[0], Value::Null, "{ids}");
        let event = receiver.wait_for_event(&format!("after-{round}"));
        assert_eq!(event["event_id"], ids[1]);
    }
    let id = worker.post("/main/capture?marker=change-me-please").json();
    let event = receiver.wait_for_event("changed-please");
    assert_eq!(event["event_id"], id);
    // The hook's change of an event does not change the handler's own error.
    let answer = worker.post("/main/error?marker=change-me-too");
    assert!(answer.body.contains("change-me-too"), "{answer:?}");
    receiver.wait_for_event("changed-too");
    // Each event came without a report of the dropped ones.
    for received in receiver.requests() {
        let text = received.request.text();
        assert!(!text.contains("drop-me"), "{text}");
        assert!(!text.contains("client_report"), "{text}");
        let (_, items) = harness::receiver::envelope(&received.request);
        assert_eq!(items.len(), 1, "{text}");
    }
    assert_eq!(receiver.requests().len(), 5);
    assert_eq!(worker.get("/instance").json(), instance);
    assert_no_trap(&worker);
}

fn a_sample_rate_sends_its_share_and_zero_sends_nothing() {
    let share = |rate: &str| {
        let (worker, receiver) = Worker::fixture()
            .var("SENTRY_SAMPLE_RATE", rate)
            .start_reporting();
        let began = Instant::now();
        let sent = worker.post("/events/many?marker=sampled").json();
        let took = began.elapsed();
        assert_no_trap(&worker);
        assert_eq!(sent, json!(receiver.requests().len()));
        println!("figure: {sent} of 100 events sent at a sample rate of {rate} in {took:?}");
        receiver.requests().len()
    };
    assert_eq!(share("0"), 0);
    // A correct sampler leaves this range once in a hundred million runs.
    let half = share("0.5");
    assert!((22..=78).contains(&half), "{half}");
}
