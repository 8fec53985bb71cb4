//! The results of `cargo xtask bench`, and the book's page that shows them.
//!
//! - `results`: the file `tests/bench/results.json`.
//! - `figure`: a median or a ratio, with its spread.
//! - `rows`: the names of the rows that other code looks for.
//! - `goals`: the goals, and whether the results meet them.
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

/// The file of the results, as a path from the root of the repository.
pub fn results_file() -> PathBuf {
    root().join("tests/bench/results.json")
}

/// The page, as a path from the root of the repository.
pub fn page_file() -> PathBuf {
    root().join("src/performance.md")
}

fn root() -> &'static Path {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.ancestors().nth(3).unwrap_or(package)
}
