//! The paths of the tools and of the builds, which `cargo xtask test` sets.

use std::env;
use std::path::{Path, PathBuf};

/// The variables with these paths.
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

/// A message that names the variables that are not set, if there are any.
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
/// If the variable is not set. [`missing`] reports that before any test runs.
pub fn path(variable: &str) -> PathBuf {
    match env::var_os(variable) {
        Some(path) => PathBuf::from(path),
        None => panic!("{variable} is not set; run `cargo xtask test`"),
    }
}

/// The variable with the fixture's build that unwinds. It may be missing: the build needs a nightly
/// compiler and its source. `cargo xtask test` makes the build if rustup can install both, and
/// otherwise says that it did not.
pub const UNWINDING: &str = "PROOF_FIXTURE_UNWIND";

/// The variable with the build that unwinds of the Worker with marked lines.
pub const STACKS_UNWINDING: &str = "PROOF_STACKS_UNWIND";

/// Whether these builds exist.
pub fn has_unwinding_build() -> bool {
    let there = |name| env::var_os(name).is_some_and(|path| !path.is_empty());
    [UNWINDING, STACKS_UNWINDING].into_iter().all(there)
}

/// The compatibility date of every Worker in this run, if it is not the committed one.
pub fn date() -> Option<String> {
    let date = env::var("PROOF_DATE").ok();
    date.filter(|date| !date.is_empty())
}

/// Whether only the core runs: the tests that depend on the runtime and on its date.
pub fn is_core() -> bool {
    env::var_os("PROOF_CORE").is_some_and(|value| !value.is_empty())
}

/// The names of the only tests to run, in their order, if some are chosen. `cargo xtask mutants`
/// chooses those that ran a changed line.
pub fn chosen() -> Option<Vec<String>> {
    let chosen = env::var("PROOF_CHOSEN").ok()?;
    Some(chosen.lines().map(ToOwned::to_owned).collect())
}

/// Whether the first failure ends the run.
pub fn stops_at_a_failure() -> bool {
    env::var_os("PROOF_STOPS").is_some_and(|value| !value.is_empty())
}

/// The root of the workspace.
pub fn workspace() -> PathBuf {
    let harness = Path::new(env!("CARGO_MANIFEST_DIR"));
    harness.ancestors().nth(2).unwrap_or(harness).to_owned()
}
