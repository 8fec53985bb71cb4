//! Every handler, reported while it waits and in the background. The event names the handler and
//! arrives once, and the application gets the same results as without the crate.

use std::thread;
use std::time::{Duration, Instant};

use harness::receiver::{Answer, Receiver, event};
use harness::shared::Shared;
use harness::socket::Socket;
use harness::wait;
use harness::worker::Worker;
use serde_json::{Value, json};

use crate::transport::{SLACK, silent};

/// The longest time of one capture, as the documentation states it.
const BOUND: Duration = Duration::from_secs(5);
/// The longest time of an answer that waits for nothing.
const AT_ONCE: Duration = Duration::from_secs(2);

harness::trials![
    main_fetch_is_answered_before_a_hanging_receiver_is_and_with_the_same_error,
    main_fetch_queue_and_scheduled_are_reported_once_with_their_names,
    a_queue_handler_that_returns_its_error_is_reported_once_and_not_as_a_panic,
    an_objects_alarm_and_fetch_are_reported_once_with_their_names,
    an_objects_socket_handlers_are_reported_once_with_their_names,
    an_objects_fetch_waits_for_the_receiver_awaited_and_does_not_in_the_background,
    a_broken_sockets_end_is_not_held_up_by_a_hanging_receiver_and_is_reported,
    an_error_that_travels_through_two_wrappers_is_reported_once,
    an_error_that_travels_through_a_stub_is_another_error_to_the_caller,
];

/// A Worker, and a receiver that hangs if the event's text asks for it.
struct Stage {
    worker: Worker,
    receiver: Receiver,
}

fn stage() -> &'static Stage {
    static STAGE: Shared<Stage> = Shared::new();
    STAGE.get(Stage::new)
}

impl Stage {
    fn new() -> Self {
        let receiver = Receiver::answering(|request, _| match request.text().contains("hang.") {
            true => Answer::Hang,
            false => Answer::ok(),
        });
        let worker = Worker::fixture().reporting_to(&receiver.dsn()).start();
        Stage { worker, receiver }
    }

    /// The one event that contains `marker`, with the fields that a test compares.
    fn reported(&self, marker: &str) -> Value {
        let event = self.receiver.wait_for_event(marker);
        // A second report would arrive during this time.
        self.worker.post("/main/capture?marker=meanwhile");
        thread::sleep(Duration::from_millis(300));
        assert_eq!(self.receiver.count(marker), 1, "reported more than once");
        let exceptions = event["exception"]["values"].as_array().expect("a chain");
        let caught = exceptions.last().expect("an error");
        json!([
            event["transaction"],
            event["tags"]["class"],
            event["tags"]["handler"],
            caught["mechanism"]["type"],
            caught["mechanism"]["handled"],
        ])
    }
}

/// The result of [`Stage::reported`] for a wrapped handler.
fn unhandled(class: &str, handler: &str) -> Value {
    let transaction = format!("{class}.{handler}");
    let mechanism = match (class, handler) {
        ("main", "fetch") => "auto.http.cloudflare".to_owned(),
        ("main", handler) => format!("auto.faas.cloudflare.{handler}"),
        _ if class.ends_with("Workflow") => "auto.faas.cloudflare.workflow".to_owned(),
        _ => "auto.faas.cloudflare.durable_object".to_owned(),
    };
    json!([transaction, class, handler, mechanism, false])
}

fn main_fetch_is_answered_before_a_hanging_receiver_is_and_with_the_same_error() {
    let stage = stage();
    let path = "/main/error?marker=hang.answered.first.";
    let began = Instant::now();
    let answer = stage.worker.post(path);
    let took = began.elapsed();
    println!("figure: a failing fetch and a hanging receiver: answered after {took:?}");
    assert!(took < AT_ONCE, "{took:?}");
    assert_eq!(answer, silent().post(path));
    assert_eq!(answer.status, 500);
    stage.receiver.wait_for("hang.answered.first.");
}

fn main_fetch_queue_and_scheduled_are_reported_once_with_their_names() {
    let stage = stage();
    for (handler, path) in [
        ("fetch", "/main/error?marker=main.fetch."),
        ("queue", "/main/enqueue?marker=main.queue."),
        (
            "scheduled",
            "/cdn-cgi/handler/scheduled?cron=main.scheduled.",
        ),
    ] {
        stage.worker.post(path);
        let reported = stage.reported(&format!("main.{handler}."));
        assert_eq!(reported, unhandled("main", handler));
    }
    stage
        .worker
        .post("/main/background?marker=main.background.");
    assert_eq!(
        stage.reported("main.background."),
        json!(["main.fetch", "main", "fetch", "auto.http.cloudflare", true])
    );
}

fn a_queue_handler_that_returns_its_error_is_reported_once_and_not_as_a_panic() {
    // A separate Worker: `worker` turns the error into a panic, which ends the instance.
    let stage = Stage::new();
    for marker in ["first.queue.", "second.queue."] {
        stage.worker.post(&format!("/main/enqueue?marker={marker}"));
        let event = stage.receiver.wait_for_event(marker);
        let exceptions = event["exception"]["values"].as_array().expect("a chain");
        let types: Vec<&Value> = exceptions.iter().map(|one| &one["type"]).collect();
        assert_eq!(types, ["worker::Error::RustError"], "{event:#}");
        assert_eq!(stage.reported(marker), unhandled("main", "queue"));
    }
    // A real panic of the application is still reported as a panic.
    stage.worker.post("/main/panic?marker=own.panic.");
    let event = stage.receiver.wait_for_event("own.panic.");
    assert_eq!(event["exception"]["values"][0]["type"], "panic");
    assert_eq!(stage.worker.get("/").status, 200);
}

fn an_objects_alarm_and_fetch_are_reported_once_with_their_names() {
    let stage = stage();
    for handler in ["alarm", "fetch"] {
        for how in ["fail", "later"] {
            let marker = format!("object.{handler}.{how}.");
            let path = format!("/subject/{handler}-{how}/{handler}?marker={marker}&how={how}");
            let answer = stage.worker.post(&path);
            assert_eq!(answer, silent().post(&path));
            assert_eq!(
                stage.reported(&marker),
                unhandled("Subject", handler),
                "{how}"
            );
        }
    }
}

fn an_objects_socket_handlers_are_reported_once_with_their_names() {
    let stage = stage();
    for how in ["fail", "later"] {
        let marker = format!("socket.message.{how}.");
        let mut socket = stage.worker.socket("/subject/socket/socket");
        socket.send(&format!("{how}:{marker}"));
        assert_eq!(
            stage.reported(&marker),
            unhandled("Subject", "websocket_message")
        );
        assert_works_on(&mut socket);

        let marker = format!("socket.close.{how}.");
        let mut socket = stage.worker.socket("/subject/socket/socket");
        socket.close(&format!("{how}:{marker}"));
        assert_eq!(
            stage.reported(&marker),
            unhandled("Subject", "websocket_close")
        );
    }
}

/// Checks that a message handler's error leaves the socket open.
fn assert_works_on(socket: &mut Socket) {
    socket.send("echo");
    assert_eq!(socket.read(), "echo");
}

fn an_objects_fetch_waits_for_the_receiver_awaited_and_does_not_in_the_background() {
    let stage = stage();
    for (how, least, most) in [
        ("fail", BOUND - Duration::from_millis(500), BOUND + SLACK),
        ("later", Duration::ZERO, AT_ONCE),
    ] {
        let path = format!("/subject/held/fetch?marker=hang.object.{how}.&how={how}");
        let began = Instant::now();
        let answer = stage.worker.post(&path);
        let took = began.elapsed();
        println!("figure: an object's failing fetch ({how}) and a hanging receiver: {took:?}");
        assert!(least <= took && took < most, "{how}: {took:?}");
        assert_eq!(answer, silent().post(&path));
    }
}

/// Sends a frame with a reserved opcode. Returns how long it takes until the client is told the
/// end, and the close that it gets.
fn break_the_protocol(worker: &Worker) -> (Duration, String) {
    let mut socket = worker.socket("/subject/broken/socket");
    assert_works_on(&mut socket);
    let began = Instant::now();
    socket.break_the_protocol();
    let last = socket.read();
    (began.elapsed(), last)
}

fn a_broken_sockets_end_is_not_held_up_by_a_hanging_receiver_and_is_reported() {
    let receiver = Receiver::answering(|_, _| Answer::Hang);
    let worker = Worker::fixture().reporting_to(&receiver.dsn()).start();
    let (without, said) = break_the_protocol(silent());
    let (with, said_with) = break_the_protocol(&worker);
    println!("figure: a broken socket was closed after {with:?}, without a DSN after {without:?}");
    assert!(said.starts_with("close 1002 "), "{said}");
    assert_eq!(said_with, said);
    assert!(with < AT_ONCE, "{with:?}");
    let received = receiver.wait_for("websocket_error");
    let event = event(&received.request);
    assert_eq!(event["transaction"], "Subject.websocket_error");
    let caught = &event["exception"]["values"][0];
    assert_eq!(
        caught["mechanism"]["type"],
        "auto.faas.cloudflare.durable_object"
    );
    assert_eq!(caught["mechanism"]["handled"], true);
    // The object answers other requests while the report is being sent.
    let began = Instant::now();
    assert_eq!(worker.post("/subject/broken/nothing").status, 404);
    assert!(began.elapsed() < AT_ONCE);
    wait::until("end of the capture", wait::LIMIT, || {
        (receiver.open_connections() == 0).then_some(())
    });
}

fn an_error_that_travels_through_two_wrappers_is_reported_once() {
    let stage = stage();
    let path = "/main/twice?marker=two.wrappers.";
    assert_eq!(stage.worker.post(path), silent().post(path));
    assert_eq!(stage.reported("two.wrappers."), unhandled("Inner", "call"));
    assert!(
        stage
            .worker
            .process()
            .count_lines("reported before it got here")
            >= 1
    );
}

fn an_error_that_travels_through_a_stub_is_another_error_to_the_caller() {
    let stage = stage();
    // The error that the runtime passes on has no property that tells the caller that the object
    // has reported it.
    let seen = stage.worker.post("/stub/stub?marker=stub.seen.").json();
    let message = "the fixture failed on purpose: stub.seen.";
    assert_eq!(seen["message"], message);
    assert_eq!(seen["name"], "Error");
    assert_eq!(seen["remote"], "JsValue(true)");
    let mut names: Vec<&String> = seen.as_object().expect("properties").keys().collect();
    names.sort();
    assert_eq!(names, ["message", "name", "remote", "stack"]);

    // So both sides report the error.
    stage.worker.post("/main/through?marker=stub.through.");
    let reports = wait::until("two reports", wait::LIMIT, || {
        let requests = stage.receiver.requests();
        let mut reports: Vec<Value> = requests
            .iter()
            .filter(|received| received.request.text().contains("stub.through."))
            .map(|received| event(&received.request))
            .map(|event| {
                let caught = &event["exception"]["values"][0];
                json!([event["transaction"], caught["type"], caught["value"]])
            })
            .collect();
        reports.sort_by_key(ToString::to_string);
        (reports.len() >= 2).then_some(reports)
    });
    let message = "the fixture failed on purpose: stub.through.";
    let expected = json!([
        ["Subject.fetch", "worker::Error::RustError", message],
        ["main.fetch", "Error", message],
    ]);
    assert_eq!(json!(reports), expected);
}
