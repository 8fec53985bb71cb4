//! Tests that the versions in the pages and in the READMEs are the pinned ones.

use book_compiler::{Chapter, locked, read};
use serde_json::Value;

use super::versions::{self, CARGO_TOOLS};
use crate::seen::Seen;

fn assert_none(wrong: &[String]) {
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

const CARGO_LOCK: &str = "`Cargo.lock`";
const TOOLS: &str = "`xtask/src/setup/versions.rs`";
const NPM: &str = "`tests/tools/package.json`";
const NPM_LOCK: &str = "`tests/tools/package-lock.json`";
const PYTHON: &str = "`tests/tools/requirements.txt`";
/// The packages of PyPI that the tests use directly. All others are dependencies of these.
const PYTHON_TOOLS: [&str; 2] = ["bugsink", "sentry-relay"];
const SDK: &str = "`tests/bench/js/package.json`";
const SPOTLIGHT: &str = "`tests/tools/spotlight/package.json`";

#[test]
fn the_version_table_has_what_the_pins_say() {
    let page = Chapter::named("versions.md");
    let rows = page.table(&["What", "Version", "Pinned in"]).rows;
    let mut wrong = Vec::new();
    for (line, cells) in &rows {
        let name = cells[0].trim_matches('`');
        let pinned = match cells[2] {
            CARGO_LOCK => locked(name),
            TOOLS => tools()
                .into_iter()
                .find_map(|it| (it.0 == name).then_some(it.1)),
            NPM | SDK | SPOTLIGHT => packages(cells[2])
                .into_iter()
                .find_map(|it| (it.0 == name).then_some(it.1)),
            NPM_LOCK => locked_by_npm(&read("tests/tools/package-lock.json"), name),
            PYTHON => required(&read("tests/tools/requirements.txt"), name),
            "`Cargo.toml`" => Some(format!("{} or later", env!("CARGO_PKG_RUST_VERSION"))),
            _ => None,
        };
        if pinned.as_deref() != Some(cells[1]) {
            wrong.push(page.at(*line, format!("{name} is {pinned:?} there")));
        }
    }
    // Every pin of these files must have a row in the table.
    let of_python = PYTHON_TOOLS.map(|name| (name.to_owned(), String::new()));
    let of_npm = [NPM, SPOTLIGHT].map(packages).into_iter().flatten();
    let pins = tools().into_iter().chain(of_npm).chain(of_python);
    for (name, _) in pins {
        if !rows
            .iter()
            .any(|(_, cells)| cells[0].trim_matches('`') == name)
        {
            wrong.push(format!("src/versions.md: no row for {name}"));
        }
    }
    assert_none(&wrong);
}

#[test]
fn the_table_of_what_was_seen_has_what_the_record_of_it_says() {
    let page = Chapter::named("versions.md");
    let seen = Seen::read(&crate::root()).unwrap();
    let rows = page.table(&["What", "Oldest", "Newest"]).rows;
    let names: Vec<&str> = rows.iter().map(|it| it.1[0].trim_matches('`')).collect();
    assert_eq!(names, seen.names());
    let mut wrong = Vec::new();
    for ((line, cells), name) in rows.iter().zip(names) {
        for (cell, which) in [(cells[1], "oldest"), (cells[2], "newest")] {
            let version = seen.version(name, which).unwrap();
            if cell != version {
                wrong.push(page.at(*line, format!("the {which} {name} is {version}")));
            }
        }
    }
    assert_none(&wrong);
    // The crate's front page names the compatibility dates.
    let [oldest, newest] =
        ["oldest", "newest"].map(|it| seen.version("compatibility date", it).unwrap());
    let text = read("crate/README.md").replace('\n', " ");
    let wanted = format!("dates from {oldest} to {newest}");
    assert!(text.contains(&wanted), "crate/README.md: {wanted:?}");
}

fn tools() -> Vec<(String, String)> {
    let tools = CARGO_TOOLS.map(|tool| (tool.package.to_owned(), tool.version.to_owned()));
    tools.to_vec()
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

/// The dependencies in a `package.json`. Its path is in backticks.
fn packages(file: &str) -> Vec<(String, String)> {
    let package = json(&read(file.trim_matches('`')));
    let list = package["dependencies"].as_object().expect("dependencies");
    let version = |version: &Value| version.as_str().unwrap_or_default().to_owned();
    let pairs = list.iter().map(|(name, it)| (name.clone(), version(it)));
    pairs.collect()
}

/// The version of a package that was installed as a dependency of another one.
fn locked_by_npm(lock: &str, name: &str) -> Option<String> {
    let version = &json(lock)["packages"][format!("node_modules/{name}")]["version"];
    Some(version.as_str()?.to_owned())
}

fn required(requirements: &str, name: &str) -> Option<String> {
    let mut lines = requirements.lines();
    let version = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix("=="));
    version.map(str::to_owned)
}

#[test]
fn a_version_is_read_from_each_kind_of_lock() {
    let lock = r#"{"packages": {"node_modules/a": {"version": "1.2"}, "node_modules/b": {"version": "3.4"}}}"#;
    assert_eq!(locked_by_npm(lock, "b").as_deref(), Some("3.4"));
    assert_eq!(locked_by_npm(lock, "c"), None);
    let requirements = "# b==0\na-b==1.0\nb==3.4\n";
    assert_eq!(required(requirements, "b").as_deref(), Some("3.4"));
    assert_eq!(required(requirements, "a"), None);
}

#[test]
fn readme_asks_for_the_versions_that_set_up_asks_for() {
    let readme = read("README.md").replace('\n', " ");
    let at_least = |name: &str, version: (u32, u32)| {
        let wanted = format!("{name} {}.{} or newer", version.0, version.1);
        assert!(
            readme.contains(&wanted),
            "README.md does not say {wanted:?}"
        );
    };
    at_least("Rust", versions::rust());
    at_least("Node.js", versions::NODE);
    at_least("Python", versions::PYTHON);
}
