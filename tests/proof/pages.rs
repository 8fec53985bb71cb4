//! Runs what the pages tell a reader to type.
//!
//! There is one test for each page with commands. It follows the page from top to
//! bottom, with the Worker that the page is about. A command that this file cannot
//! run fails the test, so the pages have no command that is not run.

use std::fs;

use book_compiler::rendered::unescaped;
use book_compiler::{Chapter, Fence};
use harness::case;
use harness::environment;
use harness::process::Process;
use harness::receiver::{Answer, Receiver};
use harness::shared::Shared;
use harness::spotlight::Spotlight;
use harness::worker::{self, Build, Worker, committed};
use harness::{run, wait};
use serde_json::{Value, json};

/// The addresses that pages write for a Worker.
const HOSTS: [&str; 2] = ["http://localhost:8787", "https://your-worker.example.com"];
/// The beginning of each line that the crate prints.
const OURS: &str = "[worker-sentry] ";
/// The command with which pages start a Worker.
const DEV: &str = "npx wrangler dev";
/// The command with which pages start a receiver on the reader's machine.
pub const VIEWER: &str = "npx @spotlightjs/spotlight";
/// The address of that receiver in a DSN.
const VIEWER_HOST: &str = "@127.0.0.1:8969/";
/// The snippet that has a drill and an environment for staging.
const DRILL: &str = "drill";
/// The text that the test types when a command asks for a secret.
const TYPED: &str = "typed-by-a-reader";

harness::trials![
    each_listing_is_exactly_its_part_of_the_file_and_names_its_tests,
    ..pages_with_commands().map(|page| {
        let rule = format!("what_{}_tells_a_reader_to_type_works", page.module());
        harness::trial!(rule, move || Reader::new(&page).follow())
    }),
];

fn pages_with_commands() -> impl Iterator<Item = Chapter> {
    let pages = Chapter::all().into_iter();
    pages.filter(|page| page.fences().iter().any(is_command))
}

/// Whether a block has commands that need more than the parser of `cargo xtask`.
fn is_command(block: &Fence<'_>) -> bool {
    let mut lines = block.body.iter();
    block.language == "sh" && lines.any(|line| !line.starts_with("cargo xtask "))
}

/// The example with drills on, for every page without other needs.
fn example() -> &'static (Worker, Receiver) {
    static EXAMPLE: Shared<(Worker, Receiver)> = Shared::new();
    EXAMPLE.get(|| {
        let receiver = Receiver::accepting();
        let options = Worker::listings().with_drills();
        let worker = options.secret("SENTRY_DSN", &receiver.dsn()).start();
        (worker, receiver)
    })
}

/// A reader who does what a page says.
struct Reader<'p> {
    page: &'p Chapter,
    /// The receiver of the Worker's reports.
    receiver: Receiver,
    /// The snippet that the page has shown last.
    snippet: Option<&'static str>,
    /// The settings that the page has shown, with a DSN that works.
    settings: String,
    /// The Worker that this reader has started.
    worker: Option<Worker>,
    /// The receiver that the page tells the reader to start.
    viewer: Option<Spotlight>,
}

impl<'p> Reader<'p> {
    fn new(page: &'p Chapter) -> Self {
        Reader {
            page,
            receiver: Receiver::accepting(),
            snippet: None,
            settings: String::new(),
            worker: None,
            viewer: None,
        }
    }

    fn follow(mut self) {
        for block in &self.page.fences() {
            let place = format!("src/{}:{}", self.page.path, block.line);
            match block.language {
                "sh" => block
                    .body
                    .iter()
                    .for_each(|line| self.type_in(&place, line)),
                "text" => self.read_text(&place, block),
                "rust" => self.look_at_listing(block),
                _ => {}
            }
        }
    }

    /// A complete file for the reader to copy replaces the Worker.
    fn look_at_listing(&mut self, block: &Fence<'_>) {
        let included = block.body.concat();
        let shown = ["fetch", "object", "workflow", DRILL]
            .into_iter()
            .find(|name| included.contains(&format!("snippets/{name}/src/lib.rs:")));
        if shown.is_some() {
            self.snippet = shown;
            self.worker = None;
        }
    }

    /// Uses settings as they are written. Lines that the crate prints must be exactly those that it
    /// has printed since the Worker was started.
    fn read_text(&mut self, place: &str, block: &Fence<'_>) {
        let printed = block.body.iter().all(|line| line.starts_with(OURS));
        if printed {
            let worker = self.worker.as_ref();
            let worker = worker.unwrap_or_else(|| panic!("{place}: no Worker printed this"));
            let said = wait::until("line of each kind", wait::LIMIT, || {
                let said = said_by(worker);
                (said.len() >= block.body.len()).then_some(said)
            });
            assert_eq!(said, block.body, "{place}");
            return;
        }
        for line in &block.body {
            let setting = line.split_once("=\"");
            let (name, value) = setting.unwrap_or_else(|| panic!("{place}: no setting: {line}"));
            let value = match name {
                "SENTRY_DSN" => match &self.viewer {
                    Some(viewer) => &of_viewer(place, value, viewer),
                    None => &self.receiver.dsn(),
                },
                _ => value.trim_end_matches('"'),
            };
            self.settings.push_str(&format!("{name}=\"{value}\"\n"));
        }
    }

    fn type_in(&mut self, place: &str, line: &str) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            // The preprocessor of the book parses these commands.
            ["cargo", "xtask", ..] => return,
            ["npx", "wrangler", "dev"] => self.worker = Some(self.start()),
            ["cargo", "new", "--lib", package] => make_package(place, line, package),
            _ if line == VIEWER => self.viewer = Some(Spotlight::started_by(line)),
            ["npx", "wrangler", command @ ..] => self.ask_cloudflare(place, line, command),
            ["curl", ..] => self.curl(place, line),
            _ => panic!("{place}: nobody knows how to test: {line}"),
        }
        case::used(format!("command {line}"));
    }

    /// Starts the Worker that the page is about, as a reader does.
    fn start(&self) -> Worker {
        let options = match self.snippet {
            Some(DRILL) => Worker::snippet(DRILL).secret("DRILLS", "on"),
            Some(name) => Worker::snippet(name),
            None => Worker::listings().secret("DRILLS", "on"),
        };
        let options = options.dev_vars(&self.settings);
        let reporting = self.settings.contains("SENTRY_DSN=");
        let options = match reporting {
            true => options,
            false => options.secret("SENTRY_DSN", &self.receiver.dsn()),
        };
        options.start_by(DEV)
    }

    /// Checks that the answer is the one on the page, and that the failure is reported.
    fn curl(&mut self, place: &str, line: &str) {
        let host = HOSTS.into_iter().find(|host| line.contains(host));
        let host = host.unwrap_or_else(|| panic!("{place}: whose address is in {line}?"));
        // A panic would also lose the reports of other tests that share the Worker.
        let own = self.snippet.is_some() || !self.settings.is_empty() || line.contains("/panic/");
        if own && self.worker.is_none() {
            self.worker = Some(self.start());
        }
        let (worker, receiver) = match &self.worker {
            Some(worker) => (worker, &self.receiver),
            None => {
                let (worker, receiver) = example();
                (worker, receiver)
            }
        };
        let answer = worker.curl(line, host);
        if line.contains("/cdn-cgi/handler/scheduled") {
            // A check-in arrives and not an event. The page says where to see it.
            assert_eq!(answer.status, 200, "{place}: {answer:?}");
            receiver.wait_for_check_in("cron-0-x-x-x-x", "ok");
            return;
        }
        let (marker, handler) = match line.split_once("/drill/") {
            Some((_, drill)) => {
                assert_eq!(answer.status, 202, "{place}: {answer:?}");
                let (path, marker) = drill.split_once("?marker=").expect("a marker");
                let (_, handler) = path.split_once('/').expect("a handler");
                (marker.trim_end_matches('\''), handler)
            }
            None => {
                let status = format!("`{}`", answer.status);
                assert!(self.page.text.contains(&status), "{place}: {answer:?}");
                let data = line.split(" -d ").nth(1).expect("data that no one can use");
                (data.split(' ').next().unwrap_or_default(), "")
            }
        };
        if let Some(viewer) = &self.viewer {
            return self.look_at(place, viewer, marker);
        }
        let event = receiver.wait_for_event_that(&format!("event with {marker:?}"), |event| {
            let text = event.to_string();
            let mut rest = text.split(marker).skip(1);
            let whole = rest.any(|rest| !rest.starts_with(|c: char| c.is_alphanumeric()));
            let from = event["tags"]["handler"].as_str();
            whole && from.is_some_and(|from| from.ends_with(handler))
        });
        if handler.is_empty() {
            // The page must name the place that the reader will find.
            let transaction = event["transaction"].as_str().unwrap_or_default();
            let named = self.page.text.contains(&format!("`{transaction}`"));
            assert!(named, "{place}: `{transaction}` is not on the page");
        }
    }

    /// Checks that the viewer shows the error with this text, and what the page says of the viewer.
    fn look_at(&self, place: &str, viewer: &Spotlight, marker: &str) {
        let error = viewer.wait_for_error(&format!("`{marker}`: "));
        let tag = |name: &str| {
            let (_, rest) = error.split_once(&format!("**{name}**: "))?;
            rest.lines().next()
        };
        let transaction = tag("class").zip(tag("handler"));
        let transaction = transaction.map(|(class, handler)| format!("`{class}.{handler}`"));
        let named = transaction.is_some_and(|it| self.page.text.contains(&it));
        assert!(
            named,
            "{place}: the page has another class or handler than {error}"
        );
    }

    /// Runs a command of wrangler that needs an account. A stand-in for Cloudflare's API answers
    /// it. Only the upload of a deploy is left out.
    fn ask_cloudflare(&self, place: &str, line: &str, command: &[&str]) {
        let cloudflare = Receiver::answering(|request, _| {
            let result = if request.method == "GET" {
                json!([{ "name": "SENTRY_DSN", "type": "secret_text" }])
            } else {
                // The answer for a queue or a tail, which get no data.
                json!({
                    "queue_id": "1",
                    "id": "1", "url": "ws://127.0.0.1:9/", "expires_at": "2030-01-01T00:00:00Z",
                })
            };
            let answer = json!({
                "success": true, "errors": [], "messages": [], "result": result
            });
            let kind = vec![("Content-Type", "application/json".to_owned())];
            Answer::Reply(200, kind, answer.to_string().into_bytes())
        });
        let interface = format!("{}/client/v4", cloudflare.url());
        let account = [
            ("CLOUDFLARE_API_BASE_URL", interface.as_str()),
            ("CLOUDFLARE_API_TOKEN", "token"),
            ("CLOUDFLARE_ACCOUNT_ID", "account"),
        ];
        let staging = line.contains(" --env staging");
        let project = || match staging {
            true => Worker::snippet(DRILL),
            false => Worker::listings(),
        };
        let run = |line: &str| -> (String, Vec<(String, String, Value)>) {
            let printed = project().run_line(line, &account).join("\n");
            let asked = cloudflare.requests().into_iter().map(|received| {
                let request = received.request;
                let body = serde_json::from_slice(&request.body).unwrap_or_default();
                (request.method, request.target, body)
            });
            (printed, asked.collect())
        };
        let script = match staging {
            // wrangler appends the environment to the name.
            true => format!("snippet-{DRILL}-staging"),
            false => committed(Build::Listings)["name"].to_string(),
        };
        let script = script.trim_matches('"');
        let script = format!("/client/v4/accounts/account/workers/scripts/{script}");
        let secrets = format!("{script}/secrets");
        let command = match command {
            [command @ .., "--env", "staging"] if staging => command,
            command => command,
        };
        match command {
            ["tail"] => {
                // The tail ends at once, because nothing listens at its address.
                let (_, asked) = run(&format!("{line} || true"));
                let tail = ("POST", format!("{script}/tails"));
                let is_tail = |(method, target, _): &(String, String, Value)| {
                    (method.as_str(), target) == (tail.0, &tail.1)
                };
                assert!(asked.iter().any(is_tail), "{place}: {asked:?}");
            }
            ["secret", "put", name] => {
                let (_, asked) = run(&format!("printf {TYPED} | {line}"));
                let body = json!({ "name": name, "text": TYPED, "type": "secret_text" });
                assert_eq!(asked, [("PUT".to_owned(), secrets, body)], "{place}");
            }
            ["secret", "delete", name] => {
                let (_, asked) = run(line);
                let (method, target, _) = asked.last().expect("a request");
                assert_eq!(method, "DELETE", "{place}");
                assert!(
                    target.starts_with(&format!("{secrets}/{name}")),
                    "{place}: {target}"
                );
            }
            ["secret", "list"] => {
                let (printed, asked) = run(line);
                assert_eq!(asked, [("GET".to_owned(), secrets, Value::Null)], "{place}");
                assert!(printed.contains("SENTRY_DSN"), "{place}: {printed}");
            }
            ["queues", "create", name] => {
                let (_, asked) = run(line);
                let created = json!({ "queue_name": name });
                let queues = "/client/v4/accounts/account/queues".to_owned();
                assert_eq!(asked, [("POST".to_owned(), queues, created)], "{place}");
                let config = committed(Build::Listings).to_string();
                assert!(config.contains(&format!("\"{name}\"")), "{place}: {config}");
            }
            ["deploy", ..] => {
                let release = "git rev-parse --short HEAD";
                assert!(line.contains(release), "{place}: {line}");
                // wrangler does not print the value, so the shell prints the command with it.
                let (printed, asked) = run(&format!(
                    "{REPOSITORY} && set -x && {line} --dry-run --outdir bundle && {release}"
                ));
                assert_eq!(asked, [], "{place}");
                let (_, commit) = printed.rsplit_once('\n').expect("the release comes last");
                let handed = format!("--var SENTRY_RELEASE:{commit} ");
                let environment = match staging {
                    true => "env.ENVIRONMENT (\"staging\")",
                    false => "env.LISTS",
                };
                for part in [
                    environment,
                    handed.as_str(),
                    "env.SENTRY_RELEASE",
                    "--dry-run: exiting now.",
                ] {
                    assert!(printed.contains(part), "{place}: no {part} in {printed}");
                }
            }
            _ => panic!("{place}: nobody knows how to test: {line}"),
        }
    }
}

/// A DSN of the page, with the port of this reader's viewer.
pub fn of_viewer(place: &str, written: &str, viewer: &Spotlight) -> String {
    let port = format!("@127.0.0.1:{}/", viewer.port());
    assert!(written.contains(VIEWER_HOST), "{place}: {written}");
    written.trim_end_matches('"').replace(VIEWER_HOST, &port)
}

/// Makes a new package, whose file has to end with the text that the page tells the reader to
/// replace.
fn make_package(place: &str, line: &str, package: &str) {
    let folder = run::new_directory("reader");
    let command = worker::typed(line, &folder);
    Process::start("cargo new", &command).wait_for_success(wait::START);
    let manifest = fs::read_to_string(folder.join(package).join("Cargo.toml"));
    let manifest = manifest.unwrap_or_else(|error| panic!("{place}: {error}"));
    assert!(manifest.ends_with(NO_DEPENDENCIES), "{place}: {manifest}");
}

/// The end of a new package's `Cargo.toml`.
pub const NO_DEPENDENCIES: &str = "\n[dependencies]\n";

/// Makes a repository with one commit, for a command that asks for the commit's name.
const REPOSITORY: &str = "export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1 && \
     git init --quiet . && git -c user.name=reader -c user.email=reader@example.com \
     commit --quiet --allow-empty --message empty";

/// The lines that the crate wrote to the Worker's console.
fn said_by(worker: &Worker) -> Vec<String> {
    let lines = worker.log().lines().into_iter();
    lines
        .filter_map(|line| Some(line[line.find(OURS)?..].to_owned()))
        .collect()
}

fn each_listing_is_exactly_its_part_of_the_file_and_names_its_tests() {
    let is_recording = std::env::var_os("WORKER_SENTRY_RECORDING").is_some();
    let mut seen = 0;
    for page in Chapter::all() {
        let fences = page.fences();
        let listed = fences.iter().filter_map(|fence| page.listed(fence));
        let listed: Vec<(String, String)> = listed.collect();
        if listed.is_empty() {
            continue;
        }
        let rendered = page.path.replace(".md", ".html");
        let rendered = environment::path("PROOF_BOOK").join(rendered);
        let rendered = fs::read_to_string(rendered).expect("a rendered page");
        let shown = rendered.split("<figure class=\"listing\">").skip(1);
        let shown: Vec<&str> = shown.collect();
        assert_eq!(shown.len(), listed.len(), "listings on {}", page.path);
        for (figure, (file, lines)) in shown.into_iter().zip(listed) {
            let (code, rest) = figure.split_once("</code></pre>").expect("a block");
            let (_, code) = code.split_once("\">").expect("a language");
            assert_eq!(
                unescaped(code).trim_end(),
                lines.trim_end(),
                "{file} on {}",
                page.path
            );
            let caption = format!("<figcaption><code>{file}</code></figcaption>\n");
            let rest = rest.trim_start().strip_prefix(&caption);
            let rest = rest.unwrap_or_else(|| panic!("no caption {file} on {}", page.path));
            // A listing without code that runs has a note instead of tests. While a record is made,
            // new listings have neither.
            let names_tests = ["details", "div"]
                .iter()
                .any(|tag| rest.starts_with(&format!("<{tag} class=\"proof\">")));
            assert!(
                names_tests || is_recording,
                "no tests below {file} on {}",
                page.path
            );
            seen += 1;
        }
    }
    println!("figure: {seen} listings");
    assert!(seen > 60, "{seen} listings");
}
