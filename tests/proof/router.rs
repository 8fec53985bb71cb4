//! A Worker on `worker`'s own `Router`: an error of a handler arrives with its route.

use libtest_mimic::Trial;
use proof::case::test;

use crate::axum::the_one_error;

pub fn trials() -> Vec<Trial> {
    vec![test(
        "router::an_error_arrives_once_with_its_route_and_a_404_does_not",
        an_error_arrives_with_its_route,
    )]
}

fn an_error_arrives_with_its_route() {
    let error = the_one_error("router", "GET /lists/:name");
    assert_eq!(
        error["value"],
        "the count of `bad`: invalid digit found in string"
    );
}
