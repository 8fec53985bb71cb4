//! The contexts that the runtime passes to the body of a step and to a rollback. If an older
//! runtime leaves out a value, the runtime's default is used, because a step must not fail for
//! a detail that its body may not use.

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::config::{Backoff, StepSensitivity};
use super::duration::{WorkflowDuration, WorkflowSleepDuration};
use super::error::StepError;

/// The context of the current attempt.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct WorkflowStepContext {
    /// The step.
    pub step: WorkflowStepInfo,
    /// The number of the attempt, counted from 1.
    pub attempt: u32,
    /// The step's configuration, with the runtime's defaults.
    pub config: ResolvedStepConfig,
}

/// A step of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WorkflowStepInfo {
    /// The name, as given to [`do_`](super::WorkflowStep::do_).
    pub name: String,
    /// The number of this step among the steps of the same name in the run, counted from 1. It
    /// distinguishes the steps of a loop.
    pub count: u32,
}

/// The configuration of a step, with the runtime's defaults.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ResolvedStepConfig {
    /// How long one attempt may take.
    pub timeout: WorkflowSleepDuration,
    /// How a failed attempt is retried.
    pub retries: ResolvedRetryConfig,
    /// The sensitive part, from [`StepConfig::sensitive`](super::StepConfig::sensitive).
    pub sensitive: Option<StepSensitivity>,
}

/// How a failed attempt is retried, with the runtime's defaults.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ResolvedRetryConfig {
    /// How many attempts follow the first one.
    pub limit: u32,
    /// How long to wait before the next attempt.
    pub delay: WorkflowSleepDuration,
    /// How the delay grows.
    pub backoff: Backoff,
}

/// The argument of a rollback: see
/// [`WorkflowStep::do_with_rollback`](super::WorkflowStep::do_with_rollback).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct WorkflowRollbackContext<T> {
    /// The context of the step that is undone, from its last attempt.
    pub ctx: WorkflowStepContext,
    /// The error by which the Workflow failed.
    pub error: StepError,
    /// The step's result. `None` if the step has not finished.
    pub output: Option<T>,
}

impl Default for ResolvedStepConfig {
    fn default() -> Self {
        ResolvedStepConfig {
            timeout: WorkflowSleepDuration::new(10, WorkflowDuration::Minutes),
            retries: ResolvedRetryConfig::default(),
            sensitive: None,
        }
    }
}

impl Default for ResolvedRetryConfig {
    fn default() -> Self {
        ResolvedRetryConfig {
            limit: 5,
            delay: WorkflowSleepDuration::new(1, WorkflowDuration::Seconds),
            backoff: Backoff::Exponential,
        }
    }
}

impl WorkflowStepContext {
    /// Reads the context from the runtime. `name` and `attempt` are used if the runtime leaves
    /// them out.
    pub(super) fn read(told: &Value, name: &str, attempt: u32) -> Self {
        let step = &told["step"];
        WorkflowStepContext {
            step: WorkflowStepInfo {
                name: step["name"].as_str().unwrap_or(name).to_owned(),
                count: count(&step["count"]).unwrap_or(1),
            },
            attempt: count(&told["attempt"]).unwrap_or(attempt),
            config: ResolvedStepConfig::read(&told["config"]),
        }
    }
}

impl ResolvedStepConfig {
    fn read(told: &Value) -> Self {
        let defaults = ResolvedStepConfig::default();
        let ResolvedRetryConfig {
            limit,
            delay,
            backoff,
        } = defaults.retries;
        let retries = &told["retries"];
        ResolvedStepConfig {
            timeout: read(&told["timeout"]).unwrap_or(defaults.timeout),
            retries: ResolvedRetryConfig {
                limit: read(&retries["limit"]).unwrap_or(limit),
                delay: read(&retries["delay"]).unwrap_or(delay),
                backoff: read(&retries["backoff"]).unwrap_or(backoff),
            },
            sensitive: read(&told["sensitive"]),
        }
    }
}

/// A number that counts from 1.
fn count(told: &Value) -> Option<u32> {
    read(told).filter(|&count| count >= 1)
}

fn read<T: DeserializeOwned>(told: &Value) -> Option<T> {
    T::deserialize(told).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_step_context_is_read_by_the_runtimes_names() {
        let told = json!({
            "step": { "name": "store", "count": 2 },
            "attempt": 3,
            "config": {
                "retries": { "limit": 7, "delay": 20, "backoff": "constant" },
                "timeout": "30 seconds",
                "sensitive": "output",
            },
        });
        let context = WorkflowStepContext::read(&told, "not this", 1);
        assert_eq!((&*context.step.name, context.step.count), ("store", 2));
        assert_eq!(context.attempt, 3);
        let expected = ResolvedStepConfig {
            timeout: "30 seconds".into(),
            retries: ResolvedRetryConfig {
                limit: 7,
                delay: std::time::Duration::from_millis(20).into(),
                backoff: Backoff::Constant,
            },
            sensitive: Some(StepSensitivity::Output),
        };
        assert_eq!(context.config, expected);
    }

    #[test]
    fn what_the_runtime_does_not_tell_is_our_own_knowledge_or_its_default() {
        for told in [
            Value::Null,
            json!({}),
            json!({ "attempt": 0, "step": { "count": 0 } }),
            json!({ "attempt": -1.5, "step": "store", "config": { "retries": 3 } }),
        ] {
            let context = WorkflowStepContext::read(&told, "store", 4);
            assert_eq!((&*context.step.name, context.step.count), ("store", 1));
            assert_eq!(context.attempt, 4, "{told}");
            assert_eq!(context.config, ResolvedStepConfig::default());
        }
    }

    #[test]
    fn one_setting_that_cannot_be_read_does_not_take_the_others_along() {
        let told = json!({ "config": {
            "retries": { "limit": 2, "delay": {}, "backoff": "random" },
            "timeout": 5_000,
        } });
        let config = WorkflowStepContext::read(&told, "store", 1).config;
        let defaults = ResolvedRetryConfig::default();
        let retries = ResolvedRetryConfig {
            limit: 2,
            ..defaults
        };
        assert_eq!(config.retries, retries);
        assert_eq!(config.timeout, std::time::Duration::from_secs(5).into());
    }
}
