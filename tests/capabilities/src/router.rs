//! The smallest Worker on axum, with the wrapper or with the layer.

use axum::Router;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::post;
use tower_service::Service;
use worker::{Context, Env, HttpRequest, Result, event};

async fn square(text: String) -> std::result::Result<String, StatusCode> {
    match text.parse::<u32>() {
        Ok(number) => Ok(format!("{}\n", u64::from(number).pow(2))),
        Err(_) => Err(StatusCode::INTERNAL_SERVER_ERROR),
    }
}

#[cfg(not(feature = "axum"))]
#[event(fetch)]
async fn fetch(request: HttpRequest, env: Env, context: Context) -> Result<Response> {
    use worker_sentry::{Handler, with_sentry_worker};
    with_sentry_worker(&env, &context, Handler::Fetch, async {
        let mut router = Router::new().route("/", post(square));
        Ok::<_, worker::Error>(router.call(request).await?)
    })
    .await
}

#[cfg(feature = "axum")]
#[event(fetch)]
async fn fetch(request: HttpRequest, env: Env, context: Context) -> Result<Response> {
    let sentry = worker_sentry::tower::SentryLayer::new(&env, &context);
    let mut router = Router::new().route("/", post(square)).layer(sentry);
    Ok(router.call(request).await?)
}
