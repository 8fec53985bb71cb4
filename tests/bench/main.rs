//! `cargo xtask bench`: this crate and the JavaScript SDK, side by side.
//!
//! - `workers`: bundles, starts and ends the Workers.
//! - `stopwatch`: the receiver of all Workers, which takes the time.
//! - `same`: checks, before anything is measured, that the Workers report the same.
//! - `measure`: the measurements.
//! - `more`: the measurements of traces, breadcrumbs, monitors, axum and panics.
//! - `machine`: the machine and the versions.
//!
//! The measurements take turns: in each round every Worker is measured once, in an
//! order that changes. So a disturbance of the machine affects all of them.

mod machine;
mod measure;
mod more;
mod same;
mod stopwatch;
mod workers;

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use bench_page::Results;
use harness::case;

use crate::measure::{Bench, Effort};
use crate::stopwatch::Stopwatch;
use crate::workers::{Control, Sources, Subject};

fn main() -> ExitCode {
    // Cargo adds the argument `--bench`.
    let quick = std::env::args().any(|argument| argument == "--quick");
    let effort = if quick { Effort::QUICK } else { Effort::FULL };
    case::report_panics_with_their_test();
    let results = case::explained(|| run(effort));
    harness::run::end();
    match results {
        Ok(results) => {
            println!("{}", bench_page::text(&results));
            if !quick {
                write(&results);
            }
            ExitCode::SUCCESS
        }
        Err(failed) => {
            eprintln!("{}", failed.message().unwrap_or("failed"));
            ExitCode::FAILURE
        }
    }
}

fn run(effort: Effort) -> Results {
    let sources = Sources::new();
    let bundles = Subject::ALL.map(|subject| sources.bundle(subject));
    let stopwatch = Stopwatch::new();
    let control = Control::start();
    let bench = Bench {
        bundles: &bundles,
        control: &control,
        stopwatch: &stopwatch,
        effort,
    };
    bench.results()
}

fn write(results: &Results) {
    let file = bench_page::results_file();
    let mut text = serde_json::to_string_pretty(results).expect("results are JSON");
    text.push('\n');
    save(&file, &text);
    let page = bench_page::page_file();
    let old = fs::read_to_string(&page).expect("the book's page");
    let new = bench_page::write(&old, results).unwrap_or_else(|error| panic!("{error}"));
    save(&page, &new);
}

fn save(file: &Path, text: &str) {
    fs::write(file, text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    println!("written: {}", file.display());
}
