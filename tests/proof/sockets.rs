//! Sockets that break, seen by a client.

use std::time::{Duration, Instant};

use harness::receiver::{Answer, Receiver};
use harness::worker::Worker;
use serde_json::json;

/// The time that a busy machine may add. A capture that delayed the teardown would add the five
/// seconds that it may take.
const SLACK: Duration = Duration::from_secs(3);

harness::trials![
    a_client_that_breaks_the_protocol_is_reported_once,
    a_receiver_that_hangs_does_not_hold_up_the_teardown,
];

fn a_client_that_breaks_the_protocol_is_reported_once() {
    let receiver = Receiver::accepting();
    let worker = start(Some(&receiver));
    let mut socket = worker.socket("/lists/broken/progress");
    socket.break_the_protocol();
    let event = receiver.wait_for_event("list `broken`");
    let tags = &event["tags"];
    let seen = json!([tags["class"], tags["handler"]]);
    assert_eq!(seen, json!(["WsHibernationDo", "websocket_error"]));
    let values = event["exception"]["values"].as_array().expect("exceptions");
    let texts: Vec<&str> = values
        .iter()
        .filter_map(|value| value["value"].as_str())
        .collect();
    let [cause, caught] = texts[..] else {
        panic!("{texts:?}");
    };
    assert!(cause.starts_with("WebSocket protocol error"), "{cause}");
    assert_eq!(caught, "the socket of a subscriber to list `broken` failed");
    assert_eq!(values[1]["mechanism"]["handled"], true, "{event:#}");
    // The runtime refuses the frame before the object's own code sees it.
    assert_eq!(socket.until_the_end(), ["close 1002 Unknown opcode 3"]);
    assert_eq!(receiver.requests().len(), 1);
}

fn a_receiver_that_hangs_does_not_hold_up_the_teardown() {
    let hanging = Receiver::answering(|_, _| Answer::Hang);
    let with = start(Some(&hanging));
    let without = start(None);
    // The first request to each Worker also starts other parts, so it is not measured.
    for (worker, name) in [(&with, "first-with"), (&without, "first-without")] {
        teardown(worker, name);
    }
    let (calm, _) = teardown(&without, "calm");
    let (held, seen) = teardown(&with, "held");
    // The object has closed the socket while its report was still being sent.
    assert_eq!(seen, ["close 1011 socket error"]);
    hanging.wait_for("list `held`");
    assert!(hanging.open_connections() > 0);
    println!("figure: teardown took {calm:?} with no DSN, {held:?} with a receiver that hangs");
    assert!(held < calm + SLACK, "{held:?} against {calm:?}");

    // The result is the same if the client breaks the protocol: the object serves the next one.
    let mut broken = with.socket("/lists/broken/progress");
    broken.break_the_protocol();
    hanging.wait_for("list `broken`");
    let (next, _) = teardown(&with, "broken");
    assert!(next < calm + SLACK, "{next:?} against {calm:?}");
}

/// Breaks a subscriber's socket, and returns how long the teardown took for the subscriber, and
/// what it received.
fn teardown(worker: &Worker, list: &str) -> (Duration, Vec<String>) {
    let socket = worker.socket(&format!("/lists/{list}/progress"));
    let broken = Instant::now();
    assert_eq!(worker.drill("ws-hibernation/error", list).status, 202);
    let seen = socket.until_the_end();
    (broken.elapsed(), seen)
}

fn start(receiver: Option<&Receiver>) -> Worker {
    let options = Worker::listings().with_drills();
    match receiver {
        Some(receiver) => options.secret("SENTRY_DSN", &receiver.dsn()).start(),
        None => options.start(),
    }
}
