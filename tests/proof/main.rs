//! The proof: every test that needs workerd, a receiver or a browser.
//!
//! `cargo xtask test` sets up what they need and runs them. To run some of them
//! again: `cargo xtask test NAME`, with any part of a test's name.

mod alarm;
mod book;
mod configuration;
mod deploy;
mod events;
mod every_page;
mod handlers;
mod hostile;
mod hosts;
mod isolate;
mod panics;
mod reader;
mod relay;
mod retries;
mod same;
mod snippets;
mod sockets;
mod storm;
mod transport;
mod weight;
mod workflows;
mod zero_trust;

use std::process::ExitCode;

use libtest_mimic::Arguments;
use proof::{case, environment, run};

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    if let Some(missing) = environment::missing().filter(|_| !arguments.list) {
        eprintln!("{missing}");
        return ExitCode::FAILURE;
    }
    // Tests mostly wait for other processes.
    arguments.test_threads.get_or_insert(4);
    case::report_panics_with_their_test();
    let trials = [
        alarm::trials(),
        book::trials(),
        configuration::trials(),
        deploy::trials(),
        events::trials(),
        every_page::trials(),
        handlers::trials(),
        hostile::trials(),
        hosts::trials(),
        isolate::trials(),
        panics::trials(),
        reader::trials(),
        relay::trials(),
        retries::trials(),
        same::trials(),
        snippets::trials(),
        sockets::trials(),
        storm::trials(),
        transport::trials(),
        weight::trials(),
        workflows::trials(),
        zero_trust::trials(),
    ]
    .into_iter()
    .flatten()
    .collect();
    let conclusion = libtest_mimic::run(&arguments, trials);
    run::end();
    conclusion.exit_code()
}
