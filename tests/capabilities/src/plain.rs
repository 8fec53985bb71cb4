//! The smallest `fetch`, with each capability in use.

use worker::*;

#[cfg(not(feature = "attribute"))]
use worker_sentry::{Handler, with_sentry_worker};

#[cfg(not(feature = "attribute"))]
#[event(fetch)]
async fn fetch(mut request: Request, env: Env, context: Context) -> Result<Response> {
    with_sentry_worker(&env, &context, Handler::Fetch, async {
        begin(&request);
        let text = request.text().await?;
        let number = parsed(&text).await;
        match number {
            Ok(number) => Response::ok(format!("{}\n", u64::from(number).pow(2))),
            Err(error) => Err(Error::RustError(format!("`{text}`: {error}"))),
        }
    })
    .await
}

#[cfg(feature = "attribute")]
#[worker_sentry::with_sentry]
#[event(fetch)]
async fn fetch(mut request: Request, _: Env, _: Context) -> Result<Response> {
    begin(&request);
    let text = request.text().await?;
    let number = parsed(&text).await;
    match number {
        Ok(number) => Response::ok(format!("{}\n", u64::from(number).pow(2))),
        Err(error) => Err(Error::RustError(format!("`{text}`: {error}"))),
    }
}

/// Records data of the run before the work begins.
fn begin(request: &Request) {
    #[cfg(feature = "request")]
    worker_sentry::configure_scope(|scope| {
        scope.set_request(request, "/", &["cf-ray"]);
    });
    #[cfg(feature = "ambient")]
    {
        use worker_sentry::protocol::User;
        worker_sentry::configure_scope(|scope| {
            scope.set_user(Some(User {
                id: Some("account-42".to_owned()),
                ..User::default()
            }));
            scope.set_tag("plan", "free");
        });
        worker_sentry::add_breadcrumb("a number was sent");
    }
    #[cfg(feature = "logs")]
    worker_sentry::Log::info("a number was sent")
        .with("path", "/")
        .send();
    #[cfg(feature = "tracing")]
    tracing::info!(path = "/", "a number was sent");
    let _ = request;
}

/// Parses the number in a text.
async fn parsed(text: &str) -> std::result::Result<u32, std::num::ParseIntError> {
    #[cfg(feature = "spans")]
    return worker_sentry::try_span("function", "parse", async { text.parse() }).await;
    #[cfg(feature = "monitors")]
    {
        use worker_sentry::{Monitor, with_monitor};
        let monitor = Monitor::cron("*/5 * * * *").slug("numbers");
        return with_monitor(monitor, async { text.parse() }).await;
    }
    #[cfg(not(any(feature = "spans", feature = "monitors")))]
    text.parse()
}
