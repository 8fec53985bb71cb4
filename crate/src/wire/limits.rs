//! The rate limits of the receiver: which categories must not be sent, and until when.
//!
//! The rules: <https://develop.sentry.dev/sdk/foundations/transport/rate-limiting/>

use crate::item::Category;
use crate::platform::{Reply, Runtime};

/// The pause after a `429` without any header.
const DEFAULT_PAUSE_MS: f64 = 60_000.0;
/// The longest pause that an isolate keeps, whatever the receiver asks for.
const MAX_PAUSE_MS: f64 = 24.0 * 3_600_000.0;

/// The current pauses, one for each category of items.
#[derive(Debug, Default)]
pub(crate) struct RateLimits {
    until_ms: [f64; Category::COUNT],
}

impl RateLimits {
    /// Whether an item of this category may be sent now.
    pub(crate) fn allow(&self, category: Category, now_ms: f64) -> bool {
        now_ms >= self.until_ms[category as usize]
    }

    /// Takes the pauses from an answer. Never shortens a current pause.
    pub(crate) fn learn(&mut self, runtime: &impl Runtime, reply: &Reply) {
        // Nearly every answer asks for no pause.
        let says_nothing = reply.rate_limits.is_none() && reply.retry_after.is_none();
        if says_nothing && reply.status != 429 {
            return;
        }
        let now_ms = runtime.now_ms();
        // If at least one limit of this header can be read, `Retry-After` is ignored.
        let mut is_read = false;
        for limit in reply.rate_limits.as_deref().unwrap_or_default().split(',') {
            is_read |= self.learn_limit(runtime, limit, now_ms);
        }
        if !is_read {
            let pause_ms = retry_pause_ms(runtime, reply);
            for category in Category::ALL {
                self.pause(category, now_ms, pause_ms);
            }
        }
    }

    /// Takes the pause from one limit of `X-Sentry-Rate-Limits`. Returns whether the limit could
    /// be read.
    ///
    /// The format is `seconds:categories:scope:reason`. Several categories are joined by `;`.
    /// An empty list means all categories.
    fn learn_limit(&mut self, runtime: &impl Runtime, limit: &str, now_ms: f64) -> bool {
        let mut fields = limit.trim().split(':');
        let seconds = fields.next().unwrap_or_default().trim();
        let Some(seconds) = runtime.decimal(seconds) else {
            return false;
        };
        let categories = fields.next().unwrap_or_default().trim();
        for category in Category::ALL {
            let covers = categories.is_empty()
                || categories
                    .split(';')
                    .any(|name| category.is_named(name.trim()));
            if covers {
                self.pause(category, now_ms, seconds * 1_000.0);
            }
        }
        true
    }

    fn pause(&mut self, category: Category, now_ms: f64, pause_ms: f64) {
        let until_ms = now_ms + pause_ms.clamp(0.0, MAX_PAUSE_MS);
        let current_ms = &mut self.until_ms[category as usize];
        if pause_ms > 0.0 && until_ms > *current_ms {
            *current_ms = until_ms;
        }
    }
}

/// The pause of an answer without a readable `X-Sentry-Rate-Limits`.
fn retry_pause_ms(runtime: &impl Runtime, reply: &Reply) -> f64 {
    let asked = reply
        .retry_after
        .as_deref()
        .and_then(|header| retry_after_ms(runtime, header.trim()));
    match (reply.status, asked) {
        (429 | 503, Some(pause)) => pause,
        (429, None) => DEFAULT_PAUSE_MS,
        _ => 0.0,
    }
}

/// `Retry-After` as seconds or as a date, as milliseconds from now.
/// <https://www.rfc-editor.org/rfc/rfc9110#field.retry-after>
fn retry_after_ms(runtime: &impl Runtime, header: &str) -> Option<f64> {
    if let Some(seconds) = runtime.decimal(header) {
        return Some(seconds * 1_000.0);
    }
    // Every HTTP date ends with ` GMT`. JavaScript would also accept many other texts as dates.
    let at_ms = Some(header).filter(|date| date.ends_with(" GMT"));
    let left_ms = runtime.parse_date(at_ms?) - runtime.now_ms();
    left_ms.is_finite().then_some(left_ms)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::testing::Fake;
    use proptest::prelude::*;

    // 2026-01-01T00:00:00Z
    const NOW_MS: f64 = 1_767_225_600_000.0;

    fn runtime() -> Fake {
        let fake = Fake::default();
        fake.world.now_ms.set(NOW_MS as u64);
        fake
    }

    fn reply(status: u16, retry_after: Option<&str>, rate_limits: Option<&str>) -> Reply {
        Reply {
            status,
            retry_after: retry_after.map(str::to_owned),
            rate_limits: rate_limits.map(str::to_owned),
        }
    }

    fn pause_s(reply: &Reply) -> f64 {
        let mut limits = RateLimits::default();
        limits.learn(&runtime(), reply);
        (limits.until_ms[Category::Error as usize] - NOW_MS).max(0.0) / 1_000.0
    }

    #[test]
    fn every_form_of_asking_for_a_pause_is_understood() {
        type Row = (u16, Option<&'static str>, Option<&'static str>, f64);
        let table: [Row; 28] = [
            (200, None, None, 0.0),
            (400, None, None, 0.0),
            (500, None, None, 0.0),
            (503, None, None, 0.0),
            (429, None, None, 60.0),
            (429, Some("7"), None, 7.0),
            (429, Some(" 7 "), None, 7.0),
            (429, Some("0"), None, 0.0),
            (429, Some("soon"), None, 60.0),
            (503, Some("9"), None, 9.0),
            (200, Some("9"), None, 0.0),
            (503, Some("Thu, 01 Jan 2026 00:01:30 GMT"), None, 90.0),
            (429, Some("Wed, 31 Dec 2025 23:00:00 GMT"), None, 0.0),
            // The header counts with any status, and wins over Retry-After.
            (200, None, Some("60:error:organization"), 60.0),
            (429, Some("7"), Some("60::organization"), 60.0),
            (429, Some("7"), Some("60:transaction:key"), 0.0),
            (200, None, Some("60:default;error:project:reason"), 60.0),
            (200, None, Some("60:session, 30:error, 10::key"), 30.0),
            (200, None, Some("60"), 60.0),
            (200, None, Some(""), 0.0),
            (200, None, Some("x:error, :error, 5:error"), 5.0),
            (200, None, Some("-5:error"), 0.0),
            // A header that cannot be read counts as missing.
            (429, None, Some(""), 60.0),
            (429, None, Some("soon:error"), 60.0),
            (429, Some("7"), Some("soon:error"), 7.0),
            (429, Some("7"), Some("soon, 0:error"), 0.0),
            (200, None, Some("inf:error"), 0.0),
            (200, None, Some("1e9:error"), 86_400.0),
        ];
        for (status, retry_after, rate_limits, seconds) in table {
            let reply = reply(status, retry_after, rate_limits);
            assert_eq!(pause_s(&reply), seconds, "{reply:?}");
        }
    }

    #[test]
    fn a_pause_ends_when_its_time_is_over() {
        let mut limits = RateLimits::default();
        assert!(limits.allow(Category::Error, NOW_MS));
        limits.learn(&runtime(), &reply(429, Some("10"), None));
        assert!(!limits.allow(Category::Error, NOW_MS));
        assert!(!limits.allow(Category::Error, NOW_MS + 9_999.0));
        assert!(limits.allow(Category::Error, NOW_MS + 10_000.0));
    }

    #[test]
    fn a_later_answer_does_not_shorten_a_pause() {
        let mut limits = RateLimits::default();
        limits.learn(&runtime(), &reply(429, Some("100"), None));
        limits.learn(&runtime(), &reply(429, Some("1"), None));
        limits.learn(&runtime(), &reply(200, None, None));
        assert!(!limits.allow(Category::Error, NOW_MS + 99_999.0));
    }

    proptest! {
        #[test]
        fn no_answer_makes_it_panic_or_pause_for_more_than_a_day(
            status in 100u16..600,
            retry_after in proptest::option::of("\\PC{0,40}|-?[0-9e.]{0,12}"),
            rate_limits in proptest::option::of("([0-9:;, a-z-]|\\PC){0,60}"),
        ) {
            let pause = pause_s(&reply(status, retry_after.as_deref(), rate_limits.as_deref()));
            prop_assert!((0.0..=86_400.0).contains(&pause));
        }
    }
}
