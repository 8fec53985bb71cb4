//! The example Worker beside two receivers: `cargo xtask demo` starts this program. The user makes
//! the Worker fail.
//!
//! Bugsink shows issues, and Spotlight shows their traces. Both get all reports.
//!
//! usage: demo [HOST/HANDLER], a drill that fails at once

use std::process::ExitCode;
use std::thread;

use harness::bugsink::{self, Project};
use harness::spotlight::Spotlight;
use harness::worker::{Build, Worker};
use harness::{case, run, symbols};

/// The text by which the drill's event is found.
const MARKER: &str = "drill-1";

fn main() -> ExitCode {
    let drill = std::env::args().nth(1);
    case::report_panics_with_their_test();
    let ended = case::explained(|| demo(drill.as_deref()));
    run::end();
    if let Err(failed) = ended {
        eprintln!("\nerror: {}", failed.message().unwrap_or("failed"));
    }
    ExitCode::FAILURE
}

fn demo(drill: Option<&str>) {
    eprintln!("starting Bugsink and Spotlight");
    let (spotlight, project) = thread::scope(|scope| {
        let spotlight = scope.spawn(Spotlight::in_front_of_bugsink);
        let project = bugsink::project();
        (spotlight.join().expect("a viewer"), project)
    });
    eprintln!("starting the Worker");
    let worker = thread::scope(|scope| {
        scope.spawn(|| {
            project.take_source_map(&symbols::source_map(&Build::Listings.companion()));
        });
        Worker::listings()
            .with_drills()
            .secret("SENTRY_DSN", &spotlight.dsn_of_both(&project))
            .secret("SENTRY_SOURCE_MAPS", "on")
            .var("SENTRY_TRACES_SAMPLE_RATE", "1")
            .start()
    });
    let address = worker.address();
    println!(
        "
  The Worker:            {address}/
  Its issues, Bugsink:   {}
  Its traces, Spotlight: {}/telemetry/traces

  Make an alarm fail, and look at the issues a second later:

curl -X POST '{address}/drill/rate-limiter/alarm?marker=hello-1'

  One request through a queue, two Workflows and an object to the step that fails. Look at
  the traces at once, and again ten seconds later, when the first Workflow has noticed:

curl '{address}/batch' -d '[{{\"name\":\"hello-2\",\"sources\":[{{\"text\":\"! no rule\"}}]}}]'

  The other drills are in listings/src/drill.rs. What is stored here is in
  {}
  and gone with the demo. Ctrl-C ends it.
",
        project.issues(),
        spotlight.page(),
        run::directory().display(),
    );
    if let Some(drill) = drill {
        fail(&worker, &project, drill);
    }
    println!("  What the Worker says:\n");
    worker.process().follow(|line| println!("{line}"));
}

/// Makes a handler fail, and prints where it failed.
fn fail(worker: &Worker, project: &Project, drill: &str) {
    let answer = worker.drill(drill, MARKER);
    assert_eq!(
        answer.status, 202,
        "{drill} is not one of the drills in listings/src/drill.rs: {}",
        answer.body
    );
    let mut shown = project.wait_for(MARKER);
    let stack = symbols::readable(&mut shown.event, &Build::Listings.companion());
    let stack = stack.unwrap_or_else(|failure| panic!("{failure}"));
    println!(
        "  {drill} has failed on purpose, and is at\n  {}\n\n{stack}",
        shown.page
    );
}
