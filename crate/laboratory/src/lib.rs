//! What the book's page “The laboratory” runs.
//!
//! The steps, the scope and the states are the crate's own. They run against the runtime of
//! its native tests: time stands still until somebody takes a step, and whatever waits,
//! waits until its turn. Nothing here is random, so a run is the text of what was done, and
//! the same text gives the same run, on this machine and in a browser.
//!
//! - `word`: what can be done, as text.
//! - `handler`: the ways in, and how each fails.
//! - `naive`: the obvious guard, beside the crate's.
//! - `run`: does one word after the other, and records what happened.
//! - `view`: what there is to see of a run.
//! - `experiments`: the runs of the page, and their outcomes as tables.
//! - `flood`: many isolates that fail at once, for the page “When something fails”.
//! - `browser`: what the page calls.

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
