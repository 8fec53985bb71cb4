//! The proof against each change that no native test notices, or that none can: the Workers are
//! built with the change, and the tests that ran its lines run again.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use book_compiler::measured::{Measured, Numbers};
use book_compiler::proven::{Record, Used};
use book_compiler::{Listing, copy, read};

use super::Change;
use crate::coverage::{Built, built_tests, listings};
use crate::proof::Places;
use crate::run;
use crate::setup::{Npm, Setup, Tools, Wasm};
use crate::test::WORKERS;
use crate::worker::Builder;

/// The longest time for the tests of one change. A change with which they do not end is noticed.
const LIMIT: Duration = Duration::from_secs(600);

/// The tests of the proof that try the example as a whole, by the beginnings of their names: that
/// it does its job, and that each host fails when it is told to. They look at the lines of the
/// example that no page shows, because for those it is not known which test runs them.
const WHOLE: [&str; 2] = ["success::", "hosts::"];

/// How a change ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Noticed,
    Survived,
    /// It does not compile.
    NotViable,
}

impl Outcome {
    fn word(self) -> &'static str {
        match self {
            Self::Noticed => "noticed",
            Self::Survived => "SURVIVED",
            Self::NotViable => "does not compile",
        }
    }
}

/// A change, and the tests in workerd that look at it.
pub type Looked<'c> = (&'c Change, Vec<String>);

/// The tests that ran the lines of each change.
pub struct Small {
    measured: Measured,
    listings: BTreeMap<String, Listing>,
    /// What each test used.
    used: Used,
}

/// What builds and runs them.
pub struct InWorkerd<'a> {
    root: &'a Path,
    /// A copy of the sources, in which they are changed.
    tree: PathBuf,
    out: PathBuf,
    wasm: Wasm,
    tools: Tools,
    npm: Npm,
    places: Places,
    /// The program with the tests.
    proof: Built,
    small: &'a Small,
    /// Tests that fail without a change: some need an optimised build, or names.
    broken: BTreeSet<String>,
}

impl Small {
    pub fn read() -> Result<Self> {
        Ok(Self {
            measured: Measured::read()?,
            listings: listings(),
            used: Record::read()?.runtime,
        })
    }

    /// The tests in workerd that look at this change: those that ran a line of it, or, of a line
    /// of the example that no page shows, those of the whole example.
    pub fn tests(&self, change: &Change) -> Vec<String> {
        let ran = self.ran(change);
        if !ran.is_empty() || !change.file.starts_with("listings/src/") {
            return ran;
        }
        let names = self.used.keys();
        let names = names.filter(|name| WHOLE.iter().any(|begin| name.starts_with(begin)));
        names.cloned().collect()
    }

    /// The tests in workerd that ran a line of this change. Those that ran the fewest listings
    /// come first, because they look most closely.
    fn ran(&self, change: &Change) -> Vec<String> {
        let mut tests = BTreeSet::new();
        for (key, listing) in &self.listings {
            if listing.file != change.file {
                continue;
            }
            let Some(lines) = self.measured.listings.get(key) else {
                continue;
            };
            let text = read(&listing.file);
            let shown = listing.shown(&text);
            let changed: Numbers = (1..)
                .zip(&shown)
                .filter(|(_, (line, _))| change.lines().contains(line))
                .map(|(number, _)| number)
                .collect();
            for (ran, by) in &lines.ran {
                if !ran.is_disjoint(&changed) {
                    tests.extend(by);
                }
            }
        }
        let mut tests: Vec<usize> = tests.into_iter().collect();
        tests.sort_by_key(|test| self.measured.breadth(*test));
        let names = tests
            .into_iter()
            .filter_map(|test| self.measured.test(test))
            .filter(|(name, is_runtime)| *is_runtime && self.used.contains_key(*name));
        names.map(|(name, _)| name.to_owned()).collect()
    }

    /// The Workers with this file that these tests use, as folders of their packages.
    fn workers(&self, file: &str, tests: &[String]) -> Vec<&'static str> {
        let uses = |package: &str| {
            let used = format!("worker {}", package.replacen("snippet-", "snippet ", 1));
            tests
                .iter()
                .any(|test| self.used.get(test).is_some_and(|it| it.contains(&used)))
        };
        let workers = WORKERS.into_iter().filter(|(package, folder)| {
            let has_file = file.starts_with("crate/")
                || file
                    .strip_prefix(folder)
                    .is_some_and(|it| it.starts_with("/src/"));
            has_file && uses(package)
        });
        workers.map(|(_, folder)| folder).collect()
    }
}

impl<'a> InWorkerd<'a> {
    /// Sets up the tools, and copies the sources.
    pub fn new(root: &'a Path, setup: &Setup, out: &Path, small: &'a Small) -> Result<Self> {
        let (wasm, tools, npm) = (setup.wasm()?, setup.worker_tools()?, setup.npm()?);
        let places = Places::without_a_browser(setup)?;
        let mut build = places.proof(root, &npm, &["--no-run", "--message-format=json"])?;
        let proof = built_tests(&mut build)?
            .pop()
            .context("cargo built no proof")?;
        let tree = out.join("tree");
        copied(root, &tree)?;
        Ok(Self {
            root,
            tree,
            out: out.to_owned(),
            wasm,
            tools,
            npm,
            places,
            proof,
            small,
            broken: BTreeSet::new(),
        })
    }

    /// Tries each change, and calls a function with its outcome.
    pub fn test(
        &mut self,
        changes: &[Looked<'_>],
        mut tell: impl FnMut(&Change, Outcome),
    ) -> Result<()> {
        self.without_a_change(changes)?;
        for (index, (change, tests)) in changes.iter().enumerate() {
            let begin = Instant::now();
            let (outcome, by) = self.with(change, tests)?;
            eprintln!(
                "  {} of {}: {}{by}, {}: {}",
                index + 1,
                changes.len(),
                outcome.word(),
                run::duration(begin.elapsed()),
                change.name
            );
            tell(change, outcome);
        }
        Ok(())
    }

    /// Runs all the tests once without a change, and keeps those that fail.
    fn without_a_change(&mut self, changes: &[Looked<'_>]) -> Result<()> {
        let mut files: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
        for (change, tests) in changes {
            let of_file = files.entry(&change.file).or_default();
            of_file.extend(tests.iter().cloned());
        }
        let mut workers = BTreeSet::new();
        for (file, tests) in &files {
            let tests: Vec<String> = tests.iter().cloned().collect();
            workers.extend(self.small.workers(file, &tests));
        }
        let workers: Vec<&str> = workers.into_iter().collect();
        eprintln!("  without a change: building {}", workers.join(", "));
        if let Err(why) = self.build(&workers) {
            bail!("the Workers cannot be built without a change: {why:#}");
        }
        let tests: BTreeSet<String> = files.into_values().flatten().collect();
        let tests: Vec<String> = tests.into_iter().collect();
        eprintln!("  without a change: {} tests", tests.len());
        let said = self.run(&workers, &tests, false)?;
        self.broken = failed(&said).map(str::to_owned).collect();
        if self.broken.len() == tests.len() {
            bail!("every test fails without a change:\n{said}");
        }
        if !self.broken.is_empty() {
            let names: Vec<&str> = self.broken.iter().map(String::as_str).collect();
            eprintln!(
                "  left out, they fail without a change: {}",
                names.join(", ")
            );
        }
        Ok(())
    }

    /// Tries one change. The text names the test that noticed it.
    fn with(&self, change: &Change, tests: &[String]) -> Result<(Outcome, String)> {
        let mut tests = tests.to_vec();
        tests.retain(|test| !self.broken.contains(test));
        let workers = self.small.workers(&change.file, &tests);
        if tests.is_empty() || workers.is_empty() {
            return Ok((Outcome::Survived, " (no test)".to_owned()));
        }
        let file = self.tree.join(&change.file);
        let text = fs::read_to_string(&file)?;
        fs::write(&file, change.applied(&text))?;
        let said = match self.build(&workers) {
            Ok(()) => self.run(&workers, &tests, true).map(Some),
            Err(_) => Ok(None),
        };
        fs::write(&file, text)?;
        Ok(match said? {
            None => (Outcome::NotViable, String::new()),
            Some(said) => match failed(&said).next() {
                Some(test) => (Outcome::Noticed, format!(" by {test}")),
                None if said.contains("test result: ok") => {
                    (Outcome::Survived, format!(" {} tests", tests.len()))
                }
                None => (Outcome::Noticed, " (the tests did not end)".to_owned()),
            },
        })
    }

    /// Builds Workers in the copy, as fast as it goes.
    fn build(&self, workers: &[&str]) -> Result<()> {
        let builder = Builder {
            wasm: &self.wasm,
            tools: &self.tools,
            npm: &self.npm,
        };
        for folder in workers {
            let package = self.tree.join(folder);
            let mut command = builder.command_unoptimized((&package, "build", &[]));
            command
                .env("CARGO_TARGET_DIR", self.out.join("target"))
                .env("CARGO_INCREMENTAL", "1")
                .env("CARGO_PROFILE_RELEASE_LTO", "off")
                .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16")
                .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1")
                .env("CARGO_PROFILE_RELEASE_DEBUG", "0");
            let log = self.out.join("build.log");
            run::logged(&mut command, folder, &log, LIMIT)?;
        }
        Ok(())
    }

    /// Runs tests with Workers of the copy, and returns what they print.
    fn run(&self, workers: &[&str], tests: &[String], stops: bool) -> Result<String> {
        let mut command = run::command(&self.proof.program);
        command.current_dir(&self.proof.package);
        let with_paths = self.places.proof(self.root, &self.npm, &[])?;
        for (name, value) in with_paths.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        for folder in workers {
            let build = self.tree.join(folder).join("build");
            match *folder {
                "listings" => command.env("PROOF_LISTINGS", build),
                "tests/fixture" => command.env("PROOF_FIXTURE", build),
                "tests/stacks" => command.env("PROOF_STACKS", build),
                _ => command.env("PROOF_SNIPPETS", self.tree.join("listings/snippets")),
            };
        }
        command.env("PROOF_CHOSEN", tests.join("\n"));
        if stops {
            command.env("PROOF_STOPS", "1");
        }
        let log = self.out.join("tests.log");
        // All tests without a change take longer than those of one.
        let limit = if stops { LIMIT } else { 6 * LIMIT };
        // Whether a test failed is read from what the tests print.
        let _ = run::logged(&mut command, "tests", &log, limit);
        Ok(fs::read_to_string(&log)?)
    }
}

/// The failed tests in what a test runner prints.
fn failed(said: &str) -> impl Iterator<Item = &str> {
    let lines = said.lines().filter(|it| it.ends_with(" FAILED"));
    lines.filter_map(|line| line.strip_prefix("test ")?.split_whitespace().next())
}

/// Copies what git knows and does not ignore.
fn copied(root: &Path, tree: &Path) -> Result<()> {
    if tree.exists() {
        fs::remove_dir_all(tree)?;
    }
    let mut list = run::command("git");
    list.current_dir(root)
        .args(["ls-files", "--cached", "--others", "--exclude-standard"]);
    let files = run::output_of(&mut list).context("git does not list the files")?;
    for file in files.lines().filter(|it| root.join(it).is_file()) {
        copy(&root.join(file), &tree.join(file))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tests_that_failed_are_read_from_what_a_run_prints() {
        let said = "running 2 tests\ntest success::a ... ok\ntest hosts::b ... FAILED\n\
                    failures:\n    hosts::b\n";
        assert_eq!(Vec::from_iter(failed(said)), ["hosts::b"]);
        let dated = "test [2026-04-01] hosts::b ... FAILED\n";
        assert_eq!(failed(dated).count(), 1);
    }

    #[test]
    fn a_change_of_a_listing_is_tried_by_the_tests_that_ran_its_line() {
        let small = Small::read().unwrap();
        let (key, listing) = small
            .listings
            .iter()
            .find(|it| it.1.file == "listings/src/lib.rs")
            .unwrap();
        let text = read(&listing.file);
        let shown = listing.shown(&text);
        let lines = &small.measured.listings[key];
        let code = *lines.code.iter().next().unwrap();
        let at = shown[code - 1].0;
        let tests = small.tests(&Change::of_line(&listing.file, at));
        assert!(!tests.is_empty(), "{key}");
        assert_eq!(small.workers(&listing.file, &tests), ["listings"]);
        assert!(
            small
                .workers("crate/src/lib.rs", &tests)
                .contains(&"listings")
        );
        let nowhere = Change::of_line("crate/src/lib.rs", 1);
        assert!(small.tests(&nowhere).is_empty());
        let unshown = small.tests(&Change::of_line(&listing.file, 1));
        let is_of_the_whole = |test: &String| WHOLE.iter().any(|begin| test.starts_with(begin));
        assert!(unshown.iter().all(is_of_the_whole) && unshown.len() > 20);
    }
}
