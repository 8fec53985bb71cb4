//! Makes one list of several sources.

use std::collections::BTreeSet;

use thiserror::Error;

use super::header::{Header, Statistics};
use super::line::{Parsed, Rule};

/// A finished list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compiled {
    /// The comment lines above it.
    pub header: Header,
    /// The rules, sorted and without duplicates.
    pub rules: BTreeSet<Rule>,
}

/// Why a list could not be made.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum CompileError {
    /// No rule is left. An empty list is not stored: its users would have no blocking at all.
    #[error("list `{name}` has no rules: {invalid} of {lines} lines are invalid")]
    EmptyList {
        /// The list's name.
        name: String,
        /// The number of invalid lines.
        invalid: usize,
        /// The number of all lines.
        lines: usize,
    },
}

/// Makes one list of all sources: each rule once, and none that an exception
/// beside it undoes.
///
/// The exception stays, because it may also undo rules of other lists.
///
/// # Errors
///
/// If no rule is left.
pub fn compile(name: &str, sources: &[Parsed]) -> Result<Compiled, CompileError> {
    let read: usize = sources.iter().map(|source| source.rules.len()).sum();
    let skipped: usize = sources.iter().map(|source| source.skipped).sum();
    let invalid: usize = sources.iter().map(|source| source.invalid.len()).sum();
    let distinct: BTreeSet<&Rule> = sources.iter().flat_map(|source| &source.rules).collect();
    let is_undone = |rule: &&&Rule| {
        rule.undoing()
            .is_some_and(|exception| distinct.contains(&exception))
    };
    let undone = distinct.iter().filter(is_undone).count();
    let rules: BTreeSet<Rule> = distinct
        .iter()
        .filter(|rule| !is_undone(rule))
        .map(|&rule| rule.clone())
        .collect();
    if rules.is_empty() {
        return Err(CompileError::EmptyList {
            name: name.to_owned(),
            invalid,
            lines: read + skipped + invalid,
        });
    }
    let statistics = Statistics {
        sources: sources.len(),
        rules: rules.len(),
        exceptions: rules.iter().filter(|rule| rule.is_exception()).count(),
        duplicates: read - distinct.len(),
        undone,
        invalid,
    };
    let header = Header::new(name, &rules, statistics);
    Ok(Compiled { header, rules })
}

impl Compiled {
    /// The text of the list, as it is stored and served.
    pub fn to_text(&self) -> String {
        let mut text = self.header.to_string();
        for rule in &self.rules {
            text.push_str(&rule.to_string());
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    fn compiled(sources: &[&str]) -> Compiled {
        let parsed: Vec<Parsed> = sources.iter().map(|source| parse(source)).collect();
        compile("test", &parsed).expect("rules")
    }

    #[test]
    fn the_same_rule_in_different_spellings_and_syntaxes_is_there_once() {
        let list = compiled(&["||ADS.test^\n||ads.test^", "0.0.0.0 ads.test"]);
        assert_eq!(list.rules.len(), 1);
        assert_eq!(list.header.statistics.duplicates, 2);
    }

    #[test]
    fn an_exception_drops_the_identical_rule_and_stays() {
        let list = compiled(&["||a.test^$script\n||a.test^", "@@||a.test^$script"]);
        let rules: Vec<String> = list.rules.iter().map(Rule::to_string).collect();
        assert_eq!(rules, ["||a.test^", "@@||a.test^$script"]);
        assert_eq!(list.header.statistics.undone, 1);
        let list = compiled(&["a.test##.ad\na.test#@#.ad"]);
        assert_eq!(list.rules.len(), 1);
    }

    #[test]
    fn an_exception_does_not_drop_a_rule_that_has_priority() {
        let list = compiled(&["||a.test^$important\n@@||a.test^$important"]);
        assert_eq!(list.rules.len(), 2);
    }

    #[test]
    fn an_empty_list_is_an_error_that_names_the_list() {
        let error = compile("nothing", &[parse("! only a comment\nnot a rule")]);
        let error = error.expect_err("no rules").to_string();
        assert_eq!(
            error,
            "list `nothing` has no rules: 1 of 2 lines are invalid"
        );
    }

    #[test]
    fn the_text_is_what_a_blocker_subscribes_to() {
        let text =
            compiled(&["||b.test^\n||a.test^\n@@||c.test^\na.test##.Ad\nbad rule"]).to_text();
        let (header, rules) = text.split_once("\n||").expect("rules");
        assert_eq!(rules, "a.test^\n||b.test^\n@@||c.test^\na.test##.Ad\n");
        assert!(header.starts_with("[Adblock Plus 2.0]\n! Title: test\n! Version: "));
    }
}
