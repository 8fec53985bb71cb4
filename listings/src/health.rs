//! Whether the lists can be read and are not empty.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The result of a check of one list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// The list.
    pub list: String,
    /// The problem, if there is one.
    pub problem: Option<String>,
}

/// The answer to `GET /health`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// The number of checked lists.
    pub checked: usize,
    /// The problems, each with the name of the list.
    pub problems: Vec<String>,
}

// ANCHOR: unhealthy
/// Something is wrong, and was so the second time too.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{} of {checked} lists are not in order: {}", problems.len(), problems.join("; "))]
pub struct Unhealthy {
    /// Lists looked at.
    pub checked: usize,
    /// What is wrong with which list.
    pub problems: Vec<String>,
}
// ANCHOR_END: unhealthy

impl Verdict {
    // ANCHOR: verdict
    /// The verdict on what two looks found. A problem that only one of them saw
    /// was passing.
    pub fn of(first: &[Finding], second: &[Finding]) -> Self {
        let lasting = |finding: &&Finding| {
            let mut before = first.iter().filter(|other| other.list == finding.list);
            before.any(|other| other.problem.is_some())
        };
        let problem = |finding: &Finding| {
            let problem = finding.problem.as_ref()?;
            Some(format!("`{}`: {problem}", finding.list))
        };
        Verdict {
            checked: second.len(),
            problems: second.iter().filter(lasting).filter_map(problem).collect(),
        }
    }
    // ANCHOR_END: verdict

    /// Whether there are no problems.
    pub fn is_healthy(&self) -> bool {
        self.problems.is_empty()
    }

    /// Turns a verdict with problems into an error.
    ///
    /// # Errors
    ///
    /// If there are problems.
    pub fn into_result(self) -> Result<Self, Unhealthy> {
        if self.is_healthy() {
            return Ok(self);
        }
        Err(Unhealthy {
            checked: self.checked,
            problems: self.problems,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(list: &str, problem: Option<&str>) -> Finding {
        Finding {
            list: list.into(),
            problem: problem.map(str::to_owned),
        }
    }

    #[test]
    fn only_a_problem_that_both_looks_saw_counts() {
        let first = [finding("a", Some("gone")), finding("b", None)];
        let passed = [finding("a", None), finding("b", Some("gone"))];
        assert!(Verdict::of(&first, &passed).is_healthy());
        let error = Verdict::of(&first, &first).into_result();
        let error = error.expect_err("a problem").to_string();
        assert_eq!(error, "1 of 2 lists are not in order: `a`: gone");
    }
}
