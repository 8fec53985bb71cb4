//! Relay: the part of Sentry that takes events in, as a judge of every event.
//!
//! What an event may be and what Relay may do to it is written down in
//! `tests/scripts/normalise.py`.

use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;

use crate::process::Process;
use crate::shared::Shared;
use crate::{environment, http, wait};

static RUNNING: Shared<Relay> = Shared::new();
static JUDGED: AtomicUsize = AtomicUsize::new(0);

#[derive(Debug)]
struct Relay {
    process: Process,
    address: String,
}

impl Relay {
    fn start() -> Self {
        let mut command = Command::new(environment::path("PROOF_BUGSINK").join("python"));
        command.arg(environment::workspace().join("tests/scripts/normalise.py"));
        let process = Process::start("Relay's normaliser", &command);
        Relay {
            address: process.wait_for_word_after("Listening at ", wait::LIMIT),
            process,
        }
    }
}

/// What Relay rejects or changes of an event, one sentence each.
///
/// # Panics
///
/// If Relay's normaliser cannot be run.
pub fn objections(event: &Value) -> Vec<String> {
    let relay = RUNNING.get(Relay::start);
    relay.process.log();
    let answer = http::request("POST", &relay.address, &[], &event.to_string());
    JUDGED.fetch_add(1, Ordering::Relaxed);
    serde_json::from_value(answer.json()).expect("a list of sentences")
}

/// Lets Relay judge an event. Every event that a test waits for comes by here.
///
/// # Panics
///
/// If Relay has an objection.
pub fn judge(event: &Value) {
    let objections = objections(event);
    assert!(
        objections.is_empty(),
        "Relay objects: {objections:#?} to {event:#}"
    );
}

/// How many events Relay has judged in this run.
pub fn judged() -> usize {
    JUDGED.load(Ordering::Relaxed)
}
