//! A built Worker in workerd, as `wrangler dev` runs it.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Once;
use std::time::{Duration, Instant};

use serde_json::Value;
use toml::Table;

use crate::coverage::Counted;
use crate::http::{self, Answer};
use crate::inspector::Inspector;
use crate::process::{Log, Process};
use crate::receiver::Receiver;
use crate::socket::Socket;
use crate::{case, environment, run, wait};

/// Which Worker to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Build {
    /// The book's example application.
    Listings,
    /// The Worker with the hostile routes, which only the tests have.
    Fixture,
    /// The same, built with `worker-build --panic-unwind`.
    Unwinding,
    /// The Worker whose failing lines are marked, with a companion beside it.
    Stacks,
    /// The same, optimised by `worker-sentry-symbols build --optimize`.
    StacksOptimized,
    /// The same, built with `worker-build --panic-unwind`.
    StacksUnwinding,
    /// One of the smallest Workers, by its folder's name.
    Snippet(&'static str),
    /// The files of the published book. Nothing is built for it.
    Site,
}

impl Build {
    /// Where `worker-build` put its output.
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

    /// The names and lines of its functions.
    pub fn companion(self) -> PathBuf {
        self.output().join("index_bg.debug.wasm")
    }

    /// The name it goes by in the record of the tests.
    fn name(self) -> String {
        match self {
            Build::Listings => "listings".to_owned(),
            Build::Fixture => "fixture".to_owned(),
            Build::Unwinding => "unwinding".to_owned(),
            Build::Stacks => "stacks".to_owned(),
            Build::StacksOptimized => "stacks, optimised".to_owned(),
            // The record knows by this word what not every machine can build.
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

/// The configuration of a Worker, as it is committed.
///
/// # Panics
///
/// If it is not there or is no TOML.
pub fn committed(build: Build) -> Table {
    configuration(&build.configuration())
}

/// The same for a Worker that is built already. Wrangler would build it again, for each test.
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

/// How to run a Worker. What is not said is as committed.
#[derive(Clone, Debug)]
pub struct WorkerOptions {
    build: Build,
    secrets: Vec<(String, String)>,
    /// What the file of secrets begins with, as it stands.
    written: String,
    config: Table,
    /// A module around the built one.
    entry: Option<String>,
    /// A second Worker's configuration.
    beside: Option<Table>,
    /// Whether the second Worker gets the requests.
    is_behind: bool,
}

impl WorkerOptions {
    /// Binds a Worker Secret.
    #[must_use]
    pub fn secret(mut self, name: &str, value: &str) -> Self {
        // The format of the secrets' file has no way to write these.
        assert!(
            !value.contains(['\'', '\n', '$']),
            "{name} cannot be quoted"
        );
        self.secrets.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Begins the file of secrets with this text, as it stands.
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

    /// Changes the configuration that was committed.
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

    /// Makes drills work, and each decision of the crate one line in the log.
    #[must_use]
    pub fn with_drills(self) -> Self {
        self.secret("DRILLS", "on").secret("SENTRY_DEBUG", "on")
    }

    /// Binds the DSN as a secret, and makes each decision of the crate one line in
    /// the log.
    #[must_use]
    pub fn reporting_to(self, dsn: &str) -> Self {
        self.secret("SENTRY_DSN", dsn).secret("SENTRY_DEBUG", "on")
    }

    /// Binds the second Worker, of this name, as a service.
    fn beside(mut self, binding: &str, service: &str, beside: Table) -> Self {
        self.beside = Some(beside);
        let bound = [("binding", binding), ("service", service)];
        let bound = bound.map(|(name, value)| (name.to_owned(), value.into()));
        let services = vec![Table::from_iter(bound)];
        self.config(|config| {
            config.insert("services".to_owned(), services.into());
        })
    }

    /// Binds the DSN as what a Secrets Store is to a Worker, a stub whose `get`
    /// asks somebody else: here whoever answers at `vault`, as slowly or as badly
    /// as a test wants.
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

    /// Binds the book's tunnel as the service that carries the envelopes to this receiver.
    #[must_use]
    pub fn through_tunnel(self, dsn: &str) -> Self {
        let tunnel = Build::Snippet("tunnel");
        let mut beside = built(tunnel);
        if let Some(date) = self.config.get("compatibility_date") {
            beside.insert("compatibility_date".to_owned(), date.clone());
        }
        case::used(format!("worker {}", tunnel.name()));
        // Both Workers read one file of secrets.
        let options = self.secret("RECEIVER_DSN", dsn);
        options.beside("SENTRY_SERVICE", "tunnel", beside)
    }

    /// Sends events to this DSN, and logs as well.
    #[must_use]
    pub fn logging_to(self, dsn: &str) -> Self {
        self.reporting_to(dsn).var("SENTRY_ENABLE_LOGS", "true")
    }

    /// Binds a Worker with the JavaScript SDK as a service, and this one to it.
    ///
    /// # Panics
    ///
    /// If the run's directory takes no files.
    #[must_use]
    pub fn with_javascript(self, dsn: &str) -> Self {
        // Where wrangler finds the SDK: beside the module.
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
        // Both Workers read one file of secrets.
        let options = self.secret("JAVASCRIPT_DSN", dsn);
        options.beside("JAVASCRIPT", "javascript", beside)
    }

    /// Puts the vault's own Worker in front, which can be an impatient client.
    #[must_use]
    pub fn behind_vault(mut self) -> Self {
        self.is_behind = true;
        self
    }

    /// Puts `tests/scripts/recorder.mjs` around the fixture. The log then tells what
    /// passes between the Worker and the runtime, in the order it happens.
    ///
    /// # Panics
    ///
    /// If the recorder is not there.
    #[must_use]
    pub fn recorded(self) -> Self {
        let recorder = environment::workspace().join("tests/scripts/recorder.mjs");
        let recorder = fs::read_to_string(recorder).expect("the recorder");
        self.inside(|built| recorder.replace("BUILT", built))
    }

    /// Puts `tests/scripts/dates.mjs` around the fixture, which shows what the runtime
    /// does on a compatibility date.
    ///
    /// # Panics
    ///
    /// If that module is not there.
    #[must_use]
    pub fn telling_its_date(self) -> Self {
        let module = environment::workspace().join("tests/scripts/dates.mjs");
        let module = fs::read_to_string(module).expect("the module");
        self.inside(|built| module.replace("BUILT", built))
    }

    /// Puts `tests/scripts/clock.mjs` around the Worker: see [`Worker::set_clock`]. The log of
    /// the example then also tells each time that an object of the subscribers is made.
    ///
    /// # Panics
    ///
    /// If the clock is not there.
    #[must_use]
    pub fn with_clock(self) -> Self {
        let clock = environment::workspace().join("tests/scripts/clock.mjs");
        let clock = fs::read_to_string(clock).expect("the clock");
        self.inside(|built| clock.replace("BUILT", built))
    }

    /// Puts the bench's `count.mjs` around it: `GET /counts` then tells how often
    /// WebAssembly called JavaScript since it was asked last.
    ///
    /// # Panics
    ///
    /// If the counter is not there.
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

    /// Makes a module that is told where the built one is the Worker's main one.
    fn inside(mut self, module: impl FnOnce(&str) -> String) -> Self {
        let built = self.config["main"].as_str().expect("a path of our own");
        // Wrangler looks for modules from the entry's own folder on.
        self.entry = Some(module(built));
        self.config(|config| {
            config.insert("main".to_owned(), ENTRY.into());
        })
    }

    /// Starts it with `wrangler dev` and waits until it answers.
    ///
    /// # Panics
    ///
    /// If it does not.
    #[track_caller]
    pub fn start(self) -> Worker {
        self.start_with_inspector(0)
    }

    /// The same, beside a receiver that takes every event.
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

    /// The same, with logs.
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

    /// The same, and connects a debugger.
    ///
    /// # Panics
    ///
    /// If the Worker does not start or does not let a debugger in.
    pub fn start_inspected(self) -> (Worker, Inspector) {
        // Wrangler keeps the port that it picks itself to itself.
        let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let port = free.expect("a free port").port();
        let worker = self.start_with_inspector(port);
        (worker, Inspector::connect(port))
    }

    /// The second Worker, if it is one whose lines can be measured.
    fn counted_beside(&self) -> Option<String> {
        let beside = self.beside.as_ref()?.get("name")?.as_str()?;
        (beside == "tunnel").then(|| Build::Snippet("tunnel").name())
    }

    fn start_with_inspector(self, port: u16) -> Worker {
        let directory = self.write();
        let mut command = wrangler(&directory);
        command.arg("dev").args(on_this_machine(port));
        match (&self.beside, self.is_behind) {
            (Some(_), true) => command.args(["-c", BESIDE, "-c", CONFIG]),
            (Some(_), false) => command.args(["-c", CONFIG, "-c", BESIDE]),
            (None, _) => &mut command,
        };
        let beside = self.counted_beside();
        Worker::start(self.build, "wrangler", &command, directory, beside)
    }

    /// Starts it by a line that a reader types, on ports of its own.
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

    /// Runs a line that a reader types beside the configuration, and returns what
    /// it printed.
    ///
    /// # Panics
    ///
    /// If it fails.
    #[track_caller]
    pub fn run_line(self, line: &str, variables: &[(&str, &str)]) -> Vec<String> {
        let directory = self.write();
        let mut command = typed(line, &directory);
        command.envs(variables.iter().copied());
        let process = Process::start("typed line", &command);
        process.wait_for_success(wait::START);
        process.log().lines()
    }

    /// Starts it without wrangler and with every way out of it watched: see
    /// [`Worker::outbound`]. Nothing it sends arrives anywhere; everything it
    /// asks for is answered with `200`.
    ///
    /// # Panics
    ///
    /// If it does not start.
    #[track_caller]
    pub fn start_watched(self) -> Worker {
        self.start_without_wrangler("watched")
    }

    /// Starts it without wrangler, for very many requests.
    ///
    /// Wrangler keeps connections to workerd, which closes each after five idle
    /// seconds. On a busy machine one is often closed as it is used again, and
    /// that request is lost.
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

    /// Does all that `wrangler deploy` does but the upload, and returns the lines
    /// that wrangler printed.
    ///
    /// # Panics
    ///
    /// If wrangler refuses.
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

    /// Writes the configuration and the secrets into a directory of their own.
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

/// Wrangler's own way to look at local state.
const EXPLORER: &str = "/cdn-cgi/explorer/api";
const CONFIG: &str = "wrangler.toml";
const BESIDE: &str = "beside.toml";
const ENTRY: &str = "entry.mjs";
/// Where wrangler keeps the local state, from its directory.
const STATE: &str = "state";

fn wrangler(directory: &Path) -> Command {
    static COMPILED: Once = Once::new();
    // Node.js writes what it has compiled when it ends by itself, which `wrangler dev` never
    // does here.
    COMPILED.call_once(|| {
        if !compiled().is_dir() {
            let mut version = Command::new(environment::path("PROOF_WRANGLER"));
            prepare(&mut version, directory);
            let _ = version.arg("--version").output();
        }
    });
    let mut command = Command::new(environment::path("PROOF_WRANGLER"));
    prepare(&mut command, directory);
    command
}

/// Where Node.js keeps what it has compiled of wrangler, for each start after the first: beside
/// the packages. That saves a start half a second of three.
fn compiled() -> PathBuf {
    environment::path("PROOF_NPM").with_file_name("compiled")
}

/// What keeps `wrangler dev` on this machine and on ports of its own.
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

/// A line that a reader types, in a folder where `npx` finds the same tools as in a
/// project that has installed them.
///
/// # Panics
///
/// If the folder takes no link to them.
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

/// Everything that keeps wrangler to itself and to this machine.
///
/// # Panics
///
/// If the folder of Node.js cannot be on a `PATH`.
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
        .env("XDG_CONFIG_HOME", directory.join("home"))
        .env("WRANGLER_REGISTRY_PATH", directory.join("registry"))
        .env("TMPDIR", directory);
}

/// Notes how a drill was answered.
fn drilled(handler: &str, status: u16) {
    match status {
        202 => case::used(format!("drill {handler}")),
        404 => case::used("drills off"),
        _ => {}
    }
}

/// A Worker that answers. Ended when dropped.
#[derive(Debug)]
pub struct Worker {
    build: Build,
    process: Process,
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
    /// The book's example application, still to be started.
    pub fn listings() -> WorkerOptions {
        Self::of(Build::Listings)
    }

    /// The Worker with the hostile routes, still to be started.
    pub fn fixture() -> WorkerOptions {
        Self::of(Build::Fixture)
    }

    /// The fixture, built so that a panic unwinds, still to be started.
    pub fn unwinding() -> WorkerOptions {
        Self::of(Build::Unwinding)
    }

    /// The Worker whose failing lines are marked, still to be started. `build` is one of its
    /// three.
    pub fn stacks(build: Build) -> WorkerOptions {
        Self::of(build)
    }

    /// One of the snippets, still to be started.
    pub fn snippet(name: &'static str) -> WorkerOptions {
        Self::of(Build::Snippet(name))
    }

    /// The Worker with static assets that serves a published folder, still to be
    /// started.
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
        let address = process.wait_for_word_after("Ready on ", wait::START);
        case::used(format!("worker {}", build.name()));
        Worker {
            build,
            counted: Counted::new(&address, build.name(), beside),
            address,
            directory,
            started_in: began.elapsed(),
            process,
        }
    }

    /// Asks for `path`.
    #[track_caller]
    pub fn get(&self, path: &str) -> Answer {
        self.request("GET", path, "")
    }

    /// Posts nothing to `path`.
    #[track_caller]
    pub fn post(&self, path: &str) -> Answer {
        self.request("POST", path, "")
    }

    /// Posts `body` to `path`.
    #[track_caller]
    pub fn post_json(&self, path: &str, body: &Value) -> Answer {
        self.request("POST", path, &body.to_string())
    }

    /// Posts a text to `path`.
    #[track_caller]
    pub fn post_text(&self, path: &str, text: &str) -> Answer {
        self.request("POST", path, text)
    }

    /// Writes to a KV namespace, past the Worker.
    #[track_caller]
    pub fn store(&self, namespace: &str, key: &str, value: &str) {
        let path = format!("{EXPLORER}/storage/kv/namespaces/{namespace}/values/{key}");
        let answer = self.request("PUT", &path, value);
        assert_eq!(answer.status, 200, "{answer:?}");
    }

    /// How an instance of a Workflow is doing, as wrangler sees it.
    #[track_caller]
    pub fn instance(&self, workflow: &str, id: &str) -> Value {
        let path = format!("{EXPLORER}/workflows/{workflow}/instances/{id}");
        let mut answer = self.get(&path).json();
        answer["result"].take()
    }

    /// Makes a handler fail: `drill("rate-limiter/alarm", "some-marker")`.
    #[track_caller]
    pub fn drill(&self, handler: &str, marker: &str) -> Answer {
        let answer = self.post(&format!("/drill/{handler}?marker={marker}"));
        drilled(handler, answer.status);
        answer
    }

    /// Notes that the running test uses this Worker, and which part of it.
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

    /// Runs a line with `curl` that a reader types, with this Worker in place of
    /// `host`, and returns what it was answered.
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

    /// Sends any request.
    #[track_caller]
    pub fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        self.used(path);
        let url = format!("{}{path}", self.address);
        http::request(method, &url, headers, body)
    }

    /// Sends a request whose answer may end in the middle of its body.
    pub fn send_to_be_cut_off(&self, method: &str, path: &str) {
        self.used(path);
        let url = format!("{}{path}", self.address);
        // Whether the client was told of the end is the runtime's business.
        let _ = http::try_request(method, &url, &[], "", "");
    }

    /// Sends any request, and returns one of the answer's headers with it.
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

    /// Sets the clock of a Worker that was started with one, in milliseconds before or
    /// after the machine's.
    ///
    /// # Panics
    ///
    /// If it has no clock.
    #[track_caller]
    pub fn set_clock(&self, ahead_ms: i64) {
        let answer = self.post(&format!("/clock?ahead_ms={ahead_ms}"));
        assert_eq!(answer.status, 204, "{answer:?}");
    }

    /// The instances of a Workflow that there are, as wrangler sees them.
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
    /// If there is none.
    #[track_caller]
    pub fn socket(&self, path: &str) -> Socket {
        self.socket_with(path, &[])
    }

    /// Opens a WebSocket at `path`, by a request with these headers.
    ///
    /// # Panics
    ///
    /// If there is none.
    #[track_caller]
    pub fn socket_with(&self, path: &str, headers: &[(&str, &str)]) -> Socket {
        self.used(path);
        Socket::open(&self.address, path, headers)
    }

    /// Runs another of wrangler's commands on this Worker's state.
    ///
    /// # Panics
    ///
    /// If it fails.
    #[track_caller]
    pub fn wrangler(&self, arguments: &[&str]) {
        let mut command = wrangler(&self.directory);
        command.args(arguments).args(["--persist-to", STATE]);
        Process::start("wrangler command", &command).wait_for_success(wait::START);
    }

    /// What a Worker that was started watched has sent: `METHOD URL` each.
    pub fn outbound(&self) -> Vec<String> {
        let lines = self.log().lines();
        lines
            .iter()
            .filter_map(|line| line.strip_prefix("[outbound] "))
            .map(ToOwned::to_owned)
            .collect()
    }

    /// Where it answers, as `http://127.0.0.1:PORT`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// What wrangler and the Worker wrote.
    pub fn log(&self) -> &Log {
        self.process.log()
    }

    /// The process, for waiting on its lines and counting them.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Where the configuration and the state are.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// How long it took until it answered.
    pub fn started_in(&self) -> Duration {
        self.started_in
    }
}
