//! Limits for what the crate costs a Worker, in figures that do not vary from run to run: the
//! upload, and the calls between WebAssembly and JavaScript. `crate/src/budget.rs` limits the
//! memory of an event. Times are measured only by `cargo xtask bench`.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use harness::case::Trial;
use harness::environment;
use harness::receiver::Receiver;
use harness::worker::Worker;
use worker_sentry_symbols::{BUILD_ID, Module};

use crate::{newcomer, stacks};

/// The size of the smallest Worker with a wrapped `fetch`, compressed. It includes `worker` and the
/// names of functions, which `worker-build` keeps; without the names, which worker-sentry-symbols
/// removes, it is 109,000. Stacks take 5 KB of it, the trace of each event with the envelope's
/// header 5,800 bytes, and the data of a run 200.
const UPLOAD: usize = 130_300;
/// The size of an upload with worker-sentry-symbols, as a fraction of the upload that keeps the
/// names of functions. Stacks add less than the removed names save.
const WITH_SYMBOLS: f64 = 0.9;
/// The folder of the Workers with one capability each.
const CAPABILITY_BUILDS: &str = "tests/capabilities";
/// The bytes that each capability of the crate adds to the smallest Worker, measured with the
/// Workers of `tests/capabilities`: the capability, its build, the build to compare with, the
/// bytes, and where to look. The code that writes a value of any type takes 8,500 bytes, with the
/// standard library's maps and the formatting of floats. It is in a Worker only if a capability
/// needs it.
const CAPABILITIES: [Capability; 13] = [
    Capability {
        name: "the_scope_and_breadcrumbs",
        build: "build-ambient",
        over: "build",
        most: 20_500.0,
        look: "crate/src/scope/data.rs and crate/src/item/breadcrumb.rs",
    },
    Capability {
        name: "the_attribute",
        build: "build-attribute",
        over: "build",
        most: 100.0,
        look: "crate/macros/src/event.rs, whose code is to be no more than the wrapper",
    },
    Capability {
        name: "the_layer_for_axum",
        build: "build-axum",
        // This build is axum alone, which takes 63,000.
        over: "build-router",
        most: 4_800.0,
        look: "crate/src/api/tower.rs",
    },
    Capability {
        name: "a_hook_for_events",
        build: "build-before-send",
        over: "build",
        most: 54_500.0,
        look: "crate/src/item/protocol.rs, and Sentry's own types, which it has to write",
    },
    Capability {
        name: "a_limit_of_repeats",
        build: "build-limit-repeats",
        over: "build",
        // 8,500 bytes of this are the code that writes values. It writes the number of held-back
        // events.
        most: 9_100.0,
        look: "crate/src/steps/repeats.rs",
    },
    Capability {
        name: "logs",
        build: "build-logs",
        over: "build",
        most: 16_600.0,
        look: "crate/src/item/log.rs, crate/src/scope/logs.rs and crate/src/api/log.rs",
    },
    Capability {
        name: "logs_that_nobody_leaves",
        build: "build-logs-unused",
        over: "build",
        most: 1_500.0,
        look: "crate/src/api/recording.rs: the first log brings along what sends logs",
    },
    Capability {
        name: "a_hook_for_logs",
        build: "build-before-send-log",
        over: "build-logs",
        most: 9_100.0,
        look: "`to_protocol` in crate/src/item/log.rs",
    },
    Capability {
        name: "monitors",
        build: "build-monitors",
        over: "build",
        most: 12_600.0,
        look: "crate/src/item/check_in.rs, crate/src/item/schedule.rs and crate/src/api/monitor.rs",
    },
    Capability {
        name: "what_is_told_of_the_request",
        build: "build-request",
        over: "build",
        most: 19_500.0,
        look: "crate/src/item/request.rs",
    },
    Capability {
        name: "transactions",
        // The feature without a span of its own. 8,000 bytes are the most that it is worth, without
        // the code that writes the values of its spans.
        build: "build-transactions",
        over: "build",
        most: 9_900.0,
        look: "crate/src/scope/spans.rs, crate/src/item/transaction.rs and \
               crate/src/api/recording.rs",
    },
    Capability {
        name: "transactions_and_a_span",
        build: "build-spans",
        over: "build",
        most: 12_200.0,
        look: "crate/src/scope/spans.rs, crate/src/item/transaction.rs and \
               crate/src/api/recording.rs",
    },
    Capability {
        name: "the_layer_for_tracing_with_its_registry",
        build: "build-tracing",
        over: "build",
        most: 33_500.0,
        look: "crate/src/api/tracing.rs, and what `tracing-subscriber` is asked for",
    },
];
/// Calls from WebAssembly to JavaScript for a request that succeeds, without a DSN.
const CALLS_WITHOUT_A_DSN: f64 = 25.0;
/// How many calls a DSN adds.
const CALLS_WITH_A_DSN: f64 = 0.0;
/// How many calls it adds if the request fails and is reported. One of them takes the stack.
const CALLS_OF_A_REPORT: f64 = 16.0;
/// The connections of a report, if reports follow one after another.
const CONNECTIONS: f64 = 0.5;
/// How many calls a request adds that is not recorded, with the feature `spans` and a rate: they
/// get the time, and the random numbers for the decision.
const CALLS_OF_A_DECISION: f64 = 2.0;
/// The size of the report of an error with a few words, in bytes. Half of it is the stack, and 250
/// bytes are the trace.
const BODY: usize = 1_860;

/// How many requests are made of each kind. With this many, one-time work hardly counts.
const REQUESTS: usize = 50;
/// Longer than the last report takes after the answer to its request.
const REST: Duration = Duration::from_millis(500);

harness::trials![
    the_smallest_worker_stays_within_its_upload,
    calls_into_javascript_and_bytes_of_a_report_stay_within_their_figures,
    the_feature_for_spans_makes_no_call_more_without_a_rate_and_sends_nothing_at_rate_0,
    the_examples_upload_is_a_tenth_smaller_with_readable_stacks_than_without,
    ..CAPABILITIES.iter().map(Capability::trial),
    ..newcomer::can_build().then(|| {
        harness::trial!(the_smallest_workers_upload_is_a_tenth_smaller_with_readable_stacks_too)
    }),
];

/// A capability of the crate, and the bytes that it may add.
struct Capability {
    name: &'static str,
    build: &'static str,
    over: &'static str,
    most: f64,
    look: &'static str,
}

impl Capability {
    fn trial(&'static self) -> Trial {
        let rule = format!("the_upload_with_{}_stays_within_its_figure", self.name);
        harness::trial!(rule, || self.stays_within())
    }

    fn stays_within(&self) {
        let folder = environment::workspace().join(CAPABILITY_BUILDS);
        let size = |build: &str| compressed(&folder.join(build)) as f64;
        within(
            &format!(
                "more upload with {}, bytes with gzip",
                self.name.replace('_', " ")
            ),
            size(self.build) - size(self.over),
            self.most,
            self.look,
        );
    }
}

/// Fails with advice if a cost is above its limit.
fn within(what: &str, cost: f64, budget: f64, look: &str) {
    println!("figure: {what}: {cost} of {budget}");
    assert!(
        cost <= budget,
        "{what}: {cost}, and the budget is {budget}.\n{look}\n\
         If the change is worth it, raise the figure in tests/proof/budget.rs and say why \
         in the commit."
    );
}

fn the_smallest_worker_stays_within_its_upload() {
    within(
        "upload of the smallest Worker, bytes with gzip",
        compressed(&smallest()) as f64,
        UPLOAD as f64,
        "To see what is in it: cargo install twiggy, build listings/snippets/fetch for wasm32 \
         in release, and ask `twiggy top` of that file, which still has its names. Tables of \
         Unicode, formatting of floats and sorting are what tends to creep in.",
    );
}

/// Compares the example's upload with two modules that keep the names. One is the companion without
/// its lines: that is the module before the tool ran, which nobody would upload. The other is
/// smaller: it is what wasm-opt, which the example's build leaves out, makes of the first.
fn the_examples_upload_is_a_tenth_smaller_with_readable_stacks_than_without() {
    let folder = environment::path("PROOF_LISTINGS");
    let script = gzipped(&read(&folder.join("index.js")));
    let with = script + gzipped(&read(&folder.join("index_bg.wasm")));
    let companion = read(&folder.join("index_bg.debug.wasm"));
    let optimized = &stacks::example_optimized().data;
    for (what, module) in [
        ("the module of worker-build", &companion),
        ("what wasm-opt makes of it", optimized),
    ] {
        let module = Module::parse(module, what).expect("a module");
        assert!(!module.names.is_empty(), "{what} has no names");
        let named = module.rebuilt(|it| !it.is_dwarf() && !it.is_custom(BUILD_ID), &[]);
        let without = script + gzipped(&named);
        println!("figure: upload of the example, bytes with gzip: {with} and {without}, {what}");
        within(
            &format!("upload of the example, share of {what} with its names"),
            with as f64 / without as f64,
            WITH_SYMBOLS,
            SYMBOLS,
        );
    }
}

/// The newcomer's Worker is the smallest one with a panic added. The smallest one was built here
/// with its names and with wasm-opt.
fn the_smallest_workers_upload_is_a_tenth_smaller_with_readable_stacks_too() {
    let with = compressed(&newcomer::folder().join("build"));
    let without = compressed(&smallest());
    println!("figure: upload of the smallest Worker, bytes with gzip: {with} and {without}");
    within(
        "upload of the smallest Worker, share of what it is with its names",
        with as f64 / without as f64,
        WITH_SYMBOLS,
        SYMBOLS,
    );
}

const SYMBOLS: &str = "crate/symbols/src/split.rs decides which sections an upload keeps.";

/// The build of the smallest Worker.
fn smallest() -> PathBuf {
    environment::path("PROOF_SNIPPETS").join("fetch/build")
}

/// The size of a built Worker, compressed.
fn compressed(build: &Path) -> usize {
    let files = ["index.js", "index_bg.wasm"].map(|file| gzipped(&read(&build.join(file))));
    files.iter().sum()
}

fn read(file: &Path) -> Vec<u8> {
    fs::read(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

fn gzipped(bytes: &[u8]) -> usize {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
    gzip.write_all(bytes).expect("memory takes bytes");
    gzip.finish().expect("memory takes bytes").len()
}

fn calls_into_javascript_and_bytes_of_a_report_stay_within_their_figures() {
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
    // One more request was sent when the client was made.
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

fn the_feature_for_spans_makes_no_call_more_without_a_rate_and_sends_nothing_at_rate_0() {
    let receiver = Receiver::accepting();
    let start = |build: &str, rate: Option<&str>| {
        let options = Worker::snippet("fetch").config(|config| {
            let build = environment::workspace().join(CAPABILITY_BUILDS).join(build);
            let main = config["main"].as_str().expect("a path of our own");
            let file = Path::new(main).file_name().expect("the name of a script");
            let main = build.join(file).display().to_string();
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

/// Calls from WebAssembly to JavaScript for each request with this body, on average.
fn calls(worker: &Worker, body: &str) -> f64 {
    // The first request does the one-time work of the isolate, which is not counted.
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
