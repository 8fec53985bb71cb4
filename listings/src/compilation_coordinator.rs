//! A Durable Object that makes sure that one compilation is done only once.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use worker::js_sys::Array;
use worker::{
    Date, DurableObject, Env, ListOptions, Method, Request, Response, Result, State, Storage,
    durable_object,
};
use worker_sentry::workflow::{CreateOptions, WorkflowEnv};
use worker_sentry::{Handler, continue_trace, with_sentry_in_isolate};

use crate::call;
use crate::compilation::{Compilation, Progress, STALE_MS, Stage, UnreadableCompilation};
use crate::compile_request::CompileRequest;
use crate::workflows::Order;

// ANCHOR: error
/// Why the coordinator failed.
#[derive(Debug, Error)]
pub enum CoordinatorError {
    /// An entry was not what this object writes. It has been deleted.
    #[error(transparent)]
    UnreadableCompilation(#[from] UnreadableCompilation),
    /// The request was not one of ours.
    #[error("the coordinator was sent something that is not JSON")]
    Json(#[from] serde_json::Error),
    /// The storage, the Workflow or the subscribers' object failed.
    #[error("the coordinator could not use a binding")]
    Platform(#[from] worker::Error),
}
// ANCHOR_END: error

/// The coordinator's answer to a request for a compilation.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Ticket {
    /// The compilation's id.
    pub id: String,
    /// The Workflow instance that does the work.
    pub instance: String,
    /// Whether the compilation was under way already.
    pub joined: bool,
}

// ANCHOR: struct
/// Looks after the compilations of one list, the one it is named after.
#[durable_object(alarm)]
pub struct CompilationCoordinator {
    state: State,
    env: Env,
}
// ANCHOR_END: struct

impl DurableObject for CompilationCoordinator {
    fn new(state: State, env: Env) -> Self {
        CompilationCoordinator { state, env }
    }

    // ANCHOR: fetch
    /// Reports whatever fails, then lets the caller know.
    async fn fetch(&self, request: Request) -> Result<Response> {
        let answer = self.answer(request);
        let answered =
            with_sentry_in_isolate(&self.env, "CompilationCoordinator", Handler::Fetch, answer)
                .await;
        Ok(answered?)
    }
    // ANCHOR_END: fetch

    // ANCHOR: alarm
    /// Reports whatever fails, then lets the runtime know.
    async fn alarm(&self) -> Result<Response> {
        let expiry = self.expire();
        with_sentry_in_isolate(&self.env, "CompilationCoordinator", Handler::Alarm, expiry).await?;
        Response::empty()
    }
    // ANCHOR_END: alarm
}

impl CompilationCoordinator {
    async fn answer(&self, mut request: Request) -> Result<Response, CoordinatorError> {
        continue_trace(&request);
        let path = request.path();
        let body = request.text().await?;
        match (request.method(), path.as_str()) {
            (Method::Post, "/compile") => {
                let ticket = self.start_or_join(serde_json::from_str(&body)?).await?;
                return Ok(Response::from_json(&ticket)?);
            }
            (Method::Post, "/progress") => self.progress(serde_json::from_str(&body)?).await?,
            (Method::Post, "/drill") => self.spoil(serde_json::from_str(&body)?).await?,
            _ => return Ok(Response::error("Not Found", 404)?),
        }
        Ok(Response::empty()?)
    }

    // ANCHOR: start_or_join
    /// Starts a compilation, unless the same one is under way.
    async fn start_or_join(&self, request: CompileRequest) -> Result<Ticket, CoordinatorError> {
        let id = request.id();
        let now_ms = Date::now().as_millis();
        let known = self.recall(&id).await?;
        if let Some(under_way) = known.filter(|known| known.can_be_joined(now_ms)) {
            return Ok(Ticket {
                id,
                instance: under_way.instance,
                joined: true,
            });
        }
        // The id of an instance can never be used again, the same list will be.
        let compilation = Compilation {
            name: request.name.clone(),
            instance: format!("{id}-{now_ms}"),
            id: id.clone(),
            stage: Stage::Started,
            heard_ms: now_ms,
        };
        // Remembered before the next wait for anything else: whoever asks in the
        // meantime finds it and joins.
        self.remember(&compilation).await?;
        let order = CreateOptions {
            id: Some(compilation.instance.clone()),
            params: Some(Order {
                id: id.clone(),
                request,
            }),
            ..CreateOptions::default()
        };
        let created = async { self.env.workflow("COMPILATION")?.create(order).await };
        // Whatever failed, nobody may join a compilation that nobody does.
        if let Err(error) = created.await {
            self.state
                .storage()
                .delete(&Compilation::key_of(&id))
                .await?;
            return Err(error.into());
        }
        Ok(Ticket {
            id,
            instance: compilation.instance,
            joined: false,
        })
    }
    // ANCHOR_END: start_or_join

    /// Stores the stage of a compilation and tells the subscribers of its list.
    async fn progress(&self, progress: Progress) -> Result<(), CoordinatorError> {
        let known = self.recall(&progress.id).await?;
        // It has expired, or is not of this object: nobody waits for it.
        let Some(mut compilation) = known else {
            return Ok(());
        };
        compilation.stage = progress.stage.clone();
        compilation.heard_ms = Date::now().as_millis();
        self.remember(&compilation).await?;
        self.publish(&compilation.name, &progress).await
    }

    // ANCHOR: expire
    /// Forgets what nobody has heard of for too long, and comes back for the rest.
    ///
    /// An entry is gone from storage, for certain, before anything is made of it:
    /// the runtime runs a failed alarm again, and must not meet again what it
    /// failed on.
    async fn expire(&self) -> Result<(), CoordinatorError> {
        let now_ms = Date::now().as_millis();
        let storage = self.state.storage();
        let mut next_ms = None;
        let mut unreadable = None;
        for (key, stored) in entries(&storage).await? {
            let compilation = Compilation::from_stored(&key, &stored);
            if let Ok(fresh) = &compilation
                && !fresh.is_stale(now_ms)
            {
                let left_ms = (fresh.heard_ms + STALE_MS).saturating_sub(now_ms);
                next_ms = Some(next_ms.map_or(left_ms, |ms: u64| ms.min(left_ms)));
                continue;
            }
            storage.delete(&key).await?;
            storage.sync().await?;
            match compilation {
                Ok(stale) => self.give_up(&key, stale).await?,
                Err(error) => unreadable = unreadable.or(Some(error)),
            }
        }
        if let Some(ms) = next_ms {
            storage.set_alarm(Duration::from_millis(ms)).await?;
        }
        match unreadable {
            Some(error) => Err(error.into()),
            None => Ok(()),
        }
    }
    // ANCHOR_END: expire

    // ANCHOR: give_up
    /// Tells the subscribers that nothing more will come.
    ///
    /// # Panics
    ///
    /// If the entry lay under another compilation's key. Only this object writes
    /// here, so that would be a mistake in this file and no state to go on from.
    async fn give_up(&self, key: &str, stale: Compilation) -> Result<(), CoordinatorError> {
        assert_eq!(
            key,
            Compilation::key_of(&stale.id),
            "stored under a wrong key"
        );
        let name = stale.name.clone();
        match stale.expire() {
            Some(failure) => self.publish(&name, &failure).await,
            None => Ok(()),
        }
    }
    // ANCHOR_END: give_up

    async fn publish(&self, name: &str, progress: &Progress) -> Result<(), CoordinatorError> {
        call::post(&self.env, "PROGRESS", name, "/publish", progress).await?;
        Ok(())
    }

    /// Reads one entry. An unreadable entry is deleted, so that it is reported only once and the
    /// next request starts the compilation again.
    async fn recall(&self, id: &str) -> Result<Option<Compilation>, CoordinatorError> {
        let storage = self.state.storage();
        let key = Compilation::key_of(id);
        let Some(stored) = storage.get::<String>(&key).await? else {
            return Ok(None);
        };
        match Compilation::from_stored(&key, &stored) {
            Ok(compilation) => Ok(Some(compilation)),
            Err(error) => {
                storage.delete(&key).await?;
                Err(error.into())
            }
        }
    }

    async fn remember(&self, compilation: &Compilation) -> Result<(), CoordinatorError> {
        let storage = self.state.storage();
        let key = Compilation::key_of(&compilation.id);
        storage.put(&key, compilation.to_stored()?).await?;
        if storage.get_alarm().await?.is_none() {
            storage.set_alarm(Duration::from_millis(STALE_MS)).await?;
        }
        Ok(())
    }

    /// The drill: stores an entry that the next reader cannot read.
    async fn spoil(&self, spoiled: Spoiled) -> Result<(), CoordinatorError> {
        let storage = self.state.storage();
        storage.put(&spoiled.key, spoiled.entry).await?;
        if spoiled.alarm {
            storage.set_alarm(Duration::ZERO).await?;
        }
        Ok(())
    }
}

/// What a drill puts into the storage.
#[derive(Debug, Serialize, Deserialize)]
pub struct Spoiled {
    /// The entry's key.
    pub key: String,
    /// The entry's text.
    pub entry: String,
    /// Whether the alarm runs now and finds the entry.
    pub alarm: bool,
}

async fn entries(storage: &Storage) -> Result<Vec<(String, String)>> {
    let options = ListOptions::new().prefix("compilation:");
    let entries = storage.list_with_options(options).await?;
    let entries = entries.entries().into_iter().map(|entry| {
        let entry = Array::from(&entry?);
        let text = |index| entry.get(index).as_string().unwrap_or_default();
        Ok((text(0), text(1)))
    });
    entries.collect()
}

/// Turns the error into the one that the runtime and the caller see.
impl From<CoordinatorError> for worker::Error {
    fn from(error: CoordinatorError) -> Self {
        match error {
            CoordinatorError::Platform(error) => error,
            error => worker::Error::RustError(error.to_string()),
        }
    }
}
