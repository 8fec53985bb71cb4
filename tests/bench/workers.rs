//! The Workers of the bench: bundles them as for a deploy, starts and ends them.

use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;

use flate2::Compression;
use flate2::write::GzEncoder;
use harness::http::{self, Answer};
use harness::inspector::Inspector;
use harness::process::Process;
use harness::{environment, run, wait};
use serde_json::{Value, json};
use toml::Table;

/// A Worker that is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Subject {
    /// JavaScript without any error reporter.
    PlainJs,
    /// The SDK, imported as a whole when there is an error.
    Lazy,
    /// Like `Lazy`, with only the used parts of the SDK in the bundle.
    Lean,
    /// The SDK as its documentation sets it up.
    Usual,
    /// Like `Usual`, with traces, logs, breadcrumbs and monitors.
    UsualAll,
    /// Rust without any error reporter, and without a Workflow.
    PlainRust,
    /// Like `PlainRust`, with the crate.
    OursWithoutWorkflow,
    /// Like `OursWithoutWorkflow`, with its names and lines in a companion, as a user ships it.
    Shipped,
    /// Like `OursWithoutWorkflow`, with the feature `spans`.
    Spans,
    /// Like `OursWithoutWorkflow`, with the feature `logs`.
    Logs,
    /// Like `OursWithoutWorkflow`, with the feature `tracing`.
    Tracing,
    /// Like `OursWithoutWorkflow`, with all three features, breadcrumbs and monitors.
    All,
    /// The crate, with a Workflow, breadcrumbs and monitors.
    Ours,
    /// Like `Ours`, with `spans` and axum.
    Traced,
}

impl Subject {
    pub const ALL: [Subject; 14] = [
        Subject::PlainJs,
        Subject::Lazy,
        Subject::Lean,
        Subject::Usual,
        Subject::UsualAll,
        Subject::PlainRust,
        Subject::OursWithoutWorkflow,
        Subject::Shipped,
        Subject::Spans,
        Subject::Logs,
        Subject::Tracing,
        Subject::All,
        Subject::Ours,
        Subject::Traced,
    ];

    fn name(self) -> &'static str {
        match self {
            Subject::PlainJs => "plain",
            Subject::Lazy => "lazy",
            Subject::Lean => "lean",
            Subject::Usual => "usual",
            Subject::UsualAll => "usual-all",
            Subject::PlainRust => "build-plain",
            Subject::OursWithoutWorkflow => "build-sentry",
            Subject::Shipped => "build-shipped",
            Subject::Spans => "build-spans",
            Subject::Logs => "build-logs",
            Subject::Tracing => "build-tracing",
            Subject::All => "build-all",
            Subject::Ours => "build-workflow",
            Subject::Traced => "build-traced",
        }
    }

    pub fn is_rust(self) -> bool {
        self.name().starts_with("build-")
    }

    fn has_workflow(self) -> bool {
        !self.is_rust() || matches!(self, Subject::Ours | Subject::Traced)
    }

    /// The folder that is uploaded of a Rust Worker. Its module has no names of functions.
    fn folder(self) -> PathBuf {
        let folder = match self {
            // The crate's own program has removed the names from this one.
            Subject::Shipped => self.name().to_owned(),
            _ => format!("{}-stripped", self.name()),
        };
        environment::path("BENCH_RUST").join(folder)
    }

    /// The compatibility flags. The SDK's documentation asks for this one.
    fn flags(self) -> &'static [&'static str] {
        if self.is_rust() {
            &[]
        } else {
            &["nodejs_compat"]
        }
    }
}

/// A Worker as it would be uploaded.
pub struct Bundle {
    pub subject: Subject,
    folder: PathBuf,
    main: String,
    modules: Vec<String>,
    /// The size of the upload in KiB, raw and compressed, as wrangler prints it.
    pub upload: (f64, f64),
}

/// A folder of the run in which wrangler finds the sources, with the SDK beside them.
pub struct Sources(PathBuf);

impl Sources {
    pub fn new() -> Self {
        let folder = run::new_directory("sources");
        let from = environment::workspace().join("tests/bench/js");
        for entry in fs::read_dir(&from)
            .expect("the bench's JavaScript")
            .flatten()
        {
            if entry.path().extension().is_some_and(|it| it == "mjs") {
                fs::copy(entry.path(), folder.join(entry.file_name())).expect("a copy");
            }
        }
        symlink(environment::path("BENCH_SDK"), folder.join("node_modules")).expect("a link");
        Sources(folder)
    }

    /// Does everything that `wrangler deploy --minify` does, except for the upload.
    pub fn bundle(&self, subject: Subject) -> Bundle {
        let name = subject.name();
        let main = if subject.is_rust() {
            subject.folder().join("index.js")
        } else {
            self.0.join(format!("{name}.mjs"))
        };
        let common = environment::workspace().join("tests/bench/wrangler.toml");
        let common = fs::read_to_string(common).expect("the bench's configuration");
        let mut config: Table = common.parse().expect("TOML");
        config.insert("main".to_owned(), main.display().to_string().into());
        let flags: Vec<&str> = subject.flags().to_vec();
        config.insert("compatibility_flags".to_owned(), flags.into());
        if !subject.has_workflow() {
            config.remove("workflows");
        }
        let file = format!("{name}.toml");
        let text = toml::to_string(&config).expect("a table is TOML");
        fs::write(self.0.join(&file), text).expect("a file");
        let folder = self.0.join(format!("{name}.bundle"));
        let mut command = Command::new(environment::path("PROOF_WRANGLER"));
        harness::worker::prepare(&mut command, &self.0);
        command
            .args(["deploy", "--dry-run", "--minify", "-c", &file, "--outdir"])
            .arg(&folder);
        let process = Process::start("wrangler deploy", &command);
        process.wait_for_success(wait::START);
        let line = process.wait_for_line("Total Upload:", wait::LIMIT);
        let mut modules = modules(&folder);
        let is_main = |name: &String| name.ends_with(".js");
        let main = modules.iter().position(is_main).expect("a main module");
        Bundle {
            subject,
            main: modules.swap_remove(main),
            modules,
            folder,
            upload: sizes(&line).unwrap_or_else(|| panic!("no sizes in: {line}")),
        }
    }
}

fn modules(folder: &PathBuf) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("what wrangler wrote").flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names
        .filter(|name| name.ends_with(".js") || name.ends_with(".wasm"))
        .collect()
}

/// Reads `Total Upload: 186.22 KiB / gzip: 62.85 KiB`.
fn sizes(line: &str) -> Option<(f64, f64)> {
    let (_, rest) = line.split_once("Total Upload:")?;
    let (raw, gzip) = rest.split_once("/ gzip:")?;
    let kib = |text: &str| text.trim().strip_suffix("KiB")?.trim().parse().ok();
    Some((kib(raw)?, kib(gzip)?))
}

impl Bundle {
    /// What the names of functions add to a Rust Worker's upload, compressed, in KiB.
    pub fn names(&self) -> f64 {
        let named = environment::path("BENCH_RUST").join(self.subject.name());
        let [named, plain] = [named, self.subject.folder()].map(|folder| {
            let module = folder.join("index_bg.wasm");
            let bytes = fs::read(module).expect("a Worker built for the bench");
            let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
            gzip.write_all(&bytes).expect("memory takes bytes");
            gzip.finish().expect("memory takes bytes").len() as f64 / 1024.0
        });
        named - plain
    }

    /// A second bundle of the same Worker, in which the calls between WebAssembly and JavaScript
    /// are counted.
    pub fn counting(&self) -> Bundle {
        let main = "count.js".to_owned();
        for (from, to) in [
            ("count.mjs", main.as_str()),
            ("count-first.mjs", "count-first.js"),
        ] {
            let from = environment::workspace().join("tests/bench").join(from);
            let text = fs::read_to_string(from).expect("the counter");
            fs::write(self.folder.join(to), text.replace("MAIN", &self.main)).expect("a file");
        }
        Bundle {
            main,
            folder: self.folder.clone(),
            modules: self.modules.clone(),
            ..*self
        }
    }
}

/// The process that starts and ends the Workers.
pub struct Control {
    process: Process,
    address: String,
}

impl Control {
    pub fn start() -> Self {
        let mut command = Command::new(environment::path("PROOF_NODE"));
        command
            .arg(environment::workspace().join("tests/bench/workerd.mjs"))
            .arg(environment::path("PROOF_NPM"));
        harness::worker::prepare(&mut command, &run::new_directory("workers"));
        let process = Process::start("workerd", &command);
        Control {
            address: process.wait_for_word_after("Ready on ", wait::START),
            process,
        }
    }

    /// Starts a Worker in a process of its own.
    pub fn worker(&self, bundle: &Bundle, bindings: &Value) -> Worker<'_> {
        self.start_worker(bundle, bindings, false)
    }

    /// Starts a Worker in a process of its own, and opens a port for a debugger.
    pub fn inspected(&self, bundle: &Bundle, bindings: &Value) -> Worker<'_> {
        self.start_worker(bundle, bindings, true)
    }

    fn start_worker(&self, bundle: &Bundle, bindings: &Value, inspected: bool) -> Worker<'_> {
        let started = self.ask(
            "start",
            &json!({
                "folder": bundle.folder,
                "main": bundle.main,
                "flags": bundle.subject.flags(),
                "workflow": bundle.subject.has_workflow(),
                "bindings": bindings,
                "inspected": inspected,
            }),
        );
        let text = |name: &str| started[name].as_str().unwrap_or_default().to_owned();
        Worker {
            control: self,
            id: started["id"].clone(),
            url: text("url"),
            inspector: text("inspector"),
        }
    }

    /// Milliseconds from the start of a process to its first answer.
    pub fn startup(&self, bundle: &Bundle) -> f64 {
        let took = self.ask(
            "startup",
            &json!({
                "folder": bundle.folder,
                "main": bundle.main,
                "modules": bundle.modules,
                "flags": bundle.subject.flags(),
            }),
        );
        took["ms"].as_f64().expect("a number")
    }

    fn ask(&self, command: &str, what: &Value) -> Value {
        let url = format!("{}/{command}", self.address);
        let answer = http::request("POST", &url, &[], &what.to_string());
        if answer.status != 200 {
            // This adds the process's log to the failure.
            let name = self.process.log().name();
            panic!("{name}: {command}: {}", answer.body);
        }
        answer.json()
    }
}

/// A running Worker. It is ended when it is dropped.
pub struct Worker<'c> {
    control: &'c Control,
    id: Value,
    url: String,
    inspector: String,
}

impl Worker<'_> {
    pub fn post(&self, path: &str) -> Answer {
        http::request("POST", &format!("{}{path}", self.url), &[], "")
    }

    pub fn get(&self, path: &str) -> Answer {
        http::request("GET", &format!("{}{path}", self.url), &[], "")
    }

    pub fn inspector(&self) -> Inspector {
        let port = self.inspector.rsplit(':').next().unwrap_or_default();
        let port = port.trim_end_matches('/').parse().expect("a port");
        Inspector::connect_to(port, "/core:user:bench")
    }
}

impl Drop for Worker<'_> {
    fn drop(&mut self) {
        // During a panic the Worker is not stopped here: the end of the run ends it.
        if !std::thread::panicking() {
            self.control.ask("stop", &json!({ "id": self.id }));
        }
    }
}
