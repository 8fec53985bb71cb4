//! The tests that passed, from the record of a run, and which of them prove a listing.
//!
//! `cargo xtask test` finds out which tests passed, and what each test in the real runtime used,
//! and compares both with `tests/proven.json`. That file is committed, so that the book can be
//! rendered without running a test; nobody edits it. A test in the real runtime notes each thing
//! when it uses it:
//!
//! - `worker NAME`, `deploy NAME`: a Worker that ran or was bundled;
//! - `drill HOST/HANDLER`, `drills off`: a drill that was answered;
//! - `request /FOLDER`: the first part of a requested path;
//! - `event CLASS.HANDLER`: a report that the test waited for and received;
//! - `line TEXT`: a line of the crate that the test waited for and received;
//! - `command LINE`: a line of a page that the test ran;
//! - `file PATH`: a workflow whose commands the test read or ran.
//!
//! `measured.rs` has which lines of a listing a test ran.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::chapter::{Chapter, Fence};
use crate::files::{files_below, link, read, root};
use crate::listing::{Listing, shown};
use crate::measured::{self, Lines, Measured, Numbers, ranges};

/// The committed record.
const FILE: &str = "tests/proven.json";
const RECORDING: &str = "WORKER_SENTRY_RECORDING";
/// The variable that lets the pages show what the record does not have yet, while somebody writes a
/// page or makes the record anew.
pub const AHEAD: (&str, &str) = (RECORDING, "1");
/// The packages whose files the book shows, and the folders of these files.
const PACKAGES: [(&str, &str); 3] = [
    ("crate", "crate/src"),
    ("laboratory", "crate/laboratory/src"),
    ("listings", "listings/src"),
];
/// The package whose tests are the Rust blocks of the pages.
const PAGES: &str = "pages";

/// A set of things for each name.
pub type Used = BTreeMap<String, BTreeSet<String>>;

/// Tests, grouped by what they ran on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// The names of the native tests of each package.
    pub native: Used,
    /// What each test in the real runtime used.
    pub runtime: Used,
}

/// A part of the record, which one stage makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The tests that `cargo test` runs.
    Native,
    /// The tests that run in workerd.
    Runtime,
}

/// The largest number of tests that the book names below a listing.
const MOST: usize = 6;

/// The tests that prove a listing, sorted: the tests that ran most of its lines come first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proof {
    /// A few of the tests that need only Rust.
    pub native: Vec<String>,
    /// A few of the tests that ran in workerd.
    pub runtime: Vec<String>,
    /// The number of all tests, named here or not.
    pub count: usize,
    /// The file of the site that says which test ran which line.
    pub file: String,
    /// Why no test ran the listing, or which lines no test ran and why.
    pub note: String,
}

impl Proof {
    /// Whether there is nothing to say.
    pub fn is_empty(&self) -> bool {
        self.count == 0 && self.note.is_empty()
    }

    /// The proof as a text that [`Proof::parsed`] reads.
    pub fn written(&self) -> Value {
        let Self {
            native,
            runtime,
            count,
            file,
            note,
        } = self;
        json!([native, runtime, count, file, note])
    }

    /// The proof that such a text describes.
    pub fn parsed(text: &str) -> Result<Self> {
        let (native, runtime, count, file, note) = serde_json::from_str(text)?;
        Ok(Self {
            native,
            runtime,
            count,
            file,
            note,
        })
    }

    /// A proof by these tests.
    fn named(native: Vec<String>, runtime: Vec<String>) -> Self {
        let count = native.len() + runtime.len();
        let (native, runtime) = fewer(native, runtime);
        Self {
            native,
            runtime,
            count,
            ..Self::default()
        }
    }
}

/// At most [`MOST`] tests, of both kinds.
fn fewer<T>(mut native: Vec<T>, mut runtime: Vec<T>) -> (Vec<T>, Vec<T>) {
    native.truncate(MOST - runtime.len().min(MOST / 2));
    runtime.truncate(MOST - native.len());
    (native, runtime)
}

/// The record, and the sources that give its names their meaning.
pub struct Proven {
    record: Record,
    measured: Measured,
    /// The sources, read when they are first needed.
    sources: OnceCell<Vec<Source>>,
    recording: bool,
}

impl Proven {
    /// Reads the committed record.
    pub fn load() -> Result<Self> {
        let recording = std::env::var_os(RECORDING).is_some();
        Ok(Self {
            record: Record::read().or_else(|error| {
                let none = || Ok(Record::default());
                if recording { none() } else { Err(error) }
            })?,
            measured: Measured::read().or_else(|error| {
                let none = || Ok(Measured::default());
                if recording { none() } else { Err(error) }
            })?,
            sources: OnceCell::new(),
            recording,
        })
    }

    /// A small record, for the tests of the checks.
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
        let mut proven = Self::load().unwrap();
        let page = crate::chapter::chapter("```rust\nfn main() {}\n```\n");
        let block = page.test_of(&page.fences()[0]);
        proven.record.native = [(PAGES.to_owned(), used(&[&block]))].into();
        proven.record.runtime = runtime.map(|(test, used)| (test.to_owned(), used)).into();
        // The listing of the guard, which this test ran.
        let text = read("crate/src/steps/guard.rs");
        let shown = shown(&text, "guard");
        let all: Numbers = [1, 2].into();
        let lines = Lines {
            text: measured::text_of(&shown),
            code: all.clone(),
            ran: [(all, [0].into())].into(),
        };
        proven.measured = Measured {
            native: Vec::new(),
            runtime: vec!["alarm::step_1_guard_a_test".to_owned()],
            listings: [("crate/src/steps/guard.rs:guard".to_owned(), lines)].into(),
        };
        proven.recording = false;
        proven
    }

    /// Whether the pages may show what the record does not have yet.
    pub fn is_ahead(&self) -> bool {
        self.recording
    }

    /// The same record, for pages that may show only what the record has.
    pub fn strict(self) -> Self {
        Self {
            recording: false,
            ..self
        }
    }

    /// The test of Rust that is written into a page.
    pub fn of_written(&self, page: &Chapter, fence: &Fence<'_>) -> Proof {
        let test = page.test_of(fence);
        let native = self.has_test_of_page(&test).then_some(test);
        Proof::named(native.into_iter().collect(), Vec::new())
    }

    /// Whether a test ran this line of a page.
    pub fn ran(&self, line: &str) -> bool {
        let command = format!("command {line}");
        let mut tests = self.record.runtime.values();
        tests.any(|used| used.contains(&command))
    }

    /// Whether this test of a page's block ran.
    pub fn has_test_of_page(&self, test: &str) -> bool {
        let tests = self.record.native.get(PAGES);
        tests.is_some_and(|tests| tests.contains(test))
    }

    /// The tests that prove a listing. `reason` is what the page says about lines that no test
    /// runs.
    pub fn of(&self, listing: &Listing, reason: Option<&str>) -> Proof {
        let measured = self.lines(listing);
        let Some((key, lines)) = measured.ok() else {
            return match is_rust(listing) {
                true => Proof::default(),
                false => self.of_other(listing),
            };
        };
        if lines.code.is_empty() {
            let note = match reason {
                Some(reason) => format!("No line of it is measured. {reason}"),
                None => "Declarations only: nothing in it runs.".to_owned(),
            };
            return Proof {
                note,
                ..Proof::default()
            };
        }
        let mut tests = self.tests(lines);
        // The tests that ran most lines of the listing come first; among equals, those that ran
        // fewest other listings.
        tests.sort_by_key(|(test, ran)| (usize::MAX - ran.len(), self.measured.breadth(*test)));
        let count = tests.len();
        let of = |wanted: bool| {
            let named = tests.iter().filter_map(|(test, _)| {
                let (name, is_runtime) = self.measured.test(*test)?;
                let name = name.split_once(' ').map_or(name, |it| it.1);
                (is_runtime == wanted).then(|| name.to_owned())
            });
            Vec::from_iter(named)
        };
        let (native, runtime) = fewer(of(false), of(true));
        let unrun = lines.unrun(|test| self.counts(test));
        let note = match reason {
            Some(reason) if !unrun.is_empty() => {
                let line = if unrun.len() == 1 { "line" } else { "lines" };
                format!("No test runs {line} {}. {reason}", ranges(&unrun, "–"))
            }
            _ => String::new(),
        };
        Proof {
            native,
            runtime,
            count,
            file: file_of(&key),
            note,
        }
    }

    /// What is wrong with the proof of a listing. `reason` is what the page says about lines that
    /// no test runs.
    pub fn wrong(&self, listing: &Listing, reason: Option<&str>) -> Option<String> {
        let name = listing.key();
        if !is_rust(listing) {
            return self
                .of_other(listing)
                .is_empty()
                .then(|| format!("no test proves {name}"));
        }
        let (_, lines) = match self.lines(listing) {
            Ok(found) => found,
            Err(what) => return Some(format!("{name} {what}: cargo xtask coverage")),
        };
        let unrun = lines.unrun(|test| self.counts(test));
        if lines.code.is_empty() && has_function(listing) {
            let what = format!("no line of {name} is measured, and it has a function");
            return reason.is_none().then_some(what);
        }
        match (unrun.is_empty(), reason) {
            (true, None) | (false, Some(_)) => None,
            (false, None) => Some(format!(
                "no test runs {} of {name}, of its lines that hold code",
                ranges(&unrun, "-")
            )),
            (true, Some(_)) => Some(format!("a test runs each line of {name}")),
        }
    }

    /// The measurement of a listing, if the listing's text is still the measured one.
    fn lines(&self, listing: &Listing) -> std::result::Result<(String, &Lines), &'static str> {
        let key = listing.key();
        let lines = self
            .measured
            .listings
            .get(&key)
            .ok_or("was never measured")?;
        match is_current(&key, lines) {
            true => Ok((key, lines)),
            false => Err("has changed since it was measured"),
        }
    }

    /// The tests that ran at least one of these lines, each with the lines that it ran.
    fn tests<'m>(&self, lines: &'m Lines) -> Vec<(usize, &'m Numbers)> {
        let tests = lines.ran.iter();
        let tests = tests.flat_map(|(ran, tests)| tests.iter().map(move |test| (*test, ran)));
        tests.filter(|(test, _)| self.counts(*test)).collect()
    }

    /// Whether a measured test still exists: it passed in the recorded run, or it is newer than
    /// that record, which is made at another time than the measurement.
    fn counts(&self, test: usize) -> bool {
        match self.measured.test(test) {
            Some((name, true)) => self.record.runtime.contains_key(name),
            Some((name, false)) => {
                let (package, name) = name.split_once(' ').unwrap_or(("", name));
                let tests = self.record.native.get(package);
                // The record has only the packages that the book shows.
                let stands = || {
                    let sources = self.sources.get_or_init(sources);
                    package_of(sources, name).is_some_and(|found| found.0 == package)
                };
                tests.is_none_or(|tests| tests.contains(name) || stands())
            }
            None => false,
        }
    }

    /// The tests of a listing that is not Rust. A configuration: the tests that ran or bundled its
    /// Worker. A workflow: the tests that read it. JavaScript has no counters, so its tests are
    /// those of the Rust function that calls it.
    fn of_other(&self, listing: &Listing) -> Proof {
        if let Some(module) = listing.file.strip_suffix(".js") {
            let caller = Listing {
                file: format!("{module}.rs"),
                anchor: listing.anchor.clone(),
            };
            return self.of(&caller, None);
        }
        let with = |used: String| -> Vec<String> {
            let tests = self.record.runtime.iter();
            let tests = tests.filter(|(_, it)| it.contains(&used));
            tests.map(|(test, _)| test.clone()).collect()
        };
        if listing.file.ends_with(".yaml") {
            return Proof::named(Vec::new(), with(format!("file {}", listing.file)));
        }
        let path: Vec<&str> = listing.file.split('/').collect();
        let worker = match path.as_slice() {
            ["listings", "snippets", name, _] => format!("snippet {name}"),
            [.., folder, _] => (*folder).to_owned(),
            _ => return Proof::default(),
        };
        let used = |what: &str| with(format!("{what} {worker}"));
        let (mut tests, ran) = (used("deploy"), used("worker"));
        tests.extend(
            ran.into_iter()
                .filter(|test| !tests.contains(test))
                .collect::<Vec<_>>(),
        );
        Proof::named(Vec::new(), tests)
    }

    /// The files of the site that say which test ran which line, each with its text.
    pub fn files(&self) -> Vec<(String, String)> {
        let listings = self.measured.listings.iter();
        let files =
            listings.filter(|(key, lines)| !lines.code.is_empty() && is_current(key, lines));
        files
            .map(|(key, lines)| (file_of(key), self.told(key, lines)))
            .collect()
    }

    fn told(&self, key: &str, lines: &Lines) -> String {
        let (file, anchor) = key.rsplit_once(':').unwrap_or((key, ""));
        let mut text = format!("{file}, listing {anchor}\n\nTests that ran each line:\n\n");
        let tests = self.tests(lines);
        let source = read(file);
        for (index, (_, line)) in shown(&source, anchor).iter().enumerate() {
            let number = index + 1;
            let count = tests
                .iter()
                .filter(|(_, ran)| ran.contains(&number))
                .count();
            let count = match lines.code.contains(&number) {
                true => count.to_string(),
                false => String::new(),
            };
            text += format!("{number:>4} {count:>5} | {line}").trim_end();
            text.push('\n');
        }
        text += "\nLines that each test ran:\n";
        for (ran, tests) in &lines.ran {
            let names = tests.iter().filter(|test| self.counts(**test));
            let mut names = names
                .filter_map(|test| self.measured.test(*test))
                .peekable();
            if names.peek().is_some() {
                text += &format!("\n{}\n", ranges(ran, "-"));
            }
            for (name, is_runtime) in names {
                let name = name.split_once(' ').map_or(name, |it| it.1);
                let place = if is_runtime { "workerd" } else { "native" };
                text += &format!("    {place:<8} {name}\n");
            }
        }
        text
    }
}

/// Whether the listing still has the text that was measured.
fn is_current(key: &str, lines: &Lines) -> bool {
    let (file, anchor) = key.rsplit_once(':').unwrap_or((key, ""));
    let text = std::fs::read_to_string(root().join(file)).unwrap_or_default();
    measured::text_of(&shown(&text, anchor)) == lines.text
}

/// Whether the listing's source contains a function.
fn has_function(listing: &Listing) -> bool {
    let text = read(&listing.file);
    let shown = shown(&text, &listing.anchor);
    let mut lines = shown.iter().map(|(_, line)| line.trim());
    lines.any(|line| !line.starts_with("//") && line.contains("fn ") && line.contains('('))
}

fn is_rust(listing: &Listing) -> bool {
    listing.file.ends_with(".rs")
}

/// The file of the site that says which test ran which line of a listing.
fn file_of(key: &str) -> String {
    format!("lines/{}.txt", key.replace(['/', ':'], "-"))
}

/// A native test in the record, from the folder of its package: `crate a::b`.
pub fn native_name(folder: &Path, test: &str) -> String {
    let source = link(&folder.join("src"));
    let package = PACKAGES.iter().find(|it| it.1 == source).map(|it| it.0);
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    format!("{} {test}", package.unwrap_or(&name))
}

/// The name of a block's test without the line number; nothing for other tests.
fn block_of_test(test: &str) -> Option<&str> {
    let (block, line) = test.strip_prefix("blocks::")?.rsplit_once("_line_")?;
    line.parse::<usize>().is_ok().then_some(block)
}

impl Record {
    /// Reads the committed record.
    pub fn read() -> Result<Self> {
        let text = std::fs::read_to_string(root().join(FILE))
            .with_context(|| format!("cannot read {FILE}"))?;
        Self::parsed(&text).with_context(|| {
            format!("{FILE} cannot be read: make it with `cargo xtask test --record`")
        })
    }

    fn parsed(text: &str) -> Result<Self> {
        let mut parts: BTreeMap<String, Used> = serde_json::from_str(text)?;
        let mut part = |name: &str| parts.remove(name).context(name.to_owned());
        Ok(Self {
            native: part("native")?,
            runtime: part("runtime")?,
        })
    }

    /// The record as text, one line for each test and sorted, so that git can merge two branches
    /// that both add tests.
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

    fn part(&self, part: Part) -> &Used {
        match part {
            Part::Native => &self.native,
            Part::Runtime => &self.runtime,
        }
    }

    /// The record of the tests in the real runtime, as the proof wrote it.
    pub fn of_runtime(text: &str) -> Result<Self> {
        Ok(Self {
            runtime: serde_json::from_str(text)?,
            ..Self::default()
        })
    }

    /// The record of native tests, from what `cargo test` printed.
    pub fn of_native(output: &str) -> Self {
        let sources = sources();
        let mut native: Used = BTreeMap::new();
        for test in output.lines().filter_map(passed) {
            if let Some((package, name)) = package_of(&sources, test) {
                native.entry(package).or_default().insert(name);
            }
        }
        Self {
            native,
            ..Self::default()
        }
    }
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
pub fn settle(part: Part, seen: &Record, write: bool) -> Result<()> {
    let committed = Record::read();
    if write {
        let mut record = committed.unwrap_or_default();
        match part {
            Part::Native => record.native.clone_from(&seen.native),
            Part::Runtime => record.runtime.clone_from(&seen.runtime),
        }
        return std::fs::write(root().join(FILE), record.written())
            .with_context(|| format!("cannot write {FILE}"));
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

/// What only the record has, and what only this run saw.
fn differences(committed: &Used, seen: &Used) -> Vec<String> {
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

/// A source file of a package that the book shows.
struct Source {
    package: &'static str,
    path: String,
    module: String,
    text: String,
}

fn sources() -> Vec<Source> {
    let mut sources = Vec::new();
    for (package, folder) in PACKAGES {
        let folder = root().join(folder);
        for file in files_below(&folder, "rs") {
            let inside = file.strip_prefix(&folder).expect("a file of the folder");
            let module = link(inside);
            let module = module.trim_end_matches(".rs").replace('/', "::");
            let module = module.trim_end_matches("::mod").to_owned();
            let below = file.strip_prefix(root()).expect("below the root");
            let path = link(below);
            let text = read(&path);
            sources.push(Source {
                package,
                path,
                module,
                text,
            });
        }
    }
    sources
}

/// The package of a native test, and the test's name without the line number, which every change to
/// the file may move.
fn package_of(sources: &[Source], test: &str) -> Option<(String, String)> {
    // Some names have a place in a file, such as `a.rs - item (line 63)`.
    let lasting = test.split(" (line ").next().unwrap_or(test);
    if let Some((path, _)) = test.split_once(" - ") {
        let file = sources.iter().find(|file| file.path == path)?;
        return Some((file.package.to_owned(), lasting.to_owned()));
    }
    if let Some(block) = block_of_test(test) {
        return Some((PAGES.to_owned(), block.to_owned()));
    }
    let (module, name) = test.rsplit_once("::").unwrap_or(("", test));
    let module = module.trim_end_matches("tests").trim_end_matches("::");
    let module = if module.is_empty() { "lib" } else { module };
    let function = format!("fn {name}(");
    let file = sources
        .iter()
        .find(|file| file.module == module && file.text.contains(&function))?;
    Some((file.package.to_owned(), test.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &[&str])]) -> Used {
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

    fn guard() -> Listing {
        Listing {
            file: "crate/src/steps/guard.rs".to_owned(),
            anchor: "guard".to_owned(),
        }
    }

    fn lines_of(proven: &mut Proven) -> &mut Lines {
        let measured = proven.measured.listings.get_mut(&guard().key());
        measured.unwrap()
    }

    #[test]
    fn each_line_of_a_listing_is_run_by_a_test_that_passed_or_the_page_says_why() {
        let mut proven = Proven::of_a_test();
        assert_eq!(proven.wrong(&guard(), None), None);
        let needless = proven.wrong(&guard(), Some("Why."));
        assert!(needless.unwrap().starts_with("a test runs each line"));
        lines_of(&mut proven).code.insert(3);
        let unrun = proven.wrong(&guard(), None).unwrap();
        assert!(unrun.starts_with("no test runs 3 of crate/"), "{unrun}");
        assert_eq!(proven.wrong(&guard(), Some("Why.")), None);
        let proof = proven.of(&guard(), Some("Why."));
        assert_eq!(proof.note, "No test runs line 3. Why.");
        // The test is not in the record of passed tests.
        proven.record.runtime.clear();
        let unrun = proven.wrong(&guard(), None).unwrap();
        assert!(unrun.starts_with("no test runs 1-3 of crate/"), "{unrun}");
        assert_eq!(proven.of(&guard(), None).count, 0);
    }

    #[test]
    fn a_listing_that_changed_or_is_new_has_to_be_measured() {
        let mut proven = Proven::of_a_test();
        lines_of(&mut proven).text.push('0');
        let changed = proven.wrong(&guard(), None).unwrap();
        assert!(changed.ends_with("has changed since it was measured: cargo xtask coverage"));
        assert!(proven.of(&guard(), None).is_empty());
        assert_eq!(proven.files(), []);
        proven.measured.listings.clear();
        let new = proven.wrong(&guard(), None).unwrap();
        assert!(new.contains("was never measured"), "{new}");
    }

    #[test]
    fn a_function_that_no_counter_sees_is_no_declaration() {
        let mut proven = Proven::of_a_test();
        lines_of(&mut proven).code.clear();
        let unseen = proven.wrong(&guard(), None).unwrap();
        assert!(unseen.contains("no line of crate/"), "{unseen}");
        let proof = proven.of(&guard(), Some("Why."));
        assert_eq!(proof.note, "No line of it is measured. Why.");
    }

    #[test]
    fn the_tests_that_ran_most_of_a_listing_come_first_and_of_these_those_that_ran_least_else() {
        let mut proven = Proven::of_a_test();
        let lines = |text: &str, ran: &[(&[usize], &[usize])]| Lines {
            text: text.to_owned(),
            code: [1, 2].into(),
            ran: ran
                .iter()
                .map(|(lines, tests)| {
                    let set = |of: &[usize]| of.iter().copied().collect();
                    (set(lines), set(tests))
                })
                .collect(),
        };
        let key = "crate/src/steps/guard.rs:guard".to_owned();
        let text = proven.measured.listings[&key].text.clone();
        let names = ["a", "b", "c", "d"];
        proven.measured.native = names.map(|name| format!("any {name}")).to_vec();
        proven.measured.runtime.clear();
        proven.measured.listings = [
            (key, lines(&text, &[(&[1], &[0]), (&[1, 2], &[1, 2, 3])])),
            ("other".to_owned(), lines("", &[(&[1], &[1, 2])])),
            ("third".to_owned(), lines("", &[(&[1], &[1])])),
        ]
        .into();
        let proof = proven.of(&guard(), None);
        assert_eq!(proof.native, ["d", "c", "b", "a"]);
        assert_eq!((proof.count, proof.runtime.len()), (4, 0));
    }

    #[test]
    fn a_measured_test_has_the_name_that_the_record_has() {
        let name = |folder: &str, test: &str| native_name(Path::new(folder), test);
        assert_eq!(name("crate", "a::tests::b"), "crate a::tests::b");
        assert_eq!(name("crate/laboratory", "a"), "laboratory a");
        assert_eq!(name("listings/snippets/axum", "a"), "axum a");
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
