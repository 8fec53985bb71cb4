//! Many lists, sent over HTTP to the queue, and from there to a Workflow.

use harness::wait;
use serde_json::{Value, json};

use super::{LONG, Stage, failure, has_ended, rules};

harness::trials![
    a_batch_waits_for_a_list_that_takes_longer,
    a_batch_goes_through_the_queue_and_each_of_its_lists_is_compiled,
    of_a_batch_with_a_bad_list_the_others_are_compiled_and_the_bad_one_is_named,
    of_messages_of_which_one_is_unusable_the_others_are_compiled,
];

fn request(name: &str, sources: &Value) -> Value {
    json!({ "name": name, "sources": sources })
}

/// Waits for the end of the first instance of the batch's Workflow.
#[track_caller]
fn batch(stage: &Stage) -> Value {
    wait::until("end of the batch", LONG, || {
        let mut instances = stage.worker.instances("batch-compilation").into_iter();
        instances.find(has_ended)
    })
}

fn a_batch_goes_through_the_queue_and_each_of_its_lists_is_compiled() {
    let stage = Stage::new(|options| options);
    let requests = json!([
        request("one", &json!([stage.sources.at("/hosts.txt")])),
        request("two", &json!([{ "text": "||two.example.com^" }])),
    ]);
    let answer = stage.post("batch", "/batch", &requests);
    assert_eq!(
        (answer.status, answer.json()),
        (202, json!({ "queued": 2 }))
    );
    assert_eq!(rules(&stage.list("one")).len(), 4);
    assert_eq!(rules(&stage.list("two")), ["||two.example.com^"]);
    let batch = batch(&stage);
    assert_eq!(batch["status"], "complete", "{batch:#}");
    assert_eq!(batch["output"], json!({ "done": 2, "running": 0 }));
    assert_eq!(stage.receiver.requests().len(), 0);
}

fn a_batch_waits_for_a_list_that_takes_longer() {
    let stage = Stage::new(|options| options);
    let requests = json!([
        request("quick", &json!([{ "text": "||quick.example.com^" }])),
        request("slow", &json!([stage.sources.at("/held/slow")])),
    ]);
    assert_eq!(stage.post("batch", "/batch", &requests).status, 202);
    wait::until("a batch that has looked once", LONG, || {
        let instances = stage.worker.instances("batch-compilation");
        let seen = instances.first()?.to_string();
        seen.contains("wait 2").then_some(())
    });
    stage.sources.let_go();
    let batch = batch(&stage);
    assert_eq!(batch["status"], "complete", "{batch:#}");
    assert_eq!(batch["output"], json!({ "done": 2, "running": 0 }));
}

fn of_a_batch_with_a_bad_list_the_others_are_compiled_and_the_bad_one_is_named() {
    let stage = Stage::new(|options| options);
    let requests = json!([
        request("good", &json!([{ "text": "||good.example.com^" }])),
        request("bad", &json!([stage.sources.at("/gone/bad")])),
    ]);
    assert_eq!(stage.post("batch", "/batch", &requests).status, 202);
    assert_eq!(rules(&stage.list("good")), ["||good.example.com^"]);
    let batch = batch(&stage);
    let report = stage.report("of a batch failed");
    assert_eq!(report[0], "BatchCompilationWorkflow.run");
    let said = report[1][0].as_str().expect("a message");
    assert!(
        said.starts_with("1 of 2 lists of a batch failed: `bad`: "),
        "{said}"
    );
    assert_eq!(failure(&batch), said);
}

fn of_messages_of_which_one_is_unusable_the_others_are_compiled() {
    let stage = Stage::new(harness::worker::WorkerOptions::with_drills);
    // Both messages arrive within one second, in which the queue waits for further messages.
    let unusable = stage.worker.drill("main/queue", "unusable");
    assert_eq!(unusable.status, 202, "{unusable:?}");
    let good = json!([request(
        "usable",
        &json!([{ "text": "||usable.example.com^" }])
    )]);
    assert_eq!(stage.post("batch", "/batch", &good).status, 202);
    assert_eq!(rules(&stage.list("usable")), ["||usable.example.com^"]);
    let report = stage.report("list `unusable` has no sources");
    assert_eq!(report[0], "main.queue");
    let counted = "1 of 2 messages are no compile requests: ";
    assert!(report[1].to_string().contains(counted), "{report:#}");
    // No message is delivered again.
    assert_eq!(stage.worker.instances("batch-compilation").len(), 1);
}
