//! A Workflow that checks every list, waits, and checks again before it reports.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use worker::{Context, Env, Result};
use worker_sentry::workflow::{StepFailure, WorkflowEntrypoint, WorkflowEvent, WorkflowStep};
use worker_sentry::{Handler, with_sentry_in_isolate};

use super::patient;
use crate::health::{Finding, Unhealthy, Verdict};
use crate::lists;

/// The time between the two checks.
const SECOND_LOOK_S: u64 = 30;

/// The input of the Workflow.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Watch {
    /// The lists to check. Without it, all lists are checked.
    pub lists: Option<Vec<String>>,
    /// Seconds until the second check.
    pub second_look_s: Option<u64>,
}

/// Why the monitoring failed.
#[derive(Debug, Error)]
pub enum MonitoringError {
    /// Lists have problems.
    #[error(transparent)]
    Unhealthy(#[from] Unhealthy),
    /// The lists could not be checked.
    #[error("the lists cannot be looked at")]
    Step(#[from] StepFailure),
}

/// Watches over the lists.
pub struct HealthMonitoringWorkflow {
    env: Env,
}

worker_sentry::workflow!(HealthMonitoringWorkflow);

impl WorkflowEntrypoint for HealthMonitoringWorkflow {
    type Input = Watch;
    type Output = Verdict;

    fn new(_context: Context, env: Env) -> Self {
        HealthMonitoringWorkflow { env }
    }

    // ANCHOR: run
    /// One catch around all steps: report, then let the instance fail.
    async fn run(&self, event: WorkflowEvent<Watch>, step: WorkflowStep) -> Result<Verdict> {
        let steps = self.steps(&event.payload, &step);
        let seen =
            with_sentry_in_isolate(&self.env, "HealthMonitoringWorkflow", Handler::Run, steps)
                .await;
        Ok(seen?)
    }
    // ANCHOR_END: run
}

impl HealthMonitoringWorkflow {
    // ANCHOR: steps
    async fn steps(&self, watch: &Watch, step: &WorkflowStep) -> Result<Verdict, MonitoringError> {
        let first = self.look("first look", watch, step).await?;
        let mut second = first.clone();
        if first.iter().any(|finding| finding.problem.is_some()) {
            let wait = Duration::from_secs(watch.second_look_s.unwrap_or(SECOND_LOOK_S));
            step.sleep("wait for it to pass", wait).await?;
            second = self.look("second look", watch, step).await?;
        }
        let verdict = Verdict::of(&first, &second);
        // A look at some lists says nothing about the health of all.
        if watch.lists.is_none() {
            let (env, verdict) = (self.env.clone(), verdict.clone());
            step.do_with_config("note the verdict", patient(), move |_| {
                let (env, verdict) = (env.clone(), verdict.clone());
                async move { lists::note_verdict(&env, &verdict).await }
            })
            .await?;
        }
        Ok(verdict.into_result()?)
    }
    // ANCHOR_END: steps

    async fn look(
        &self,
        name: &str,
        watch: &Watch,
        step: &WorkflowStep,
    ) -> Result<Vec<Finding>, StepFailure> {
        let (env, some) = (self.env.clone(), watch.lists.clone());
        step.do_with_config(name, patient(), move |_| {
            let (env, some) = (env.clone(), some.clone());
            async move { look_at(&env, some).await }
        })
        .await
    }
}

async fn look_at(env: &Env, some: Option<Vec<String>>) -> Result<Vec<Finding>> {
    let names = match some {
        Some(names) => names,
        None => Vec::from_iter(lists::names(env).await?),
    };
    let mut findings = Vec::with_capacity(names.len());
    for list in names {
        let problem = match lists::get(env, &list).await {
            Ok(Some((header, _))) if header.statistics.rules > 0 => None,
            Ok(Some(_)) => Some("empty".to_owned()),
            Ok(None) => Some("missing".to_owned()),
            Err(error) => Some(error.to_string()),
        };
        findings.push(Finding { list, problem });
    }
    Ok(findings)
}

/// Turns the error into the one that the runtime sees.
impl From<MonitoringError> for worker::Error {
    fn from(error: MonitoringError) -> Self {
        match error {
            MonitoringError::Step(error) => error.into(),
            MonitoringError::Unhealthy(error) => worker::Error::RustError(error.to_string()),
        }
    }
}
