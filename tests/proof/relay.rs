//! Sentry's own check of events. Every event that a test waits for is checked by Relay. The tests
//! here check the largest events, and that Relay does reject bad ones.

use harness::http;
use harness::receiver::{self, Receiver};
use harness::relay;
use harness::worker::Worker;
use serde_json::{Value, json};

harness::trials![
    what_sentry_does_not_take_as_it_is_has_an_objection,
    the_settings_that_go_into_an_event_are_taken_as_they_are,
    an_event_is_found_although_its_transaction_came_first,
];

fn capture(options: harness::worker::WorkerOptions) -> Value {
    let (worker, receiver) = options.start_reporting();
    worker.post("/main/rich?marker=judged");
    receiver::event(&receiver.wait_for("judged").request)
}

fn what_sentry_does_not_take_as_it_is_has_an_objection() {
    let good = capture(Worker::fixture());
    assert_eq!(relay::objections(&good), [""; 0], "{good:#}");
    type Spoiling = (&'static str, fn(&mut Value));
    let spoil: [Spoiling; 10] = [
        ("a field that Sentry does not know", |event| {
            event["surprise"] = json!(1);
        }),
        ("a level", |event| event["level"] = json!("bad")),
        ("a time", |event| event["timestamp"] = json!(5.0)),
        ("a release", |event| event["release"] = json!("a\nb")),
        ("an environment", |event| {
            event["environment"] = json!("a/b")
        }),
        ("a tag's key", |event| event["tags"]["a b"] = json!("x")),
        ("a tag's value", |event| event["tags"]["a"] = json!(" x")),
        ("a context's shape", |event| {
            event["contexts"]["a"] = json!(3)
        }),
        ("an exception without a type", |event| {
            event["exception"]["values"][0] = json!({ "type": "", "value": "" });
        }),
        ("a message that is too long", |event| {
            event["exception"]["values"][0]["value"] = json!("x".repeat(9_000));
        }),
    ];
    for (what, spoil) in spoil {
        let mut bad = good.clone();
        spoil(&mut bad);
        assert_ne!(relay::objections(&bad), [""; 0], "{what}");
    }
    println!("figure: Relay has judged {} events so far", relay::judged());
}

/// The platform does not define which of two requests of a run arrives first. So a test must not
/// expect an event in the first envelope with its marker.
fn an_event_is_found_although_its_transaction_came_first() {
    let event = capture(Worker::fixture());
    let receiver = Receiver::accepting();
    let transaction = json!({ "type": "transaction", "transaction": "judged" });
    for (kind, payload) in [("transaction", &transaction), ("event", &event)] {
        let body = format!("{{}}\n{}\n{payload}\n", json!({ "type": kind }));
        let envelopes = format!("{}/api/1/envelope/", receiver.url());
        http::request("POST", &envelopes, &[], &body);
    }
    assert_eq!(receiver.wait_for_event("judged"), event);
}

fn the_settings_that_go_into_an_event_are_taken_as_they_are() {
    let cases = [
        ("compiler@1.2.3+build.5", "staging"),
        ("a release with spaces é", "ümlaut"),
    ];
    for (release, environment) in cases {
        let options = Worker::fixture()
            .var("SENTRY_RELEASE", release)
            .var("SENTRY_ENVIRONMENT", environment);
        let event = capture(options);
        assert_eq!(event["release"], release);
        assert_eq!(event["environment"], environment);
        assert_eq!(relay::objections(&event), [""; 0], "{event:#}");
    }
    // A release that Sentry would reject is named in the console, and is not sent.
    for refused in ["None", "Latest", "..", "a\\b", &"ü".repeat(101)] {
        let options = Worker::fixture()
            .var("SENTRY_RELEASE", refused)
            .var("SENTRY_ENVIRONMENT", refused);
        let event = capture(options);
        assert_eq!(relay::objections(&event), [""; 0], "{refused:?}: {event:#}");
    }
}
