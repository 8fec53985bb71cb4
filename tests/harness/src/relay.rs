//! Relay: the part of Sentry that accepts events. It checks every event here.
//!
//! `tests/scripts/normalise.py` says what an event may contain, and what Relay may change in it.

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

/// What Relay rejects or changes in an event, one sentence for each.
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

/// Has Relay check an event. Every event that a test waits for is checked here.
///
/// # Panics
///
/// If Relay rejects or changes it.
pub fn judge(event: &Value) {
    let objections = objections(event);
    assert!(
        objections.is_empty(),
        "Relay objects: {objections:#?} to {event:#}"
    );
}

/// How many events Relay has checked in this run.
pub fn judged() -> usize {
    JUDGED.load(Ordering::Relaxed)
}
