// ANCHOR: all
use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tower_service::Service;
use worker::{Context, Env, HttpRequest, Result, event};
use worker_sentry::tower::{SentryLayer, with_error};

#[event(fetch)]
async fn fetch(request: HttpRequest, env: Env, context: Context) -> Result<Response> {
    let sentry = SentryLayer::new(&env, &context);
    let mut router = Router::new()
        .route("/lists/{name}", get(rules))
        .with_state(env)
        .layer(sentry);
    Ok(router.call(request).await?)
}

/// How many rules a list has. A binding's future is not `Send`, and axum asks for that.
#[worker::send]
async fn rules(State(env): State<Env>, Path(name): Path<String>) -> Result<String, ListError> {
    let stored = env.kv("LISTS")?.get(&name).text().await;
    let stored = stored.map_err(worker::Error::from)?;
    let count = stored.ok_or(ListError::Unknown)?;
    Ok(count.parse::<u32>()?.to_string())
}

#[derive(Debug, thiserror::Error)]
pub enum ListError {
    #[error("there is no such list")]
    Unknown,
    #[error("a list's count of rules is not a number")]
    Count(#[from] std::num::ParseIntError),
    #[error("the lists cannot be read")]
    Storage(#[from] worker::Error),
}

impl IntoResponse for ListError {
    fn into_response(self) -> Response {
        let status = match self {
            ListError::Unknown => StatusCode::NOT_FOUND,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        with_error(status.into_response(), &self)
    }
}
// ANCHOR_END: all
