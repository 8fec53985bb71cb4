//! A service of axum that is called repeatedly, with the crate's layer and without it.

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use axum::routing::get;
use tower_service::Service;
use worker::{Context, Env, Result};
use worker_sentry::tower::SentryLayer;

use crate::{Order, measured};

/// An address for which the service has a route.
const URI: &str = "https://bench.example.com/lists/one";

/// Calls the service `count` times. The operation `axum-bare` has no layer.
pub(crate) async fn calls(env: &Env, context: &Context, order: &Order) -> Result<()> {
    let router = Router::new().route("/lists/{name}", get(|| async { "one" }));
    let mut router: Router = match order.op.as_str() {
        "axum-bare" => router,
        _ => router.layer(SentryLayer::new(env, context)),
    };
    measured(env, order, async {
        for _ in 0..order.count {
            let request = Request::builder().uri(URI).body(Body::empty());
            let request = request.expect("a URI");
            let _ = router.call(request).await;
        }
    })
    .await;
    Ok(())
}
