//! Spans of the application's own.

use std::borrow::Cow;
use std::future::Future;

use worker::{Request, Response, Result};

use crate::item::transaction::Status;
use crate::scope::{Scope, spans};

/// Spans that the crate makes by itself.
const HTTP: &str = "auto.http.cloudflare";
#[cfg(feature = "queue")]
const QUEUE: &str = "auto.faas.cloudflare.queue";
const WORKFLOW: &str = "auto.faas.cloudflare.workflow";
/// Spans that the application makes.
const MANUAL: &str = "manual";

/// Runs `future` as a span of the current run: a piece of its work with a name and a
/// duration of its own.
///
/// Errors that are captured inside belong to the span, and calls that pass the trace on are
/// below it. Spans can be inside of each other and beside each other, also in a `join!`.
/// `op` says what kind of work it is, in [Sentry's words]; `name` says which. A span has no
/// status, unless it says one with [`set_response_status`]; one that is dropped before it has
/// finished is `cancelled`, and one that panics an `internal_error`.
///
/// Waits for nothing but `future`, and returns what that returns. Outside of a wrapper,
/// without a DSN, without `SENTRY_TRACES_SAMPLE_RATE`, and in a run that is not sampled, it
/// is `future.await`. One run keeps 1,000 spans and 256 KB of their texts; the rest is
/// counted in the transaction's `spans.dropped`. The clock of the platform stands still
/// while nothing but computing goes on, so a span that only computes has no length.
///
/// ```no_run
/// use worker::{Result, kv::KvStore};
/// use worker_sentry::span;
///
/// async fn rules(store: &KvStore) -> Result<Option<String>> {
///     Ok(span("cache.get", "rules", store.get("rules").text()).await?)
/// }
/// ```
///
/// [Sentry's words]: https://develop.sentry.dev/sdk/telemetry/traces/span-operations/
pub async fn span<F: Future>(
    op: impl Into<Cow<'static, str>>,
    name: impl Into<Cow<'static, str>>,
    future: F,
) -> F::Output {
    spans::span(op, name, MANUAL, |_| None, future).await
}

/// As [`span`], for what returns a `Result`: the span's status is `ok` or `internal_error`.
///
/// ```no_run
/// use worker::{Result, kv::KvStore};
/// use worker_sentry::try_span;
///
/// async fn forget(store: &KvStore) -> Result<()> {
///     try_span("cache.remove", "rules", store.delete("rules")).await?;
///     Ok(())
/// }
/// ```
///
/// # Errors
///
/// Those of `future`, unchanged.
pub async fn try_span<T, E>(
    op: impl Into<Cow<'static, str>>,
    name: impl Into<Cow<'static, str>>,
    future: impl Future<Output = std::result::Result<T, E>>,
) -> std::result::Result<T, E> {
    spans::span(op, name, MANUAL, |result| Some(status(result)), future).await
}

/// Gives a value to the span that this is called in, or to the run's transaction outside of
/// one.
///
/// A span keeps 128 values, and 2,048 bytes of a text. A list and an object become the text
/// that JSON makes of them. Does nothing where [`span`] does nothing.
///
/// ```no_run
/// use worker::ScheduledEvent;
/// use worker_sentry::{set_span_data, set_transaction};
///
/// fn name(event: &ScheduledEvent) {
///     set_transaction(format!("Scheduled Cron {}", event.cron()));
///     set_span_data("faas.cron", event.cron());
/// }
/// ```
pub fn set_span_data(key: impl Into<Cow<'static, str>>, value: impl Into<serde_json::Value>) {
    if let Some(scope) = Scope::of_the_application() {
        scope.set_data(key, value.into());
    }
}

/// Says with which status of HTTP's the span that this is called in, or the run outside of
/// one, was answered: it becomes the span's status and `http.response.status_code`.
///
/// The wrappers take any type for a handler's success, so they do not look into a response;
/// the layer for `tower` does it by itself. An error that a handler returns is an
/// `internal_error` all the same. Does nothing where [`span`] does nothing.
///
/// ```no_run
/// use worker::{Response, Result};
/// use worker_sentry::set_response_status;
///
/// fn answer(response: Response) -> Result<Response> {
///     set_response_status(response.status_code());
///     Ok(response)
/// }
/// ```
pub fn set_response_status(code: u16) {
    if let Some(scope) = Scope::of_the_application() {
        scope.set_http_status(code);
    }
}

fn status<T, E>(result: &std::result::Result<T, E>) -> Status {
    match result {
        Ok(_) => Status::OK,
        Err(_) => Status::INTERNAL_ERROR,
    }
}

/// A call of the application's, as a span with the method and the host.
pub(crate) async fn http_client(
    request: Request,
    call: impl AsyncFnOnce(Request) -> Result<Response>,
) -> Result<Response> {
    if !spans::is_recording() {
        return call(request).await;
    }
    let method = request.method().to_string();
    let url = request.url().ok();
    let host = url
        .as_ref()
        .and_then(|url| url.host_str())
        .unwrap_or_default();
    let name = [&*method, " ", host].concat();
    let calling = async {
        set_span_data("http.request.method", method);
        let answer = call(request).await;
        if let Ok(response) = &answer {
            set_response_status(response.status_code());
        }
        answer
    };
    spans::span("http.client", name, HTTP, |it| Some(status(it)), calling).await
}

/// A message that is sent to a queue.
#[cfg(feature = "queue")]
pub(crate) async fn publish<T>(sending: impl Future<Output = Result<T>>) -> Result<T> {
    let sending = async {
        set_span_data("messaging.system", "cloudflare");
        sending.await
    };
    spans::span(
        "queue.publish",
        "send",
        QUEUE,
        |it| Some(status(it)),
        sending,
    )
    .await
}

/// A Workflow's instance that is created.
pub(crate) async fn create<T>(creating: impl Future<Output = Result<T>>) -> Result<T> {
    spans::span(
        "function",
        "create",
        WORKFLOW,
        |it| Some(status(it)),
        creating,
    )
    .await
}
