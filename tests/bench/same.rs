//! Checks that the compared Workers do the same: each Worker's report of each host's error has the
//! same substance. Also measures what a report takes on the wire.

use harness::receiver;
use harness::server::Request;
use serde_json::{Value, json};

use crate::measure::{ENVIRONMENT, Host, RELEASE};

/// The number of the line that the hosts' error names.
pub const LINE: usize = 7;

/// Checks that this request contains the error of that host.
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
        // Without a level, an event has the level `error`.
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
    // Rust's stack belongs to the capture and not to the error, so it is in the thread.
    let stacks = [exception, &event["threads"]["values"][0]];
    let frames = stacks.map(|it| it["stacktrace"]["frames"].as_array().map_or(0, Vec::len));
    assert!(frames[0].max(frames[1]) > 0, "{event:#}");
}

/// Checks that this request contains an error with ten breadcrumbs.
///
/// # Panics
///
/// If it does not.
pub fn check_crumbs(request: &Request) {
    let event = receiver::event(request);
    let crumbs = &event["breadcrumbs"];
    let crumbs = crumbs.as_array().or_else(|| crumbs["values"].as_array());
    let ours = crumbs.into_iter().flatten().filter(|crumb| {
        let message = crumb["message"].as_str().unwrap_or_default();
        crumb["category"] == "list" && message.ends_with("of the list is read")
    });
    assert_eq!(ours.count(), 10, "{event:#}");
}

/// Checks that this request contains the transaction of one run.
///
/// # Panics
///
/// If it does not.
pub fn check_transaction(request: &Request) {
    let (_, items) = receiver::envelope(request);
    let (head, item) = items.first().expect("an item");
    // The SDK may send the transaction as a span without a parent, in a list.
    let (item, fields) = match head["type"].as_str() {
        Some("span") => (
            &item["items"][0],
            ["name", "start_timestamp", "end_timestamp"],
        ),
        _ => (item, ["transaction", "start_timestamp", "timestamp"]),
    };
    for field in fields {
        assert_ne!(item[field], Value::Null, "{field}: {item:#}");
    }
}

/// Checks that these requests are the two check-ins of one run that succeeded.
///
/// # Panics
///
/// If they are not.
pub fn check_run_of_monitor(requests: &[Request]) {
    let mut check_ins: Vec<Value> = requests
        .iter()
        .map(|request| receiver::envelope(request).1.remove(0).1)
        .collect();
    // The check-ins may arrive in any order, and either may contain the schedule.
    check_ins.sort_by_key(|it| it["status"].as_str().map(str::to_owned));
    let said: Vec<Value> = check_ins
        .iter()
        .map(|it| json!([it["monitor_slug"], it["status"]]))
        .collect();
    assert_eq!(
        said,
        [json!(["bench", "in_progress"]), json!(["bench", "ok"])]
    );
    assert_eq!(check_ins[0]["check_in_id"], check_ins[1]["check_in_id"]);
    let schedule = |it: &Value| it["monitor_config"]["schedule"]["value"] == "*/15 * * * *";
    assert!(check_ins.iter().any(schedule), "{check_ins:#?}");
}

/// The bytes of a request, without what TCP and TLS add.
pub fn bytes(request: &Request) -> usize {
    let line = request.method.len() + request.target.len() + " HTTP/1.1 \r\n".len();
    let headers = request.headers.iter();
    let headers = headers.map(|(name, value)| name.len() + value.len() + ": \r\n".len());
    line + headers.sum::<usize>() + "\r\n".len() + request.body.len()
}
