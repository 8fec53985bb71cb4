//! The isolate's state in workerd: one load at a time, one client, nothing shared
//! between requests, and no request that waits for another request's I/O.
//!
//! The DSN comes from a vault that a test controls. To the Worker, a
//! Secrets Store binding is a stub with a method `get`, and the vault is such a stub.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use harness::receiver::{Answer, Receiver};
use harness::worker::{Worker, WorkerOptions};
use harness::{run, wait};
use serde_json::{Value, json};

/// The limits, as the documentation states them.
const CAPTURE: Duration = Duration::from_secs(5);
const LOAD: Duration = Duration::from_secs(2);
/// The time that a busy machine may add to a limit.
const SLACK: Duration = Duration::from_secs(3);
/// The runtime's message about a request that waits for another request's I/O.
const HUNG: &str = "code had hung";
const GIVEN_UP: &str = "loading the configuration took too long";
const INITIALISED: &str = "client initialised";

harness::trials![
    a_slow_secrets_store_is_read_once_and_no_concurrent_first_capture_is_lost,
    a_secrets_store_that_fails_first_is_read_again_by_the_next_capture,
    a_secrets_store_that_never_answers_is_given_up_and_holds_nobody_longer_than_the_bound,
    a_client_that_disconnects_while_its_request_loads_leaves_nothing_stuck,
    whichever_way_in_comes_first_initialises_and_the_others_reuse,
    concurrent_requests_share_an_isolate_and_no_tag_or_place,
    a_request_that_waits_for_another_ones_load_is_cancelled_as_hung,
];

/// A Worker that has to ask a vault for its DSN, and its receiver.
struct Stage {
    worker: Worker,
    vault: Receiver,
    receiver: Receiver,
}

impl Stage {
    /// `answer` gets the DSN, and the number of the request to the vault, from 0.
    fn new(answer: impl Fn(String, usize) -> Answer + Send + Sync + 'static) -> Self {
        Self::with(|options| options, answer)
    }

    fn with(
        change: impl FnOnce(WorkerOptions) -> WorkerOptions,
        answer: impl Fn(String, usize) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let receiver = Receiver::accepting();
        let dsn = receiver.dsn();
        let vault = Receiver::answering(move |_, number| answer(dsn.clone(), number));
        let options = Worker::fixture()
            .secret("SENTRY_DEBUG", "on")
            .vault(&vault.url());
        let worker = change(options).start();
        // The first use starts parts that are not to be measured.
        worker.get("/");
        for object in ["first", "second"] {
            worker.post(&format!("/subject/{object}/nothing"));
        }
        assert_eq!(vault.connections(), 0, "nothing loads early");
        Stage {
            worker,
            vault,
            receiver,
        }
    }

    /// Sends requests to two objects and to the main Worker at once. Returns the status and the
    /// time of each answer.
    fn three_at_once(&self, name: &str) -> Vec<(u16, Duration)> {
        let paths = [
            format!("/main/capture?marker={name}.main"),
            format!("/subject/first/fetch?marker={name}.first"),
            format!("/subject/second/fetch?marker={name}.second"),
        ];
        let ready = Barrier::new(paths.len());
        thread::scope(|scope| {
            let running: Vec<_> = paths
                .iter()
                .map(|path| {
                    let ready = &ready;
                    scope.spawn(move || {
                        ready.wait();
                        let began = Instant::now();
                        let answer = self.worker.post(path);
                        (answer.status, began.elapsed())
                    })
                })
                .collect();
            running
                .into_iter()
                .map(|thread| thread.join().expect("an answer"))
                .collect()
        })
    }

    fn arrived(&self, name: &str) -> usize {
        let of = |who| self.receiver.count(&format!("{name}.{who}"));
        of("main") + of("first") + of("second")
    }

    /// How many lines contain `part`, after wrangler has written all of them.
    fn lines(&self, part: &str) -> usize {
        lines(&self.worker, part)
    }
}

/// How many lines contain `part`. wrangler writes a line some time after the Worker has, so this
/// first waits for a later line of the application.
fn lines(worker: &Worker, part: &str) -> usize {
    static LAST: AtomicUsize = AtomicUsize::new(0);
    let last = format!("last-line-{}.", LAST.fetch_add(1, Ordering::Relaxed));
    worker.get(&format!("/cdn-cgi/handler/scheduled?cron={last}"));
    worker.process().wait_for_line(&last, wait::LIMIT);
    worker.process().count_lines(part)
}

/// The status of the three answers, whether or not their events arrive: the main Worker continues,
/// and the errors of the objects are returned unchanged.
const STATUSES: [u16; 3] = [200, 500, 500];

fn statuses(answers: &[(u16, Duration)]) -> Vec<u16> {
    answers.iter().map(|(status, _)| *status).collect()
}

fn a_slow_secrets_store_is_read_once_and_no_concurrent_first_capture_is_lost() {
    let stage = Stage::new(|dsn, _| {
        thread::sleep(Duration::from_secs(1));
        Answer::Reply(200, Vec::new(), dsn.into_bytes())
    });
    let answers = stage.three_at_once("slow");
    println!("figure: three first captures and a vault of one second: {answers:?}");
    assert_eq!(statuses(&answers), STATUSES);
    assert_eq!(stage.arrived("slow"), 3);
    assert_eq!(stage.vault.requests().len(), 1, "one load");
    assert_eq!(stage.lines(INITIALISED), 1);
    assert_eq!(stage.lines(HUNG), 0);
}

fn a_secrets_store_that_fails_first_is_read_again_by_the_next_capture() {
    let stage = Stage::new(|dsn, number| {
        thread::sleep(Duration::from_millis(500));
        match number {
            0 => Answer::status(500),
            _ => Answer::Reply(200, Vec::new(), dsn.into_bytes()),
        }
    });
    let answers = stage.three_at_once("fails");
    println!("figure: three first captures and a vault that fails first: {answers:?}");
    assert_eq!(statuses(&answers), STATUSES);
    assert_eq!(stage.vault.requests().len(), 2, "one load after the other");
    assert_eq!(stage.lines(INITIALISED), 1);
    assert_eq!(stage.lines("SENTRY_DSN could not be read"), 1);
    assert_eq!(stage.lines(HUNG), 0);
    let arrived = stage.arrived("fails");
    assert!(
        arrived >= 2,
        "only the failed load's own event is lost: {arrived}"
    );
    assert_eq!(stage.three_at_once("later").len(), 3);
    stage.receiver.wait_for("later.main");
    assert_eq!(stage.vault.requests().len(), 2);
}

fn a_secrets_store_that_never_answers_is_given_up_and_holds_nobody_longer_than_the_bound() {
    let stage = Stage::new(|dsn, number| match number {
        0..=2 => Answer::Hang,
        _ => Answer::Reply(200, Vec::new(), dsn.into_bytes()),
    });
    let answers = stage.three_at_once("never");
    println!("figure: three first captures and a vault that never answers: {answers:?}");
    assert_eq!(statuses(&answers), STATUSES);
    let shortest = answers.iter().map(|(_, took)| *took).min();
    assert!(shortest < Some(LOAD + SLACK), "the load is given up");
    for (_, took) in &answers {
        // This limit is tighter than elsewhere, because a load that starts late must end early.
        assert!(*took < CAPTURE + Duration::from_secs(1), "{took:?}");
    }
    assert_eq!(stage.arrived("never"), 0);
    assert!(stage.lines(GIVEN_UP) >= 1);
    assert_eq!(stage.lines(HUNG), 0);
    // An earlier failure must not silence the isolate for ever.
    wait::until("event after all", wait::LIMIT, || {
        let answer = stage.worker.post("/main/capture?marker=after-all");
        (answer.json() != Value::Null).then_some(())
    });
    assert_eq!(stage.receiver.count("after-all"), 1);
    assert_eq!(stage.lines(INITIALISED), 1);
}

fn a_client_that_disconnects_while_its_request_loads_leaves_nothing_stuck() {
    let stage = Stage::with(WorkerOptions::behind_vault, |dsn, number| match number {
        0 => Answer::Hang,
        _ => Answer::Reply(200, Vec::new(), dsn.into_bytes()),
    });
    let capture = |query: &str| stage.worker.post(&format!("/main/capture?marker={query}"));
    let gone = capture("gone&patience=300");
    assert_eq!((gone.status, &*gone.body), (504, "TimeoutError"));
    assert_eq!(stage.vault.requests().len(), 1, "it was loading");
    let began = Instant::now();
    let answer = capture("stays");
    let took = began.elapsed();
    println!("figure: the capture after a disconnected one took {took:?}");
    assert_ne!(answer.json(), Value::Null, "{answer:?}");
    assert!(took < LOAD + SLACK, "{took:?}");
    assert_eq!(stage.receiver.count("stays"), 1);
    assert_eq!(stage.vault.requests().len(), 2, "it started over");
    let process = stage.worker.process();
    process.wait_for_line("event delivered", wait::LIMIT);
    process.says_once(INITIALISED);
    assert_eq!(process.count_lines(HUNG), 0);
    // A loader that was still running would print that it gives up.
    thread::sleep(LOAD);
    assert_eq!(process.count_lines(GIVEN_UP), 0, "it was cancelled");
}

fn whichever_way_in_comes_first_initialises_and_the_others_reuse() {
    // A queue is not among them: `worker` ends the instance after a queue's error.
    const WAYS: [(&str, &str); 5] = [
        ("main.fetch", "/main/error?marker="),
        ("Subject.alarm", "/subject/way/alarm?marker="),
        ("Subject.fetch", "/subject/way/fetch?marker="),
        ("main.scheduled", "/cdn-cgi/handler/scheduled?cron="),
        ("ScenarioWorkflow.run", "/workflows/create/SCENARIO/"),
    ];
    for first in 0..WAYS.len() {
        let (worker, receiver) = Worker::fixture().start_reporting();
        let mut order: Vec<usize> = (0..WAYS.len()).collect();
        order.rotate_left(first);
        for way in order {
            let (transaction, path) = WAYS[way];
            let marker = format!("way-{way}-");
            // Only the Workflow reads the body.
            let parameters = json!({"scenario": "outside", "marker": marker});
            worker.post_json(&format!("{path}{marker}"), &parameters);
            let event = receiver.wait_for_event(&marker);
            assert_eq!(event["transaction"], transaction);
        }
        assert_eq!(lines(&worker, INITIALISED), 1, "{first} first");
        assert_eq!(lines(&worker, HUNG), 0);
    }
}

fn concurrent_requests_share_an_isolate_and_no_tag_or_place() {
    // Slow answers make the requests overlap in every step.
    let receiver = Receiver::answering(|_, _| {
        thread::sleep(Duration::from_millis(50));
        Answer::ok()
    });
    let worker = Arc::new(Worker::fixture().reporting_to(&receiver.dsn()).start());
    let paths = |n: usize| match n % 4 {
        0 => format!("/main/rich?marker=mine.{n}."),
        1 => format!("/main/error?marker=mine.{n}."),
        2 => format!("/subject/o{n}/fetch?marker=mine.{n}."),
        _ => format!("/main/twice?marker=mine.{n}."),
    };
    run::at_once(40, |n| {
        worker.post(&paths(n));
    });
    for n in 0..40 {
        let event = receiver.wait_for_event(&format!("mine.{n}."));
        let place = |class: &str, handler: &str| json!({"class": class, "handler": handler});
        let tags = match n % 4 {
            0 => json!({"class": "main", "handler": "fetch", "only-here": format!("mine.{n}.")}),
            1 => place("main", "fetch"),
            2 => place("Subject", "fetch"),
            _ => place("Inner", "call"),
        };
        assert_eq!(event["tags"], tags, "{n}");
        assert_eq!(event["user"], Value::Null);
        assert_eq!(event["breadcrumbs"], Value::Null);
        let others = (0..40).filter(|other| *other != n);
        for other in others {
            assert!(
                !event.to_string().contains(&format!("mine.{other}.")),
                "{n}: {event}"
            );
        }
    }
}

/// Why the crate shares no future: the pages say what happens with that obvious solution.
fn a_request_that_waits_for_another_ones_load_is_cancelled_as_hung() {
    let worker = Worker::fixture().start();
    worker.get("/");
    thread::scope(|scope| {
        let load = || {
            let began = Instant::now();
            (worker.get("/faults/shared").status, began.elapsed())
        };
        let first = scope.spawn(load);
        thread::sleep(Duration::from_millis(300));
        let (status, took) = load();
        assert_eq!(status, 500);
        assert!(took < Duration::from_millis(500), "{took:?}: at once");
        println!("figure: cancelled after {took:?}");
        assert_eq!(first.join().expect("an answer").0, 200);
    });
    worker.process().wait_for_line(HUNG, wait::LIMIT);
}
