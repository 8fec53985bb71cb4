//! Everything that runs and observes a Worker on this machine: workerd, receivers and a browser.
//! The proof, the bench and the demo use it.
//!
//! # Layout
//!
//! One concept per file. The tests are in `tests/proof/`, one module per theme.
//!
//! - `case`: a test, and the message of its failure.
//! - `coverage`: the lines that a test ran in workerd.
//! - `environment`: the paths of the tools.
//! - `process`, `run`: child processes and files that cannot outlive the run.
//! - `worker`, `inspector`: a built Worker in workerd, and a view into its isolate.
//! - `wrangler`: programs that have wrangler loaded, for one Worker after another.
//! - `bugsink`, `spotlight`, `receiver`: the receivers of events.
//! - `relay`: Sentry's own check of each event.
//! - `schema`: the checks of check-ins and logs, from Sentry's documentation.
//! - `symbols`: resolves an event's stacks with a companion.
//! - `book`, `browser`: the rendered book in Chromium.
//! - `devtools`: the protocol of browsers and inspectors.
//! - `diagram`: the messages of the sequence diagram.
//! - `walk`: the visit to each page of the book.
//! - `http`, `socket`: clients for services on this machine. The package `site` has a server.
//! - `shown`: a table of a page that a test measures.
//! - `shared`, `wait`: one fixture for many tests; polling with a deadline.

#![warn(missing_docs, unreachable_pub)]

pub mod book;
pub mod browser;
pub mod bugsink;
pub mod case;
pub mod coverage;
mod devtools;
pub mod diagram;
pub mod environment;
pub mod http;
pub mod inspector;
pub mod process;
pub mod receiver;
pub mod relay;
pub mod run;
pub mod schema;
pub mod shared;
pub mod shown;
pub mod socket;
pub mod spotlight;
pub mod symbols;
pub mod wait;
pub mod walk;
pub mod worker;
mod wrangler;

pub use site::{self, server};
