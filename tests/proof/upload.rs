//! The workflow on the page about deploying: its commands, and what its last step uploads to
//! Sentry.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};

use book_compiler::locked;
use harness::case::{self, Trial};
use harness::process::Process;
use harness::receiver::{Answer, Receiver};
use harness::server::Request;
use harness::wait;
use serde_json::{Value, json};

use crate::{ci, newcomer, stacks};

const WORKFLOW: &str = "listings/deploy.yaml";

harness::trials![
    each_step_of_the_workflow_takes_its_version_from_where_it_is_pinned,
    ..if_there_is_sentry_cli(),
];

fn if_there_is_sentry_cli() -> Option<Trial> {
    if !newcomer::can_build() || stacks::sentry_cli().is_none() {
        eprintln!("NOT CHECKED: what the workflow hands to Sentry");
        return None;
    }
    Some(harness::trial!(
        the_last_step_deploys_and_hands_sentry_the_companion_and_the_sources
    ))
}

/// The steps of its only job.
fn steps() -> Vec<Value> {
    case::used(format!("file {WORKFLOW}"));
    ci::steps_of(&ci::parsed(WORKFLOW))
}

fn each_step_of_the_workflow_takes_its_version_from_where_it_is_pinned() {
    let mut installed = Vec::new();
    for step in steps() {
        if let Some(action) = step["uses"].as_str() {
            assert!(action.starts_with("actions/checkout@v"), "{action}");
        }
        let script = step["run"].as_str().unwrap_or_default();
        let Some(packages) = script.strip_prefix("cargo install ") else {
            continue;
        };
        for package in packages.split_whitespace() {
            let (name, version) = package.split_once('@').expect("a version");
            // worker-build has the same version as the crate `worker`.
            let of = match name {
                "worker-build" => "worker",
                name => name,
            };
            assert_eq!(locked(of).as_deref(), Some(version), "{package}");
            installed.push(name.to_owned());
        }
    }
    assert_eq!(installed, ["worker-build", "worker-sentry-symbols"]);
}

fn the_last_step_deploys_and_hands_sentry_the_companion_and_the_sources() {
    case::used("sentry-cli");
    let folder = newcomer::folder();
    let mut git = Command::new("sh");
    git.current_dir(folder).args([
        "-c",
        "git init --quiet && git -c user.name=a -c user.email=a@example.com \
         commit --quiet --allow-empty -m One",
    ]);
    Process::start("git", &git).wait_for_success(wait::LIMIT);

    let steps = steps();
    let step = steps.last().expect("a step");
    let script = step["run"].as_str().expect("a script");
    // Everything of a deployment except for the upload to Cloudflare.
    assert!(script.contains("npx wrangler deploy "), "{script}");
    let script = script.replace(
        "wrangler deploy",
        "wrangler deploy --dry-run --outdir bundle",
    );

    let sentry = Sentry::start();
    let url = sentry.receiver.url();
    let mut variables = vec![("SENTRY_URL", url.as_str())];
    for (name, value) in [
        ("SENTRY_ORG", ORGANISATION),
        ("SENTRY_PROJECT", PROJECT),
        ("SENTRY_AUTH_TOKEN", TOKEN),
    ] {
        assert!(step["env"][name].is_string(), "the step sets no {name}");
        variables.push((name, value));
    }
    let mut command = newcomer::with_tools(&script, folder);
    command.envs(variables);
    Process::start("the last step", &command).wait_for_success(wait::BUILD);

    let companion = fs::read(folder.join("build/index_bg.debug.wasm")).expect("a companion");
    let upload = fs::read(folder.join("build/index_bg.wasm")).expect("an upload");
    let taken = sentry.taken();
    let names: Vec<&String> = taken.keys().collect();
    assert!(taken.values().any(|it| *it == companion), "{names:?}");
    assert!(!taken.values().any(|it| *it == upload), "{names:?}");
    // A bundle of sources is an archive in which the names are not compressed.
    let has = |file: &Vec<u8>, text: &str| file.windows(text.len()).any(|it| it == text.as_bytes());
    let mut others = taken.values().filter(|it| **it != companion);
    assert!(others.any(|it| has(it, "src/lib.rs")), "{names:?}");
    assert_eq!(taken.len(), 2, "{names:?}");
    for request in sentry.receiver.requests() {
        let token = request.request.header("authorization");
        assert_eq!(token, Some(format!("Bearer {TOKEN}").as_str()));
    }
}

const ORGANISATION: &str = "acme";
const PROJECT: &str = "worker";
const TOKEN: &str = "no-secret";

/// A server with the part of Sentry's API that accepts debug files.
/// <https://docs.sentry.io/api/projects/upload-a-new-file/>
struct Sentry {
    receiver: Receiver,
    files: Arc<Mutex<Files>>,
}

#[derive(Default)]
struct Files {
    /// The chunks, by the hash that sentry-cli computes.
    chunks: BTreeMap<String, Vec<u8>>,
    /// The accepted files, by their hash: the companion and the bundle of its sources have the same
    /// name.
    taken: BTreeMap<String, Vec<u8>>,
}

impl Sentry {
    fn start() -> Self {
        let files = Arc::new(Mutex::new(Files::default()));
        let for_script = Arc::clone(&files);
        let receiver = Receiver::answering(move |request, _| {
            let mut files = for_script.lock().unwrap_or_else(PoisonError::into_inner);
            match files.answer(request) {
                Some(answer) => Answer::Reply(
                    200,
                    vec![("Content-Type", "application/json".to_owned())],
                    answer.to_string().into_bytes(),
                ),
                None => Answer::status(404),
            }
        });
        Sentry { receiver, files }
    }

    fn taken(&self) -> BTreeMap<String, Vec<u8>> {
        let files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        files.taken.clone()
    }
}

impl Files {
    fn answer(&mut self, request: &Request) -> Option<Value> {
        let chunks = format!("/api/0/organizations/{ORGANISATION}/chunk-upload/");
        let assemble = format!("/api/0/projects/{ORGANISATION}/{PROJECT}/files/difs/assemble/");
        match request.method.as_str() {
            "GET" if request.target == chunks => Some(json!({
                "url": format!("http://{}{chunks}", request.header("host")?),
                "chunkSize": 8_388_608,
                "chunksPerRequest": 64,
                "maxFileSize": 2_147_483_648_u32,
                "maxRequestSize": 33_554_432,
                "concurrency": 1,
                "hashAlgorithm": "sha1",
                "compression": [],
                "accept": ["debug_files", "sources"],
            })),
            "POST" if request.target == chunks => {
                self.chunks.extend(parts(request)?);
                Some(json!({}))
            }
            "POST" if request.target == assemble => {
                let wanted: Value = serde_json::from_slice(&request.body).ok()?;
                let files = wanted.as_object()?.iter();
                let answers =
                    files.map(|(hash, file)| Some((hash.clone(), self.assemble(hash, file)?)));
                answers
                    .collect::<Option<serde_json::Map<_, _>>>()
                    .map(Value::Object)
            }
            _ => None,
        }
    }

    /// Answers which chunks of a file are missing, or accepts the file.
    fn assemble(&mut self, hash: &str, file: &Value) -> Option<Value> {
        let hashes = file["chunks"].as_array()?.iter();
        let hashes: Vec<&str> = hashes.map(Value::as_str).collect::<Option<_>>()?;
        let is_missing = |hash: &&&str| !self.chunks.contains_key(**hash);
        let missing: Vec<&str> = hashes.iter().filter(is_missing).copied().collect();
        if !missing.is_empty() {
            return Some(json!({"state": "not_found", "missingChunks": missing}));
        }
        let bytes = hashes.iter().flat_map(|hash| self.chunks[*hash].clone());
        self.taken.insert(hash.to_owned(), bytes.collect());
        Some(json!({
            "state": "ok",
            "missingChunks": [],
            "dif": {
                "id": "1",
                "debugId": file["debug_id"],
                "objectName": file["name"],
                "cpuName": "wasm32",
                "symbolType": "wasm",
                "sha1": "",
                "data": {"features": [], "type": null},
            },
        }))
    }
}

/// The parts of a form, with the names of their files.
fn parts(request: &Request) -> Option<Vec<(String, Vec<u8>)>> {
    let (_, boundary) = request.header("content-type")?.split_once("boundary=")?;
    let boundary = format!("--{}", boundary.trim_matches('"'));
    let at = |bytes: &[u8], text: &str| {
        let mut windows = bytes.windows(text.len());
        windows.position(|it| it == text.as_bytes())
    };
    let mut rest = request.body.as_slice();
    let mut found = Vec::new();
    while let Some(head) = at(rest, "\r\n\r\n") {
        let lines = String::from_utf8_lossy(&rest[..head]).into_owned();
        let (_, name) = lines.split_once("filename=\"")?;
        let (name, _) = name.split_once('"')?;
        let content = &rest[head + 4..];
        let end = at(content, &format!("\r\n{boundary}"))?;
        found.push((name.to_owned(), content[..end].to_vec()));
        rest = &content[end + 2 + boundary.len()..];
    }
    Some(found)
}
