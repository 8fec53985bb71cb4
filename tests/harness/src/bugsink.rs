//! Bugsink: a real and strict server that speaks Sentry's protocol.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};

use crate::process::Process;
use crate::shared::Shared;
use crate::{environment, http, receiver, relay, run, wait};

/// Added to Bugsink's own template for local use. That template digests an event before it answers,
/// so that no second process is needed.
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
# It writes its address into the DSNs, and has it only when it listens.
BUGSINK["BASE_URL"] = os.environ.get("ORIGIN", BUGSINK["BASE_URL"])

# Its pages are for whoever has signed in, which is whoever looks. The list of issues
# reloads itself.
class SignedIn:
    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        from django.contrib.auth import get_user_model
        request.user = get_user_model().objects.get()
        response = self.get_response(request)
        if request.path.startswith("/issues/") and request.path.count("/") == 3:
            response["Refresh"] = "1"
        return response

MIDDLEWARE.insert(
    MIDDLEWARE.index("bugsink.middleware.LoginRequiredMiddleware"),
    "bugsink_conf.SignedIn",
)
"#;

/// Prints the address as soon as the server listens, which is before it reads its settings.
const LISTENING: &str = r#"
def post_fork(server, worker):
    import os
    host, port = worker.sockets[0].getsockname()
    os.environ["ORIGIN"] = f"http://{host}:{port}"
"#;

/// Makes both databases, a user and a team, and prints the API's token. All of it happens in one
/// process, because starting a process takes most of the time.
const PREPARE: &str = r#"
from django.core.management import call_command
call_command("migrate", verbosity=0)
call_command("migrate", "snappea", database="snappea", verbosity=0)
from django.contrib.auth import get_user_model
get_user_model().objects.create_superuser(username="proof")
from bsmain.models import AuthToken
from teams.models import Team
print("access", AuthToken.create_full_access().token, Team.objects.create(name="proof").id)
"#;

/// The template's file with the API's token and the team.
const ACCESS: &str = "access";

static RUNNING: Shared<Bugsink> = Shared::new();

/// A running server. One serves the whole run.
#[derive(Debug)]
pub struct Bugsink {
    process: Process,
    /// The folder with the server's settings and databases.
    directory: PathBuf,
    address: String,
    token: String,
    team: String,
    projects: AtomicU32,
}

/// A project of the server. Each test has its own.
#[derive(Debug)]
pub struct Project {
    id: String,
    /// The DSN of this project.
    pub dsn: String,
    bugsink: &'static Bugsink,
}

/// Makes a project on the run's server. The first call starts the server.
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
    Project {
        dsn: text(&bugsink.get(&format!("projects/{id}/")), "dsn"),
        id,
        bugsink,
    }
}

/// The address of the run's server, `http://127.0.0.1:PORT`. The server may not answer yet.
///
/// # Panics
///
/// If it does not start.
#[track_caller]
pub fn origin() -> &'static str {
    &RUNNING.get(Bugsink::start).address
}

/// An event, as the server shows it.
#[derive(Debug)]
pub struct Shown {
    /// The address of the event's page. Below it are others: `details/`, `breadcrumbs/`.
    pub page: String,
    /// The event, after the server has parsed and stored it.
    pub event: Value,
    /// The event's stack, as the page shows it.
    pub stack: String,
}

/// Stores a source map as the server stores one that `sentry-cli` uploads.
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
    /// All events so far, oldest first: the server's own copies, in the format that Sentry clients
    /// send.
    pub fn events(&self) -> Vec<Value> {
        let mut events: Vec<Value> = self.told().into_iter().map(|(_, event)| event).collect();
        events.sort_by_key(|event| text(event, "ingested_at"));
        events
            .into_iter()
            .map(|mut event| event["data"].take())
            .collect()
    }

    /// The issue of each event so far, and the server's description of the event.
    fn told(&self) -> Vec<(String, Value)> {
        let issues = self.bugsink.list(&format!("issues/?project={}", self.id));
        let issues = issues.iter().map(|issue| text(issue, "id"));
        let events = issues.flat_map(|issue| {
            let events = self.bugsink.list(&format!("events/?issue={issue}"));
            events.into_iter().map(move |event| (issue.clone(), event))
        });
        let told = events.map(|(issue, event)| {
            let event = format!("events/{}/", text(&event, "id"));
            (issue, self.bugsink.get(&event))
        });
        told.collect()
    }

    /// The address of the project's list of issues.
    pub fn issues(&self) -> String {
        format!("{}/issues/{}/", self.bugsink.address, self.id)
    }

    /// Waits for the event that contains `marker`.
    ///
    /// # Panics
    ///
    /// If none arrives in time.
    #[track_caller]
    pub fn wait_for(&self, marker: &str) -> Shown {
        wait::until(&format!("event with {marker:?}"), wait::LIMIT, || {
            let mut told = self.told().into_iter();
            let (issue, mut event) =
                told.find(|(_, event)| event["data"].to_string().contains(marker))?;
            let (address, id) = (&self.bugsink.address, text(&event, "id"));
            Some(Shown {
                page: format!("{address}/issues/issue/{issue}/event/{id}/"),
                stack: text(&event, "stacktrace_md"),
                event: event["data"].take(),
            })
        })
    }

    /// Waits for the one event that contains `marker`, has Relay check it, and returns it as the
    /// server shows it.
    ///
    /// # Panics
    ///
    /// If none arrives in time, if there are several, or if Relay rejects or changes it.
    #[track_caller]
    pub fn shown(&self, marker: &str) -> Shown {
        self.wait_for_event(marker);
        self.wait_for(marker)
    }

    /// Gives the server a source map, as if it had been uploaded.
    ///
    /// # Panics
    ///
    /// If the server refuses the map.
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

    /// Waits for the one event that contains `marker`, and has Relay check it.
    ///
    /// # Panics
    ///
    /// If none arrives in time, if there are several, or if Relay rejects or changes it.
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
        let template = template(&bin);
        let files = fs::read_dir(template).expect("a template").flatten();
        for file in files.filter(|it| it.path().is_file()) {
            fs::copy(file.path(), directory.join(file.file_name())).expect("a copy");
        }
        let access = fs::read_to_string(directory.join(ACCESS)).expect("what the API takes");
        let (token, team) = access.split_once(' ').expect("a token and a team");
        let process = process(
            &bin,
            &directory,
            "gunicorn",
            &[
                "--bind",
                "127.0.0.1:0",
                "--threads",
                "4",
                // An idle connection stays open for the whole run. If the server closed it just
                // when a Worker begins to send an event on it, the event would be lost.
                "--keep-alive",
                "600",
                "bugsink.wsgi",
            ],
        );
        Bugsink {
            address: process.wait_for_word_after("Listening at: ", wait::START),
            process,
            directory,
            token: token.to_owned(),
            team: team.to_owned(),
            projects: AtomicU32::new(1),
        }
    }

    fn get(&self, path: &str) -> Value {
        self.call("GET", path, "")
    }

    fn post(&self, path: &str, body: &Value) -> Value {
        self.call("POST", &format!("{path}/"), &body.to_string())
    }

    /// All items of a list. A second page is an error, since no test needs one.
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

/// The folder from which each server starts: settings, databases and the API's token. Bugsink's
/// migrations take many seconds, so the folder is kept until one of the inputs changes.
fn template(bin: &Path) -> PathBuf {
    let mut made_of = DefaultHasher::new();
    (bin, SETTINGS, LISTENING, PREPARE).hash(&mut made_of);
    let folder = environment::workspace().join("target/bugsink");
    let template = folder.join(format!("{:016x}", made_of.finish()));
    if template.join(ACCESS).exists() {
        return template;
    }
    let directory = folder.join(format!("{}.tmp", std::process::id()));
    // A folder with this name comes from an interrupted run.
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory).expect("the folder of builds takes a folder");
    let arguments = ["--template=local", "--host=127.0.0.1", "--port=1"];
    process(bin, &directory, "bugsink-create-conf", &arguments).wait_for_success(wait::START);
    let file = directory.join("bugsink_conf.py");
    let settings = fs::read_to_string(&file).expect("the settings just written");
    fs::write(&file, format!("import os\n{settings}{SETTINGS}")).expect("a file of our own");
    fs::write(directory.join("gunicorn.conf.py"), LISTENING).expect("a file of our own");
    let arguments = ["shell", "-c", PREPARE];
    let prepared = process(bin, &directory, "bugsink-manage", &arguments);
    prepared.wait_for_success(wait::START);
    let access = prepared.wait_for_line("access ", wait::LIMIT);
    let access = access.trim_start_matches("access ");
    fs::write(directory.join(ACCESS), access).expect("a file of our own");
    // Renaming fails if another run has made the template in the meantime.
    if fs::rename(&directory, &template).is_err() {
        let _ = fs::remove_dir_all(&directory);
    }
    template
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
