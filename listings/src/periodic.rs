//! The jobs that a cron trigger starts.

use thiserror::Error;
use worker::{Env, Result};
use worker_sentry::workflow::{CreateOptions, WorkflowEnv};

use crate::schedule::{Job, Schedule, UnreadableSchedule};
use crate::workflows::{Warming, Watch};

/// Why the jobs of a trigger were not started.
#[derive(Debug, Error)]
pub enum PeriodicError {
    /// The text that is stored for the trigger is not a schedule.
    #[error(transparent)]
    UnreadableSchedule(#[from] UnreadableSchedule),
    /// A binding failed.
    #[error("the jobs of cron trigger `{cron}` could not be started")]
    Platform {
        /// The trigger.
        cron: String,
        /// The error of the binding.
        source: worker::Error,
    },
}

// ANCHOR: start
/// Starts the Workflows of cron trigger `cron`.
///
/// # Errors
///
/// If its schedule cannot be read or a Workflow cannot be started.
pub async fn start(env: &Env, cron: &str) -> Result<(), PeriodicError> {
    let platform = |source| PeriodicError::Platform {
        cron: cron.to_owned(),
        source,
    };
    let stored = stored(env, cron).await.map_err(platform)?;
    let schedule = Schedule::from_stored(cron, stored.as_deref())?;
    for job in schedule.jobs {
        start_job(env, job).await.map_err(platform)?;
    }
    Ok(())
}
// ANCHOR_END: start

async fn stored(env: &Env, cron: &str) -> Result<Option<String>> {
    let schedule = env.kv("LISTS")?.get(&Schedule::key_of(cron));
    Ok(schedule.text().await?)
}

async fn start_job(env: &Env, job: Job) -> Result<()> {
    match job {
        Job::CacheWarming => {
            let params = Some(Warming::default());
            let order = CreateOptions {
                params,
                ..CreateOptions::default()
            };
            env.workflow("CACHE_WARMING")?.create(order).await?;
        }
        Job::HealthMonitoring => {
            let params = Some(Watch::default());
            let order = CreateOptions {
                params,
                ..CreateOptions::default()
            };
            env.workflow("HEALTH_MONITORING")?.create(order).await?;
        }
    }
    Ok(())
}
