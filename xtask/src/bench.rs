//! `cargo xtask bench`: what the integration costs, beside the JavaScript SDK.

use std::path::Path;

use anyhow::Result;

use crate::run;
use crate::setup::Setup;
use crate::worker::Builder;

const PACKAGE: &str = "tests/bench/rust";
/// The Rust Workers: the folder of each below the package, and its features.
const BUILDS: [(&str, &[&str]); 3] = [
    ("build-plain", &[]),
    ("build-sentry", &["sentry"]),
    ("build-workflow", &["workflow"]),
];

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
