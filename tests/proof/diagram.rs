//! The book's sequence diagrams, compared with recordings of the real runtime.
//!
//! The real runtime runs each path through the diagram. The recording is turned into the
//! messages that the diagram must have, in their order.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use harness::diagram::{self, Path};
use harness::process::Process;
use harness::receiver::Receiver;
use harness::worker::{Worker, WorkerOptions};
use harness::{environment, run, wait};

use crate::panics::instance;
use crate::trace::seen;

const PAGE: &str = "architecture.md";
/// The page with the diagram of a trace, and the page with the diagram of a panic.
const TRACE: &str = "one-trace.md";
const PANIC: &str = "panics.md";
/// The beginning of each line that the crate prints.
const OURS: &str = "[worker-sentry] ";
const RECORDED: &str = "[story] ";
/// The beginning of the error of the fixture's handlers.
const FAILURE: &str = "the fixture failed on purpose: ";

harness::trials![
    the_sequence_diagram_shows_what_the_runtime_was_seen_to_do_message_by_message,
    the_diagram_of_a_trace_shows_what_each_hop_was_seen_to_hand_on,
    the_diagram_of_a_panic_shows_what_the_runtime_was_seen_to_do,
    the_drawings_that_are_kept_are_what_mermaid_draws_from_the_pages,
];

fn the_sequence_diagram_shows_what_the_runtime_was_seen_to_do_message_by_message() {
    // The order is that of the diagram's alternatives and stories.
    let recorded = [
        without_a_dsn(),
        with_a_dsn_that_cannot_be_loaded(),
        with_a_receiver(),
    ]
    .concat();
    assert_shown(PAGE, &diagram::paths(PAGE), &recorded);
}

/// Fails if a path through a diagram differs from its recording, and shows both.
fn assert_shown(page: &str, shown: &[Path], recorded: &[Vec<String>]) {
    let disagreements: Vec<String> = (0..recorded.len().max(shown.len()))
        .filter_map(|number| disagreement(page, shown.get(number), recorded.get(number)))
        .collect();
    assert!(disagreements.is_empty(), "{}", disagreements.join("\n"));
}

/// A path and its recording as text, if they differ.
fn disagreement(
    page: &str,
    shown: Option<&Path>,
    recorded: Option<&Vec<String>>,
) -> Option<String> {
    let name = shown.map_or("a story that it does not have".to_owned(), |path| {
        path.name.join(", ")
    });
    let shown = shown.map(|path| path.messages.clone()).unwrap_or_default();
    let recorded = recorded.cloned().unwrap_or_default();
    (shown != recorded).then(|| {
        let list = |messages: &[String]| format!("    {}", messages.join("\n    "));
        format!(
            "src/{page}: {name}\n  the diagram says:\n{}\n  the runtime did:\n{}",
            list(&shown),
            list(&recorded)
        )
    })
}

fn the_drawings_that_are_kept_are_what_mermaid_draws_from_the_pages() {
    let to = run::new_directory("drawings");
    let mut command = Command::new(environment::path("PROOF_XTASK"));
    command.arg("draw").arg(&to);
    Process::start("cargo xtask draw", &command).wait_for_success(wait::START);
    let kept = environment::workspace().join("theme/drawings");
    let names = |folder: &std::path::Path| {
        let files = fs::read_dir(folder)
            .expect("a folder of drawings")
            .flatten();
        let names = files.map(|file| file.file_name().to_string_lossy().into_owned());
        BTreeSet::from_iter(names)
    };
    let files = names(&to);
    assert_eq!(names(&kept), files);
    assert!(files.len() > 1, "{files:?}");
    for file in files {
        let [kept, drawn] = [&kept, &to].map(|folder| {
            let text = fs::read_to_string(folder.join(&file)).expect(&file);
            split(&text)
        });
        assert_eq!(kept.0, drawn.0, "{file}: other elements");
        assert_eq!(kept.1.len(), drawn.1.len(), "{file}");
        for (kept, drawn) in kept.1.iter().zip(&drawn.1) {
            // The fonts of another machine give other sizes.
            let is_near = (kept - drawn).abs() <= f64::max(12.0, drawn.abs() * 0.1);
            assert!(is_near, "{file}: {kept}, drawn {drawn}");
        }
    }
}

/// A drawing without its numbers, and the numbers.
fn split(drawing: &str) -> (String, Vec<f64>) {
    let (mut words, mut numbers) = (String::new(), Vec::new());
    let mut rest = drawing;
    // The numbers in the first line are a fingerprint and not sizes.
    if let Some((first, after)) = drawing.split_once('\n') {
        words.push_str(first);
        rest = after;
    }
    while let Some(at) = rest.find(|c: char| c.is_ascii_digit()) {
        let end = rest[at..].find(|c: char| !c.is_ascii_digit() && c != '.');
        let end = end.map_or(rest.len(), |end| at + end);
        words.push_str(&rest[..at]);
        numbers.extend(rest[at..end].parse::<f64>());
        rest = &rest[end..];
    }
    words.push_str(rest);
    (words, numbers)
}

// The stories --------------------------------------------------------------

fn without_a_dsn() -> Vec<Vec<String>> {
    let worker = Worker::fixture().recorded().start();
    worker.post("/stories/alarm?failures=1");
    wait_for(&worker, "leave alarm", 2);
    // Without a DSN the crate prints no line at all.
    assert_eq!(worker.process().count_lines(OURS), 0);
    vec![messages(&story(&worker, "alarm"))]
}

fn with_a_dsn_that_cannot_be_loaded() -> Vec<Vec<String>> {
    let worker = Worker::fixture().recorded().reporting_to("nonsense");
    let worker = worker.start();
    worker.post("/stories/alarm?failures=1");
    wait_for(&worker, "leave alarm", 1);
    // This request comes before an abandoned load would be given up. The runtime runs the alarm
    // again only after that.
    worker.post("/stories/main");
    wait_for(&worker, "read SENTRY_RELEASE", 2);
    wait_for(&worker, "leave alarm", 2);
    vec![messages(&story(&worker, "alarm"))]
}

/// The four stories in one isolate. The alarm comes first.
fn with_a_receiver() -> Vec<Vec<String>> {
    let (worker, receiver) = Worker::fixture().recorded().start_reporting();
    worker.post("/stories/alarm?failures=1");
    wait_for(&worker, "leave alarm", 2);
    let mut socket = worker.socket("/stories/socket");
    socket.break_the_protocol();
    wait_for(&worker, "answer", 2);
    wait_for(&worker, "leave websocket_error", 1);
    let answer = worker.post("/stories/main");
    assert_eq!(answer.body, format!("{FAILURE}fetch"));
    wait_for(&worker, "answer", 3);
    wait_for(&worker, "leave fetch", 1);
    worker.post("/stories/run");
    wait_for(&worker, "leave run", 1);
    // The requests of the recording have arrived, and no others.
    assert_eq!(receiver.requests().len(), 4);
    let stories = ["alarm", "websocket_error", "fetch", "run"];
    stories
        .map(|handler| messages(&story(&worker, handler)))
        .into()
}

fn wait_for(worker: &Worker, what: &str, times: usize) {
    let line = format!("{RECORDED}{what}");
    wait::until(&format!("{times} times {line:?}"), wait::LIMIT, || {
        (worker.process().count_lines(&line) >= times).then_some(())
    });
}

/// The recording from a handler's first run on.
fn story(worker: &Worker, handler: &str) -> Vec<String> {
    let lines = worker.log().lines();
    let recorded = lines.iter().filter_map(|line| {
        let recorded = line.find(RECORDED).map(|at| &line[at + RECORDED.len()..]);
        recorded.or_else(|| line.find(OURS).map(|at| &line[at..]))
    });
    let first = format!("enter {handler}");
    let told = recorded.skip_while(|line| *line != first);
    told.map(ToOwned::to_owned).collect()
}

// A trace -------------------------------------------------------------------

/// The parts of a chain, each with its name in the event's message.
const PARTS: [(&str, &str); 4] = [
    ("main", "main"),
    ("object", "object"),
    ("queue", "queue saw 1"),
    ("run", "run saw 1"),
];
const TRACE_ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CLIENT: &str = "b0e6f15b45c36b12";

fn the_diagram_of_a_trace_shows_what_each_hop_was_seen_to_hand_on() {
    let (worker, receiver) = Worker::fixture().recorded().start_reporting();
    let header = format!("{TRACE_ID}-{CLIENT}-1");
    let path = "/traces/chain?marker=drawn.";
    let answer = worker.send("POST", path, &[("sentry-trace", &header)], "");
    assert_eq!(answer.status, 200, "{answer:?}");
    // Each part sends a report, which contains the part's span.
    let mut spans = vec![("client", CLIENT.to_owned())];
    for (part, event) in PARTS {
        let seen = seen(&receiver, &format!("{event}:drawn."));
        assert_eq!(seen.trace, TRACE_ID, "{part}");
        spans.push((part, seen.span));
    }
    let name = |span: &str| {
        let known = spans.iter().find(|(_, it)| it == span);
        known.map_or_else(|| span.to_owned(), |(name, _)| (*name).to_owned())
    };
    // The end of the chain: its step has failed in two attempts.
    receiver.wait_for_event("step:drawn.");
    let last = format!("{RECORDED}attempt 2");
    worker.process().wait_for_line(&last, wait::LIMIT);
    let lines = worker.log().lines();
    let mut hops: Vec<String> = Vec::new();
    for hop in lines.iter().filter_map(|line| hop(line, &receiver, name)) {
        // A Workflow's `run` starts again after it has slept.
        if !hops.contains(&hop) {
            hops.push(hop);
        }
    }
    let begins_at_the_queue = hops.iter().position(|hop| hop.starts_with("Q->>"));
    let (first, second) = hops.split_at(begins_at_the_queue.unwrap_or(hops.len()));
    let recorded = [first.to_vec(), second.to_vec()];
    assert_shown(TRACE, &diagram::paths(TRACE), &recorded);
}

/// The message for a line of the recording: the headers that arrived, with `T` in place of the
/// trace's id and a name in place of each span's id.
fn hop(line: &str, receiver: &Receiver, name: impl Fn(&str) -> String) -> Option<String> {
    let (_, told) = line.split_once(RECORDED)?;
    let mut words = told.split(' ');
    let (what, part, handed) = (words.next()?, words.next()?, words.next());
    if what == "attempt" {
        let event = seen(receiver, &format!("attempt {part}:drawn."));
        let below = name(&event.parent.unwrap_or_default());
        return Some(format!("W->>E: attempt {part}, below {below}"));
    }
    let (way, how) = match (what, part) {
        ("hop", "main") => ("K->>M", "fetch(), sentry-trace"),
        ("hop", "object") => ("M->>O", "fetch(), sentry-trace"),
        ("hop", "queue") => ("O->>Q", "queue(), __sentry_trace"),
        ("hop", "run") => ("Q->>W", "run(), __sentry_trace"),
        _ => return None,
    };
    let [trace, span, flag] = *Vec::from_iter(handed?.split('-')) else {
        return Some(format!("{way}: {how} {handed:?}"));
    };
    let trace = if trace == TRACE_ID { "T" } else { trace };
    Some(format!("{way}: {how}: {trace}-{}-{flag}", name(span)))
}

// A panic -------------------------------------------------------------------

fn the_diagram_of_a_panic_shows_what_the_runtime_was_seen_to_do() {
    let mut shown = diagram::paths(PANIC);
    let mut recorded = vec![panicked(Worker::fixture())];
    if environment::has_unwinding_build() {
        recorded.push(panicked(Worker::unwinding()));
    } else {
        eprintln!("NOT CHECKED: the second story of the diagram in src/{PANIC}");
        shown.truncate(1);
    }
    assert_shown(PANIC, &shown, &recorded);
}

/// Runs a request that panics, and the next request.
fn panicked(worker: WorkerOptions) -> Vec<String> {
    let (worker, receiver) = worker.recorded().start_reporting();
    let old = instance(&worker);
    let answer = worker.post("/main/panic?marker=drawn");
    assert_eq!(answer.status, 500, "{answer:?}");
    wait_for(&worker, "answer", 1);
    let is_new = instance(&worker) != old;
    worker.post("/main/capture?marker=next");
    wait_for(&worker, "leave fetch with 200", 1);
    let event = receiver.wait_for_event("drawn");
    assert_eq!(event["level"], "fatal");

    let mut messages = Vec::new();
    let mut say = |message: &str| messages.push(message.to_owned());
    let mut runs = 0;
    for line in story(&worker, "fetch") {
        match &*line {
            "enter fetch" => {
                runs += 1;
                if runs == 2 {
                    break;
                }
                say("R->>M: fetch()");
            }
            "post" => {
                say("M->>C: panic");
                say("C->>S: POST envelope");
            }
            // The hook's last line before the trap.
            "[worker-sentry] panic reported" if is_new => {
                say("M-->>R: the WebAssembly instance ends");
            }
            line if line.starts_with("answer ") => {
                say(&line.replace("answer ", "S-->>C: "));
            }
            line if line.starts_with("leave fetch with ") && line.contains(FAILURE) => {
                say("M-->>R: the panic, as an error");
            }
            _ => {}
        }
    }
    if answer.body.contains("code had hung") {
        say("R->>R: cancels the request as hung");
    }
    say(match is_new {
        true => "R->>M: next fetch(), in a new WebAssembly instance",
        false => "R->>M: next fetch(), in the same WebAssembly instance",
    });
    messages
}

// The recording as messages -------------------------------------------------

/// The messages of a story, in Mermaid's syntax.
fn messages(recorded: &[String]) -> Vec<String> {
    let mut teller = Teller::default();
    let mut rest = recorded;
    while let [line, after @ ..] = rest {
        if !teller.hear(line, after) {
            break;
        }
        rest = after;
    }
    teller.messages
}

/// Turns lines into messages. The diagram has no message for some lines, such as the read of
/// another binding.
#[derive(Default)]
struct Teller {
    messages: Vec<String>,
    handler: String,
    /// The handler's participant.
    host: &'static str,
    runs: usize,
    /// Whether another handler is running, which has a story of its own.
    is_elsewhere: bool,
    /// What the current capture has done so far.
    capture: Capture,
}

#[derive(Default)]
struct Capture {
    /// Whether a capture is running. Outside of a capture the crate also reads `SENTRY_DSN`, to
    /// decide whether to install the hook for panics, and the diagram leaves that out.
    is_under_way: bool,
    is_guarded: bool,
    has_loaded: bool,
    has_waited: bool,
    has_sent: bool,
    is_answered: bool,
}

impl Teller {
    /// Handles a line. Returns `false` at the end of the story, which is the runtime's retry.
    fn hear(&mut self, line: &str, after: &[String]) -> bool {
        let host = self.host;
        match line.split_once(' ').unwrap_or((line, "")) {
            ("enter", handler) => return self.enter(handler),
            _ if self.is_elsewhere => {}
            ("call", function) => {
                self.capture = Capture::default();
                self.capture.is_under_way = true;
                self.say(host, "->>", "C", called(function));
            }
            ("read", "SENTRY_DSN") if self.capture.is_under_way && !self.capture.is_guarded => {
                self.capture.is_guarded = true;
                self.note_step("1 guard: SENTRY_DSN?");
            }
            // After the guard's read, the crate reads all its bindings.
            ("read", "SENTRY_RELEASE") => {
                self.capture.has_loaded = true;
                self.note_step("2 load: absent → loading");
            }
            // The crate prints this line where it builds the client, which happens once.
            ("[worker-sentry]", "client initialised") => {
                self.note_step("4 loading → ready, once");
                self.note_step("5 build the client");
            }
            ("wait", _) => self.capture.has_waited = true,
            ("post", _) => {
                if !self.capture.has_loaded {
                    self.note_step("ready: the client is there");
                }
                self.capture.has_sent = true;
                self.say("C", "->>", "S", "6 POST envelope");
            }
            ("answer", status) => {
                self.capture.is_answered = true;
                self.say("S", "-->>", "C", status);
            }
            ("return", "Some") => self.say("C", "-->>", host, "Some(event id)"),
            ("return", _) => self.nothing(after),
            ("leave", how) => self.leave(how),
            _ => {}
        }
        true
    }

    fn enter(&mut self, handler: &str) -> bool {
        if self.runs == 0 {
            self.handler = handler.to_owned();
        }
        self.is_elsewhere = handler != self.handler;
        if self.is_elsewhere {
            return true;
        }
        self.runs += 1;
        self.host = match handler {
            "fetch" => "M",
            "run" => "W",
            _ => "D",
        };
        let retry = if self.runs > 1 {
            ", the runtime's retry"
        } else {
            ""
        };
        self.say("R", "->>", self.host, &format!("{handler}(){retry}"));
        self.runs == 1
    }

    /// Handles a capture that returned `None`. The text in the diagram must fit the recording.
    fn nothing(&mut self, after: &[String]) {
        let Capture {
            has_loaded,
            has_sent,
            has_waited,
            ..
        } = self.capture;
        let what = match (has_loaded, has_sent || has_waited) {
            (false, false) => "None, at once",
            // The next capture loads without waiting until this capture's turn expires.
            (true, false) if loads_at_once(after) => {
                self.note_step("3 loading → absent");
                "None, the next capture loads"
            }
            _ => "None",
        };
        self.say("C", "-->>", self.host, what);
    }

    fn leave(&mut self, how: &str) {
        let (_, with) = how.split_once(" with ").unwrap_or_default();
        let what = match with {
            "nothing" if !self.capture.is_answered => "returns before the answer",
            with if with.starts_with(FAILURE) => "its own error, unchanged",
            with => with,
        };
        self.say(self.host, "-->>", "R", what);
    }

    fn note_step(&mut self, what: &str) {
        self.say("C", "->>", "C", what);
    }

    fn say(&mut self, from: &str, arrow: &str, to: &str, what: &str) {
        self.messages.push(format!("{from}{arrow}{to}: {what}"));
    }
}

/// The name of the crate's functions in the diagram.
fn called(function: &str) -> &str {
    match function {
        "capture_exception_in_isolate" => "capture, awaited",
        "capture_exception_in_background" => "capture in background",
        other => other,
    }
}

/// Whether the next capture reads the bindings without waiting for a turn.
fn loads_at_once(after: &[String]) -> bool {
    let next = after.iter().skip_while(|line| !line.starts_with("call "));
    let decides = |line: &&String| line.starts_with("wait ") || *line == "read SENTRY_RELEASE";
    next.into_iter()
        .find(decides)
        .is_some_and(|line| line.starts_with("read "))
}
