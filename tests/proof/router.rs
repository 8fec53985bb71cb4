//! A Worker on `worker`'s own `Router`: an error of a handler arrives with its route.

use libtest_mimic::Trial;
use proof::case::test;
use proof::receiver::Receiver;
use proof::worker::Worker;
use serde_json::json;

pub fn trials() -> Vec<Trial> {
    vec![test(
        "router::an_error_arrives_once_with_its_route_and_a_404_does_not",
        an_error_arrives_with_its_route,
    )]
}

fn an_error_arrives_with_its_route() {
    let receiver = Receiver::accepting();
    let worker = Worker::snippet("router")
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
    assert_eq!(event["transaction"], "GET /lists/:name");
    assert_eq!(event["tags"], json!({"class": "main", "handler": "fetch"}));
    let exceptions = event["exception"]["values"].as_array().expect("a chain");
    let error = exceptions.last().expect("an error");
    assert_eq!(
        error["value"],
        "the count of `bad`: invalid digit found in string"
    );
    assert_eq!(error["mechanism"]["handled"], false);
}
