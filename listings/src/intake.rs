//! What the main Worker does with messages of the queue.

use thiserror::Error;
use worker::{Env, MessageBatch, MessageExt, Result};
use worker_sentry::workflow::{CreateOptions, WorkflowEnv};

use crate::compile_request::CompileRequest;
use crate::workflows::Batch;

/// Why not all of a batch of messages was taken in.
#[derive(Debug, Error)]
pub enum IntakeError {
    /// Some can never be. All others were, and none of them comes again.
    #[error("{} of {total} messages are no compile requests: {}", reasons.len(), reasons.join("; "))]
    UnusableMessages {
        /// Messages in the batch.
        total: usize,
        /// What is wrong with which.
        reasons: Vec<String>,
    },
    /// The Workflow could not be started. The queue will deliver again.
    #[error("a batch of messages could not be taken in")]
    Platform(#[from] worker::Error),
}

// ANCHOR: take_in
/// Starts one Workflow for all requests of a batch of messages.
///
/// A message that is not a request is acknowledged, because it would fail again on each
/// delivery. If the Workflow cannot be started, the queue delivers the rest again.
pub async fn take_in(env: &Env, batch: &MessageBatch<CompileRequest>) -> Result<(), IntakeError> {
    let mut taken = Vec::new();
    let mut requests = Vec::new();
    let mut reasons = Vec::new();
    for (message, read) in batch.raw_iter().zip(batch.iter()) {
        let reason = match read.map(|message| message.into_body()) {
            Ok(request) => match request.check() {
                Ok(()) => {
                    taken.push(message);
                    requests.push(request);
                    continue;
                }
                Err(error) => error.to_string(),
            },
            Err(error) => error.to_string(),
        };
        message.ack();
        reasons.push(reason);
    }
    let total = requests.len() + reasons.len();
    if !requests.is_empty() {
        let params = Some(Batch { requests });
        let order = CreateOptions {
            params,
            ..CreateOptions::default()
        };
        let started = async { env.workflow("BATCH_COMPILATION")?.create(order).await };
        if let Err(error) = started.await {
            taken.iter().for_each(MessageExt::retry);
            return Err(error.into());
        }
        taken.iter().for_each(MessageExt::ack);
    }
    if reasons.is_empty() {
        return Ok(());
    }
    Err(IntakeError::UnusableMessages { total, reasons })
}
// ANCHOR_END: take_in
