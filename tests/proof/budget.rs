//! What the crate may cost a Worker, in figures that do not vary from run to run: the
//! upload, and the calls between WebAssembly and JavaScript. What an event may cost in
//! memory is in `crate/src/budget.rs`. Times are in `cargo xtask bench` and never here.

use std::fs;
use std::io::Write;
use std::thread;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use libtest_mimic::Trial;
use proof::case::test;
use proof::environment;
use proof::receiver::Receiver;
use proof::worker::Worker;

/// The smallest Worker with a wrapped `fetch`, `worker` and all, compressed, with the
/// names of its functions, which `worker-build` keeps. 5 KB of it are for stacks; with
/// worker-sentry-symbols, which takes the names out, it is 112,000. The trace of each event,
/// with what its head tells of itself, is 5,800 of them, and what a run may say of itself 200.
const UPLOAD: usize = 140_000;
/// How many bytes more they are with the feature `spans`. They are 7,200; 8,000 is the most
/// that the feature is worth.
const SPANS: f64 = 8_000.0;
/// How many bytes more they are with the feature `logs`.
const LOGS: f64 = 8_200.0;
/// Calls out of WebAssembly for a request that succeeds, without a DSN.
const CALLS_WITHOUT_A_DSN: f64 = 25.0;
/// How many more they are with a DSN.
const CALLS_WITH_A_DSN: f64 = 0.0;
/// How many more they are than that if the request fails and is reported. Three of them take
/// the stack and the id of the build.
const CALLS_OF_A_REPORT: f64 = 30.0;
/// Connections of a report, where they come one after the other.
const CONNECTIONS: f64 = 0.5;
/// How many more a request makes with the feature `spans` and a rate, if it is not recorded:
/// the time, and the numbers that the decision is made with.
const CALLS_OF_A_DECISION: f64 = 2.0;
/// What is sent for an error of a few words, in bytes. Half of it is the stack; 250 of them
/// say which trace it is in.
const BODY: usize = 1_860;

/// Requests of each kind, so that what is done once is a small part of each.
const REQUESTS: usize = 50;
/// Longer than the last report takes after its request was answered.
const REST: Duration = Duration::from_millis(500);

pub fn trials() -> Vec<Trial> {
    vec![
        test(
            "budget::the_smallest_worker_stays_within_its_upload",
            the_upload,
        ),
        test(
            "budget::the_feature_for_spans_stays_within_its_upload",
            the_upload_with_spans,
        ),
        test(
            "budget::the_feature_for_logs_stays_within_its_upload",
            the_upload_with_logs,
        ),
        test(
            "budget::calls_into_javascript_and_bytes_of_a_report_stay_within_their_figures",
            calls_and_bytes,
        ),
        test(
            "budget::the_feature_for_spans_makes_no_call_more_without_a_rate_and_sends_nothing_at_rate_0",
            calls_with_spans,
        ),
    ]
}

/// Fails with what to do about it.
fn within(what: &str, cost: f64, budget: f64, look: &str) {
    println!("figure: {what}: {cost} of {budget}");
    assert!(
        cost <= budget,
        "{what}: {cost}, and the budget is {budget}.\n{look}\n\
         If the change is worth it, raise the figure in tests/proof/budget.rs and say why \
         in the commit."
    );
}

fn the_upload() {
    within(
        "upload of the smallest Worker, bytes with gzip",
        compressed("build") as f64,
        UPLOAD as f64,
        "To see what is in it: cargo install twiggy, build listings/snippets/fetch for wasm32 \
         in release, and ask `twiggy top` of that file, which still has its names. Tables of \
         Unicode, formatting of floats and sorting are what tends to creep in.",
    );
}

fn the_upload_with_spans() {
    let more = compressed("build-spans") as f64 - compressed("build") as f64;
    within(
        "more upload with the feature `spans`, bytes with gzip",
        more,
        SPANS,
        "crate/src/scope/spans.rs, crate/src/item/transaction.rs and crate/src/api/recording.rs \
         are what the feature adds.",
    );
}

fn the_upload_with_logs() {
    let more = compressed("build-logs") as f64 - compressed("build") as f64;
    within(
        "more upload with the feature `logs`, bytes with gzip",
        more,
        LOGS,
        "crate/src/item/log.rs, crate/src/scope/logs.rs and crate/src/api/log.rs are what the \
         feature adds.",
    );
}

/// The size of a build of the smallest Worker, compressed.
fn compressed(build: &str) -> usize {
    let build = environment::path("PROOF_SNIPPETS")
        .join("fetch")
        .join(build);
    let compressed = ["index.js", "index_bg.wasm"].map(|file| {
        let bytes = fs::read(build.join(file)).expect("a built Worker");
        let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
        gzip.write_all(&bytes).expect("memory takes bytes");
        gzip.finish().expect("memory takes bytes").len()
    });
    compressed.iter().sum()
}

fn calls_and_bytes() {
    let receiver = Receiver::accepting();
    let without = Worker::snippet("fetch").counted().start();
    let with = Worker::snippet("fetch")
        .secret("SENTRY_DSN", &receiver.dsn())
        .counted()
        .start();
    let look = "The bench counts each function: `cargo xtask bench --quick`.";
    let quiet_without = calls(&without, "12");
    within(
        "calls of a request without a DSN",
        quiet_without,
        CALLS_WITHOUT_A_DSN,
        look,
    );
    let quiet_with = calls(&with, "12");
    within(
        "more calls with a DSN",
        quiet_with - quiet_without,
        CALLS_WITH_A_DSN,
        look,
    );
    let failing = calls(&with, "twelve");
    within(
        "more calls for a report",
        failing - quiet_with,
        CALLS_OF_A_REPORT,
        look,
    );
    let requests = receiver.requests();
    // One more made the client.
    assert_eq!(requests.len(), REQUESTS + 1, "one request for each report");
    within(
        "connections of a report",
        receiver.connections() as f64 / requests.len() as f64,
        CONNECTIONS,
        "The answer's body was not read to its end: see `finish` in crate/src/platform/workerd.js.",
    );
    let largest = requests.iter().map(|it| it.request.body.len()).max();
    within(
        "bytes of a report",
        largest.unwrap_or_default() as f64,
        BODY as f64,
        "Print the envelope: a field is in it that was not.",
    );
}

fn calls_with_spans() {
    let receiver = Receiver::accepting();
    let start = |build: &str, rate: Option<&str>| {
        let options = Worker::snippet("fetch").config(|config| {
            let main = config["main"].as_str().expect("a path of our own");
            let main = main.replace("/build/", &format!("/{build}/"));
            config.insert("main".to_owned(), main.into());
        });
        let options = options.secret("SENTRY_DSN", &receiver.dsn());
        let options = match rate {
            Some(rate) => options.var("SENTRY_TRACES_SAMPLE_RATE", rate),
            None => options,
        };
        calls(&options.counted().start(), "12")
    };
    let look = "`begin` and `end` in crate/src/api/recording.rs: what they do without a rate.";
    let without = start("build", None);
    within(
        "more calls with the feature `spans` and no rate",
        start("build-spans", None) - without,
        0.0,
        look,
    );
    within(
        "more calls of a request that is not recorded",
        start("build-spans", Some("0")) - without,
        CALLS_OF_A_DECISION,
        look,
    );
    assert_eq!(receiver.requests().len(), 0, "nothing of it was recorded");
}

/// Calls out of WebAssembly for each request with this body, on average.
fn calls(worker: &Worker, body: &str) -> f64 {
    // What happens once for each isolate is not what is asked for.
    worker.post_text("/", body);
    thread::sleep(REST);
    worker.get("/counts");
    for _ in 0..REQUESTS {
        worker.post_text("/", body);
    }
    thread::sleep(REST);
    let counts = worker.get("/counts").json();
    counts["out"].as_f64().expect("a count") / REQUESTS as f64
}
