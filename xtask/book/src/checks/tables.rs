//! Tables that repeat what the code says.

use std::collections::BTreeSet;

use super::{Host, assert_none, drills, reporting, sources};
use crate::chapter::{Chapter, chapter, code_in};
use crate::files::read;

/// The entries that only the table or only the code has.
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

const HOSTS: [&str; 4] = ["Host", "Handler", "How it reports", "Drill"];

#[test]
fn the_host_table_has_every_host_and_handler_that_reports() {
    let page = Chapter::named("hosts/index.md");
    let listings = sources("listings/src");
    let reporting = reporting(&listings);
    assert_none(&differences(&hosts_of(&page), &reporting));
    // Every exported class must be in the table.
    let named: BTreeSet<&str> = reporting.iter().map(|host| host.0.as_str()).collect();
    for class in classes(&listings) {
        assert!(named.contains(class.as_str()), "{class} reports nothing");
    }
}

#[test]
fn the_host_table_has_every_drill() {
    let page = Chapter::named("hosts/index.md");
    let table = page.table(&HOSTS);
    let in_table = table.rows.iter().filter_map(|(_, cells)| code_in(cells[3]));
    let in_table = in_table.map(str::to_owned).collect();
    assert_none(&differences(&in_table, &drills().into_iter().collect()));
}

/// The rows that name a function. The row of a panic names none.
fn hosts_of(page: &Chapter) -> BTreeSet<Host> {
    let rows = page.table(&HOSTS).rows;
    let hosts = rows.iter().filter_map(|(_, cells)| {
        let how = cells[2].strip_prefix('`')?.strip_suffix('`')?;
        Some((code_in(cells[0])?, code_in(cells[1])?, how))
    });
    hosts
        .map(|(a, b, c)| (a.into(), b.into(), c.into()))
        .collect()
}

/// The classes of Durable Objects and Workflows.
fn classes(sources: &str) -> BTreeSet<String> {
    let objects = sources.split("#[durable_object").skip(1);
    let objects = objects.filter_map(|rest| rest.split_once("struct ")?.1.split([' ', '{']).next());
    let workflows = sources.split("workflow!(").skip(1);
    let workflows = workflows.filter_map(|rest| rest.split(')').next());
    objects.chain(workflows).map(str::to_owned).collect()
}

#[test]
fn a_host_that_is_missing_on_one_side_is_named() {
    let code = reporting(
        "with_sentry_worker(&env, &context, Handler::Fetch, x).await \
         with_sentry_in_isolate(&self.env, \"A\", Handler::Run, x) \
         .in_handler(\"B\", Handler::Alarm).handled(false); capture_exception_in_isolate(&env, report)",
    );
    let row = |class: &str, handler: &str, how: &str| {
        format!("| [`{class}`](x.md) | `{handler}` | `{how}` | `x` |\n")
    };
    let head = "| Host | Handler | How it reports | Drill |\n| --- | --- | --- | --- |\n";
    let two =
        row("main", "fetch", "with_sentry_worker") + &row("A", "run", "with_sentry_in_isolate");
    let all = row("B", "alarm", "capture_exception_in_isolate");
    let compare = |rows: &str| differences(&hosts_of(&chapter(&format!("{head}{rows}"))), &code);
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
    let page = Chapter::named("configuration.md");
    let table = page.table(&["Binding", "Kind", "When absent"]);
    let in_table = table.rows.iter().filter_map(|(_, cells)| code_in(cells[0]));
    assert_eq!(
        Vec::from_iter(in_table),
        bindings(&(read("crate/src/steps/load.rs") + &read("crate/src/platform/workerd.rs")))
    );
}

/// The elements of the crate's `BINDINGS`. Some elements are constants.
fn bindings(load: &str) -> Vec<&str> {
    let (_, list) = load.split_once("BINDINGS: [&str;").expect("BINDINGS");
    let (_, list) = list.split_once("= [").expect("its elements");
    let (list, _) = list.split_once("];").expect("its end");
    // An element that belongs to a feature has an attribute in the line before it.
    let lines = list.lines().filter(|line| !line.trim().starts_with("#["));
    let list = Vec::from_iter(lines.flat_map(|line| line.split(',')));
    let elements = list.into_iter().map(str::trim);
    let elements = elements.filter(|it| !it.is_empty());
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
    let load = "const DSN: &str = \"A\";\nconst BINDINGS: [&str; 2] = [\n    DSN,\n    #[cfg(any(a, b))]\n    \"B\",\n];";
    assert_eq!(bindings(load), ["A", "B"]);
}

// The console lines -------------------------------------------------------

#[test]
fn the_tables_of_console_lines_have_every_line_that_the_crate_prints() {
    let page = Chapter::named("troubleshooting.md");
    let tables = page.tables().into_iter();
    let rows = tables
        .filter(|table| table.head[0] == "Line")
        .flat_map(|table| table.rows);
    let shown: Vec<&str> = rows.filter_map(|(_, cells)| code_in(cells[0])).collect();
    let printed = printed(&sources("crate/src"));
    assert!(printed.len() > 20, "only {printed:?}");
    let missing = printed
        .iter()
        .filter(|line| !shown.iter().any(|shown| shown.ends_with(*line)));
    let missing = missing.map(|line| format!("src/troubleshooting.md: no row for `{line}`"));
    assert_none(&Vec::from_iter(missing));
}

/// The lines that the crate prints: its decisions, and what may be wrong with a binding, which the
/// crate prints after the binding's name.
fn printed(sources: &str) -> BTreeSet<String> {
    let code = sources.lines().map(str::trim);
    let code = Vec::from_iter(code.filter(|line| !line.starts_with("//"))).join(" ");
    let said = [".debug(", ".debug(&format!(", "complain(", "return Err("].map(|call| {
        let calls = code.split(call).skip(1);
        Vec::from_iter(calls.filter_map(|rest| rest.trim_start().strip_prefix('"')))
    });
    let literals = code.split('"').skip(1);
    let problems = ["is ", "cannot be ", "could not be "];
    let problems = literals.filter(|text| {
        let has_end = text.contains("; ");
        has_end && problems.iter().any(|start| text.starts_with(start))
    });
    let said = said.into_iter().flatten();
    let said = said.filter_map(|rest| rest.split('"').next());
    said.chain(problems).map(str::to_owned).collect()
}

#[test]
fn a_console_line_is_found_where_it_is_printed_or_named_as_a_problem() {
    let code = "runtime.debug(\"a is b\");\n// debug(\"c\")\nruntime.debug(&format!(\n    \"d {}\",\n));\n\
        problem: \"is e; f\",\nlet g = \"h; i\";\nDSN => complain(\"is j\"),\n";
    assert_eq!(
        Vec::from_iter(printed(code)),
        ["a is b", "d {}", "is e; f", "is j"]
    );
}
