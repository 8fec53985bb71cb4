//! A plot of ratios: one line for each row, a mark for each way to use the SDK.
//!
//! The plot is as wide as a phone, and uses the book's own variables for colours.

use std::fmt::Write;

use crate::results::{Column, Row};
use crate::words::{GOAL, number};

const WIDTH: f64 = 340.0;
const LEFT: f64 = 6.0;
const RIGHT: f64 = 334.0;
const TOP: f64 = 28.0;
/// The height of a row: its name and the line below.
const ROW: f64 = 48.0;
/// Ratios outside of these limits are drawn at the edge.
const LEAST: f64 = 1.0 / 64.0;
const MOST: f64 = 8.0;

/// The figure for these rows, as one block of HTML.
pub fn plot(id: &str, title: &str, rows: &[&Row]) -> String {
    let height = TOP + ROW * rows.len() as f64;
    let mut svg = format!(
        "<figure class=\"plot\">\n<svg role=\"img\" aria-labelledby=\"{id}-title {id}-desc\" \
         viewBox=\"0 0 {WIDTH} {height}\">\n<title id=\"{id}-title\">{title}</title>\n\
         <desc id=\"{id}-desc\">{}</desc>\n",
        described(rows)
    );
    // The first word ends at its line and the second one begins at its line, since the lines are
    // close together.
    for (ratio, name, anchor) in [(GOAL, "half", "end"), (1.0, "the same", "start")] {
        let x = x(ratio);
        let _ = writeln!(
            svg,
            "<line x1=\"{x:.1}\" y1=\"{:.1}\" x2=\"{x:.1}\" y2=\"{height:.1}\"/>\n\
             <text x=\"{x:.1}\" y=\"13\" text-anchor=\"{anchor}\" class=\"muted\">{name}</text>",
            TOP - 10.0,
        );
    }
    for (index, row) in rows.iter().enumerate() {
        line(&mut svg, row, TOP + ROW * index as f64);
    }
    svg.push_str("</svg>\n<figcaption>");
    svg.push_str(
        "The figure of this crate divided by that of the SDK: \
         <span class=\"lazy\">●</span> lazy, <span class=\"lean\">■</span> lean, \
         <span class=\"usual\">▲</span> usual. Further left is less, and the line \
         through a mark is its range.",
    );
    svg.push_str("</figcaption>\n</figure>\n");
    svg
}

fn line(svg: &mut String, row: &Row, top: f64) {
    let name = row.name.replace('`', "");
    let middle = top + 29.0;
    let _ = writeln!(
        svg,
        "<text x=\"{LEFT}\" y=\"{:.1}\">{name}</text>\n\
         <line x1=\"{LEFT}\" y1=\"{middle:.1}\" x2=\"{RIGHT}\" y2=\"{middle:.1}\"/>",
        top + 13.0
    );
    for (column, offset) in Column::THEIRS.into_iter().zip([-7.0, 0.0, 7.0]) {
        let Some(ratio) = row.ratios.get(&column) else {
            continue;
        };
        let (class, y) = (class(column), middle + offset);
        let (low, high) = (x(ratio.low), x(ratio.high));
        if high - low > 0.5 {
            let _ = writeln!(
                svg,
                "<line x1=\"{low:.1}\" y1=\"{y:.1}\" x2=\"{high:.1}\" y2=\"{y:.1}\" class=\"{class}\"/>"
            );
        }
        let _ = writeln!(svg, "{}", mark(column, x(ratio.median), y));
    }
}

/// Each column has a mark of another shape, for readers who do not see the colours.
fn mark(column: Column, x: f64, y: f64) -> String {
    let class = class(column);
    match column {
        Column::Lean => format!(
            "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"6\" height=\"6\" class=\"{class}\"/>",
            x - 3.0,
            y - 3.0
        ),
        Column::Usual => format!(
            "<path d=\"M{x:.1} {:.1}l4 7h-8z\" class=\"{class}\"/>",
            y - 4.0
        ),
        _ => format!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.5\" class=\"{class}\"/>"),
    }
}

fn class(column: Column) -> &'static str {
    match column {
        Column::Lean => "lean",
        Column::Usual => "usual",
        _ => "lazy",
    }
}

/// The horizontal position of a ratio.
fn x(ratio: f64) -> f64 {
    let part = |ratio: f64| (ratio / LEAST).log2() / (MOST / LEAST).log2();
    // A ratio that is not a number is drawn at the worst end, where it cannot look good.
    let ratio = if ratio.is_nan() { MOST } else { ratio };
    LEFT + 5.0 + (RIGHT - LEFT - 10.0) * part(ratio.clamp(LEAST, MOST))
}

/// The plot in words, for readers who do not see it.
fn described(rows: &[&Row]) -> String {
    let rows = rows.iter().map(|row| {
        let ratios = Column::THEIRS.into_iter().filter_map(|column| {
            let name = column.short_name();
            Some(format!(
                "{} of {name}",
                number(row.ratios.get(&column)?.median)
            ))
        });
        let ratios: Vec<String> = ratios.collect();
        format!("{}: {}", row.name.replace('`', ""), ratios.join(", "))
    });
    rows.collect::<Vec<_>>().join(". ") + "."
}
