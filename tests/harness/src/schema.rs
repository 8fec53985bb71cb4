//! Checks of check-ins, logs and reports of dropped logs. Relay's normaliser does not take these,
//! so the checks are written from Sentry's documentation:
//! <https://develop.sentry.dev/sdk/telemetry/check-ins/>,
//! <https://develop.sentry.dev/sdk/telemetry/logs/> and
//! <https://develop.sentry.dev/sdk/telemetry/client-reports/>

use serde_json::{Map, Value};

/// The longest name of a monitor.
const MAX_SLUG: usize = 50;

/// Checks a check-in. Every check-in that a test asks for is checked here.
///
/// # Panics
///
/// If it does not fit the schema.
#[track_caller]
pub fn judge(check_in: &Value) {
    if let Err(objection) = check(check_in) {
        panic!("a check-in {objection}: {check_in:#}");
    }
}

/// Checks a check-in.
///
/// # Errors
///
/// If it does not fit the schema.
pub fn check(check_in: &Value) -> Result<(), String> {
    let fields = object(check_in, "is no object")?;
    let status = text(fields, "status")?;
    let is_over = match status {
        "in_progress" => false,
        "ok" | "error" => true,
        other => return Err(format!("has the status {other:?}")),
    };
    for (name, value) in fields {
        match name.as_str() {
            "check_in_id" => id(value)?,
            "monitor_slug" => slug(value)?,
            "status" => {}
            "duration" if is_over => positive(value, "duration")?,
            "release" | "environment" => short(value, name)?,
            "monitor_config" => config(value)?,
            "contexts" => {
                let trace = &value["trace"]["trace_id"];
                id(trace)?;
            }
            other => return Err(format!("has a field {other:?}")),
        }
    }
    for name in ["check_in_id", "monitor_slug", "environment"] {
        text(fields, name)?;
    }
    if is_over && !fields.contains_key("duration") {
        return Err("has ended and no duration".to_owned());
    }
    Ok(())
}

/// Checks a monitor's configuration:
/// <https://develop.sentry.dev/sdk/telemetry/check-ins/#monitor-upsert-support>
fn config(config: &Value) -> Result<(), String> {
    let fields = object(config, "has no object as monitor_config")?;
    let schedule = fields
        .get("schedule")
        .ok_or("has a config without a schedule")?;
    match schedule["type"].as_str() {
        Some("crontab") => {
            let value = schedule["value"].as_str().unwrap_or_default();
            let parts = value.split(' ').count();
            let signs = |c: char| c.is_ascii_alphanumeric() || "*/,- ".contains(c);
            if parts != 5 || !value.chars().all(signs) || value != value.to_lowercase() {
                return Err(format!("has the expression {value:?}"));
            }
        }
        Some("interval") => {
            let units = ["year", "month", "week", "day", "hour", "minute"];
            let unit = schedule["unit"].as_str().unwrap_or_default();
            let is_whole = schedule["value"].as_u64().is_some_and(|value| value > 0);
            if !units.contains(&unit) || !is_whole {
                return Err(format!("has the interval {schedule}"));
            }
        }
        _ => return Err(format!("has the schedule {schedule}")),
    }
    for (name, value) in fields {
        match name.as_str() {
            "schedule" => {}
            "checkin_margin" | "max_runtime" | "failure_issue_threshold" | "recovery_threshold" => {
                if value.as_u64().is_none() {
                    return Err(format!("has {name} {value}"));
                }
            }
            "timezone" => short(value, name)?,
            other => return Err(format!("has a config with a field {other:?}")),
        }
    }
    Ok(())
}

/// The largest number of logs in one item.
const MAX_LOGS: usize = 100;
/// The levels, and the lowest severity number of each.
/// <https://develop.sentry.dev/sdk/telemetry/logs/#log-severity-number>
const LEVELS: [(&str, u64); 6] = [
    ("trace", 1),
    ("debug", 5),
    ("info", 9),
    ("warn", 13),
    ("error", 17),
    ("fatal", 21),
];
/// The attributes of every log that describe the sender. The release is not among them, because not
/// every Worker has one. <https://develop.sentry.dev/sdk/telemetry/logs/#default-attributes>
const DEFAULTS: [&str; 4] = [
    "sentry.environment",
    "sentry.sdk.name",
    "sentry.sdk.version",
    "sentry.timestamp.sequence",
];

/// Checks an item of logs.
///
/// # Panics
///
/// If it does not fit the schema.
#[track_caller]
pub fn judge_logs(header: &Value, payload: &Value) {
    if let Err(objection) = check_logs(header, payload) {
        panic!("an item of logs {objection}: {header} {payload:#}");
    }
}

/// Checks an item of logs.
///
/// # Errors
///
/// If it does not fit the schema.
pub fn check_logs(header: &Value, payload: &Value) -> Result<(), String> {
    for name in object(header, "has no headers")?.keys() {
        if !["type", "length", "item_count", "content_type"].contains(&name.as_str()) {
            return Err(format!("has a header {name:?}"));
        }
    }
    if header["content_type"] != "application/vnd.sentry.items.log+json" {
        return Err("has another content type".to_owned());
    }
    let fields = object(payload, "is no object")?;
    if fields.keys().ne(["items", "version"]) || payload["version"] != 2 {
        return Err("is not of version 2 with items and nothing else".to_owned());
    }
    let logs = payload["items"].as_array().ok_or("has no list")?;
    if header["item_count"] != logs.len() || !(1..=MAX_LOGS).contains(&logs.len()) {
        return Err(format!("has {} logs", logs.len()));
    }
    logs.iter().try_for_each(log)
}

fn log(log: &Value) -> Result<(), String> {
    let fields = object(log, "has a log that is no object")?;
    for name in fields.keys() {
        match name.as_str() {
            "timestamp" | "trace_id" | "level" | "severity_number" | "body" | "attributes" => {}
            "span_id" => digits(&log["span_id"], 16)?,
            other => return Err(format!("has a log with a field {other:?}")),
        }
    }
    // The timestamp is in seconds, not in milliseconds, and is recent.
    let seconds = log["timestamp"].as_f64().unwrap_or_default();
    if !(1.7e9..4e9).contains(&seconds) {
        return Err(format!("has the time {}", log["timestamp"]));
    }
    digits(&log["trace_id"], 32)?;
    let level = text(fields, "level")?;
    if !LEVELS.contains(&(level, log["severity_number"].as_u64().unwrap_or_default())) {
        return Err(format!("has {level} with {}", log["severity_number"]));
    }
    text(fields, "body")?;
    let attributes = object(&log["attributes"], "has no attributes")?;
    for (name, attribute) in attributes {
        let value = &attribute["value"];
        let is_typed = match attribute["type"].as_str() {
            Some("string") => value.is_string(),
            Some("integer") => value.is_i64(),
            Some("double") => value.is_f64(),
            Some("boolean") => value.is_boolean(),
            _ => false,
        };
        if name.is_empty() || !is_typed || attribute.as_object().map(Map::len) != Some(2) {
            return Err(format!("has the attribute {name}: {attribute}"));
        }
    }
    let is_there = |name: &str| attributes.contains_key(name);
    if let Some(missing) = DEFAULTS.iter().find(|name| !is_there(name)) {
        return Err(format!("has no {missing}"));
    }
    let mut names = attributes.keys();
    let has_parameters = names.any(|name| name.starts_with("sentry.message.parameter."));
    if is_there("sentry.message.template") != has_parameters {
        return Err("has a template without parameters, or the other way round".to_owned());
    }
    Ok(())
}

/// Checks a report of what was dropped.
///
/// # Panics
///
/// If it does not fit the schema.
#[track_caller]
pub fn judge_report(report: &Value) {
    if let Err(objection) = check_report(report) {
        panic!("a client report {objection}: {report:#}");
    }
}

/// Checks a report of what was dropped.
///
/// # Errors
///
/// If it does not fit the schema.
pub fn check_report(report: &Value) -> Result<(), String> {
    let fields = object(report, "is no object")?;
    if fields.keys().ne(["discarded_events", "timestamp"]) || !report["timestamp"].is_f64() {
        return Err("has other fields than a time and what was dropped".to_owned());
    }
    let discarded = report["discarded_events"].as_array();
    for discarded in discarded.ok_or("has no list")? {
        let is_whole = discarded["quantity"].as_u64().is_some_and(|it| it > 0);
        let category = discarded["category"].as_str().unwrap_or_default();
        let is_known = ["log_item", "log_byte"].contains(&category);
        let fields = discarded.as_object().map(Map::len);
        if !is_whole || !is_known || discarded["reason"] != "buffer_overflow" || fields != Some(3) {
            return Err(format!("has dropped {discarded}"));
        }
    }
    Ok(())
}

fn object<'v>(value: &'v Value, otherwise: &str) -> Result<&'v Map<String, Value>, String> {
    value.as_object().ok_or_else(|| otherwise.to_owned())
}

fn text<'v>(fields: &'v Map<String, Value>, name: &str) -> Result<&'v str, String> {
    let text = fields.get(name).and_then(Value::as_str);
    text.ok_or_else(|| format!("has no {name}"))
}

/// Checks an id: 32 hexadecimal digits, not all of them zero.
fn id(value: &Value) -> Result<(), String> {
    digits(value, 32)
}

fn digits(value: &Value, count: usize) -> Result<(), String> {
    let text = value.as_str().unwrap_or_default();
    let digits = |c: char| matches!(c, '0'..='9' | 'a'..='f');
    match text.len() == count && text.chars().all(digits) && text.chars().any(|c| c != '0') {
        true => Ok(()),
        false => Err(format!("has the id {value}")),
    }
}

fn slug(value: &Value) -> Result<(), String> {
    let slug = value.as_str().unwrap_or_default();
    let signs = |c: char| matches!(c, '0'..='9' | 'a'..='z' | '_' | '-');
    match (1..=MAX_SLUG).contains(&slug.len()) && slug.chars().all(signs) {
        true => Ok(()),
        false => Err(format!("has the monitor {value}")),
    }
}

fn positive(value: &Value, name: &str) -> Result<(), String> {
    match value.as_f64().is_some_and(|number| number >= 0.0) {
        true => Ok(()),
        false => Err(format!("has {name} {value}")),
    }
}

fn short(value: &Value, name: &str) -> Result<(), String> {
    match value
        .as_str()
        .is_some_and(|text| (1..=200).contains(&text.len()))
    {
        true => Ok(()),
        false => Err(format!("has {name} {value}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn good() -> Value {
        json!({
            "check_in_id": "11".repeat(16),
            "monitor_slug": "cron-0-x-x-x-x",
            "status": "ok",
            "duration": 1.5,
            "environment": "production",
            "monitor_config": {
                "schedule": {"type": "crontab", "value": "0 * * * mon-fri"},
                "checkin_margin": 5,
                "timezone": "Etc/UTC",
            },
            "contexts": {"trace": {"trace_id": "77".repeat(16)}},
        })
    }

    #[test]
    fn a_check_in_as_it_has_to_be_is_taken_and_each_that_is_not_is_refused() {
        assert_eq!(check(&good()), Ok(()));
        let mut begun = good();
        begun["status"] = "in_progress".into();
        assert!(check(&begun).is_err(), "a duration before the end");
        for (pointer, value) in [
            ("/check_in_id", json!("1")),
            ("/check_in_id", json!("0".repeat(32))),
            ("/monitor_slug", json!("Not so")),
            ("/monitor_slug", json!("x".repeat(51))),
            ("/status", json!("missed")),
            ("/duration", json!(-1)),
            ("/duration", json!(null)),
            ("/environment", json!("")),
            ("/monitor_config/schedule/value", json!("0 * * *")),
            ("/monitor_config/schedule/value", json!("0 0 L * *")),
            ("/monitor_config/schedule/type", json!("cron")),
            ("/monitor_config/checkin_margin", json!("5")),
            ("/contexts/trace/trace_id", json!("x")),
        ] {
            let mut bad = good();
            *bad.pointer_mut(pointer).expect("a field") = value.clone();
            assert!(check(&bad).is_err(), "{pointer} {value}");
        }
        for (place, name) in [("", "message"), ("/monitor_config", "unit")] {
            let mut bad = good();
            bad.pointer_mut(place).expect("an object")[name] = json!(1);
            assert!(check(&bad).is_err(), "{name}");
        }
        for name in [
            "check_in_id",
            "monitor_slug",
            "status",
            "duration",
            "environment",
        ] {
            let mut bad = good();
            bad.as_object_mut().expect("an object").remove(name);
            assert!(check(&bad).is_err(), "without {name}");
        }
    }

    fn good_logs() -> (Value, Value) {
        let attribute = |value: Value, kind: &str| json!({"value": value, "type": kind});
        let header = json!({
            "type": "log",
            "length": 1,
            "item_count": 1,
            "content_type": "application/vnd.sentry.items.log+json",
        });
        let payload = json!({"version": 2, "items": [{
            "timestamp": 1_767_323_045.678,
            "trace_id": "77".repeat(16),
            "span_id": "11".repeat(8),
            "level": "warn",
            "severity_number": 13,
            "body": "",
            "attributes": {
                "sentry.environment": attribute("e".into(), "string"),
                "sentry.sdk.name": attribute("n".into(), "string"),
                "sentry.sdk.version": attribute("v".into(), "string"),
                "sentry.timestamp.sequence": attribute(0.into(), "integer"),
                "sentry.message.template": attribute("{}".into(), "string"),
                "sentry.message.parameter.0": attribute(0.5.into(), "double"),
                "b": attribute(true.into(), "boolean"),
            },
        }]});
        (header, payload)
    }

    #[test]
    fn a_log_as_it_has_to_be_is_taken_and_each_that_is_not_is_refused() {
        let (header, good) = good_logs();
        assert_eq!(check_logs(&header, &good), Ok(()));
        for (name, value) in [
            ("item_count", json!(2)),
            ("content_type", json!("application/json")),
            ("filename", json!("x")),
        ] {
            let mut bad = header.clone();
            bad[name] = value;
            assert!(check_logs(&bad, &good).is_err(), "{name}");
        }
        for (pointer, value) in [
            ("/version", json!(1)),
            ("/items", json!([])),
            ("/items", json!(vec![good["items"][0].clone(); 101])),
            ("/items/0/timestamp", json!(1_767_323_045_678.0)),
            ("/items/0/timestamp", json!("now")),
            ("/items/0/trace_id", json!("0".repeat(32))),
            ("/items/0/span_id", json!("1")),
            ("/items/0/level", json!("warning")),
            ("/items/0/severity_number", json!(14)),
            ("/items/0/body", json!(1)),
            ("/items/0/attributes/b/type", json!("string")),
            ("/items/0/attributes/b/type", json!("bool")),
            ("/items/0/attributes/b", json!(true)),
        ] {
            let mut bad = good.clone();
            *bad.pointer_mut(pointer).expect("a field") = value.clone();
            let mut header = header.clone();
            header["item_count"] = json!(bad["items"].as_array().map(Vec::len));
            assert!(check_logs(&header, &bad).is_err(), "{pointer} {value}");
        }
        let names = DEFAULTS.into_iter();
        for name in names.chain(["sentry.message.template", "sentry.message.parameter.0"]) {
            let mut bad = good.clone();
            let attributes = bad.pointer_mut("/items/0/attributes");
            let attributes = attributes.and_then(Value::as_object_mut);
            attributes.expect("attributes").remove(name);
            assert!(check_logs(&header, &bad).is_err(), "without {name}");
        }
        let mut more = good;
        more["items"][0]["origin"] = json!("x");
        assert!(check_logs(&header, &more).is_err());
    }

    #[test]
    fn a_report_as_it_has_to_be_is_taken_and_each_that_is_not_is_refused() {
        let good = json!({"timestamp": 1.5, "discarded_events": [
            {"reason": "buffer_overflow", "category": "log_item", "quantity": 2},
        ]});
        assert_eq!(check_report(&good), Ok(()));
        for (pointer, value) in [
            ("/timestamp", json!(null)),
            ("/discarded_events", json!({})),
            ("/discarded_events/0/reason", json!("other")),
            ("/discarded_events/0/category", json!("error")),
            ("/discarded_events/0/quantity", json!(0)),
        ] {
            let mut bad = good.clone();
            *bad.pointer_mut(pointer).expect("a field") = value;
            assert!(check_report(&bad).is_err(), "{pointer}");
        }
    }
}
