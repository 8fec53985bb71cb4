//! The jobs of a cron trigger.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The jobs of one cron trigger, as they are stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    /// The jobs to start.
    pub jobs: Vec<Job>,
}

/// A periodic Workflow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Job {
    /// Reads every list once, so that it is in the cache of one location.
    CacheWarming,
    /// Checks every list.
    HealthMonitoring,
}

// ANCHOR: unreadable
/// A stored schedule that cannot be read.
#[derive(Debug, Error)]
#[error("the schedule stored for cron trigger `{cron}` cannot be read")]
pub struct UnreadableSchedule {
    /// The trigger.
    pub cron: String,
    /// What the reader choked on.
    pub source: serde_json::Error,
}
// ANCHOR_END: unreadable

impl Default for Schedule {
    fn default() -> Self {
        Schedule {
            jobs: vec![Job::CacheWarming, Job::HealthMonitoring],
        }
    }
}

impl Schedule {
    /// The storage key of a trigger's schedule.
    pub fn key_of(cron: &str) -> String {
        format!("schedule:{cron}")
    }

    /// Reads the schedule that an operator stored for a trigger. Without one, all jobs run.
    ///
    /// # Errors
    ///
    /// If the text is not a schedule.
    pub fn from_stored(cron: &str, stored: Option<&str>) -> Result<Self, UnreadableSchedule> {
        let Some(stored) = stored else {
            return Ok(Schedule::default());
        };
        serde_json::from_str(stored).map_err(|source| UnreadableSchedule {
            cron: cron.to_owned(),
            source,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trigger_starts_everything_unless_told_otherwise() {
        let default = Schedule::from_stored("0 * * * *", None).expect("nothing to read");
        assert_eq!(default.jobs.len(), 2);
        let stored = r#"{"jobs":["health_monitoring"]}"#;
        let told = Schedule::from_stored("0 * * * *", Some(stored)).expect("a schedule");
        assert_eq!(told.jobs, [Job::HealthMonitoring]);
    }

    #[test]
    fn an_unreadable_schedule_names_its_trigger() {
        let error = Schedule::from_stored("0 * * * *", Some("{")).expect_err("not JSON");
        assert!(error.to_string().contains("`0 * * * *`"));
    }

    #[test]
    fn each_trigger_has_a_schedule_of_its_own() {
        assert_eq!(Schedule::key_of("0 * * * *"), "schedule:0 * * * *");
    }
}
