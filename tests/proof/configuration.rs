//! Every row of the configuration's table, in workerd.
//!
//! A Worker's bindings are fixed when it starts. So each test sets as many bindings as do not
//! affect each other.

use harness::receiver::{Answer, Receiver, envelope, event};
use harness::server::Request;
use harness::wait;
use harness::worker::{Worker, WorkerOptions};
use serde_json::{Value, json};
use toml::Table;

/// The beginning of each line that the crate prints.
const OURS: &str = "[worker-sentry]";

harness::trials![
    what_is_set_is_used_and_the_more_specific_name_wins,
    the_general_names_apply_where_the_specific_ones_are_absent_and_debug_is_off,
    the_versions_id_is_the_last_resort_and_a_tunnel_gets_the_event_instead_of_the_dsns_host,
    a_service_binding_carries_every_envelope_and_brings_the_answer_back,
    a_tunnel_forwards_to_its_own_receiver_and_to_nobody_else,
    a_tunnel_brings_back_the_status_and_the_limits_and_nothing_else,
    without_a_service_that_fetches_nothing_leaves_another_way,
    a_dsn_may_name_an_ipv6_host,
    a_sample_rate_of_0_sends_nothing_and_changes_nothing,
    a_sample_rate_between_0_and_1_sends_some,
    every_unusable_value_is_named_once_and_never_shown_and_its_default_applies,
    numbers_and_switches_may_be_written_as_toml_has_them,
    an_object_is_no_text_and_is_named_once,
    an_unusable_dsn_is_named_once_and_nothing_is_sent,
];

/// Makes two captures, and returns the request of the first one.
fn captured(worker: &Worker, receiver: &Receiver) -> Request {
    for marker in ["configured.1", "configured.2"] {
        let answer = worker.post(&format!("/main/capture?marker={marker}"));
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_ne!(answer.json(), Value::Null, "{marker} was not taken");
    }
    receiver.wait_for("configured.1").request
}

/// The crate's lines so far, without wrangler's prefix.
fn ours(worker: &Worker) -> Vec<String> {
    let lines = worker.log().lines();
    let ours = lines.iter().filter_map(|line| line.split_once(OURS));
    // A warning ends with the code that resets the colour.
    ours.map(|(_, line)| line.replace("\u{1b}[0m", "").trim().to_owned())
        .collect()
}

/// Waits until wrangler has written these lines, which takes a while.
fn wait_for_ours(worker: &Worker, expected: &[&str]) {
    // This line is the application's. Lines of the crate from before it have been written then.
    worker.get("/cdn-cgi/handler/scheduled?cron=the-last-line");
    worker.process().wait_for_line("the-last-line", wait::LIMIT);
    let lines = ours(worker);
    assert!(lines.len() >= expected.len(), "{lines:#?}");
    let (lines, rest) = lines.split_at(expected.len());
    assert_eq!(lines, expected);
    // Only lines about this request's own event may follow.
    let said = |line: &String| line.starts_with("event ");
    assert!(rest.iter().all(said), "{rest:#?}");
}

fn set_var(options: WorkerOptions, name: &str, value: impl Into<toml::Value>) -> WorkerOptions {
    options.config(|config| {
        let vars = config.entry("vars").or_insert(Table::new().into());
        let vars = vars.as_table_mut().expect("a table of vars");
        vars.insert(name.to_owned(), value.into());
    })
}

fn what_is_set_is_used_and_the_more_specific_name_wins() {
    let receiver = Receiver::accepting();
    // This DSN has a path, a port and a secret key of the old kind.
    let dsn = format!("{}/some/path/42", receiver.url()).replace("://", "://public:old@");
    let worker = Worker::fixture()
        .secret("SENTRY_DSN", &dsn)
        .secret("SENTRY_ACCESS_CLIENT_ID", "an-id.access")
        .secret("SENTRY_ACCESS_CLIENT_SECRET", "a-secret")
        .var("SENTRY_RELEASE", "app@1.2.3")
        .var("COMPILER_VERSION", "9.9.9")
        .var("SENTRY_ENVIRONMENT", "canary")
        .var("ENVIRONMENT", "staging")
        .var("SENTRY_SAMPLE_RATE", "1")
        .var("SENTRY_TRACES_SAMPLE_RATE", "0.25")
        .var("SENTRY_DEBUG", "on")
        .start();
    let request = captured(&worker, &receiver);
    assert_eq!(request.target, "/some/path/api/42/envelope/");
    let auth = request.header("x-sentry-auth").expect("the header");
    assert!(
        auth.ends_with("sentry_key=public, sentry_secret=old"),
        "{auth}"
    );
    let access = ["cf-access-client-id", "cf-access-client-secret"];
    assert_eq!(
        access.map(|name| request.header(name)),
        [Some("an-id.access"), Some("a-secret")]
    );
    let event = event(&request);
    assert_eq!(
        json!([event["release"], event["environment"]]),
        json!(["app@1.2.3", "canary"])
    );
    assert_eq!(envelope(&request).0["dsn"], Value::Null);
    wait_for_ours(
        &worker,
        &["client initialised", "event delivered", "event delivered"],
    );
}

fn the_general_names_apply_where_the_specific_ones_are_absent_and_debug_is_off() {
    let receiver = Receiver::accepting();
    let worker = Worker::fixture()
        .secret("SENTRY_DSN", &receiver.dsn())
        .var("COMPILER_VERSION", "9.9.9")
        .var("ENVIRONMENT", "staging")
        // Setting a var to an empty text is the way to unset it in an environment.
        .var("SENTRY_RELEASE", "")
        .var("SENTRY_ENVIRONMENT", " ")
        .var("SENTRY_DEBUG", "off")
        .start();
    let request = captured(&worker, &receiver);
    let event = event(&request);
    assert_eq!(
        json!([event["release"], event["environment"]]),
        json!(["9.9.9", "staging"])
    );
    assert_eq!(request.header("cf-access-client-id"), None);
    wait_for_ours(&worker, &[]);
}

fn the_versions_id_is_the_last_resort_and_a_tunnel_gets_the_event_instead_of_the_dsns_host() {
    let tunnel = Receiver::accepting();
    let host = Receiver::accepting();
    let options = Worker::fixture()
        .secret("SENTRY_DSN", &host.dsn())
        .var("SENTRY_TUNNEL", &format!("{}/in?way=1", tunnel.url()))
        .config(|config| {
            let binding: Table = toml::toml! { binding = "CF_VERSION_METADATA" };
            config.insert("version_metadata".to_owned(), binding.into());
        });
    let worker = options.start();
    let request = captured(&worker, &tunnel);
    assert_eq!(request.target, "/in?way=1");
    assert_eq!(request.header("x-sentry-auth"), None);
    // The envelope has the same DSN, with the colon before a secret key that is missing.
    let dsn = envelope(&request).0["dsn"].to_string();
    assert_eq!(dsn.replace(":@", "@"), format!("{:?}", host.dsn()));
    assert_eq!(host.connections(), 0);
    let event = event(&request);
    let release = event["release"].as_str().expect("the version's id");
    assert!(release.len() >= 32, "{release}");
    assert_eq!(event["environment"], "production");
}

fn a_service_binding_carries_every_envelope_and_brings_the_answer_back() {
    let host = Receiver::accepting();
    let behind = Receiver::answering(|_, number| match number {
        0..=3 => Answer::ok(),
        _ => {
            let pause = ("X-Sentry-Rate-Limits", "600::organization".to_owned());
            Answer::Reply(429, vec![pause], Vec::new())
        }
    });
    // Both DSNs have the same project and key, as if two networks could reach one receiver.
    let worker = Worker::fixture()
        .reporting_to(&host.dsn())
        .through_tunnel(&behind.dsn())
        .start();
    let request = captured(&worker, &behind);
    assert_eq!(request.target, "/api/1/envelope/");
    assert_eq!(request.method, "POST");
    let auth = request
        .header("x-sentry-auth")
        .expect("the tunnel's header");
    assert!(auth.contains("sentry_key="), "{auth}");
    // The tunnel does not pass on this header.
    assert_eq!(request.header("user-agent"), None);
    // A panic cannot await anything. Its report takes the same way.
    worker.post("/panics/in-flight?marker=carried-panic");
    behind.wait_for_event_that("the panic", |event| {
        event["exception"]["values"][0]["type"] == "panic"
    });
    // The tunnel passes on the whole answer: the crate keeps the pause that the answer asks for.
    worker.post("/main/capture?marker=refused");
    behind.wait_for("refused");
    let answer = worker.post("/main/capture?marker=paused");
    assert_eq!(answer.json(), Value::Null);
    assert_eq!(behind.count("paused"), 0);
    assert_eq!(host.connections(), 0);
}

/// A tunnel to this receiver, and a Worker that reports through it.
fn behind_a_tunnel(receiver: &Receiver) -> (Worker, Worker) {
    let tunnel = Worker::snippet("tunnel")
        .secret("RECEIVER_DSN", &receiver.dsn())
        .start();
    let worker = Worker::fixture()
        .secret("SENTRY_DSN", &receiver.dsn())
        .var("SENTRY_TUNNEL", tunnel.address())
        .start();
    (tunnel, worker)
}

fn a_tunnel_forwards_to_its_own_receiver_and_to_nobody_else() {
    let receiver = Receiver::accepting();
    let (tunnel, worker) = behind_a_tunnel(&receiver);
    let request = captured(&worker, &receiver);
    assert_eq!(request.target, "/api/1/envelope/");

    let stranger = receiver.dsn().replace("/1", "/2");
    let worker = Worker::fixture()
        .reporting_to(&stranger)
        .var("SENTRY_TUNNEL", tunnel.address())
        .start();
    let answer = worker.post("/main/capture?marker=stranger");
    assert_eq!(answer.json(), Value::Null);
    let refused = "the receiver answered 403; event lost";
    worker.process().wait_for_line(refused, wait::LIMIT);
    assert_eq!(receiver.count("stranger"), 0);
    assert_eq!(tunnel.get("/").status, 403);
    // An envelope may have a million bytes. These are nobody's.
    for (bytes, status) in [(1_000_000, 403), (1_000_001, 413)] {
        let answer = tunnel.post_text("/", &"x".repeat(bytes));
        assert_eq!(answer.status, status, "{bytes}");
    }

    let elsewhere = Receiver::accepting();
    let target = elsewhere.url();
    let redirecting = Receiver::listening("127.0.0.1:0", move |_, _| {
        Answer::Reply(307, vec![("Location", target.clone())], Vec::new())
    });
    let (_tunnel, worker) = behind_a_tunnel(&redirecting);
    let answer = worker.post("/main/capture?marker=redirected");
    assert_eq!(answer.json(), Value::Null);
    assert_eq!(redirecting.count("redirected"), 1);
    assert_eq!(elsewhere.connections(), 0);
}

fn a_tunnel_brings_back_the_status_and_the_limits_and_nothing_else() {
    let said = [
        ("Retry-After", "61"),
        ("X-Sentry-Rate-Limits", "62:error:project"),
        ("X-Sentry-Error", "a secret of the receiver"),
    ];
    let receiver = Receiver::answering(move |_, _| {
        let headers = said.map(|(name, value)| (name, value.to_owned()));
        Answer::Reply(429, headers.to_vec(), b"too many".to_vec())
    });
    let (tunnel, _) = behind_a_tunnel(&receiver);
    let dsn = receiver.dsn();
    let key = dsn.split(['/', '@']).nth(2).expect("the DSN has a key");
    let auth = format!("Sentry sentry_version=7,sentry_key={key}");
    let headers = [("X-Sentry-Auth", &*auth)];
    for (name, value) in said {
        let (answer, header) = tunnel.send_for_header("POST", "/", &headers, name);
        assert_eq!((answer.status, answer.body.as_str()), (429, ""));
        let is_a_limit = name != "X-Sentry-Error";
        assert_eq!(header.as_deref(), is_a_limit.then_some(value), "{name}");
    }
}

fn without_a_service_that_fetches_nothing_leaves_another_way() {
    let (worker, receiver) = Worker::fixture()
        .var("SENTRY_SERVICE", "the name of a Worker")
        .start_reporting();
    for _ in 0..2 {
        let answer = worker.post("/main/capture?marker=nowhere");
        assert_eq!(answer.json(), Value::Null);
    }
    let complaint = "SENTRY_SERVICE is not a binding that fetches; nothing is reported";
    wait_for_ours(&worker, &[complaint]);
    assert_eq!(receiver.connections(), 0);
}

fn a_dsn_may_name_an_ipv6_host() {
    let receiver = Receiver::listening("[::1]:0", |_, _| Answer::ok());
    let dsn = receiver.dsn();
    assert!(dsn.contains("@[::1]:"), "{dsn}");
    let worker = Worker::fixture().reporting_to(&dsn).start();
    captured(&worker, &receiver);
}

fn a_sample_rate_of_0_sends_nothing_and_changes_nothing() {
    let (worker, receiver) = Worker::fixture()
        .var("SENTRY_SAMPLE_RATE", "0")
        .start_reporting();
    for _ in 0..20 {
        let answer = worker.post("/main/capture?marker=sampled-out");
        assert_eq!((answer.status, answer.json()), (200, Value::Null));
    }
    assert_eq!(receiver.connections(), 0);
    wait_for_ours(
        &worker,
        &[&["client initialised"], &["event sampled out"; 20][..]].concat(),
    );
}

fn a_sample_rate_between_0_and_1_sends_some() {
    const CAPTURES: usize = 400;
    let receiver = Receiver::accepting();
    let worker = Worker::fixture()
        .secret("SENTRY_DSN", &receiver.dsn())
        .var("SENTRY_SAMPLE_RATE", "0.5")
        .start();
    let path = format!("/subject/sampled/captures?marker=sampled&count={CAPTURES}");
    let sent = worker.post(&path).json()["sent"].clone();
    assert_eq!(sent, receiver.requests().len());
    println!("figure: a sample rate of 0.5 sent {sent} of {CAPTURES} events");
    // The range is ten standard deviations wide on each side.
    let sent = sent.as_u64().expect("a number");
    assert!((100..300).contains(&sent), "{sent}");
}

fn every_unusable_value_is_named_once_and_never_shown_and_its_default_applies() {
    let receiver = Receiver::accepting();
    let values = [
        ("SENTRY_RELEASE", "sloppy/release"),
        ("SENTRY_ENVIRONMENT", "sloppy environment"),
        ("SENTRY_TRACES_SAMPLE_RATE", "sloppily"),
        ("SENTRY_SAMPLE_RATE", "1.0001"),
        ("SENTRY_ENABLE_LOGS", "sloppy-logs"),
        ("SENTRY_DEBUG", "sloppy-debug"),
        ("SENTRY_TUNNEL", "ftp://sloppy.invalid/"),
        ("SENTRY_ACCESS_CLIENT_ID", "sloppy-id"),
    ];
    let mut options = Worker::fixture().secret("SENTRY_DSN", &receiver.dsn());
    for (name, value) in values {
        options = options.secret(name, value);
    }
    let worker = options.start();
    let request = captured(&worker, &receiver);
    let event = event(&request);
    assert_eq!(
        json!([event["release"], event["environment"]]),
        json!([null, "production"])
    );
    assert_eq!(request.header("cf-access-client-id"), None);
    worker.get("/cdn-cgi/handler/scheduled?cron=the-last-line");
    worker.process().wait_for_line("the-last-line", wait::LIMIT);
    let mut lines = ours(&worker);
    lines.sort();
    // Of the two secrets for Access, the line must name the missing one.
    let named: Vec<&str> = lines
        .iter()
        .filter_map(|line| line.split(' ').next())
        .collect();
    let mut expected: Vec<&str> = values.iter().map(|(name, _)| *name).collect();
    expected.retain(|name| *name != "SENTRY_ACCESS_CLIENT_ID");
    expected.push("SENTRY_ACCESS_CLIENT_SECRET");
    expected.sort();
    assert_eq!(named, expected, "{lines:#?}");
    for shown in ["slopp", "1.0001"] {
        assert!(!lines.iter().any(|line| line.contains(shown)), "{lines:#?}");
    }
}

fn numbers_and_switches_may_be_written_as_toml_has_them() {
    let receiver = Receiver::accepting();
    let mut options = Worker::fixture().secret("SENTRY_DSN", &receiver.dsn());
    options = set_var(options, "SENTRY_SAMPLE_RATE", 1);
    options = set_var(options, "SENTRY_TRACES_SAMPLE_RATE", 0.5);
    options = set_var(options, "SENTRY_RELEASE", 7);
    options = set_var(options, "SENTRY_DEBUG", true);
    let worker = options.start();
    let event = event(&captured(&worker, &receiver));
    assert_eq!(event["release"], "7");
    wait_for_ours(
        &worker,
        &["client initialised", "event delivered", "event delivered"],
    );

    let receiver = Receiver::accepting();
    let mut options = Worker::fixture().secret("SENTRY_DSN", &receiver.dsn());
    options = set_var(options, "SENTRY_SAMPLE_RATE", 0.0);
    options = set_var(options, "SENTRY_TRACES_SAMPLE_RATE", 1.5);
    options = set_var(options, "SENTRY_DEBUG", false);
    let worker = options.start();
    let answer = worker.post("/main/capture?marker=numbers");
    assert_eq!((answer.status, answer.json()), (200, Value::Null));
    let complaint = "SENTRY_TRACES_SAMPLE_RATE is not a number from 0 to 1; no traces are recorded";
    wait_for_ours(&worker, &[complaint]);
    assert_eq!(receiver.connections(), 0);
}

fn an_object_is_no_text_and_is_named_once() {
    let receiver = Receiver::accepting();
    let mut options = Worker::fixture().secret("SENTRY_DSN", &receiver.dsn());
    let object: Table = toml::toml! { sloppy = 1 };
    options = set_var(options, "SENTRY_ENVIRONMENT", object);
    options = set_var(options, "SENTRY_RELEASE", vec!["sloppy"]);
    let worker = options.var("ENVIRONMENT", "staging").start();
    let event = event(&captured(&worker, &receiver));
    assert_eq!(
        json!([event["release"], event["environment"]]),
        json!([null, "staging"])
    );
    wait_for_ours(
        &worker,
        &[
            "SENTRY_RELEASE is not text; ignored",
            "SENTRY_ENVIRONMENT is not text; ignored",
        ],
    );
}

fn an_unusable_dsn_is_named_once_and_nothing_is_sent() {
    let object: Table = toml::toml! { sloppy = 1 };
    let is_no_dsn = "SENTRY_DSN is not a Sentry DSN; nothing is reported";
    for (value, line) in [
        (toml::Value::from(""), is_no_dsn),
        (toml::Value::from(42), is_no_dsn),
        (object.into(), "SENTRY_DSN is not text; nothing is reported"),
    ] {
        let worker = set_var(Worker::fixture(), "SENTRY_DSN", value).start();
        for marker in ["unusable.1", "unusable.2"] {
            let answer = worker.post(&format!("/main/capture?marker={marker}"));
            assert_eq!((answer.status, answer.json()), (200, Value::Null));
        }
        wait_for_ours(&worker, &[line]);
    }
}
