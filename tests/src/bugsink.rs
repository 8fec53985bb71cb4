//! Bugsink: a real and strict server that speaks Sentry's protocol.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};

use crate::process::Process;
use crate::shared::Shared;
use crate::{environment, http, receiver, relay, run, wait};

/// Added to Bugsink's own template for local use, which digests an event before
/// it answers, so that no second process is needed.
const SETTINGS: &str = r#"
# Nothing leaves this machine.
BUGSINK["PHONEHOME"] = False
# An event that breaks Sentry's schema is refused, not tolerated.
BUGSINK["VALIDATE_ON_DIGEST"] = "strict"
# Files that are gone after the run need not survive a loss of power.
for database in DATABASES.values():
    database["OPTIONS"]["init_command"] = "PRAGMA synchronous = OFF"
    # A busy machine is no reason to refuse an event.
    database["OPTIONS"]["timeout"] = 60
DATABASES["default"]["OPTIONS"]["query_timeout"] = 60
BUGSINK["INGEST_STORE_BASE_DIR"] = os.path.join(os.getcwd(), "ingestion")
BUGSINK["MAX_EVENTS_PER_PROJECT_PER_5_MINUTES"] = 1_000_000
BUGSINK["MAX_EVENTS_PER_PROJECT_PER_HOUR"] = 1_000_000
BUGSINK["MAX_EVENTS_PER_5_MINUTES"] = 1_000_000
BUGSINK["MAX_EVENTS_PER_HOUR"] = 1_000_000

# Its pages are for whoever has signed in, which is what Chromium then is.
class SignedIn:
    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        from django.contrib.auth import get_user_model
        request.user = get_user_model().objects.get()
        return self.get_response(request)

MIDDLEWARE.insert(
    MIDDLEWARE.index("bugsink.middleware.LoginRequiredMiddleware"),
    "bugsink_conf.SignedIn",
)
"#;

/// Makes both databases and a user, and prints a token for the API, in one process: most
/// of the time would be spent starting it.
const PREPARE: &str = r#"
from django.core.management import call_command
call_command("migrate", verbosity=0)
call_command("migrate", "snappea", database="snappea", verbosity=0)
from django.contrib.auth import get_user_model
get_user_model().objects.create_superuser(username="proof")
from bsmain.models import AuthToken
print("token " + AuthToken.create_full_access().token)
"#;

static RUNNING: Shared<Bugsink> = Shared::new();

/// A running server, one for the whole run.
#[derive(Debug)]
pub struct Bugsink {
    process: Process,
    /// Where its settings and its databases are.
    directory: PathBuf,
    address: String,
    token: String,
    team: String,
    projects: AtomicU32,
}

/// A project of its own for each test.
#[derive(Debug)]
pub struct Project {
    id: String,
    /// Where a Worker is to send this project's events.
    pub dsn: String,
    bugsink: &'static Bugsink,
}

/// A new project on the run's server, which the first call starts.
///
/// # Panics
///
/// If the server does not start or does not make the project.
#[track_caller]
pub fn project() -> Project {
    let bugsink = RUNNING.get(Bugsink::start);
    let number = bugsink.projects.fetch_add(1, Ordering::Relaxed);
    let name = format!("proof {number}");
    let made = bugsink.post("projects", &json!({ "team": bugsink.team, "name": name }));
    let id = text(&made, "id");
    let dsn = text(&bugsink.get(&format!("projects/{id}/")), "dsn");
    // The server cannot know its port when it writes its own address.
    let (_, key) = dsn.split_once("://").expect("a DSN");
    let (key, _) = key.split_once('@').expect("a DSN with a key");
    let host = bugsink.address.trim_start_matches("http://");
    Project {
        dsn: format!("http://{key}@{host}/{id}"),
        id,
        bugsink,
    }
}

/// Stores a source map as the server does with one that `sentry-cli` has sent.
const TAKE: &str = r#"
import hashlib, json, os
from files.models import FileMetadata
from files.tasks import create_file_from_local_file
with open("FILE", "rb") as f:
    content = f.read()
    f.seek(0)
    stored, _ = create_file_from_local_file(
        hashlib.sha1(content).hexdigest(), "index_bg.wasm.map", len(content), f)
FileMetadata.objects.create(
    project_id=PROJECT, debug_id=json.loads(content)["debug_id"], file_type="source_map",
    file=stored, data="{}")
print("taken")
"#;

impl Project {
    /// All events so far, oldest first, as Sentry clients send them: the server's
    /// own copy, after it has parsed and stored them.
    pub fn events(&self) -> Vec<Value> {
        let issues = self.bugsink.list(&format!("issues/?project={}", self.id));
        let mut events: Vec<Value> = issues
            .iter()
            .flat_map(|issue| {
                let issue = text(issue, "id");
                self.bugsink.list(&format!("events/?issue={issue}"))
            })
            .map(|event| self.bugsink.get(&format!("events/{}/", text(&event, "id"))))
            .collect();
        events.sort_by_key(|event| text(event, "ingested_at"));
        events
            .into_iter()
            .map(|mut event| event["data"].take())
            .collect()
    }

    /// The stack of the one event with `marker` in it, as the page of its issue shows it.
    ///
    /// # Panics
    ///
    /// If there is none in time.
    #[track_caller]
    pub fn stack_of(&self, marker: &str) -> String {
        self.wait_for_event(marker);
        let issues = self.bugsink.list(&format!("issues/?project={}", self.id));
        let events = issues.iter().flat_map(|issue| {
            let issue = text(issue, "id");
            self.bugsink.list(&format!("events/?issue={issue}"))
        });
        let mut events =
            events.map(|event| self.bugsink.get(&format!("events/{}/", text(&event, "id"))));
        let event = events.find(|event| event["data"].to_string().contains(marker));
        text(&event.expect("it was there"), "stacktrace_md")
    }

    /// The address of the page that shows the one event with `marker` in it, which has
    /// others below it: `details/`, `breadcrumbs/`.
    ///
    /// # Panics
    ///
    /// If there is none in time.
    #[track_caller]
    pub fn page_of(&self, marker: &str) -> String {
        self.wait_for_event(marker);
        let issues = self.bugsink.list(&format!("issues/?project={}", self.id));
        let pages = issues.iter().flat_map(|issue| {
            let issue = text(issue, "id");
            let events = self.bugsink.list(&format!("events/?issue={issue}"));
            let pages = events.into_iter().map(move |event| (issue.clone(), event));
            pages.collect::<Vec<_>>()
        });
        let mut pages = pages.filter(|(_, event)| {
            let event = self.bugsink.get(&format!("events/{}/", text(event, "id")));
            event["data"].to_string().contains(marker)
        });
        let (issue, event) = pages.next().expect("it was there");
        let address = &self.bugsink.address;
        format!(
            "{address}/issues/issue/{issue}/event/{}/",
            text(&event, "id")
        )
    }

    /// Gives the server a source map, as what it has taken from an upload.
    ///
    /// # Panics
    ///
    /// If the server does not take it.
    pub fn take_source_map(&self, map: &str) {
        let directory = run::new_directory("source-map");
        let file = directory.join("index_bg.wasm.map");
        fs::write(&file, map).expect("a directory of our own");
        let script = TAKE
            .replace("PROJECT", &self.id)
            .replace("FILE", &file.display().to_string());
        let arguments = ["shell", "-c", &script];
        let taken = process(
            &environment::path("PROOF_BUGSINK"),
            &self.bugsink.directory,
            "bugsink-manage",
            &arguments,
        );
        taken.wait_for_line("taken", wait::START);
    }

    /// The one event with `marker` in it, once it is there and judged.
    ///
    /// # Panics
    ///
    /// If there is none in time, or more than one, or if Relay has an objection.
    #[track_caller]
    pub fn wait_for_event(&self, marker: &str) -> Value {
        let mut found = wait::until(&format!("event with {marker:?}"), wait::LIMIT, || {
            let mut events = self.events();
            events.retain(|event| event.to_string().contains(marker));
            (!events.is_empty()).then_some(events)
        });
        assert_eq!(found.len(), 1, "one event with {marker:?}: {found:#?}");
        let event = found.remove(0);
        relay::judge(&event);
        receiver::arrived(&event);
        event
    }
}

impl Bugsink {
    fn start() -> Self {
        let bin = environment::path("PROOF_BUGSINK");
        let directory = run::new_directory("bugsink");
        configure(&bin, &directory);
        let prepared = process(
            &bin,
            &directory,
            "bugsink-manage",
            &["shell", "-c", PREPARE],
        );
        let token = prepared.wait_for_line("token ", wait::START);
        let process = process(
            &bin,
            &directory,
            "gunicorn",
            &[
                "--bind",
                "127.0.0.1:0",
                "--threads",
                "4",
                // A connection that the server closes while a Worker begins to send on it
                // loses an event, so that an idle one stays open for the whole run.
                "--keep-alive",
                "600",
                "bugsink.wsgi",
            ],
        );
        let listening = process.wait_for_line("Listening at: http://", wait::START);
        let address = listening
            .split_whitespace()
            .find(|word| word.starts_with("http://"))
            .expect("the part waited for");
        let mut bugsink = Bugsink {
            process,
            directory,
            address: address.to_owned(),
            token: token.trim_start_matches("token ").trim().to_owned(),
            team: String::new(),
            projects: AtomicU32::new(1),
        };
        let made = bugsink.post("teams", &json!({ "name": "proof" }));
        bugsink.team = text(&made, "id");
        bugsink
    }

    fn get(&self, path: &str) -> Value {
        self.call("GET", path, "")
    }

    fn post(&self, path: &str, body: &Value) -> Value {
        self.call("POST", &format!("{path}/"), &body.to_string())
    }

    /// Everything in a list. No test fills more than one page.
    fn list(&self, path: &str) -> Vec<Value> {
        let page = self.get(path);
        assert!(page["next"].is_null(), "more than one page of {path}");
        page["results"].as_array().cloned().unwrap_or_default()
    }

    fn call(&self, method: &str, path: &str, body: &str) -> Value {
        self.process.log();
        let url = format!("{}/api/canonical/0/{path}", self.address);
        let authorization = format!("Bearer {}", self.token);
        let headers = [
            ("Authorization", authorization.as_str()),
            ("Content-Type", "application/json"),
        ];
        let answer = http::request(method, &url, &headers, body);
        assert!(answer.status < 300, "{method} {url}: {answer:?}");
        answer.json()
    }
}

/// Writes the server's settings.
fn configure(bin: &Path, directory: &Path) {
    let arguments = ["--template=local", "--host=127.0.0.1", "--port=1"];
    process(bin, directory, "bugsink-create-conf", &arguments).wait_for_success(wait::START);
    let file = directory.join("bugsink_conf.py");
    let settings = fs::read_to_string(&file).expect("the settings just written");
    fs::write(&file, format!("import os\n{settings}{SETTINGS}")).expect("a file of our own");
}

fn process(bin: &Path, directory: &Path, program: &str, arguments: &[&str]) -> Process {
    let mut command = Command::new(bin.join(program));
    command
        .args(arguments)
        .env("HOME", directory)
        .env("TMPDIR", directory)
        .current_dir(directory);
    Process::start(program, &command)
}

/// A field as text, whether it is a number or a string.
fn text(value: &Value, field: &str) -> String {
    match &value[field] {
        Value::String(text) => text.clone(),
        Value::Null => panic!("no {field} in {value}"),
        other => other.to_string(),
    }
}
