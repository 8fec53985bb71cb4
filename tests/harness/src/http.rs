//! A client for services on this machine.

use std::time::Duration;

use serde_json::Value;
use ureq::{Agent, http};

/// The answer of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The body as text.
    pub body: String,
}

impl Answer {
    /// The body as JSON.
    ///
    /// # Panics
    ///
    /// If the body is not JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        match serde_json::from_str(&self.body) {
            Ok(value) => value,
            Err(error) => panic!("not JSON ({error}): {self:?}"),
        }
    }
}

/// The longest time that an answer may take.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Sends one request on a connection of its own.
///
/// # Panics
///
/// If no answer arrives. Any status is an answer.
#[track_caller]
pub fn request(method: &str, url: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    request_for_header(method, url, headers, body, "").0
}

/// Sends one request on a connection of its own, and returns the answer with one of its headers.
///
/// # Panics
///
/// If no answer arrives. Any status is an answer.
#[track_caller]
pub fn request_for_header(
    method: &str,
    url: &str,
    headers: &[(&str, &str)],
    body: &str,
    wanted: &str,
) -> (Answer, Option<String>) {
    try_request(method, url, headers, body, wanted)
        .unwrap_or_else(|error| panic!("{method} {url}: {error}"))
}

/// Sends one request on a connection of its own. The answer may be missing or incomplete.
pub(crate) fn try_request(
    method: &str,
    url: &str,
    headers: &[(&str, &str)],
    body: &str,
    wanted: &str,
) -> Result<(Answer, Option<String>), ureq::Error> {
    let agent: Agent = Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .proxy(None)
        .timeout_global(Some(TIMEOUT))
        .build()
        .into();
    let mut request = http::Request::builder().method(method).uri(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(body).expect("a request of our own making");
    agent.run(request).and_then(|mut response| {
        let header = http::HeaderName::try_from(wanted).ok();
        let header = header.and_then(|name| response.headers().get(name));
        let header = header
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned);
        let answer = Answer {
            status: response.status().as_u16(),
            body: response.body_mut().read_to_string()?,
        };
        Ok((answer, header))
    })
}
