//! A Worker on the `Router` of `worker`: an error of a handler is reported with its route.

use crate::axum::the_one_error;

harness::trials![an_error_arrives_once_with_its_route_and_a_404_does_not];

fn an_error_arrives_once_with_its_route_and_a_404_does_not() {
    let error = the_one_error("router", "GET /lists/:name");
    assert_eq!(
        error["value"],
        "the count of `bad`: invalid digit found in string"
    );
}
