//! Routes each request of the main Worker.

use serde::Serialize;
use thiserror::Error;
use worker::{Context, Env, Method, Request, RequestInit, Response, Result};
use worker_sentry::{TracedQueue, TracedStub, continue_trace, set_response_status};

use crate::compilation_coordinator::Ticket;
use crate::compile_request::{CompileRequest, InvalidRequest, check_batch, is_name};
use crate::etag::is_known;
use crate::lists::{self, ListError};
use crate::rate_limit::Verdict;
use crate::shard::shard_of;
use crate::{call, drill};

/// Why a request could not be served, although the client made no mistake.
#[derive(Debug, Error)]
pub enum RouteError {
    /// A list could not be read.
    #[error(transparent)]
    UnavailableList(#[from] ListError),
    /// A binding failed.
    #[error("a request could not be served")]
    Platform(#[from] worker::Error),
}

/// The answer to `POST /compile`.
#[derive(Serialize)]
struct Accepted<'t> {
    #[serde(flatten)]
    ticket: &'t Ticket,
    list: String,
    progress: String,
}

// ANCHOR: route
/// Finds out who answers. What follows from the request is in the trace of the client.
pub async fn route(request: Request, env: &Env, context: &Context) -> Result<Response, RouteError> {
    continue_trace(&request);
    let path = request.path();
    let path: Vec<&str> = path.trim_matches('/').split('/').collect();
    let response = match (request.method(), path.as_slice()) {
        (Method::Get, [""]) => Response::ok("A filter-list compiler.\n"),
        (Method::Get, ["health"]) => health(env).await,
        (Method::Post, ["check", client]) => check(env, client).await,
        (Method::Post, ["compile"]) => compile(request, env).await,
        (Method::Post, ["batch"]) => batch(request, env).await,
        (Method::Get, ["lists", name]) if is_name(name) => {
            return list(&request, env, name).await;
        }
        (Method::Get, ["lists", name, "progress"]) if is_name(name) => {
            progress(request, env, name).await
        }
        (Method::Post, ["drill", host, handler]) if drill::is_on(env) => {
            drill::run(env, context, &request, host, handler).await
        }
        _ => Response::error("Not Found", 404),
    };
    let response = response?;
    set_response_status(response.status_code());
    Ok(response)
}
// ANCHOR_END: route

/// Accepts a request for one list.
async fn compile(mut request: Request, env: &Env) -> Result<Response> {
    if let Some(refusal) = refusal(&request, env).await? {
        return Ok(refusal);
    }
    let wanted = match CompileRequest::from_json(&request.text().await?) {
        Ok(wanted) => wanted,
        Err(error) => return refuse(&error),
    };
    let ticket: Ticket = call::ask(env, "COORDINATOR", &wanted.name, "/compile", &wanted).await?;
    let accepted = Accepted {
        ticket: &ticket,
        list: format!("/lists/{}", wanted.name),
        progress: format!("/lists/{}/progress", wanted.name),
    };
    Ok(Response::from_json(&accepted)?.with_status(202))
}

/// Accepts requests for many lists and sends them to the queue.
async fn batch(mut request: Request, env: &Env) -> Result<Response> {
    if let Some(refusal) = refusal(&request, env).await? {
        return Ok(refusal);
    }
    let wanted: Vec<CompileRequest> = match serde_json::from_str(&request.text().await?) {
        Ok(wanted) => wanted,
        Err(error) => return refuse(&error.into()),
    };
    if let Err(error) = check_batch(&wanted) {
        return refuse(&error);
    }
    let queued = wanted.len();
    env.queue("COMPILE_QUEUE")?
        .traced_send_batch(&wanted)
        .await?;
    let queued = serde_json::json!({ "queued": queued });
    Ok(Response::from_json(&queued)?.with_status(202))
}

fn refuse(error: &InvalidRequest) -> Result<Response> {
    Response::error(error.to_string(), 400)
}

/// Serves a list, unless the client has this version.
async fn list(request: &Request, env: &Env, name: &str) -> Result<Response, RouteError> {
    let Some((header, text)) = lists::get(env, name).await? else {
        return Ok(Response::error("Not Found", 404)?);
    };
    let tag = format!("\"{}\"", header.version);
    let known = request.headers().get("If-None-Match")?;
    let response = match known.is_some_and(|known| is_known(&known, &tag)) {
        true => Response::empty()?.with_status(304),
        false => Response::ok(text)?,
    };
    response.headers().set("ETag", &tag)?;
    Ok(response)
}

/// Passes a WebSocket to the object that tells a list's progress.
async fn progress(request: Request, env: &Env, name: &str) -> Result<Response> {
    let upgrade = request.headers().get("Upgrade")?.unwrap_or_default();
    call::subscribe(env, name, &upgrade).await
}

/// Answers with the last verdict of the monitoring. Without a verdict, the lists are healthy.
async fn health(env: &Env) -> Result<Response> {
    let verdict = lists::verdict(env).await?;
    let is_healthy = verdict.as_ref().is_none_or(|verdict| verdict.is_healthy());
    let response = Response::from_json(&verdict)?;
    Ok(response.with_status(if is_healthy { 200 } else { 503 }))
}

/// Asks the client's rate limiter.
async fn check(env: &Env, client: &str) -> Result<Response> {
    answer(limit(env, client).await?)
}

/// The answer to a client that asks too often.
async fn refusal(request: &Request, env: &Env) -> Result<Option<Response>> {
    let client = request.headers().get("CF-Connecting-IP")?;
    match limit(env, client.as_deref().unwrap_or("unknown")).await? {
        Verdict::Allowed { .. } => Ok(None),
        denied => answer(denied).map(Some),
    }
}

async fn limit(env: &Env, client: &str) -> Result<Verdict> {
    let init = RequestInit {
        method: Method::Post,
        ..RequestInit::default()
    };
    let request = Request::new_with_init(&format!("https://rate-limiter/check/{client}"), &init)?;
    let mut answer = env
        .durable_object("RATE_LIMITER")?
        .get_by_name(&shard_of(client))?
        .traced_fetch_with_request(request)
        .await?;
    answer.json().await
}

fn answer(verdict: Verdict) -> Result<Response> {
    let response = Response::from_json(&verdict)?;
    match verdict {
        Verdict::Allowed { .. } => Ok(response),
        Verdict::Denied { retry_after_s } => {
            response
                .headers()
                .set("Retry-After", &retry_after_s.to_string())?;
            Ok(response.with_status(429))
        }
    }
}

/// Turns the error into the one that the runtime sees.
impl From<RouteError> for worker::Error {
    fn from(error: RouteError) -> Self {
        match error {
            RouteError::Platform(error) => error,
            RouteError::UnavailableList(error) => worker::Error::RustError(error.to_string()),
        }
    }
}
