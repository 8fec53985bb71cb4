// ANCHOR: all
use worker::*;
use worker_sentry::{Handler, with_sentry_worker};

#[event(fetch)]
async fn fetch(mut request: Request, env: Env, context: Context) -> Result<Response> {
    with_sentry_worker(&env, &context, Handler::Fetch, async {
        let text = request.text().await?;
        match text.parse::<u32>() {
            Ok(number) => Response::ok(format!("{}\n", u64::from(number).pow(2))),
            Err(error) => Err(Error::RustError(format!("`{text}`: {error}"))),
        }
    })
    .await
}
// ANCHOR_END: all
