//! `cargo xtask bench`: what the integration costs, beside the JavaScript SDK.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::run;
use crate::setup::{Npm, Setup};
use crate::worker::Builder;

const PACKAGE: &str = "tests/bench/rust";
/// The Rust Workers: the folder of each below the package, and its features.
const BUILDS: [(&str, &[&str]); 3] = [
    ("build-plain", &[]),
    ("build-sentry", &["sentry"]),
    ("build-workflow", &["workflow"]),
];

/// Takes the names of functions off a built Worker, as minifying takes them off
/// JavaScript. What it was before stays beside it.
fn strip(folder: &Path, npm: &Npm) -> Result<()> {
    let (built, named) = (folder.join("index_bg.wasm"), folder.join("named.wasm"));
    fs::rename(&built, &named).with_context(|| format!("no {}", built.display()))?;
    let mut command = npm.command("wasm-opt");
    command.args(["-Os", "-o"]).arg(&built).arg(&named);
    // What worker-build allows.
    command.args([
        "--enable-mutable-globals",
        "--enable-sign-ext",
        "--enable-nontrapping-float-to-int",
        "--enable-bulk-memory",
        "--enable-multivalue",
        "--enable-reference-types",
        "--enable-exception-handling",
    ]);
    run::inherited(&mut command)
}

/// Measures, or only writes the page again.
pub fn bench(root: &Path, quick: bool, page: bool) -> Result<()> {
    if page {
        let mut command = run::command("cargo");
        command.args(["run", "--quiet", "-p", "bench-page"]);
        return run::inherited(command.current_dir(root));
    }
    eprintln!("== set-up");
    let setup = Setup::new(root)?;
    let builder = Builder {
        wasm: &setup.wasm()?,
        tools: &setup.worker_tools()?,
        npm: &setup.npm()?,
    };
    let sdk = setup.sdk()?;

    eprintln!("\n== Workers");
    let package = root.join(PACKAGE);
    builder.build_all(&BUILDS.map(|(folder, features)| (package.as_path(), folder, features)))?;

    for (folder, _) in BUILDS {
        strip(&package.join(folder), builder.npm)?;
    }

    eprintln!("\n== bench");
    let mut command = run::command("cargo");
    command.args([
        "bench",
        "--profile",
        "dev",
        "-p",
        "proof",
        "--bench",
        "bench",
    ]);
    if quick {
        command.args(["--", "--quick"]);
    }
    command
        .current_dir(root)
        .env("PROOF_WRANGLER", builder.npm.binary("wrangler"))
        .env("PROOF_NODE", &builder.npm.node)
        .env("PROOF_NPM", &builder.npm.modules)
        .env("BENCH_SDK", sdk)
        .env("BENCH_RUST", root.join(PACKAGE))
        .env("BENCH_RUSTC", builder.wasm.version());
    run::inherited(&mut command)
}
