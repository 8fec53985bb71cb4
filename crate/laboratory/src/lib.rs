//! The engine of the book's page “The laboratory”.
//!
//! The steps, the scope and the states are the crate's own. They run with the runtime of the
//! crate's native tests: the clock advances only when a step is taken, and the waits end one by
//! one. Nothing here is random, so a run is described by the text of its words, and the same text
//! gives the same run, on this machine and in a browser.
//!
//! - `word`: the words of a run.
//! - `handler`: the ways in, and how each fails.
//! - `naive`: the obvious guard, to compare with the crate's.
//! - `run`: executes one word after the other, and records what happened.
//! - `view`: a run in the form that the page shows.
//! - `experiments`: the runs of the page, and their outcomes as tables.
//! - `flood`: many isolates that fail at once, for the page “When something fails”.
//! - `browser`: the functions that the page calls.

mod browser;
mod experiments;
pub mod flood;
mod handler;
mod naive;
mod run;
mod view;
mod word;

pub use experiments::{EXPERIMENTS, Experiment};
pub use run::Run;
pub use view::View;
