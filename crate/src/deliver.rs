//! Step 6, second half, *deliver*: an envelope goes to the receiver, from the
//! request that captured it, within a bounded time.

use sentry_core::protocol::Uuid;

use crate::client::IsolateClient;
use crate::load::Config;
use crate::runtime::{Outgoing, PostError, Runtime};

/// The `User-Agent` and `sentry_client` of every request.
pub(crate) const USER_AGENT: &str = concat!("worker-sentry/", env!("CARGO_PKG_VERSION"));

/// The endpoint and the headers that are the same for every envelope.
pub(crate) struct Receiver {
    url: String,
    headers: Vec<(&'static str, String)>,
}

impl Receiver {
    /// <https://develop.sentry.dev/sdk/data-model/envelopes/#ingestion>
    pub(crate) fn new(config: &Config) -> Self {
        let url = match &config.tunnel {
            Some(tunnel) => tunnel.clone(),
            None => config.dsn.envelope_url.clone(),
        };
        let mut headers = vec![
            ("Content-Type", "application/x-sentry-envelope".to_owned()),
            ("User-Agent", USER_AGENT.to_owned()),
        ];
        // A tunnel learns the DSN from the envelope's own header and adds what
        // its upstream wants.
        if config.tunnel.is_none() {
            headers.push(("X-Sentry-Auth", auth(config)));
        }
        if let Some((id, secret)) = &config.access {
            headers.push(("CF-Access-Client-Id", id.clone()));
            headers.push(("CF-Access-Client-Secret", secret.clone()));
        }
        Receiver { url, headers }
    }

    /// The request that carries an envelope.
    pub(crate) fn request<'a>(&'a self, body: &'a [u8]) -> Outgoing<'a> {
        Outgoing {
            url: &self.url,
            headers: &self.headers,
            body,
        }
    }
}

/// The header that `Dsn::to_auth` would build, without the clock it reads.
/// <https://develop.sentry.dev/sdk/overview/#authentication>
fn auth(config: &Config) -> String {
    let key = &config.dsn.public_key;
    let mut auth = format!("Sentry sentry_version=7, sentry_client={USER_AGENT}, sentry_key={key}");
    if let Some(secret) = &config.dsn.secret_key {
        auth.push_str(", sentry_secret=");
        auth.push_str(secret);
    }
    auth
}

// ANCHOR: deliver
/// Sends the envelope and waits for the answer, at most `timeout_ms`.
///
/// Returns the event's id if the receiver took it. Any other outcome is a debug
/// line and nothing more: there is no retry and no queue, so nothing piles up.
pub(crate) async fn deliver(
    runtime: &impl Runtime,
    client: &IsolateClient,
    id: Uuid,
    envelope: &[u8],
    timeout_ms: u32,
) -> Option<Uuid> {
    let request = client.receiver.request(envelope);
    let reply = match runtime.post(request, timeout_ms).await {
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
        Some(id)
    } else {
        runtime.debug(&format!(
            "the receiver answered {}; event lost",
            reply.status
        ));
        None
    }
}
// ANCHOR_END: deliver
