//! The filter-list compiler: many lists in, one normalised list out.
//!
//! It knows the syntax that ad blockers share (Adblock Plus and uBlock Origin), and hosts files. It
//! needs nothing of the Workers platform.
//!
//! - `line`: the kinds of lines, and reading a whole source;
//! - `reason`: why a line is left out;
//! - `network`, `cosmetic`, `domain`: the kinds of rules and their normal form;
//! - `compile`: makes one list of several sources;
//! - `header`: the comment lines above a list, written and read.

mod compile;
mod cosmetic;
mod domain;
mod header;
mod line;
mod network;
mod reason;

pub use compile::{CompileError, Compiled, compile};
pub use header::{Header, Statistics, UnreadableHeader};
pub use line::{InvalidLine, Parsed, Rule, parse};
pub use reason::Reason;

#[cfg(test)]
mod properties;
