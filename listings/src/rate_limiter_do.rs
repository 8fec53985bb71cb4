//! A Durable Object that counts requests, and deletes old counts in an alarm.

use std::time::Duration;

use thiserror::Error;
use worker::js_sys::Array;
use worker::{
    Date, DurableObject, Env, ListOptions, Method, Request, Response, Result, State, durable_object,
};
use worker_sentry::{Handler, Report, capture_exception_in_isolate};

use crate::rate_limit::{Limit, UnreadableWindow, Verdict, Window};

const LIMIT: Limit = Limit {
    requests: 60,
    window_ms: 60_000,
};
const PREFIX: &str = "window:";

// ANCHOR: error
/// Why a sweep failed.
#[derive(Debug, Error)]
pub enum SweepError {
    /// An entry was not what this object writes. It has been deleted.
    #[error(transparent)]
    UnreadableWindow(#[from] UnreadableWindow),
    /// The storage itself failed.
    #[error("the storage of the rate limiter failed")]
    Storage(#[from] worker::Error),
}
// ANCHOR_END: error

// ANCHOR: struct
/// One shard of the rate limiter: the windows of the clients it looks after.
#[durable_object(alarm)]
pub struct RateLimiterDo {
    state: State,
    env: Env,
}
// ANCHOR_END: struct

impl DurableObject for RateLimiterDo {
    fn new(state: State, env: Env) -> Self {
        RateLimiterDo { state, env }
    }

    async fn fetch(&self, request: Request) -> Result<Response> {
        let url = request.url()?;
        let path: Vec<&str> = url.path().trim_matches('/').split('/').collect();
        match (request.method(), path.as_slice()) {
            (Method::Post, ["check", client]) => Response::from_json(&self.check(client).await?),
            (Method::Post, ["drill", "alarm", marker]) => {
                self.spoil(marker).await?;
                Response::empty()
            }
            _ => Response::error("Not Found", 404),
        }
    }

    // ANCHOR: alarm
    /// One catch around all the alarm's work: report, then let the runtime know.
    async fn alarm(&self) -> Result<Response> {
        match self.sweep().await {
            Ok(()) => Response::empty(),
            Err(error) => {
                let report = Report::new(&error)
                    .in_handler("RateLimiterDo", Handler::Alarm)
                    .handled(false);
                capture_exception_in_isolate(&self.env, report).await;
                Err(error.into())
            }
        }
    }
    // ANCHOR_END: alarm
}

impl RateLimiterDo {
    /// Counts one request of `client`.
    async fn check(&self, client: &str) -> Result<Verdict> {
        let storage = self.state.storage();
        let key = format!("{PREFIX}{client}");
        let stored: Option<String> = storage.get(&key).await?;
        // A window that cannot be read must not lock its client out: count from
        // zero and leave the report to the sweep.
        let window = stored.and_then(|stored| Window::from_stored(client, &stored).ok());
        let (window, verdict) = LIMIT.admit(window, Date::now().as_millis());
        storage.put(&key, window.to_stored()).await?;
        if storage.get_alarm().await?.is_none() {
            storage
                .set_alarm(Duration::from_millis(LIMIT.window_ms))
                .await?;
        }
        Ok(verdict)
    }

    // ANCHOR: sweep
    /// Deletes what has expired and comes back while anything is left.
    ///
    /// An unreadable entry is deleted too, so that the runtime's retry of a failed
    /// alarm finds clean storage and one bad entry is one report.
    async fn sweep(&self) -> Result<(), SweepError> {
        let storage = self.state.storage();
        let now_ms = Date::now().as_millis();
        let entries = storage
            .list_with_options(ListOptions::new().prefix(PREFIX))
            .await?;
        let mut left = 0;
        let mut unreadable = None;
        for entry in entries.entries() {
            let entry = Array::from(&entry.map_err(worker::Error::from)?);
            let key = entry.get(0).as_string().unwrap_or_default();
            let stored = entry.get(1).as_string().unwrap_or_default();
            match Window::from_stored(key.trim_start_matches(PREFIX), &stored) {
                Ok(window) if !LIMIT.has_expired(&window, now_ms) => {
                    left += 1;
                    continue;
                }
                Ok(_) => {}
                Err(error) => unreadable = unreadable.or(Some(error)),
            }
            storage.delete(&key).await?;
        }
        if left > 0 {
            storage
                .set_alarm(Duration::from_millis(LIMIT.window_ms))
                .await?;
        }
        match unreadable {
            Some(error) => Err(error.into()),
            None => Ok(()),
        }
    }
    // ANCHOR_END: sweep

    // ANCHOR: spoil
    /// The drill: an entry that the next sweep cannot read, and the sweep now.
    async fn spoil(&self, marker: &str) -> Result<()> {
        let storage = self.state.storage();
        storage
            .put(&format!("{PREFIX}{marker}"), "spoiled by a drill")
            .await?;
        storage.set_alarm(Duration::ZERO).await
    }
    // ANCHOR_END: spoil
}

// ANCHOR: into_worker_error
/// What the runtime gets to see, in its log and in its decision to retry.
impl From<SweepError> for worker::Error {
    fn from(error: SweepError) -> Self {
        match error {
            SweepError::Storage(error) => error,
            SweepError::UnreadableWindow(error) => worker::Error::RustError(error.to_string()),
        }
    }
}
// ANCHOR_END: into_worker_error
