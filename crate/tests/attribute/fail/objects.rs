use worker::*;
use worker_sentry::with_sentry;

#[durable_object(fetch)]
pub struct Dropped {}

#[with_sentry]
impl DurableObject for Dropped {
    fn new(_state: State, _env: Env) -> Self {
        Dropped {}
    }

    async fn fetch(&self, _: Request) -> Result<Response> {
        Response::empty()
    }
}

#[durable_object(fetch)]
pub struct Hidden {
    things: (State, Env),
}

#[with_sentry]
impl DurableObject for Hidden {
    fn new(state: State, env: Env) -> Self {
        Hidden {
            things: (state, env),
        }
    }

    async fn fetch(&self, _: Request) -> Result<Response> {
        let _ = &self.things;
        Response::empty()
    }
}

#[durable_object(fetch)]
pub struct Options {
    env: Env,
}

#[with_sentry(skip(alarm))]
impl DurableObject for Options {
    fn new(_: State, env: Env) -> Self {
        Options { env }
    }

    async fn fetch(&self, _: Request) -> Result<Response> {
        Response::empty()
    }
}

#[with_sentry]
impl Options {
    async fn help(&self) -> Result<()> {
        Ok(())
    }
}

fn main() {}
