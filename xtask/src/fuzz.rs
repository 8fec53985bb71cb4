//! `cargo xtask fuzz`: runs libFuzzer on every function that reads untrusted input.
//!
//! The compiler in use counts which code an input reaches, so no nightly compiler and no other tool
//! is needed. A compiler for C++ is needed, because `libfuzzer-sys` has libFuzzer as source.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::run;

/// The committed corpus: a folder for each reader.
const CORPUS: &str = "tests/fuzz/corpus";

/// Options that make the compiler record which code is reached and which values are compared.
const FLAGS: [&str; 9] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Cdebug-assertions",
    "-Coverflow-checks",
    "-Ccodegen-units=1",
    "--cfg=fuzzing",
];

/// The arguments of `cargo xtask fuzz`.
#[derive(clap::Args)]
pub struct Options {
    /// Only this reader: the name of a folder below tests/fuzz/corpus.
    reader: Option<String>,
    /// How many inputs each reader gets.
    #[arg(long, default_value_t = 1_000_000)]
    runs: u64,
}

/// `cargo xtask fuzz`.
pub fn fuzz(root: &Path, options: &Options) -> Result<()> {
    let all = readers(root)?;
    let readers = match &options.reader {
        None => all,
        Some(name) if all.contains(name) => vec![name.clone()],
        Some(name) => bail!("there is no reader {name}; there are: {}", all.join(", ")),
    };
    let program = build(root)?;
    let made = root.join("target/fuzz");
    for name in &readers {
        eprintln!("\n== {name}");
        let begin = Instant::now();
        // New inputs are kept from one run to the next, and are not committed.
        let found = made.join("found").join(name);
        let failures = made.join("failures").join(name);
        fs::create_dir_all(&found)?;
        fs::create_dir_all(&failures)?;
        let mut command = run::command(&program);
        command.current_dir(root).env("FUZZ_READER", name);
        command.arg(format!("-runs={}", options.runs));
        command.arg(format!("-artifact_prefix={}/", failures.display()));
        command.args(["-max_len=4096", "-timeout=10", "-rss_limit_mb=2048"]);
        command.args(["-print_final_stats=1", "-verbosity=0"]);
        command.args([&found, &root.join(CORPUS).join(name)]);
        run::inherited(&mut command).with_context(|| {
            format!(
                "the reader {name} broke. The input is in {}; put it into {CORPUS}/{name}, \
                 where a native test reads it",
                failures.display()
            )
        })?;
        println!(
            "{name}: {} runs, {}",
            options.runs,
            run::duration(begin.elapsed())
        );
    }
    Ok(())
}

fn readers(root: &Path) -> Result<Vec<String>> {
    let folder = root.join(CORPUS);
    let folders = fs::read_dir(&folder).with_context(|| format!("no {}", folder.display()))?;
    let names = folders.flatten().map(|it| it.file_name());
    let mut names = Vec::from_iter(names.map(|it| it.to_string_lossy().into_owned()));
    names.sort();
    Ok(names)
}

/// Builds with an explicit target. Without it, the counters would also be compiled into build
/// scripts and macros, which run during the build.
fn build(root: &Path) -> Result<PathBuf> {
    let printed = run::output_of(run::command("rustc").arg("-vV")).context("there is no rustc")?;
    let host = run::host_in(&printed).context("rustc names no host")?;
    let target = root.join("target/fuzz");
    let mut command = run::command("cargo");
    command.current_dir(root);
    command.args(["build", "--package", "fuzz", "--features", "libfuzzer"]);
    command.args(["--bin", "fuzz", "--profile", "fuzz", "--target", host]);
    command.env("CARGO_TARGET_DIR", &target);
    command.env("CARGO_ENCODED_RUSTFLAGS", FLAGS.join("\u{1f}"));
    run::inherited(&mut command)?;
    Ok(target.join(host).join("fuzz/fuzz"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reader_is_found_by_its_corpus() {
        let readers = readers(&crate::root()).unwrap();
        for name in ["dsn", "module", "stack"] {
            assert!(readers.iter().any(|it| it == name), "{readers:?}");
        }
    }
}
