//! `cargo xtask mutants`: changes the code in one place after another and looks whether a test
//! fails. A change that no test notices has survived.
//!
//! The native tests try each change first (`mutants/native.rs`). What they do not notice, and what
//! they cannot run, the proof tries in workerd (`mutants/in_workerd.rs`): a line of a listing by the
//! tests that ran it, and any other line of the example by the tests of the whole example. Of the
//! other lines it is not known which test runs them, and what only workerd could notice there is
//! not tried.
//!
//! `tests/mutants.txt` lists the known survivors, each with the reason. A change of a constant that
//! is only a bound may be listed there.

mod in_workerd;
mod native;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::ops::RangeInclusive;
use std::path::Path;

use anyhow::{Result, bail};
use serde_json::Value;

use crate::setup::Setup;
use in_workerd::{InWorkerd, Outcome, Small};
use native::Native;

/// The known survivors. Each line has the change, a tab and the reason.
const KNOWN: &str = "tests/mutants.txt";

/// The arguments of `cargo xtask mutants`.
#[derive(clap::Args)]
pub struct Options {
    /// Only files whose path has one of these texts, such as `src/wire` or `baggage.rs`.
    parts: Vec<String>,
    /// Only lines that differ from this commit or branch, such as `main`.
    #[arg(long)]
    changed: Option<String>,
    /// Only in workerd, also what a native test would notice: whether a test under each caption
    /// notices.
    #[arg(long)]
    in_workerd: bool,
}

/// A change of the code, as `cargo-mutants` lists it.
#[derive(Clone, Debug)]
struct Change {
    name: String,
    file: String,
    start: Position,
    end: Position,
    /// The text that stands there instead.
    replacement: String,
}

/// Both count from 1.
#[derive(Clone, Copy, Debug)]
struct Position {
    line: usize,
    column: usize,
}

impl Change {
    /// One of the entries of the list.
    fn parsed(listed: &Value) -> Option<Self> {
        let text = |name: &str| listed[name].as_str().map(ToOwned::to_owned);
        let position = |name: &str| {
            let number = |part: &str| {
                let number = listed["span"][name][part].as_u64()?;
                usize::try_from(number).ok()
            };
            Some(Position {
                line: number("line")?,
                column: number("column")?,
            })
        };
        Some(Self {
            name: text("name")?,
            file: text("file")?,
            start: position("start")?,
            end: position("end")?,
            replacement: text("replacement")?,
        })
    }

    /// The changed lines.
    fn lines(&self) -> RangeInclusive<usize> {
        self.start.line..=self.end.line
    }

    /// A file's text with this change.
    fn applied(&self, text: &str) -> String {
        let (start, end) = (self.start.byte_in(text), self.end.byte_in(text));
        [&text[..start], &self.replacement, &text[end..]].concat()
    }

    #[cfg(test)]
    fn of_line(file: &str, line: usize) -> Self {
        let position = Position { line, column: 1 };
        Self {
            name: format!("{file}:{line}:1: a change"),
            file: file.to_owned(),
            start: position,
            end: position,
            replacement: String::new(),
        }
    }
}

impl Position {
    fn byte_in(self, text: &str) -> usize {
        let lines = text.split_inclusive('\n');
        let before: usize = lines.take(self.line - 1).map(str::len).sum();
        let mut columns = text[before..].char_indices().skip(self.column - 1);
        before + columns.next().map_or(text.len() - before, |it| it.0)
    }
}

/// `cargo xtask mutants`.
pub fn mutants(root: &Path, options: &Options) -> Result<()> {
    let setup = Setup::new(root)?;
    let tools = setup.mutants_tools()?;
    let known = Known::read(root)?;
    let out = root.join("target/mutants");
    fs::create_dir_all(&out)?;
    let native = Native::new(root, &tools, &out, options)?;
    let changes = native.changes()?;
    eprintln!("{} changes", changes.len());
    let mut seen = Seen::default();
    if !options.in_workerd {
        native.test(&mut seen)?;
    }
    let small = Small::read()?;
    let left = changes.iter().filter(|change| {
        options.in_workerd
            || seen.survived.contains(&change.name)
            || !native::is_native(&change.file)
    });
    let (left, unseen): (Vec<_>, Vec<_>) = left
        .map(|change| (change, small.tests(change)))
        .partition(|(_, tests)| !tests.is_empty());
    if !left.is_empty() {
        eprintln!("\n== in workerd: {} changes", left.len());
        let mut in_workerd = InWorkerd::new(root, &setup, &out.join("in-workerd"), &small)?;
        in_workerd.test(&left, |change, outcome| seen.note(&change.name, outcome))?;
    }
    // What survived the native tests is told as a survivor.
    let untried = unseen
        .iter()
        .filter(|(change, _)| !seen.survived.contains(&change.name));
    match untried.count() {
        0 => {}
        count => println!(
            "NOT CHECKED: {count} changes of lines that no test in workerd is known to run"
        ),
    }
    seen.judge(&known)
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
    /// Adds the outcomes of a run of `cargo-mutants`, and returns how many changes survived it.
    fn add(&mut self, outcomes: &Value) -> usize {
        let mut survivors = 0;
        for outcome in outcomes["outcomes"].as_array().into_iter().flatten() {
            let Some(name) = outcome["scenario"]["Mutant"]["name"].as_str() else {
                continue;
            };
            let outcome = match outcome["summary"].as_str() {
                Some("MissedMutant") => Outcome::Survived,
                Some("CaughtMutant" | "Timeout") => Outcome::Noticed,
                _ => Outcome::NotViable,
            };
            survivors += usize::from(outcome == Outcome::Survived);
            self.note(name, outcome);
        }
        survivors
    }

    /// Adds an outcome. A later one, of more tests, takes the place of an earlier one.
    fn note(&mut self, name: &str, outcome: Outcome) {
        match outcome {
            Outcome::Survived => {
                self.survived.insert(name.to_owned());
            }
            Outcome::Noticed => {
                self.survived.remove(name);
                self.caught.insert(name.to_owned());
            }
            Outcome::NotViable => {}
        }
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
    fn a_change_is_made_between_its_positions_also_behind_wide_letters() {
        let text = "fn a() {\n    é + b\n}\n";
        let at = |line, column| Position { line, column };
        let of = |start, end, replacement: &str| Change {
            start,
            end,
            replacement: replacement.to_owned(),
            ..Change::of_line("a.rs", 2)
        };
        let minus = of(at(2, 7), at(2, 8), "-");
        assert_eq!(minus.applied(text), "fn a() {\n    é - b\n}\n");
        assert_eq!(minus.lines(), 2..=2);
        let whole = of(at(1, 1), at(3, 2), "");
        assert_eq!(whole.applied(text), "\n");
        assert_eq!(of(at(3, 2), at(4, 1), "").applied(text), text.trim_end());
    }

    #[test]
    fn a_change_is_read_from_the_list_of_cargo_mutants() {
        let listed = json!({
            "name": "a.rs:2:7: replace + with -", "file": "a.rs", "replacement": "-",
            "span": {"start": {"line": 2, "column": 7}, "end": {"line": 2, "column": 8}},
        });
        let change = Change::parsed(&listed).unwrap();
        assert_eq!(
            change.applied("fn a() {\n    a + b\n}"),
            "fn a() {\n    a - b\n}"
        );
        assert!(Change::parsed(&json!({"name": "a"})).is_none());
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
