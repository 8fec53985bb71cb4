//! Panics. Code that runs in a panic cannot wait for anything.

use std::thread;
use std::time::{Duration, Instant, SystemTime};

use harness::receiver::{Answer, Receiver};
use harness::socket::Socket;
use harness::worker::Worker;
use harness::{environment, wait};
use serde_json::{Value, json};

use crate::alarm::{store_dsn, tag, with_secrets_store};
use crate::events::level;

harness::trials![
    a_panic_cancels_its_request_as_hung_and_leaves_hibernating_sockets_open,
    without_a_dsn_nothing_is_sent_and_a_panic_is_what_it_was,
    a_payload_that_is_no_text_and_a_check_of_the_language_are_reported,
    a_panic_while_a_capture_waits_is_reported_beside_it,
    panics_in_a_row_are_reported_each_with_its_own_id,
    a_hook_that_panics_sends_nothing_and_the_next_instance_reports,
    with_a_secrets_store_a_panic_is_reported_once_there_was_a_capture,
    a_dropped_and_a_sampled_out_panic_are_not_sent,
    after_a_capture_a_panic_that_nothing_wraps_is_reported,
    ..[MAIN, ALARM, MESSAGE, STEP, RUN]
        .map(|way| harness::trial!(way.rule, move || a_panic_is_reported(&way))),
    ..environment::has_unwinding_build().then(|| {
        harness::trial!(in_a_build_that_unwinds_a_panic_is_reported_and_only_its_request_fails)
    }),
];

/// A way to make a handler panic.
struct Way {
    rule: &'static str,
    place: (&'static str, &'static str),
    file: &'static str,
    /// The beginning of the message. The marker follows it.
    message: &'static str,
    /// Returns the socket that must stay open until the event has arrived, if there is one.
    provoke: fn(&Worker, &str) -> Option<Socket>,
}

const MAIN: Way = Way {
    rule: "a_panic_in_the_main_fetch_is_reported",
    place: ("main", "fetch"),
    file: "src/lib.rs",
    message: "the fixture failed on purpose",
    provoke: |worker, marker| {
        // The runtime cancels the request as hung, because its instance has ended.
        let answer = worker.post(&format!("/main/panic?marker={marker}"));
        assert_eq!(answer.status, 500, "{answer:?}");
        None
    },
};

const ALARM: Way = Way {
    rule: "a_panic_in_an_alarm_is_reported",
    place: ("Subject", "alarm"),
    file: "src/subject.rs",
    message: "the fixture failed on purpose",
    provoke: |worker, marker| {
        worker.post(&format!("/subject/{marker}/panic?marker={marker}"));
        None
    },
};

const MESSAGE: Way = Way {
    rule: "a_panic_in_a_message_handler_is_reported",
    place: ("Subject", "websocket_message"),
    file: "src/subject.rs",
    message: "the fixture failed on purpose",
    provoke: |worker, marker| {
        let mut socket = worker.socket(&format!("/subject/{marker}/socket"));
        socket.send(&format!("panic:{marker}"));
        Some(socket)
    },
};

const STEP: Way = Way {
    rule: "a_panic_in_a_workflow_step_is_reported",
    place: ("ScenarioWorkflow", "run"),
    file: "src/workflows.rs",
    message: "a panic in a step",
    provoke: |worker, marker| play(worker, "panic", marker),
};

const RUN: Way = Way {
    rule: "a_panic_in_a_workflow_run_is_reported",
    place: ("ScenarioWorkflow", "run"),
    file: "src/workflows.rs",
    message: "a panic outside of any step",
    provoke: |worker, marker| play(worker, "panic-outside", marker),
};

fn play(worker: &Worker, scenario: &str, marker: &str) -> Option<Socket> {
    let scenario = json!({ "scenario": scenario, "marker": marker });
    worker.send(
        "POST",
        &format!("/workflows/create/SCENARIO/{marker}"),
        &[],
        &scenario.to_string(),
    );
    None
}

fn reporting() -> (Worker, Receiver) {
    Worker::fixture().start_reporting()
}

fn now() -> f64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.expect("a time after 1970").as_secs_f64()
}

/// Waits for an answer, and returns the instance that gave it. The old instance ends shortly after
/// the panic.
pub fn instance(worker: &Worker) -> Value {
    wait::until("instance that answers", wait::LIMIT, || {
        let answer = worker.get("/instance");
        (answer.status == 200).then(|| answer.json())
    })
}

/// Waits until another instance than `old` answers.
pub fn next_instance(worker: &Worker, old: &Value) -> Value {
    wait::until("new instance", wait::LIMIT, || {
        let new = instance(worker);
        (new != *old).then_some(new)
    })
}

fn a_panic_is_reported(way: &Way) {
    let (worker, receiver) = reporting();
    let (class, handler) = way.place;
    let old = instance(&worker);
    let marker = format!("panic-in-{handler}").replace('_', "-");
    let (before, began) = (now(), Instant::now());
    let _open = (way.provoke)(&worker, &marker);
    let event = receiver.wait_for_event(&marker);
    let (after, arrived) = (now(), receiver.wait_for(&marker).at - began);

    assert_eq!(event["level"], "fatal", "{event:#}");
    let [exception] = event["exception"]["values"]
        .as_array()
        .expect("exceptions")
        .as_slice()
    else {
        panic!("{event:#}");
    };
    assert_eq!(exception["type"], "panic", "{event:#}");
    assert_eq!(exception["value"], format!("{}: {marker}", way.message));
    // The stack of the panic comes before its own frame.
    let frames = exception["stacktrace"]["frames"].as_array();
    let at = frames.and_then(|frames| frames.last()).expect("frames");
    let file = at["filename"].as_str().expect("a file");
    assert!(file.ends_with(way.file), "{at}");
    assert!(at["lineno"].as_u64() > Some(1), "{at}");
    let time = event["timestamp"].as_f64().expect("a time");
    assert!(
        (before - 1.0..after + 1.0).contains(&time),
        "{time} is not between {before} and {after}"
    );
    assert_eq!(event["transaction"], format!("{class}.{handler}"));
    assert_eq!(tag(&event, "class"), class);
    assert_eq!(tag(&event, "handler"), handler);
    assert_eq!(exception["mechanism"]["handled"], false);
    assert_eq!(event["environment"], "production");

    // The next request gets a new instance, which also reports.
    next_instance(&worker, &old);
    worker.post(&format!("/main/capture?marker=after-{marker}"));
    let later = receiver.wait_for_event(&format!("after-{marker}"));
    assert_ne!(later["event_id"], event["event_id"]);
    println!(
        "figure: a panic in {class}.{handler}, at {file}:{}, arrived in {arrived:?}",
        at["lineno"]
    );
}

fn a_panic_cancels_its_request_as_hung_and_leaves_hibernating_sockets_open() {
    let (worker, receiver) = reporting();
    let mut accepted = worker.socket("/panics/socket");
    assert_eq!(accepted.read(), "open");
    let mut hibernating = worker.socket("/subject/socket/socket");
    let old = instance(&worker);
    let answer = worker.post("/main/panic?marker=request");
    assert_eq!(answer.status, 500, "{answer:?}");
    worker.process().wait_for_line("code had hung", wait::LIMIT);
    next_instance(&worker, &old);
    // Its instance has ended, and the runtime does not close the client's connection.
    assert_eq!(accepted.close_within(Duration::from_secs(1)), None);
    // The next instance serves a hibernating socket, even after a panic in its own message handler.
    hibernating.send("panic:first-order");
    receiver.wait_for_event("first-order");
    hibernating.send("fail:second-order");
    receiver.wait_for_event("second-order");
}

fn without_a_dsn_nothing_is_sent_and_a_panic_is_what_it_was() {
    let with = Worker::fixture()
        .reporting_to("http://public@receiver.example.com/1")
        .start_watched();
    let without = Worker::fixture()
        .secret("SENTRY_DEBUG", "on")
        .start_watched();
    let seen = [&with, &without].map(|worker| {
        let old = instance(worker);
        let panicked = worker.post("/main/panic?marker=watched").status;
        next_instance(worker, &old);
        (
            panicked,
            worker.get("/").status,
            worker.get("/nowhere").status,
        )
    });
    assert_eq!(seen[0], seen[1]);
    assert_eq!(
        with.outbound(),
        ["POST http://receiver.example.com/api/1/envelope/"]
    );
    assert_eq!(without.outbound(), [""; 0]);
    assert_eq!(without.process().count_lines("[worker-sentry]"), 0);
}

fn a_payload_that_is_no_text_and_a_check_of_the_language_are_reported() {
    let (worker, receiver) = reporting();
    let old = instance(&worker);
    worker.post("/panics/payload");
    let event = receiver.wait_for_event("a panic without a message");
    assert_eq!(event["exception"]["values"][0]["type"], "panic");
    let old = next_instance(&worker, &old);
    worker.post("/panics/index?marker=123");
    receiver.wait_for_event("index out of bounds: the len is 0 but the index is 3");
    next_instance(&worker, &old);
}

fn a_panic_while_a_capture_waits_is_reported_beside_it() {
    let receiver = Receiver::answering(|request, _| {
        if request.text().contains("in flight") {
            thread::sleep(Duration::from_secs(2));
        }
        Answer::ok()
    });
    let worker = Worker::fixture().reporting_to(&receiver.dsn()).start();
    let old = instance(&worker);
    let answer = worker.post("/panics/in-flight?marker=flying");
    assert_eq!(answer.status, 500, "{answer:?}");
    let error = receiver.wait_for_event("on purpose: in flight: flying");
    let panic = receiver.wait_for_event("on purpose: flying");
    assert_eq!([level(&error), level(&panic)], ["error", "fatal"]);
    assert_ne!(error["event_id"], panic["event_id"]);
    next_instance(&worker, &old);
    worker.post("/main/capture?marker=landed");
    receiver.wait_for_event("landed");
}

fn panics_in_a_row_are_reported_each_with_its_own_id() {
    let (worker, receiver) = reporting();
    let mut old = instance(&worker);
    let mut ids: Vec<Value> = Vec::new();
    for round in 0..3 {
        worker.post(&format!("/main/panic?marker=row-{round}"));
        let event = receiver.wait_for_event(&format!("row-{round}"));
        assert!(!ids.contains(&event["event_id"]), "{event:#}");
        ids.push(event["event_id"].clone());
        old = next_instance(&worker, &old);
    }
    assert_eq!(receiver.requests().len(), 3);
}

fn a_hook_that_panics_sends_nothing_and_the_next_instance_reports() {
    let (worker, receiver) = reporting();
    let old = instance(&worker);
    worker.post("/panics/hook?marker=in-the-hook");
    next_instance(&worker, &old);
    worker.post("/main/capture?marker=past-the-hook");
    receiver.wait_for_event("past-the-hook");
    // An event that the hook dropped must not be sent in another way.
    for event in receiver.events() {
        assert!(
            !event.to_string().contains("on purpose: in-the-hook"),
            "{event:#}"
        );
    }
}

fn with_a_secrets_store_a_panic_is_reported_once_there_was_a_capture() {
    let receiver = Receiver::accepting();
    let worker = with_secrets_store(Worker::fixture().secret("SENTRY_DEBUG", "on")).start();
    store_dsn(&worker, &receiver.dsn());
    let old = instance(&worker);
    // Nothing can be awaited in a panic, so a DSN that was not read before is not available. The
    // Worker works as before.
    worker.post("/main/panic?marker=unread");
    let old = next_instance(&worker, &old);
    worker.post("/main/capture?marker=reading");
    receiver.wait_for_event("reading");
    worker.post("/main/panic?marker=known");
    let event = receiver.wait_for_event("known");
    assert_eq!(event["level"], "fatal");
    next_instance(&worker, &old);
    assert_eq!(receiver.requests().len(), 2, "the first panic is lost");
}

fn a_dropped_and_a_sampled_out_panic_are_not_sent() {
    let sampled = Receiver::accepting();
    let dropping = reporting();
    let sampling = Worker::fixture()
        .reporting_to(&sampled.dsn())
        .var("SENTRY_SAMPLE_RATE", "0")
        .start();
    for (worker, receiver) in [(&dropping.0, &dropping.1), (&sampling, &sampled)] {
        let old = instance(worker);
        worker.post("/main/panic?marker=drop-me");
        next_instance(worker, &old);
        assert_eq!(receiver.requests().len(), 0);
    }
    dropping.0.post("/main/panic?marker=change-me");
    dropping.1.wait_for_event("on purpose: changed");
}

fn after_a_capture_a_panic_that_nothing_wraps_is_reported() {
    for capture in ["background", "thrown"] {
        let (worker, receiver) = reporting();
        let old = instance(&worker);
        worker.post("/panics/bare?marker=too-early");
        let old = next_instance(&worker, &old);
        worker.post(&format!("/events/{capture}?marker=captured"));
        receiver.wait_for_event("captured");
        worker.post("/panics/bare?marker=bare");
        let event = receiver.wait_for_event("on purpose: bare");
        assert_eq!(level(&event), "fatal", "{capture}");
        next_instance(&worker, &old);
        assert_eq!(receiver.requests().len(), 2, "{capture}");
    }
}

fn in_a_build_that_unwinds_a_panic_is_reported_and_only_its_request_fails() {
    let receiver = Receiver::answering(|request, _| {
        if request.text().contains("neighbour") {
            thread::sleep(Duration::from_secs(2));
        }
        Answer::ok()
    });
    let worker = Worker::unwinding().reporting_to(&receiver.dsn()).start();
    let first = instance(&worker);
    for (number, way) in [MAIN, ALARM, MESSAGE, STEP].iter().enumerate() {
        let (class, handler) = way.place;
        let marker = format!("unwound-{number}");
        let waiting = format!("/main/capture?marker=neighbour-{number}");
        thread::scope(|scope| {
            // This request runs in the same instance, and waits for the receiver at the same time.
            let neighbour = scope.spawn(|| worker.post(&waiting));
            receiver.wait_for(&format!("neighbour-{number}"));
            let _open = (way.provoke)(&worker, &marker);
            let event = receiver.wait_for_event(&format!("{}: {marker}", way.message));
            assert_eq!(event["level"], "fatal", "{event:#}");
            assert_eq!(event["transaction"], format!("{class}.{handler}"));
            let neighbour = neighbour.join().expect("an answer");
            assert_eq!(neighbour.status, 200, "{neighbour:?}");
            assert!(neighbour.json().is_string(), "{neighbour:?}");
        });
        assert_eq!(instance(&worker), first, "{class}.{handler}");
    }
    // The step succeeded in its second attempt.
    wait::until("end of the Workflow", wait::LIMIT, || {
        let status = worker.get("/workflows/status/SCENARIO/unwound-3").json();
        (status["status"] == "complete").then_some(())
    });
    worker.process().says_once("client initialised");
}
