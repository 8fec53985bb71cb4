//! The Rust blocks that are written into the book's pages.
//!
//! `build.rs` collects them, and `skeptic` makes a test of each. The test compiles the block as a
//! reader would, and runs it unless it is marked `no_run`. Blocks that are included from files are
//! not here, because those files have tests of their own.

#[cfg(test)]
// The generated code does not follow the idioms of this edition.
#[allow(unused_extern_crates)]
mod blocks {
    include!(concat!(env!("OUT_DIR"), "/skeptic-tests.rs"));
}
