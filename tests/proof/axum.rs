//! A Worker on axum: what its handlers answer with a status of 500 arrives with its route.

use libtest_mimic::Trial;
use proof::case::test;
use proof::receiver::Receiver;
use proof::worker::Worker;
use serde_json::json;

pub fn trials() -> Vec<Trial> {
    vec![test(
        "axum::an_error_that_became_a_500_arrives_once_with_its_route_and_a_404_does_not",
        an_error_arrives_with_its_route,
    )]
}

fn an_error_arrives_with_its_route() {
    let receiver = Receiver::accepting();
    let worker = Worker::snippet("axum")
        .secret("SENTRY_DSN", &receiver.dsn())
        .start();
    worker.store("lists", "good", "12");
    worker.store("lists", "bad", "marker");
    assert_eq!(worker.get("/lists/good").body, "12");
    assert_eq!(worker.get("/lists/unknown").status, 404);
    assert_eq!(worker.get("/nothing").status, 404);
    assert_eq!(worker.get("/lists/bad").status, 500);
    let event = receiver.wait_for_event("invalid digit");
    assert_eq!(receiver.requests().len(), 1);
    assert_eq!(event["transaction"], "GET /lists/{name}");
    assert_eq!(event["tags"], json!({"class": "main", "handler": "fetch"}));
    let exceptions = event["exception"]["values"].as_array().expect("a chain");
    let types: Vec<_> = exceptions.iter().map(|one| &one["type"]).collect();
    assert_eq!(types.last().copied(), Some(&json!("ListError::Count")));
    let mechanism = &exceptions.last().expect("an error")["mechanism"];
    assert_eq!(mechanism["handled"], false);
}
