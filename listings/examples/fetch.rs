//! The quick start's main Worker: one handler, wrapped.

// ANCHOR: fetch
use worker::{Context, Env, Error, Request, Response, Result, event};
use worker_sentry::with_sentry_worker;

#[event(fetch)]
async fn fetch(request: Request, env: Env, context: Context) -> Result<Response> {
    with_sentry_worker(&env, &context, "fetch", async {
        match request.path().as_str() {
            "/fail" => Err(Error::RustError("failed on purpose".to_owned())),
            _ => Response::ok("It works.\n"),
        }
    })
    .await
}
// ANCHOR_END: fetch
