//! The workflow files, without the service that runs them: their commands are run or parsed, and
//! their versions compared.

use std::fs;
use std::path::Path;
use std::process::Command;

use harness::process::Process;
use harness::{environment, run, wait};
use serde_json::Value;

harness::trials![
    every_command_of_this_repository_in_a_workflow_exists_and_is_documented,
    a_workflow_takes_its_versions_from_where_they_are_pinned_and_only_actions_of_the_service,
    publishing_keeps_the_folder_in_a_branch_from_one_release_to_the_next,
];

fn read(file: &str) -> String {
    let file = environment::workspace().join(file);
    fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// A workflow, by the name of its file.
fn workflow(name: &str) -> Value {
    parsed(&format!(".github/workflows/{name}"))
}

/// A workflow, by the path of its file.
pub fn parsed(file: &str) -> Value {
    serde_saphyr::from_str(&read(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// The steps of all jobs of all workflows.
fn steps() -> Vec<Value> {
    let folder = environment::workspace().join(".github/workflows");
    let files = fs::read_dir(folder).expect("workflows").flatten();
    let steps = files.flat_map(|file| steps_of(&workflow(&file.file_name().to_string_lossy())));
    steps.collect()
}

pub fn steps_of(workflow: &Value) -> Vec<Value> {
    let jobs = workflow["jobs"].as_object().expect("jobs").values();
    let steps = jobs.flat_map(|job| job["steps"].as_array().expect("steps"));
    steps.cloned().collect()
}

/// All lines of the steps that run commands.
fn lines() -> Vec<String> {
    let steps = steps();
    let scripts = steps.iter().filter_map(|step| step["run"].as_str());
    let lines = scripts.flat_map(str::lines).map(ToOwned::to_owned);
    lines.collect()
}

fn every_command_of_this_repository_in_a_workflow_exists_and_is_documented() {
    let documented = [
        "README.md",
        "CONTRIBUTING.md",
        "xtask/publish/wrangler.toml",
    ]
    .map(read);
    let is_documented = |command: &str| documented.iter().any(|text| text.contains(command));
    let mut seen = 0;
    for line in lines() {
        if let Some(arguments) = line.strip_prefix("cargo xtask ") {
            // With `--help` the arguments are parsed, but the command does not run.
            let mut command = Command::new(environment::path("PROOF_XTASK"));
            command.args(arguments.split(' ')).arg("--help");
            Process::start(&line, &command).wait_for_success(wait::LIMIT);
            let name = arguments.split(' ').next().unwrap_or_default();
            assert!(is_documented(&format!("cargo xtask {name}")), "{line}");
            seen += 1;
        } else if let Some(script) = line.strip_prefix(".ci/") {
            let script = format!(".ci/{script}");
            assert!(
                read(&script).ends_with("exec cargo xtask test\n"),
                "{script}"
            );
            assert!(is_documented(&script), "{script}");
            seen += 1;
        } else if line.contains("wrangler@") {
            let (_, command) = line.split_once(' ').expect("arguments");
            let deploy = command.split_once(" deploy").expect("a deployment").1;
            assert!(is_documented(&format!("wrangler deploy{deploy}")), "{line}");
            seen += 1;
        }
    }
    assert_eq!(seen, 8, "{:#?}", lines());
}

fn a_workflow_takes_its_versions_from_where_they_are_pinned_and_only_actions_of_the_service() {
    let manifest: toml::Table = read("Cargo.toml").parse().expect("TOML");
    let rust = manifest["workspace"]["package"]["rust-version"].as_str();
    let rust = rust.expect("a version");
    let tools: Value = serde_json::from_str(&read("tests/tools/package.json")).expect("JSON");
    let wrangler = tools["dependencies"]["wrangler"]
        .as_str()
        .expect("a version");
    for line in lines() {
        let words = Vec::from_iter(line.split(' '));
        let after = |word: &str| {
            let at = words.iter().position(|it| *it == word)?;
            words.get(at + 1).copied()
        };
        assert_eq!(after("install").unwrap_or(rust), rust, "{line}");
        assert_eq!(after("default").unwrap_or(rust), rust, "{line}");
        if let Some(version) = words.iter().find_map(|word| word.strip_prefix("wrangler@")) {
            assert_eq!(version, wrangler, "{line}");
        }
    }
    for step in steps() {
        let Some(uses) = step["uses"].as_str() else {
            continue;
        };
        let version = uses
            .strip_prefix("actions/")
            .and_then(|rest| rest.split_once("@v"));
        assert!(
            version.is_some_and(|(_, version)| version.parse::<u8>().is_ok()),
            "{uses}"
        );
    }
}

/// Runs the workflow's steps that use git, in a clone of a repository in a folder. A file for each
/// release takes the place of the book.
fn publishing_keeps_the_folder_in_a_branch_from_one_release_to_the_next() {
    let folder = run::new_directory("repository");
    let origin = folder.join("origin");
    let first = folder.join("first");
    fs::create_dir_all(&first).expect("a folder");
    shell(&folder, "git init --quiet --bare origin");
    let remote = format!("git remote add origin '{}'", origin.display());
    shell(&first, &format!("git init --quiet && {remote}"));
    shell(
        &first,
        "git commit --quiet --allow-empty -m One && git push --quiet origin HEAD:main",
    );
    shell(&folder, "git clone --quiet --branch main origin second");

    let steps = steps_of(&workflow("publish.yml"));
    let step = |clone: &Path, id: &str| {
        let step = steps.iter().find(|step| step["id"] == id);
        let step = step.unwrap_or_else(|| panic!("no step {id}"));
        let below = step["working-directory"].as_str().unwrap_or_default();
        shell(&clone.join(below), step["run"].as_str().expect("a script"));
    };
    for (clone, release) in [(first, "v0.1"), (folder.join("second"), "v0.2")] {
        step(&clone, "take");
        fs::create_dir(clone.join("published").join(release)).expect("a new release");
        fs::write(
            clone.join("published").join(release).join("index.html"),
            release,
        )
        .expect("a page");
        step(&clone, "keep");
        // The second time there is no change to commit, which must not be a failure.
        step(&clone, "keep");
    }
    shell(&folder, "git clone --quiet --branch published origin kept");
    for release in ["v0.1", "v0.2"] {
        let kept = fs::read_to_string(folder.join("kept").join(release).join("index.html"));
        assert_eq!(kept.ok().as_deref(), Some(release), "{}", origin.display());
    }
}

/// Runs a script as the service does, without this user's settings of git.
#[track_caller]
fn shell(folder: &Path, script: &str) {
    let workflow = workflow("publish.yml");
    let mut command = Command::new("bash");
    command
        .current_dir(folder)
        .args(["-e", "-o", "pipefail", "-c", script])
        .env("HOME", run::new_directory("home"))
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GITHUB_SHA", "0123456");
    for (name, value) in workflow["jobs"]["make"]["env"]
        .as_object()
        .expect("variables")
    {
        command.env(name, value.as_str().expect("text"));
    }
    Process::start("bash", &command).wait_for_success(wait::LIMIT);
}
