//! Cases in which an error was once lost or changed, or delayed the application. Each row is a kind
//! of fault, with the correct result.

use std::thread;
use std::time::{Duration, Instant};

use harness::receiver::{Answer, Receiver};
use harness::wait;
use harness::worker::Worker;
use serde_json::{Value, json};

use crate::alarm::tag;
use crate::panics::{instance, next_instance};

harness::trials![
    a_panicking_request_ends_as_fast_as_without_a_dsn,
    a_panicking_request_ends_with_the_bound_where_the_receiver_hangs,
    whatever_a_handler_returns_is_reported,
    an_email_handlers_error_is_reported_itself_and_once,
    what_javascript_threw_is_read_whatever_holds_it,
    an_exception_through_an_import_is_told_by_the_next_instance,
    a_stack_that_overflows_is_told_by_the_next_instance,
    a_rejection_that_nobody_handles_is_reported,
    a_panic_hook_set_later_does_not_silence_ours,
    work_in_the_background_reports_its_error_and_its_panic,
    a_stream_that_fails_after_the_response_is_reported,
    a_panic_in_a_constructor_says_reported_only_if_it_was,
    a_run_that_captures_without_end_stays_within_its_subrequests,
];

fn reporting() -> (Worker, Receiver) {
    Worker::fixture().start_reporting()
}

/// The shortest time of three panicking `fetch` requests.
fn panicking(worker: &Worker) -> Duration {
    let once = |n: usize| {
        instance(worker);
        let began = Instant::now();
        let answer = worker.post(&format!("/main/panic?marker=held-{n}"));
        assert_eq!(answer.status, 500, "{answer:?}");
        began.elapsed()
    };
    (0..3).map(once).min().expect("three times")
}

fn a_panicking_request_ends_as_fast_as_without_a_dsn() {
    let (worker, receiver) = reporting();
    let with = panicking(&worker);
    receiver.wait_for("held-0");
    drop(worker);
    let without = panicking(&Worker::fixture().start());
    assert!(
        with < without + Duration::from_millis(200),
        "{with:?} with a DSN, {without:?} without"
    );
}

fn a_panicking_request_ends_with_the_bound_where_the_receiver_hangs() {
    let receiver = Receiver::answering(|_, _| {
        thread::sleep(Duration::from_secs(12));
        Answer::ok()
    });
    let worker = Worker::fixture().reporting_to(&receiver.dsn()).start();
    let began = Instant::now();
    worker.post("/main/panic?marker=hanging");
    let took = began.elapsed();
    assert!(took < Duration::from_secs(7), "{took:?}");
}

/// The exceptions of an event, outermost first, as type and message.
fn exceptions(event: &Value) -> Vec<(String, String)> {
    let list = event["exception"]["values"].as_array().expect("exceptions");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let pair = |it: &Value| (text(&it["type"]), text(&it["value"]));
    list.iter().rev().map(pair).collect()
}

fn whatever_a_handler_returns_is_reported() {
    let (worker, receiver) = reporting();
    let said = |marker: &str| format!("the fixture failed on purpose: {marker}");
    let table = [
        ("boxed", "Marker", said("type-boxed")),
        ("sent", "Marker", said("type-sent")),
        ("text", "Error", said("type-text")),
        ("thrown", "TypeError", "type-thrown".to_owned()),
    ];
    for (case, ty, value) in table {
        let marker = format!("type-{case}");
        worker.post(&format!("/faults/{case}?marker={marker}"));
        let event = receiver.wait_for_event(&marker);
        assert_eq!(exceptions(&event)[0], (ty.to_owned(), value), "{case}");
        let mechanism = &event["exception"]["values"][0]["mechanism"];
        assert_eq!(mechanism["type"], "auto.http.cloudflare", "{case}");
        assert_eq!(mechanism["handled"], false, "{case}");
        assert_eq!(receiver.count(&marker), 1, "{case}");
    }
    worker.post("/faults/captured?marker=by-hand");
    assert_eq!(receiver.count("by-hand"), 7);
}

fn an_email_handlers_error_is_reported_itself_and_once() {
    let (worker, receiver) = reporting();
    let mail = "From: a@example.com\r\nTo: mail-1@example.com\r\nMessage-ID: <1@example.com>\r\n\r\nHello\r\n";
    let began = Instant::now();
    worker.send(
        "POST",
        "/cdn-cgi/handler/email?from=a@example.com&to=mail-1@example.com",
        &[],
        mail,
    );
    assert!(began.elapsed() < Duration::from_secs(4));
    let event = receiver.wait_for_event("mail-1");
    let said = "the fixture failed on purpose: mail-1@example.com".to_owned();
    assert_eq!(exceptions(&event).last().map(|last| &last.1), Some(&said));
    assert_eq!(tag(&event, "handler"), "email");
    let mechanism = event["exception"]["values"]
        .as_array()
        .and_then(|values| values.last())
        .map(|last| &last["mechanism"]["type"]);
    assert_eq!(mechanism, Some(&json!("auto.faas.cloudflare.email")));
    thread::sleep(Duration::from_millis(300));
    assert_eq!(receiver.count("mail-1"), 1);
    // `worker` turns the error into a panic, which ends the instance. The next instance reports
    // what ended the last one, and here that was reported already.
    assert_eq!(worker.get("/main/ok").status, 200);
    thread::sleep(Duration::from_millis(500));
    assert_eq!(receiver.events().len(), 1, "{:#?}", receiver.events());
}

fn what_javascript_threw_is_read_whatever_holds_it() {
    let (worker, receiver) = reporting();
    let event = |case: &str| {
        let marker = format!("held-{case}");
        worker.post(&format!("/faults/{case}?marker={marker}"));
        receiver.wait_for_event(&marker)
    };
    // A KV error has its own message, and its stack is in frames.
    worker.post("/faults/kv?marker=held-kv");
    let kv = receiver.wait_for_event_that("KV", |event| {
        exceptions(event)[0].1.contains("KV GET failed")
    });
    let exception = &kv["exception"]["values"][0];
    let message = exception["value"].as_str().unwrap_or_default();
    assert!(!message.contains("\n    at "), "{message}");
    assert!(exception["stacktrace"]["frames"].is_array(), "{kv:#}");

    // The errors of other bindings have one line of text, without a stack or a place in it.
    for (case, said) in [
        ("d1", "no such table"),
        ("r2", "object name is not valid"),
        ("queue", "internal error"),
        ("workflow", "not_found"),
    ] {
        worker.post(&format!("/faults/{case}?marker=held-{case}"));
        let event = receiver.wait_for_event_that(case, |event| {
            let last = exceptions(event).pop();
            last.is_some_and(|(_, message)| message.to_lowercase().contains(said))
        });
        for (kind, message) in exceptions(&event) {
            println!("figure: {case}: {kind}: {message}");
            let is_plain = !message.contains('\n') && !message.contains("index.js");
            assert!(is_plain && !kind.contains("JsValue"), "{kind}: {message}");
        }
    }

    let transparent = event("transparent");
    let said = ("RangeError".to_owned(), "held-transparent".to_owned());
    assert_eq!(exceptions(&transparent), [said]);
    let frames = &transparent["exception"]["values"][0]["stacktrace"]["frames"];
    assert!(
        frames.as_array().is_some_and(|it| it.len() > 3),
        "{transparent:#}"
    );

    let aggregate = event("aggregate");
    let types: Vec<_> = exceptions(&aggregate).into_iter().map(|it| it.0).collect();
    assert_eq!(types, ["AggregateError", "TypeError", "RangeError"]);
    let member = |at: usize| &aggregate["exception"]["values"][at]["mechanism"];
    assert_eq!(member(2)["is_exception_group"], true);
    assert_eq!(member(2)["exception_id"], 0);
    assert_eq!(member(0)["parent_id"], 0);
    assert_eq!(member(0)["source"], "errors[1]");

    let marked = event("marked");
    let marks = &marked["contexts"]["cloudflare"];
    for mark in ["remote", "retryable", "overloaded"] {
        assert_eq!(marks[mark], true, "{marked:#}");
    }
}

/// Ends an instance with a request to `path`, and sends the next instance a harmless request.
fn told_by_the_next_instance(path: &str) -> Worker {
    let (worker, receiver) = Worker::fixture().start_reporting();
    let old = instance(&worker);
    worker.post(path);
    next_instance(&worker, &old);
    assert!(receiver.events().is_empty());
    assert_eq!(worker.get("/main/ok").status, 200);
    let event = wait::until("event", wait::LIMIT, || receiver.events().first().cloned());
    assert_eq!(event["level"], "fatal", "{event:#}");
    assert_eq!(event["exception"]["values"][0]["type"], "RangeError");
    let mechanism = &event["exception"]["values"][0]["mechanism"];
    assert_eq!(
        mechanism["type"],
        "auto.faas.cloudflare.unhandled_rejection"
    );
    assert_eq!(mechanism["handled"], false);
    // The next instance reports it only once.
    worker.get("/main/ok");
    thread::sleep(Duration::from_millis(300));
    assert_eq!(receiver.events().len(), 1);
    worker
}

fn an_exception_through_an_import_is_told_by_the_next_instance() {
    told_by_the_next_instance("/faults/uncaught?marker=through");
}

fn a_stack_that_overflows_is_told_by_the_next_instance() {
    told_by_the_next_instance("/faults/trap");
}

fn a_rejection_that_nobody_handles_is_reported() {
    let (worker, receiver) = reporting();
    worker.post("/faults/rejection?marker=unhandled-1");
    worker.get("/main/ok");
    let event = receiver.wait_for_event("unhandled-1");
    let said = ("TypeError".to_owned(), "unhandled-1".to_owned());
    assert_eq!(exceptions(&event), [said]);
}

fn a_panic_hook_set_later_does_not_silence_ours() {
    let (worker, receiver) = reporting();
    worker.post("/faults/later-hook?marker=hook");
    worker.post("/main/panic?marker=after-hook");
    let event = receiver.wait_for_event("after-hook");
    assert_eq!(event["exception"]["values"][0]["type"], "panic");
    worker
        .process()
        .wait_for_line("another hook: ", wait::LIMIT);
    assert_eq!(receiver.count("after-hook"), 1);
}

fn work_in_the_background_reports_its_error_and_its_panic() {
    let (worker, receiver) = reporting();
    for case in ["late-error", "late-panic"] {
        let answer = worker.post(&format!("/faults/{case}?marker={case}-1"));
        assert_eq!(answer.status, 200, "{answer:?}");
        let event = receiver.wait_for_event(&format!("{case}-1"));
        assert_eq!(tag(&event, "handler"), "fetch");
        assert_eq!(receiver.count(&format!("{case}-1")), 1);
    }
}

fn a_stream_that_fails_after_the_response_is_reported() {
    let (worker, receiver) = reporting();
    worker.send_to_be_cut_off("GET", "/faults/stream?marker=streamed-1");
    let event = receiver.wait_for_event("streamed-1");
    assert_eq!(tag(&event, "handler"), "fetch");
}

fn a_panic_in_a_constructor_says_reported_only_if_it_was() {
    let (worker, receiver) = Worker::fixture()
        .var("SENTRY_DEBUG", "on")
        .start_reporting();
    worker.get("/main/ok");
    worker.post("/faults/constructor?marker=constructed");
    thread::sleep(Duration::from_secs(1));
    worker.get("/main/ok");
    thread::sleep(Duration::from_secs(1));
    let said = worker.process().count_lines("panic reported") > 0;
    let arrived = receiver.count("constructed");
    assert_eq!(usize::from(said), arrived, "said and arrived");
    assert_eq!(arrived, 1);
}

fn a_run_that_captures_without_end_stays_within_its_subrequests() {
    let (worker, receiver) = reporting();
    // The count begins again with each run.
    for (run, told) in [("first-flood", 1), ("second-flood", 2)] {
        worker.post(&format!("/faults/flood?marker={run}"));
        // The run's own error is still reported after many captures.
        receiver.wait_for(&format!("{run} at the end"));
        assert_eq!(receiver.count(run), 26);
        let line = "one run captured more than 25 errors; the rest is dropped";
        // wrangler writes a line some time after the Worker has.
        let said = || worker.process().count_lines(line);
        wait::until("the line", wait::LIMIT, || (said() >= told).then_some(()));
        assert_eq!(said(), told, "{run}");
    }
}
