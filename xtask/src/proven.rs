//! What the tests proved: the record of a run, and which of its tests prove a
//! listing.
//!
//! `cargo xtask test` writes down what each test exercised and compares it with
//! `tests/proven.json`, which is committed so that the book can be rendered
//! without running anything. Nothing in that file is typed in. A native test
//! exercises the file it is in. A test in the real runtime notes what it used, as
//! it uses it:
//!
//! - `worker NAME`, `deploy NAME`: a Worker that ran or was bundled;
//! - `drill HOST/HANDLER`, `drills off`: a drill that was answered;
//! - `request /FOLDER`: where a request went;
//! - `event CLASS.HANDLER`: a report that it waited for and got;
//! - `line TEXT`: a line of the crate's that it waited for and got;
//! - `command LINE`: a line of a page that it ran.

mod listing;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::book_checks::{self, Fence, Listing, rust_blocks};
use listing::Sources;

/// The committed record.
const FILE: &str = "tests/proven.json";
const RECORDING: &str = "WORKER_SENTRY_RECORDING";
/// The variable that lets the pages be ahead of the record, while somebody writes
/// them or makes it anew.
pub const AHEAD: (&str, &str) = (RECORDING, "1");
/// The packages whose files are shown, and where the files are.
const PACKAGES: [(&str, &str); 3] = [
    ("crate", "crate/src"),
    ("laboratory", "crate/laboratory/src"),
    ("listings", "listings/src"),
];
/// The package whose tests are the Rust blocks of the pages.
const PAGES: &str = "pages";

/// Tests by what they ran on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// The names of the native tests of each package.
    pub native: BTreeMap<String, BTreeSet<String>>,
    /// What each test in the real runtime used.
    pub runtime: BTreeMap<String, BTreeSet<String>>,
}

/// A part of the record, and the stage that makes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// What `cargo test` runs.
    Native,
    /// What runs in workerd.
    Runtime,
}

/// The tests that prove a listing, most specific first.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Proof {
    /// Those that need Rust and nothing else.
    pub native: Vec<String>,
    /// Those that ran in workerd.
    pub runtime: Vec<String>,
}

impl Proof {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.native.is_empty() && self.runtime.is_empty()
    }
}

/// The record, and the sources that say what it means.
pub struct Proven {
    record: Record,
    sources: Sources,
    recording: bool,
}

impl Proven {
    /// Reads the committed record.
    pub fn load(root: &Path) -> Result<Self> {
        let recording = std::env::var_os(RECORDING).is_some();
        Ok(Self {
            record: Record::read(&root.join(FILE)).or_else(|error| {
                let none = || Ok(Record::default());
                if recording { none() } else { Err(error) }
            })?,
            sources: Sources::read(),
            recording,
        })
    }

    /// A record of few tests, for the tests of the checks.
    #[cfg(test)]
    pub fn of_a_test() -> Self {
        let used = |list: &[&str]| list.iter().map(|it| (*it).to_owned()).collect();
        let runtime = [
            (
                "pages::a_test",
                used(&[
                    "command npx wrangler dev",
                    "command curl -X POST 'http://localhost:8787/drill/main/fetch?marker=a'",
                ]),
            ),
            ("alarm::step_1_guard_a_test", used(&["worker listings"])),
        ];
        let mut proven = Self::load(&crate::root()).unwrap();
        let block = test_of_block("test.md", &["fn main() {}"]);
        proven.record.native = [(PAGES.to_owned(), used(&[&block]))].into();
        proven.record.runtime = runtime.map(|(test, used)| (test.to_owned(), used)).into();
        proven.recording = false;
        proven
    }

    /// Whether the pages may show what is not in the record yet.
    pub fn is_ahead(&self) -> bool {
        self.recording
    }

    /// The same record, for pages that may not.
    pub fn strict(self) -> Self {
        Self {
            recording: false,
            ..self
        }
    }

    /// The test of Rust that is written into a page.
    pub fn of_written(&self, page: &str, fence: &Fence<'_>) -> Proof {
        let test = test_of_block(page, &fence.body);
        let native = self.has_test_of_page(&test).then_some(test);
        Proof {
            native: native.into_iter().collect(),
            runtime: Vec::new(),
        }
    }

    /// Whether a test ran this line of a page.
    pub fn ran(&self, line: &str) -> bool {
        let command = format!("command {line}");
        let mut tests = self.record.runtime.values();
        tests.any(|used| used.contains(&command))
    }

    /// Whether the block of a page with this test ran.
    pub fn has_test_of_page(&self, test: &str) -> bool {
        let tests = self.record.native.get(PAGES);
        tests.is_some_and(|tests| tests.contains(test))
    }

    /// The tests that prove a listing.
    pub fn of(&self, listing: &Listing) -> Proof {
        listing::proof(&self.record, &self.sources, listing)
    }
}

/// The name that `skeptic` gives to the test of a block of a page, without the line.
pub fn test_of_block(page: &str, body: &[&str]) -> String {
    format!(
        "{}_sect_{}",
        rust_blocks::module(page),
        rust_blocks::key(body)
    )
}

/// The same from the test's whole name, if it is of a block.
fn block_of_test(test: &str) -> Option<&str> {
    let (block, line) = test.strip_prefix("blocks::")?.rsplit_once("_line_")?;
    line.parse::<usize>().is_ok().then_some(block)
}

impl Record {
    fn read(file: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(file)
            .with_context(|| format!("cannot read {}", file.display()))?;
        Self::parsed(&text).with_context(|| format!("{} is no record", file.display()))
    }

    fn parsed(text: &str) -> Result<Self> {
        let value: Value = serde_json::from_str(text)?;
        let part = |name: &str| lists(&value[name]).context(name.to_owned());
        Ok(Self {
            native: part("native")?,
            runtime: part("runtime")?,
        })
    }

    /// One line for each test, in order, so that two branches that add tests can be
    /// merged.
    fn written(&self) -> String {
        let quoted = |text: &str| Value::from(text).to_string();
        let native = self.native.iter().map(|(package, tests)| {
            let tests = tests.iter().map(|test| format!("      {}", quoted(test)));
            let tests = Vec::from_iter(tests).join(",\n");
            format!("    {}: [\n{tests}\n    ]", quoted(package))
        });
        let runtime = self.runtime.iter().map(|(test, used)| {
            let used = Vec::from_iter(used.iter().map(|used| quoted(used)));
            format!("    {}: [{}]", quoted(test), used.join(", "))
        });
        format!(
            "{{\n  \"native\": {{\n{}\n  }},\n  \"runtime\": {{\n{}\n  }}\n}}\n",
            Vec::from_iter(native).join(",\n"),
            Vec::from_iter(runtime).join(",\n")
        )
    }

    fn part(&self, part: Part) -> &BTreeMap<String, BTreeSet<String>> {
        match part {
            Part::Native => &self.native,
            Part::Runtime => &self.runtime,
        }
    }

    /// The record of the tests in the real runtime, as the proof wrote it.
    pub fn of_runtime(text: &str) -> Result<Self> {
        let runtime = lists(&serde_json::from_str(text)?)?;
        Ok(Self {
            runtime,
            ..Self::default()
        })
    }

    /// The record of native tests, from what `cargo test` printed.
    pub fn of_native(output: &str) -> Self {
        let sources = Sources::read();
        let mut native: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for test in output.lines().filter_map(passed) {
            if let Some((package, name)) = sources.package_of(test) {
                native.entry(package).or_default().insert(name);
            }
        }
        Self {
            native,
            ..Self::default()
        }
    }
}

fn lists(value: &Value) -> Result<BTreeMap<String, BTreeSet<String>>> {
    let map = value.as_object().context("not an object")?;
    let lists = map.iter().map(|(name, list)| {
        let list = list.as_array().context("not a list")?;
        let texts = list.iter().map(|it| Some(it.as_str()?.to_owned()));
        let texts: Option<BTreeSet<String>> = texts.collect();
        Ok((name.clone(), texts.context("not a text")?))
    });
    lists.collect()
}

/// The name in a line of a test that passed.
fn passed(line: &str) -> Option<&str> {
    let name = line.strip_prefix("test ")?.strip_suffix(" ... ok")?;
    Some(
        name.trim_end_matches(" - should panic")
            .trim_end_matches(" - compile"),
    )
}

/// Compares what a run saw with the committed record, or writes it there.
pub fn settle(root: &Path, part: Part, seen: &Record, write: bool) -> Result<()> {
    let file = root.join(FILE);
    let committed = Record::read(&file);
    if write {
        let mut record = committed.unwrap_or_default();
        match part {
            Part::Native => record.native.clone_from(&seen.native),
            Part::Runtime => record.runtime.clone_from(&seen.runtime),
        }
        return std::fs::write(&file, record.written())
            .with_context(|| format!("cannot write {}", file.display()));
    }
    let differences = differences(committed?.part(part), seen.part(part));
    if differences.is_empty() {
        return Ok(());
    }
    bail!(
        "{FILE} is not what this run saw:\n  {}\nThe book shows what is in that file. Write what \
         a run sees with:\n  cargo xtask test --record",
        differences.join("\n  ")
    )
}

/// What is only in the record, and what only this run saw.
fn differences(
    committed: &BTreeMap<String, BTreeSet<String>>,
    seen: &BTreeMap<String, BTreeSet<String>>,
) -> Vec<String> {
    let names: BTreeSet<&String> = committed.keys().chain(seen.keys()).collect();
    let mut differences = Vec::new();
    for name in names {
        match (committed.get(name), seen.get(name)) {
            (Some(_), None) => differences.push(format!("{name}: did not pass in this run")),
            (None, Some(_)) => differences.push(format!("{name}: is not in the record")),
            (Some(one), Some(other)) => {
                let gone = one.difference(other).map(|it| format!("{name}: no `{it}`"));
                let new = other.difference(one);
                let new = new.map(|it| format!("{name}: `{it}` is not in the record"));
                differences.extend(gone.chain(new));
            }
            (None, None) => {}
        }
    }
    differences
}

/// A file of the book's packages: the package and the module.
fn modules() -> Vec<(&'static str, String, String)> {
    let mut modules = Vec::new();
    for (package, folder) in PACKAGES {
        let folder = crate::root().join(folder);
        for file in book_checks::files_below(&folder, "rs") {
            let inside = file.strip_prefix(&folder).expect("a file of the folder");
            let module = crate::html::link(inside);
            let module = module.trim_end_matches(".rs").replace('/', "::");
            let module = module.trim_end_matches("::mod").to_owned();
            let below = file.strip_prefix(crate::root()).expect("below the root");
            modules.push((package, crate::html::link(below), module));
        }
    }
    modules
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &[&str])]) -> BTreeMap<String, BTreeSet<String>> {
        let set = |list: &[&str]| list.iter().map(|it| (*it).to_owned()).collect();
        let pairs = pairs
            .iter()
            .map(|(name, list)| ((*name).to_owned(), set(list)));
        pairs.collect()
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let record = Record {
            native: map(&[("crate", &["a::tests::b", "a::tests::c"])]),
            runtime: map(&[
                ("x::y", &["drill a/b", "command curl \"-d\" x"]),
                ("x::z", &[]),
            ]),
        };
        assert_eq!(Record::parsed(&record.written()).unwrap(), record);
    }

    #[test]
    fn a_test_and_what_it_used_are_missed_on_either_side() {
        let committed = map(&[("a", &["drill x/y"]), ("b", &[])]);
        assert_eq!(differences(&committed, &committed), [""; 0]);
        let seen = map(&[("a", &["drill x/z"]), ("c", &[])]);
        assert_eq!(
            differences(&committed, &seen),
            [
                "a: no `drill x/y`",
                "a: `drill x/z` is not in the record",
                "b: did not pass in this run",
                "c: is not in the record",
            ]
        );
    }

    #[test]
    fn only_a_test_that_passed_is_recorded() {
        assert_eq!(passed("test a::b ... ok"), Some("a::b"));
        assert_eq!(passed("test a::b - should panic ... ok"), Some("a::b"));
        assert_eq!(passed("test a::b ... FAILED"), None);
        assert_eq!(passed("test a::b ... ignored"), None);
        assert_eq!(passed("test result: ok. 1 passed"), None);
    }

    #[test]
    fn a_native_test_belongs_to_the_package_that_has_its_file() {
        let output = "\
            running 3 tests\n\
            test rate_limit::tests::a_test_that_is_not_there ... ok\n\
            test serve::tests::a_request_never_leaves_the_book ... ok\n\
            test crate/src/lib.rs - capture_exception_in_isolate (line 63) - compile ... ok\n";
        let record = Record::of_native(output);
        let expected = map(&[(
            "crate",
            &["crate/src/lib.rs - capture_exception_in_isolate"],
        )]);
        assert_eq!(record.native, expected);
        let block = "test blocks::index_sect_block_0a_line_7 ... ok\n";
        let expected = map(&[("pages", &["index_sect_block_0a"])]);
        assert_eq!(Record::of_native(block).native, expected);
    }
}
