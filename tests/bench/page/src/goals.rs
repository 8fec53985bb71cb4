//! The goals, and whether the results meet them.

use crate::figure::Figure;
use crate::results::{Column, Results, Row};
use crate::rows;
use crate::words::{figure, number, ratio};

/// The most that one capture may take, as a multiple of a bare request.
const CAPTURE: f64 = 1.4;
/// The most that many captures at once may take, as a multiple of as many bare requests.
const AT_ONCE: f64 = 1.25;
/// The most that a capture without a DSN may take, in microseconds.
const SILENT_US: f64 = 0.005;
/// The most that a traced call may take, as a fraction of the column `Usual`.
const TRACED: f64 = 1.0 / 3.0;
/// The most that memory may grow, as a fraction of its growth in the column `Lazy`.
const GROWN: f64 = 0.5;

/// A goal, compared with the results.
#[derive(Clone, Debug, PartialEq)]
pub struct Goal {
    /// The goal in words.
    pub aim: &'static str,
    /// The figure of each row that the goal is about. Empty if none was measured.
    pub figures: Vec<String>,
    /// Whether every figure meets the goal.
    pub is_met: bool,
}

impl Goal {
    /// The result in words, for a table.
    pub fn verdict(&self) -> &'static str {
        match (self.figures.is_empty(), self.is_met) {
            (true, _) => "not measured",
            (false, true) => "met",
            (false, false) => "**not met**",
        }
    }
}

/// Every goal, in the order of the page. If a figure has a range, the whole range has to meet the
/// goal.
pub fn goals(results: &Results) -> Vec<Goal> {
    let goal = |aim, name: &str, look: &dyn Fn(&Row) -> Option<(String, bool)>| {
        let of = |row: &&Row| row.name == name || row.name.starts_with(&format!("{name}, "));
        let rows: Vec<&Row> = results.rows.iter().filter(of).collect();
        let seen: Vec<(String, bool)> = rows
            .iter()
            .filter_map(|row| {
                let (text, is_met) = look(row)?;
                let host = row.name.strip_prefix(name)?.trim_start_matches(", ");
                let text = match host {
                    "" => text,
                    host => format!("{host}: {text}"),
                };
                Some((text, is_met))
            })
            .collect();
        Goal {
            aim,
            is_met: seen.iter().all(|(_, is_met)| *is_met),
            figures: seen.into_iter().map(|(text, _)| text).collect(),
        }
    };
    let at_most = |column, most: f64| {
        move |row: &Row| {
            let it = beside(row, column)?;
            Some((ratio(&it), it.high <= most))
        }
    };
    let beside_another = |column: Column, is_met: fn(f64, f64) -> bool| {
        move |row: &Row| {
            let (ours, other) = (row.figures.get(&Column::Ours)?, row.figures.get(&column)?);
            let text = format!(
                "{} beside {}",
                figure(ours, row.unit),
                figure(other, row.unit)
            );
            Some((text, is_met(ours.median, other.median)))
        }
    };
    let grown = rows::grown(&number(2_000.0));
    vec![
        goal(
            "What errors alone add to the upload, compressed and without names: at most what \
             the SDK adds, lean",
            rows::UPLOAD,
            &beside_another(Column::Lean, |ours, lean| ours <= lean),
        ),
        goal(
            "The upload as it is shipped, with a companion: less than the same Worker \
             without the crate, as `worker-build` makes it",
            rows::SHIPPED,
            &beside_another(Column::Without, |ours, without| ours < without),
        ),
        goal(
            "One capture, with its stack: at most 1.4 bare requests",
            rows::CAPTURE,
            &at_most(Column::Floor, CAPTURE),
        ),
        goal(
            "100 captures at once: at most 1.25 times as long as bare requests",
            rows::AT_ONCE,
            &at_most(Column::Floor, AT_ONCE),
        ),
        goal(
            "A capture without a DSN: at most 5 ns",
            rows::SILENT_CAPTURE,
            &|row| {
                let ours = row.figures.get(&Column::Ours)?;
                Some((figure(ours, row.unit), ours.high <= SILENT_US))
            },
        ),
        goal(
            "A handler that succeeds, traced at rate 1: at most a third of the SDK as usual",
            rows::TRACED,
            &at_most(Column::Usual, TRACED),
        ),
        goal(
            "A Workflow's step, traced at rate 1: at most a third of what the SDK adds, as usual",
            rows::TRACED_STEP,
            &at_most(Column::Usual, TRACED),
        ),
        goal(
            "The feature `spans` without a rate: no difference to a build without it",
            rows::UNTRACED,
            &|row| {
                let it = beside(row, Column::Without)?;
                Some((ratio(&it), it.low <= 1.0))
            },
        ),
        goal(
            "Memory grown between 100 and 2,000 captures: at most half of the SDK, lazy",
            &grown,
            &at_most(Column::Lazy, GROWN),
        ),
        no_timer(results),
    ]
}

/// The goal that no timer is left, because an open timer holds the request open.
fn no_timer(results: &Results) -> Goal {
    let mut counts = results.counts.iter();
    let counted = counts.find(|it| it.name == rows::COUNTED_CAPTURE);
    let left = counted.and_then(|it| it.timers);
    Goal {
        aim: "No timer is left behind by a capture that was answered",
        figures: left.iter().map(|left| number(*left)).collect(),
        is_met: left == Some(0.0),
    }
}

/// The ratio of ours to another column. The oldest results have no range for a bare request, so the
/// ratio of the medians is taken.
fn beside(row: &Row, column: Column) -> Option<Figure> {
    let of_medians = || {
        let (ours, other) = (row.figures.get(&Column::Ours)?, row.figures.get(&column)?);
        Some(Figure::exact(ours.median / other.median))
    };
    row.ratios.get(&column).copied().or_else(of_medians)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::tests::{of, results};
    use crate::results::{Counts, Group, Unit};

    fn counted(timers: f64) -> Counts {
        Counts {
            name: rows::COUNTED_CAPTURE.to_owned(),
            out: 1.0,
            back: 1.0,
            timers: Some(timers),
            functions: Vec::new(),
        }
    }

    /// Rows that meet every goal with the smallest possible margin.
    fn met() -> Vec<Row> {
        let row = |name: &str, unit, ours, column, theirs| {
            of(
                Group::More,
                name,
                unit,
                &[(Column::Ours, ours), (column, theirs)],
            )
        };
        vec![
            row(rows::UPLOAD, Unit::Kib, 41.9, Column::Lean, 41.9),
            row(rows::SHIPPED, Unit::Kib, 120.0, Column::Without, 120.1),
            row("one capture, alarm", Unit::Ms, 1.4, Column::Floor, 1.0),
            row("100 at once, alarm", Unit::Ms, 1.25, Column::Floor, 1.0),
            row(
                "a capture without a DSN, alarm",
                Unit::Us,
                0.005,
                Column::Lazy,
                1.0,
            ),
            row(
                "a call that does not fail, traced at rate 1, alarm",
                Unit::Us,
                1.0,
                Column::Usual,
                3.0,
            ),
            row(rows::TRACED_STEP, Unit::Us, 1.0, Column::Usual, 3.0),
            row(
                "a call that does not fail, built with `spans`, no rate, alarm",
                Unit::Us,
                1.0,
                Column::Without,
                1.0,
            ),
            row(
                "grown between 100 captures and 2,000",
                Unit::Kib,
                1.0,
                Column::Lazy,
                2.0,
            ),
        ]
    }

    #[test]
    fn a_goal_is_met_up_to_its_edge_and_not_beyond() {
        let rows = met();
        let count = rows.len();
        let mut results_of_all = results(rows);
        results_of_all.counts.push(counted(0.0));
        let all = goals(&results_of_all);
        assert_eq!(all.len(), count + 1);
        for goal in &all {
            assert_eq!(goal.verdict(), "met", "{goal:?}");
        }
        results_of_all.counts[0].timers = Some(0.1);
        assert_eq!(goals(&results_of_all)[count].verdict(), "**not met**");
        for (index, row) in met().into_iter().enumerate() {
            let more = row.figures.iter().map(|(column, it)| match column {
                Column::Ours => (*column, it.median * 1.01),
                _ => (*column, it.median),
            });
            let more: Vec<_> = more.collect();
            let mut rows = met();
            rows[index] = of(row.group, &row.name, row.unit, &more);
            let verdicts = goals(&results(rows));
            let verdicts: Vec<_> = verdicts[..count].iter().map(Goal::verdict).collect();
            let mut expected = vec!["met"; count];
            expected[index] = "**not met**";
            assert_eq!(verdicts, expected, "{}", row.name);
        }
    }

    #[test]
    fn a_goal_is_not_met_if_one_host_or_the_end_of_a_range_is_beyond() {
        let host = |name, ours| {
            let sides = [(Column::Ours, ours), (Column::Floor, 1.0)];
            of(Group::Capture, name, Unit::Ms, &sides)
        };
        let find = |rows| goals(&results(rows)).remove(2);
        let goal = find(vec![
            host("one capture, alarm", 1.3),
            host("one capture, main `fetch`", 1.5),
        ]);
        assert_eq!(goal.verdict(), "**not met**");
        assert_eq!(goal.figures, ["alarm: 1.30", "main `fetch`: 1.50"]);
        let mut row = host("one capture, alarm", 1.3);
        let range = Figure {
            median: 1.3,
            low: 1.2,
            high: 1.41,
        };
        row.ratios.insert(Column::Floor, range);
        let goal = find(vec![row]);
        assert_eq!(goal.verdict(), "**not met**");
        assert_eq!(goal.figures, ["alarm: 1.30 (1.20 to 1.41)"]);
    }

    #[test]
    fn what_the_results_do_not_have_is_not_measured() {
        for goal in goals(&results(Vec::new())) {
            assert_eq!(goal.verdict(), "not measured", "{goal:?}");
        }
    }
}
