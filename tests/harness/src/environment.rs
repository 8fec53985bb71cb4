//! Where `cargo xtask test` put the tools and what it built.

use std::env;
use std::path::{Path, PathBuf};

/// The variables that tell the proof where things are.
pub const VARIABLES: [&str; 15] = [
    "PROOF_WRANGLER",
    "PROOF_NODE",
    "PROOF_NPM",
    "PROOF_BUGSINK",
    "PROOF_SPOTLIGHT",
    "PROOF_SDK",
    "PROOF_CHROMIUM",
    "PROOF_LISTINGS",
    "PROOF_FIXTURE",
    "PROOF_STACKS",
    "PROOF_STACKS_OPTIMIZED",
    "PROOF_SNIPPETS",
    "PROOF_BOOK",
    "PROOF_MDBOOK",
    "PROOF_XTASK",
];

/// What nobody has set up, in one line; nothing if all is there.
pub fn missing() -> Option<String> {
    let missing: Vec<&str> = VARIABLES
        .into_iter()
        .filter(|variable| env::var_os(variable).is_none_or(|path| path.is_empty()))
        .collect();
    let names = missing.join(", ");
    (!missing.is_empty()).then(|| format!("not set: {names}; run `cargo xtask test`"))
}

/// The path in one of [`VARIABLES`], in [`UNWINDING`] or in [`STACKS_UNWINDING`].
///
/// # Panics
///
/// If it is not set, which [`missing`] tells before any test runs.
pub fn path(variable: &str) -> PathBuf {
    match env::var_os(variable) {
        Some(path) => PathBuf::from(path),
        None => panic!("{variable} is not set; run `cargo xtask test`"),
    }
}

/// A path that may be missing: a build of the fixture that unwinds takes a nightly
/// compiler and its source. `cargo xtask test` makes it where rustup can install them, and
/// says that it did not elsewhere.
pub const UNWINDING: &str = "PROOF_FIXTURE_UNWIND";

/// The same for the Worker with marked lines.
pub const STACKS_UNWINDING: &str = "PROOF_STACKS_UNWIND";

/// Whether there are such builds.
pub fn has_unwinding_build() -> bool {
    let there = |name| env::var_os(name).is_some_and(|path| !path.is_empty());
    [UNWINDING, STACKS_UNWINDING].into_iter().all(there)
}

/// The compatibility date that every Worker runs with in this run, instead of the one
/// that is committed.
pub fn date() -> Option<String> {
    let date = env::var("PROOF_DATE").ok();
    date.filter(|date| !date.is_empty())
}

/// Whether only the core runs: what depends on the runtime and on its date.
pub fn is_core() -> bool {
    env::var_os("PROOF_CORE").is_some_and(|value| !value.is_empty())
}

/// The root of the workspace.
pub fn workspace() -> PathBuf {
    let harness = Path::new(env!("CARGO_MANIFEST_DIR"));
    harness.ancestors().nth(2).unwrap_or(harness).to_owned()
}
