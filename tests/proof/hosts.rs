//! A real failure of every host and handler of the example Worker.
//!
//! One test for each: the drill's marker arrives in Bugsink exactly once, with the
//! right class and handler, with the names of the error and its causes, and with whether the
//! application handled the error.

use std::time::Duration;
use std::{iter, thread};

use harness::bugsink::{self, Project};
use harness::shared::Shared;
use harness::worker::Worker;
use serde_json::Value;

/// A drill, and the expected content of its event.
pub struct Host {
    pub drill: &'static str,
    class: &'static str,
    handler: &'static str,
    /// The names of the error and its causes, the innermost one first.
    chain: &'static [&'static str],
    handled: bool,
}

const fn host(
    drill: &'static str,
    class: &'static str,
    handler: &'static str,
    chain: &'static [&'static str],
) -> Host {
    Host {
        drill,
        class,
        handler,
        chain,
        handled: false,
    }
}

pub const HOSTS: [Host; 11] = [
    host(
        "main/fetch",
        "main",
        "fetch",
        &["RouteError::UnavailableList"],
    ),
    host(
        "main/queue",
        "main",
        "queue",
        &["IntakeError::UnusableMessages"],
    ),
    host(
        "main/scheduled",
        "main",
        "scheduled",
        &["Error", "PeriodicError::UnreadableSchedule"],
    ),
    host(
        "rate-limiter/alarm",
        "RateLimiterDo",
        "alarm",
        &["Error", "SweepError::UnreadableWindow"],
    ),
    host(
        "compilation-coordinator/alarm",
        "CompilationCoordinator",
        "alarm",
        &["Error", "CoordinatorError::UnreadableCompilation"],
    ),
    host(
        "compilation-coordinator/fetch",
        "CompilationCoordinator",
        "fetch",
        &["Error", "CoordinatorError::UnreadableCompilation"],
    ),
    Host {
        handled: true,
        ..host(
            "ws-hibernation/error",
            "WsHibernationDo",
            "websocket_error",
            &["Error", "SocketError"],
        )
    },
    host(
        "compilation/run",
        "CompilationWorkflow",
        "run",
        &[
            "EmptyList",
            "NonRetryableError",
            "StepFailure",
            "CompilationError",
        ],
    ),
    host(
        "batch-compilation/run",
        "BatchCompilationWorkflow",
        "run",
        &["BatchError::PartialFailure"],
    ),
    host(
        "cache-warming/run",
        "CacheWarmingWorkflow",
        "run",
        &["NonRetryableError", "StepFailure", "WarmingError::ColdList"],
    ),
    host(
        "health-monitoring/run",
        "HealthMonitoringWorkflow",
        "run",
        &["MonitoringError::Unhealthy"],
    ),
];

/// The host that panics. A panic also loses the other reports of its isolate, so this host has a
/// Worker of its own.
const PANIC: Host = host("panic/alarm", "CompilationCoordinator", "alarm", &["panic"]);

/// The time after which a second report would have come: the runtime runs a failed alarm again
/// after two seconds.
pub const SECOND_ATTEMPT: Duration = Duration::from_secs(4);

harness::trials![
    panic_alarm_reports_the_panic_exactly_once,
    drills_are_not_there_unless_they_are_on,
    ..HOSTS.iter().map(|host| {
        let name = host.drill.replace(['/', '-'], "_");
        let rule = format!("{name}_reports_its_failure_exactly_once");
        harness::trial!(rule, || host.reports_once(reporting()))
    }),
];

fn panic_alarm_reports_the_panic_exactly_once() {
    PANIC.reports_once(&start());
}

fn start() -> (Worker, Project) {
    let project = bugsink::project();
    let options = Worker::listings().with_drills();
    (options.secret("SENTRY_DSN", &project.dsn).start(), project)
}

/// The Worker that all hosts share, except for the one that panics.
fn reporting() -> &'static (Worker, Project) {
    static REPORTING: Shared<(Worker, Project)> = Shared::new();
    REPORTING.get(start)
}

impl Host {
    fn reports_once(&self, (worker, project): &(Worker, Project)) {
        let marker = format!("marker-{}", self.drill.replace('/', "-"));
        let answer = worker.drill(self.drill, &marker);
        assert_eq!(answer.status, 202, "{answer:?}");
        assert_eq!(answer.json()["marker"], marker, "{answer:?}");

        let event = project.wait_for_event(&marker);
        let caught = event["exception"]["values"].as_array().expect("exceptions");
        let chain = caught.iter().map(|exception| &exception["type"]);
        assert!(chain.eq(self.chain), "{event:#}");
        let caught = caught.last().expect("an exception");
        let value = caught["value"].as_str().expect("a message");
        assert!(value.contains(&marker), "{event:#}");
        assert_eq!(caught["mechanism"]["handled"], self.handled, "{event:#}");
        let transaction = format!("{}.{}", self.class, self.handler);
        assert_eq!(event["transaction"], transaction, "{event:#}");
        assert_eq!(event["release"], "0.1.0", "{event:#}");
        assert_eq!(event["environment"], "production", "{event:#}");

        thread::sleep(SECOND_ATTEMPT);
        let events = project.events();
        let same = |event: &&Value| event.to_string().contains(&marker);
        assert_eq!(events.iter().filter(same).count(), 1, "{events:#?}");
        // The application still answers.
        assert_eq!(worker.get("/").status, 200);
    }
}

fn drills_are_not_there_unless_they_are_on() {
    let worker = Worker::listings().start();
    for host in HOSTS.iter().chain(iter::once(&PANIC)) {
        assert_eq!(
            worker.drill(host.drill, "off").status,
            404,
            "{}",
            host.drill
        );
    }
}
