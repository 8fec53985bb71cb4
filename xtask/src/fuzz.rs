//! `cargo xtask fuzz`: libFuzzer against every reader of what others wrote.
//!
//! The compiler in use counts which code an input reaches, so no nightly and no tool is
//! needed, but a compiler for C++: libFuzzer comes as source, in `libfuzzer-sys`.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::run;

/// The corpus that is committed: a folder for each reader.
const CORPUS: &str = "tests/fuzz/corpus";

/// What makes the compiler write down which code is reached, and compare what is compared.
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

/// What `cargo xtask fuzz` is told.
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
        // What is found is kept from one run to the next, and is not committed.
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

/// Builds for a target that is named: else what runs while cargo builds would be counted, too.
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
