//! Spotlight: Sentry's viewer for this machine, which assembles a trace from all its transactions
//! and events.

use std::os::unix::fs::symlink;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};

use crate::bugsink::{self, Project};
use crate::process::Process;
use crate::shared::Shared;
use crate::{environment, http, run, wait, worker};

static RUNNING: Shared<Spotlight> = Shared::new();

/// A running viewer. One serves the whole run.
#[derive(Debug)]
pub struct Spotlight {
    process: Process,
    /// Its address, with the name of this machine.
    page: String,
    port: String,
    calls: AtomicU32,
}

/// A line of the tree that Spotlight makes of a trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The depth in the tree. 0 is a line without a parent.
    pub depth: usize,
    /// The name of the span, transaction or error.
    pub name: String,
    /// The first eight digits of its id.
    pub span_id: String,
    /// The operation of a span, and `orphan` for a parent that was not sent. A transaction and an
    /// error have none.
    pub op: Option<String>,
    /// Whether it has a duration. An error has none.
    pub has_length: bool,
}

/// The run's viewer. The first call starts it.
///
/// # Panics
///
/// If it does not start.
#[track_caller]
pub fn spotlight() -> &'static Spotlight {
    RUNNING.get(|| Spotlight::start(None))
}

impl Spotlight {
    /// A viewer in front of Bugsink. Bugsink also gets everything that is sent to the DSN of
    /// [`Spotlight::dsn_of_both`].
    ///
    /// # Panics
    ///
    /// If it does not start.
    #[track_caller]
    pub fn in_front_of_bugsink() -> Self {
        Spotlight::start(Some(bugsink::origin()))
    }

    fn start(other: Option<&str>) -> Self {
        let directory = run::new_directory("spotlight");
        let mut command = Command::new(environment::path("PROOF_NODE"));
        command
            .arg(environment::workspace().join("tests/scripts/spotlight.mjs"))
            .arg(environment::path("PROOF_SPOTLIGHT"))
            .args(other);
        worker::prepare(&mut command, &directory);
        let process = Process::start("spotlight", &command);
        let page = process.wait_for_word_after("Spotlight at ", wait::START);
        let (_, port) = page.rsplit_once(':').expect("an address with a port");
        Spotlight {
            process,
            port: port.to_owned(),
            page,
            calls: AtomicU32::new(1),
        }
    }

    /// A separate viewer on a port of its own, started with a command that a reader types. Unlike
    /// the reader's viewer, it connects to no other machine.
    ///
    /// # Panics
    ///
    /// If it does not start.
    #[track_caller]
    pub fn started_by(line: &str) -> Self {
        let directory = run::new_directory("spotlight");
        let modules = directory.join("node_modules");
        symlink(environment::path("PROOF_SPOTLIGHT"), modules).expect("a new directory");
        let at_home = environment::workspace().join("tests/scripts/at-home.mjs");
        let mut command = worker::typed(&format!("{line} --port 0"), &directory);
        command.env("NODE_OPTIONS", format!("--import={}", at_home.display()));
        let process = Process::start("spotlight", &command);
        let line = process.wait_for_line("Spotlight listening on ", wait::START);
        let (_, port) = line.rsplit_once(' ').expect("the part waited for");
        Spotlight {
            process,
            port: port.to_owned(),
            page: format!("http://localhost:{port}"),
            calls: AtomicU32::new(1),
        }
    }

    /// A DSN for this viewer.
    pub fn dsn(&self) -> String {
        self.process.log();
        format!("http://public@127.0.0.1:{}/1", self.port)
    }

    /// A DSN whose events arrive here and in a project of the server behind this viewer.
    ///
    /// # Panics
    ///
    /// If there is no server behind it.
    #[track_caller]
    pub fn dsn_of_both(&self, project: &Project) -> String {
        let both = self.process.wait_for_word_after("Both at ", wait::START);
        let alone = bugsink::origin().trim_start_matches("http://");
        project.dsn.replace(alone, &both)
    }

    /// The address at which a browser shows what has arrived.
    pub fn page(&self) -> &str {
        &self.page
    }

    /// The port that it listens on.
    pub fn port(&self) -> &str {
        &self.port
    }

    /// Each connection that it tried to make to another machine, as `host:port`.
    pub fn outbound(&self) -> Vec<String> {
        let lines = self.process.log().lines();
        let lines = lines.iter().filter_map(|it| it.strip_prefix("[outbound] "));
        lines.map(ToOwned::to_owned).collect()
    }

    /// The tree of a trace. It is empty until the trace has arrived.
    ///
    /// # Panics
    ///
    /// If Spotlight does not answer, or if its answer has another form.
    #[track_caller]
    pub fn tree(&self, trace: &str) -> Vec<Line> {
        let text = self.ask("get_traces", &json!({ "traceId": trace }));
        if text.contains("not found") {
            return Vec::new();
        }
        text.lines().map(Line::read).collect()
    }

    /// Spotlight's description of the errors of the last minutes.
    ///
    /// # Panics
    ///
    /// If Spotlight does not answer.
    #[track_caller]
    pub fn errors(&self) -> String {
        let filters = json!({ "filters": { "timeWindow": 600 } });
        self.ask("search_errors", &filters)
    }

    /// Waits for the error with this text, and returns Spotlight's description of it.
    ///
    /// # Panics
    ///
    /// If it does not arrive.
    #[track_caller]
    pub fn wait_for_error(&self, text: &str) -> String {
        wait::until(&format!("error with {text:?}"), wait::LIMIT, || {
            let errors = self.errors();
            let mut errors = errors.split("### Error");
            Some(errors.find(|it| it.contains(text))?.to_owned())
        })
    }

    /// Calls one of Spotlight's tools for programs.
    /// <https://modelcontextprotocol.io/specification/2025-06-18/basic/transports>
    #[track_caller]
    fn ask(&self, tool: &str, arguments: &Value) -> String {
        self.process.log();
        let id = self.calls.fetch_add(1, Ordering::Relaxed);
        let call = json!({
            "jsonrpc": "2.0", "id": id, "method": "tools/call",
            "params": { "name": tool, "arguments": arguments },
        });
        let headers = [
            ("Content-Type", "application/json"),
            ("Accept", "application/json, text/event-stream"),
        ];
        let url = format!("http://127.0.0.1:{}/mcp", self.port);
        let answer = http::request("POST", &url, &headers, &call.to_string());
        assert_eq!(answer.status, 200, "{answer:?}");
        let data = answer.body.lines().find_map(|it| it.strip_prefix("data: "));
        let data: Value = data
            .and_then(|it| serde_json::from_str(it).ok())
            .unwrap_or_else(|| panic!("no answer in {answer:?}"));
        assert_eq!(data["id"], id, "{data:#}");
        let parts = data["result"]["content"].as_array();
        let parts = parts.unwrap_or_else(|| panic!("no text in {data:#}"));
        let parts: Vec<&str> = parts.iter().filter_map(|it| it["text"].as_str()).collect();
        parts.join("\n")
    }
}

impl Line {
    /// Reads a line such as `   │  └─ GET lists [1234abcd · http.client · 12ms]`.
    fn read(line: &str) -> Self {
        let of_tree = |c: char| matches!(c, ' ' | '│' | '├' | '└' | '─');
        let text = line.trim_start_matches(of_tree);
        let before = line.chars().count() - text.chars().count();
        let parts = text.strip_suffix(']').and_then(|it| it.rsplit_once(" ["));
        let (name, parts) = parts.unwrap_or_else(|| panic!("no line of a tree: {line:?}"));
        let parts: Vec<&str> = parts.split(" · ").collect();
        let (op, length) = match parts[..] {
            [_, length] => (None, length),
            [_, op, length] => (Some(op.to_owned()), length),
            _ => panic!("no line of a tree: {line:?}"),
        };
        Line {
            // Each level is three characters wide, and three more come before the first branch.
            depth: before.saturating_sub(3) / 3,
            name: name.to_owned(),
            span_id: parts[0].to_owned(),
            op,
            has_length: length != "unknown",
        }
    }
}
