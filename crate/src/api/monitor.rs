//! Check-ins of cron monitors: a run sends one when it begins, and one with its outcome when
//! it ends.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::{Rc, Weak};
use std::task::Poll;

use futures_util::future::{Either, select};
use worker::{Env, ScheduledEvent};

use super::ambient::in_run;
use crate::item::check_in::{CheckIn, MonitorConfig, Run, Schedule};
use crate::item::schedule::{named, slug, translate};
#[cfg(feature = "spans")]
use crate::item::transaction::Source;
use crate::item::{Category, Item};
use crate::panics;
use crate::platform::Runtime;
use crate::platform::workerd::Workerd;
use crate::scope::Scope;
use crate::steps::client::IsolateClient;
use crate::steps::prepare::{Make, Parcel};
use crate::steps::slot::{Shared, shared};
use crate::steps::{self, CAPTURE_MS, Wait};
use crate::trace::head::Random;
use crate::trace::ids::Id;
use crate::trace::run::Position;

/// A cron monitor in Sentry: its name, and when a run is due.
///
/// [`with_monitor`] sends the check-ins. Sentry creates the monitor at the first check-in, and
/// updates it from each later one. A monitor without a schedule must already exist in Sentry.
///
/// ```
/// use worker_sentry::Monitor;
///
/// // Every Monday at six, as Cloudflare counts weekdays.
/// let report = Monitor::cron("0 6 * * 2").slug("weekly-report").max_runtime(30);
/// let sweep = Monitor::every(15, "sweep").failures(3);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Monitor {
    slug: String,
    config: Option<MonitorConfig>,
    /// The expression of the trigger that has fired.
    #[cfg(feature = "spans")]
    trigger: Option<String>,
}

impl Monitor {
    /// The monitor of a cron trigger, with the trigger's own expression.
    ///
    /// With the feature `spans`, the run's transaction has the expression as `faas.cron`, and in
    /// its name unless you set a name.
    ///
    /// ```no_run
    /// use worker::{Env, ScheduleContext, ScheduledEvent};
    /// use worker_sentry::{Handler, Monitor, with_monitor, with_sentry_worker};
    ///
    /// async fn scheduled(event: ScheduledEvent, env: Env, context: ScheduleContext) {
    ///     let sweep = with_monitor(Monitor::of(&event), async { sweep().await });
    ///     let _ = with_sentry_worker(&env, &context, Handler::Scheduled, sweep).await;
    /// }
    /// # async fn sweep() -> worker::Result<()> { Ok(()) }
    /// ```
    pub fn of(event: &ScheduledEvent) -> Self {
        let trigger = event.cron();
        let monitor = Monitor::cron(&trigger);
        #[cfg(feature = "spans")]
        let monitor = Monitor {
            trigger: Some(trigger),
            ..monitor
        };
        monitor
    }

    /// A monitor with a cron expression in [Cloudflare's
    /// dialect](https://developers.cloudflare.com/workers/configuration/cron-triggers/#supported-cron-expressions),
    /// in which 1 is a Sunday. The expression is translated into Sentry's dialect.
    ///
    /// The name is made from the expression, as Sentry's SDK for JavaScript makes it: `*/15 * * *
    /// *` becomes `cron-xby15-x-x-x-x`. Sentry's dialect lacks `L`, `W` and `#`. For an expression
    /// with one of them no schedule is sent: create that monitor in Sentry.
    pub fn cron(expression: &str) -> Self {
        let schedule = translate(expression).map(Schedule::Crontab);
        Monitor::new(slug(expression), schedule.map(MonitorConfig::new))
    }

    fn new(slug: String, config: Option<MonitorConfig>) -> Self {
        Monitor {
            slug,
            config,
            #[cfg(feature = "spans")]
            trigger: None,
        }
    }

    /// A monitor of work that runs every `minutes` minutes, such as an alarm that sets the next
    /// alarm.
    pub fn every(minutes: u32, slug: &str) -> Self {
        let config = MonitorConfig::new(Schedule::Minutes(minutes));
        Monitor::new(named(slug), Some(config))
    }

    /// A monitor that you have created in Sentry, by its name there. No schedule is sent.
    pub fn named(slug: &str) -> Self {
        Monitor::new(named(slug), None)
    }

    /// Sets another name: at most 50 lower-case letters, digits, `-` and `_`. Any other character
    /// becomes `-`.
    #[must_use]
    pub fn slug(mut self, slug: &str) -> Self {
        self.slug = named(slug);
        self
    }

    /// Sets how many minutes late a run may begin before Sentry counts it as missed.
    ///
    /// This setting and the next three are sent only with a schedule.
    #[must_use]
    pub fn margin(self, minutes: u32) -> Self {
        self.with(|config| config.checkin_margin = Some(minutes))
    }

    /// Sets how many minutes a run may take before Sentry counts it as failed.
    #[must_use]
    pub fn max_runtime(self, minutes: u32) -> Self {
        self.with(|config| config.max_runtime = Some(minutes))
    }

    /// Sets how many runs in a row must fail or be missed before Sentry opens an issue.
    #[must_use]
    pub fn failures(self, runs: u32) -> Self {
        self.with(|config| config.failure_issue_threshold = Some(runs))
    }

    /// Sets how many runs in a row must succeed before Sentry resolves the issue.
    #[must_use]
    pub fn recoveries(self, runs: u32) -> Self {
        self.with(|config| config.recovery_threshold = Some(runs))
    }

    fn with(mut self, change: impl FnOnce(&mut MonitorConfig)) -> Self {
        if let Some(config) = &mut self.config {
            change(config);
        }
        self
    }
}

/// Runs a body as one run of a monitor. Sentry gets a check-in when the body begins, and one
/// when it has ended, with its outcome and its duration.
///
/// The body's result is returned unchanged, at once. Check-ins cannot make the body fail.
/// They are sent while the run goes on. The wrapper around the run waits for check-ins that
/// are still on their way, five seconds at most after the body has ended. Check-ins are not
/// sampled, and [`set_before_send`](crate::set_before_send) does not see them.
///
/// An `Err` or a panic makes the run a failed one. The wrapper reports the error or the panic
/// itself as usual. If the runtime ends a run, for example because it takes too much time, the
/// second check-in is missing: Sentry counts the run as failed after
/// [`max_runtime`](Monitor::max_runtime).
///
/// Outside of a wrapped handler or without a `SENTRY_DSN`, this only runs the body.
///
/// ```no_run
/// use worker_sentry::{Monitor, with_monitor};
///
/// async fn alarm() -> worker::Result<()> {
///     with_monitor(Monitor::every(15, "sweep"), async { sweep().await }).await
/// }
/// # async fn sweep() -> worker::Result<()> { Ok(()) }
/// ```
pub async fn with_monitor<T, E>(
    monitor: Monitor,
    body: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    let body = pin!(body);
    let mut begun = None;
    in_run(|env, runtime, scope| begun = begin(env, runtime, scope, monitor));
    let Some(under_way) = begun else {
        return body.await;
    };
    // Yields once, so that the first check-in is sent before the body begins: the requests of
    // a run are started when its future waits.
    let mut has_waited = false;
    poll_fn(|context| match std::mem::replace(&mut has_waited, true) {
        true => Poll::Ready(()),
        false => {
            context.waker().wake_by_ref();
            Poll::Pending
        }
    })
    .await;
    let result = body.await;
    under_way.0.outcome.set(Some(result.is_ok()));
    result
}

thread_local! {
    /// The runs that have begun and not ended, for the panic hook.
    static OPEN: RefCell<Vec<Weak<Checked>>> = const { RefCell::new(Vec::new()) };
    static IS_ARMED: Cell<bool> = const { Cell::new(false) };
}

/// One run of a monitor.
struct Checked {
    id: Id<16>,
    /// Random numbers for the run's trace, in case this check-in is the first to need the trace.
    random: Random,
    monitor: Monitor,
    position: Position,
    began_ms: f64,
    /// Whether the body succeeded. `None` while the body runs.
    outcome: Cell<Option<bool>>,
}

/// A body that has begun. Dropping it before the body has ended, as a panic does, makes the
/// run a failed one.
struct UnderWay(Rc<Checked>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        if self.0.outcome.get().is_none() {
            self.0.outcome.set(Some(false));
        }
    }
}

fn begin(
    env: &Env,
    runtime: &Workerd<'static>,
    scope: &Scope,
    monitor: Monitor,
) -> Option<UnderWay> {
    #[cfg(feature = "spans")]
    describe(scope, &monitor);
    let checked = Checked::new(runtime, scope, monitor)?;
    if !cfg!(panic = "unwind") {
        arm(env, &checked);
    }
    let runtime = Workerd::owned(env);
    let sent = Rc::clone(&checked);
    scope.send(async move { sent.send(&runtime, shared()).await });
    Some(UnderWay(checked))
}

/// Puts the cron trigger that fired into the run's transaction.
#[cfg(feature = "spans")]
fn describe(scope: &Scope, monitor: &Monitor) {
    if let Some(cron) = &monitor.trigger {
        scope.set_data("faas.cron", cron.clone());
        scope.suggest_name(["Scheduled Cron ", cron].concat(), Source::Task);
    }
}

impl Checked {
    fn new(runtime: &impl Runtime, scope: &Scope, monitor: Monitor) -> Option<Rc<Self>> {
        Some(Rc::new(Checked {
            id: Id::random(runtime.random_bytes()?),
            random: runtime.random_bytes()?,
            monitor,
            position: scope.position(),
            began_ms: runtime.now_ms(),
            outcome: Cell::new(None),
        }))
    }

    /// Sends both check-ins, the second one when the body has ended.
    async fn send(self: Rc<Self>, runtime: &impl Runtime, isolate: &Shared) {
        let begins = pin!(steps::finish(runtime, isolate, self.begins()));
        let outcome = pin!(poll_fn(|_| match self.outcome.get() {
            Some(outcome) => Poll::Ready(outcome),
            None => Poll::Pending,
        }));
        let succeeded = match select(begins, outcome).await {
            Either::Left((_, outcome)) => outcome.await,
            Either::Right((succeeded, begins)) => {
                // The second check-in waits for the first. Of two simultaneous requests the second
                // could arrive first, and Sentry would then believe that the run still goes on.
                let patience = pin!(runtime.sleep((CAPTURE_MS / 2.0) as u32));
                let deadline_ms = runtime.now_ms() + CAPTURE_MS;
                select(begins, patience).await;
                let ends = self.ends(runtime, succeeded);
                let left_ms = (deadline_ms - runtime.now_ms()).max(0.0);
                steps::finish_within(runtime, isolate, ends, left_ms).await;
                return;
            }
        };
        steps::finish(runtime, isolate, self.ends(runtime, succeeded)).await;
    }

    fn begins(self: &Rc<Self>) -> Parcel {
        let run = Rc::clone(self);
        run.parcel(|run| run.begins())
    }

    fn ends(self: &Rc<Self>, runtime: &impl Runtime, succeeded: bool) -> Parcel {
        let took_ms = runtime.now_ms() - self.began_ms;
        let run = Rc::clone(self);
        run.parcel(move |run| run.ends(succeeded, took_ms))
    }

    fn parcel(
        self: Rc<Self>,
        check_in: impl for<'r> FnOnce(&Run<'r>) -> CheckIn<'r> + 'static,
    ) -> Parcel {
        let make = move |client: &IsolateClient| -> Option<Box<dyn Item>> {
            let own = client.own();
            let located = self.position.locate(&own, || Some(self.random))?;
            let run = Run {
                check_in_id: self.id,
                monitor_slug: &self.monitor.slug,
                release: own.release,
                environment: own.environment,
                monitor_config: self.monitor.config.as_ref(),
                trace_id: located.trace.trace_id,
            };
            Some(Box::new(check_in(&run).written()?))
        };
        let make: Make = Box::new(make);
        Parcel::Item(Category::Monitor, make)
    }
}

/// Makes a panic that ends the WebAssembly instance report this run as failed.
fn arm(env: &Env, checked: &Rc<Checked>) {
    OPEN.with_borrow_mut(|open| {
        open.retain(|it| it.upgrade().is_some_and(|it| it.outcome.get().is_none()));
        open.push(Rc::downgrade(checked));
    });
    panics::around(env, &IS_ARMED, |it| fail_all(it, shared()), |_| ());
}

/// Reports all runs of the WebAssembly instance as failed, because they end with it.
fn fail_all(runtime: &impl Runtime, isolate: &Shared) {
    let open = OPEN.with(|open| {
        open.try_borrow_mut()
            .map(|mut open| std::mem::take(&mut *open))
    });
    for checked in open.unwrap_or_default().iter().filter_map(Weak::upgrade) {
        if checked.outcome.get().is_some() {
            continue;
        }
        checked.outcome.set(Some(false));
        if let Some(client) = steps::client_now(runtime, isolate) {
            let wait = Wait::Nobody(CAPTURE_MS as u32);
            let _ = steps::exit(runtime, &client, checked.ends(runtime, false), wait);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::item::place::{Handler, Place};
    use crate::platform::testing::{self, Fake, Outcome, block_on};
    use crate::steps::slot::Isolate;
    use serde_json::{Value, json};
    use std::task::{Context, Waker};

    fn isolate() -> Shared {
        RefCell::new(Isolate::new())
    }

    fn scope() -> Rc<Scope> {
        Scope::within(None, Place::new("main", Handler::Scheduled))
    }

    fn fake() -> Fake {
        let fake = Fake::default();
        fake.world.bind("SENTRY_DSN", "https://key@s.example.com/1");
        fake.world.bind("SENTRY_RELEASE", "r");
        fake
    }

    fn sent(fake: &Fake) -> Vec<Value> {
        let posted = fake.world.posted.borrow();
        let bodies = posted.iter().map(|sent| {
            let lines: Vec<Value> = sent
                .body
                .lines()
                .map(|line| serde_json::from_str(line).expect("JSON"))
                .collect();
            assert_eq!(lines[1]["type"], "check_in");
            lines[2].clone()
        });
        bodies.collect()
    }

    /// Lets everything that waits go on, and moves the clock forward.
    fn go_on(fake: &Fake, answer: Option<u16>) {
        let waiting = fake.world.waiting.borrow().clone();
        for waiting in waiting {
            let outcome = match (waiting.wait, answer) {
                (testing::Wait::Post, Some(status)) => Outcome::Posted(Ok((status, None, None))),
                (testing::Wait::Timer { due_ms }, None) => {
                    fake.world.now_ms.set(due_ms.max(fake.world.now_ms.get()));
                    Outcome::Fired
                }
                _ => continue,
            };
            fake.world.end(waiting.id, outcome);
        }
    }

    #[test]
    fn a_run_tells_when_it_begins_and_how_it_ends_with_one_id_and_the_runs_trace() {
        for (succeeded, status) in [(true, "ok"), (false, "error")] {
            let (fake, isolate, scope) = (fake(), isolate(), scope());
            let monitor = Monitor::cron("0 6 * * 2").max_runtime(30).failures(2);
            let checked = Checked::new(&fake, &scope, monitor).expect("random numbers");
            let mut sending = Box::pin(Rc::clone(&checked).send(&fake, &isolate));
            let mut context = Context::from_waker(Waker::noop());
            assert!(sending.as_mut().poll(&mut context).is_pending());
            let begin = sent(&fake)[0].clone();
            assert_eq!(begin["status"], "in_progress");
            assert_eq!(begin["monitor_slug"], "cron-0-6-x-x-2");
            let config = &begin["monitor_config"];
            assert_eq!(config["schedule"]["value"], "0 6 * * mon");
            assert_eq!(
                (&config["max_runtime"], &config["failure_issue_threshold"]),
                (&json!(30), &json!(2))
            );
            go_on(&fake, Some(200));
            assert!(sending.as_mut().poll(&mut context).is_pending());
            assert_eq!(sent(&fake).len(), 1, "the body goes on");
            fake.world.now_ms.set(fake.world.now_ms.get() + 1_500);
            checked.outcome.set(Some(succeeded));
            assert!(sending.as_mut().poll(&mut context).is_pending());
            go_on(&fake, Some(200));
            assert!(sending.as_mut().poll(&mut context).is_ready());
            let end = sent(&fake)[1].clone();
            assert_eq!(
                (&end["status"], &end["duration"]),
                (&json!(status), &json!(1.5))
            );
            for field in [
                "check_in_id",
                "monitor_slug",
                "contexts",
                "release",
                "environment",
            ] {
                assert_eq!(end[field], begin[field], "{field}");
            }
            let position = scope.position();
            let client = IsolateClient::build(crate::steps::load::tests::config(&[]));
            let located = position.locate(&client.own(), || None).expect("begun");
            assert_eq!(
                begin["contexts"]["trace"]["trace_id"],
                json!(located.trace.trace_id)
            );
        }
    }

    #[test]
    fn the_end_waits_for_the_answer_of_the_beginning_and_for_no_more_than_half_the_time() {
        let (fake, isolate, scope) = (fake(), isolate(), scope());
        let began = fake.world.now_ms.get();
        let checked = Checked::new(&fake, &scope, Monitor::named("a")).expect("random numbers");
        let mut sending = Box::pin(Rc::clone(&checked).send(&fake, &isolate));
        let mut context = Context::from_waker(Waker::noop());
        checked.outcome.set(Some(true));
        assert!(sending.as_mut().poll(&mut context).is_pending());
        assert_eq!(sent(&fake).len(), 1, "the beginning has no answer yet");
        for _ in 0..5 {
            go_on(&fake, None);
            if sending.as_mut().poll(&mut context).is_ready() {
                break;
            }
        }
        assert_eq!(sent(&fake).len(), 2);
        let ends = fake.world.posted.borrow()[1].timeout_ms;
        assert!(f64::from(ends) <= CAPTURE_MS / 2.0, "{ends}");
        assert!(fake.world.now_ms.get() - began <= CAPTURE_MS as u64);
    }

    #[test]
    fn a_limit_for_monitors_keeps_check_ins_back_and_nothing_else() {
        let (fake, isolate, scope) = (fake(), isolate(), scope());
        let limited = |wait| match wait {
            testing::Wait::Post => Outcome::Posted(Ok((429, None, Some("60:monitor:key")))),
            testing::Wait::Timer { .. } => Outcome::Fired,
            testing::Wait::Secret => Outcome::Secret(None),
        };
        *fake.world.reflex.borrow_mut() = Some(limited);
        let checked = Checked::new(&fake, &scope, Monitor::named("a")).expect("random numbers");
        checked.outcome.set(Some(true));
        block_on(checked.send(&fake, &isolate));
        assert_eq!(sent(&fake).len(), 1);
        let error = "x".parse::<u8>().expect_err("not a number");
        let read = |runtime: &Fake| Some(crate::item::draft::drafted(runtime, &error));
        assert!(block_on(steps::capture(&fake, &isolate, read)).is_none());
        assert_eq!(fake.world.posted.borrow().len(), 2);
    }

    #[test]
    fn a_body_that_is_dropped_or_panics_has_failed_and_a_panic_ends_every_open_run_once() {
        let (fake, isolate, scope) = (fake(), isolate(), scope());
        let new = || Checked::new(&fake, &scope, Monitor::named("a")).expect("random numbers");
        let dropped = new();
        drop(UnderWay(Rc::clone(&dropped)));
        assert_eq!(dropped.outcome.get(), Some(false));
        let done = new();
        done.outcome.set(Some(true));
        let open = new();
        OPEN.set([&dropped, &done, &open].map(Rc::downgrade).to_vec());
        fail_all(&fake, &isolate);
        fail_all(&fake, &isolate);
        assert_eq!(sent(&fake).len(), 1);
        assert_eq!(sent(&fake)[0]["status"], "error");
        assert_eq!(
            (done.outcome.get(), open.outcome.get()),
            (Some(true), Some(false))
        );
    }

    #[test]
    fn outside_of_a_run_the_body_runs_and_its_result_comes_back() {
        let run =
            |result: Result<u8, u8>| block_on(with_monitor(Monitor::named("a"), async { result }));
        assert_eq!((run(Ok(1)), run(Err(2))), (Ok(1), Err(2)));
    }

    #[test]
    fn what_sentry_cannot_say_and_what_was_made_there_have_no_schedule() {
        for monitor in [Monitor::cron("0 0 L * *"), Monitor::named("Made There")] {
            assert_eq!(monitor.clone().margin(1).recoveries(2), monitor);
        }
        assert_eq!(Monitor::named("Made There").slug, "made-there");
        assert_eq!(Monitor::cron("* * * * *").slug("b").slug, "b");
    }
}
