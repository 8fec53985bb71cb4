//! A Workflow that compiles one list: fetch, parse, normalise, store.

use std::rc::Rc;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use worker::{Context, Env, Fetch, Result};
use worker_sentry::workflow::{
    NonRetryableError, StepFailure, WorkflowEntrypoint, WorkflowEvent, WorkflowStep,
};
use worker_sentry::{Handler, with_sentry_in_isolate};

use super::patient;
use crate::compilation::{Progress, Stage};
use crate::compile_request::{CompileRequest, Source};
use crate::filter_list::{CompileError, Header, Parsed, compile, parse};
use crate::{call, lists};

/// The largest source. A step's result may have at most a mebibyte.
const MAX_SOURCE: usize = 900_000;

/// The input of the Workflow.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Order {
    /// The compilation's id.
    pub id: String,
    /// The client's request.
    pub request: CompileRequest,
}

/// A finished list, before it is stored.
#[derive(Serialize, Deserialize)]
struct Normalised {
    header: Header,
    text: String,
}

// ANCHOR: error
/// A compilation that ended without a list.
#[derive(Debug, Error)]
#[error("list `{name}` was not compiled")]
pub struct CompilationError {
    /// The list.
    pub name: String,
    /// The step that failed.
    pub source: StepFailure,
}
// ANCHOR_END: error

/// A source that could not be fetched.
#[derive(Debug, Error)]
enum FetchError {
    #[error("a source answered {0}")]
    Status(u16),
    #[error("a source will not be had by asking again")]
    Hopeless(#[from] NonRetryableError),
    #[error("a source could not be reached")]
    Network(#[from] worker::Error),
}

/// Compiles one list.
pub struct CompilationWorkflow {
    env: Env,
}

worker_sentry::workflow!(CompilationWorkflow);

impl WorkflowEntrypoint for CompilationWorkflow {
    type Input = Order;
    type Output = Header;

    fn new(_context: Context, env: Env) -> Self {
        CompilationWorkflow { env }
    }

    // ANCHOR: run
    /// One catch around all steps: report, then let the instance fail.
    async fn run(&self, event: WorkflowEvent<Order>, step: WorkflowStep) -> Result<Header> {
        let steps = self.compile(&event.payload, &step);
        let compiled =
            with_sentry_in_isolate(&self.env, "CompilationWorkflow", Handler::Run, steps).await;
        compiled.map_err(|error| error.source.into())
    }
    // ANCHOR_END: run
}

impl CompilationWorkflow {
    async fn compile(
        &self,
        order: &Order,
        step: &WorkflowStep,
    ) -> Result<Header, CompilationError> {
        let compiled = self.steps(order, step).await;
        let stage = match &compiled {
            Ok(header) => Stage::Done {
                rules: header.statistics.rules,
                version: header.version.clone(),
            },
            Err(error) => Stage::Failed {
                reason: error.to_string(),
            },
        };
        self.tell(order, step, "tell the end", stage).await;
        compiled.map_err(|source| CompilationError {
            name: order.request.name.clone(),
            source,
        })
    }

    // ANCHOR: steps
    async fn steps(&self, order: &Order, step: &WorkflowStep) -> Result<Header, StepFailure> {
        let name = order.request.name.clone();
        let of = order.request.sources.len();
        let mut texts = Vec::with_capacity(of);
        for (index, source) in order.request.sources.iter().enumerate() {
            texts.push(match source {
                Source::Text(text) => text.clone(),
                Source::Url(url) => {
                    let (url, done) = (url.clone(), index + 1);
                    let fetch = move |_| fetch_source(url.clone());
                    let text = step
                        .do_with_config(&format!("fetch source {done}"), patient(), fetch)
                        .await?;
                    let stage = Stage::Fetching { done, of };
                    self.tell(order, step, &format!("tell source {done}"), stage)
                        .await;
                    text
                }
            });
        }
        self.tell(order, step, "tell parsing", Stage::Parsing).await;
        let texts = Rc::new(texts);
        let parsed: Vec<Parsed> = step
            .do_("parse", move |_| {
                let texts = Rc::clone(&texts);
                async move { Ok::<_, StepFailure>(texts.iter().map(|text| parse(text)).collect()) }
            })
            .await?;
        self.tell(order, step, "tell normalising", Stage::Normalising)
            .await;
        let parsed = Rc::new(parsed);
        let normalised = step
            .do_("normalise", move |_| {
                let (name, parsed) = (name.clone(), Rc::clone(&parsed));
                async move { normalise(&name, &parsed) }
            })
            .await?;
        let header = normalised.header.clone();
        let normalised = Rc::new(normalised);
        let env = self.env.clone();
        step.do_with_config("store", patient(), move |_| {
            let (env, normalised) = (env.clone(), Rc::clone(&normalised));
            async move { lists::put(&env, &normalised.header.title, &normalised.text).await }
        })
        .await?;
        Ok(header)
    }
    // ANCHOR_END: steps

    // ANCHOR: tell
    /// Tells the coordinator, in a step of its own so that nobody hears it twice.
    /// A compilation does not fail because nobody listens.
    async fn tell(&self, order: &Order, step: &WorkflowStep, name: &str, stage: Stage) {
        let env = self.env.clone();
        let list = order.request.name.clone();
        let id = order.id.clone();
        let told = step
            .do_with_config(name, patient(), move |_| {
                let (env, list) = (env.clone(), list.clone());
                let (id, stage) = (id.clone(), stage.clone());
                async move {
                    let progress = Progress { id, stage };
                    call::post(&env, "COORDINATOR", &list, "/progress", &progress).await?;
                    Ok::<_, worker::Error>(())
                }
            })
            .await;
        if let Err(error) = told {
            worker::console_warn!("{error}");
        }
    }
    // ANCHOR_END: tell
}

// ANCHOR: normalise
/// Sources from which no list can be made will be the same on the next attempt.
fn normalise(name: &str, parsed: &[Parsed]) -> Result<Normalised, NonRetryableError> {
    let list = compile(name, parsed).map_err(|error: CompileError| {
        NonRetryableError::new("the sources make no list").caused_by(error)
    })?;
    Ok(Normalised {
        text: list.to_text(),
        header: list.header,
    })
}
// ANCHOR_END: normalise

// ANCHOR: fetch_source
/// Fetches one source. What the client got wrong is not tried again.
async fn fetch_source(url: String) -> Result<String, FetchError> {
    let url = url.parse().map_err(worker::Error::from)?;
    let mut response = Fetch::Url(url).send().await?;
    // The body is read whatever the status: one that is left lying holds its
    // connection open.
    let text = response.text().await?;
    match response.status_code() {
        200..=299 if text.len() <= MAX_SOURCE => Ok(text),
        200..=299 => Err(NonRetryableError::new("the source is too large").into()),
        408 | 429 | 500.. => Err(FetchError::Status(response.status_code())),
        status => Err(NonRetryableError::new(format!("the source answered {status}")).into()),
    }
}
// ANCHOR_END: fetch_source
