//! Makes a handler fail on purpose, to see that its error arrives.
//!
//! `POST /drill/<host>/<handler>?marker=TEXT` answers `404` unless the binding
//! `DRILLS` is `on`. No committed configuration sets it to `on` for
//! production.
//!
//! No handler has a branch for drills. Each drill gives a handler an input on which its real code
//! fails. The input is named after the marker, so the error names the marker, too. A marker is a
//! list, an object or a trigger of its own, so a drill changes no real data.

use serde::Serialize;
use worker::js_sys::Reflect;
use worker::wasm_bindgen::{JsCast, JsValue};
use worker::{Context, Env, Error, Fetcher, Method, Request, RequestInit, Response, Result};
use worker_sentry::workflow::{CreateOptions, WorkflowEnv};
use worker_sentry::{Handler, TracedFetcher, TracedQueue, with_sentry_worker};

use crate::compilation::{Compilation, Stage};
use crate::compilation_coordinator::{Spoiled, Ticket};
use crate::compile_request::{CompileRequest, Source, is_name};
use crate::schedule::Schedule;
use crate::workflows::{Batch, Order, Warming, Watch};
use crate::{call, lists, periodic};

const SPOILED: &str = "spoiled by a drill";

/// The answer to a drill.
#[derive(Debug, Serialize)]
struct Accepted<'d> {
    host: &'d str,
    handler: &'d str,
    marker: &'d str,
    object: String,
}

// ANCHOR: is_on
/// Whether this deployment takes part in drills.
pub fn is_on(env: &Env) -> bool {
    env.var("DRILLS")
        .is_ok_and(|drills| drills.to_string() == "on")
}
// ANCHOR_END: is_on

/// Runs the drill for a path's `host` and `handler`.
///
/// # Errors
///
/// If the handler cannot be reached, or did not fail.
pub async fn run(
    env: &Env,
    context: &Context,
    request: &Request,
    host: &str,
    handler: &str,
) -> Result<Response> {
    let url = request.url()?;
    let marker = url
        .query_pairs()
        .find_map(|(name, value)| (name == "marker").then_some(value.into_owned()))
        .filter(|marker| is_name(marker));
    let Some(marker) = marker.as_deref() else {
        return Response::error(
            "a drill needs ?marker= with 1 to 64 letters, digits or dashes",
            400,
        );
    };
    let object = match (host, handler) {
        ("main", "fetch") => main_fetch(env, context, marker).await,
        ("main", "queue") => main_queue(env, marker).await,
        ("main", "scheduled") => main_scheduled(env, context, marker).await,
        ("rate-limiter", "alarm") => rate_limiter_alarm(env, marker).await,
        ("compilation-coordinator", "alarm") => coordinator_alarm(env, marker).await,
        ("compilation-coordinator", "fetch") => coordinator_fetch(env, marker).await,
        ("ws-hibernation", "error") => ws_error(env, marker).await,
        ("compilation", "run") => compilation_run(env, marker).await,
        ("batch-compilation", "run") => {
            let requests = vec![request_without_sources(marker)];
            start(env, "BATCH_COMPILATION", Batch { requests }).await
        }
        ("cache-warming", "run") => {
            let lists = Some(vec![marker.to_owned()]);
            start(env, "CACHE_WARMING", Warming { lists }).await
        }
        ("health-monitoring", "run") => {
            let watch = Watch {
                lists: Some(vec![marker.to_owned()]),
                second_look_s: Some(1),
            };
            start(env, "HEALTH_MONITORING", watch).await
        }
        ("panic", "alarm") => panic_alarm(env, marker).await,
        _ => return Response::error("Not Found", 404),
    };
    let accepted = Accepted {
        host,
        handler,
        marker,
        object: object?,
    };
    Ok(Response::from_json(&accepted)?.with_status(202))
}

/// Stores a text that cannot be read as a list, and requests that list.
///
/// The request goes through the Worker's own binding: the handler that fails is another call, so
/// this one lives on and answers.
async fn main_fetch(env: &Env, context: &Context, marker: &str) -> Result<String> {
    lists::put(env, marker, SPOILED).await?;
    let list = Request::new(&format!("https://this-worker/lists/{marker}"), Method::Get)?;
    let answer = this_worker(context)?.traced_fetch_request(list).await;
    lists::delete(env, marker).await?;
    let mut answer = answer?;
    answer.text().await?;
    match answer.status_code() {
        500.. => Ok(marker.to_owned()),
        _ => Err(did_not_fail()),
    }
}

/// The binding of this Worker to itself, which the runtime provides.
/// <https://developers.cloudflare.com/workers/runtime-apis/context/#exports>
fn this_worker(context: &Context) -> Result<Fetcher> {
    let exports = Reflect::get(context.as_ref(), &JsValue::from_str("exports"))?;
    let default = Reflect::get(&exports, &JsValue::from_str("default"))?;
    let default: worker::worker_sys::Fetcher = default.unchecked_into();
    Ok(default.into())
}

/// Sends a message that is not a request.
async fn main_queue(env: &Env, marker: &str) -> Result<String> {
    let queue = env.queue("COMPILE_QUEUE")?;
    queue.traced_send(&request_without_sources(marker)).await?;
    Ok("COMPILE_QUEUE".to_owned())
}

/// Runs a cron trigger whose schedule cannot be read.
///
/// The platform has no call that fires a trigger now. So this function runs the same code as
/// `scheduled`, in the same wrapper.
async fn main_scheduled(env: &Env, context: &Context, marker: &str) -> Result<String> {
    let key = Schedule::key_of(marker);
    let store = env.kv("LISTS")?;
    store.put(&key, SPOILED)?.execute().await?;
    let jobs = periodic::start(env, marker);
    let started = with_sentry_worker(env, context, Handler::Scheduled, jobs).await;
    store.delete(&key).await?;
    match started {
        Err(_) => Ok(key),
        Ok(()) => Err(did_not_fail()),
    }
}

/// Stores a client's window that the sweep cannot read.
///
/// Each drill uses an object of its own: a sweep reports only the first unreadable entry, and two
/// drills at the same time must be two reports.
async fn rate_limiter_alarm(env: &Env, marker: &str) -> Result<String> {
    let object = format!("drill-{marker}");
    let url = format!("https://rate-limiter/drill/alarm/{marker}");
    let init = RequestInit {
        method: Method::Post,
        ..RequestInit::default()
    };
    env.durable_object("RATE_LIMITER")?
        .get_by_name(&object)?
        .fetch_with_request(Request::new_with_init(&url, &init)?)
        .await?;
    Ok(object)
}

// ANCHOR: coordinator_alarm
/// A compilation that the alarm cannot read.
async fn coordinator_alarm(env: &Env, marker: &str) -> Result<String> {
    let spoiled = Spoiled {
        key: Compilation::key_of(marker),
        entry: SPOILED.to_owned(),
        alarm: true,
    };
    spoil(env, marker, &spoiled).await
}
// ANCHOR_END: coordinator_alarm

/// Stores a compilation that the next request for the same list cannot read.
async fn coordinator_fetch(env: &Env, marker: &str) -> Result<String> {
    let request = request_without_sources(marker);
    let spoiled = Spoiled {
        key: Compilation::key_of(&request.id()),
        entry: SPOILED.to_owned(),
        alarm: false,
    };
    let object = spoil(env, marker, &spoiled).await?;
    match call::ask::<Ticket>(env, "COORDINATOR", &object, "/compile", &request).await {
        Err(_) => Ok(object),
        Ok(_) => Err(did_not_fail()),
    }
}

/// Stores a stale compilation under another compilation's key, which the coordinator treats as an
/// error in its own code: it panics.
async fn panic_alarm(env: &Env, marker: &str) -> Result<String> {
    let stale = Compilation {
        id: format!("not-{marker}"),
        name: marker.to_owned(),
        instance: String::new(),
        stage: Stage::Started,
        heard_ms: 0,
    };
    let spoiled = Spoiled {
        key: Compilation::key_of(marker),
        entry: stale.to_stored()?,
        alarm: true,
    };
    spoil(env, marker, &spoiled).await
}

async fn spoil(env: &Env, marker: &str, spoiled: &Spoiled) -> Result<String> {
    call::post(env, "COORDINATOR", marker, "/drill", spoiled).await?;
    Ok(marker.to_owned())
}

/// Breaks the socket of a subscriber to a list.
async fn ws_error(env: &Env, marker: &str) -> Result<String> {
    let subscription = call::subscribe(env, marker, "websocket").await?;
    let Some(socket) = subscription.websocket() else {
        return Err(Error::RustError("there is no socket to break".to_owned()));
    };
    socket.accept()?;
    let broken: usize = call::ask(env, "PROGRESS", marker, "/drill", &()).await?;
    match broken {
        0 => Err(did_not_fail()),
        _ => Ok(marker.to_owned()),
    }
}

/// Compiles a list whose sources contain no rule.
async fn compilation_run(env: &Env, marker: &str) -> Result<String> {
    let request = CompileRequest {
        name: marker.to_owned(),
        sources: vec![Source::Text(format!("! {SPOILED}"))],
    };
    let id = request.id();
    start(env, "COMPILATION", Order { id, request }).await
}

/// A request with the list's name that every part of the application refuses.
fn request_without_sources(marker: &str) -> CompileRequest {
    CompileRequest {
        name: marker.to_owned(),
        sources: Vec::new(),
    }
}

async fn start(env: &Env, binding: &str, params: impl Serialize) -> Result<String> {
    let options = CreateOptions {
        params: Some(params),
        ..CreateOptions::default()
    };
    let instance = env.workflow(binding)?.create(options).await?;
    Ok(instance.id())
}

fn did_not_fail() -> Error {
    Error::RustError("the handler did not fail".to_owned())
}
