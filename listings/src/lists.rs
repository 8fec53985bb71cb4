//! The compiled lists, in Workers KV.

use std::collections::BTreeSet;

use thiserror::Error;
use worker::{Env, Result};
use worker_sentry::try_span;

use crate::filter_list::{Header, UnreadableHeader};
use crate::health::Verdict;

/// How many seconds a location may serve a list from its cache.
const CACHE_S: u64 = 60;
/// The prefix of the keys. KV names a thousand at a time; further lists are not watched.
const PREFIX: &str = "list:";
const VERDICT: &str = "health";

/// Why a list could not be read or written.
#[derive(Debug, Error)]
pub enum ListError {
    /// The stored text is not a list that the compiler wrote.
    #[error(transparent)]
    UnreadableHeader(#[from] UnreadableHeader),
    /// KV itself failed.
    #[error("the store of list `{name}` failed")]
    Store {
        /// The list's name.
        name: String,
        /// The error of KV.
        source: worker::Error,
    },
}

/// Reads a list through the location's cache, and checks its header.
///
/// # Errors
///
/// If KV fails, or if the stored text is not a list.
pub async fn get(
    env: &Env,
    name: &str,
) -> std::result::Result<Option<(Header, String)>, ListError> {
    let stored = stored(env, name).await;
    let stored = stored.map_err(|source| ListError::Store {
        name: name.to_owned(),
        source,
    })?;
    match stored {
        Some(text) => Ok(Some((Header::read(name, &text)?, text))),
        None => Ok(None),
    }
}

async fn stored(env: &Env, name: &str) -> Result<Option<String>> {
    let list = env.kv("LISTS")?.get(&key_of(name)).cache_ttl(CACHE_S);
    Ok(try_span("cache.get", "LISTS", list.text()).await?)
}

/// Stores a text under a list's name.
///
/// # Errors
///
/// If the store fails.
pub async fn put(env: &Env, name: &str, text: &str) -> Result<()> {
    let list = env.kv("LISTS")?.put(&key_of(name), text)?;
    Ok(try_span("cache.put", "LISTS", list.execute()).await?)
}

/// Deletes a list.
///
/// # Errors
///
/// If the store fails.
pub async fn delete(env: &Env, name: &str) -> Result<()> {
    env.kv("LISTS")?.delete(&key_of(name)).await?;
    Ok(())
}

/// The names of all lists.
///
/// # Errors
///
/// If the store fails.
pub async fn names(env: &Env) -> Result<BTreeSet<String>> {
    let keys = env.kv("LISTS")?.list().prefix(PREFIX.to_owned());
    let keys = keys.execute().await?.keys;
    let name = |key: worker::kv::Key| Some(key.name.strip_prefix(PREFIX)?.to_owned());
    Ok(keys.into_iter().filter_map(name).collect())
}

fn key_of(name: &str) -> String {
    format!("{PREFIX}{name}")
}

/// Stores the verdict on the lists' health.
///
/// # Errors
///
/// If the store fails.
pub async fn note_verdict(env: &Env, verdict: &Verdict) -> Result<()> {
    let verdict = serde_json::to_string(verdict)?;
    env.kv("LISTS")?.put(VERDICT, verdict)?.execute().await?;
    Ok(())
}

/// The stored verdict, if there is one.
///
/// # Errors
///
/// If the store fails.
pub async fn verdict(env: &Env) -> Result<Option<Verdict>> {
    Ok(env.kv("LISTS")?.get(VERDICT).json().await?)
}
