//! Lengths of time as the runtime reads them: a text such as `"10 seconds"`, or a
//! number of milliseconds.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The largest integer that JavaScript represents exactly, 2⁵³ − 1. In milliseconds it is
/// longer than any Workflow runs.
const MAX_SAFE_MS: u128 = (1 << 53) - 1;

/// A unit of time, for [`WorkflowSleepDuration::new`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorkflowDuration {
    /// Seconds.
    Seconds,
    /// Minutes.
    Minutes,
    /// Hours.
    Hours,
    /// Days.
    Days,
    /// Weeks.
    Weeks,
    /// Months.
    Months,
    /// Years.
    Years,
}

impl WorkflowDuration {
    /// The runtime's word for the unit.
    fn as_str(self) -> &'static str {
        match self {
            WorkflowDuration::Seconds => "seconds",
            WorkflowDuration::Minutes => "minutes",
            WorkflowDuration::Hours => "hours",
            WorkflowDuration::Days => "days",
            WorkflowDuration::Weeks => "weeks",
            WorkflowDuration::Months => "months",
            WorkflowDuration::Years => "years",
        }
    }
}

/// A length of time: of a sleep, a timeout, a delay between attempts, or the time for which
/// an ended instance is kept.
///
/// A length is made from an amount and a unit, from a [`Duration`], or from a text that the
/// runtime reads, such as `"10 seconds"` or `"1 hour"`. This crate does not check the text: the
/// runtime rejects the call if the text is malformed. Milliseconds above 2⁵³ − 1 become 2⁵³ − 1.
///
/// ```
/// use std::time::Duration;
/// use worker_sentry::workflow::{WorkflowDuration, WorkflowSleepDuration};
///
/// let in_units = WorkflowSleepDuration::new(10, WorkflowDuration::Minutes);
/// assert_eq!(in_units, WorkflowSleepDuration::from("10 minutes"));
/// let in_milliseconds = WorkflowSleepDuration::from(Duration::from_millis(1_500));
/// # let _ = in_milliseconds;
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct WorkflowSleepDuration(Length);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Length {
    Milliseconds(u64),
    Text(String),
}

impl WorkflowSleepDuration {
    /// Makes a length of `amount` units.
    pub fn new(amount: u32, unit: WorkflowDuration) -> Self {
        WorkflowSleepDuration(Length::Text(format!("{amount} {}", unit.as_str())))
    }
}

impl From<Duration> for WorkflowSleepDuration {
    fn from(duration: Duration) -> Self {
        let ms = duration.as_millis().min(MAX_SAFE_MS) as u64;
        WorkflowSleepDuration(Length::Milliseconds(ms))
    }
}

impl From<&str> for WorkflowSleepDuration {
    fn from(text: &str) -> Self {
        WorkflowSleepDuration(Length::Text(text.to_owned()))
    }
}

impl From<String> for WorkflowSleepDuration {
    fn from(text: String) -> Self {
        WorkflowSleepDuration(Length::Text(text))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json, to_value};

    use super::*;

    #[test]
    fn every_unit_has_the_runtimes_word() {
        for (unit, text) in [
            (WorkflowDuration::Seconds, "2 seconds"),
            (WorkflowDuration::Minutes, "2 minutes"),
            (WorkflowDuration::Hours, "2 hours"),
            (WorkflowDuration::Days, "2 days"),
            (WorkflowDuration::Weeks, "2 weeks"),
            (WorkflowDuration::Months, "2 months"),
            (WorkflowDuration::Years, "2 years"),
        ] {
            let duration = WorkflowSleepDuration::new(2, unit);
            assert_eq!(to_value(duration).unwrap(), json!(text));
        }
    }

    #[test]
    fn a_duration_is_a_text_or_a_number_of_milliseconds_and_is_read_back_as_such() {
        let text = WorkflowSleepDuration::from("10 seconds");
        assert_eq!(to_value(&text).unwrap(), json!("10 seconds"));
        let number = WorkflowSleepDuration::from(Duration::from_secs(3));
        assert_eq!(to_value(&number).unwrap(), json!(3_000));
        let read = |value| from_value::<WorkflowSleepDuration>(value).unwrap();
        assert_eq!(read(json!("10 seconds")), text);
        assert_eq!(read(json!(3_000)), number);
    }

    #[test]
    fn a_duration_beyond_javascript_is_the_longest_it_can_count() {
        let longest = WorkflowSleepDuration::from(Duration::MAX);
        assert_eq!(to_value(longest).unwrap(), json!(9_007_199_254_740_991_u64));
    }
}
