//! A Worker on axum: an error behind an answer with status 500 is reported with its route.

use harness::receiver::Receiver;
use harness::worker::Worker;
use serde_json::{Value, json};

harness::trials![an_error_that_became_a_500_arrives_once_with_its_route_and_a_404_does_not];

fn an_error_that_became_a_500_arrives_once_with_its_route_and_a_404_does_not() {
    let error = the_one_error("axum", "GET /lists/{name}");
    assert_eq!(error["type"], "ListError::Count");
}

/// The error of a Worker that shows a list's size. A broken list is reported once, with the route
/// as the router spells it. An unknown list is not reported.
pub fn the_one_error(snippet: &'static str, route: &str) -> Value {
    let receiver = Receiver::accepting();
    let worker = Worker::snippet(snippet)
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
    assert_eq!(event["transaction"], route);
    assert_eq!(event["tags"], json!({"class": "main", "handler": "fetch"}));
    let exceptions = event["exception"]["values"].as_array().expect("a chain");
    let error = exceptions.last().expect("an error").clone();
    assert_eq!(error["mechanism"]["handled"], false);
    error
}
