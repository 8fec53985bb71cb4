//! One trace with the JavaScript SDK, in both directions: each side continues a trace that the
//! other side has begun.

use harness::receiver::{Received, Receiver, envelope};
use harness::worker::Worker;
use harness::{relay, wait};
use serde_json::{Value, json};

harness::trials![a_trace_goes_on_from_the_javascript_sdk_to_ours_and_back_with_the_dsc_as_it_was];

/// An event or a transaction: the envelope's trace, and the ids of its spans.
struct Seen {
    dsc: Value,
    trace: Value,
    payload: Value,
}

impl Seen {
    fn find(receiver: &Receiver, what: &str, is_it: impl Fn(&Value) -> bool) -> Self {
        wait::until(what, wait::LIMIT, || {
            let requests = receiver.requests();
            let mut all = requests.iter().flat_map(|Received { request, .. }| {
                let (header, items) = envelope(request);
                items
                    .into_iter()
                    .map(move |(_, it)| (header["trace"].clone(), it))
            });
            let (dsc, payload) = all.find(|(_, it)| is_it(it))?;
            let trace = payload["contexts"]["trace"].clone();
            Some(Seen {
                dsc,
                trace,
                payload,
            })
        })
    }

    /// The event with this message.
    fn event(receiver: &Receiver, message: &str) -> Self {
        let is_it = |it: &Value| {
            let value = it["exception"]["values"][0]["value"].as_str();
            value.is_some_and(|it| it.ends_with(message))
        };
        Self::find(receiver, message, is_it)
    }

    /// The transaction of the same run.
    fn transaction(&self, receiver: &Receiver) -> Self {
        let is_it = |it: &Value| {
            it["type"] == "transaction"
                && it["contexts"]["trace"]["span_id"] == self.trace["span_id"]
        };
        Self::find(receiver, "a transaction", is_it)
    }
}

fn a_trace_goes_on_from_the_javascript_sdk_to_ours_and_back_with_the_dsc_as_it_was() {
    let (ours, theirs) = (Receiver::accepting(), Receiver::accepting());
    let worker = Worker::fixture()
        .reporting_to(&ours.dsn())
        .with_javascript(&theirs.dsn())
        .var("SENTRY_TRACES_SAMPLE_RATE", "1")
        .var("SENTRY_RELEASE", "traced@1")
        .start();
    // The trace is begun by their Worker, by ours, or by a client.
    let client = "771a43a4192642f0b136d5159a501701";
    let header = format!("{client}-b0e6f15b45c36b12-1");
    let baggage =
        format!("theirs=1,sentry-trace_id={client},sentry-sample_rate=0.250,sentry-new=%C3%BC");
    let headers = [("sentry-trace", &*header), ("baggage", &*baggage)];
    for (marker, path, headers) in [
        ("head.", "front", &[][..]),
        ("back.", "service", &[]),
        ("client.", "front", &headers),
    ] {
        let path = format!("/traces/{path}?marker={marker}");
        let answer = worker.send("POST", &path, headers, "");
        assert_eq!(answer.status, 200, "{answer:?}");
    }

    let front = Seen::event(&theirs, "front:head.");
    let leaf = goes_on(&ours, &theirs, "head.", &front.trace["span_id"]);
    assert_eq!(front.dsc["release"], "javascript@2");
    assert_eq!(leaf.trace["trace_id"], front.trace["trace_id"]);
    assert_eq!(leaf.dsc, front.dsc);

    let leaf = goes_on(&ours, &theirs, "back.", &json!(null));
    assert_eq!(leaf.dsc["release"], "traced@1");
    assert_eq!(leaf.dsc["environment"], "production");

    let front = Seen::event(&theirs, "front:client.");
    assert_eq!(front.trace["parent_span_id"], "b0e6f15b45c36b12");
    let leaf = goes_on(&ours, &theirs, "client.", &front.trace["span_id"]);
    assert_eq!(leaf.trace["trace_id"], client);
    assert_eq!(leaf.dsc["sample_rate"], "0.250");
    assert_eq!(leaf.dsc["new"], "ü");
    assert_eq!(leaf.dsc, front.dsc);
}

/// The JavaScript SDK reads the trace's random value as a number, so a zero at its end is lost.
fn read(dsc: &Value) -> Value {
    let mut dsc = dsc.clone();
    let rand: Option<f64> = dsc["sample_rand"].as_str().and_then(|it| it.parse().ok());
    dsc["sample_rand"] = json!(rand);
    dsc
}

/// Fails unless our part is below `parent`, and their part is below our call to it, with the same
/// DSC. Returns their part.
fn goes_on(ours: &Receiver, theirs: &Receiver, marker: &str, parent: &Value) -> Seen {
    let event = Seen::event(ours, &format!("ours:{marker}"));
    let transaction = event.transaction(ours);
    let leaf = Seen::event(theirs, &format!("leaf:{marker}"));
    relay::judge(&event.payload);
    relay::judge(&transaction.payload);
    assert_eq!(event.trace["parent_span_id"], *parent);
    assert_eq!(transaction.trace["parent_span_id"], *parent);
    let calls = transaction.payload["spans"].as_array().expect("spans");
    let [call] = calls.as_slice() else {
        panic!("{calls:#?}")
    };
    assert_eq!(call["description"], "GET javascript");
    assert_eq!(leaf.trace["parent_span_id"], call["span_id"]);
    for seen in [&event, &transaction] {
        assert_eq!(leaf.trace["trace_id"], seen.trace["trace_id"]);
        assert_eq!(read(&leaf.dsc), read(&seen.dsc));
    }
    leaf
}
