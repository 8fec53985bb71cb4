//! What a run of `cargo xtask bench` found, and the book's page that shows it.
//!
//! - `results`: the file `tests/bench/results.json`.
//! - `figure`: a median with its spread, and a ratio with its.
//! - `rows`: the names by which rows are found again.
//! - `goals`: what is aimed at, and whether it is met.
//! - `words`, `plot`: figures and ratios as a reader sees them.
//! - `page`: the parts of `src/performance.md` between marks.

mod figure;
mod goals;
mod page;
mod plot;
mod results;
pub mod rows;
mod words;

use std::path::{Path, PathBuf};

pub use figure::{Figure, ratio};
pub use page::{text, write};
pub use results::{Column, Counts, Fact, Group, Results, Row, Unit};
pub use words::number;

/// The results, below the root of the repository.
pub fn results_file() -> PathBuf {
    root().join("tests/bench/results.json")
}

/// The page, below the root of the repository.
pub fn page_file() -> PathBuf {
    root().join("src/performance.md")
}

fn root() -> &'static Path {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.ancestors().nth(3).unwrap_or(package)
}
