//! A Worker for the tests only. `POST /CASE?marker=M` fails with M in the message, at a line
//! with a mark: `AT name` in a comment. The proof compares the lines of each stack with
//! these.

mod deep;

use std::time::Duration;

use wasm_bindgen::JsValue;
use worker::js_sys::Function;
use worker::{
    Context, Delay, DurableObject, Env, Request, Response, Result, State, durable_object, event,
};
use worker_sentry::workflow::{
    CreateOptions, WorkflowEntrypoint, WorkflowEnv, WorkflowEvent, WorkflowStep,
};
use worker_sentry::{
    Handler, WithStack, capture_exception_in_background, capture_exception_in_isolate,
    with_sentry_in_background, with_sentry_in_isolate, with_sentry_worker,
};

use deep::{Failed, outer};

#[event(fetch, respond_with_errors)] // AT event
async fn fetch(request: Request, env: Env, context: Context) -> Result<Response> {
    let url = request.url()?;
    let marker = url.query_pairs().find(|(key, _)| key == "marker");
    let marker = marker
        .map(|(_, value)| value.into_owned())
        .unwrap_or_default();
    let case = url.path().trim_matches('/').to_owned();
    let body = main(&env, &context, &case, &marker);
    with_sentry_worker(&env, &context, Handler::Fetch, body).await // AT wrapper
}

async fn main(env: &Env, context: &Context, case: &str, marker: &str) -> Result<Response> {
    match case {
        "" => return Response::ok("stacks\n"),
        "captured" => captured(env, marker).await, // AT captured outside
        "background" => {
            capture_exception_in_background(env, context, &Failed::of(marker)); // AT background
        }
        "returned" => return Err(Failed::of(marker).to_string().into()),
        "kept" => {
            let body = first(marker); // the error that the wrapper sees has the first as a cause
            let _ = with_sentry_in_isolate(env, "Inner", Handler::Fetch, body).await; // AT inner
        }
        "told" => {
            let told = first(marker).await; // AT main of told
            told.map_err(|error| format!("told: {error}"))?;
        }
        "panic" => outer(marker),    // AT main of panic
        "unwrap" => unwraps(marker), // AT main of unwrap
        "index" => return Response::ok(deep::index(marker).to_string()), // AT main of index
        "generic" => {
            let failed = deep::generic(&vec![Some(marker)]); // AT main of generic
            failed.map_err(|error| error.to_string())?;
        }
        "javascript" => throws(&thrower(marker)).with_stack()?, // AT main of javascript
        "late" => {
            let failed = Failed::of(marker);
            with_sentry_in_background(env, context, async move {
                Delay::from(Duration::from_millis(20)).await;
                late(failed).with_stack() // AT late
            });
        }
        "alarm" => {
            let object = env.durable_object("CLOCK")?.get_by_name(marker)?;
            let address = format!("https://object.example.com/?marker={marker}");
            object.fetch_with_str(&address).await?;
        }
        "step" => {
            let order = CreateOptions {
                params: Some(marker.to_owned()),
                ..CreateOptions::default()
            };
            env.workflow("COUNTING")?.create(order).await?;
        }
        "quiet" => return quiet(marker),
        "often" => {
            let mut last = Ok(());
            for number in 0..1_000 {
                last = deep::descended(100, &format!("{marker} {number}"));
            }
            last.map_err(|error| error.to_string())?;
        }
        _ => return Response::error("Not Found", 404),
    }
    Response::ok("done\n")
}

#[inline(never)]
async fn captured(env: &Env, marker: &str) {
    let failed = Failed::of(marker);
    capture_exception_in_isolate(env, &failed).await; // AT captured
}

/// An error that is kept and then another one that nobody keeps.
fn quiet(marker: &str) -> Result<Response> {
    let _ = Err::<(), _>(Failed::of("something else")).with_stack();
    Err(Failed::of(marker).to_string().into())
}

#[derive(Debug, thiserror::Error)]
enum Bigger {
    #[error("the list could not be read: {0}")]
    Read(#[from] Failed),
}

async fn first(marker: &str) -> std::result::Result<(), Bigger> {
    let read = second(marker).await; // AT first
    read.with_stack() // AT outermost
}

async fn second(marker: &str) -> std::result::Result<(), Bigger> {
    Delay::from(Duration::from_millis(5)).await;
    third(marker).await?; // AT second
    Ok(())
}

async fn third(marker: &str) -> std::result::Result<(), Failed> {
    Delay::from(Duration::from_millis(5)).await;
    deep::fails(marker).with_stack()?; // AT third
    Ok(())
}

#[inline(never)]
fn late(failed: Failed) -> std::result::Result<(), Failed> {
    Err(std::hint::black_box(failed))
}

#[inline(never)]
fn unwraps(marker: &str) {
    let number: std::result::Result<u32, _> = marker.parse();
    let number = number.expect(marker); // AT unwrap
    std::hint::black_box(number);
}

fn thrower(marker: &str) -> Function {
    made(marker)
}

#[wasm_bindgen::prelude::wasm_bindgen(inline_js = r#"
export function made(marker) { return function innermost() { throw new RangeError(marker); }; }
export function throws(what) { what(); }
"#)]
extern "C" {
    fn made(marker: &str) -> Function;
    /// Calls a function of JavaScript's, which throws.
    #[wasm_bindgen(catch)]
    fn throws(what: &Function) -> std::result::Result<(), JsValue>; // AT import
}

#[durable_object(alarm)] // AT object
pub struct Clock {
    state: State,
    env: Env,
}

impl DurableObject for Clock {
    fn new(state: State, env: Env) -> Self {
        Clock { state, env }
    }

    async fn fetch(&self, request: Request) -> Result<Response> {
        let url = request.url()?;
        let marker = url.query().unwrap_or_default().replace("marker=", "");
        let storage = self.state.storage();
        storage.put("marker", marker).await?;
        storage.set_alarm(Duration::ZERO).await?;
        Response::empty()
    }

    async fn alarm(&self) -> Result<Response> {
        with_sentry_in_isolate(&self.env, "Clock", Handler::Alarm, self.ring()).await?;
        Response::empty()
    }
}

impl Clock {
    async fn ring(&self) -> Result<()> {
        let storage = self.state.storage();
        let Some(marker) = storage.get::<String>("marker").await? else {
            return Ok(());
        };
        storage.delete("marker").await?;
        let rung = first(&marker).await; // AT ring
        Ok(rung.map_err(|error| error.to_string())?)
    }
}

pub struct CountingWorkflow(Env);

worker_sentry::workflow!(CountingWorkflow);

impl WorkflowEntrypoint for CountingWorkflow {
    type Input = String;
    type Output = ();

    fn new(_: Context, env: Env) -> Self {
        CountingWorkflow(env)
    }

    async fn run(&self, event: WorkflowEvent<String>, step: WorkflowStep) -> Result<()> {
        let env = self.0.clone();
        let steps = step.do_("count", move |_| {
            let (env, marker) = (env.clone(), event.payload.clone());
            async move {
                captured(&env, &marker).await; // AT step
                Ok::<_, worker::Error>(())
            }
        });
        Ok(with_sentry_in_isolate(&self.0, "CountingWorkflow", Handler::Run, steps).await?)
    }
}
