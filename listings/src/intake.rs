//! Processes the messages of the queue.

use thiserror::Error;
use worker::{Env, Message, MessageBatch, MessageExt, Result};
use worker_sentry::message_traces;
use worker_sentry::workflow::{CreateOptions, WorkflowEnv};

use crate::compile_request::CompileRequest;
use crate::workflows::Batch;

/// Why some messages of a batch were not processed.
#[derive(Debug, Error)]
pub enum IntakeError {
    /// Some messages are invalid. All others were processed, and no message is delivered again.
    #[error("{} of {total} messages are no compile requests: {}", reasons.len(), reasons.join("; "))]
    UnusableMessages {
        /// The number of messages in the batch.
        total: usize,
        /// What is wrong, for each invalid message.
        reasons: Vec<String>,
    },
    /// A Workflow could not be started. The queue will deliver the messages again.
    #[error("a batch of messages could not be taken in")]
    Platform(#[from] worker::Error),
}

// ANCHOR: take_in
/// Starts a Workflow for what each client has asked for in a batch of messages.
///
/// The messages of one client are in one trace, and so is the Workflow. A message that is not
/// a request is acknowledged, because it would fail again on each delivery. If a Workflow
/// cannot be started, the queue delivers its messages again.
pub async fn take_in(env: &Env, batch: &MessageBatch<CompileRequest>) -> Result<(), IntakeError> {
    let traces = message_traces(batch);
    let mut clients: Vec<Vec<Message<CompileRequest>>> = Vec::new();
    let mut reasons = Vec::new();
    for (raw, read) in batch.raw_iter().zip(batch.iter()) {
        match read.map_err(|error| error.to_string()).and_then(checked) {
            Ok(message) => {
                let same = |of: &&mut Vec<_>| traces.of(&of[0]) == traces.of(&message);
                match clients.iter_mut().find(same) {
                    Some(client) => client.push(message),
                    None => clients.push(vec![message]),
                }
            }
            Err(reason) => {
                raw.ack();
                reasons.push(reason);
            }
        }
    }
    let total = reasons.len() + clients.iter().map(Vec::len).sum::<usize>();
    let mut failed = None;
    for messages in &clients {
        match traces.continue_in(&messages[0], start(env, messages)).await {
            Ok(()) => messages.iter().for_each(MessageExt::ack),
            Err(error) => {
                messages.iter().for_each(MessageExt::retry);
                failed = Some(error);
            }
        }
    }
    match failed {
        Some(error) => Err(error.into()),
        None if reasons.is_empty() => Ok(()),
        None => Err(IntakeError::UnusableMessages { total, reasons }),
    }
}
// ANCHOR_END: take_in

/// Returns the message if its request can be served.
fn checked(message: Message<CompileRequest>) -> Result<Message<CompileRequest>, String> {
    match message.body().check() {
        Ok(()) => Ok(message),
        Err(error) => Err(error.to_string()),
    }
}

/// Starts one Workflow for all requests of one client.
async fn start(env: &Env, messages: &[Message<CompileRequest>]) -> Result<()> {
    let requests = messages.iter().map(|it| it.body().clone()).collect();
    let order = CreateOptions {
        params: Some(Batch { requests }),
        ..CreateOptions::default()
    };
    env.workflow("BATCH_COMPILATION")?.create(order).await?;
    Ok(())
}
