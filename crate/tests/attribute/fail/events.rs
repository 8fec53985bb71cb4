use worker::*;
use worker_sentry::with_sentry;

#[with_sentry]
#[event(start)]
fn start() {}

#[with_sentry]
async fn helper(_request: Request, _env: Env, _context: Context) -> Result<Response> {
    Response::empty()
}

#[with_sentry(class = "Main")]
#[event(fetch)]
async fn named(_request: Request, _env: Env, _context: Context) -> Result<Response> {
    Response::empty()
}

#[with_sentry(queue)]
async fn few(_env: Env, _context: Context) -> Result<()> {
    Ok(())
}

#[with_sentry(teleport)]
async fn unknown(_request: Request, _env: Env, _context: Context) -> Result<()> {
    Ok(())
}

fn main() {}
