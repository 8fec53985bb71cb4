//! Requests that cannot be served, because of the client or because of the deployment.

use harness::wait;
use serde_json::{Value, json};

use super::{LONG, Stage, stage};

harness::trials![
    a_bad_request_is_refused_with_the_reason_and_reported_to_nobody,
    a_traced_request_says_how_it_was_answered,
    without_its_bindings_the_worker_answers_and_reports_what_is_missing,
    without_its_lists_a_workflow_says_what_it_could_not_do,
    without_a_coordinator_a_list_is_compiled_all_the_same,
    without_its_workflows_nothing_is_taken_in_and_nothing_lost_track_of,
];

fn a_bad_request_is_refused_with_the_reason_and_reported_to_nobody() {
    let stage = stage();
    let text = |length: usize| json!([{ "text": "x".repeat(length) }]);
    let list = |name: &str, sources: Value| json!({ "name": name, "sources": sources });
    let small = || list("small", text(1));
    let name = "a list's name is 1 to 64 letters, digits or dashes";
    let batch = "a batch is 1 to 100 lists with at most 200000 bytes of sources";
    for (path, body, reason) in [
        ("/compile", json!("?"), "not a compile request"),
        ("/compile", json!({ "name": "a" }), "not a compile request"),
        ("/compile", list("a b", text(1)), name),
        ("/compile", list("a", json!([])), "list `a` has no sources"),
        (
            "/compile",
            list("a", text(100_001)),
            "list `a` has more than 16 sources or too much text",
        ),
        (
            "/compile",
            list("a", json!([{ "url": "ftp://lists.invalid/" }])),
            "a source of list `a` is not an http or https URL",
        ),
        ("/batch", small(), "not a compile request"),
        ("/batch", json!([]), batch),
        ("/batch", json!(vec![small(); 101]), batch),
        ("/batch", json!(vec![list("a", text(100_000)); 3]), batch),
        ("/batch", json!([small(), list("", text(1))]), name),
    ] {
        let answer = stage.post("refused", path, &body);
        let answered = (answer.status, answer.body.as_str());
        assert_eq!(answered, (400, reason), "{path}");
    }
    // A key that no list can have, because it is no name.
    stage.worker.store("LISTS", "list:no%2520name", "private");
    for (method, path) in [
        ("GET", "/compile"),
        ("POST", "/"),
        ("GET", "/lists/nothing"),
        ("GET", "/lists/no%20name"),
        ("GET", "/lists/no%20name/progress"),
        ("GET", "/elsewhere"),
        ("POST", "/drill/main/fetch?marker=off"),
    ] {
        let answer = stage.worker.send(method, path, &[], "");
        assert_eq!(answer.status, 404, "{method} {path}");
    }
    let alive = stage.worker.get("/");
    assert_eq!(alive.body, "A filter-list compiler.\n");
    assert_eq!(stage.reports("main.fetch"), [Value::Null; 0]);
}

fn a_traced_request_says_how_it_was_answered() {
    let stage = Stage::new(|options| options.var("SENTRY_TRACES_SAMPLE_RATE", "1"));
    for (path, status) in [("/", 200), ("/nowhere", 404)] {
        assert_eq!(stage.worker.get(path).status, status);
        let said = format!("\"http.response.status_code\":{status}");
        let transaction = stage.receiver.wait_for_transaction(&said);
        let data = &transaction["contexts"]["trace"]["data"];
        assert_eq!(data["http.response.status_code"], status, "{data:#}");
    }
}

/// A Worker whose configuration lacks these parts.
fn without(parts: &'static [&'static str]) -> Stage {
    Stage::new(|options| {
        options.config(|config| {
            for part in parts {
                config.remove(*part);
            }
        })
    })
}

fn without_its_bindings_the_worker_answers_and_reports_what_is_missing() {
    let stage = without(&["kv_namespaces", "durable_objects", "migrations", "queues"]);
    let list = json!({ "name": "a", "sources": [{ "text": "||a.example.com^" }] });
    for (method, path) in [
        ("GET", "/lists/missing"),
        ("GET", "/lists/missing/progress"),
        ("GET", "/health"),
        ("POST", "/check/missing"),
        ("POST", "/compile"),
        ("POST", "/batch"),
    ] {
        let before = stage.receiver.requests().len();
        let answer = stage.worker.send(method, path, &[], &list.to_string());
        assert_eq!(answer.status, 500, "{method} {path}: {answer:?}");
        wait::until("a report", wait::LIMIT, || {
            (stage.receiver.requests().len() == before + 1).then_some(())
        });
    }
    assert_eq!(stage.worker.get("/").status, 200);
    stage
        .worker
        .get("/cdn-cgi/handler/scheduled?cron=0+*+*+*+*");
    let report = stage.report("the jobs of cron trigger");
    assert_eq!(report[0], "main.scheduled");
    let store = stage.report("the store of list `missing` failed");
    assert_eq!(store[0], "main.fetch");
}

fn without_its_lists_a_workflow_says_what_it_could_not_do() {
    let stage = without(&["kv_namespaces"]);
    let begun = [
        ("cache-warming", "there is no telling which lists to warm"),
        ("health-monitoring", "the lists cannot be looked at"),
    ]
    .map(|(workflow, text)| {
        let id = stage.worker.start_instance(workflow, &json!({}));
        (workflow, id, text)
    });
    for (workflow, id, text) in begun {
        let ended = stage.ended(workflow, &id);
        assert_eq!(ended["status"], "errored", "{ended:#}");
        let report = stage.report(text);
        let values = report[1].as_array().expect("values");
        assert_eq!(values.last(), Some(&json!(text)), "{report:#}");
        assert!(values[0].to_string().contains("LISTS"), "{report:#}");
    }
}

fn without_a_coordinator_a_list_is_compiled_all_the_same() {
    let stage = without(&["durable_objects", "migrations"]);
    let request = json!({ "name": "alone", "sources": [{ "text": "||alone.example.com^" }] });
    let order = json!({ "id": "alone", "request": request });
    let id = stage.worker.start_instance("compilation", &order);
    let ended = stage.ended("compilation", &id);
    assert_eq!(ended["status"], "complete", "{ended:#}");
    assert!(stage.list("alone").contains("||alone.example.com^"));
    let unheard = "the step `tell the end` failed";
    stage.worker.process().wait_for_line(unheard, wait::LIMIT);
    assert_eq!(stage.reports("alone"), [Value::Null; 0]);
}

fn without_its_workflows_nothing_is_taken_in_and_nothing_lost_track_of() {
    let stage = without(&["workflows"]);
    let list = json!({ "name": "later", "sources": [{ "text": "||later.example.com^" }] });
    // The coordinator did not keep the failed compilation, so each request starts a new one.
    for reports in 1..=2 {
        assert_eq!(stage.post("later", "/compile", &list).status, 500);
        let seen = wait::until("reports", wait::LIMIT, || {
            let seen = stage.reports("CompilationCoordinator.fetch");
            (seen.len() == reports).then_some(seen)
        });
        assert!(
            seen[0][1]
                .to_string()
                .contains("the coordinator could not use a binding")
        );
    }
    // The queue delivers the message again, as often as it is configured.
    assert_eq!(stage.post("batch", "/batch", &json!([list])).status, 202);
    let marker = "a batch of messages could not be taken in";
    wait::until("all deliveries", LONG, || {
        (stage.reports(marker).len() == 4).then_some(())
    });
}
