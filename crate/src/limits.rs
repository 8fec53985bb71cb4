//! What the receiver asked us not to send, and until when.
//!
//! Rules: <https://develop.sentry.dev/sdk/expected-features/rate-limiting/>

use std::time::{Duration, UNIX_EPOCH};

use crate::runtime::Reply;

/// How long a `429` without any header counts.
const DEFAULT_PAUSE_MS: f64 = 60_000.0;
/// No receiver silences an isolate for longer than this, whatever it says.
const MAX_PAUSE_MS: f64 = 24.0 * 3_600_000.0;

/// The pause in force for error events. The crate sends nothing else.
#[derive(Debug, Default)]
pub(crate) struct RateLimits {
    errors_until_ms: f64,
}

impl RateLimits {
    /// Whether an error event may be sent now.
    pub(crate) fn allow(&self, now_ms: f64) -> bool {
        now_ms >= self.errors_until_ms
    }

    /// Learns from an answer. Never shortens a pause already in force.
    pub(crate) fn learn(&mut self, reply: &Reply, now_ms: f64) {
        let pause_ms = match &reply.rate_limits {
            // With this header present, `Retry-After` says nothing new.
            Some(header) => errors_pause_ms(header),
            None => retry_pause_ms(reply, now_ms),
        };
        let until = now_ms + pause_ms.clamp(0.0, MAX_PAUSE_MS);
        if pause_ms > 0.0 && until > self.errors_until_ms {
            self.errors_until_ms = until;
        }
    }
}

/// The longest limit in `X-Sentry-Rate-Limits` that covers errors.
///
/// Each limit reads `seconds:categories:scope:reason`, several categories are
/// joined by `;`, none at all means every category, and limits are joined by `,`.
fn errors_pause_ms(header: &str) -> f64 {
    header
        .split(',')
        .filter_map(|limit| {
            let mut fields = limit.trim().split(':');
            let seconds: f64 = fields.next()?.trim().parse().ok()?;
            let categories = fields.next().unwrap_or_default().trim();
            let covers = categories.is_empty()
                || categories
                    .split(';')
                    .any(|category| matches!(category.trim(), "error" | "default"));
            (covers && seconds.is_finite()).then_some(seconds * 1_000.0)
        })
        .fold(0.0, f64::max)
}

/// The pause of an answer without `X-Sentry-Rate-Limits`.
fn retry_pause_ms(reply: &Reply, now_ms: f64) -> f64 {
    let asked = reply
        .retry_after
        .as_deref()
        .and_then(|header| retry_after_ms(header.trim(), now_ms));
    match (reply.status, asked) {
        (429 | 503, Some(pause)) => pause,
        (429, None) => DEFAULT_PAUSE_MS,
        _ => 0.0,
    }
}

/// `Retry-After` as seconds or as a date, as milliseconds from now.
/// <https://www.rfc-editor.org/rfc/rfc9110#field.retry-after>
fn retry_after_ms(header: &str, now_ms: f64) -> Option<f64> {
    if let Ok(seconds) = header.parse::<f64>() {
        return seconds.is_finite().then_some(seconds * 1_000.0);
    }
    let at: Duration = httpdate::parse_http_date(header)
        .ok()?
        .duration_since(UNIX_EPOCH)
        .ok()?;
    Some(at.as_secs_f64() * 1_000.0 - now_ms)
}
