//! The Workflows that a cron trigger starts: warming the cache, and checking the lists.

use harness::wait;
use serde_json::{Value, json};

use super::{LONG, Stage, failure, has_ended};

/// The prefix of a list's key.
const PREFIX: &str = "list:";
const CRON: &str = "/cdn-cgi/handler/scheduled?cron=0+*+*+*+*";
/// The committed name of the namespace, which is its only name for wrangler.
const LISTS: &str = "LISTS";

harness::trials![
    a_cron_trigger_warms_every_list_and_finds_them_in_order,
    a_trigger_starts_only_what_an_operator_stored_for_it,
    a_list_that_stays_bad_is_bad_health_and_a_report,
    a_list_that_is_bad_for_a_moment_is_good_health,
];

/// Waits for the end of the only instance of a Workflow.
#[track_caller]
fn only(stage: &Stage, workflow: &str) -> Value {
    let ended = wait::until(&format!("end of {workflow}"), LONG, || {
        let instances = stage.worker.instances(workflow);
        let all = !instances.is_empty() && instances.iter().all(has_ended);
        all.then_some(instances)
    });
    assert_eq!(ended.len(), 1, "{ended:#?}");
    ended[0].clone()
}

#[track_caller]
fn fire(stage: &Stage) {
    let answer = stage.worker.get(CRON);
    assert_eq!(answer.status, 200, "{answer:?}");
}

fn health(stage: &Stage) -> (u16, Value) {
    let answer = stage.worker.get("/health");
    (answer.status, answer.json())
}

fn a_cron_trigger_warms_every_list_and_finds_them_in_order() {
    let stage = Stage::new(|options| options);
    assert_eq!(health(&stage), (200, Value::Null), "nobody has looked yet");
    let mut bytes = 0;
    for name in ["first", "second"] {
        stage.compile(name, &json!([{ "text": format!("||{name}.example.com^") }]));
        bytes += stage.list(name).len();
    }
    fire(&stage);
    let warm = only(&stage, "cache-warming");
    assert_eq!(
        warm["output"],
        json!({ "lists": 2, "bytes": bytes }),
        "{warm:#}"
    );
    let watched = only(&stage, "health-monitoring");
    let well = json!({ "checked": 2, "problems": [] });
    assert_eq!(watched["output"], well, "{watched:#}");
    assert_eq!(health(&stage), (200, well));
    assert!(stage.receiver.events().is_empty());
}

fn a_trigger_starts_only_what_an_operator_stored_for_it() {
    let stage = Stage::new(|options| options);
    let jobs = json!({ "jobs": ["health_monitoring"] }).to_string();
    stage
        .worker
        .store(LISTS, "schedule:0%20*%20*%20*%20*", &jobs);
    fire(&stage);
    assert_eq!(only(&stage, "health-monitoring")["status"], "complete");
    assert_eq!(stage.worker.instances("cache-warming").len(), 0);
    assert_eq!(health(&stage).1, json!({ "checked": 0, "problems": [] }));
}

/// A stage with an invalid list and a valid one.
fn with_a_bad_list() -> Stage {
    let stage = Stage::new(|options| options);
    stage.compile("good", &json!([{ "text": "||good.example.com^" }]));
    stage.list("good");
    stage
        .worker
        .store(LISTS, &format!("{PREFIX}bad"), "not a list");
    stage
}

const UNREADABLE: &str = "stored list `bad` cannot be read: line 1 is not `[Adblock Plus 2.0]`";

fn a_list_that_stays_bad_is_bad_health_and_a_report() {
    let stage = with_a_bad_list();
    fire(&stage);
    let watched = only(&stage, "health-monitoring");
    let problem = format!("`bad`: {UNREADABLE}");
    let ill = json!({ "checked": 2, "problems": [problem] });
    assert_eq!(health(&stage), (503, ill));
    let report = stage.report("lists are not in order");
    let said = format!("1 of 2 lists are not in order: {problem}");
    assert_eq!(report, json!(["HealthMonitoringWorkflow.run", [said]]));
    assert_eq!(failure(&watched), said);
    // The warming read the valid list, and reports the other one.
    let warmed = only(&stage, "cache-warming");
    assert_eq!(failure(&warmed), format!("UnreadableHeader: {UNREADABLE}"));
    let report = stage.report("cannot be warmed");
    let expected = json!([
        "CacheWarmingWorkflow.run",
        [
            UNREADABLE,
            "the step `warm bad` failed",
            "list `bad` cannot be warmed"
        ],
    ]);
    assert_eq!(report, expected);
}

fn a_list_that_is_bad_for_a_moment_is_good_health() {
    let stage = with_a_bad_list();
    // This schedule leaves out the warming, which would report the list.
    let jobs = json!({ "jobs": ["health_monitoring"] }).to_string();
    stage
        .worker
        .store(LISTS, "schedule:0%20*%20*%20*%20*", &jobs);
    fire(&stage);
    wait::until("an instance that has looked once", LONG, || {
        let instances = stage.worker.instances("health-monitoring");
        let seen = instances.first()?.to_string();
        seen.contains("wait for it to pass").then_some(())
    });
    stage.compile("bad", &json!([{ "text": "||bad.example.com^" }]));
    let watched = only(&stage, "health-monitoring");
    let well = json!({ "checked": 2, "problems": [] });
    assert_eq!(watched["output"], well, "{watched:#}");
    assert_eq!(health(&stage), (200, well));
    assert!(stage.receiver.events().is_empty());
}
