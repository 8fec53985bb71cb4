//! Spans that the application makes, and spans that the crate makes for calls.

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

/// Runs `future` as a span of the current run: a part of its work with a name and a duration.
///
/// Errors that are captured inside belong to the span, and calls that pass the trace on are
/// below it. Spans can be nested, and can run at the same time, also in a `join!`. `op` is the
/// kind of work, one of [Sentry's operations][Sentry's words]; `name` describes this piece of
/// it. A span has a status only if [`set_response_status`] sets one, with two exceptions: a
/// span that is dropped before it has finished is `cancelled`, and a span that panics is an
/// `internal_error`.
///
/// Waits only for `future`, and returns its output. Outside of a wrapper, without a DSN,
/// without `SENTRY_TRACES_SAMPLE_RATE`, or in a run that is not sampled, it only runs `future`.
/// One run keeps 1,000 spans and 256 KB of their texts; the number of spans that were dropped
/// is the transaction's `spans.dropped`. The platform's clock does not advance during pure
/// computation, so a span that only computes has the duration zero.
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

/// As [`span`], for a future that returns a `Result`: the span's status is `ok` or
/// `internal_error`.
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
/// Returns the error of `future`, unchanged.
pub async fn try_span<T, E>(
    op: impl Into<Cow<'static, str>>,
    name: impl Into<Cow<'static, str>>,
    future: impl Future<Output = std::result::Result<T, E>>,
) -> std::result::Result<T, E> {
    spans::span(op, name, MANUAL, |result| Some(status(result)), future).await
}

/// Sets a value of the current span, or of the run's transaction if there is no current span.
///
/// A span keeps 128 values, and 2,048 bytes of each text. Lists and objects are kept as JSON
/// text. Does nothing where [`span`] records nothing.
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

/// Sets the HTTP status of the current span, or of the run's transaction if there is no current
/// span. It becomes the span's status and its `http.response.status_code`.
///
/// The wrappers accept any type of result, so they cannot read the status of a response. The
/// layer for `tower` sets the status itself. If a handler returns an error, the status is
/// `internal_error` in any case. Does nothing where [`span`] records nothing.
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

/// Makes a call of the application, as a span with the method and the host.
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

/// Sends to a queue, as a span.
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

/// Creates an instance of a Workflow, as a span.
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
