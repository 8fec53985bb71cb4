//! Figures and verdicts in words, for the page and the terminal.

use crate::figure::Figure;
use crate::results::{Column, Row, Unit};

/// The goal: half of the SDK's figure.
pub const GOAL: f64 = 0.5;

impl Unit {
    fn name(self) -> &'static str {
        match self {
            Unit::Kib => " KiB",
            Unit::Bytes => " bytes",
            Unit::Ms => " ms",
            Unit::Us => " µs",
            Unit::Count => "",
        }
    }
}

impl Column {
    /// The column's name in the head of a table.
    pub fn name(self) -> &'static str {
        match self {
            Column::Lazy => "SDK, lazy",
            Column::Lean => "SDK, lean",
            Column::Usual => "SDK, usual",
            Column::Ours => "This crate",
            Column::Floor => "Bare `fetch`",
            Column::Without => "Without it",
        }
    }

    /// A short name, for places that make clear which Worker is meant.
    pub fn short_name(self) -> &'static str {
        match self {
            Column::Without => "what is without it",
            _ => self.name().trim_start_matches("SDK, "),
        }
    }
}

/// The result of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// At most half of the SDK's figure.
    Met,
    /// Lower than the SDK's figure.
    Better,
    /// Exactly the SDK's figure.
    Same,
    /// The spread contains both lower and higher values.
    Open,
    /// Higher than the SDK's figure.
    Worse,
}

impl Verdict {
    /// The verdict on a ratio. It is clear only if the whole spread is on one side.
    pub fn of(ratio: &Figure) -> Self {
        if ratio.low == 1.0 && ratio.high == 1.0 {
            Verdict::Same
        } else if ratio.high <= GOAL {
            Verdict::Met
        } else if ratio.high < 1.0 {
            Verdict::Better
        } else if ratio.low > 1.0 {
            Verdict::Worse
        } else {
            Verdict::Open
        }
    }

    /// The verdict in a table.
    pub fn name(self) -> &'static str {
        match self {
            Verdict::Met => "goal met",
            Verdict::Better => "lower, goal not met",
            Verdict::Same => "the same",
            Verdict::Open => "no clear difference, goal not met",
            Verdict::Worse => "**higher**",
        }
    }
}

/// A number with three significant digits.
pub fn number(value: f64) -> String {
    let size = value.abs();
    let text = if size >= 100.0 || value == value.trunc() {
        thousands(&format!("{:.0}", size))
    } else if size >= 10.0 {
        format!("{size:.1}")
    } else if size >= 0.1 {
        format!("{size:.2}")
    } else {
        format!("{size:.3}")
    };
    let is_zero = text.chars().all(|c| matches!(c, '0' | '.'));
    match (is_zero, value < 0.0) {
        (true, _) => "0".to_owned(),
        (false, true) => format!("−{text}"),
        (false, false) => text,
    }
}

fn thousands(digits: &str) -> String {
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// A date such as `2026-11-05` as `5 November 2026`; any other text as it is.
pub fn day(date: &str) -> String {
    let words = || {
        let mut parts = date.split('-');
        let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
        let month = MONTHS.get(month.parse::<usize>().ok()?.checked_sub(1)?)?;
        Some(format!("{} {month} {year}", day.trim_start_matches('0')))
    };
    words().unwrap_or_else(|| date.to_owned())
}

/// `1.42 ms (1.27 to 1.63)`
pub fn figure(figure: &Figure, unit: Unit) -> String {
    format!("{}{}{}", number(figure.median), unit.name(), spread(figure))
}

/// `0.71 (0.37 to 0.86)`
pub fn ratio(ratio: &Figure) -> String {
    format!("{}{}", number(ratio.median), spread(ratio))
}

fn spread(figure: &Figure) -> String {
    if figure.low == figure.high {
        return String::new();
    }
    format!(" ({} to {})", number(figure.low), number(figure.high))
}

/// The column that the goal is about, as a ratio.
pub fn goal(row: &Row) -> String {
    match row.ratios.get(&Column::Lazy) {
        Some(it) => format!("{}: {}", ratio(it), Verdict::of(it).name()),
        None => "nothing to compare with".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_has_the_digits_that_say_something() {
        let numbers = [
            0.0,
            0.000_1,
            0.012_3,
            0.456,
            4.567,
            45.67,
            456.7,
            4_567.0,
            1_234_567.0,
            -1.5,
        ];
        let expected = [
            "0",
            "0",
            "0.012",
            "0.46",
            "4.57",
            "45.7",
            "457",
            "4,567",
            "1,234,567",
            "−1.50",
        ];
        assert_eq!(numbers.map(number), expected);
    }

    #[test]
    fn a_day_is_said_in_words() {
        let days = ["2026-11-05", "2027-01-31", "today", "2026-13-01"].map(day);
        let expected = ["5 November 2026", "31 January 2027", "today", "2026-13-01"];
        assert_eq!(days, expected);
    }

    #[test]
    fn a_verdict_needs_the_whole_spread_on_one_side() {
        let of = |low, high| {
            Verdict::of(&Figure {
                median: (low + high) / 2.0,
                low,
                high,
            })
        };
        assert_eq!(of(0.4, 0.5), Verdict::Met);
        assert_eq!(of(0.4, 0.6), Verdict::Better);
        assert_eq!(of(0.4, 1.1), Verdict::Open);
        assert_eq!(of(1.1, 1.2), Verdict::Worse);
        assert_eq!(Verdict::of(&Figure::exact(1.0)), Verdict::Same);
    }
}
