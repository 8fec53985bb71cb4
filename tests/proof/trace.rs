//! One trace from the client's request through every kind of part, to the error.

use std::sync::{Mutex, PoisonError};
use std::thread;

use harness::receiver::{Received, Receiver, envelope};
use harness::relay;
use harness::shared::Shared;
use harness::worker::Worker;
use serde_json::{Value, json};

/// The number of chains that run at once.
const CHAINS: usize = 21;

harness::trials![
    a_request_an_object_a_queue_a_workflow_and_its_steps_are_one_trace_joined_at_each_hop,
    chains_that_run_at_once_are_a_trace_each_and_nothing_is_crossed,
    a_run_that_continues_nothing_is_a_trace_of_its_own_and_a_traceparent_is_continued,
    the_headers_of_others_stay_and_without_a_dsn_none_are_added,
    an_instance_without_a_creators_trace_is_one_trace_in_each_replay_and_attempt,
    a_run_without_a_trace_can_be_in_the_one_that_cloudflare_records_and_on_its_span,
];

fn stage() -> &'static (Worker, Receiver) {
    static STAGE: Shared<(Worker, Receiver)> = Shared::new();
    STAGE.get(|| {
        Worker::fixture()
            .var("SENTRY_RELEASE", "traced@1")
            .start_reporting()
    })
}

/// The parts of a chain, in the order of their calls.
const PARTS: [&str; 7] = [
    "main",
    "object",
    "queue saw 1",
    "run saw 1",
    "attempt 1",
    "attempt 2",
    "step",
];

/// The ids of an event, and the trace in its envelope.
pub struct Seen {
    pub trace: String,
    pub span: String,
    pub parent: Option<String>,
    dsc: Value,
}

/// Waits for the event of one part of a chain.
pub fn seen(receiver: &Receiver, marker: &str) -> Seen {
    let Received { request, .. } = receiver.wait_for(&format!("purpose: {marker}\""));
    let (header, items) = envelope(&request);
    let event = &items[0].1;
    {
        // Relay's process has a short queue, so one event is checked at a time.
        static JUDGE: Mutex<()> = Mutex::new(());
        let _turn = JUDGE.lock().unwrap_or_else(PoisonError::into_inner);
        relay::judge(event);
    }
    let context = &event["contexts"]["trace"];
    assert_eq!(context["type"], "trace", "{event:#}");
    let text = |name: &str| context[name].as_str().map(str::to_owned);
    Seen {
        trace: text("trace_id").expect("a trace id"),
        span: text("span_id").expect("a span id"),
        parent: text("parent_span_id"),
        dsc: header["trace"].clone(),
    }
}

/// Runs a chain, and returns the event of each part.
fn chain(marker: &str, headers: &[(&str, &str)]) -> Vec<Seen> {
    let (worker, receiver) = stage();
    let path = format!("/traces/chain?marker={marker}");
    let answer = worker.send("POST", &path, headers, "");
    assert_eq!(answer.status, 200, "{answer:?}");
    let part = |part: &&str| seen(receiver, &format!("{part}:{marker}"));
    PARTS.iter().map(part).collect()
}

/// Fails unless the parts are in one trace, each below the part that called it.
fn assert_joined(parts: &[Seen], trace: &str, client: Option<&str>) {
    let [main, object, queue, run, first, second, step] = parts else {
        panic!("{} parts", parts.len());
    };
    for part in parts {
        assert_eq!(part.trace, trace);
        assert_eq!(part.dsc, main.dsc);
    }
    assert_eq!(main.parent.as_deref(), client);
    assert_eq!(object.parent.as_ref(), Some(&main.span));
    assert_eq!(queue.parent.as_ref(), Some(&object.span));
    assert_eq!(run.parent.as_ref(), Some(&queue.span));
    // Each attempt is a span below the span of the run, which is the same in each replay.
    assert_eq!(first.parent.as_ref(), Some(&run.span));
    assert_eq!(second.parent.as_ref(), Some(&run.span));
    assert_ne!(first.span, second.span);
    assert_eq!(step.span, run.span);
}

fn trace_id(number: usize) -> String {
    format!("771a43a4192642f0b136d5159a50{number:04x}")
}

fn a_request_an_object_a_queue_a_workflow_and_its_steps_are_one_trace_joined_at_each_hop() {
    let trace = trace_id(0xffff);
    let header = format!("{trace}-b0e6f15b45c36b12-1");
    let baggage = format!(
        "theirs=1,sentry-trace_id={trace},sentry-public_key=public,sentry-sample_rate=0.250,\
         sentry-unknown=%C3%BC"
    );
    let headers = [("sentry-trace", &*header), ("baggage", &*baggage)];
    let parts = chain("one.chain.", &headers);
    assert_joined(&parts, &trace, Some("b0e6f15b45c36b12"));
    // The incoming DSC is frozen: it is passed on unchanged, and the crate adds nothing to it.
    let expected = json!({
        "trace_id": trace, "public_key": "public", "sample_rate": "0.250", "unknown": "ü",
    });
    assert_eq!(parts[6].dsc, expected);
}

fn chains_that_run_at_once_are_a_trace_each_and_nothing_is_crossed() {
    thread::scope(|scope| {
        let chains: Vec<_> = (0..CHAINS)
            .map(|number| {
                scope.spawn(move || {
                    let trace = trace_id(number);
                    let header = format!("{trace}-b0e6f15b45c36b12-0");
                    let baggage = format!("sentry-trace_id={trace},sentry-of={number}");
                    let headers = [("sentry-trace", &*header), ("baggage", &*baggage)];
                    let parts = chain(&format!("many.{number}."), &headers);
                    assert_joined(&parts, &trace, Some("b0e6f15b45c36b12"));
                    assert_eq!(parts[6].dsc["of"], number.to_string());
                })
            })
            .collect();
        for chain in chains {
            chain.join().expect("a chain that is one trace");
        }
    });
}

fn a_run_that_continues_nothing_is_a_trace_of_its_own_and_a_traceparent_is_continued() {
    let parts = chain("own.head.", &[]);
    let trace = parts[0].trace.clone();
    assert_joined(&parts, &trace, None);
    let expected = json!({
        "trace_id": trace, "public_key": "public", "release": "traced@1",
        "environment": "production",
    });
    assert_eq!(parts[0].dsc, expected);

    let w3c = "4bf92f3577b34da6a3ce929d0e0e4736";
    let header = format!("00-{w3c}-00f067aa0ba902b7-01");
    let parts = chain("w3c.head.", &[("traceparent", &header)]);
    assert_joined(&parts, w3c, Some("00f067aa0ba902b7"));
}

fn the_headers_of_others_stay_and_without_a_dsn_none_are_added() {
    let own = [("baggage", "theirs=1"), ("x-own", "kept")];
    let echo = |worker: &Worker, headers: &[(&str, &str)]| {
        let path = "/traces/echo?marker=echo.";
        worker.send("POST", path, headers, "").json()
    };
    let (worker, _) = stage();
    let answer = echo(worker, &own);
    let sentry_trace = answer[0].as_str().expect("a header");
    // 32 digits, 16 digits and a hyphen. There is no decision, because there is no rate.
    assert_eq!(sentry_trace.len(), 49, "{sentry_trace}");
    let baggage = answer[1].as_str().expect("a header");
    let begins = format!("theirs=1,sentry-trace_id={}", &sentry_trace[..32]);
    assert!(baggage.starts_with(&begins), "{baggage}");
    assert_eq!(answer[2], json!(null));
    assert_eq!(answer[3], "kept");

    let silent = crate::transport::silent();
    assert_eq!(echo(silent, &own), json!([null, "theirs=1", null, "kept"]));
    assert_eq!(echo(silent, &[]), json!([null, null, null, null]));
}

fn an_instance_without_a_creators_trace_is_one_trace_in_each_replay_and_attempt() {
    let (worker, receiver) = stage();
    worker.post("/traces/instance/ae0ee067?marker=instance.");
    let part = |part: &str| seen(receiver, &format!("{part}:instance."));
    let (run, first, second) = (part("run saw 1"), part("attempt 1"), part("attempt 2"));
    let step = part("step");
    for part in [&run, &first, &second, &step] {
        assert_eq!(part.trace, "0d2b6d1743ce6d53af4f5ee416ad5d1b");
    }
    assert_eq!(run.parent, None);
    assert_eq!(first.parent.as_ref(), Some(&run.span));
    assert_eq!(second.parent.as_ref(), Some(&run.span));
    assert_ne!(first.span, second.span);
    assert_eq!(step.span, run.span);
}

fn a_run_without_a_trace_can_be_in_the_one_that_cloudflare_records_and_on_its_span() {
    let (worker, receiver) = stage();
    let native = |marker: &str, headers: &[(&str, &str)]| {
        let path = format!("/traces/native?marker={marker}");
        worker.send("POST", &path, headers, "").json()
    };
    thread::scope(|scope| {
        for number in 0..CHAINS {
            scope.spawn(move || {
                let marker = format!("native.{number}.");
                let ids = native(&marker, &[]);
                let main = seen(receiver, &format!("native:{marker}"));
                assert_eq!(json!([main.trace, main.span]), ids);
                assert_eq!(main.parent, None);
                assert_eq!(main.dsc["trace_id"], ids[0]);
                // The runtime itself passes its trace to the object.
                let object = seen(receiver, &format!("native object:{marker}"));
                assert_eq!(object.trace, main.trace);
                assert_ne!(object.span, main.span);
            });
        }
    });
    let trace = trace_id(0xdd);
    let header = format!("{trace}-b0e6f15b45c36b12");
    native("headers.", &[("sentry-trace", &header)]);
    let main = seen(receiver, "native:headers.");
    assert_eq!(main.trace, trace);
    assert_eq!(main.parent.as_deref(), Some("b0e6f15b45c36b12"));
}
