//! What a compatibility date changes, for the crate and for its users.
//!
//! | From | Flag | What it changes |
//! | --- | --- | --- |
//! | 2026-04-07 | `web_socket_auto_reply_to_close` | the runtime answers the close of a socket, unless it hibernates |
//! | 2026-04-21 | `enhanced_error_serialization` | a cloned error keeps its own properties |
//! | 2026-05-14 | `workflows_preserve_non_retryable_error_message` | an instance's status has the name and the message of a `NonRetryableError` |
//! | 2026-08-04 | `nodejs_compat` | Node.js's modules and its `process` are there |
//! | 2026-10-01 | `durable_object_io_tasks_prevent_eviction` | `wait_until` keeps an object |
//!
//! Each test runs on the last day before the change and on its day. If the local runtime shows the
//! change, the two results must differ. If it does not, the test says so and expects the crate to
//! behave the same on both days.

use std::time::Duration;

use harness::receiver::{Received, Receiver};
use harness::wait;
use harness::worker::Worker;
use serde_json::{Value, json};

/// The longest wait for the answer to a close. An answer comes within milliseconds.
const SILENCE: Duration = Duration::from_secs(4);
/// workerd removes an object from memory after ten seconds without a request.
const LONGER_THAN_IDLE_S: u64 = 15;

harness::trials![
    from_2026_04_07_the_close_of_a_plain_socket_is_answered_and_of_a_hibernating_one_never,
    from_2026_04_21_a_cloned_error_keeps_its_properties_and_what_a_stub_throws_is_the_same,
    around_2026_05_14_a_non_retryable_error_is_reported_with_its_name_and_message,
    from_2026_08_04_there_is_a_process_and_an_event_has_nothing_of_it,
    around_2026_10_01_what_is_left_in_wait_until_outlives_the_objects_idle_time,
];

/// The fixture on the last day before a change, and on the day of the change.
fn around(dates: [&str; 2], dsn: Option<&str>) -> [Worker; 2] {
    dates.map(|date| {
        let options = Worker::fixture().telling_its_date().on_date(date);
        match dsn {
            Some(dsn) => options.reporting_to(dsn).start(),
            None => options.start(),
        }
    })
}

fn from_2026_04_07_the_close_of_a_plain_socket_is_answered_and_of_a_hibernating_one_never() {
    let dates = ["2026-04-06", "2026-04-07"];
    let closed = |worker: &Worker, path: &str, limit: Duration| {
        let mut socket = worker.socket(path);
        socket.close("bye");
        socket.close_within(limit)
    };
    let answer = Some("close 1000 bye".to_owned());
    let [before, after] = around(dates, None);
    assert_eq!(closed(&before, "/dates/socket", SILENCE), None);
    assert_eq!(closed(&after, "/dates/socket", wait::LIMIT), answer);
    // The fixture's object does not answer a close, and the runtime does not answer for it.
    for worker in [&before, &after] {
        assert_eq!(closed(worker, "/subject/silent/socket", SILENCE), None);
    }
    // So an object has to answer on every date. The example's object does.
    for date in dates {
        let worker = Worker::listings().on_date(date).start();
        let seen = closed(&worker, "/lists/closed/progress", wait::LIMIT);
        assert_eq!(seen, answer, "{date}");
    }
}

fn from_2026_04_21_a_cloned_error_keeps_its_properties_and_what_a_stub_throws_is_the_same() {
    let workers = around(["2026-04-20", "2026-04-21"], None);
    let cloned = workers.each_ref().map(|it| it.get("/dates/clone").json());
    assert_eq!(cloned, [json!({ "code": null }), json!({ "code": 7 })]);
    // An object's error is not cloned in that way.
    let [before, after] = workers.each_ref().map(|it| {
        let thrown = it.post("/stub/thrown?marker=thrown");
        assert_eq!(thrown.status, 200, "{thrown:?}");
        thrown.json()
    });
    assert_eq!(before["message"], "the fixture failed on purpose: thrown");
    assert_eq!(before, after);
}

fn around_2026_05_14_a_non_retryable_error_is_reported_with_its_name_and_message() {
    let receiver = Receiver::accepting();
    let workers = around(["2026-05-13", "2026-05-14"], Some(&receiver.dsn()));
    for (number, worker) in workers.iter().enumerate() {
        let marker = format!("refused-{number}");
        let scenario = json!({ "scenario": "non-retryable-worker-error", "marker": marker });
        let path = format!("/workflows/create/SCENARIO/{marker}");
        worker.post_json(&path, &scenario);
        let event = receiver.wait_for_event(&marker);
        let exceptions = event["exception"]["values"].as_array().expect("exceptions");
        let root = json!([exceptions[0]["type"], exceptions[0]["value"]]);
        assert_eq!(root, json!(["NonRetryableError", marker]));
        // The engine of a local run is a Worker of wrangler with a date of its own, so the status
        // has the general message on both days. In production the status has the error's own
        // message from 2026-05-14.
        let status = wait::until("end of the Workflow", wait::LIMIT, || {
            let status = worker.get(&format!("/workflows/status/SCENARIO/{marker}"));
            let status = status.json();
            (status["status"] == "errored").then_some(status)
        });
        let message = status["error"]["message"].as_str().expect("a message");
        assert!(
            !message.contains(&marker),
            "{message}: wrangler now knows the date"
        );
    }
}

fn from_2026_08_04_there_is_a_process_and_an_event_has_nothing_of_it() {
    let receiver = Receiver::accepting();
    let workers = around(["2026-08-03", "2026-08-04"], Some(&receiver.dsn()));
    let kinds = workers.each_ref().map(|it| it.get("/dates/process").json());
    assert_eq!(kinds, [json!("undefined"), json!("object")]);
    let [before, after] = [0, 1].map(|number| {
        let marker = format!("with-process-{number}");
        workers[number].post(&format!("/main/capture?marker={marker}"));
        let event = receiver.wait_for_event(&marker).to_string();
        let event: Value = serde_json::from_str(&event.replace(&marker, "with")).expect("JSON");
        without_what_always_differs(event)
    });
    assert_eq!(before, after);
}

fn without_what_always_differs(mut event: Value) -> Value {
    for name in ["event_id", "timestamp"] {
        event.as_object_mut().expect("an object").remove(name);
    }
    // Each event has a trace of its own.
    let contexts = event["contexts"].as_object_mut().expect("contexts");
    assert!(contexts.remove("trace").is_some());
    event
}

fn around_2026_10_01_what_is_left_in_wait_until_outlives_the_objects_idle_time() {
    let receiver = Receiver::accepting();
    let workers = around(["2026-09-30", "2026-10-01"], None);
    let lingered = |number: usize| format!("/lingered-{number}");
    for (number, worker) in workers.iter().enumerate() {
        let to = format!("{}{}", receiver.url(), lingered(number));
        let path = format!("/subject/left/linger?seconds={LONGER_THAN_IDLE_S}&to={to}");
        assert_eq!(worker.post(&path).status, 200);
    }
    // The local runtime keeps the object on both days. Before 2026-10-01, production could shut
    // down an idle object together with the work in its `wait_until`.
    for number in 0..workers.len() {
        wait::until("request of an object left alone", wait::LIMIT, || {
            let requests = receiver.requests();
            let arrived = |it: &Received| it.request.target == lingered(number);
            requests.iter().any(arrived).then_some(())
        });
    }
}
