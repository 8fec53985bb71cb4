//! The engine of the page “The laboratory”: the package `laboratory`, compiled for a browser.
//!
//! `worker` adds exports of its own to every module. This build removes them and the code that only
//! they reach, so that a reader downloads only what the page calls. Plain `mdbook build` makes the
//! engine as well, through the renderer `site`, and installs missing tools into the cache. The
//! engine is built again when the crate has changed.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use book_compiler::fingerprint;
use serde_json::json;

use crate::run;
use crate::setup::Setup;
use crate::worker;

/// The functions that the page calls, and the memory that one import writes to.
const EXPORTS: [&str; 4] = ["memory", "put", "run", "take"];
/// WebAssembly features that every browser of recent years supports. binaryen has to be told.
const FEATURES: [&str; 7] = [
    "--enable-reference-types",
    "--enable-bulk-memory",
    "--enable-bulk-memory-opt",
    "--enable-sign-ext",
    "--enable-mutable-globals",
    "--enable-nontrapping-float-to-int",
    "--enable-multivalue",
];

/// Returns the engine of the current sources, and builds it if it is not there.
pub fn build(root: &Path) -> Result<PathBuf> {
    let folder = root.join("target/laboratory");
    let made = worker::inputs(root, &root.join("crate/laboratory"))?;
    let made = folder.join(format!("{}.wasm", fingerprint(&[made.as_bytes()])));
    if made.is_file() {
        return Ok(made);
    }
    eprintln!("making the engine of the laboratory");
    let setup = Setup::new(root)?;
    let wasm = setup.wasm()?;
    let tools = setup.engine_tools()?;
    let npm = setup.npm()?;

    let mut build = wasm.cargo();
    build
        .args(["rustc", "--quiet", "--package", "laboratory", "--lib"])
        .args(["--crate-type", "cdylib", "--release"])
        .args(["--target", "wasm32-unknown-unknown"])
        .current_dir(root);
    let target = build
        .get_envs()
        .find(|(name, _)| *name == "CARGO_TARGET_DIR")
        .and_then(|(_, value)| value.map(PathBuf::from))
        .or_else(|| std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from))
        .unwrap_or_else(|| root.join("target"));
    run::inherited(&mut build)?;
    let compiled = target.join("wasm32-unknown-unknown/release/laboratory.wasm");

    // Two renderings can build the engine at the same time, so each has a folder of its own.
    let work = folder.join(std::process::id().to_string());
    fs::create_dir_all(&work).with_context(|| format!("cannot make {}", work.display()))?;
    let mut bind = run::command(tools.bin.join("wasm-bindgen"));
    bind.args(["--target", "web", "--no-typescript", "--out-dir"])
        .args([&work, &compiled]);
    run::inherited(&mut bind)?;

    let graph = work.join("graph.json");
    fs::write(&graph, roots().to_string())?;
    let (bound, bare, small) = (
        work.join("laboratory_bg.wasm"),
        work.join("bare.wasm"),
        work.join("small.wasm"),
    );
    let mut cut = npm.command("wasm-metadce");
    cut.arg("--graph-file").arg(&graph).args(FEATURES);
    cut.arg(&bound).arg("-o").arg(&bare);
    // `output_of` keeps the output quiet: wasm-metadce prints everything that it removes.
    run::output_of(&mut cut).with_context(|| format!("`{}` failed", run::shown(&cut)))?;
    let mut optimise = npm.command("wasm-opt");
    optimise.args(FEATURES).args([
        "-Oz",
        "--strip-debug",
        "--strip-producers",
        "--strip-target-features",
    ]);
    run::inherited(optimise.arg(&bare).arg("-o").arg(&small))?;

    // Remove the engines of older sources.
    for entry in fs::read_dir(&folder)?.flatten() {
        if entry.path().extension().is_some_and(|kind| kind == "wasm") {
            let _ = fs::remove_file(entry.path());
        }
    }
    fs::rename(&small, &made).with_context(|| format!("cannot make {}", made.display()))?;
    fs::remove_dir_all(&work)?;
    Ok(made)
}

/// The exports to keep, in the format of wasm-metadce.
fn roots() -> serde_json::Value {
    let mut nodes = vec![json!({ "name": "page", "root": true, "reaches": EXPORTS })];
    nodes.extend(EXPORTS.map(|name| json!({ "name": name, "export": name })));
    nodes.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_page_calls_stays_and_nothing_else_is_a_root() {
        let roots = roots();
        let nodes = roots.as_array().unwrap();
        assert_eq!(nodes.iter().filter(|node| node["root"] == true).count(), 1);
        let script = include_str!("../../theme/laboratory.js");
        for name in EXPORTS {
            assert!(nodes.iter().any(|node| node["export"] == name), "{name}");
            assert!(script.contains(name), "{name}");
        }
    }
}
