//! The outcome of each list of a batch.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// One list of a batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// The list's name.
    pub name: String,
    /// The list's outcome.
    pub outcome: Outcome,
}

/// The outcome of one list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The Workflow instance with this id compiles the list.
    Running(String),
    /// The list is stored.
    Done,
    /// The list was not compiled, for this reason.
    Failed(String),
}

/// The result of a batch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// The number of stored lists.
    pub done: usize,
    /// The number of lists that were still being compiled when the batch stopped waiting.
    pub running: usize,
}

// ANCHOR: partial_failure
/// A batch of which not everything succeeded.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{} of {total} lists of a batch failed: {}", failed.len(), failed.join("; "))]
pub struct PartialFailure {
    /// How many lists there were.
    pub total: usize,
    /// The names of those that failed, each with the reason.
    pub failed: Vec<String>,
}
// ANCHOR_END: partial_failure

/// Whether some list is still being compiled.
pub fn is_running(members: &[Member]) -> bool {
    members
        .iter()
        .any(|member| matches!(member.outcome, Outcome::Running(_)))
}

/// Counts the outcomes.
///
/// # Errors
///
/// If a list failed. The other lists of the batch are stored or still being compiled.
pub fn sum_up(members: &[Member]) -> Result<Summary, PartialFailure> {
    let mut summary = Summary::default();
    let mut failed = Vec::new();
    for member in members {
        match &member.outcome {
            Outcome::Done => summary.done += 1,
            Outcome::Running(_) => summary.running += 1,
            Outcome::Failed(reason) => failed.push(format!("`{}`: {reason}", member.name)),
        }
    }
    if failed.is_empty() {
        return Ok(summary);
    }
    Err(PartialFailure {
        total: members.len(),
        failed,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(name: &str, outcome: Outcome) -> Member {
        Member {
            name: name.into(),
            outcome,
        }
    }

    #[test]
    fn a_batch_fails_with_the_names_of_those_that_failed_and_no_others() {
        let members = [
            member("good", Outcome::Done),
            member("bad", Outcome::Failed("no rules".into())),
            member("worse", Outcome::Failed("no sources".into())),
        ];
        let error = sum_up(&members).expect_err("two failed").to_string();
        let expected = "2 of 3 lists of a batch failed: `bad`: no rules; `worse`: no sources";
        assert_eq!(error, expected);
    }

    #[test]
    fn a_list_still_at_work_is_no_failure() {
        let members = [
            member("a", Outcome::Done),
            member("b", Outcome::Running("b-1".into())),
        ];
        assert!(is_running(&members));
        assert!(!is_running(&members[..1]));
        let summary = Summary {
            done: 1,
            running: 1,
        };
        assert_eq!(sum_up(&members), Ok(summary));
    }
}
