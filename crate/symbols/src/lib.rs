//! Readable stacks for Cloudflare Workers in Rust, and a smaller upload.
//!
//! Most users need only the program `worker-sentry-symbols`: see the README. This library has the
//! parts of the program: [`split`] makes two files from the module that worker-build wrote,
//! [`check`] compares them, [`Resolver`] puts names and lines into an event or a console's stack,
//! and [`source_map`] writes a source map for receivers that do not support WebAssembly.
//!
//! Offsets are those of V8's stacks: the byte offset, in the uploaded file, of the
//! instruction that calls. Nothing is subtracted.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod audit;
mod dwarf;
mod failure;
mod features;
pub mod files;
mod module;
mod optimize;
mod paths;
mod resolve;
mod sourcemap;
mod split;
mod symbols;

pub use audit::Audit;
pub use failure::Failure;
pub use features::FEATURES;
pub use module::{BUILD_ID, BuildId, Function, Module, Section};
pub use optimize::{Optimized, WasmOpt, level, optimize};
pub use paths::{Paths, is_foreign};
pub use resolve::{Resolver, console_frame};
pub use sourcemap::source_map;
pub use split::{Checked, Split, check, compressed, split};
pub use symbols::{Location, Lookup, Symbols, readable};
