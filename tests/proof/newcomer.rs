//! A developer who has a Worker of their own and follows the page on stack traces: an empty folder
//! outside of this repository, the tool as cargo installs it, and the lines that the page names.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use book_compiler::Chapter;
use harness::case::{self, Trial};
use harness::process::Process;
use harness::receiver::Receiver;
use harness::shared::Shared;
use harness::worker::{self, Worker};
use harness::{environment, run, wait};
use toml::Table;
use worker_sentry_symbols::Module;

/// The page with the lines to add.
const PAGE: &str = "stack-traces.md";
/// The number of lines, as the page states it.
const LINES: usize = 5;
/// The input that makes the newcomer's Worker panic, which is also in the panic's message.
const UNLUCKY: &str = "13";
const MESSAGE: &str = "failed on purpose: unlucky";
/// The tests note this text, and the record leaves such tests out: not every machine can build for
/// wasm32 without this repository's tools.
const INSTALLED: &str = "cargo install";

harness::trials![..if_rust_builds_for_wasm32()];

fn if_rust_builds_for_wasm32() -> Option<Trial> {
    if !can_build() {
        eprintln!(
            "NOT CHECKED: what a newcomer builds, because rustc has no wasm32-unknown-unknown"
        );
        return None;
    }
    Some(harness::trial!(
        the_tool_and_the_five_lines_of_the_page_name_a_panics_line_in_an_empty_folder
    ))
}

/// Whether the compiler that a newcomer would use can build Workers.
pub fn can_build() -> bool {
    let mut rustc = Command::new("rustc");
    rustc.args(["--print", "target-libdir", "--target"]);
    let printed = rustc.arg("wasm32-unknown-unknown").output();
    let folder = printed.map(|it| String::from_utf8_lossy(&it.stdout).trim().to_owned());
    let files = folder.and_then(fs::read_dir).into_iter().flatten();
    let mut names = files.flatten().map(|it| it.file_name());
    names.any(|it| it.to_string_lossy().starts_with("libstd-"))
}

/// The newcomer's folder, after the build.
pub fn folder() -> &'static Path {
    static FOLDER: Shared<PathBuf> = Shared::new();
    let folder = FOLDER.get(|| {
        let folder = run::new_directory("newcomer");
        install(&folder);
        write(&folder);
        build(&folder);
        folder
    });
    case::used(INSTALLED);
    folder
}

fn installed(folder: &Path) -> PathBuf {
    folder.join("installed/bin")
}

fn install(folder: &Path) {
    let mut cargo = Command::new("cargo");
    cargo
        // The debug profile is the quickest one, because it shares what `cargo run` has compiled.
        .args(["install", "--locked", "--offline", "--debug", "--path"])
        .arg(environment::workspace().join("crate/symbols"))
        .arg("--root")
        .arg(folder.join("installed"))
        .current_dir(folder)
        .env("CARGO_TARGET_DIR", target());
    Process::start("cargo install", &cargo).wait_for_success(wait::BUILD);
}

/// This repository's target folder, which has the dependencies compiled.
fn target() -> PathBuf {
    let elsewhere = env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    elsewhere.unwrap_or_else(|| environment::workspace().join("target"))
}

/// Writes the Worker: the book's smallest one, with a branch that panics and the page's lines.
fn write(folder: &Path) {
    let snippet = environment::path("PROOF_SNIPPETS").join("fetch");
    let read = |file: &str| {
        let text = fs::read_to_string(snippet.join(file));
        text.unwrap_or_else(|error| panic!("{file}: {error}"))
    };
    let put = |file: &str, text: &str| {
        fs::write(folder.join(file), text).unwrap_or_else(|error| panic!("{file}: {error}"));
    };
    let lines = Lines::of_the_page();

    let krate = environment::workspace().join("crate");
    let manifest = replaced(&read("Cargo.toml"), "snippet-fetch", "unrelated");
    // The crate is not on a registry yet, so its path is used.
    let manifest = replaced(&manifest, "../../../crate", &krate.display().to_string());
    let profile = profile();
    put(
        "Cargo.toml",
        &format!(
            "{manifest}\n[profile.release]\n{profile}{}\n\n{}\n",
            lines.profile, lines.package
        ),
    );
    // The versions of this repository need no network.
    let lock = environment::workspace().join("Cargo.lock");
    fs::copy(lock, folder.join("Cargo.lock")).expect("a lock file");

    let config = read("wrangler.toml");
    let (before, _) = config.split_once("[build]").expect("a build command");
    put("wrangler.toml", &format!("{before}{}\n", lines.build));

    fs::create_dir(folder.join("src")).expect("a folder");
    let arm = format!("Ok({UNLUCKY}) => unlucky(),\n            Ok(number) =>");
    let source = replaced(&read("src/lib.rs"), "Ok(number) =>", &arm);
    put(
        "src/lib.rs",
        &format!("{source}\nfn unlucky() -> Result<Response> {{\n    panic!(\"{MESSAGE}\")\n}}\n"),
    );
}

fn replaced(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "no {from} in {text}");
    text.replace(from, to)
}

/// The profile of the Workers in this repository, without the lines of the page.
fn profile() -> String {
    let mut profile = whole_profile();
    profile.remove("debug");
    toml::to_string(&profile).expect("a table is TOML")
}

/// The whole profile of the Workers in this repository.
pub fn whole_profile() -> Table {
    let manifest = fs::read_to_string(environment::workspace().join("Cargo.toml"));
    let manifest: Table = manifest.expect("a manifest").parse().expect("TOML");
    manifest["profile"]["release"]
        .as_table()
        .expect("a profile")
        .clone()
}

/// The lines that the page tells a reader to add.
struct Lines {
    /// Lines below `[profile.release]`.
    profile: String,
    /// Lines of the package's `Cargo.toml`.
    package: String,
    /// Lines of `wrangler.toml`.
    build: String,
}

impl Lines {
    fn of_the_page() -> Self {
        let page = Chapter::named(PAGE);
        let fences = page.fences();
        let listed = fences.iter().filter(|fence| fence.language == "toml");
        let listed: Vec<(String, String)> = listed.filter_map(|fence| page.listed(fence)).collect();
        let lines_of = |file: &str| -> String {
            let found = listed.iter().filter(|(of, _)| of.ends_with(file));
            let [(_, lines)] = found.collect::<Vec<_>>()[..] else {
                panic!("{PAGE} shows not one part of {file}: {listed:?}");
            };
            lines.trim().to_owned()
        };
        let lines = Lines {
            profile: in_profile(&page),
            package: lines_of("Cargo.toml"),
            build: lines_of("wrangler.toml"),
        };
        // The heading of the build section is not counted: a reader has it already, with another
        // command.
        let added = [&lines.profile, &lines.package, &lines.build]
            .iter()
            .map(|it| it.lines().count())
            .sum::<usize>()
            - 1;
        assert_eq!(added, LINES, "{PAGE} says how many");
        assert!(page.text.contains("add five lines"), "{PAGE}");
        lines
    }
}

/// The line in the text of the page: `` `LINE` in `[profile.release]` ``.
fn in_profile(page: &Chapter) -> String {
    let (before, _) = page
        .text
        .split_once("` in `[profile.release]`")
        .unwrap_or_else(|| panic!("{PAGE} names no line of the profile"));
    let (_, line) = before.rsplit_once('`').expect("where the line begins");
    line.to_owned()
}

/// Runs a command that a reader types, with the tools that the reader has installed.
fn typed(line: &str, folder: &Path) -> Process {
    let process = Process::start(line, &with_tools(line, folder));
    process.wait_for_success(wait::BUILD);
    process
}

/// A command that a reader types in this folder, with the tools for a Worker and those of the
/// folder on `PATH`.
pub fn with_tools(line: &str, folder: &Path) -> Command {
    let mut command = worker::typed(line, folder);
    let path = command.get_envs().find(|(name, _)| *name == "PATH");
    let path = path.and_then(|(_, path)| path).expect("a PATH").to_owned();
    let tools = environment::path("PROOF_MDBOOK");
    let npm = environment::path("PROOF_NPM").join(".bin");
    let folders = [installed(folder), tools.clone()].into_iter();
    let folders = folders.chain(env::split_paths(&path));
    command
        .env("PATH", env::join_paths(folders).expect("a PATH"))
        .env("CARGO_NET_OFFLINE", "true")
        .env("CARGO_TARGET_DIR", target())
        // worker-build downloads each program that these variables do not name.
        .env("WASM_BINDGEN_BIN", tools.join("wasm-bindgen"))
        .env("ESBUILD_BIN", npm.join("esbuild"))
        .env("WASM_OPT_BIN", npm.join("wasm-opt"));
    command
}

/// Builds with wrangler, which runs the build command, and does all of a deployment but the upload.
fn build(folder: &Path) {
    typed("npx wrangler deploy --dry-run --outdir bundle", folder);
}

fn the_tool_and_the_five_lines_of_the_page_name_a_panics_line_in_an_empty_folder() {
    let folder = folder();
    let checked = typed("worker-sentry-symbols check", folder);
    let checked = checked.log().lines().join("\n");
    assert!(checked.contains("exact"), "{checked}");
    only_the_upload_is_deployed(folder);

    let receiver = Receiver::accepting();
    let main = folder.join("build/index.js").display().to_string();
    let options = Worker::snippet("fetch").secret("SENTRY_DSN", &receiver.dsn());
    let options = options.config(|config| {
        config.insert("main".to_owned(), main.into());
    });
    let worker = options.start();
    assert_eq!(worker.post_text("/", "12").body, "144\n");
    worker.post_text("/", UNLUCKY);
    let event = receiver.wait_for_event(MESSAGE);
    fs::write(folder.join("event.json"), event.to_string()).expect("written");
    let resolved = typed("worker-sentry-symbols resolve event.json", folder);
    let resolved = resolved.log().lines().join("\n");
    let source = fs::read_to_string(folder.join("src/lib.rs")).expect("the source");
    let panics = |line: &str| line.trim_start().starts_with("panic!");
    let line = source.lines().position(panics).expect("the panic") + 1;
    for wanted in [
        format!("at unrelated::unlucky (src/lib.rs:{line})"),
        format!("{line} | panic!(\"{MESSAGE}\")"),
        "at unrelated::fetch".to_owned(),
    ] {
        assert!(resolved.contains(&wanted), "no {wanted} in\n{resolved}");
    }
}

/// Checks that the companion is not deployed, and that the deployed module has no names.
fn only_the_upload_is_deployed(folder: &Path) {
    let files = fs::read_dir(folder.join("bundle")).expect("a bundle");
    let files = files.flatten().map(|it| it.path());
    let modules: Vec<PathBuf> = files
        .filter(|it| it.extension().is_some_and(|it| it == "wasm"))
        .collect();
    let [module] = &modules[..] else {
        panic!("{modules:?}");
    };
    let deployed = fs::read(module).expect("a module");
    let upload = fs::read(folder.join("build/index_bg.wasm")).expect("the upload");
    assert!(deployed == upload, "wrangler has changed the module");
    let module = Module::parse(&deployed, "the deployed module").expect("a module");
    assert!(module.names.is_empty());
    assert!(module.build_id().is_some());
}
