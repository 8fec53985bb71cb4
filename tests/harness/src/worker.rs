//! A built Worker in workerd, as `wrangler dev` runs it.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Once;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use toml::Table;

use crate::coverage::Counted;
use crate::http::{self, Answer};
use crate::inspector::Inspector;
use crate::process::{Log, Process};
use crate::receiver::Receiver;
use crate::socket::Socket;
use crate::wrangler::Session;
use crate::{case, environment, run, wait};

/// The Worker to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Build {
    /// The book's example application.
    Listings,
    /// The Worker with the hostile routes, which is only for tests.
    Fixture,
    /// The fixture, built with `worker-build --panic-unwind`.
    Unwinding,
    /// The Worker whose failing lines are marked, with a companion beside it.
    Stacks,
    /// The Worker `Stacks`, optimised by `worker-sentry-symbols build --optimize`.
    StacksOptimized,
    /// The Worker `Stacks`, built with `worker-build --panic-unwind`.
    StacksUnwinding,
    /// One of the smallest Workers, by the name of its folder.
    Snippet(&'static str),
    /// The files of the published book. This Worker needs no build.
    Site,
}

impl Build {
    /// The folder with the output of `worker-build`.
    pub fn output(self) -> PathBuf {
        match self {
            Build::Listings => environment::path("PROOF_LISTINGS"),
            Build::Fixture => environment::path("PROOF_FIXTURE"),
            Build::Unwinding => environment::path(environment::UNWINDING),
            Build::Stacks => environment::path("PROOF_STACKS"),
            Build::StacksOptimized => environment::path("PROOF_STACKS_OPTIMIZED"),
            Build::StacksUnwinding => environment::path(environment::STACKS_UNWINDING),
            Build::Snippet(name) => environment::path("PROOF_SNIPPETS").join(name).join("build"),
            Build::Site => unreachable!("it has no Worker's code"),
        }
    }

    /// The companion, which has the names and lines of the functions.
    pub fn companion(self) -> PathBuf {
        self.output().join("index_bg.debug.wasm")
    }

    /// The Worker's name in the record of the tests.
    fn name(self) -> String {
        match self {
            Build::Listings => "listings".to_owned(),
            Build::Fixture => "fixture".to_owned(),
            Build::Unwinding => "unwinding".to_owned(),
            Build::Stacks => "stacks".to_owned(),
            Build::StacksOptimized => "stacks, optimised".to_owned(),
            // The record leaves out tests that use this name, because not every machine can build
            // it.
            Build::StacksUnwinding => "unwinding".to_owned(),
            Build::Snippet(name) => format!("snippet {name}"),
            Build::Site => "site".to_owned(),
        }
    }

    /// The committed configuration.
    fn configuration(self) -> PathBuf {
        let folder = match self {
            Build::Listings => "listings",
            Build::Fixture | Build::Unwinding => "tests/fixture",
            Build::Stacks | Build::StacksOptimized | Build::StacksUnwinding => "tests/stacks",
            Build::Snippet(name) => &format!("listings/snippets/{name}"),
            Build::Site => "xtask/publish",
        };
        environment::workspace().join(folder).join(CONFIG)
    }
}

/// The committed configuration of a Worker.
///
/// # Panics
///
/// If the file is missing or is not TOML.
pub fn committed(build: Build) -> Table {
    configuration(&build.configuration())
}

/// The configuration without a build command, with which wrangler would build the Worker again for
/// each test.
fn built(build: Build) -> Table {
    let mut config = committed(build);
    config.remove("build");
    let main = build.output().join("index.js");
    config.insert("main".to_owned(), main.display().to_string().into());
    config
}

#[track_caller]
fn configuration(file: &Path) -> Table {
    let text = fs::read_to_string(file).map_err(|error| error.to_string());
    let config = text.and_then(|text| text.parse().map_err(|error| format!("{error}")));
    config.unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// How to run a Worker. A setting that is not given is the committed one.
#[derive(Clone, Debug)]
pub struct WorkerOptions {
    build: Build,
    secrets: Vec<(String, String)>,
    /// Text that is put at the beginning of the file of secrets.
    written: String,
    config: Table,
    /// The path of a module that wraps the built one.
    entry: Option<String>,
    /// The configuration of a second Worker.
    beside: Option<Table>,
    /// Whether the second Worker gets the requests.
    is_behind: bool,
}

impl WorkerOptions {
    /// Binds a Worker Secret.
    #[must_use]
    pub fn secret(mut self, name: &str, value: &str) -> Self {
        // The format of the file of secrets cannot express these characters.
        assert!(
            !value.contains(['\'', '\n', '$']),
            "{name} cannot be quoted"
        );
        self.secrets.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Puts this text at the beginning of the file of secrets.
    #[must_use]
    pub fn dev_vars(mut self, text: &str) -> Self {
        self.written.push_str(text);
        self
    }

    /// Sets a var.
    #[must_use]
    pub fn var(self, name: &str, value: &str) -> Self {
        self.config(|config| {
            let vars = config.entry("vars").or_insert(Table::new().into());
            if let Some(vars) = vars.as_table_mut() {
                vars.insert(name.to_owned(), value.into());
            }
        })
    }

    /// Changes the committed configuration.
    #[must_use]
    pub fn config(mut self, change: impl FnOnce(&mut Table)) -> Self {
        change(&mut self.config);
        self
    }

    /// Sets the compatibility date.
    #[must_use]
    pub fn on_date(self, date: &str) -> Self {
        self.config(|config| {
            config.insert("compatibility_date".to_owned(), date.into());
        })
    }

    /// Turns on drills, and a line in the log for each decision of the crate.
    #[must_use]
    pub fn with_drills(self) -> Self {
        self.secret("DRILLS", "on").secret("SENTRY_DEBUG", "on")
    }

    /// Binds the DSN as a secret, and turns on a line in the log for each decision of the crate.
    #[must_use]
    pub fn reporting_to(self, dsn: &str) -> Self {
        self.secret("SENTRY_DSN", dsn).secret("SENTRY_DEBUG", "on")
    }

    /// Binds a second Worker with this name as a service.
    fn beside(mut self, binding: &str, service: &str, beside: Table) -> Self {
        self.beside = Some(beside);
        let bound = [("binding", binding), ("service", service)];
        let bound = bound.map(|(name, value)| (name.to_owned(), value.into()));
        let services = vec![Table::from_iter(bound)];
        self.config(|config| {
            config.insert("services".to_owned(), services.into());
        })
    }

    /// Binds the DSN as a Secrets Store would: as a stub with a method `get`. The stub asks the
    /// server at `vault`, which answers as slowly or as badly as a test needs.
    #[must_use]
    pub fn vault(self, vault: &str) -> Self {
        let main = environment::workspace().join("tests/scripts/vault.mjs");
        let mut beside = toml::toml! {
            name = "vault"
            compatibility_date = "2026-11-15"
            services = [{ binding = "WORKER", service = "fixture" }]
        };
        beside.insert("main".to_owned(), main.display().to_string().into());
        let vars: Table = [("VAULT".to_owned(), vault.into())].into_iter().collect();
        beside.insert("vars".to_owned(), vars.into());
        self.beside("SENTRY_DSN", "vault", beside)
    }

    /// Binds the book's tunnel as the service that forwards envelopes to this receiver.
    #[must_use]
    pub fn through_tunnel(self, dsn: &str) -> Self {
        let tunnel = Build::Snippet("tunnel");
        let mut beside = built(tunnel);
        if let Some(date) = self.config.get("compatibility_date") {
            beside.insert("compatibility_date".to_owned(), date.clone());
        }
        case::used(format!("worker {}", tunnel.name()));
        // Both Workers read the same file of secrets.
        let options = self.secret("RECEIVER_DSN", dsn);
        options.beside("SENTRY_SERVICE", "tunnel", beside)
    }

    /// Sends events and logs to this DSN.
    #[must_use]
    pub fn logging_to(self, dsn: &str) -> Self {
        self.reporting_to(dsn).var("SENTRY_ENABLE_LOGS", "true")
    }

    /// Binds a Worker with the JavaScript SDK as a service, and binds this Worker to that one.
    ///
    /// # Panics
    ///
    /// If the run's directory cannot be written.
    #[must_use]
    pub fn with_javascript(self, dsn: &str) -> Self {
        // wrangler looks for the SDK beside the module.
        let folder = run::new_directory("javascript");
        let main = folder.join("javascript.mjs");
        let module = environment::workspace().join("tests/scripts/javascript.mjs");
        fs::copy(module, &main).expect("the module");
        symlink(environment::path("PROOF_SDK"), folder.join("node_modules")).expect("a link");
        let mut beside = toml::toml! {
            name = "javascript"
            services = [{ binding = "OURS", service = "fixture" }]
        };
        beside.insert("main".to_owned(), main.display().to_string().into());
        let date = self.config["compatibility_date"].clone();
        beside.insert("compatibility_date".to_owned(), date);
        // Both Workers read the same file of secrets.
        let options = self.secret("JAVASCRIPT_DSN", dsn);
        options.beside("JAVASCRIPT", "javascript", beside)
    }

    /// Sends requests through the vault's own Worker, which can act as an impatient client.
    #[must_use]
    pub fn behind_vault(mut self) -> Self {
        self.is_behind = true;
        self
    }

    /// Wraps the fixture in `tests/scripts/recorder.mjs`. The log then shows what
    /// passes between the Worker and the runtime, in its order.
    ///
    /// # Panics
    ///
    /// If the recorder is missing.
    #[must_use]
    pub fn recorded(self) -> Self {
        let recorder = environment::workspace().join("tests/scripts/recorder.mjs");
        let recorder = fs::read_to_string(recorder).expect("the recorder");
        self.inside(|built| recorder.replace("BUILT", built))
    }

    /// Wraps the fixture in `tests/scripts/dates.mjs`, which shows what the runtime
    /// does on a compatibility date.
    ///
    /// # Panics
    ///
    /// If that module is missing.
    #[must_use]
    pub fn telling_its_date(self) -> Self {
        let module = environment::workspace().join("tests/scripts/dates.mjs");
        let module = fs::read_to_string(module).expect("the module");
        self.inside(|built| module.replace("BUILT", built))
    }

    /// Wraps the Worker in `tests/scripts/clock.mjs`: see [`Worker::set_clock`]. The log of
    /// the example then also has a line each time that an object of the subscribers is made.
    ///
    /// # Panics
    ///
    /// If the clock is missing.
    #[must_use]
    pub fn with_clock(self) -> Self {
        let clock = environment::workspace().join("tests/scripts/clock.mjs");
        let clock = fs::read_to_string(clock).expect("the clock");
        self.inside(|built| clock.replace("BUILT", built))
    }

    /// Wraps the Worker in the bench's `count.mjs`: `GET /counts` then returns how often
    /// WebAssembly has called JavaScript since the last such request.
    ///
    /// # Panics
    ///
    /// If the counter is missing.
    #[must_use]
    pub fn counted(self) -> Self {
        let folder = environment::workspace().join("tests/bench");
        let counter = fs::read_to_string(folder.join("count.mjs")).expect("the counter");
        let first = folder.join("count-first.mjs").display().to_string();
        self.inside(|built| {
            let counter = counter.replace("./count-first.js", &first);
            counter.replace("./MAIN", built)
        })
    }

    /// Makes the module that `module` returns the Worker's main one. `module` gets the path of the
    /// built module.
    fn inside(mut self, module: impl FnOnce(&str) -> String) -> Self {
        let built = self.config["main"].as_str().expect("a path of our own");
        // wrangler looks for modules below the folder of the main one.
        self.entry = Some(module(built));
        self.config(|config| {
            config.insert("main".to_owned(), ENTRY.into());
        })
    }

    /// Starts the Worker as `wrangler dev` does, and waits until it answers.
    ///
    /// # Panics
    ///
    /// If it does not answer.
    #[track_caller]
    pub fn start(self) -> Worker {
        self.start_with_inspector(0)
    }

    /// Starts the Worker beside a receiver that accepts every event.
    ///
    /// # Panics
    ///
    /// If it does not start.
    #[must_use]
    #[track_caller]
    pub fn start_reporting(self) -> (Worker, Receiver) {
        let receiver = Receiver::accepting();
        (self.reporting_to(&receiver.dsn()).start(), receiver)
    }

    /// Starts the Worker beside a receiver that accepts every event, with logs turned on.
    ///
    /// # Panics
    ///
    /// If it does not start.
    #[must_use]
    #[track_caller]
    pub fn start_logging(self) -> (Worker, Receiver) {
        let receiver = Receiver::accepting();
        (self.logging_to(&receiver.dsn()).start(), receiver)
    }

    /// Starts the Worker and connects a debugger to it.
    ///
    /// # Panics
    ///
    /// If the Worker does not start, or if the debugger cannot connect.
    pub fn start_inspected(self) -> (Worker, Inspector) {
        // wrangler does not print a port that it chooses itself, so the port is chosen here.
        let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let port = free.expect("a free port").port();
        let worker = self.start_with_inspector(port);
        (worker, Inspector::connect(port))
    }

    /// The name of the second Worker, if its lines can be measured.
    fn counted_beside(&self) -> Option<String> {
        let beside = self.beside.as_ref()?.get("name")?.as_str()?;
        (beside == "tunnel").then(|| Build::Snippet("tunnel").name())
    }

    #[track_caller]
    fn start_with_inspector(self, port: u16) -> Worker {
        let directory = self.write();
        let began = Instant::now();
        let Some(_) = &self.beside else {
            let (process, session) = Session::start(&directory, port);
            return Worker::started(self.build, (process, Some(session)), directory, None, began);
        };
        // Only the command starts two Workers.
        let mut command = wrangler(&directory);
        command.arg("dev").args(on_this_machine(port));
        match self.is_behind {
            true => command.args(["-c", BESIDE, "-c", CONFIG]),
            false => command.args(["-c", CONFIG, "-c", BESIDE]),
        };
        let beside = self.counted_beside();
        Worker::start(self.build, "wrangler", &command, directory, beside)
    }

    /// Starts the Worker with a command that a reader types, on ports of its own.
    ///
    /// # Panics
    ///
    /// If it does not start.
    #[track_caller]
    pub fn start_by(self, line: &str) -> Worker {
        let build = self.build;
        let directory = self.write();
        let line = format!("{line} {}", on_this_machine(0).join(" "));
        let command = typed(&line, &directory);
        Worker::start(build, "wrangler", &command, directory, None)
    }

    /// Runs a command that a reader types in the folder of the configuration, and returns
    /// what it printed.
    ///
    /// # Panics
    ///
    /// If the command fails.
    #[track_caller]
    pub fn run_line(self, line: &str, variables: &[(&str, &str)]) -> Vec<String> {
        let directory = self.write();
        let mut command = typed(line, &directory);
        command.envs(variables.iter().copied());
        let process = Process::start("typed line", &command);
        process.wait_for_success(wait::START);
        process.log().lines()
    }

    /// Starts the Worker without wrangler, and records its outgoing requests: see
    /// [`Worker::outbound`]. Each request is answered with `200` and is not
    /// sent on.
    ///
    /// # Panics
    ///
    /// If it does not start.
    #[track_caller]
    pub fn start_watched(self) -> Worker {
        self.start_without_wrangler("watched")
    }

    /// Starts the Worker without wrangler, for very many requests.
    ///
    /// wrangler keeps connections to workerd, and workerd closes each after five idle seconds. On a
    /// busy machine a connection is often closed just when it is used again, and that request is
    /// lost.
    ///
    /// # Panics
    ///
    /// If it does not start.
    #[track_caller]
    pub fn start_direct(self) -> Worker {
        self.start_without_wrangler("open")
    }

    #[track_caller]
    fn start_without_wrangler(self, outbound: &str) -> Worker {
        let directory = self.write();
        let main = self.config["main"].as_str().expect("a path of our own");
        let mut command = Command::new(environment::path("PROOF_NODE"));
        command
            .arg(environment::workspace().join("tests/scripts/workerd.mjs"))
            .arg(environment::path("PROOF_NPM"))
            .arg(directory.join(CONFIG))
            .args([main, outbound]);
        prepare(&mut command, &directory);
        Worker::start(self.build, "workerd", &command, directory, None)
    }

    /// Does everything that `wrangler deploy` does except for the upload, and returns the lines
    /// that wrangler printed.
    ///
    /// # Panics
    ///
    /// If wrangler fails.
    #[track_caller]
    pub fn deploy_dry_run(self) -> Vec<String> {
        let directory = self.write();
        let mut command = wrangler(&directory);
        command.args(["deploy", "--dry-run", "--outdir", "bundle"]);
        let process = Process::start("wrangler deploy", &command);
        process.wait_for_success(wait::START);
        case::used(format!("deploy {}", self.build.name()));
        process.log().lines()
    }

    /// Writes the configuration and the secrets into a new directory.
    fn write(&self) -> PathBuf {
        let directory = run::new_directory("worker");
        let config = toml::to_string(&self.config).expect("a table is TOML");
        let mut secrets = self.written.clone();
        for (name, value) in &self.secrets {
            secrets.push_str(&format!("{name}='{value}'\n"));
        }
        let beside = self.beside.as_ref().map(toml::to_string);
        let beside = beside.transpose().expect("a table is TOML");
        for (file, text) in [
            (CONFIG, config),
            (".dev.vars", secrets),
            (BESIDE, beside.unwrap_or_default()),
            (ENTRY, self.entry.clone().unwrap_or_default()),
        ] {
            fs::write(directory.join(file), text).expect("the run's directory takes files");
        }
        directory
    }
}

/// wrangler's own interface to the local state.
const EXPLORER: &str = "/cdn-cgi/explorer/api";
pub(crate) const CONFIG: &str = "wrangler.toml";
const BESIDE: &str = "beside.toml";
const ENTRY: &str = "entry.mjs";
/// The folder of the local state, below wrangler's directory.
pub(crate) const STATE: &str = "state";

/// Fills Node.js's compile cache for wrangler, if it is empty. Node.js writes the cache only when it
/// ends by itself. `wrangler dev` is always killed here, so another command fills it.
pub(crate) fn compile() {
    static COMPILED: Once = Once::new();
    COMPILED.call_once(|| {
        if !compiled().is_dir() {
            let mut version = Command::new(environment::path("PROOF_WRANGLER"));
            prepare(&mut version, run::directory());
            let _ = version.arg("--version").output();
        }
    });
}

fn wrangler(directory: &Path) -> Command {
    compile();
    let mut command = Command::new(environment::path("PROOF_WRANGLER"));
    prepare(&mut command, directory);
    command
}

/// The folder of Node.js's compile cache for wrangler, beside the packages. With it each start
/// after the first takes half a second less, of three.
fn compiled() -> PathBuf {
    environment::path("PROOF_NPM").with_file_name("compiled")
}

/// Options that keep `wrangler dev` on this machine and on ports of its own.
pub fn on_this_machine(inspector: u16) -> Vec<String> {
    let inspector = inspector.to_string();
    let arguments = [
        ["--ip", "127.0.0.1"],
        ["--port", "0"],
        ["--inspector-ip", "127.0.0.1"],
        ["--inspector-port", &inspector],
        ["--persist-to", STATE],
    ];
    arguments.concat().into_iter().map(str::to_owned).collect()
}

/// A command that a reader types, in a folder where `npx` finds the same tools as in a
/// project that has installed them.
///
/// # Panics
///
/// If the tools cannot be linked into the folder.
pub fn typed(line: &str, directory: &Path) -> Command {
    let modules = directory.join("node_modules");
    if !modules.exists() {
        symlink(environment::path("PROOF_NPM"), modules).expect("the run's directory takes a link");
    }
    let mut command = Command::new("sh");
    command.args(["-c", line]);
    prepare(&mut command, directory);
    command
        .env("npm_config_cache", directory.join("npm"))
        .env("npm_config_offline", "true")
        .env("npm_config_update_notifier", "false");
    command
}

/// Keeps wrangler from using other machines, and from settings outside of the directory.
///
/// # Panics
///
/// If the folder of Node.js cannot be part of `PATH`.
pub fn prepare(command: &mut Command, directory: &Path) {
    let node = environment::path("PROOF_NODE");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = node
        .parent()
        .map(Path::to_path_buf)
        .into_iter()
        .chain(std::env::split_paths(&path));
    command
        .current_dir(directory)
        .env("PATH", std::env::join_paths(folders).expect("a PATH"))
        .env("CI", "1")
        .env("NO_COLOR", "1")
        .env("NODE_COMPILE_CACHE", compiled())
        .env("WRANGLER_SEND_METRICS", "false")
        .env("CLOUDFLARE_CF_FETCH_ENABLED", "false")
        .envs(own_places(directory));
}

/// The variables with the places that wrangler writes to besides the local state.
pub(crate) fn own_places(directory: &Path) -> [(&'static str, PathBuf); 3] {
    [
        ("XDG_CONFIG_HOME", directory.join("home")),
        ("WRANGLER_REGISTRY_PATH", directory.join("registry")),
        ("TMPDIR", directory.to_owned()),
    ]
}

/// Notes that a drill was answered.
fn drilled(handler: &str, status: u16) {
    match status {
        202 => case::used(format!("drill {handler}")),
        404 => case::used("drills off"),
        _ => {}
    }
}

/// A running Worker. It is ended when it is dropped.
#[derive(Debug)]
pub struct Worker {
    build: Build,
    process: Process,
    /// What ends it, if the process has run other Workers before.
    _session: Option<Session>,
    address: String,
    directory: PathBuf,
    started_in: Duration,
    counted: Option<Counted>,
}

impl Drop for Worker {
    fn drop(&mut self) {
        if let Some(counted) = &self.counted {
            counted.ends();
        }
    }
}

impl Worker {
    /// Options to start the book's example application.
    pub fn listings() -> WorkerOptions {
        Self::of(Build::Listings)
    }

    /// Options to start the Worker with the hostile routes.
    pub fn fixture() -> WorkerOptions {
        Self::of(Build::Fixture)
    }

    /// Options to start the fixture whose panics unwind.
    pub fn unwinding() -> WorkerOptions {
        Self::of(Build::Unwinding)
    }

    /// Options to start the Worker whose failing lines are marked. `build` is one of its three
    /// builds.
    pub fn stacks(build: Build) -> WorkerOptions {
        Self::of(build)
    }

    /// Options to start a snippet.
    pub fn snippet(name: &'static str) -> WorkerOptions {
        Self::of(Build::Snippet(name))
    }

    /// Options to start the Worker with static assets that serves a published folder.
    pub fn site(folder: &Path) -> WorkerOptions {
        let mut config = committed(Build::Site);
        config["assets"]["directory"] = folder.display().to_string().into();
        Self::configured(Build::Site, config)
    }

    fn of(build: Build) -> WorkerOptions {
        let options = Self::configured(build, built(build));
        match environment::date() {
            Some(date) => options.on_date(&date),
            None => options,
        }
    }

    fn configured(build: Build, config: Table) -> WorkerOptions {
        WorkerOptions {
            build,
            secrets: Vec::new(),
            written: String::new(),
            config,
            entry: None,
            beside: None,
            is_behind: false,
        }
    }

    fn start(
        build: Build,
        name: &str,
        command: &Command,
        directory: PathBuf,
        beside: Option<String>,
    ) -> Self {
        let began = Instant::now();
        let process = Process::start(name, command);
        Self::started(build, (process, None), directory, beside, began)
    }

    #[track_caller]
    fn started(
        build: Build,
        (process, session): (Process, Option<Session>),
        directory: PathBuf,
        beside: Option<String>,
        began: Instant,
    ) -> Self {
        let address = process.wait_for_word_after("Ready on ", wait::START);
        case::used(format!("worker {}", build.name()));
        Worker {
            build,
            counted: Counted::new(&address, build.name(), beside),
            address,
            directory,
            started_in: began.elapsed(),
            process,
            _session: session,
        }
    }

    /// Sends a GET request to `path`.
    #[track_caller]
    pub fn get(&self, path: &str) -> Answer {
        self.request("GET", path, "")
    }

    /// Sends a POST request without a body to `path`.
    #[track_caller]
    pub fn post(&self, path: &str) -> Answer {
        self.request("POST", path, "")
    }

    /// Sends `body` as JSON to `path`.
    #[track_caller]
    pub fn post_json(&self, path: &str, body: &Value) -> Answer {
        self.request("POST", path, &body.to_string())
    }

    /// Sends a text to `path`.
    #[track_caller]
    pub fn post_text(&self, path: &str, text: &str) -> Answer {
        self.request("POST", path, text)
    }

    /// Writes to a KV namespace directly, without the Worker.
    #[track_caller]
    pub fn store(&self, namespace: &str, key: &str, value: &str) {
        let path = format!("{EXPLORER}/storage/kv/namespaces/{namespace}/values/{key}");
        let answer = self.request("PUT", &path, value);
        assert_eq!(answer.status, 200, "{answer:?}");
    }

    /// The state of an instance of a Workflow, from wrangler.
    #[track_caller]
    pub fn instance(&self, workflow: &str, id: &str) -> Value {
        let path = format!("{EXPLORER}/workflows/{workflow}/instances/{id}");
        let mut answer = self.get(&path).json();
        answer["result"].take()
    }

    /// Starts an instance of a Workflow from outside, and returns its id.
    #[track_caller]
    pub fn start_instance(&self, workflow: &str, params: &Value) -> String {
        let path = format!("{EXPLORER}/workflows/{workflow}/instances");
        let answer = self.request("POST", &path, &json!({ "params": params }).to_string());
        let id = answer.json()["result"]["id"]
            .as_str()
            .map(ToOwned::to_owned);
        id.unwrap_or_else(|| panic!("no instance: {answer:?}"))
    }

    /// Makes a handler fail: `drill("rate-limiter/alarm", "some-marker")`.
    #[track_caller]
    pub fn drill(&self, handler: &str, marker: &str) -> Answer {
        let answer = self.post(&format!("/drill/{handler}?marker={marker}"));
        drilled(handler, answer.status);
        answer
    }

    /// Notes that the running test uses this Worker, and the first part of the path.
    fn used(&self, path: &str) {
        self.process.log();
        if let Some(counted) = &self.counted {
            counted.used();
        }
        case::used(format!("worker {}", self.build.name()));
        let folder = path.split(['/', '?']).nth(1).unwrap_or_default();
        if !folder.is_empty() && folder != "cdn-cgi" {
            case::used(format!("request /{folder}"));
        }
    }

    #[track_caller]
    fn request(&self, method: &str, path: &str, body: &str) -> Answer {
        self.send(method, path, &[], body)
    }

    /// Runs a command with `curl` that a reader types, with this Worker's address in place of
    /// `host`, and returns the answer.
    ///
    /// # Panics
    ///
    /// If there is no answer.
    #[track_caller]
    pub fn curl(&self, line: &str, host: &str) -> Answer {
        let (_, path) = line.split_once(host).expect("a line with this host");
        let path = path.trim_end_matches('\'');
        self.used(path);
        let line = line.replace(host, &self.address);
        let line = format!("{line} --silent --show-error --write-out '\n%{{http_code}}'");
        let mut command = Command::new("sh");
        command.args(["-c", &line]);
        let process = Process::start("curl", &command);
        process.wait_for_success(wait::LIMIT);
        let mut lines = process.log().lines();
        let status = lines.pop().and_then(|status| status.parse().ok());
        let status = status.unwrap_or_else(|| panic!("no status after {lines:?}"));
        if let Some((_, drill)) = path.split_once("/drill/") {
            drilled(drill.split('?').next().unwrap_or_default(), status);
        }
        Answer {
            status,
            body: lines.join("\n"),
        }
    }

    /// Sends a request.
    #[track_caller]
    pub fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        self.used(path);
        let url = format!("{}{path}", self.address);
        http::request(method, &url, headers, body)
    }

    /// Sends a request whose answer may end before its body is complete.
    pub fn send_to_be_cut_off(&self, method: &str, path: &str) {
        self.used(path);
        let url = format!("{}{path}", self.address);
        // The runtime decides whether the client sees an error, so the result is ignored.
        let _ = http::try_request(method, &url, &[], "", "");
    }

    /// Sends a request, and returns the answer with one of its headers.
    #[track_caller]
    pub fn send_for_header(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        wanted: &str,
    ) -> (Answer, Option<String>) {
        self.used(path);
        let url = format!("{}{path}", self.address);
        http::request_for_header(method, &url, headers, "", wanted)
    }

    /// Sets the clock of a Worker that was started with one, by its difference to the machine's
    /// clock in milliseconds.
    ///
    /// # Panics
    ///
    /// If the Worker has no such clock.
    #[track_caller]
    pub fn set_clock(&self, ahead_ms: i64) {
        let answer = self.post(&format!("/clock?ahead_ms={ahead_ms}"));
        assert_eq!(answer.status, 204, "{answer:?}");
    }

    /// The instances of a Workflow, from wrangler.
    #[track_caller]
    pub fn instances(&self, workflow: &str) -> Vec<Value> {
        let answer = self.get(&format!("{EXPLORER}/workflows/{workflow}/instances"));
        let mut answer = answer.json();
        let instances = answer["result"].as_array_mut().map(std::mem::take);
        let ids = instances.unwrap_or_default();
        let ids = ids.iter().filter_map(|instance| instance["id"].as_str());
        ids.map(|id| self.instance(workflow, id)).collect()
    }

    /// Opens a WebSocket at `path`.
    ///
    /// # Panics
    ///
    /// If the Worker does not open one.
    #[track_caller]
    pub fn socket(&self, path: &str) -> Socket {
        self.socket_with(path, &[])
    }

    /// Opens a WebSocket at `path`, with these headers in the request.
    ///
    /// # Panics
    ///
    /// If the Worker does not open one.
    #[track_caller]
    pub fn socket_with(&self, path: &str, headers: &[(&str, &str)]) -> Socket {
        self.used(path);
        Socket::open(&self.address, path, headers)
    }

    /// Runs another command of wrangler on this Worker's state.
    ///
    /// # Panics
    ///
    /// If the command fails.
    #[track_caller]
    pub fn wrangler(&self, arguments: &[&str]) {
        let mut command = wrangler(&self.directory);
        command.args(arguments).args(["--persist-to", STATE]);
        Process::start("wrangler command", &command).wait_for_success(wait::START);
    }

    /// The outgoing requests of a Worker that was started watched, each as `METHOD URL`.
    pub fn outbound(&self) -> Vec<String> {
        let lines = self.log().lines();
        lines
            .iter()
            .filter_map(|line| line.strip_prefix("[outbound] "))
            .map(ToOwned::to_owned)
            .collect()
    }

    /// The Worker's address, `http://127.0.0.1:PORT`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The output of wrangler and of the Worker.
    pub fn log(&self) -> &Log {
        self.process.log()
    }

    /// The process, to wait for its lines and to count them.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// The folder of the configuration and the state.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// How long it took until the Worker answered.
    pub fn started_in(&self) -> Duration {
        self.started_in
    }
}
