//! Which test ran which lines of each listing: `tests/coverage.json`.
//!
//! `cargo xtask coverage` writes the file; nobody edits it. For each listing the file has a
//! fingerprint of the lines that a page shows, the lines among them that hold code, and the tests,
//! grouped by the lines that they ran. Lines are counted from the first one that a page shows.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::files::{fingerprint, root};

/// The committed record.
pub const FILE: &str = "tests/coverage.json";

/// Numbers of lines, or of tests.
pub type Numbers = BTreeSet<usize>;

/// The record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Measured {
    /// The native tests, as `package name`.
    pub native: Vec<String>,
    /// The tests in the real runtime.
    pub runtime: Vec<String>,
    /// Each listing, as `file:anchor`.
    pub listings: BTreeMap<String, Lines>,
}

/// The measurement of one listing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lines {
    /// The fingerprint of the listing's text.
    pub text: String,
    /// The lines that hold code, as llvm-cov sees it.
    pub code: Numbers,
    /// The tests, grouped by the lines that they ran. A number is an index into the native tests,
    /// followed by the tests in the real runtime.
    pub ran: BTreeMap<Numbers, Numbers>,
}

impl Lines {
    /// The lines with code that none of the counted tests ran.
    pub fn unrun(&self, counts: impl Fn(usize) -> bool) -> Numbers {
        let ran = self.ran.iter();
        let ran = ran.filter(|(_, tests)| tests.iter().any(|test| counts(*test)));
        let ran: Numbers = ran.flat_map(|(lines, _)| lines.iter().copied()).collect();
        self.code.difference(&ran).copied().collect()
    }
}

/// The fingerprint of the lines that a page shows, without their indentation.
pub fn text_of(lines: &[(usize, &str)]) -> String {
    let lines: Vec<&[u8]> = lines
        .iter()
        .map(|(_, line)| line.trim().as_bytes())
        .collect();
    fingerprint(&lines)
}

impl Measured {
    /// Reads the committed record.
    pub fn read() -> Result<Self> {
        let text = std::fs::read_to_string(root().join(FILE))
            .with_context(|| format!("cannot read {FILE}"))?;
        Self::parsed(&text)
            .with_context(|| format!("{FILE} cannot be read: make it with `cargo xtask coverage`"))
    }

    /// A test by its number, and whether it ran in the real runtime.
    pub fn test(&self, number: usize) -> Option<(&str, bool)> {
        let native = self.native.get(number).map(|name| (name.as_str(), false));
        let runtime = || {
            let name = self.runtime.get(number.checked_sub(self.native.len())?)?;
            Some((name.as_str(), true))
        };
        native.or_else(runtime)
    }

    /// The number of listings that a test ran a part of.
    pub fn breadth(&self, test: usize) -> usize {
        let listings = self.listings.values();
        let ran = |lines: &&Lines| lines.ran.values().any(|tests| tests.contains(&test));
        listings.filter(ran).count()
    }

    fn parsed(text: &str) -> Result<Self> {
        let value: Value = serde_json::from_str(text)?;
        let names = |name: &str| serde_json::from_value(value[name].clone());
        let listings = value["listings"].as_object().context("listings")?;
        let listings = listings.iter().map(|(key, of)| {
            let text = |name: &str| of[name].as_str().with_context(|| format!("{key}: {name}"));
            let ran = of["ran"].as_object().context("ran")?;
            let ran = ran.iter().map(|(lines, tests)| {
                Ok((numbers(lines)?, numbers(tests.as_str().context("tests")?)?))
            });
            let lines = Lines {
                text: text("text")?.to_owned(),
                code: numbers(text("code")?)?,
                ran: ran.collect::<Result<_>>()?,
            };
            Ok((key.clone(), lines))
        });
        Ok(Self {
            native: names("native")?,
            runtime: names("runtime")?,
            listings: listings.collect::<Result<_>>()?,
        })
    }

    /// The record as text: one line for each test, and a few for each listing.
    pub fn written(&self) -> String {
        let quoted = |text: &str| Value::from(text).to_string();
        let names = |names: &[String]| {
            let names = names.iter().map(|name| format!("    {}", quoted(name)));
            Vec::from_iter(names).join(",\n")
        };
        let listings = self.listings.iter().map(|(key, of)| {
            let ran = of.ran.iter().map(|(lines, tests)| {
                format!(
                    "\n      {}: {}",
                    quoted(&ranges(lines, "-")),
                    quoted(&ranges(tests, "-"))
                )
            });
            format!(
                "    {}: {{ \"text\": {}, \"code\": {}, \"ran\": {{{} }} }}",
                quoted(key),
                quoted(&of.text),
                quoted(&ranges(&of.code, "-")),
                Vec::from_iter(ran).join(",")
            )
        });
        format!(
            "{{\n  \"native\": [\n{}\n  ],\n  \"runtime\": [\n{}\n  ],\n  \"listings\": {{\n{}\n  }}\n}}\n",
            names(&self.native),
            names(&self.runtime),
            Vec::from_iter(listings).join(",\n")
        )
    }
}

/// Numbers as text: `1-3 5`, with any word between the ends of a range.
pub fn ranges(numbers: &Numbers, to: &str) -> String {
    let mut found: Vec<(usize, usize)> = Vec::new();
    for number in numbers {
        match found.last_mut() {
            Some((_, last)) if *last + 1 == *number => *last = *number,
            _ => found.push((*number, *number)),
        }
    }
    let texts = found.iter().map(|(first, last)| match first == last {
        true => first.to_string(),
        false => format!("{first}{to}{last}"),
    });
    Vec::from_iter(texts).join(" ")
}

fn numbers(text: &str) -> Result<Numbers> {
    let mut numbers = Numbers::new();
    for range in text.split_whitespace() {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (usize, usize) = (first.parse()?, last.parse()?);
        numbers.extend(first..=last);
    }
    Ok(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(numbers: &[usize]) -> Numbers {
        numbers.iter().copied().collect()
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let lines = Lines {
            text: "0123".to_owned(),
            code: set(&[1, 2, 3, 7]),
            ran: [(set(&[1, 2]), set(&[0, 1])), (set(&[7]), set(&[2]))].into(),
        };
        let measured = Measured {
            native: vec!["crate a::b".to_owned(), "listings c".to_owned()],
            runtime: vec!["hosts::a \"name\"".to_owned()],
            listings: [
                ("a.rs:all".to_owned(), lines),
                ("b.rs:x".to_owned(), Lines::default()),
            ]
            .into(),
        };
        assert_eq!(Measured::parsed(&measured.written()).unwrap(), measured);
        assert_eq!(measured.test(1), Some(("listings c", false)));
        assert_eq!(measured.test(2), Some(("hosts::a \"name\"", true)));
        assert_eq!(measured.test(3), None);
    }

    #[test]
    fn a_line_is_unrun_if_only_tests_that_do_not_count_ran_it() {
        let lines = Lines {
            text: String::new(),
            code: set(&[1, 2, 3]),
            ran: [(set(&[1, 2]), set(&[0])), (set(&[2]), set(&[1]))].into(),
        };
        assert_eq!(lines.unrun(|_| true), set(&[3]));
        assert_eq!(lines.unrun(|test| test == 1), set(&[1, 3]));
        assert_eq!(lines.unrun(|_| false), set(&[1, 2, 3]));
    }

    #[test]
    fn a_listing_is_the_same_wherever_it_stands_and_however_far_in() {
        let text = |lines: &[(usize, &str)]| text_of(lines);
        assert_eq!(text(&[(5, "  c")]), text(&[(2, "c")]));
        assert_ne!(text(&[(1, "b"), (2, "c")]), text(&[(1, "c")]));
    }

    #[test]
    fn neighbours_become_a_range() {
        assert_eq!(ranges(&set(&[1, 2, 3, 5, 8, 9]), "–"), "1–3 5 8–9");
        assert_eq!(numbers("1-3 5").unwrap(), set(&[1, 2, 3, 5]));
        assert!(numbers("one").is_err());
    }
}
