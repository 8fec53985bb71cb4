//! What the pages tell a reader to type, typed.
//!
//! One test for each page with commands: it does what the page says from top to
//! bottom, with the Worker that the page is about. A line that nobody here knows
//! how to run fails the test, so no command is only printed.

use std::fs;

use libtest_mimic::Trial;
use proof::case::{self, test};
use proof::environment;
use proof::pages::{self, Block, Page};
use proof::process::Process;
use proof::receiver::{Answer, Receiver};
use proof::shared::Shared;
use proof::spotlight::Spotlight;
use proof::worker::{self, Build, Worker, committed};
use proof::{run, wait};
use serde_json::{Value, json};

/// What pages write for the address of a Worker.
const HOSTS: [&str; 2] = ["http://localhost:8787", "https://your-worker.example.com"];
/// Starts every line of the crate's.
const OURS: &str = "[worker-sentry] ";
/// What the pages start a Worker with.
const DEV: &str = "npx wrangler dev";
/// What the pages start a receiver on the reader's machine with.
pub const VIEWER: &str = "npx @spotlightjs/spotlight";
/// Where that one listens, as a DSN has it.
const VIEWER_HOST: &str = "@127.0.0.1:8969/";
/// The snippet with a drill of its own and an environment for staging.
const DRILL: &str = "drill";
/// What is typed where a command asks for a secret.
const TYPED: &str = "typed-by-a-reader";

pub fn trials() -> Vec<Trial> {
    let pages = pages::all().into_iter();
    let with_commands = pages.filter(|page| page.blocks.iter().any(is_command));
    let trials = with_commands.map(|page| {
        let name = page.path.trim_end_matches(".md").replace(['/', '-'], "_");
        let name = format!("pages::what_{name}_tells_a_reader_to_type_works");
        test(&name, move || Reader::new(&page).follow())
    });
    let listings = test(
        "pages::each_listing_is_exactly_its_part_of_the_file_and_names_its_tests",
        each_listing_is_exactly_its_part_of_the_file,
    );
    trials.chain([listings]).collect()
}

/// Whether somebody but the parser of `cargo xtask` has to say that it works.
fn is_command(block: &Block) -> bool {
    let mut lines = block.lines_of("sh").iter();
    lines.any(|line| !line.starts_with("cargo xtask "))
}

/// The example with drills on, for every page that asks for nothing else.
fn example() -> &'static (Worker, Receiver) {
    static EXAMPLE: Shared<(Worker, Receiver)> = Shared::new();
    EXAMPLE.get(|| {
        let receiver = Receiver::accepting();
        let options = Worker::listings().with_drills();
        let worker = options.secret("SENTRY_DSN", &receiver.dsn()).start();
        (worker, receiver)
    })
}

/// Somebody who does what a page says.
struct Reader<'p> {
    page: &'p Page,
    /// Where what the Worker reports goes.
    receiver: Receiver,
    /// The snippet that the page shows last.
    snippet: Option<&'static str>,
    /// The settings that the page shows, with a DSN that works.
    settings: String,
    /// The Worker that this reader has started.
    worker: Option<Worker>,
    /// The receiver that the page has the reader start.
    viewer: Option<Spotlight>,
}

impl<'p> Reader<'p> {
    fn new(page: &'p Page) -> Self {
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
        for block in &self.page.blocks {
            let place = format!("src/{}:{}", self.page.path, block.line);
            match block.kind.as_str() {
                "sh" => block
                    .lines
                    .iter()
                    .for_each(|line| self.type_in(&place, line)),
                "text" => self.read_text(&place, block),
                "rust" => self.look_at_listing(block),
                _ => {}
            }
        }
    }

    /// A whole file that a reader takes over replaces the Worker.
    fn look_at_listing(&mut self, block: &Block) {
        let included = block.lines.concat();
        let shown = ["fetch", "object", "workflow", DRILL]
            .into_iter()
            .find(|name| included.contains(&format!("snippets/{name}/src/lib.rs:")));
        if shown.is_some() {
            self.snippet = shown;
            self.worker = None;
        }
    }

    /// Settings are used as they are written. What the crate is said to print is
    /// what it printed since the Worker was started, and nothing else.
    fn read_text(&mut self, place: &str, block: &Block) {
        let printed = block.lines.iter().all(|line| line.starts_with(OURS));
        if printed {
            let worker = self.worker.as_ref();
            let worker = worker.unwrap_or_else(|| panic!("{place}: no Worker printed this"));
            let said = wait::until("line of each kind", wait::LIMIT, || {
                let said = said_by(worker);
                (said.len() >= block.lines.len()).then_some(said)
            });
            assert_eq!(said, block.lines, "{place}");
            return;
        }
        for line in &block.lines {
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
            // The checks of the pages have it parsed, as part of the build.
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

    /// Starts what the page is about, as a reader does.
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

    /// The line is answered as the page says, and the failure arrives.
    fn curl(&mut self, place: &str, line: &str) {
        let host = HOSTS.into_iter().find(|host| line.contains(host));
        let host = host.unwrap_or_else(|| panic!("{place}: whose address is in {line}?"));
        // A panic takes along what others are about to report.
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
            // What arrives is no event, and the page says what of it is to be seen where.
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
            // The page says what the reader will find.
            let transaction = event["transaction"].as_str().unwrap_or_default();
            let named = self.page.text.contains(&format!("`{transaction}`"));
            assert!(named, "{place}: `{transaction}` is not on the page");
        }
    }

    /// The viewer shows the error with this text, and the page says what else it shows.
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

    /// Runs a command of wrangler that needs an account against a stand-in for the
    /// interface of Cloudflare's that it talks to. Only the upload of a deploy is
    /// left out.
    fn ask_cloudflare(&self, place: &str, line: &str, command: &[&str]) {
        let cloudflare = Receiver::answering(|request, _| {
            let result = if request.method == "GET" {
                json!([{ "name": "SENTRY_DSN", "type": "secret_text" }])
            } else {
                // A queue, or a tail, which nobody feeds.
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
            // Wrangler puts the environment behind the name.
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
                // The tail itself ends at once: there is nothing at its address.
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
                // Wrangler hides the value, so the shell shows what it hands over.
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

/// A DSN as the page writes it, with the port of this reader's viewer.
pub fn of_viewer(place: &str, written: &str, viewer: &Spotlight) -> String {
    let port = format!("@127.0.0.1:{}/", viewer.port());
    assert!(written.contains(VIEWER_HOST), "{place}: {written}");
    written.trim_end_matches('"').replace(VIEWER_HOST, &port)
}

/// A package of its own, whose file ends with what the page tells the reader to replace.
fn make_package(place: &str, line: &str, package: &str) {
    let folder = run::new_directory("reader");
    let command = worker::typed(line, &folder);
    Process::start("cargo new", &command).wait_for_success(wait::START);
    let manifest = fs::read_to_string(folder.join(package).join("Cargo.toml"));
    let manifest = manifest.unwrap_or_else(|error| panic!("{place}: {error}"));
    assert!(manifest.ends_with(NO_DEPENDENCIES), "{place}: {manifest}");
}

/// How the `Cargo.toml` of a new package ends.
pub const NO_DEPENDENCIES: &str = "\n[dependencies]\n";

/// A repository with one commit, for a line that asks for its name.
const REPOSITORY: &str = "export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1 && \
     git init --quiet . && git -c user.name=reader -c user.email=reader@example.com \
     commit --quiet --allow-empty --message empty";

/// What the crate wrote to the Worker's console.
fn said_by(worker: &Worker) -> Vec<String> {
    let lines = worker.log().lines().into_iter();
    lines
        .filter_map(|line| Some(line[line.find(OURS)?..].to_owned()))
        .collect()
}

fn each_listing_is_exactly_its_part_of_the_file() {
    let is_recording = std::env::var_os("WORKER_SENTRY_RECORDING").is_some();
    let mut seen = 0;
    for page in pages::all() {
        let blocks = page.blocks.iter();
        let listed = blocks.filter_map(|block| block.listed(&page.path));
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
                text(code).trim_end(),
                lines.trim_end(),
                "{file} on {}",
                page.path
            );
            let caption = format!("<figcaption><code>{file}</code></figcaption>\n");
            let rest = rest.trim_start().strip_prefix(&caption);
            let rest = rest.unwrap_or_else(|| panic!("no caption {file} on {}", page.path));
            // While a record is made, the pages have none of what is new.
            // What holds no code that runs says so.
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

/// What is shown for a piece of HTML without elements.
fn text(html: &str) -> String {
    let marks = [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&#39;", "'"),
        ("&amp;", "&"),
    ];
    let replaced = |text: String, (mark, c): (&str, &str)| text.replace(mark, c);
    marks.into_iter().fold(html.to_owned(), replaced)
}
