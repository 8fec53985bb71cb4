//! `cargo xtask mutants`: changes the code in one place after another and looks whether a
//! native test fails. A change that no test notices has survived.
//!
//! `tests/mutants.txt` lists the known survivors, each with the reason. A change of a constant that
//! is only a bound, or of code that only workerd runs, may be listed there.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::run;
use crate::setup::Setup;

/// The known survivors. Each line has the change, a tab and the reason.
const KNOWN: &str = "tests/mutants.txt";

/// Files that are not changed. Native tests cannot run the code that calls JavaScript, and the code
/// that only passes calls on to it: the proof runs both in workerd. Test doubles and the readers
/// for the fuzzer are not part of the product.
const NOT_NATIVE: [&str; 9] = [
    "crate/src/platform/workerd.rs",
    "crate/src/platform/testing.rs",
    "crate/src/hostile.rs",
    "crate/src/laboratory.rs",
    "crate/src/workflow/js.rs",
    "crate/src/workflow/binding.rs",
    "crate/src/workflow/entrypoint.rs",
    "crate/src/workflow/step.rs",
    "crate/src/api/**",
];

/// Each package, with the features that its tests need.
const PACKAGES: [(&str, &str); 2] = [("worker-sentry", "logs,spans,tracing"), ("listings", "")];

/// The arguments of `cargo xtask mutants`.
#[derive(clap::Args)]
pub struct Options {
    /// Only files whose path has one of these texts, such as `src/wire` or `baggage.rs`.
    parts: Vec<String>,
    /// Only lines that differ from this commit or branch, such as `main`.
    #[arg(long)]
    changed: Option<String>,
}

/// Tests that take seconds, by parts of their names. They and most cases of each property run only
/// for the changes that no other test notices.
const SLOW: [&str; 3] = [
    "in_every_interleaving",
    "in_whatever_order_they_are_polled",
    "tags_are_as_sentry_takes_them",
];

/// `cargo xtask mutants`.
pub fn mutants(root: &Path, options: &Options) -> Result<()> {
    let tools = Setup::new(root)?.mutants_tools()?;
    let known = Known::read(root)?;
    let out = root.join("target/mutants");
    fs::create_dir_all(&out)?;
    let changed = options.changed.as_ref();
    let changed = changed
        .map(|base| difference(root, base, &out))
        .transpose()?;
    let mut seen = Seen::default();
    for (package, features) in PACKAGES {
        let folder = out.join(package);
        // Without this line, cargo-mutants would leave out what an earlier run has caught.
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder)?;
        for tests in [Tests::Quick, Tests::All] {
            let mut command = run::command(tools.bin.join("cargo-mutants"));
            command
                .current_dir(root)
                .arg("mutants")
                .arg("--output")
                .arg(&folder);
            command.args(["--package", package, "--no-shuffle"]);
            command.args(["--jobs", "2"]);
            if !features.is_empty() {
                command.args(["--features", features]);
            }
            for file in NOT_NATIVE {
                command.args(["--exclude", file]);
            }
            for part in &options.parts {
                command.args(["--file", &format!("**/*{part}*"), "--file"]);
                command.arg(format!("**/*{part}*/**"));
            }
            if let Some(changed) = &changed {
                command.arg("--in-diff").arg(changed);
            }
            tests.chosen(&mut command);
            // cargo-mutants may end before it writes outcomes. Without this line, those of the quick
            // tests would be read again.
            let outcomes = folder.join("mutants.out/outcomes.json");
            let _ = fs::remove_file(&outcomes);
            // cargo-mutants fails if a change survives, which `judge` decides on below, and also if
            // a test fails before any change.
            let failed = run::inherited(&mut command).err();
            let survivors = match fs::read_to_string(&outcomes) {
                Ok(text) => seen.add(&serde_json::from_str(&text)?),
                Err(_) => match failed {
                    Some(failed) => return Err(failed),
                    None => {
                        eprintln!("{package}: nothing to change");
                        0
                    }
                },
            };
            if survivors == 0 {
                break;
            }
        }
    }
    seen.judge(&known)
}

/// The tests that look at a change.
#[derive(Clone, Copy)]
enum Tests {
    /// Those that take no time.
    Quick,
    /// All, for what has survived the quick ones.
    All,
}

impl Tests {
    /// Adds the arguments for cargo to those of cargo-mutants.
    fn chosen(self, command: &mut Command) {
        command.env("CARGO_PROFILE_DEV_DEBUG", "0");
        // As an argument for the tests alone it would not keep cargo from building the others.
        command.arg("--cargo-arg=--lib");
        match self {
            Self::Quick => {
                // To optimise takes longer than these tests win by it.
                command.arg("--cargo-arg=--config=profile.dev.package.worker-sentry.opt-level=1");
                command
                    .env("PROPTEST_CASES", "16")
                    .args(["--timeout", "20"]);
                command.args(["--", "--"]);
                command.args(SLOW.iter().flat_map(|test| ["--skip", test]));
            }
            Self::All => {
                command.args(["--iterate", "--timeout", "60"]);
            }
        }
    }
}

/// Writes the difference to another commit into a file.
fn difference(root: &Path, base: &str, out: &Path) -> Result<PathBuf> {
    let mut command = run::command("git");
    command
        .current_dir(root)
        .args(["diff", "--unified=0", base]);
    let text = run::output_of(&mut command).with_context(|| {
        format!("git has no commit or branch {base}: give --changed one that is there")
    })?;
    let file = out.join("difference.patch");
    fs::write(&file, text)?;
    Ok(file)
}

/// The survivors that are known, with their reasons.
struct Known(BTreeMap<String, String>);

impl Known {
    fn read(root: &Path) -> Result<Self> {
        Self::parsed(&fs::read_to_string(root.join(KNOWN))?)
    }

    fn parsed(text: &str) -> Result<Self> {
        let mut known = BTreeMap::new();
        let lines = text
            .lines()
            .filter(|it| !it.is_empty() && !it.starts_with('#'));
        for line in lines {
            let Some((change, reason)) = line.split_once('\t') else {
                bail!("{KNOWN}: no tab and reason behind `{line}`");
            };
            known.insert(change.to_owned(), reason.trim().to_owned());
        }
        Ok(Self(known))
    }
}

/// The changes that a test noticed, and those that survived.
#[derive(Default)]
struct Seen {
    /// With the positions.
    caught: BTreeSet<String>,
    survived: BTreeSet<String>,
}

impl Seen {
    /// Adds the outcomes of a run, and returns how many changes survived it.
    fn add(&mut self, outcomes: &Value) -> usize {
        let mut survivors = 0;
        for outcome in outcomes["outcomes"].as_array().into_iter().flatten() {
            let Some(name) = outcome["scenario"]["Mutant"]["name"].as_str() else {
                continue;
            };
            match outcome["summary"].as_str() {
                Some("MissedMutant") => {
                    survivors += 1;
                    self.survived.insert(name.to_owned());
                }
                Some("CaughtMutant" | "Timeout") => {
                    // It may have survived the quick tests.
                    self.survived.remove(name);
                    self.caught.insert(name.to_owned());
                }
                _ => {}
            }
        }
        survivors
    }

    fn judge(&self, known: &Known) -> Result<()> {
        let mut wrong = Vec::new();
        // Two places can have a change of the same name, of which one is caught and the other
        // survives.
        let named = |all: &BTreeSet<String>| -> BTreeSet<String> {
            all.iter().map(|name| without_position(name)).collect()
        };
        let (caught, survived) = (named(&self.caught), named(&self.survived));
        for name in survived.iter().filter(|it| !known.0.contains_key(*it)) {
            wrong.push(format!(
                "  survives: add a test that fails, or a line with the reason in {KNOWN}:\n    {name}"
            ));
        }
        let gone = |it: &&String| caught.contains(*it) && !survived.contains(*it);
        for name in known.0.keys().filter(gone) {
            wrong.push(format!("  is caught, take it out of {KNOWN}:\n    {name}"));
        }
        println!(
            "{} changes were noticed, {} were not.",
            self.caught.len(),
            self.survived.len()
        );
        if wrong.is_empty() {
            return Ok(());
        }
        bail!(
            "{} changes are not as {KNOWN} has them:\n{}\n\
             Write a test that notices, or a line there with a tab and the reason.",
            wrong.len(),
            wrong.join("\n")
        )
    }
}

/// `file:12:3: change` without line and column, because these move.
fn without_position(name: &str) -> String {
    let Some((place, change)) = name.split_once(": ") else {
        return name.to_owned();
    };
    let file = place.split(':').next().unwrap_or(place);
    format!("{file}: {change}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn seen(outcomes: &[(&str, &str)]) -> Seen {
        let outcome =
            |it: &(&str, &str)| json!({"scenario": {"Mutant": {"name": it.0}}, "summary": it.1});
        let mut seen = Seen::default();
        let all: Vec<Value> = outcomes.iter().map(outcome).collect();
        seen.add(&json!({ "outcomes": all }));
        seen
    }

    #[test]
    fn a_change_is_known_without_its_position() {
        let name = "crate/src/a.rs:12:3: replace a -> bool with true";
        let known = "crate/src/a.rs: replace a -> bool with true";
        assert_eq!(without_position(name), known);
        assert_eq!(without_position("nothing"), "nothing");
    }

    #[test]
    fn a_new_survivor_and_a_known_one_that_is_caught_are_both_said() {
        let (a, b) = ("a.rs:1:2: replace a", "b.rs:1:2: replace b");
        let known = Known::parsed("# why\n\na.rs: replace a\ta bound\n").unwrap();
        assert!(
            seen(&[(a, "MissedMutant"), (b, "CaughtMutant")])
                .judge(&known)
                .is_ok()
        );
        assert!(seen(&[(b, "Timeout")]).judge(&known).is_ok());
        let new = seen(&[(a, "MissedMutant"), (b, "MissedMutant")]).judge(&known);
        assert!(new.unwrap_err().to_string().contains("b.rs: replace b"));
        let caught = seen(&[(a, "CaughtMutant")]).judge(&known);
        assert!(caught.unwrap_err().to_string().contains("a.rs: replace a"));
        let both = seen(&[(a, "CaughtMutant"), ("a.rs:9:9: replace a", "MissedMutant")]);
        assert!(both.judge(&known).is_ok());
    }

    #[test]
    fn what_survives_the_quick_tests_and_not_all_of_them_was_noticed() {
        let outcome = |summary| {
            let mutant = json!({"Mutant": {"name": "a.rs:1:2: replace a"}});
            json!({"outcomes": [{"scenario": mutant, "summary": summary}]})
        };
        let mut seen = Seen::default();
        assert_eq!(seen.add(&outcome("MissedMutant")), 1);
        assert_eq!(seen.add(&outcome("CaughtMutant")), 0);
        assert!(seen.judge(&Known::parsed("").unwrap()).is_ok());
    }

    #[test]
    fn each_known_survivor_is_of_a_file_that_there_is_and_has_a_reason() {
        let known = Known::read(&crate::root()).unwrap();
        for (change, reason) in &known.0 {
            let (file, _) = change.split_once(": ").unwrap();
            assert!(crate::root().join(file).is_file(), "{change}");
            assert!(!reason.is_empty(), "{change}");
        }
        assert!(Known::parsed("a.rs: replace a").is_err());
    }
}
