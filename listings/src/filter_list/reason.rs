//! Why a line is left out.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Why a line is not a rule.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The rule contains spaces.
    #[error("a network rule has no spaces")]
    Space,
    /// The rule has no pattern and no option that limits it.
    #[error("the rule would match every request")]
    MatchesEverything,
    /// An option is unknown or malformed.
    #[error("unknown option")]
    UnknownOption,
    /// A list of domains contains something else.
    #[error("not a domain")]
    NotADomain,
    /// The selector of a cosmetic rule is empty.
    #[error("the selector is empty")]
    NoSelector,
    /// Only one product understands the syntax.
    #[error("syntax of one product only")]
    Unsupported,
    /// The line is longer than a person would write.
    #[error("the line is too long")]
    TooLong,
    /// The line is a comment.
    #[error("not a rule")]
    NotARule,
    /// The line contains control characters.
    #[error("the line is not text")]
    NotText,
}
