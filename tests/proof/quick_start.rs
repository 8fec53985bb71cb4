//! A developer who begins with nothing and follows the quick start, from its first line to the step
//! that needs an account: an empty folder outside of this repository, the files as the page shows
//! them, and what `wrangler dev` builds from them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use book_compiler::{Chapter, Fence};
use harness::case::Trial;
use harness::process::Process;
use harness::spotlight::Spotlight;
use harness::{environment, run, wait, worker};
use toml::Table;

use crate::newcomer;
use crate::pages::{NO_DEPENDENCIES, VIEWER, of_viewer};

const PAGE: &str = "quick-start.md";
/// The address of the Worker, as the page writes it.
const HOST: &str = "http://localhost:8787";

harness::trials![..if_rust_builds_for_wasm32()];

fn if_rust_builds_for_wasm32() -> Option<Trial> {
    // If this test is left out, the newcomer's tests print what is not checked.
    newcomer::can_build().then(|| {
        harness::trial!(
            from_an_empty_folder_each_of_its_steps_shows_its_error_in_the_local_receiver
        )
    })
}

fn from_an_empty_folder_each_of_its_steps_shows_its_error_in_the_local_receiver() {
    let page = Chapter::named(PAGE);
    let (before, _) = page
        .text
        .split_once("## 6.")
        .expect("the step that needs an account");
    let last = before.lines().count();
    let mut reader = Reader::new();
    for block in page.fences().iter().filter(|block| block.line < last) {
        reader.does(&page, block);
    }
    assert_eq!(reader.seen, ["`twelve`: ", "`eleven`: "]);
}

/// The state of a reader.
struct Reader {
    /// The folder in which the reader began.
    above: PathBuf,
    /// The package's folder, after the package is made.
    folder: PathBuf,
    viewer: Option<Spotlight>,
    /// `wrangler dev`, and the address that it prints.
    running: Option<(Process, String)>,
    /// The texts that the viewer has shown.
    seen: Vec<String>,
}

impl Reader {
    fn new() -> Self {
        let above = run::new_directory("quick-start");
        // Settings of this test that the page does not have: a path to the crate, which is not on a
        // registry yet, and the profile with which the dependencies are compiled here already.
        let krate = environment::workspace().join("crate").display().to_string();
        let table = |name: &str, value: toml::Value| Table::from_iter([(name.to_owned(), value)]);
        let patch = table("worker-sentry", table("path", krate.into()).into());
        let mut config = table("patch", table("crates-io", patch.into()).into());
        let profile = table("release", newcomer::whole_profile().into());
        config.insert("profile".to_owned(), profile.into());
        let config = toml::to_string(&config).expect("a table is TOML");
        write(&above, ".cargo/config.toml", &config);
        Reader {
            folder: above.clone(),
            above,
            viewer: None,
            running: None,
            seen: Vec::new(),
        }
    }

    fn does(&mut self, page: &Chapter, block: &Fence<'_>) {
        let place = format!("src/{}:{}", page.path, block.line);
        let listed = page.listed(block);
        match (block.language, listed) {
            ("sh", _) => block.body.iter().for_each(|line| self.types(&place, line)),
            ("toml", Some((file, text))) => self.writes_toml(&file, &text),
            ("toml", None) => self.appends("Cargo.toml", &block.body.join("\n")),
            ("rust", Some((_, text))) => {
                write(&self.folder, "src/lib.rs", &text);
                // The page tells the reader to start the Worker again.
                self.running = None;
            }
            ("text", _) if block.body.iter().any(|it| it.starts_with("SENTRY_")) => {
                self.writes_settings(&place, block);
            }
            ("text", _) => {
                let (process, _) = self.running.as_ref().expect("a Worker that prints");
                for line in &block.body {
                    process.wait_for_line(line, wait::LIMIT);
                }
            }
            other => panic!("{place}: what does a reader do with {other:?}"),
        }
    }

    fn types(&mut self, place: &str, line: &str) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["cargo", "new", "--lib", package] => {
                let command = worker::typed(line, &self.above);
                Process::start("cargo new", &command).wait_for_success(wait::START);
                self.folder = self.above.join(package);
                // The versions of this repository need no network.
                let lock = environment::workspace().join("Cargo.lock");
                fs::copy(lock, self.folder.join("Cargo.lock")).expect("a lock file");
            }
            _ if line == VIEWER => self.viewer = Some(Spotlight::started_by(line)),
            ["npx", "wrangler", "dev"] => self.starts(),
            ["curl", ..] => self.asks(line),
            _ => panic!("{place}: nobody knows how to test: {line}"),
        }
    }

    fn starts(&mut self) {
        let line = format!("npx wrangler dev {}", worker::on_this_machine(0).join(" "));
        let command = newcomer::with_tools(&line, &self.folder);
        let process = Process::start("wrangler dev", &command);
        let ready = process.wait_for_line("Ready on http://", wait::BUILD);
        let (_, address) = ready.split_once("Ready on ").expect("the part waited for");
        let address = address.trim().to_owned();
        self.running = Some((process, address));
    }

    fn asks(&mut self, line: &str) {
        if self.running.is_none() {
            self.starts();
        }
        let (process, address) = self.running.as_ref().expect("it was started");
        process.log();
        let mut curl = Command::new("sh");
        curl.args(["-c", &line.replace(HOST, address)]);
        Process::start("curl", &curl).wait_for_success(wait::LIMIT);
        let sent = line.split_whitespace().nth(2).expect("what is sent");
        let message = format!("`{sent}`: ");
        let viewer = self.viewer.as_ref().expect("the page has it started");
        viewer.wait_for_error(&message);
        self.seen.push(message);
    }

    fn writes_toml(&self, file: &str, text: &str) {
        let name = Path::new(file)
            .file_name()
            .expect("a file")
            .to_string_lossy();
        match name.as_ref() {
            "Cargo.toml" => {
                let manifest = self.reads("Cargo.toml");
                let before = manifest.strip_suffix(NO_DEPENDENCIES);
                let before = before.unwrap_or_else(|| panic!("nothing to replace in {manifest}"));
                write(&self.folder, "Cargo.toml", &format!("{before}\n{text}\n"));
            }
            name if self.folder.join(name).exists() => self.appends(name, text),
            name => write(&self.folder, name, text),
        }
    }

    fn writes_settings(&self, place: &str, block: &Fence<'_>) {
        let viewer = self.viewer.as_ref().expect("the page has it started");
        let lines = block.body.iter().map(|line| match line.split_once('=') {
            Some((name @ "SENTRY_DSN", dsn)) => {
                format!("{name}={}\"\n", of_viewer(place, dsn, viewer))
            }
            _ => format!("{line}\n"),
        });
        write(&self.folder, ".dev.vars", &String::from_iter(lines));
    }

    fn appends(&self, file: &str, text: &str) {
        let text = format!("{}\n{text}\n", self.reads(file));
        write(&self.folder, file, &text);
    }

    fn reads(&self, file: &str) -> String {
        let text = fs::read_to_string(self.folder.join(file));
        text.unwrap_or_else(|error| panic!("{file}: {error}"))
    }
}

fn write(folder: &Path, file: &str, text: &str) {
    let file = folder.join(file);
    let parent = file.parent().expect("a folder");
    let written = fs::create_dir_all(parent).and_then(|()| fs::write(&file, text));
    written.unwrap_or_else(|error| panic!("{}: {error}", file.display()));
}
