//! Every handler of an object, with the arguments named and not named.

use worker::*;
use worker_sentry::{Report, capture_exception_in_background, with_sentry};

#[durable_object]
pub struct Room {
    state: State,
    environment: Env,
}

#[derive(Debug)]
pub struct SweepError(String);

impl std::fmt::Display for SweepError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for SweepError {}

impl From<SweepError> for Error {
    fn from(error: SweepError) -> Self {
        Error::RustError(error.0)
    }
}

#[with_sentry(background(websocket_error), class = "Rooms")]
impl DurableObject for Room {
    fn new(state: State, env: Env) -> Self {
        Room {
            state,
            environment: env,
        }
    }

    async fn fetch(&self, mut request: Request) -> Result<Response> {
        let text = request.text().await?;
        if text.is_empty() {
            return Response::error("empty", 400);
        }
        let number: u32 = text
            .parse()
            .map_err(|error| Error::RustError(format!("{error}")))?;
        Response::ok(number.to_string())
    }

    // The error is this one in a report, and `worker`'s after it.
    async fn alarm(&self) -> std::result::Result<Response, SweepError> {
        let kept: Option<String> = self
            .state
            .storage()
            .get("kept")
            .await
            .map_err(|error| SweepError(error.to_string()))?;
        let Some(kept) = kept else {
            return Err(SweepError("nothing is kept".into()));
        };
        Err(SweepError(kept))
    }

    async fn connect(&self, _: Socket) -> Result<()> {
        Err("closed".into())
    }

    async fn websocket_message(&self, ws: WebSocket, _: WebSocketIncomingMessage) -> Result<()> {
        ws.close(Some(1003), Some("this socket only talks"))
    }

    async fn websocket_close(
        &self,
        _ws: WebSocket,
        _code: usize,
        _reason: String,
        _was_clean: bool,
    ) -> Result<()> {
        Ok(())
    }

    async fn websocket_error(&self, _: WebSocket, error: Error) -> Result<()> {
        let report = Report::new(&error);
        capture_exception_in_background(&self.environment, &self.state, report);
        Err(error)
    }
}

/// Keeps its `Env` without a name, and is never asked anything.
#[durable_object(fetch)]
pub struct Tuple(#[allow(dead_code)] State, Env);

#[with_sentry]
impl DurableObject for Tuple {
    fn new(_state: State, env: Env) -> Self {
        Self(_state, env.clone())
    }

    async fn fetch(&self, _: Request) -> Result<Response> {
        panic!("not yet")
    }
}

/// Where the `Env` is cannot be read off the constructor.
#[durable_object(fetch)]
pub struct Deep {
    inner: Inner,
}

pub struct Inner {
    env: Env,
}

impl Inner {
    fn new(env: Env) -> Self {
        Inner { env }
    }
}

#[with_sentry(env = self.inner.env, skip(new))]
impl DurableObject for Deep {
    fn new(_: State, env: Env) -> Self {
        Deep {
            inner: Inner::new(env),
        }
    }

    async fn fetch(&self, _: Request) -> Result<Response> {
        Response::empty()
    }
}
