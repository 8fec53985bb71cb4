//! Programs that have wrangler loaded, and run one Worker after another.
//!
//! Three quarters of the time that `wrangler dev` takes to start is the time to load wrangler. A
//! program of `tests/scripts/wrangler.mjs` loads it once, and starts each Worker with the function
//! that `wrangler dev` itself is made of.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::thread;

use serde_json::json;

use crate::process::Process;
use crate::worker::{self, CONFIG, STATE};
use crate::{environment, http, wait};

/// How many Workers a program runs before it ends. wrangler keeps a few megabytes of each.
const WORKERS: u32 = 25;

/// The programs that run no Worker at the moment.
static IDLE: Mutex<Vec<Program>> = Mutex::new(Vec::new());

/// A program that has wrangler loaded.
#[derive(Debug)]
struct Program {
    process: Process,
    address: String,
    /// How many Workers it has run.
    has_run: u32,
}

impl Program {
    /// A program that is idle, or a new one.
    #[track_caller]
    fn idle() -> Self {
        let idle = IDLE.lock().unwrap_or_else(PoisonError::into_inner).pop();
        idle.unwrap_or_else(|| {
            worker::compile();
            let mut command = Command::new(environment::path("PROOF_NODE"));
            command
                .arg("--no-warnings")
                .arg(environment::workspace().join("tests/scripts/wrangler.mjs"))
                .arg(environment::path("PROOF_NPM"));
            worker::prepare(&mut command, crate::run::directory());
            let process = Process::start("wrangler without a Worker", &command);
            Program {
                address: process.wait_for_word_after("Listening on ", wait::START),
                process,
                has_run: 0,
            }
        })
    }

    /// Ends the Worker, and is idle again.
    fn end(self) {
        let url = format!("{}/end", self.address);
        // If there is no answer, the program is dropped and its processes are killed.
        let ended = http::try_request("POST", &url, &[], "", "");
        if ended.is_ok() && self.has_run < WORKERS {
            let mut idle = IDLE.lock().unwrap_or_else(PoisonError::into_inner);
            idle.push(self);
        }
    }
}

/// A Worker in one of the programs. It is ended when it is dropped.
#[derive(Debug)]
pub(crate) struct Session(Option<Program>);

impl Session {
    /// Starts the Worker of the configuration in a directory. It is ready when the log of the
    /// process says so.
    ///
    /// # Panics
    ///
    /// If there is no program that could run it.
    #[track_caller]
    pub(crate) fn start(directory: &Path, inspector: u16) -> (Process, Self) {
        let mut program = Program::idle();
        program.has_run += 1;
        let process = program.process.part("wrangler");
        let (log, ended) = process.files();
        let variables = worker::own_places(directory);
        let start = json!({
            "directory": directory,
            "config": directory.join(CONFIG),
            "state": directory.join(STATE),
            "inspector": inspector,
            "variables": BTreeMap::from(variables),
            "log": log,
            "ended": ended,
        });
        let url = format!("{}/start", program.address);
        http::request("POST", &url, &[], &start.to_string());
        (process, Session(Some(program)))
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some(program) = self.0.take() {
            // Ending a Worker takes a second, which the test need not wait for.
            thread::spawn(|| program.end());
        }
    }
}
