//! The parts of the page that come from the results.
//!
//! They stand between `<!-- bench: NAME -->` and `<!-- /bench -->`. The rest of the page is written
//! by hand.

use std::fmt::Write;

use crate::goals::goals;
use crate::plot::plot;
use crate::results::{Column, Fact, Group, Results, Row};
use crate::words::{Verdict, day, figure, goal, number};

const BEGIN: &str = "<!-- bench: ";
const BEGUN: &str = " -->\n";
const END: &str = "<!-- /bench -->";

/// The page with a new text between each pair of marks.
///
/// # Errors
///
/// If a mark has no end or names an unknown part, or if the page lacks a part.
pub fn write(page: &str, results: &Results) -> Result<String, String> {
    let mut written = String::new();
    let mut rest = page;
    let mut missing: Vec<&str> = PARTS.to_vec();
    while let Some((before, after)) = rest.split_once(BEGIN) {
        let (name, after) = after.split_once(BEGUN).ok_or("a mark is not closed")?;
        let (_, after) = after
            .split_once(END)
            .ok_or_else(|| format!("the part {name} has no end"))?;
        let part = part(name, results).ok_or_else(|| format!("there is no part {name}"))?;
        missing.retain(|part| *part != name);
        let _ = write!(written, "{before}{BEGIN}{name}{BEGUN}\n{part}\n{END}");
        rest = after;
    }
    written.push_str(rest);
    if missing.is_empty() {
        Ok(written)
    } else {
        Err(format!("not on the page: {}", missing.join(", ")))
    }
}

/// All results, for a terminal.
pub fn text(results: &Results) -> String {
    let mut text = String::new();
    for row in &results.rows {
        let _ = writeln!(text, "{}", row.name.replace('`', ""));
        for (column, it) in &row.figures {
            let name = column.name().replace('`', "");
            let _ = write!(text, "    {name:<12} {:<36}", figure(it, row.unit));
            if let Some(it) = row.ratios.get(column) {
                let verdict = Verdict::of(it).name().replace("**", "");
                let _ = write!(text, " ours is {}: {verdict}", crate::words::ratio(it));
            }
            text.truncate(text.trim_end().len());
            text.push('\n');
        }
    }
    for it in &results.counts {
        let name = it.name.replace('`', "");
        let (out, back) = (number(it.out), number(it.back));
        let _ = writeln!(
            text,
            "{name}: {out} calls of JavaScript, {back} of WebAssembly"
        );
    }
    text
}

/// The five rows that answer a reader's first questions, and the words for them.
const FIVE: [(&str, &str); 5] = [
    (
        "added to the upload, compressed",
        "What does it add to the upload, compressed?",
    ),
    (
        "the first capture, main `fetch`",
        "How long is the first capture in an isolate?",
    ),
    ("one capture, main `fetch`", "And each one after it?"),
    (
        "a call that does not fail, main `fetch`",
        "What does a wrapped call cost that does not fail?",
    ),
    (
        "a call that does not fail, without a DSN, main `fetch`",
        "And without a DSN?",
    ),
];

const PARTS: [&str; 16] = [
    "five", "age", "goals", "summary", "behind", "upload", "features", "start", "capture", "quiet",
    "more", "memory", "wire", "counts", "machine", "versions",
];

fn part(name: &str, results: &Results) -> Option<String> {
    Some(match name {
        "five" => five(results)?,
        "age" => age(results),
        "goals" => goals_table(results),
        "summary" => summary(results),
        "behind" => behind(results),
        "upload" => group(name, Group::Upload, results),
        "features" => plain_group(Group::Features, results),
        "start" => group(name, Group::Start, results),
        "capture" => group(name, Group::Capture, results),
        "quiet" => group(name, Group::Quiet, results),
        "more" => plain_group(Group::More, results),
        "memory" => group(name, Group::Memory, results),
        "wire" => group(name, Group::Wire, results),
        "counts" => counts(results),
        "machine" => machine(results),
        "versions" => facts("Package", "Version", &results.versions),
        _ => return None,
    })
}

fn rows(group: Group, results: &Results) -> Vec<&Row> {
    let rows = results.rows.iter();
    rows.filter(|row| row.group == group).collect()
}

fn group(id: &str, group: Group, results: &Results) -> String {
    let rows = rows(group, results);
    let title = format!("Ratios: {id}");
    format!(
        "{}\n<details class=\"figures\">\n<summary>The figures</summary>\n\n{}\n</details>\n",
        plot(id, &title, &rows),
        table(&rows)
    )
}

/// The first two lines of a table with a column for each side.
fn heading(columns: &[Column], last: &str) -> String {
    let names: Vec<&str> = columns.iter().map(|column| column.name()).collect();
    let rule = " --- |".repeat(columns.len() + 2);
    format!("| What | {} | {last} |\n|{rule}\n", names.join(" | "))
}

/// A row's figures, a cell for each side.
fn cells(columns: &[Column], row: &Row) -> String {
    let cells = columns.iter().map(|column| match row.figures.get(column) {
        Some(it) => figure(it, row.unit),
        None => "does not apply".to_owned(),
    });
    Vec::from_iter(cells).join(" | ")
}

fn table(rows: &[&Row]) -> String {
    let floor = rows
        .iter()
        .any(|row| row.figures.contains_key(&Column::Floor));
    let mut columns = vec![Column::Lazy, Column::Lean, Column::Usual, Column::Ours];
    columns.extend(floor.then_some(Column::Floor));
    let mut table = heading(&columns, "Ours to lazy");
    for row in rows {
        let cells = cells(&columns, row);
        let _ = writeln!(table, "| {} | {} | {} |", row.name, cells, goal(row));
    }
    table
}

/// A table without a plot, with the columns that its rows have.
fn plain_group(group: Group, results: &Results) -> String {
    let rows = rows(group, results);
    let columns = [
        Column::Lazy,
        Column::Lean,
        Column::Usual,
        Column::Ours,
        Column::Without,
    ];
    let is_there = |column: &Column| rows.iter().any(|row| row.figures.contains_key(column));
    let columns: Vec<Column> = columns.into_iter().filter(is_there).collect();
    if columns.is_empty() {
        return "Not measured yet.\n".to_owned();
    }
    let mut table = heading(&columns, "Ours to the others");
    for row in rows {
        let cells = cells(&columns, row);
        let ratios = columns.iter().filter_map(|column| {
            let ratio = crate::words::ratio(row.ratios.get(column)?);
            Some(format!("{ratio} of {}", column.short_name()))
        });
        let ratios: Vec<String> = ratios.collect();
        let ratios = match ratios.is_empty() {
            true => "nothing to compare with".to_owned(),
            false => ratios.join(", "),
        };
        let _ = writeln!(table, "| {} | {} | {ratios} |", row.name, cells);
    }
    table
}

/// The date of the figures, as a sentence.
fn age(results: &Results) -> String {
    let day = day(&results.date);
    if results.rows.iter().any(|row| row.group == Group::More) {
        return format!(
            "These figures are of {day}. Each capture is with its stack and its trace, on both \
             sides.\n"
        );
    }
    format!(
        "**These figures are of {day}, before each event had a stack and a trace.** The SDK's \
         event had a stack then, and that of a Rust error had not.\n"
    )
}

/// The table of the goals.
fn goals_table(results: &Results) -> String {
    let mut table = "| Goal | Figure | Verdict |\n| --- | --- | --- |\n".to_owned();
    for goal in goals(results) {
        let figures = match goal.figures.is_empty() {
            true => "none".to_owned(),
            false => goal.figures.join("; "),
        };
        let _ = writeln!(table, "| {} | {figures} | {} |", goal.aim, goal.verdict());
    }
    table
}

/// The first figures of the page, only ours. `None` if a row is not in the results.
fn five(results: &Results) -> Option<String> {
    let mut table = "| Question | Answer |\n| --- | --- |\n".to_owned();
    for (name, question) in FIVE {
        let row = results.rows.iter().find(|row| row.name == name)?;
        let ours = row.figures.get(&Column::Ours)?;
        let _ = writeln!(table, "| {question} | {} |", figure(ours, row.unit));
    }
    Some(table)
}

/// Counts the comparisons by their verdict.
fn summary(results: &Results) -> String {
    let ratios = results
        .rows
        .iter()
        .filter_map(|row| row.ratios.get(&Column::Lazy));
    let verdicts: Vec<Verdict> = ratios.map(Verdict::of).collect();
    let count = |wanted| verdicts.iter().filter(|it| **it == wanted).count();
    format!(
        "Of {} comparisons with the lazy import, the figure of this crate is half or less \
         in {}, lower but not half in {}, the same in {}, not clearly different in {}, \
         and higher in {}.\n",
        verdicts.len(),
        count(Verdict::Met),
        count(Verdict::Better),
        count(Verdict::Same),
        count(Verdict::Open),
        count(Verdict::Worse),
    )
}

/// Every comparison in which the SDK is better, in any of its columns.
fn behind(results: &Results) -> String {
    let mut list = String::new();
    for row in &results.rows {
        let worse = Column::THEIRS.into_iter().filter_map(|column| {
            let ratio = row.ratios.get(&column)?;
            let name = column.short_name();
            (Verdict::of(ratio) == Verdict::Worse)
                .then(|| format!("{} times {name}", number(ratio.median)))
        });
        let worse: Vec<String> = worse.collect();
        if !worse.is_empty() {
            let _ = writeln!(list, "- {}: {}", row.name, worse.join(", "));
        }
    }
    if list.is_empty() {
        list.push_str("In none of the comparisons.\n");
    }
    list
}

fn counts(results: &Results) -> String {
    let mut table =
        "| In | WebAssembly calls JavaScript | JavaScript calls WebAssembly |\n".to_owned();
    table.push_str("| --- | --- | --- |\n");
    for it in &results.counts {
        let (out, back) = (number(it.out), number(it.back));
        let _ = writeln!(table, "| {} | {out} | {back} |", it.name);
    }
    table
}

fn machine(results: &Results) -> String {
    let more = [
        ("Day", results.date.clone()),
        ("Rounds", results.rounds.to_string()),
        (
            "Rounds of the first capture",
            results.fresh_rounds.to_string(),
        ),
        ("Rounds of the start", results.startup_rounds.to_string()),
    ];
    let more = more.map(|(name, value)| Fact {
        name: name.to_owned(),
        value,
    });
    facts("What", "Value", results.machine.iter().chain(&more))
}

fn facts<'f>(name: &str, value: &str, facts: impl IntoIterator<Item = &'f Fact>) -> String {
    let mut table = format!("| {name} | {value} |\n| --- | --- |\n");
    for fact in facts {
        let _ = writeln!(table, "| {} | {} |", fact.name, fact.value);
    }
    table
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::figure::Figure;
    use crate::results::{Counts, Unit};
    use crate::rows;

    /// A row of figures without a spread.
    pub(crate) fn of(group: Group, name: &str, unit: Unit, sides: &[(Column, f64)]) -> Row {
        let ours = sides.iter().find(|(column, _)| *column == Column::Ours);
        let ours = ours.map_or(f64::NAN, |(_, figure)| *figure);
        let others = sides.iter().filter(|(column, _)| *column != Column::Ours);
        Row {
            group,
            name: name.to_owned(),
            unit,
            figures: sides
                .iter()
                .map(|(column, figure)| (*column, Figure::exact(*figure)))
                .collect(),
            ratios: others
                .map(|(column, figure)| (*column, Figure::exact(ours / figure)))
                .collect(),
        }
    }

    /// Results with these rows.
    pub(crate) fn results(rows: Vec<Row>) -> Results {
        Results {
            date: "2026-12-01".to_owned(),
            rounds: 1,
            fresh_rounds: 1,
            startup_rounds: 1,
            machine: Vec::new(),
            versions: Vec::new(),
            rows,
            counts: Vec::new(),
        }
    }

    fn committed() -> Results {
        let text = std::fs::read_to_string(crate::results_file()).unwrap();
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn the_page_is_what_the_last_results_say() {
        let page = std::fs::read_to_string(crate::page_file()).unwrap();
        let written = write(&page, &committed()).unwrap();
        assert!(
            written == page,
            "src/performance.md is not what tests/bench/results.json says. Make it so \
             with: cargo xtask bench --page"
        );
    }

    #[test]
    fn every_cell_says_something() {
        let results = committed();
        for name in PARTS {
            let part = part(name, &results).unwrap();
            let cells = part.lines().filter(|line| line.starts_with('|'));
            for row in cells {
                let empty = row
                    .trim_matches('|')
                    .split('|')
                    .any(|it| it.trim().is_empty());
                assert!(!empty, "{name}: {row}");
            }
        }
    }

    #[test]
    fn a_mark_without_a_part_or_an_end_is_named_and_so_is_a_part_without_a_mark() {
        let results = committed();
        let wrong = |page: &str| write(page, &results).unwrap_err();
        assert!(wrong("<!-- bench: sumary -->\n<!-- /bench -->").contains("no part sumary"));
        assert!(wrong("<!-- bench: summary -->\n").contains("summary has no end"));
        assert!(wrong("<!-- bench: summary -->\n<!-- /bench -->").contains("upload"));
    }

    #[test]
    fn figures_are_said_to_be_old_until_traces_were_measured() {
        let mut old = results(Vec::new());
        let text = part("age", &old).unwrap();
        assert!(
            text.contains("of 1 December 2026, before each event had a stack"),
            "{text}"
        );
        let sides = [(Column::Ours, 1.0)];
        old.rows
            .push(of(Group::More, rows::CRUMBS, Unit::Us, &sides));
        let text = part("age", &old).unwrap();
        assert!(text.starts_with("These figures are of 1 December 2026. Each capture is with"));
    }

    #[test]
    fn a_table_without_a_plot_has_the_columns_of_its_rows() {
        let mut results = results(vec![
            of(
                Group::Features,
                "added",
                Unit::Kib,
                &[(Column::Usual, 60.0), (Column::Ours, 30.0)],
            ),
            of(
                Group::Features,
                "whole",
                Unit::Kib,
                &[(Column::Ours, 3.0), (Column::Without, 4.0)],
            ),
        ]);
        let table = part("features", &results).unwrap();
        let expected = "\
| What | SDK, usual | This crate | Without it | Ours to the others |
| --- | --- | --- | --- | --- |
| added | 60 KiB | 30 KiB | does not apply | 0.50 of usual |
| whole | does not apply | 3 KiB | 4 KiB | 0.75 of what is without it |
";
        assert_eq!(table, expected);
        results.rows.clear();
        assert_eq!(part("features", &results).unwrap(), "Not measured yet.\n");
    }

    #[test]
    fn the_goals_are_a_table_of_aims_figures_and_verdicts() {
        let sides = [(Column::Ours, 50.0), (Column::Lean, 40.0)];
        let table = goals_table(&results(vec![of(
            Group::Upload,
            rows::UPLOAD,
            Unit::Kib,
            &sides,
        )]));
        let rows: Vec<&str> = table.lines().skip(2).collect();
        assert!(
            rows[0].ends_with("| 50 KiB beside 40 KiB | **not met** |"),
            "{}",
            rows[0]
        );
        assert!(rows[1].ends_with("| none | not measured |"), "{}", rows[1]);
    }

    #[test]
    fn every_count_is_shown_those_of_what_came_later_too() {
        let mut results = results(Vec::new());
        results.counts = rows::COUNTED
            .map(|name| Counts {
                name: name.to_owned(),
                out: 12.0,
                back: 3.0,
                timers: None,
                functions: Vec::new(),
            })
            .into();
        let table = part("counts", &results).unwrap();
        for name in rows::COUNTED {
            assert!(table.contains(&format!("| {name} | 12 | 3 |")), "{table}");
        }
    }
}
