//! Why a line is left out.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Why a line is not a rule.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Blanks inside a rule that has none.
    #[error("a network rule has no spaces")]
    Space,
    /// A rule without a pattern that is not limited to anything either.
    #[error("the rule would match every request")]
    MatchesEverything,
    /// An option no blocker knows, or one that is malformed.
    #[error("unknown option")]
    UnknownOption,
    /// A list of domains with something else in it.
    #[error("not a domain")]
    NotADomain,
    /// A cosmetic rule that selects nothing.
    #[error("the selector is empty")]
    NoSelector,
    /// Syntax that only one product understands.
    #[error("syntax of one product only")]
    Unsupported,
    /// Not a line a person wrote.
    #[error("the line is too long")]
    TooLong,
    /// A comment where a rule is expected.
    #[error("not a rule")]
    NotARule,
    /// Control characters.
    #[error("the line is not text")]
    NotText,
}
