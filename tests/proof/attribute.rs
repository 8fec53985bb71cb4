//! One attribute on an `impl`: the failure of each handler is reported with the handler's own name.

use harness::receiver::Receiver;
use harness::worker::Worker;
use serde_json::{Value, json};

harness::trials![
    each_handler_of_an_attributed_object_is_reported_once_with_its_names,
    a_panic_of_an_attributed_constructor_is_reported_by_the_next_instance,
];

/// Class, handler, and the type of the caught error.
fn reported(receiver: &Receiver, marker: &str) -> Value {
    let event = receiver.wait_for_event(marker);
    assert_eq!(receiver.count(marker), 1, "reported more than once");
    let exceptions = event["exception"]["values"].as_array().expect("a chain");
    let caught = exceptions.last().expect("an error");
    json!([
        event["tags"]["class"],
        event["tags"]["handler"],
        caught["type"]
    ])
}

fn each_handler_of_an_attributed_object_is_reported_once_with_its_names() {
    let (worker, receiver) = Worker::fixture().start_reporting();
    let plain = "worker::Error::RustError";

    worker.post("/attributed/one/fetch?marker=in.fetch.");
    let expected = json!(["Attributed", "fetch", plain]);
    assert_eq!(reported(&receiver, "in.fetch."), expected);

    // This handler fails with an error type of the application.
    worker.post("/attributed/one/alarm?marker=in.alarm.");
    let expected = json!(["Attributed", "alarm", "Marker"]);
    assert_eq!(reported(&receiver, "in.alarm."), expected);

    let mut socket = worker.socket("/attributed/one/socket");
    socket.send("in.message.");
    let expected = json!(["Attributed", "websocket_message", plain]);
    assert_eq!(reported(&receiver, "in.message."), expected);
    socket.close("in.close.");
    let expected = json!(["Attributed", "websocket_close", plain]);
    assert_eq!(reported(&receiver, "in.close."), expected);

    let mut socket = worker.socket("/attributed/one/socket");
    socket.break_the_protocol();
    let event = receiver.wait_for_event("websocket_error");
    assert_eq!(event["transaction"], "Attributed.websocket_error");
}

fn a_panic_of_an_attributed_constructor_is_reported_by_the_next_instance() {
    let (worker, receiver) = Worker::fixture().start_reporting();
    // No handler of this isolate has run in a wrapper before.
    worker.post("/attributed/fragile/new?marker=in.new.");
    // The runtime drops what a constructor sends. The next instance sends it again, at the end of
    // its first wrapped handler.
    worker.post("/main/ok");
    let event = receiver.wait_for_event("in.new.");
    assert_eq!(event["transaction"], "Attributed.new");
    assert_eq!(event["exception"]["values"][0]["type"], "panic");
}
