//! The settings of steps and rollbacks, in the form in which the runtime reads them.

use serde::{Deserialize, Serialize};

use super::duration::WorkflowSleepDuration;

/// The settings of a step: its retries, its timeout, and what is sensitive.
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
///     ..StepConfig::default()
/// };
/// # let _ = config;
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct StepConfig {
    /// How a failed attempt is retried. The default is the runtime's own rule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retries: Option<RetryConfig>,
    /// How long one attempt may take. The default is ten minutes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<WorkflowSleepDuration>,
    /// The part of the step that Cloudflare's logs and dashboard must not show. The runtime
    /// still stores the step's result, and `do_` returns it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sensitive: Option<StepSensitivity>,
}

/// The part of a step or an event that is sensitive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StepSensitivity {
    /// The result of the step, or the payload of the event.
    Output,
}

/// How a failed attempt is retried.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RetryConfig {
    /// How many attempts follow the first one.
    pub limit: u32,
    /// How long to wait before the next attempt.
    pub delay: WorkflowSleepDuration,
    /// How the delay grows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backoff: Option<Backoff>,
}

/// How the delay between attempts grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Backoff {
    /// The delay does not grow.
    Constant,
    /// The delay grows by the first delay each time.
    Linear,
    /// The delay doubles each time.
    Exponential,
}

/// The settings of a rollback: its retries and its timeout.
///
/// ```
/// use worker_sentry::workflow::{RetryConfig, RollbackConfig};
///
/// let config = RollbackConfig {
///     retries: Some(RetryConfig { limit: 3, delay: "30 seconds".into(), backoff: None }),
///     timeout: Some("5 minutes".into()),
/// };
/// # let _ = config;
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct RollbackConfig {
    /// How a failed attempt is retried. The default is the runtime's own rule for steps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retries: Option<RetryConfig>,
    /// How long one attempt may take. The default is ten minutes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<WorkflowSleepDuration>,
}

/// The options of [`WorkflowStep::wait_for_event`](super::WorkflowStep::wait_for_event).
///
/// ```
/// use worker_sentry::workflow::WaitForEventOptions;
///
/// let options = WaitForEventOptions {
///     type_: "approval".into(),
///     timeout: Some("1 hour".into()),
/// };
/// # let _ = options;
/// ```
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WaitForEventOptions {
    /// The type given to [`WorkflowInstance::send_event`](super::WorkflowInstance::send_event).
    #[serde(rename = "type")]
    pub type_: String,
    /// How long to wait. The default is 24 hours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<WorkflowSleepDuration>,
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::{from_value, json, to_value};

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
            sensitive: Some(StepSensitivity::Output),
        };
        assert_eq!(
            to_value(full).unwrap(),
            json!({
                "retries": { "limit": 2, "delay": "1 second", "backoff": "linear" },
                "timeout": 3_000,
                "sensitive": "output",
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
    fn a_rollback_config_has_the_runtimes_names_and_leaves_out_what_is_not_said() {
        let full = RollbackConfig {
            retries: Some(RetryConfig {
                limit: 2,
                delay: "1 second".into(),
                backoff: None,
            }),
            timeout: Some("1 minute".into()),
        };
        assert_eq!(
            to_value(full).unwrap(),
            json!({ "retries": { "limit": 2, "delay": "1 second" }, "timeout": "1 minute" })
        );
        assert_eq!(to_value(RollbackConfig::default()).unwrap(), json!({}));
    }

    #[test]
    fn every_backoff_has_the_runtimes_name_both_ways() {
        for (backoff, name) in [
            (Backoff::Constant, "constant"),
            (Backoff::Linear, "linear"),
            (Backoff::Exponential, "exponential"),
        ] {
            assert_eq!(to_value(backoff).unwrap(), json!(name));
            assert_eq!(from_value::<Backoff>(json!(name)).unwrap(), backoff);
        }
    }

    #[test]
    fn an_events_type_is_called_type() {
        let options = WaitForEventOptions {
            type_: "approval".into(),
            timeout: None,
        };
        assert_eq!(to_value(options).unwrap(), json!({ "type": "approval" }));
    }
}
