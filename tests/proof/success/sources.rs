//! A server of filter lists.

use std::collections::BTreeMap;
use std::fs;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use harness::environment;
use harness::receiver::{Answer, Receiver};
use harness::server::Request;
use serde_json::{Value, json};

/// More bytes than the example accepts from one source.
const TOO_LARGE: usize = 900_001;

/// Serves `/ads.txt` and `/hosts.txt` from `tests/data/lists`, and:
///
/// - `/away/N/…`: an error for the first N requests, then one rule;
/// - `/gone/…`: an error;
/// - `/large`: too much text;
/// - `/remarks`: only comments;
/// - `/held/…`: one rule, after the test releases it.
pub(super) struct Sources {
    server: Receiver,
    gate: Arc<Gate>,
}

/// Blocks every request until it is opened.
#[derive(Default)]
struct Gate {
    is_open: Mutex<bool>,
    opened: Condvar,
}

impl Sources {
    pub(super) fn new() -> Self {
        let gate = Arc::new(Gate::default());
        let (for_server, asked) = (Arc::clone(&gate), Mutex::new(BTreeMap::new()));
        let server = Receiver::answering(move |request, _| {
            let number = {
                let mut asked = asked.lock().unwrap_or_else(PoisonError::into_inner);
                let number = asked.entry(request.target.clone()).or_insert(0);
                *number += 1;
                *number
            };
            answer(request, number, &for_server)
        });
        Sources { server, gate }
    }

    /// The source with this path, as a request names it.
    pub(super) fn at(&self, path: &str) -> Value {
        json!({ "url": format!("{}{path}", self.server.url()) })
    }

    /// How many times this path was requested.
    pub(super) fn count(&self, path: &str) -> usize {
        let requests = self.server.requests();
        let asked = requests.iter().filter(|it| it.request.target == path);
        asked.count()
    }

    /// Releases the held requests, and all later ones.
    pub(super) fn let_go(&self) {
        *self
            .gate
            .is_open
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = true;
        self.gate.opened.notify_all();
    }
}

impl Gate {
    fn pass(&self) {
        let mut is_open = self.is_open.lock().unwrap_or_else(PoisonError::into_inner);
        while !*is_open {
            is_open = self
                .opened
                .wait(is_open)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}

fn answer(request: &Request, number: usize, gate: &Gate) -> Answer {
    let path: Vec<&str> = request.target.trim_matches('/').split('/').collect();
    let text = |text: String| Answer::Reply(200, Vec::new(), text.into_bytes());
    match path.as_slice() {
        ["away", times, ..] if times.parse().is_ok_and(|times: usize| number <= times) => {
            Answer::status(503)
        }
        ["away", _, name] => text(format!("||{name}.example.com^\n")),
        ["held", name] => {
            gate.pass();
            text(format!("||{name}.example.com^\n"))
        }
        ["large"] => text("!".repeat(TOO_LARGE)),
        ["remarks"] => text("! Nothing here\n# or here\n".to_owned()),
        [file] if file.ends_with(".txt") => {
            let folder = environment::workspace().join("tests/data/lists");
            fs::read_to_string(folder.join(file)).map_or(Answer::status(404), text)
        }
        _ => Answer::status(404),
    }
}
