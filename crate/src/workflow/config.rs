//! The settings of steps, in the form in which the runtime reads them.

use std::time::Duration;

use serde::Serialize;

/// How often and how patiently a step is tried.
///
/// ```
/// use std::time::Duration;
/// use worker_sentry::workflow::{Backoff, RetryConfig, StepConfig};
///
/// let config = StepConfig {
///     retries: Some(RetryConfig {
///         limit: 3,
///         delay: Duration::from_secs(5).into(),
///         backoff: Some(Backoff::Exponential),
///     }),
///     timeout: Some("1 minute".into()),
/// };
/// # let _ = config;
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct StepConfig {
    /// How a failed attempt is repeated; the runtime's own rule if not said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retries: Option<RetryConfig>,
    /// How long one attempt may take; ten minutes if not said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<WorkflowDuration>,
}

/// How a failed attempt is repeated.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RetryConfig {
    /// How many attempts follow the first one.
    pub limit: u32,
    /// How long to wait before the next attempt.
    pub delay: WorkflowDuration,
    /// How the delay grows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backoff: Option<Backoff>,
}

/// How the delay between attempts grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Backoff {
    /// Not at all.
    Constant,
    /// By the first delay each time.
    Linear,
    /// Twice as long each time.
    Exponential,
}

/// What to wait for with [`WorkflowStep::wait_for_event`](super::WorkflowStep::wait_for_event).
///
/// ```
/// use worker_sentry::workflow::WaitForEventOptions;
///
/// let options = WaitForEventOptions {
///     event_type: "approval".into(),
///     timeout: Some("1 hour".into()),
/// };
/// # let _ = options;
/// ```
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WaitForEventOptions {
    /// The type given to [`WorkflowInstance::send_event`](super::WorkflowInstance::send_event).
    #[serde(rename = "type")]
    pub event_type: String,
    /// How long to wait; 24 hours if not said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<WorkflowDuration>,
}

/// A length of time: a [`Duration`], or text such as `"10 seconds"` or `"1 hour"`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum WorkflowDuration {
    /// Milliseconds.
    Milliseconds(u64),
    /// A number and a unit, as Cloudflare writes them.
    String(String),
}

impl From<Duration> for WorkflowDuration {
    fn from(duration: Duration) -> Self {
        // What JavaScript cannot count exactly is longer than any Workflow runs.
        const MAX_SAFE: u128 = (1 << 53) - 1;
        WorkflowDuration::Milliseconds(duration.as_millis().min(MAX_SAFE) as u64)
    }
}

impl From<&str> for WorkflowDuration {
    fn from(text: &str) -> Self {
        WorkflowDuration::String(text.to_owned())
    }
}

impl From<String> for WorkflowDuration {
    fn from(text: String) -> Self {
        WorkflowDuration::String(text)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{json, to_value};

    use super::*;

    #[test]
    fn a_step_config_has_the_runtimes_names_and_leaves_out_what_is_not_said() {
        let full = StepConfig {
            retries: Some(RetryConfig {
                limit: 2,
                delay: "1 second".into(),
                backoff: Some(Backoff::Linear),
            }),
            timeout: Some(Duration::from_secs(3).into()),
        };
        assert_eq!(
            to_value(full).unwrap(),
            json!({
                "retries": { "limit": 2, "delay": "1 second", "backoff": "linear" },
                "timeout": 3_000,
            })
        );
        assert_eq!(to_value(StepConfig::default()).unwrap(), json!({}));
        let no_backoff = RetryConfig {
            limit: 0,
            delay: Duration::ZERO.into(),
            backoff: None,
        };
        assert_eq!(
            to_value(no_backoff).unwrap(),
            json!({ "limit": 0, "delay": 0 })
        );
    }

    #[test]
    fn every_backoff_has_the_runtimes_name() {
        for (backoff, name) in [
            (Backoff::Constant, "constant"),
            (Backoff::Linear, "linear"),
            (Backoff::Exponential, "exponential"),
        ] {
            assert_eq!(to_value(backoff).unwrap(), json!(name));
        }
    }

    #[test]
    fn an_events_type_is_called_type() {
        let options = WaitForEventOptions {
            event_type: "approval".into(),
            timeout: None,
        };
        assert_eq!(to_value(options).unwrap(), json!({ "type": "approval" }));
    }

    #[test]
    fn a_duration_beyond_javascript_is_the_longest_it_can_count() {
        let longest = WorkflowDuration::from(Duration::MAX);
        assert_eq!(to_value(longest).unwrap(), json!(9_007_199_254_740_991_u64));
    }
}
