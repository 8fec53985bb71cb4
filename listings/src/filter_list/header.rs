//! The comment lines above a compiled list, written and read.

use std::collections::BTreeSet;
use std::fmt::{self, Write};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::line::Rule;
use crate::fnv::Fnv;

const FIRST: &str = "[Adblock Plus 2.0]";

/// The comment lines above a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// The list's name.
    pub title: String,
    /// A hash of the rules.
    pub version: String,
    /// The numbers of lines and rules.
    pub statistics: Statistics,
}

/// The numbers of lines and rules.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statistics {
    /// Sources that were read.
    pub sources: usize,
    /// Rules in the list.
    pub rules: usize,
    /// Exceptions among these rules.
    pub exceptions: usize,
    /// Rules left out because they occur more than once.
    pub duplicates: usize,
    /// Rules left out because of an exception.
    pub undone: usize,
    /// Lines left out because they are invalid.
    pub invalid: usize,
}

/// A stored list whose header is not what the compiler writes.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("stored list `{name}` cannot be read: line {line} is not `{expected}`")]
pub struct UnreadableHeader {
    /// The list that was asked for.
    pub name: String,
    /// The number of the line where reading failed, from 1.
    pub line: usize,
    /// The text that was expected there.
    pub expected: &'static str,
}

impl Header {
    pub(super) fn new(title: &str, rules: &BTreeSet<Rule>, statistics: Statistics) -> Self {
        let mut hash = Fnv::default();
        for rule in rules {
            // Writing into a hash cannot fail.
            let _ = writeln!(hash, "{rule}");
        }
        Header {
            title: title.to_owned(),
            version: hash.to_string(),
            statistics,
        }
    }

    /// Reads the header of stored list `name`.
    ///
    /// # Errors
    ///
    /// If a line is missing or has another form.
    pub fn read(name: &str, text: &str) -> Result<Self, UnreadableHeader> {
        let unreadable = |line, expected| UnreadableHeader {
            name: name.to_owned(),
            line,
            expected,
        };
        let mut lines = text.lines();
        let mut line = 0;
        let mut next = |expected: &'static str| {
            line += 1;
            let rest = lines.next().and_then(|text| text.strip_prefix(expected));
            Ok((line, rest.ok_or(unreadable(line, expected))?))
        };
        next(FIRST)?;
        let (_, title) = next("! Title: ")?;
        let (_, version) = next("! Version: ")?;
        let mut number = |expected| {
            let (line, number) = next(expected)?;
            number.parse().map_err(|_| unreadable(line, expected))
        };
        let statistics = Statistics {
            sources: number("! Sources: ")?,
            rules: number("! Rules: ")?,
            exceptions: number("! Exceptions: ")?,
            duplicates: number("! Duplicates: ")?,
            undone: number("! Undone: ")?,
            invalid: number("! Invalid: ")?,
        };
        Ok(Header {
            title: title.to_owned(),
            version: version.to_owned(),
            statistics,
        })
    }
}

impl fmt::Display for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Statistics {
            sources,
            rules,
            exceptions,
            duplicates,
            undone,
            invalid,
        } = self.statistics;
        writeln!(f, "{FIRST}")?;
        writeln!(f, "! Title: {}", self.title)?;
        writeln!(f, "! Version: {}", self.version)?;
        writeln!(f, "! Sources: {sources}")?;
        writeln!(f, "! Rules: {rules}")?;
        writeln!(f, "! Exceptions: {exceptions}")?;
        writeln!(f, "! Duplicates: {duplicates}")?;
        writeln!(f, "! Undone: {undone}")?;
        writeln!(f, "! Invalid: {invalid}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_survives_storage() {
        let header = Header::new("test", &BTreeSet::new(), Statistics::default());
        let text = format!("{header}||a.test^\n");
        assert_eq!(Header::read("test", &text), Ok(header));
    }

    #[test]
    fn an_unreadable_list_is_named_with_the_line() {
        let error = Header::read("easy", "[Adblock Plus 2.0]\nspoiled").expect_err("no title");
        assert_eq!(
            error.to_string(),
            "stored list `easy` cannot be read: line 2 is not `! Title: `"
        );
        let text = Header::new("easy", &BTreeSet::new(), Statistics::default()).to_string();
        for (spoiled, line) in [
            (text.replace("Rules: 0", "Rules: x"), 5),
            (text.replace("! Invalid: 0\n", ""), 9),
            (String::new(), 1),
        ] {
            let error = Header::read("easy", &spoiled).expect_err("spoiled");
            assert_eq!(error.line, line, "{error}");
        }
    }
}
