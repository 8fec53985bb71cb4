//! One failing alarm, through all six steps.
//!
//! The drill makes an entry of the rate limiter unreadable, and its alarm reads it. A
//! test that fails when a step is broken has the step's number in its name.

use std::time::{Duration, Instant};

use harness::bugsink;
use harness::receiver::{Answer, Receiver};
use harness::shared::Shared;
use harness::worker::{Worker, WorkerOptions};
use harness::{run, wait};
use serde_json::{Value, json};
use toml::{Table, toml};

const DRILL: &str = "rate-limiter/alarm";
/// The beginning of each line that the crate prints.
const OURS: &str = "[worker-sentry]";
/// The longest time of one capture, as the documentation states it.
const BOUND: Duration = Duration::from_secs(5);
/// The time that a busy machine may add to a limit.
const SLACK: Duration = Duration::from_secs(3);

harness::trials![
    steps_1_to_6_a_failing_alarm_reaches_bugsink_once_with_its_chain,
    step_1_guard_without_a_dsn_nothing_leaves_the_runtime,
    step_1_guard_without_a_dsn_the_application_behaves_the_same_and_no_line_is_logged,
    step_2_load_happens_on_the_first_capture_and_concurrent_ones_lose_no_event,
    step_3_load_failure_is_named_once_without_the_value_and_the_application_works_on,
    step_3_load_failure_the_next_capture_tries_again,
    step_4_initialise_once_two_objects_of_one_isolate_share_one_client,
    step_5_client_release_and_environment_come_from_the_bindings,
    step_6_deliver_a_hanging_receiver_holds_the_alarm_no_longer_than_the_bound,
];

/// A Worker that reports to a receiver of ours, for tests without other needs.
fn reporting() -> &'static (Worker, Receiver) {
    static REPORTING: Shared<(Worker, Receiver)> = Shared::new();
    REPORTING.get(|| {
        let receiver = Receiver::accepting();
        let options = Worker::listings().with_drills();
        (
            options.secret("SENTRY_DSN", &receiver.dsn()).start(),
            receiver,
        )
    })
}

/// The runtime's line for the failure that a drill provokes. Wrangler prints the failure twice;
/// this line is the one with a stack.
fn failure(marker: &str) -> String {
    format!("Uncaught Error: the window of client `{marker}` cannot be read Error")
}

fn steps_1_to_6_a_failing_alarm_reaches_bugsink_once_with_its_chain() {
    let project = bugsink::project();
    let worker = Worker::listings()
        .with_drills()
        .secret("SENTRY_DSN", &project.dsn)
        .start();
    let answer = worker.drill(DRILL, "chain");
    assert_eq!(answer.status, 202, "{answer:?}");
    let accepted = answer.json();
    for (field, value) in [
        ("host", "rate-limiter"),
        ("handler", "alarm"),
        ("marker", "chain"),
    ] {
        assert_eq!(accepted[field], value, "{accepted}");
    }

    let event = project.wait_for_event("chain");
    let exceptions: Vec<[&Value; 2]> = event["exception"]["values"]
        .as_array()
        .expect("exceptions")
        .iter()
        .map(|exception| [&exception["type"], &exception["value"]])
        .collect();
    // Sentry expects the root cause first and the caught error last.
    let expected = json!([
        ["Error", "expected value at line 1 column 1"],
        [
            "SweepError::UnreadableWindow",
            "the window of client `chain` cannot be read"
        ],
    ]);
    assert_eq!(json!(exceptions), expected);
    let caught = &event["exception"]["values"][1]["mechanism"];
    assert_eq!(caught["handled"], false, "{event:#}");
    assert_eq!(
        caught["type"], "auto.faas.cloudflare.durable_object",
        "{event:#}"
    );
    assert_eq!(event["release"], "0.1.0", "{event:#}");
    assert_eq!(event["environment"], "production", "{event:#}");
    assert_eq!(event["transaction"], "RateLimiterDo.alarm", "{event:#}");
    assert_eq!(tag(&event, "class"), "RateLimiterDo", "{event:#}");
    assert_eq!(tag(&event, "handler"), "alarm", "{event:#}");
    // The runtime runs a failed alarm again after at most two and a half seconds. The drill's error
    // must not be reported again then.
    let about_us = || {
        let mut events = project.events();
        events.retain(|event| event.to_string().contains("`chain`"));
        events.len()
    };
    wait::stays("events of one drill", 1, Duration::from_secs(4), about_us);
    println!(
        "figure: the Worker answered {:?} after its start",
        worker.started_in()
    );
}

/// A tag, in either of the two forms that Sentry allows.
pub fn tag<'e>(event: &'e Value, name: &str) -> &'e Value {
    match event["tags"].as_array() {
        Some(pairs) => {
            let pair = pairs.iter().find(|pair| pair[0] == name);
            pair.map_or(&Value::Null, |pair| &pair[1])
        }
        None => &event["tags"][name],
    }
}

fn step_1_guard_without_a_dsn_nothing_leaves_the_runtime() {
    // workerd logs the handler's failure after everything that the handler did.
    let drill = |worker: &Worker, marker: &str| {
        worker.drill(DRILL, marker);
        let failed = format!("jsg.Error: the window of client `{marker}` cannot be read");
        worker.process().wait_for_line(&failed, wait::LIMIT);
    };
    // The same check does find a request when there is a DSN.
    let with = Worker::listings()
        .with_drills()
        .secret("SENTRY_DSN", "http://public@receiver.example.com/1")
        .start_watched();
    drill(&with, "seen");
    assert_eq!(
        with.outbound(),
        ["POST http://receiver.example.com/api/1/envelope/"]
    );

    let without = Worker::listings().with_drills().start_watched();
    for marker in ["unseen-1", "unseen-2"] {
        drill(&without, marker);
    }
    assert_eq!(without.outbound(), [""; 0]);
    assert_eq!(without.process().count_lines(OURS), 0);
}

fn step_1_guard_without_a_dsn_the_application_behaves_the_same_and_no_line_is_logged() {
    let (with, _) = reporting();
    let without = Worker::listings().with_drills().start();
    let seen = [with, &without].map(|worker| {
        let answers = [
            worker.drill(DRILL, "same"),
            worker.get("/"),
            worker.get("/nowhere"),
            worker.drill("nobody/alarm", "same"),
            worker.drill(DRILL, "not%20plain"),
        ];
        // The runtime logs each failed attempt of an alarm.
        worker
            .process()
            .wait_for_line(&failure("same"), wait::LIMIT);
        let after = worker.post("/check/same");
        let failures = worker.process().count_lines(&failure("same"));
        (answers, after, failures)
    });
    assert_eq!(seen[0], seen[1]);
    assert_eq!(seen[1].0[0].status, 202, "{seen:?}");
    assert_eq!(without.process().count_lines(OURS), 0);
    assert!(with.process().count_lines(OURS) > 0);
}

fn step_2_load_happens_on_the_first_capture_and_concurrent_ones_lose_no_event() {
    let receiver = Receiver::accepting();
    let worker = with_secrets_store(Worker::listings().with_drills()).start();
    store_dsn(&worker, &receiver.dsn());
    worker.get("/");
    assert_eq!(worker.process().count_lines(OURS), 0, "nothing loads early");
    // The markers belong to several objects, so the first captures overlap.
    let markers: Vec<String> = (0..8).map(|n| format!("together-{n}")).collect();
    run::at_once(markers.len(), |at| {
        worker.drill(DRILL, &markers[at]);
    });
    for marker in &markers {
        receiver.wait_for_event(&format!("`{marker}`"));
    }
    assert_eq!(receiver.requests().len(), markers.len());
    worker.process().says_once("client initialised");
}

fn step_3_load_failure_is_named_once_without_the_value_and_the_application_works_on() {
    let malformed = "http://a-key-nobody-may-see@";
    let worker = Worker::listings()
        .with_drills()
        .secret("SENTRY_DSN", malformed)
        .start();
    let drill = |marker: &str| {
        let drilled = Instant::now();
        assert_eq!(worker.drill(DRILL, marker).status, 202);
        worker
            .process()
            .wait_for_line(&failure(marker), wait::LIMIT);
        drilled.elapsed()
    };
    drill("malformed");
    // If a failed load did not give back its turn, every next capture would wait for the limit of a
    // load: two seconds. A busy machine delays some captures, so the quickest one counts.
    let next: Vec<Duration> = (0..5).map(|n| drill(&format!("malformed-{n}"))).collect();
    let quickest = next.iter().min().expect("five");
    assert!(*quickest < Duration::from_millis(1_500), "{next:?}");
    assert_eq!(worker.get("/").status, 200);
    let lines = worker.log().lines();
    let ours: Vec<&String> = lines.iter().filter(|line| line.contains(OURS)).collect();
    assert_eq!(ours.len(), 1, "{ours:#?}");
    assert!(
        ours[0].contains("SENTRY_DSN is not a Sentry DSN"),
        "{ours:?}"
    );
    for secret in [malformed, "a-key-nobody-may-see"] {
        assert_eq!(worker.process().count_lines(secret), 0);
    }
}

fn step_3_load_failure_the_next_capture_tries_again() {
    let receiver = Receiver::accepting();
    let worker = with_secrets_store(Worker::listings().with_drills()).start();
    worker.drill(DRILL, "too-early");
    let complaint = "SENTRY_DSN could not be read from the Secrets Store; will try again";
    worker.process().wait_for_line(complaint, wait::LIMIT);
    worker
        .process()
        .wait_for_line(&failure("too-early"), wait::LIMIT);
    store_dsn(&worker, &receiver.dsn());
    worker.drill(DRILL, "in-time");
    receiver.wait_for_event("`in-time`");
    assert_eq!(receiver.requests().len(), 1);
    worker.process().says_once(complaint);
}

/// Binds the DSN from a Secrets Store that is still empty.
pub fn with_secrets_store(options: WorkerOptions) -> WorkerOptions {
    let binding: Table = toml! {
        binding = "SENTRY_DSN"
        store_id = "proof"
        secret_name = "dsn"
    };
    options.config(|config| {
        config.insert(
            "secrets_store_secrets".to_owned(),
            toml::Value::Array(vec![binding.into()]),
        );
    })
}

pub fn store_dsn(worker: &Worker, dsn: &str) {
    let create = ["secrets-store", "secret", "create", "proof"];
    let secret = ["--name", "dsn", "--scopes", "workers", "--value", dsn];
    worker.wrangler(&[&create[..], &secret[..]].concat());
}

fn step_4_initialise_once_two_objects_of_one_isolate_share_one_client() {
    let (worker, receiver) = reporting();
    let drill = |marker: &str| worker.drill(DRILL, marker).json()["object"].to_string();
    let first = drill("once-0");
    let other = (1..100)
        .map(|n| format!("once-{n}"))
        .find(|marker| drill(marker) != first)
        .expect("a marker that falls on another object");
    for marker in ["once-0", other.as_str()] {
        receiver.wait_for_event(&format!("`{marker}`"));
    }
    worker.process().says_once("client initialised");
}

fn step_5_client_release_and_environment_come_from_the_bindings() {
    let committed = Worker::listings().with_drills();
    let cases = [
        (
            "set",
            committed
                .clone()
                .var("SENTRY_RELEASE", "compiler@1.2.3")
                .var("ENVIRONMENT", "staging"),
            json!(["compiler@1.2.3", "staging"]),
        ),
        (
            "preferred",
            committed
                .clone()
                .var("ENVIRONMENT", "staging")
                .var("SENTRY_ENVIRONMENT", "canary"),
            json!(["0.1.0", "canary"]),
        ),
        (
            "absent",
            committed.config(|config| {
                config.remove("vars");
            }),
            json!([null, "production"]),
        ),
    ];
    for (marker, options, expected) in cases {
        let receiver = Receiver::accepting();
        let worker = options.secret("SENTRY_DSN", &receiver.dsn()).start();
        worker.drill(DRILL, marker);
        let event = receiver.wait_for_event(marker);
        let seen = json!([event["release"], event["environment"]]);
        assert_eq!(seen, expected, "{marker}");
    }
}

fn step_6_deliver_a_hanging_receiver_holds_the_alarm_no_longer_than_the_bound() {
    let receiver = Receiver::answering(|_, number| match number {
        0 => Answer::Hang,
        _ => Answer::ok(),
    });
    let worker = Worker::listings()
        .with_drills()
        .secret("SENTRY_DSN", &receiver.dsn())
        .start();
    worker.drill(DRILL, "hang");
    let sent = receiver.wait_for("`hang`").at;
    // Meanwhile the object whose alarm is waiting answers, and so does the Worker.
    assert_eq!(worker.post("/check/hang").status, 200);
    assert_eq!(worker.get("/").status, 200);
    assert_eq!(worker.process().count_lines(&failure("hang")), 0);
    worker
        .process()
        .wait_for_line(&failure("hang"), wait::LIMIT);
    let held = sent.elapsed();
    println!("figure: a hanging receiver held the alarm for {held:?} of at most {BOUND:?}");
    assert!(held < BOUND + SLACK, "{held:?}");
    // The hanging connection is closed, and the next capture works.
    wait::until("end of the hanging connection", wait::LIMIT, || {
        (receiver.open_connections() == 0).then_some(())
    });
    worker.drill(DRILL, "after-the-hang");
    receiver.wait_for_event("after-the-hang");
    worker.process().says_once("client initialised");
}
