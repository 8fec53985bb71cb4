//! Where `cargo xtask test` put the tools and what it built.

use std::env;
use std::path::PathBuf;

/// The variables that tell the proof where things are.
pub const VARIABLES: [&str; 10] = [
    "PROOF_WRANGLER",
    "PROOF_NODE",
    "PROOF_NPM",
    "PROOF_BUGSINK",
    "PROOF_CHROMIUM",
    "PROOF_LISTINGS",
    "PROOF_FIXTURE",
    "PROOF_FIXTURE_UNWIND",
    "PROOF_BOOK",
    "PROOF_MDBOOK",
];

/// The path in one of [`VARIABLES`].
///
/// # Panics
///
/// If it is not set: then nobody has set up what the test needs.
pub fn path(variable: &str) -> PathBuf {
    debug_assert!(VARIABLES.contains(&variable), "{variable} is not listed");
    match env::var_os(variable) {
        Some(path) if !path.is_empty() => PathBuf::from(path),
        _ => panic!("{variable} is not set; run `cargo xtask test`"),
    }
}

/// Whether there is a build of the fixture that unwinds. It takes a nightly
/// compiler and its source, which not every machine has.
pub fn has_unwinding_build() -> bool {
    env::var_os("PROOF_FIXTURE_UNWIND").is_some()
}

/// The root of the workspace.
pub fn workspace() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}
