//! The Workflows: work in steps. The result of a step is kept, so that the step does not run again
//! if the isolate ends.

mod batch_compilation;
mod cache_warming;
mod compilation;
mod health_monitoring;

use std::time::Duration;

pub use batch_compilation::{Batch, BatchCompilationWorkflow};
pub use cache_warming::{CacheWarmingWorkflow, Warming};
pub use compilation::{CompilationWorkflow, Order};
pub use health_monitoring::{HealthMonitoringWorkflow, Watch};
use worker_sentry::workflow::{Backoff, RetryConfig, StepConfig};

// ANCHOR: patient
/// For steps that talk to something that may be away for a moment.
fn patient() -> StepConfig {
    StepConfig {
        retries: Some(RetryConfig {
            limit: 3,
            delay: Duration::from_secs(2).into(),
            backoff: Some(Backoff::Exponential),
        }),
        timeout: Some("30 seconds".into()),
        ..StepConfig::default()
    }
}
// ANCHOR_END: patient
