//! Asking a Durable Object something.

use serde::Serialize;
use serde::de::DeserializeOwned;
use worker::{Env, Error, Method, Request, RequestInit, Response, Result};

/// Sends `body` to the object `object` of the namespace bound as `binding`.
///
/// The host of the address means nothing: a request to an object goes to that
/// object.
///
/// # Errors
///
/// If the object failed, or answered with anything but success.
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
    let request = Request::new_with_init(&format!("https://object{path}"), &init)?;
    let response = env
        .durable_object(binding)?
        .get_by_name(object)?
        .fetch_with_request(request)
        .await?;
    match response.status_code() {
        200..=299 => Ok(response),
        status => Err(Error::RustError(format!("{binding} answered {status}"))),
    }
}

/// The same, for an answer in JSON.
///
/// # Errors
///
/// As for [`post`], and if the answer is not a `T`.
pub async fn ask<T: DeserializeOwned>(
    env: &Env,
    binding: &str,
    object: &str,
    path: &str,
    body: &impl Serialize,
) -> Result<T> {
    post(env, binding, object, path, body).await?.json().await
}
