//! `cargo xtask bench`: what the integration costs, beside the JavaScript SDK.

// Not a dependency on the package: xtask is the first thing that a fresh machine compiles.
#[path = "../../crate/symbols/src/features.rs"]
mod features;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::proof::Places;
use crate::run;
use crate::setup::{Npm, Setup};
use crate::worker::{self, Builder, Job};
use features::FEATURES;

const PACKAGE: &str = "tests/bench/rust";
/// The Rust Workers: the folder of each below the package, and its features.
const BUILDS: [(&str, &[&str]); 8] = [
    ("build-plain", &[]),
    ("build-sentry", &["sentry"]),
    ("build-workflow", &["workflow"]),
    ("build-traced", &["workflow", "spans", "axum"]),
    ("build-spans", &["spans"]),
    ("build-logs", &["logs"]),
    ("build-tracing", &["tracing"]),
    ("build-all", &["more", "spans", "logs", "tracing"]),
];
/// The same Worker as a user ships it: with a companion.
const SHIPPED: (&str, &[&str]) = ("build-shipped", &["sentry"]);

/// Copies a built Worker into a folder with `-stripped` behind its name, and removes the names of
/// functions there, as minifying does for JavaScript. Does nothing if that copy is there already.
fn strip(package: &Path, folder: &str, npm: &Npm) -> Result<()> {
    let from = package.join(folder);
    let to = package.join(format!("{folder}-stripped"));
    let stamp = |folder: &Path| fs::read(worker::stamp_in(folder)).ok();
    if stamp(&to).is_some_and(|stripped| Some(stripped) == stamp(&from)) {
        return Ok(());
    }
    if to.exists() {
        fs::remove_dir_all(&to)?;
    }
    worker::copy(&from, &to).with_context(|| format!("cannot copy {}", from.display()))?;
    // The stamp is written last, so that it marks a complete copy.
    fs::remove_file(worker::stamp_in(&to))?;
    let module = "index_bg.wasm";
    let mut command = npm.command("wasm-opt");
    command
        .args(["-Os", "-o"])
        .args([to.join(module), from.join(module)]);
    command.args(FEATURES);
    run::inherited(&mut command)?;
    fs::copy(worker::stamp_in(&from), worker::stamp_in(&to))?;
    Ok(())
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
    let (package, builder) = (&package, &builder);
    let job = |(folder, features)| -> Job<'_> {
        Box::new(move || builder.build_quietly((package, folder, features)))
    };
    worker::run_all(BUILDS.map(job).into())?;

    let (folder, features) = SHIPPED;
    builder.build_shipped((package, folder, features))?;
    for (folder, _) in BUILDS {
        strip(package, folder, builder.npm)?;
    }

    eprintln!("\n== bench");
    let mut command = Places::default().command(root, builder.npm);
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
        .env("BENCH_SDK", sdk)
        .env("BENCH_RUST", root.join(PACKAGE))
        .env("BENCH_RUSTC", builder.wasm.version());
    run::inherited(&mut command)
}
