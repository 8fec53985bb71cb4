//! Step 6, second half, *deliver*: sends an envelope to the receiver, from the
//! request that captured it, within a limited time.

use uuid::Uuid;

use super::Wait;
use super::client::IsolateClient;
use crate::platform::{PostError, Runtime};
use crate::wire::envelope::Envelope;

/// An envelope whose request was started.
pub(crate) struct Delivery<R: Runtime> {
    id: Option<Uuid>,
    sent: R::Sent,
}

/// Starts the request that carries an envelope.
pub(crate) fn start<R: Runtime>(
    runtime: &R,
    client: &IsolateClient,
    envelope: Envelope,
    wait: Wait,
) -> Delivery<R> {
    let (Wait::For(timeout_ms) | Wait::Nobody(timeout_ms) | Wait::NextInstance(timeout_ms)) = wait;
    let kept = matches!(wait, Wait::NextInstance(_));
    let request = client.endpoint.request(&envelope.bytes);
    Delivery {
        id: envelope.id,
        sent: runtime.send(request, timeout_ms, kept),
    }
}

// ANCHOR: answer
/// Waits for the receiver's answer.
///
/// Returns the event's id if the receiver took it. Any other outcome is a debug
/// line and nothing more: there is no retry and no queue, so nothing piles up.
pub(crate) async fn answer<R: Runtime>(
    runtime: &R,
    client: &IsolateClient,
    delivery: Delivery<R>,
) -> Option<Uuid> {
    let reply = match runtime.answer(delivery.sent).await {
        Ok(reply) => reply,
        Err(PostError::Network) => {
            runtime.debug("the receiver could not be reached; event lost");
            return None;
        }
        Err(PostError::TimedOut) => {
            runtime.debug("the receiver did not answer in time; event given up");
            return None;
        }
    };
    if let Ok(mut limits) = client.limits.try_borrow_mut() {
        limits.learn(runtime, &reply);
    }
    if (200..300).contains(&reply.status) {
        runtime.debug("event delivered");
        delivery.id
    } else {
        runtime.debug(&format!(
            "the receiver answered {}; event lost",
            reply.status
        ));
        None
    }
}
// ANCHOR_END: answer
