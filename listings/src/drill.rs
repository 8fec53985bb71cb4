//! Making a handler fail on purpose, to see that its error arrives.
//!
//! `POST /drill/<host>/<handler>?marker=TEXT` answers `404` unless the binding
//! `DRILLS` is `on`, and nothing that is committed here turns it on for
//! production.

use serde::Serialize;
use worker::{Env, Method, Request, RequestInit, Response, Result};

use crate::shard::shard_of;

/// What a drill answers.
#[derive(Debug, Serialize)]
struct Accepted<'d> {
    host: &'d str,
    handler: &'d str,
    marker: &'d str,
    object: String,
}

/// Whether this deployment takes part in drills.
pub fn is_on(env: &Env) -> bool {
    env.var("DRILLS")
        .is_ok_and(|drills| drills.to_string() == "on")
}

/// Runs the drill for a path's `host` and `handler`.
///
/// # Errors
///
/// If the object that is to fail cannot be reached.
pub async fn run(env: &Env, request: &Request, host: &str, handler: &str) -> Result<Response> {
    let url = request.url()?;
    let marker = url
        .query_pairs()
        .find_map(|(name, value)| (name == "marker").then_some(value.into_owned()))
        .filter(|marker| is_marker(marker));
    let Some(marker) = marker else {
        return Response::error(
            "a drill needs ?marker= with 1 to 64 letters, digits or dashes",
            400,
        );
    };
    let object = match (host, handler) {
        ("rate-limiter", "alarm") => rate_limiter_alarm(env, &marker).await?,
        _ => return Response::error("Not Found", 404),
    };
    let accepted = Accepted {
        host,
        handler,
        marker: &marker,
        object,
    };
    Ok(Response::from_json(&accepted)?.with_status(202))
}

/// Markers end up in paths and error messages, so they are plain.
fn is_marker(marker: &str) -> bool {
    (1..=64).contains(&marker.len())
        && marker
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

async fn rate_limiter_alarm(env: &Env, marker: &str) -> Result<String> {
    let object = shard_of(marker);
    let url = format!("https://rate-limiter/drill/alarm/{marker}");
    let init = RequestInit {
        method: Method::Post,
        ..RequestInit::default()
    };
    env.durable_object("RATE_LIMITER")?
        .get_by_name(&object)?
        .fetch_with_request(Request::new_with_init(&url, &init)?)
        .await?;
    Ok(object)
}

#[cfg(test)]
mod tests {
    use super::is_marker;

    #[test]
    fn markers_are_plain() {
        for good in ["a", "deploy-42", &"x".repeat(64)] {
            assert!(is_marker(good), "{good}");
        }
        for bad in ["", "a b", "a/b", "ä", "a%20b", &"x".repeat(65)] {
            assert!(!is_marker(bad), "{bad}");
        }
    }
}
