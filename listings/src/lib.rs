//! The example Worker of the worker-sentry book: a small filter-list compiler.
//!
//! Every way in has a file of its own, named as the book names it. What can be
//! decided without the platform is in a module beside it and tested natively.

mod drill;
pub mod filter_list;
mod fnv;
mod rate_limit;
mod rate_limiter_do;
mod shard;

pub use rate_limit::{Limit, UnreadableWindow, Verdict, Window};
pub use rate_limiter_do::{RateLimiterDo, SweepError};
use worker::{Context, Env, Method, Request, RequestInit, Response, Result, event};

/// The main Worker's way in for HTTP.
#[event(fetch)]
async fn fetch(request: Request, env: Env, _context: Context) -> Result<Response> {
    let path = request.path();
    let path: Vec<&str> = path.trim_matches('/').split('/').collect();
    match (request.method(), path.as_slice()) {
        (Method::Get, [""]) => Response::ok("A filter-list compiler.\n"),
        (Method::Post, ["check", client]) => check(&env, client).await,
        (Method::Post, ["drill", host, handler]) if drill::is_on(&env) => {
            drill::run(&env, &request, host, handler).await
        }
        _ => Response::error("Not Found", 404),
    }
}

/// Asks the client's rate limiter.
async fn check(env: &Env, client: &str) -> Result<Response> {
    let init = RequestInit {
        method: Method::Post,
        ..RequestInit::default()
    };
    let request = Request::new_with_init(&format!("https://rate-limiter/check/{client}"), &init)?;
    let mut answer = env
        .durable_object("RATE_LIMITER")?
        .get_by_name(&shard::shard_of(client))?
        .fetch_with_request(request)
        .await?;
    let verdict: Verdict = answer.json().await?;
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
