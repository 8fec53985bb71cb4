//! Requests to a Durable Object.

use serde::Serialize;
use serde::de::DeserializeOwned;
use worker::{Env, Error, Method, Request, RequestInit, Response, Result};
use worker_sentry::TracedStub;

/// Sends `body` to the object `object` of the namespace bound as `binding`.
///
/// A request to an object goes to that object, whatever the host of its address is. Here the host
/// names the object in a trace. What the object reports is in the trace of the caller.
///
/// # Errors
///
/// If the object failed, or if its answer was not a success.
pub async fn post(
    env: &Env,
    binding: &str,
    object: &str,
    path: &str,
    body: &impl Serialize,
) -> Result<Response> {
    let mut init = RequestInit::new();
    init.with_method(Method::Post)
        .with_body(Some(serde_json::to_string(body)?.into()));
    let url = format!("https://{}{path}", binding.to_lowercase());
    let request = Request::new_with_init(&url, &init)?;
    let response = env
        .durable_object(binding)?
        .get_by_name(object)?
        .traced_fetch_with_request(request)
        .await?;
    match response.status_code() {
        200..=299 => Ok(response),
        status => Err(Error::RustError(format!("{binding} answered {status}"))),
    }
}

/// Sends `body` as [`post`] does, and reads the answer as JSON.
///
/// # Errors
///
/// If [`post`] fails, or if the answer is not a `T`.
pub async fn ask<T: DeserializeOwned>(
    env: &Env,
    binding: &str,
    object: &str,
    path: &str,
    body: &impl Serialize,
) -> Result<T> {
    post(env, binding, object, path, body).await?.json().await
}

/// Asks for a WebSocket that receives a list's progress.
///
/// # Errors
///
/// If the object cannot be reached.
pub async fn subscribe(env: &Env, name: &str, upgrade: &str) -> Result<Response> {
    let subscribe = Request::new(&format!("https://progress/subscribe/{name}"), Method::Get)?;
    subscribe.headers().set("Upgrade", upgrade)?;
    let stub = env.durable_object("PROGRESS")?.get_by_name(name)?;
    stub.fetch_with_request(subscribe).await
}
