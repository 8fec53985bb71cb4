//! The proof: every test that needs workerd, a receiver or a browser.
//!
//! `cargo xtask test` sets up what they need and runs them. To run some of them again: `cargo xtask
//! test NAME`, with any part of a test's name.

mod alarm;
mod attribute;
mod axum;
mod book;
mod budget;
mod ci;
mod configuration;
mod dates;
mod demo;
mod deploy;
mod diagram;
mod events;
mod every_page;
mod faults;
mod handlers;
mod hostile;
mod hosts;
mod isolate;
mod javascript;
mod laboratory;
mod logs;
mod monitors;
mod newcomer;
mod pages;
mod panics;
mod pictures;
mod publish;
mod quick_start;
mod reader;
mod relay;
mod repeats;
mod retries;
mod router;
mod same;
mod snippets;
mod sockets;
mod spans;
mod spotlight;
mod stacks;
mod storm;
mod story;
mod success;
mod tiers;
mod trace;
mod tracing;
mod transport;
mod upload;
mod weight;
mod workflows;
mod zero_trust;

use std::fs;
use std::process::ExitCode;

use harness::{case, coverage, environment, run};
use libtest_mimic::Arguments;

/// The modules of the core: each way in, each fault of the transport, panics, Workflows, and the
/// changes of compatibility dates.
const CORE: [&str; 8] = [
    "dates",
    "faults",
    "handlers",
    "panics",
    "sockets",
    "trace",
    "transport",
    "workflows",
];

fn is_of_the_core(name: &str) -> bool {
    let module = name.split("::").next().unwrap_or_default();
    CORE.contains(&module)
}

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    if let Some(missing) = environment::missing().filter(|_| !arguments.list) {
        eprintln!("{missing}");
        return ExitCode::FAILURE;
    }
    // The tests mostly wait for other processes, so four of them run at once on any machine.
    arguments.test_threads.get_or_insert(4);
    case::report_panics_with_their_test();
    let chosen = environment::chosen();
    let place = |trial: &case::Trial| {
        let chosen = chosen.as_ref()?;
        chosen.iter().position(|name| name == trial.name())
    };
    let mut trials: Vec<case::Trial> = include!(concat!(env!("OUT_DIR"), "/trials.rs"))
        .into_iter()
        .flatten()
        .filter(|trial| !environment::is_core() || is_of_the_core(trial.name()))
        .filter(|trial| !coverage::is_on() || coverage::takes_part(trial.name()))
        .filter(|trial| chosen.is_none() || place(trial).is_some())
        .map(|trial| match environment::date() {
            Some(date) => trial.with_kind(date),
            None => trial,
        })
        .collect();
    trials.sort_by_key(place);
    let conclusion = libtest_mimic::run(&arguments, trials);
    run::end();
    if let Some(file) = std::env::var_os("PROOF_RECORD") {
        fs::write(file, case::record().to_string()).expect("the folder of builds takes a file");
    }
    if let Some(file) = std::env::var_os("PROOF_TIMES") {
        fs::write(file, case::times()).expect("the file for the times can be written");
    }
    if let Some(flaky) = case::are_too_many_flaky() {
        eprintln!("{flaky}");
        return ExitCode::FAILURE;
    }
    conclusion.exit_code()
}
