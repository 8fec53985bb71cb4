// ANCHOR: all
use worker::{Context, Env, Error, Request, Response, Result, RouteContext, Router, event};
use worker_sentry::{set_transaction, with_sentry};

#[with_sentry]
#[event(fetch)]
async fn fetch(request: Request, env: Env, _: Context) -> Result<Response> {
    Router::new()
        .get_async("/lists/:name", rules)
        .run(request, env)
        .await
}

/// How many rules a list has.
async fn rules(_: Request, context: RouteContext<()>) -> Result<Response> {
    set_transaction("GET /lists/:name");
    let name = context.param("name").map_or("", String::as_str);
    let stored = context.kv("LISTS")?.get(name).text().await?;
    let Some(count) = stored else {
        return Response::error("there is no such list", 404);
    };
    let count: u32 = count
        .parse()
        .map_err(|error| Error::RustError(format!("the count of `{name}`: {error}")))?;
    Response::ok(count.to_string())
}
// ANCHOR_END: all
