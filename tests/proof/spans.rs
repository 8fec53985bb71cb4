//! The spans of a trace: one transaction for each run and each attempt of a step, connected at each
//! call, and none without a sample rate.

use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use harness::receiver::{Answer, Received, Receiver, envelope};
use harness::shared::Shared;
use harness::worker::Worker;
use harness::{relay, wait};
use serde_json::{Value, json};

/// The number of chains that run at once.
const CHAINS: usize = 20;
/// The span of the client that starts the chains.
const CLIENT: &str = "b0e6f15b45c36b12";

harness::trials![
    each_part_of_a_chain_is_a_transaction_below_the_call_that_led_to_it,
    chains_that_run_at_once_are_a_tree_each_and_nothing_is_crossed,
    an_error_is_on_the_span_that_it_was_captured_in_also_where_two_run_at_once,
    an_alarm_is_a_trace_of_its_own_with_a_link_to_the_run_that_set_it,
    a_cron_trigger_and_a_failing_handler_are_transactions_too,
    a_cron_trigger_with_a_monitor_is_named_by_its_expression,
    what_a_socket_says_its_end_and_a_call_by_rpc_are_transactions_with_their_errors,
    without_a_rate_and_with_rate_0_no_transaction_is_sent_and_the_parents_flag_wins,
    a_handler_that_succeeds_does_not_wait_for_the_receiver,
    a_step_that_succeeds_does_not_wait_for_the_receiver_and_no_transaction_is_lost,
];

fn start(rate: Option<&str>) -> (Worker, Receiver) {
    let receiver = Receiver::accepting();
    let mut options = Worker::fixture().reporting_to(&receiver.dsn());
    if let Some(rate) = rate {
        options = options.var("SENTRY_TRACES_SAMPLE_RATE", rate);
    }
    (options.var("SENTRY_RELEASE", "traced@1").start(), receiver)
}

/// A Worker that records every trace.
fn stage() -> &'static (Worker, Receiver) {
    static STAGE: Shared<(Worker, Receiver)> = Shared::new();
    STAGE.get(|| start(Some("1")))
}

fn judge(payload: &Value) {
    // Relay's process has a short queue, so one event is checked at a time.
    static JUDGE: Mutex<()> = Mutex::new(());
    let _turn = JUDGE.lock().unwrap_or_else(PoisonError::into_inner);
    relay::judge(payload);
}

/// All items of one kind so far, with the DSC of their envelopes.
fn items(receiver: &Receiver, kind: &str) -> Vec<(Value, Value)> {
    let mut found = Vec::new();
    for Received { request, .. } in receiver.requests() {
        let (header, items) = envelope(&request);
        let kinds: Vec<_> = items.iter().map(|(item, _)| item["type"].clone()).collect();
        assert_eq!(kinds.len(), 1, "an envelope of several: {kinds:?}");
        for (item, payload) in items {
            if item["type"] == kind {
                found.push((header["trace"].clone(), payload));
            }
        }
    }
    found
}

/// Waits until a trace has this many transactions.
fn transactions(receiver: &Receiver, trace: &str, count: usize) -> Vec<(Value, Value)> {
    let of_trace = || {
        let mut all = items(receiver, "transaction");
        all.retain(|(_, it)| it["contexts"]["trace"]["trace_id"] == trace);
        all
    };
    let what = format!("{count} transactions of {trace}");
    wait::until(&what, wait::LIMIT, || {
        Some(()).filter(|()| of_trace().len() >= count)
    });
    // A transaction too many would arrive during this time.
    thread::sleep(Duration::from_millis(300));
    let all = of_trace();
    assert_eq!(all.len(), count, "{all:#?}");
    all.iter().for_each(|(_, it)| judge(it));
    all
}

/// The transaction of a trace with this name.
fn named<'t>(all: &'t [(Value, Value)], name: &str) -> &'t Value {
    let mut all_named = all.iter().filter(|(_, it)| it["transaction"] == name);
    match (all_named.next(), all_named.next()) {
        (Some((_, it)), None) => it,
        _ => panic!("not one {name} in {all:#?}"),
    }
}

fn root(transaction: &Value) -> &Value {
    &transaction["contexts"]["trace"]
}

/// The only span with this operation and description.
fn span<'t>(transaction: &'t Value, op: &str, description: &str) -> &'t Value {
    let spans = transaction["spans"].as_array().expect("spans");
    let mut matching = spans
        .iter()
        .filter(|it| it["op"] == op && it["description"] == description);
    match (matching.next(), matching.next()) {
        (Some(span), None) => span,
        _ => panic!("not one {op} {description} in {transaction:#}"),
    }
}

fn trace_id(number: usize) -> String {
    format!("4bf92f3577b34da6a3ce929d0e0e{number:04x}")
}

fn chain(number: usize) -> String {
    let (worker, receiver) = stage();
    let trace = trace_id(number);
    let header = format!("{trace}-{CLIENT}-1");
    let baggage = format!("sentry-trace_id={trace},sentry-of={number},sentry-sampled=true");
    let headers = [("sentry-trace", &*header), ("baggage", &*baggage)];
    let path = format!("/traces/chain?marker=spans.{number}.");
    let answer = worker.send("POST", &path, &headers, "");
    assert_eq!(answer.status, 200, "{answer:?}");
    let all = transactions(receiver, &trace, 6);
    assert_tree(&all, number);
    trace
}

/// Fails unless the six transactions of a chain form one tree.
fn assert_tree(all: &[(Value, Value)], number: usize) {
    for (dsc, it) in all {
        assert_eq!(dsc["of"], number.to_string(), "{dsc}");
        assert_eq!(dsc["trace_id"], trace_id(number));
        assert_eq!(it["release"], "traced@1");
        let spans = it["spans"].as_array().expect("spans");
        for span in spans {
            assert_eq!(span["trace_id"], trace_id(number), "{span}");
        }
    }
    let main = named(all, "POST main.fetch");
    let object = named(all, "POST Chain.fetch");
    let queue = named(all, "process chain");
    let run = named(all, "ChainWorkflow.run");
    let mut attempts: Vec<_> = all
        .iter()
        .map(|(_, it)| it)
        .filter(|it| it["transaction"] == "doomed")
        .collect();
    attempts.sort_by_key(|it| root(it)["data"]["cloudflare.workflow.attempt"].as_u64());

    assert_eq!(root(main)["parent_span_id"], CLIENT);
    assert_eq!(root(main)["op"], "http.server");
    assert_eq!(root(main)["origin"], "auto.http.cloudflare");
    assert_eq!(root(main)["data"]["http.request.method"], "POST");
    assert_eq!(root(main)["status"], "ok");
    let host = main["spans"][0]["description"].as_str().unwrap_or_default();
    assert!(host.starts_with("POST "), "{main:#}");
    let call = span(main, "http.client", host);
    assert_eq!(call["parent_span_id"], root(main)["span_id"]);
    assert_eq!(call["data"]["http.response.status_code"], 200);
    assert_eq!(root(object)["parent_span_id"], call["span_id"]);
    let publish = span(object, "queue.publish", "send");
    assert_eq!(root(queue)["parent_span_id"], publish["span_id"]);
    assert_eq!(root(queue)["op"], "queue.process");
    assert_eq!(root(queue)["origin"], "auto.faas.cloudflare.queue");
    let data = &root(queue)["data"];
    assert_eq!(data["messaging.destination.name"], "chain");
    assert_eq!(data["messaging.system"], "cloudflare");
    assert_eq!(data["faas.trigger"], "pubsub");
    let create = span(queue, "function", "create");
    assert_eq!(root(run)["parent_span_id"], create["span_id"]);
    assert_eq!(root(run)["origin"], "auto.faas.cloudflare.workflow");
    assert_eq!(root(run)["status"], "internal_error");
    // The times cover the whole instance, whose first run has slept.
    let seconds = |it: &Value, key: &str| it[key].as_f64().expect("a time");
    for (at, attempt) in attempts.iter().enumerate() {
        assert_eq!(root(attempt)["parent_span_id"], root(run)["span_id"]);
        assert_eq!(root(attempt)["data"]["cloudflare.workflow.attempt"], at + 1);
        assert_eq!(root(attempt)["data"]["workflow.step.name"], "doomed");
        assert_eq!(root(attempt)["status"], "internal_error");
        assert!(seconds(run, "start_timestamp") <= seconds(attempt, "start_timestamp"));
        assert!(seconds(attempt, "timestamp") <= seconds(run, "timestamp"));
    }
    assert_eq!(attempts.len(), 2);
    assert_ne!(root(attempts[0])["span_id"], root(attempts[1])["span_id"]);
}

fn each_part_of_a_chain_is_a_transaction_below_the_call_that_led_to_it() {
    let trace = chain(0xffff);
    // The errors of the chain belong to the root spans of their parts.
    let (_, receiver) = stage();
    let all = transactions(receiver, &trace, 6);
    for (part, name) in [
        ("main", "POST main.fetch"),
        ("object", "POST Chain.fetch"),
        ("run saw 1", "ChainWorkflow.run"),
    ] {
        let event = receiver.wait_for_event(&format!("{part}:spans.{}.\"", 0xffff));
        let span = &event["contexts"]["trace"]["span_id"];
        assert_eq!(span, &root(named(&all, name))["span_id"], "{part}");
    }
}

fn chains_that_run_at_once_are_a_tree_each_and_nothing_is_crossed() {
    thread::scope(|scope| {
        let chains: Vec<_> = (0..CHAINS)
            .map(|it| scope.spawn(move || chain(it)))
            .collect();
        for chain in chains {
            chain.join().expect("a chain that is one tree");
        }
    });
}

fn an_error_is_on_the_span_that_it_was_captured_in_also_where_two_run_at_once() {
    let (worker, receiver) = stage();
    let trace = trace_id(0xee);
    let header = format!("{trace}-{CLIENT}-1");
    // Unknown entries of Sentry's baggage are also passed on unchanged.
    let headers = [
        ("sentry-trace", &*header),
        ("baggage", "a=1,sentry-new=%C3%BC"),
    ];
    worker.send("POST", "/traces/spans?marker=on.", &headers, "");
    let all = transactions(receiver, &trace, 1);
    assert_eq!(all[0].0, json!({"new": "ü"}));
    let it = named(&all, "POST /traces/spans");
    assert_eq!(it["transaction_info"]["source"], "route");
    assert_eq!(root(it)["status"], "resource_exhausted");
    assert_eq!(root(it)["data"]["http.response.status_code"], 429);
    let left = span(it, "function", "left");
    let below = span(it, "function", "below");
    let right = span(it, "db.query", "right");
    assert_eq!(below["parent_span_id"], left["span_id"]);
    assert_eq!(below["data"]["lines"], 12);
    assert_eq!(right["parent_span_id"], root(it)["span_id"]);
    assert_eq!(right["status"], "internal_error");
    let parts = [
        ("left", left),
        ("below", below),
        ("right", right),
        ("around", root(it)),
    ];
    for (part, span) in parts {
        let event = receiver.wait_for_event(&format!("{part}:on.\""));
        assert_eq!(event["contexts"]["trace"]["span_id"], span["span_id"]);
        assert_eq!(event["transaction"], "POST /traces/spans");
    }
}

fn an_alarm_is_a_trace_of_its_own_with_a_link_to_the_run_that_set_it() {
    let (worker, receiver) = start(Some("1"));
    let trace = trace_id(0xaa);
    let header = format!("{trace}-{CLIENT}-1");
    let headers = [("sentry-trace", &*header)];
    worker.send("POST", "/traces/alarm?marker=alarm.", &headers, "");
    let all = transactions(&receiver, &trace, 2);
    let object = named(&all, "POST Chain.fetch");
    let alarm = wait::until("the alarm", wait::LIMIT, || {
        let mut all = items(&receiver, "transaction").into_iter();
        all.find(|(_, it)| it["transaction"] == "Chain.alarm")
    });
    let alarm = alarm.1;
    judge(&alarm);
    assert_ne!(root(&alarm)["trace_id"], trace);
    assert_eq!(root(&alarm)["parent_span_id"], json!(null));
    assert_eq!(root(&alarm)["data"]["faas.trigger"], "timer");
    let expected = json!([{
        "trace_id": trace,
        "span_id": root(object)["span_id"],
        "sampled": true,
        "attributes": {"sentry.link.type": "previous_trace"},
    }]);
    assert_eq!(root(&alarm)["links"], expected);
}

fn a_cron_trigger_and_a_failing_handler_are_transactions_too() {
    let (worker, receiver) = start(Some("1"));
    worker.get("/cdn-cgi/handler/scheduled?cron=spans.cron.");
    let event = receiver.wait_for_event("spans.cron.");
    let trace = event["contexts"]["trace"]["trace_id"]
        .as_str()
        .expect("an id");
    let all = transactions(&receiver, trace, 1);
    let it = named(&all, "main.scheduled");
    assert_eq!(root(it)["status"], "internal_error");
    assert_eq!(root(it)["origin"], "auto.faas.cloudflare.scheduled");
    assert_eq!(root(it)["span_id"], event["contexts"]["trace"]["span_id"]);
    let dsc = json!({
        "trace_id": trace, "public_key": "public", "release": "traced@1",
        "environment": "production", "sample_rate": "1", "sampled": "true",
        "sample_rand": all[0].0["sample_rand"],
    });
    assert_eq!(all[0].0, dsc);

    worker.post("/main/enqueue?marker=spans.queue.");
    let event = receiver.wait_for_event("spans.queue.");
    let trace = event["contexts"]["trace"]["trace_id"]
        .as_str()
        .expect("an id");
    let all = transactions(&receiver, trace, 1);
    assert_eq!(root(named(&all, "main.queue"))["status"], "internal_error");
}

fn a_cron_trigger_with_a_monitor_is_named_by_its_expression() {
    let (worker, receiver) = Worker::listings()
        .var("SENTRY_TRACES_SAMPLE_RATE", "1")
        .start_reporting();
    worker.get("/cdn-cgi/handler/scheduled?cron=0+*+*+*+*");
    let it = wait::until("the transaction", wait::LIMIT, || {
        let mut all = items(&receiver, "transaction").into_iter();
        all.find(|(_, it)| it["transaction"] == "Scheduled Cron 0 * * * *")
    });
    let it = it.1;
    judge(&it);
    assert_eq!(it["transaction_info"]["source"], "task");
    assert_eq!(root(&it)["op"], "function");
    assert_eq!(root(&it)["origin"], "auto.faas.cloudflare.scheduled");
    assert_eq!(root(&it)["data"]["faas.trigger"], "timer");
    assert_eq!(root(&it)["data"]["faas.cron"], "0 * * * *");
    assert_eq!(root(&it)["status"], "ok");
}

fn what_a_socket_says_its_end_and_a_call_by_rpc_are_transactions_with_their_errors() {
    let (worker, receiver) = start(Some("1"));
    let failed = |name: &str, marker: &str, op: &str| {
        let event = receiver.wait_for_event(marker);
        let of_event = &event["contexts"]["trace"];
        let trace = of_event["trace_id"].as_str().expect("an id");
        let all = transactions(&receiver, trace, 1);
        let it = named(&all, name);
        assert_eq!(event["transaction"], name);
        assert_eq!(root(it)["span_id"], of_event["span_id"]);
        assert_eq!(root(it)["op"], op);
        assert_eq!(root(it)["origin"], "auto.faas.cloudflare.durable_object");
        assert_eq!(root(it)["status"], "internal_error");
        assert_eq!(it["transaction_info"]["source"], "task");
        trace.to_owned()
    };
    let mut socket = worker.socket("/attributed/one/socket");
    socket.send("spans.message.");
    let said = failed(
        "Attributed.websocket_message",
        "spans.message.",
        "websocket",
    );
    socket.close("spans.close.");
    let closed = failed("Attributed.websocket_close", "spans.close.", "websocket");
    // A socket lives on between runs, and each run is a separate trace.
    assert_ne!(said, closed);
    let mut socket = worker.socket("/attributed/one/socket");
    socket.break_the_protocol();
    failed("Attributed.websocket_error", "websocket_error", "websocket");
    worker.post("/events/anyhow?marker=spans.rpc.");
    failed("Events.anyhow", "spans.rpc.", "function");
}

fn without_a_rate_and_with_rate_0_no_transaction_is_sent_and_the_parents_flag_wins() {
    for (rate, own, flagged) in [(None, "", 0), (Some("0"), "-0", 6)] {
        let (worker, receiver) = start(rate);
        let echo = worker
            .send("POST", "/traces/echo?marker=echo.", &[], "")
            .json();
        let header = echo[0].as_str().expect("a header");
        assert_eq!(&header[49..], own, "{rate:?}");
        worker.post("/traces/chain?marker=head.");
        receiver.wait_for("step:head.");
        thread::sleep(Duration::from_millis(500));
        assert_eq!(items(&receiver, "transaction"), [], "{rate:?}");

        let trace = trace_id(0xbb);
        let header = format!("{trace}-{CLIENT}-1");
        let headers = [("sentry-trace", &*header)];
        worker.send("POST", "/traces/chain?marker=flag.", &headers, "");
        receiver.wait_for("step:flag.");
        transactions(&receiver, &trace, flagged);
    }
    // The opposite case: the rate alone would sample the trace.
    let (worker, receiver) = stage();
    let trace = trace_id(0xcc);
    let header = format!("{trace}-{CLIENT}-0");
    let headers = [("sentry-trace", &*header)];
    worker.send("POST", "/traces/chain?marker=no.", &headers, "");
    receiver.wait_for("step:no.");
    thread::sleep(Duration::from_millis(500));
    transactions(receiver, &trace, 0);
}

/// A Worker that records every trace, and a receiver that answers after three seconds.
fn slow() -> (Worker, Receiver) {
    let receiver = Receiver::answering(|_, _| {
        thread::sleep(Duration::from_secs(3));
        Answer::ok()
    });
    let options = Worker::fixture().reporting_to(&receiver.dsn());
    let worker = options.var("SENTRY_TRACES_SAMPLE_RATE", "1").start();
    (worker, receiver)
}

fn a_handler_that_succeeds_does_not_wait_for_the_receiver() {
    let (worker, receiver) = slow();
    worker.post("/traces/echo?marker=warm.");
    let begin = Instant::now();
    let answer = worker.post("/traces/echo?marker=quick.");
    assert_eq!(answer.status, 200);
    assert!(
        begin.elapsed() < Duration::from_secs(2),
        "{:?}",
        begin.elapsed()
    );
    // The transactions of the main Worker and of the object, for both requests.
    wait::until("four transactions", wait::LIMIT, || {
        Some(()).filter(|()| items(&receiver, "transaction").len() == 4)
    });
}

/// An instance of the Workflow of scenarios, which was created outside of a trace.
struct Instance<'w> {
    worker: &'w Worker,
    id: &'static str,
}

impl<'w> Instance<'w> {
    fn play(worker: &'w Worker, id: &'static str, scenario: &Value) -> Self {
        let path = format!("/workflows/create/SCENARIO/{id}");
        assert_eq!(worker.post_json(&path, scenario).status, 202);
        Instance { worker, id }
    }

    fn act(&self, action: &str) {
        let path = format!("/workflows/{action}/SCENARIO/{}", self.id);
        let answer = self.worker.post(&path);
        assert_eq!(answer.status, 200, "{answer:?}");
    }

    fn send_approval(&self) {
        let path = format!("/workflows/event/SCENARIO/{}/approval", self.id);
        let approval = json!({ "by": "Ada", "votes": 3 });
        assert_eq!(self.worker.post_json(&path, &approval).status, 200);
    }

    fn wait_for(&self, status: &str) -> Value {
        let path = format!("/workflows/status/SCENARIO/{}", self.id);
        wait::until(
            &format!("{} that is {status}", self.id),
            wait::LIMIT,
            || {
                let seen = self.worker.get(&path).json();
                (seen["status"] == status).then(|| seen["output"].clone())
            },
        )
    }

    fn wait_for_notes(&self, count: usize) {
        let path = format!("/tally/{}", self.id);
        wait::until(
            &format!("{count} notes of {}", self.id),
            wait::LIMIT,
            || {
                let notes = self.worker.get(&path).json();
                (notes.as_array().map(Vec::len) == Some(count)).then_some(())
            },
        );
    }

    /// Waits for this many transactions, and returns their names. All are in the trace that is made
    /// from the instance's id.
    fn transactions(&self, receiver: &Receiver, count: usize) -> Vec<String> {
        let all = transactions(receiver, &self.id.replace('-', ""), count);
        let names = all.iter().map(|(_, it)| it["transaction"].as_str());
        let mut names: Vec<_> = names.map(|it| it.unwrap_or_default().to_owned()).collect();
        names.sort_unstable();
        names
    }
}

fn a_step_that_succeeds_does_not_wait_for_the_receiver_and_no_transaction_is_lost() {
    let (worker, receiver) = slow();
    let scenario = json!({ "scenario": "sleep", "ms": 100 });
    let slept = Instance::play(&worker, "4bf92f35-77b3-4da6-a3ce-929d0e0e0001", &scenario);
    let slept_ms = slept.wait_for("complete")["slept_ms"].as_u64();
    println!("figure: from a step over a sleep of 100 ms to the next step: {slept_ms:?} ms");
    assert!(slept_ms.is_some_and(|ms| ms < 2_000), "{slept_ms:?}");
    let all = ["ScenarioWorkflow.run", "after", "before"];
    assert_eq!(slept.transactions(&receiver, 3), all);

    // This instance is paused while a transaction is being sent, and ends when it is resumed.
    let scenario = json!({ "scenario": "event", "timeout_ms": 60_000 });
    let resumed = Instance::play(&worker, "4bf92f35-77b3-4da6-a3ce-929d0e0e0002", &scenario);
    resumed.wait_for_notes(2);
    resumed.act("pause");
    resumed.wait_for("paused");
    resumed.act("resume");
    resumed.wait_for_notes(3);
    resumed.send_approval();
    resumed.wait_for("complete");
    assert_eq!(resumed.transactions(&receiver, 3), all);

    let ended = Instance::play(&worker, "4bf92f35-77b3-4da6-a3ce-929d0e0e0003", &scenario);
    ended.wait_for_notes(2);
    ended.act("terminate");
    assert_eq!(ended.transactions(&receiver, 1), ["before"]);
}
