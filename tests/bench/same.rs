//! What is compared does the same: each host's error arrives from each Worker with
//! the same substance. And what that takes on the wire.

use proof::receiver;
use proof::server::Request;
use serde_json::{Value, json};

use crate::measure::{ENVIRONMENT, Host, RELEASE};

/// The line that the hosts complain of.
pub const LINE: usize = 7;

/// Says that this request carries the error of that host.
///
/// # Panics
///
/// If it does not.
pub fn check(request: &Request, host: Host) {
    let event = receiver::event(request);
    let exceptions = event["exception"]["values"].as_array();
    let exceptions = exceptions.map(Vec::as_slice).unwrap_or_default();
    let [exception] = exceptions else {
        panic!("{} exceptions in {event:#}", exceptions.len());
    };
    let substance = json!({
        "type": exception["type"],
        "value": exception["value"],
        "transaction": event["transaction"],
        "release": event["release"],
        "environment": event["environment"],
        // It is what applies if nothing is said.
        "level": event["level"].as_str().unwrap_or("error"),
    });
    let expected = json!({
        "type": "BrokenLine",
        "value": format!("line {LINE} of the list is broken: a bracket is not closed"),
        "transaction": host.transaction(),
        "release": RELEASE,
        "environment": ENVIRONMENT,
        "level": "error",
    });
    assert_eq!(substance, expected, "{event:#}");
    assert!(event["event_id"].as_str().is_some_and(|id| id.len() == 32));
    assert_ne!(event["timestamp"], Value::Null);
}

/// The bytes of a request, without what TCP and TLS add.
pub fn bytes(request: &Request) -> usize {
    let line = request.method.len() + request.target.len() + " HTTP/1.1 \r\n".len();
    let headers = request.headers.iter();
    let headers = headers.map(|(name, value)| name.len() + value.len() + ": \r\n".len());
    line + headers.sum::<usize>() + "\r\n".len() + request.body.len()
}
