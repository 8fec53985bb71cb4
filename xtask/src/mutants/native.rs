//! The native tests against each change, with `cargo-mutants`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use super::{Change, Options, Seen};
use crate::run;
use crate::setup::Tools;

/// Files that no native test can run: the code that calls JavaScript, and the code that only passes
/// calls on to it. Their changes are tried in workerd.
const NOT_NATIVE: [&str; 5] = [
    "crate/src/platform/workerd.rs",
    "crate/src/workflow/binding.rs",
    "crate/src/workflow/entrypoint.rs",
    "crate/src/workflow/js.rs",
    "crate/src/workflow/step.rs",
];

/// Files that are not changed. They are not part of the product: test doubles, the readers for the
/// fuzzer, and what the laboratory looks into.
const LEFT_OUT: [&str; 3] = [
    "crate/src/platform/testing.rs",
    "crate/src/hostile.rs",
    "crate/src/laboratory.rs",
];

/// Packages that are tried together, with the features that their tests need.
const PACKAGES: [(&[&str], &str); 2] = [
    (&["worker-sentry"], "anyhow,axum,logs,queue,spans,tracing"),
    (
        &[
            "listings",
            "snippet-axum",
            "snippet-drill",
            "snippet-fetch",
            "snippet-object",
            "snippet-router",
            "snippet-tunnel",
            "snippet-workflow",
        ],
        "",
    ),
];

/// Tests that take seconds, by parts of their names. They and most cases of each property run only
/// for the changes that no other test notices.
const SLOW: [&str; 3] = [
    "in_every_interleaving",
    "in_whatever_order_they_are_polled",
    "tags_are_as_sentry_takes_them",
];

/// Runs `cargo-mutants`.
pub struct Native<'a> {
    root: &'a Path,
    tools: &'a Tools,
    /// The folder for its output.
    out: PathBuf,
    options: &'a Options,
    /// The file with the lines to change, if not all are.
    changed: Option<PathBuf>,
}

impl<'a> Native<'a> {
    pub fn new(root: &'a Path, tools: &'a Tools, out: &Path, options: &'a Options) -> Result<Self> {
        let base = options.changed.as_ref();
        let changed = base.map(|base| difference(root, base, out)).transpose()?;
        Ok(Self {
            root,
            tools,
            out: out.to_owned(),
            options,
            changed,
        })
    }

    /// Every change that the options choose, of all files.
    pub fn changes(&self) -> Result<Vec<Change>> {
        let mut changes = Vec::new();
        for (packages, _) in PACKAGES {
            let mut command = self.command(packages, &LEFT_OUT);
            command.args(["--list", "--json"]);
            let list = run::output_of(&mut command)
                .with_context(|| format!("`{}` failed", run::shown(&command)))?;
            let list: Vec<Value> = serde_json::from_str(&list)?;
            for listed in &list {
                changes.push(Change::parsed(listed).context("cargo-mutants lists otherwise now")?);
            }
        }
        Ok(changes)
    }

    /// Tries the changes, first with the quick tests and then, what survives, with all.
    pub fn test(&self, seen: &mut Seen) -> Result<()> {
        for (packages, features) in PACKAGES {
            let folder = self.out.join(packages[0]);
            // Without this line, cargo-mutants would leave out what an earlier run has caught.
            let _ = fs::remove_dir_all(&folder);
            fs::create_dir_all(&folder)?;
            for tests in [Tests::Quick, Tests::All] {
                let left_out = [&NOT_NATIVE[..], &LEFT_OUT[..]].concat();
                let mut command = self.command(packages, &left_out);
                command.arg("--output").arg(&folder);
                command.args(["--no-shuffle", "--jobs", "2"]);
                if !features.is_empty() {
                    command.args(["--features", features]);
                }
                tests.chosen(&mut command);
                if survivors(&mut command, &folder, seen)? == 0 {
                    break;
                }
            }
        }
        Ok(())
    }

    /// The command, with what chooses the changes.
    fn command(&self, packages: &[&str], left_out: &[&str]) -> Command {
        let mut command = run::command(self.tools.bin.join("cargo-mutants"));
        command.current_dir(self.root).arg("mutants");
        for package in packages {
            command.args(["--package", package]);
        }
        for file in left_out {
            command.args(["--exclude", file]);
        }
        for part in &self.options.parts {
            command.args(["--file", &format!("**/*{part}*"), "--file"]);
            command.arg(format!("**/*{part}*/**"));
        }
        if let Some(changed) = &self.changed {
            command.arg("--in-diff").arg(changed);
        }
        command
    }
}

/// Whether native tests can run this file.
pub fn is_native(file: &str) -> bool {
    !NOT_NATIVE.contains(&file)
}

/// Runs `cargo-mutants`, and returns how many changes survived.
fn survivors(command: &mut Command, folder: &Path, seen: &mut Seen) -> Result<usize> {
    // cargo-mutants may end before it writes outcomes. Without this line, those of an earlier run
    // would be read again.
    let outcomes = folder.join("mutants.out/outcomes.json");
    let _ = fs::remove_file(&outcomes);
    // cargo-mutants fails if a change survives, which `Seen::judge` decides on, and also if a test
    // fails before any change.
    let failed = run::inherited(command).err();
    match fs::read_to_string(&outcomes) {
        Ok(text) => Ok(seen.add(&serde_json::from_str::<Value>(&text)?)),
        Err(_) => match failed {
            Some(failed) => Err(failed),
            None => Ok(0),
        },
    }
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
