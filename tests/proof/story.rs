//! An event contains the data of its own run, wherever it is reported, and of no other run.

use harness::receiver::Receiver;
use harness::worker::{Worker, WorkerOptions};
use harness::{run, wait};
use serde_json::{Value, json};

harness::trials![
    an_event_from_anywhere_in_a_run_tells_what_the_run_has_said,
    fifty_runs_at_once_share_an_isolate_and_nothing_else,
    fifty_runs_at_once_share_nothing_where_panics_unwind,
    a_request_that_failed_is_in_the_trail_without_its_secrets,
    what_a_run_says_of_its_request_has_the_headers_it_names_and_no_secret,
    outside_of_a_run_nothing_is_reported_and_that_is_said_once,
];

fn reporting(options: WorkerOptions) -> (Worker, Receiver) {
    options.secret("SENTRY_DEBUG", "on").start_reporting()
}

fn send(worker: &Worker, case: &str, marker: &str) {
    let path = format!("/story/{case}?marker={marker}");
    match case {
        "stream" => worker.send_to_be_cut_off("POST", &path),
        _ => drop(worker.post(&path)),
    }
}

/// Whether an event contains all data of the run with this marker, and nothing else.
#[track_caller]
fn tells(event: &Value, marker: &str) {
    assert_eq!(event["user"], json!({"id": marker}), "{event:#}");
    assert_eq!(event["tags"]["story"], marker);
    assert_eq!(event["extra"], json!({"story": marker}));
    assert_eq!(event["contexts"]["story"]["of"], marker);
    let trail = event["breadcrumbs"]["values"].as_array().expect("a trail");
    let texts: Vec<&Value> = trail.iter().map(|it| &it["message"]).collect();
    assert_eq!(
        texts,
        [&format!("begin {marker}"), &format!("end {marker}")]
    );
    assert_eq!(trail[0]["category"], "story");
    assert!(trail[0]["timestamp"].as_f64() < trail[1]["timestamp"].as_f64());
}

fn an_event_from_anywhere_in_a_run_tells_what_the_run_has_said() {
    let (worker, receiver) = reporting(Worker::fixture());
    // A panic ends the instance, so this case comes last.
    for case in [
        "told",
        "message",
        "returned",
        "nested",
        "joined",
        "background",
        "stream",
        "twice",
        "panic",
    ] {
        let marker = format!("story.{case}.");
        send(&worker, case, &marker);
        let found = match case {
            "joined" => vec![format!("{marker}left."), format!("{marker}right.")],
            _ => vec![marker.clone()],
        };
        for found in found {
            let is_it = |event: &Value| {
                // The fixture's hook uses Sentry's types, which have a message's text in another
                // field.
                let texts = [&event["logentry"], &event["exception"]];
                texts.iter().any(|text| text.to_string().contains(&found))
            };
            let event = receiver.wait_for_event_that(&found, is_it);
            tells(&event, &marker);
            let level = match case {
                "message" => json!("warning"),
                "panic" => json!("fatal"),
                _ => Value::Null,
            };
            assert_eq!(event["level"], level, "{case}");
        }
    }
    assert_eq!(receiver.count("story.twice."), 1);
}

/// Starts fifty runs at once in the given ways, each with a marker of its own.
fn fifty(worker: &Worker, receiver: &Receiver, cases: &[&str]) {
    let marker = |n: usize| format!("run.{n}.");
    run::at_once(50, |n| {
        send(worker, cases[n % cases.len()], &marker(n));
    });
    for n in 0..50 {
        let event = receiver.wait_for_event(&marker(n));
        tells(&event, &marker(n));
        let text = event.to_string();
        for other in (0..50).filter(|other| *other != n) {
            assert!(!text.contains(&marker(other)), "{n} has {other}: {event:#}");
        }
    }
    println!(
        "figure: 50 runs at once, {} events",
        receiver.events().len()
    );
}

fn fifty_runs_at_once_share_an_isolate_and_nothing_else() {
    let (worker, receiver) = reporting(Worker::fixture());
    let cases = [
        "told",
        "returned",
        "nested",
        "message",
        "background",
        "stream",
    ];
    fifty(&worker, &receiver, &cases);
}

fn fifty_runs_at_once_share_nothing_where_panics_unwind() {
    let (worker, receiver) = reporting(Worker::unwinding());
    let cases = ["told", "panic", "nested", "returned", "background"];
    fifty(&worker, &receiver, &cases);
}

fn a_request_that_failed_is_in_the_trail_without_its_secrets() {
    let (worker, receiver) = reporting(Worker::fixture());
    worker.post("/story/fetched?marker=fetched.");
    let event =
        receiver.wait_for_event_that("fetched.", |event| event["tags"]["story"] == "fetched.");
    let last = &event["breadcrumbs"]["values"][2];
    let told = json!([last["type"], last["category"], last["level"], last["data"]]);
    let data = json!({"method": "GET", "url": "http://127.0.0.1:9/list"});
    assert_eq!(told, json!(["http", "fetch", "error", data]));
    assert!(!event["breadcrumbs"].to_string().contains("secret-key"));
}

fn outside_of_a_run_nothing_is_reported_and_that_is_said_once() {
    let (worker, receiver) = reporting(Worker::fixture());
    // The first wrapped handler gives the isolate its bindings.
    worker.post("/story/told?marker=inside.");
    receiver.wait_for_event("inside.");
    for _ in 0..2 {
        assert_eq!(worker.post("/story/outside?marker=outside.").status, 200);
    }
    worker.post("/story/told?marker=afterwards.");
    receiver.wait_for_event("afterwards.");
    assert_eq!(receiver.count("outside."), 0);
    let said = || {
        worker
            .process()
            .count_lines("nothing is kept or reported outside of a wrapped handler")
    };
    wait::until("the line", wait::LIMIT, || (said() == 1).then_some(()));
}

fn what_a_run_says_of_its_request_has_the_headers_it_names_and_no_secret() {
    let (worker, receiver) = reporting(Worker::fixture());
    let headers = [
        ("cf-ray", "8f0-FRA"),
        ("x-plan", "free"),
        ("x-other", "not-named"),
        ("authorization", "Bearer not-to-be-told"),
        ("cookie", "id=not-to-be-told"),
        ("x-api-key", "not-to-be-told"),
    ];
    worker.send("POST", "/story/requested?marker=asked", &headers, "");
    let event = receiver.wait_for_event("asked");
    let told = &event["contexts"]["request"];
    assert_eq!(
        (&told["method"], &told["route"]),
        (&json!("POST"), &json!("/story/:case"))
    );
    assert_eq!(
        told["headers"],
        json!({"cf-ray": "8f0-FRA", "x-plan": "free"})
    );
    let text = event.to_string();
    assert!(
        !text.contains("not-to-be-told") && !text.contains("not-named"),
        "{text}"
    );
    // A run that sets no data of its request has none in the event.
    worker.send("POST", "/story/returned?marker=silent", &headers, "");
    let event = receiver.wait_for_event("silent");
    assert_eq!(event["contexts"].get("request"), None);
    assert!(!event.to_string().contains("8f0-FRA"));
}
