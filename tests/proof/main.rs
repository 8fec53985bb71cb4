//! The proof: every test that needs workerd, a receiver or a browser.
//!
//! `cargo xtask test` sets up what they need and runs them. To run some of them
//! again: `cargo xtask test proof NAME`, with any part of a test's name.

mod alarm;
mod book;
mod events;
mod hostile;
mod panics;
mod relay;
mod zero_trust;

use std::process::ExitCode;

use libtest_mimic::Arguments;

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // Tests mostly wait for other processes.
    arguments.test_threads.get_or_insert(4);
    proof::case::report_panics_with_their_test();
    let trials = [
        alarm::trials(),
        book::trials(),
        events::trials(),
        hostile::trials(),
        panics::trials(),
        relay::trials(),
        zero_trust::trials(),
    ]
    .into_iter()
    .flatten()
    .collect();
    let conclusion = libtest_mimic::run(&arguments, trials);
    proof::run::end();
    conclusion.exit_code()
}
