//! Errors that no application would make on purpose.
//!
//! All of them are captured in one instance, one after another. So a case that breaks the
//! instance also makes the next case fail.

use std::time::{Duration, Instant};

use harness::receiver::Receiver;
use harness::shared::Shared;
use harness::worker::Worker;
use harness::{receiver, relay};
use serde_json::{Value, json};

use crate::events::assert_no_trap;

harness::trials![
    whatever_javascript_throws_is_a_valid_event_and_hurts_nothing,
    whatever_rust_returns_is_a_valid_event_and_hurts_nothing,
    what_is_thrown_is_named_but_none_of_its_properties_is_sent,
];

fn reporting() -> &'static (Worker, Receiver) {
    static REPORTING: Shared<(Worker, Receiver)> = Shared::new();
    REPORTING.get(|| Worker::fixture().start_reporting())
}

/// The largest body that Sentry accepts.
const MAX_BODY: usize = 1_000_000;
/// The longest time of a case, even of the largest one on a busy machine.
const BOUND: Duration = Duration::from_secs(10);

/// Captures a case, and returns the last exception of its event.
fn capture(case: &str) -> Value {
    let (worker, receiver) = reporting();
    let marker = format!("M-{case}-M");
    let instance = worker.get("/instance").json();
    let began = Instant::now();
    let answer = worker.post(&format!("/hostile/{case}?marker={marker}"));
    let took = began.elapsed();
    assert_eq!(answer.status, 200, "{case}: {answer:?}");
    let answer = answer.json();
    assert_eq!(answer["intact"], true, "{case}: {answer}");
    assert_eq!(answer["instance"], instance, "{case}: {answer}");
    assert_eq!(worker.get("/instance").json(), instance, "{case}, later");
    assert!(took < BOUND, "{case} took {took:?}");

    let id = answer["event"]
        .as_str()
        .unwrap_or_else(|| panic!("{case}: no event: {answer}"));
    let received = receiver.wait_for(id);
    let size = received.request.body.len();
    assert!(size <= MAX_BODY, "{case}: {size} bytes");
    let event = receiver::event(&received.request);
    let objections = relay::objections(&event);
    let some = &objections[..objections.len().min(5)];
    assert!(some.is_empty(), "{case}: {some:#?}");
    println!("figure: {case}: {size} bytes in {took:?}");
    let last = event["exception"]["values"]
        .as_array()
        .and_then(|all| all.last());
    last.expect("an exception").clone()
}

/// A case, the type of its exception, and the beginning of its value. `M` stands for the marker.
const THROWN: [(&str, &str, &str); 43] = [
    ("null", "Error", "null"),
    ("undefined", "Error", "undefined"),
    ("number", "Error", "42"),
    ("bigint", "Error", "a bigint"),
    ("boolean", "Error", "false"),
    ("not-a-number", "Error", "NaN"),
    ("string", "Error", "M"),
    ("symbol", "Error", "a symbol"),
    ("function", "", "a function"),
    ("plain-object", "Error", "M"),
    ("empty-object", "Error", "an object"),
    ("no-prototype", "Error", "M"),
    ("date", "Error", "an object"),
    ("promise", "Error", "an object"),
    ("huge-array", "Error", "an object"),
    ("huge-object", "Error", "an object"),
    ("getters-that-throw", "Error", "an object"),
    ("proxy", "Error", "an object"),
    ("revoked-proxy", "Error", "an object"),
    ("revoked-function", "Error", "a function"),
    ("proxy-of-an-error", "Error", "an object"),
    ("error-with-getters", "Error", "an object"),
    ("message-object", "Error", "an object"),
    ("to-string-throws", "Error", "M"),
    ("frozen", "Error", "M"),
    ("dom-exception", "DataError", "M"),
    ("aggregate", "AggregateError", "M"),
    ("subclass", "Odd", "M"),
    ("type-error", "TypeError", "M"),
    ("no-message", "Error", ""),
    ("nameless", "Error", ""),
    ("long-name", "NNNNNNNNNN", "M"),
    ("odd-name", "", "M"),
    ("numbers-for-text", "Error", "M"),
    ("lone-surrogate", "Error", "M"),
    ("nul", "Error", "M"),
    ("ten-megabytes", "Error", "Mxxxxxxx"),
    ("cyclic-cause", "Error", "M"),
    ("deep-cause", "Error", "M 9999"),
    ("long-stack", "Error", "M"),
    ("long-frames", "Error", "M"),
    ("odd-frames", "Error", "M"),
    ("no-such-case", "Error", "M: no such case"),
];

fn whatever_javascript_throws_is_a_valid_event_and_hurts_nothing() {
    for (case, ty, value) in THROWN {
        let exception = capture(case);
        let value = value.replace('M', &format!("M-{case}-M"));
        let starts = |field: &str, with: &str| {
            let text = exception[field].as_str();
            text.is_some_and(|text| text.starts_with(with))
        };
        assert!(starts("type", ty), "{case}: {exception:#}");
        assert!(starts("value", &value), "{case}: {exception:#}");
    }
    let (worker, _) = reporting();
    worker.process().says_once("client initialised");
    assert_no_trap(worker);
}

fn whatever_rust_returns_is_a_valid_event_and_hurts_nothing() {
    for (case, ty, value) in [
        ("rust-ten-megabytes", "Made", "M"),
        ("rust-deep-chain", "Made", "M 9999"),
        ("rust-nul", "Made", "M"),
        ("rust-empty", "Made", ""),
        ("rust-circle", "Circle", "half a message"),
        ("rust-tags", "Made", "M"),
        ("rust-odd-tags", "Made", "M"),
        ("rust-context", "Made", "M"),
        ("rust-contexts", "Made", "M"),
        ("rust-fingerprint", "Made", "M"),
        ("rust-no-such-case", "Made", "M"),
    ] {
        let exception = capture(case);
        let value = value.replace('M', &format!("M-{case}-M"));
        assert_eq!(exception["type"], ty, "{case}");
        let text = exception["value"].as_str().expect("text");
        assert!(text.starts_with(&value), "{case}: {text}");
    }
    let (worker, _) = reporting();
    assert_no_trap(worker);
}

fn what_is_thrown_is_named_but_none_of_its_properties_is_sent() {
    let (worker, receiver) = reporting();
    let answer = worker
        .post("/hostile/plain-object?marker=named-only")
        .json();
    let sent = receiver.wait_for(answer["event"].as_str().expect("an id"));
    assert!(!sent.request.text().contains("hunter2"));
    assert_eq!(receiver::event(&sent.request)["extra"], json!(null));
}
