//! Structured logs. The run that writes a log keeps it, and delivers its logs when it ends.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::{Rc, Weak};
use std::task::Poll;

use worker::Env;

use super::ambient::in_run;
use crate::item::log::{Located, Log, Sealed, Sender};
use crate::item::{Category, Item};
use crate::panics;
use crate::platform::Runtime;
use crate::scope::Scope;
use crate::scope::logs::{Batch, Fate, Kept, Logs};
use crate::steps::before_send::apply_to_log;
use crate::steps::client::IsolateClient;
use crate::steps::guard::sends_logs;
use crate::steps::prepare::{Make, Parcel};
use crate::steps::slot::{Shared, shared};
use crate::steps::{self, CAPTURE_MS, Wait};

impl Log {
    /// Keeps the log until the current run ends, and returns at once. At the end of the run its
    /// logs are sent together, a hundred in one request. The wrapper waits for them as it waits
    /// for a report.
    ///
    /// One run sends at most 1,000 logs and about one megabyte of them. If logs are dropped, the
    /// console says so once, and Sentry gets their number. Outside of a wrapped handler, without a
    /// `SENTRY_DSN`, or if `SENTRY_ENABLE_LOGS` is not `true`, this does nothing.
    /// [`set_before_send_log`](crate::set_before_send_log) sees the log before it is sent.
    ///
    /// ```no_run
    /// use worker_sentry::Log;
    ///
    /// Log::warn("the mirror answered in place of the list's host").send();
    /// ```
    pub fn send(self) {
        in_run(|env, runtime, scope| keep_in(env, runtime, scope, || self));
    }
}

/// Keeps a log in its run, where the panic hook finds it too. Without `SENTRY_ENABLE_LOGS`,
/// `log` is not called.
pub(super) fn keep_in(env: &Env, runtime: &impl Runtime, scope: &Scope, log: impl FnOnce() -> Log) {
    if !keep(runtime, shared(), scope, log) {
        return;
    }
    #[cfg(feature = "logs")]
    super::recording::deliver_with(deliver);
    if !cfg!(panic = "unwind") {
        arm(env, scope);
    }
}

/// Keeps a log if logs are enabled. Returns `false` if the log was not kept.
fn keep(
    runtime: &impl Runtime,
    isolate: &Shared,
    scope: &Scope,
    log: impl FnOnce() -> Log,
) -> bool {
    if !sends_logs(runtime, isolate) {
        return false;
    }
    let fate = scope.log(log(), runtime.now_ms());
    if fate == Fate::FirstDropped {
        runtime.warn("one run logged more than 1,000 logs or a megabyte; the rest is dropped");
    }
    fate == Fate::Kept
}

/// Takes the logs that a run has so far, and returns the future that sends them.
#[cfg(feature = "logs")]
fn deliver(env: &Env, scope: &Scope) -> Option<super::recording::Errand> {
    let batches = scope.take_logs();
    if batches.is_empty() {
        return None;
    }
    let runtime = crate::platform::workerd::Workerd::owned(env);
    Some(Box::pin(async move {
        send_all(&runtime, shared(), batches).await;
    }))
}

/// Sends each batch in an envelope of its own, all at the same time.
async fn send_all(runtime: &impl Runtime, isolate: &Shared, batches: Vec<Batch>) {
    let now_ms = runtime.now_ms();
    let mut sending = Vec::new();
    for batch in batches {
        let parcel = Parcel::Item(Category::LogItem, make(batch, now_ms));
        sending.push(steps::finish(runtime, isolate, parcel));
    }
    // Not `join_all`, which adds a list and a waker of its own for at most about ten futures.
    poll_fn(|context| {
        sending.retain_mut(|it| it.as_mut().poll(context).is_pending());
        match sending.is_empty() {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    })
    .await;
}

/// Makes the item of a batch as soon as there is a client.
fn make(batch: Batch, now_ms: f64) -> Make {
    Box::new(move |client: &IsolateClient| -> Option<Box<dyn Item>> {
        let own = client.own();
        let sender = Sender {
            environment: own.environment.to_owned(),
            release: own.release.map(str::to_owned),
        };
        let mut logs = Vec::new();
        for kept in batch.logs {
            logs.extend(locate(client, kept).and_then(apply_to_log));
        }
        Some(Box::new(Sealed::new(logs, sender, now_ms, batch.dropped)?))
    })
}

fn locate(client: &IsolateClient, kept: Kept) -> Option<Located> {
    let random = || {
        let mut bytes = [0; 24];
        getrandom::fill(&mut bytes).ok()?;
        Some(bytes)
    };
    let located = kept.position.locate(&client.own(), random)?;
    Some(Located {
        log: kept.log,
        at_ms: kept.at_ms,
        sequence: kept.sequence,
        trace_id: located.trace.trace_id,
        span_id: kept.is_in_span.then_some(located.span_id),
    })
}

thread_local! {
    /// The logs of the runs that have logged, for the panic hook.
    static OPEN: RefCell<Vec<Weak<RefCell<Logs>>>> = const { RefCell::new(Vec::new()) };
    static IS_ARMED: Cell<bool> = const { Cell::new(false) };
}

/// Makes the panic hook send the logs of the runs, after the report of the panic, when a
/// panic ends the WebAssembly instance.
fn arm(env: &Env, scope: &Scope) {
    remember(scope);
    panics::around(env, &IS_ARMED, |_| (), |it| send_open(it, shared()));
}

fn remember(scope: &Scope) {
    let Some(logs) = scope.logs() else { return };
    OPEN.with_borrow_mut(|open| {
        if !open.iter().any(|it| it.as_ptr() == Rc::as_ptr(&logs)) {
            open.retain(|it| it.strong_count() > 0);
            open.push(Rc::downgrade(&logs));
        }
    });
}

/// Sends the logs of all runs of the WebAssembly instance, because they end with it.
fn send_open(runtime: &impl Runtime, isolate: &Shared) {
    let open = OPEN.with(|open| {
        open.try_borrow_mut()
            .map(|mut open| std::mem::take(&mut *open))
    });
    for logs in open.unwrap_or_default().iter().filter_map(Weak::upgrade) {
        let batches = logs.try_borrow_mut().map(|mut logs| logs.take());
        for batch in batches.unwrap_or_default() {
            let Some(client) = steps::client_now(runtime, isolate) else {
                return;
            };
            let parcel = Parcel::Item(Category::LogItem, make(batch, runtime.now_ms()));
            let _ = steps::exit(runtime, &client, parcel, Wait::Nobody(CAPTURE_MS as u32));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::item::event::{SDK_NAME, SDK_VERSION};
    use crate::item::place::{Handler, Place};
    use crate::platform::testing::{self, Fake, Outcome, block_on, yield_once};
    use crate::steps::slot::Isolate;
    use futures_util::join;
    use serde_json::{Value, json};

    fn isolate() -> Shared {
        RefCell::new(Isolate::new())
    }

    fn fake() -> Fake {
        let fake = Fake::default();
        fake.world.bind("SENTRY_DSN", "https://key@s.example.com/1");
        fake.world.bind("SENTRY_RELEASE", "r");
        fake.world.bind("SENTRY_ENABLE_LOGS", "true");
        *fake.world.reflex.borrow_mut() = Some(|wait| match wait {
            testing::Wait::Post => Outcome::Posted(Ok((200, None, None))),
            testing::Wait::Timer { .. } => Outcome::Fired,
            testing::Wait::Secret => Outcome::Secret(None),
        });
        fake
    }

    fn run() -> Rc<Scope> {
        Scope::within(None, Place::new("main", Handler::Fetch))
    }

    /// The lines of each envelope that was sent.
    fn sent(fake: &Fake) -> Vec<Vec<Value>> {
        let posted = fake.world.posted.borrow();
        let line = |line: &str| serde_json::from_str(line).expect("JSON");
        let bodies = posted.iter().map(|it| it.body.lines().map(line).collect());
        bodies.collect()
    }

    /// Ends a run and sends its logs.
    fn end(fake: &Fake, isolate: &Shared, scope: &Scope) {
        block_on(send_all(fake, isolate, scope.end_logs()));
    }

    #[test]
    fn a_log_leaves_with_its_run_in_one_item_with_the_runs_trace() {
        let (fake, isolate, scope) = (fake(), isolate(), run());
        for log in [Log::info("a").with("n", 1), Log::warn("b")] {
            assert!(keep(&fake, &isolate, &scope, || log));
        }
        assert!(fake.world.posted.borrow().is_empty(), "the run goes on");
        end(&fake, &isolate, &scope);
        let [lines] = &sent(&fake)[..] else {
            panic!("one envelope");
        };
        let [header, item, payload] = &lines[..] else {
            panic!("one item");
        };
        assert_eq!(header.get("event_id"), None);
        assert_eq!(item["type"], "log");
        assert_eq!(item["item_count"], 2);
        assert_eq!(
            item["content_type"],
            "application/vnd.sentry.items.log+json"
        );
        let logs = payload["items"].as_array().expect("logs");
        let client = IsolateClient::build(crate::steps::load::tests::config(&[]));
        let located = scope.position().locate(&client.own(), || None);
        let trace_id = json!(located.expect("begun").trace.trace_id);
        for (number, log) in logs.iter().enumerate() {
            assert_eq!(log["trace_id"], trace_id);
            assert_eq!(log.get("span_id"), None, "no span is recorded");
            assert_eq!(log["timestamp"], 1_767_323_045.678);
            let attributes = &log["attributes"];
            assert_eq!(attributes["sentry.timestamp.sequence"]["value"], number);
            for (name, value) in [
                ("sentry.environment", "production"),
                ("sentry.release", "r"),
                ("sentry.sdk.name", SDK_NAME),
                ("sentry.sdk.version", SDK_VERSION),
            ] {
                assert_eq!(attributes[name], json!({"value": value, "type": "string"}));
            }
        }
        assert_eq!(
            logs[0]["attributes"]["n"],
            json!({"value": 1, "type": "integer"})
        );
        assert_eq!(
            (&logs[1]["level"], &logs[1]["body"]),
            (&json!("warn"), &json!("b"))
        );
    }

    #[test]
    fn without_the_binding_and_with_what_is_no_switch_nothing_is_kept() {
        for value in [None, Some("false"), Some("off"), Some("perhaps")] {
            let (fake, isolate, scope) = (fake(), isolate(), run());
            fake.world
                .bindings
                .borrow_mut()
                .remove("SENTRY_ENABLE_LOGS");
            if let Some(value) = value {
                fake.world.bind("SENTRY_ENABLE_LOGS", value);
            }
            assert!(!keep(&fake, &isolate, &scope, || Log::info("a")));
            // The binding is read only once, so this later value has no effect.
            fake.world.bind("SENTRY_ENABLE_LOGS", "true");
            assert!(!keep(&fake, &isolate, &scope, || Log::info("a")));
            end(&fake, &isolate, &scope);
            assert!(fake.world.posted.borrow().is_empty());
        }
    }

    #[test]
    fn a_log_in_a_span_is_on_it() {
        use crate::item::transaction::Source;
        use crate::platform::Senses;
        use crate::scope::spans::{Recorder, span};
        use crate::trace::sampling::Rate;
        let (fake, isolate, scope) = (fake(), isolate(), run());
        let senses = Senses {
            now_ms: || 1.0,
            random: || Some([7; 24]),
        };
        let rate = Rate::new(1.0).expect("a rate");
        scope.record(|position| Recorder::new(position, rate, senses, None));
        scope.suggest_name("a", Source::Task);
        let log = |text: &'static str| {
            let scope = Scope::current().expect("a run");
            assert!(keep(&fake, &isolate, &scope, || Log::info(text)));
            scope.position()
        };
        let body = async {
            let outer = log("outer");
            (
                outer,
                span("op", "name", "manual", |_| None, async { log("inner") }).await,
            )
        };
        let (outer, inner) = block_on(scope.run(body)).expect("no panic");
        end(&fake, &isolate, &scope);
        let client = IsolateClient::build(crate::steps::load::tests::config(&[]));
        let id = |position: crate::trace::run::Position| {
            let located = position.locate(&client.own(), || None);
            json!(located.expect("begun").span_id)
        };
        let logs = sent(&fake)[0][2]["items"].clone();
        assert_eq!(logs[0]["span_id"], id(outer));
        assert_eq!(logs[1]["span_id"], id(inner));
        assert_ne!(logs[0]["span_id"], logs[1]["span_id"]);
    }

    #[test]
    fn runs_that_interleave_have_a_batch_each_and_nothing_of_another() {
        let (fake, isolate) = (fake(), isolate());
        let one = async |who: usize| {
            let scope = run();
            let body = async {
                for step in 0..3 {
                    let scope = Scope::current().expect("a run");
                    let log = Log::info(format!("{who}")).with("step", step);
                    assert!(keep(&fake, &isolate, &scope, || log));
                    yield_once().await;
                }
            };
            assert!(scope.run(body).await.is_ok());
            send_all(&fake, &isolate, scope.end_logs()).await;
        };
        block_on(async { join!(one(0), one(1), one(2)) });
        let sent = sent(&fake);
        assert_eq!(sent.len(), 3);
        let mut traces = std::collections::BTreeSet::new();
        for lines in &sent {
            let logs = lines[2]["items"].as_array().expect("logs");
            assert_eq!(logs.len(), 3);
            for log in logs {
                assert_eq!(log["body"], logs[0]["body"]);
                assert_eq!(log["trace_id"], logs[0]["trace_id"]);
            }
            traces.insert(logs[0]["trace_id"].to_string());
        }
        assert_eq!(traces.len(), 3);
    }

    #[test]
    fn a_run_that_logs_too_much_sends_ten_items_says_so_once_and_tells_sentry_how_many() {
        let (fake, isolate, scope) = (fake(), isolate(), run());
        for _ in 0..1_007 {
            keep(&fake, &isolate, &scope, || Log::info("four"));
        }
        end(&fake, &isolate, &scope);
        let sent = sent(&fake);
        assert_eq!(sent.len(), 10);
        let with_report: Vec<_> = sent.iter().filter(|lines| lines.len() == 5).collect();
        let [lines] = &with_report[..] else {
            panic!("{} reports", with_report.len());
        };
        assert_eq!(lines[3]["type"], "client_report");
        let discarded = &lines[4]["discarded_events"];
        assert_eq!(discarded[0]["category"], "log_item");
        assert_eq!(discarded[0]["quantity"], 7);
        let line = "warn: one run logged more than 1,000 logs or a megabyte; the rest is dropped";
        let lines = fake.world.lines.borrow();
        assert_eq!(lines.iter().filter(|it| *it == line).count(), 1);
    }

    #[test]
    fn a_hook_sees_each_log_as_it_is_sent_and_changes_or_drops_it() {
        use crate::set_before_send_log;
        use sentry_core::protocol::LogLevel;
        let (fake, isolate, scope) = (fake(), isolate(), run());
        set_before_send_log(|mut log| {
            if log.level == LogLevel::Debug {
                return None;
            }
            assert_eq!(log.body, "ads has 3 rules");
            assert_eq!(log.attributes["n"].0, json!(1));
            let template = &log.attributes["sentry.message.template"].0;
            assert_eq!(template, "{} has {} rules");
            assert!(log.trace_id.is_some());
            log.level = LogLevel::Error;
            log.body = "changed {}".to_owned();
            log.attributes.remove("n");
            log.attributes.insert("list".to_owned(), "ads".into());
            Some(log)
        });
        let said = Log::info("{} has {} rules").parameter("ads").parameter(3);
        for log in [Log::debug("a"), said.with("n", 1)] {
            assert!(keep(&fake, &isolate, &scope, || log));
        }
        end(&fake, &isolate, &scope);
        let sent = sent(&fake);
        assert_eq!(sent[0][1]["item_count"], 1);
        let log = &sent[0][2]["items"][0];
        let body = "changed {}";
        assert_eq!(
            (&log["level"], &log["body"]),
            (&json!("error"), &json!(body))
        );
        assert_eq!(log["severity_number"], 17);
        assert_eq!(log["timestamp"], 1_767_323_045.678);
        let attributes = &log["attributes"];
        assert_eq!(attributes.get("n"), None);
        assert_eq!(attributes["list"]["value"], "ads");
        assert_eq!(attributes["sentry.environment"]["value"], "production");
        assert_eq!(attributes["sentry.message.parameter.1"]["value"], 3);
    }

    #[test]
    fn logs_that_a_hook_drops_all_are_no_request() {
        let (fake, isolate, scope) = (fake(), isolate(), run());
        crate::set_before_send_log(|_| None);
        assert!(keep(&fake, &isolate, &scope, || Log::info("a")));
        end(&fake, &isolate, &scope);
        assert!(fake.world.posted.borrow().is_empty());
    }

    #[test]
    fn a_limit_for_logs_keeps_logs_back_and_nothing_else() {
        let (fake, isolate) = (fake(), isolate());
        *fake.world.reflex.borrow_mut() = Some(|wait| match wait {
            testing::Wait::Post => Outcome::Posted(Ok((429, None, Some("60:log_item:key")))),
            testing::Wait::Timer { .. } => Outcome::Fired,
            testing::Wait::Secret => Outcome::Secret(None),
        });
        for _ in 0..2 {
            let scope = run();
            keep(&fake, &isolate, &scope, || Log::info("a"));
            end(&fake, &isolate, &scope);
        }
        assert_eq!(sent(&fake).len(), 1);
        let error = "x".parse::<u8>().expect_err("not a number");
        let read = |runtime: &Fake| Some(crate::item::draft::drafted(runtime, &error));
        assert!(block_on(steps::capture(&fake, &isolate, read)).is_none());
        assert_eq!(sent(&fake).len(), 2);
    }

    #[test]
    fn an_instance_that_ends_sends_the_logs_of_all_its_runs_once() {
        let (fake, isolate) = (fake(), isolate());
        let runs = [run(), run()];
        for (at, scope) in runs.iter().enumerate() {
            for _ in 0..2 {
                keep(&fake, &isolate, scope, || Log::info(format!("{at}")));
                remember(scope);
            }
        }
        let gone = run();
        keep(&fake, &isolate, &gone, || Log::info("gone"));
        remember(&gone);
        drop(gone);
        send_open(&fake, &isolate);
        send_open(&fake, &isolate);
        end(&fake, &isolate, &runs[0]);
        let bodies: Vec<_> = sent(&fake)
            .iter()
            .map(|lines| lines[2]["items"][1]["body"].clone())
            .collect();
        assert_eq!(bodies, ["0", "1"]);
    }
}
