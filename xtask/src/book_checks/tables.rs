//! Tables that repeat what the code says.

use std::collections::BTreeSet;

use super::{Page, Table, assert_none, code_in, page, pages, read, sources};
use crate::setup::versions::{self, locked};

fn page_named(path: &str) -> Page {
    let mut pages = pages();
    pages.retain(|page| page.path == path);
    pages.pop().unwrap_or_else(|| panic!("no src/{path}"))
}

fn table<'p>(page: &'p Page, head: &[&str]) -> Table<'p> {
    let mut tables = page.tables();
    tables.retain(|table| table.head == head);
    let found = tables.pop();
    found.unwrap_or_else(|| panic!("src/{} has no table with the head {head:?}", page.path))
}

/// Both sides of a comparison, and what is only on one of them.
fn differences<T: Ord + std::fmt::Debug>(table: &BTreeSet<T>, code: &BTreeSet<T>) -> Vec<String> {
    let only = |one: &BTreeSet<T>, other: &BTreeSet<T>, place: &str| {
        let only = one.difference(other);
        Vec::from_iter(only.map(|it| format!("only in {place}: {it:?}")))
    };
    [
        only(table, code, "the table"),
        only(code, table, "the code"),
    ]
    .concat()
}

// The hosts --------------------------------------------------------------

/// A class, its handler, and the function that reports what it fails with.
type Host = (String, String, String);

const HOSTS: [&str; 4] = ["Host", "Handler", "How it reports", "Drill"];

#[test]
fn the_host_table_has_every_host_and_handler_that_reports() {
    let page = page_named("hosts/index.md");
    let listings = sources("listings/src");
    let reporting = reporting(&listings);
    assert_none(&differences(&hosts_of(&page), &reporting));
    // Every class that is exported is among them.
    let named: BTreeSet<&str> = reporting.iter().map(|host| host.0.as_str()).collect();
    for class in classes(&listings) {
        assert!(named.contains(class.as_str()), "{class} reports nothing");
    }
}

#[test]
fn the_host_table_has_every_drill() {
    let page = page_named("hosts/index.md");
    let table = table(&page, &HOSTS);
    let in_table = table.rows.iter().filter_map(|(_, cells)| code_in(cells[3]));
    let in_table = in_table.map(str::to_owned).collect();
    assert_none(&differences(&in_table, &drills().into_iter().collect()));
}

/// The rows that name a function; a panic has none.
fn hosts_of(page: &Page) -> BTreeSet<Host> {
    let rows = table(page, &HOSTS).rows;
    let hosts = rows.iter().filter_map(|(_, cells)| {
        let how = cells[2].strip_prefix('`')?.strip_suffix('`')?;
        Some((code_in(cells[0])?, code_in(cells[1])?, how))
    });
    hosts
        .map(|(a, b, c)| (a.into(), b.into(), c.into()))
        .collect()
}

/// Every place in the sources that names a host and reports.
fn reporting(sources: &str) -> BTreeSet<Host> {
    let mut hosts = BTreeSet::new();
    let calls = |name: &str| {
        let calls = sources
            .match_indices(name)
            .map(|(at, _)| &sources[at + name.len()..]);
        Vec::from_iter(calls)
    };
    let names = |rest: &str| -> Vec<String> {
        let call = rest.split(')').next().unwrap_or_default();
        Vec::from_iter(call.split('"').skip(1).step_by(2).map(str::to_owned))
    };
    for rest in calls("with_sentry_worker(") {
        if let [handler] = names(rest).as_slice() {
            hosts.insert(("main".into(), handler.clone(), "with_sentry_worker".into()));
        }
    }
    for rest in calls("with_sentry_in_isolate(") {
        if let [class, handler] = names(rest).as_slice() {
            let how = "with_sentry_in_isolate".to_owned();
            hosts.insert((class.clone(), handler.clone(), how));
        }
    }
    for rest in calls(".in_handler(") {
        if let [class, handler] = names(rest).as_slice()
            && let Some(at) = rest.find("capture_exception_in_")
        {
            let how = rest[at..].split('(').next().unwrap_or_default();
            hosts.insert((class.clone(), handler.clone(), how.to_owned()));
        }
    }
    hosts
}

/// The classes of Durable Objects and Workflows.
fn classes(sources: &str) -> BTreeSet<String> {
    let objects = sources.split("#[durable_object").skip(1);
    let objects = objects.filter_map(|rest| rest.split_once("struct ")?.1.split([' ', '{']).next());
    let workflows = sources.split("workflow!(").skip(1);
    let workflows = workflows.filter_map(|rest| rest.split(')').next());
    objects.chain(workflows).map(str::to_owned).collect()
}

/// `host/handler` of each drill that the example answers.
pub(super) fn drills() -> Vec<String> {
    let text = read("listings/src/drill.rs");
    let drills = text.lines().filter_map(|line| {
        let (host, rest) = line.trim().strip_prefix("(\"")?.split_once("\", \"")?;
        let (handler, _) = rest.split_once("\") =>")?;
        Some(format!("{host}/{handler}"))
    });
    drills.collect()
}

#[test]
fn a_host_that_is_missing_on_one_side_is_named() {
    let code = reporting(
        "with_sentry_worker(&env, &context, \"fetch\", x).await \
         with_sentry_in_isolate(&self.env, \"A\", \"run\", x) \
         .in_handler(\"B\", \"alarm\").handled(false); capture_exception_in_isolate(&env, report)",
    );
    let row = |class: &str, handler: &str, how: &str| {
        format!("| [`{class}`](x.md) | `{handler}` | `{how}` | `x` |\n")
    };
    let head = "| Host | Handler | How it reports | Drill |\n| --- | --- | --- | --- |\n";
    let two =
        row("main", "fetch", "with_sentry_worker") + &row("A", "run", "with_sentry_in_isolate");
    let all = row("B", "alarm", "capture_exception_in_isolate");
    let compare = |rows: &str| differences(&hosts_of(&page(&format!("{head}{rows}"))), &code);
    assert_none(&compare(&(two.clone() + &all)));
    assert_eq!(compare(&two).len(), 1);
    let more = row("C", "alarm", "capture_exception_in_isolate");
    assert_eq!(compare(&(two + &all + &more)).len(), 1);
    let classes = classes("#[durable_object(alarm)]\npub struct A {\n workflow!(B);");
    assert_eq!(Vec::from_iter(classes), ["A", "B"]);
}

// The configuration -------------------------------------------------------

#[test]
fn the_configuration_table_has_the_bindings_that_the_crate_reads_in_their_order() {
    let page = page_named("configuration.md");
    let table = table(&page, &["Binding", "Kind", "When absent"]);
    let in_table = table.rows.iter().filter_map(|(_, cells)| code_in(cells[0]));
    assert_eq!(
        Vec::from_iter(in_table),
        bindings(&read("crate/src/load.rs"))
    );
}

/// The elements of `BINDINGS`, some of which are constants.
fn bindings(load: &str) -> Vec<&str> {
    let (_, list) = load.split_once("BINDINGS: [&str;").expect("BINDINGS");
    let (_, list) = list.split_once("= [").expect("its elements");
    let (list, _) = list.split_once("];").expect("its end");
    let elements = list.split(',').map(str::trim).filter(|it| !it.is_empty());
    elements
        .map(|element| match element.strip_prefix('"') {
            Some(text) => text.trim_end_matches('"'),
            None => {
                let constant = format!("const {element}: &str = \"");
                let (_, rest) = load.split_once(&constant).expect("a constant");
                rest.split('"').next().expect("its value")
            }
        })
        .collect()
}

#[test]
fn a_binding_is_known_by_its_text_or_its_constant() {
    let load = "const DSN: &str = \"A\";\nconst BINDINGS: [&str; 2] = [\n    DSN,\n    \"B\",\n];";
    assert_eq!(bindings(load), ["A", "B"]);
}

// The versions ------------------------------------------------------------

const CARGO_LOCK: &str = "`Cargo.lock`";
const TOOLS: &str = "`xtask/src/setup/versions.rs`";
const NPM: &str = "`tests/tools/package.json`";
const SDK: &str = "`tests/bench/js/package.json`";

#[test]
fn the_version_table_has_what_the_pins_say() {
    let page = page_named("versions.md");
    let rows = table(&page, &["What", "Version", "Pinned in"]).rows;
    let mut wrong = Vec::new();
    for (line, cells) in &rows {
        let name = cells[0].trim_matches('`');
        let pinned = match cells[2] {
            CARGO_LOCK => locked(name),
            TOOLS => tools()
                .into_iter()
                .find_map(|it| (it.0 == name).then_some(it.1)),
            NPM | SDK => packages(cells[2])
                .into_iter()
                .find_map(|it| (it.0 == name).then_some(it.1)),
            "`Cargo.toml`" => Some(format!("{} or later", env!("CARGO_PKG_RUST_VERSION"))),
            _ => None,
        };
        if pinned.as_deref() != Some(cells[1]) {
            wrong.push(page.at(*line, format!("{name} is {pinned:?} there")));
        }
    }
    // Of these two places every pin is in the table.
    for (name, _) in tools().into_iter().chain(packages(NPM)) {
        if !rows
            .iter()
            .any(|(_, cells)| cells[0].trim_matches('`') == name)
        {
            wrong.push(format!("src/versions.md: no row for {name}"));
        }
    }
    assert_none(&wrong);
}

fn tools() -> Vec<(String, String)> {
    let tools = [
        &versions::WASM_BINDGEN,
        &versions::WORKER_BUILD,
        &versions::MDBOOK,
        &versions::MDBOOK_MERMAID,
    ];
    let tools = tools.map(|tool| (tool.package.to_owned(), tool.version.to_owned()));
    tools.to_vec()
}

/// The dependencies in a `package.json`, whose path is in backticks.
fn packages(file: &str) -> Vec<(String, String)> {
    let package = read(file.trim_matches('`'));
    let (_, list) = package
        .split_once("\"dependencies\": {")
        .expect("dependencies");
    let list = list.split('}').next().unwrap_or_default();
    let words = Vec::from_iter(list.split('"').skip(1).step_by(2).map(str::to_owned));
    let pairs = words
        .chunks(2)
        .map(|pair| (pair[0].clone(), pair[1].clone()));
    pairs.collect()
}
