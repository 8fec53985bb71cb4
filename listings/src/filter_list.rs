//! The filter-list compiler: many lists in, one normalised list out.
//!
//! It knows the syntax that ad blockers share (Adblock Plus and uBlock Origin)
//! and hosts files. Nothing here knows that it runs in a Worker.
//!
//! - `line`: what a line is, and how a whole source is read;
//! - `reason`: why one is left out;
//! - `network`, `cosmetic`, `domain`: the kinds of rules and their normal form;
//! - `compile`: sources become one list;
//! - `header`: what is written above it, and read back.

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
