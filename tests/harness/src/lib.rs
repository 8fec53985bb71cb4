//! What a Worker needs on this machine to be run and looked at: workerd, receivers and a
//! browser. The proof, the bench and the demo are made of it.
//!
//! # Layout
//!
//! One concept per file. The tests are in `tests/proof/`, one module per theme.
//!
//! - `case`: a test, and what it says when it fails.
//! - `coverage`: which lines a test ran in workerd.
//! - `environment`: where `cargo xtask` put the tools.
//! - `process`, `run`: child processes and files that cannot outlive the run.
//! - `worker`, `inspector`: a built Worker in workerd, and a look inside.
//! - `bugsink`, `spotlight`, `receiver`: who gets the events.
//! - `relay`: Sentry's own judgement of each of them.
//! - `schema`: what a check-in and a log have to be, by Sentry's documentation.
//! - `symbols`: what a companion makes of an event's stacks.
//! - `book`, `browser`: the rendered book in Chromium.
//! - `devtools`: the protocol of browsers and inspectors.
//! - `diagram`: what the sequence diagram says.
//! - `walk`: what a visit to each of its pages finds.
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

pub use site::{self, server};
