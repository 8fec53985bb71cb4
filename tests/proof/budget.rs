//! What the crate may cost a Worker, in figures that do not vary from run to run: the
//! upload, and the calls between WebAssembly and JavaScript. What an event may cost in
//! memory is in `crate/src/budget.rs`. Times are in `cargo xtask bench` and never here.

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

/// The smallest Worker with a wrapped `fetch`, `worker` and all, compressed, with the
/// names of its functions, which `worker-build` keeps. 5 KB of it are for stacks; with
/// worker-sentry-symbols, which takes the names out, it is 109,000. The trace of each event,
/// with what its head tells of itself, is 5,800 of them, and what a run may say of itself 200.
const UPLOAD: usize = 130_300;
/// What the upload of a Worker is, with worker-sentry-symbols, of what it is without, where the
/// names of its functions stay in it. Stacks made it larger by less than that.
const WITH_SYMBOLS: f64 = 0.9;
/// Where the Workers with one capability each are.
const CAPABILITY_BUILDS: &str = "tests/capabilities";
/// How many bytes more the smallest Worker has with one capability of the crate, in the Workers of
/// `tests/capabilities`: what it is, the build, the build that it is compared with, the bytes,
/// and where to look. What writes any value of the caller's, with the maps of the standard library
/// and the formatting of floats, is 8,500 bytes. It is in no Worker until a capability brings it.
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
        // axum alone is 63,000.
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
        // 8,500 of them write the number of what was held back, as they write any value.
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
        // The feature alone. 8,000 is the most that it is worth, beside what writes the values
        // of its spans.
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
/// Calls out of WebAssembly for a request that succeeds, without a DSN.
const CALLS_WITHOUT_A_DSN: f64 = 25.0;
/// How many more they are with a DSN.
const CALLS_WITH_A_DSN: f64 = 0.0;
/// How many more they are than that if the request fails and is reported. One of them takes
/// the stack.
const CALLS_OF_A_REPORT: f64 = 16.0;
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

/// A capability of the crate, and what it may cost.
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

/// Before the tool has run, the example's module is its companion without the lines, which
/// nobody would upload. wasm-opt, which the example's build leaves out, would make that
/// smaller, so the upload is compared with both.
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

/// The newcomer's Worker is the smallest one and a panic more. The smallest as it is built
/// here has its names, and wasm-opt has seen it.
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
