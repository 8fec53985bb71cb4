//! The compiler for Workers that unwind: a nightly one of a fixed day, with the source of the
//! standard library.
//!
//! `worker-build --panic-unwind` asks rustup for `nightly`, in the version that this machine has,
//! and installs what is missing. Scripts in a folder of our own come first on its `PATH` and name
//! the pinned nightly instead. So the build is the same on every machine, and the user's own
//! nightly is not changed.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::cache::Cache;
use super::versions::NIGHTLY;
use crate::run;

const TARGET: &str = "wasm32-unknown-unknown";
/// The programs of rustup and cargo that worker-build calls with the toolchain `nightly`.
const PROGRAMS: [&str; 3] = ["cargo", "rustc", "rustup"];

/// How to build a Worker that unwinds.
pub struct Unwinding {
    bin: PathBuf,
}

impl Unwinding {
    /// Makes worker-build use the pinned compiler where it asks for `nightly`.
    pub fn apply(&self, command: &mut Command) {
        run::prepend_path(command, &self.bin);
        command.env_remove("RUSTC").env_remove("RUSTUP_TOOLCHAIN");
    }
}

/// Finds the compiler with all that the build needs, or has rustup install it.
pub fn find_or_install(cache: &Cache) -> Result<(Unwinding, String)> {
    let name = format!("unwinding-{NIGHTLY}");
    let outcome = if cache.is_complete(&name) && is_there() {
        "ready"
    } else {
        if run::which("rustup").is_none() {
            bail!("there is no rustup, and only rustup has {NIGHTLY}");
        }
        let lock = cache.lock()?;
        install(cache)?;
        if cache.folder(&name).exists() {
            fs::remove_dir_all(cache.folder(&name))?;
        }
        cache.once(&lock, &name, write_programs)?;
        "installed with rustup"
    };
    let bin = cache.folder(&name);
    Ok((Unwinding { bin }, format!("{outcome}: {NIGHTLY}")))
}

/// Whether the compiler, its source and its library for wasm32 are all installed.
fn is_there() -> bool {
    let mut ask = run::command("rustc");
    ask.env("RUSTUP_TOOLCHAIN", NIGHTLY);
    // With this set to 0, rustup does not silently install what is missing.
    ask.env("RUSTUP_AUTO_INSTALL", "0");
    let Some(sysroot) = run::output_of(ask.args(["--print", "sysroot"])) else {
        return false;
    };
    let rustlib = Path::new(&sysroot).join("lib/rustlib");
    rustlib.join("src/rust/library/Cargo.lock").is_file() && rustlib.join(TARGET).is_dir()
}

fn install(cache: &Cache) -> Result<()> {
    let mut rustup = run::command("rustup");
    rustup.args(["toolchain", "install", NIGHTLY, "--profile", "minimal"]);
    rustup.args(["--component", "rust-src", "--target", TARGET]);
    run::logged(
        &mut rustup,
        "rustup toolchain install",
        &cache.log("nightly"),
        Duration::from_secs(1200),
    )?;
    if !is_there() {
        bail!("rustup says that it installed {NIGHTLY}, but a piece of it is missing");
    }
    Ok(())
}

/// Writes a script for each program, which names the pinned nightly in place of `nightly`.
fn write_programs(folder: &Path) -> Result<()> {
    for program in PROGRAMS {
        let real = run::which(program).with_context(|| format!("there is no {program}"))?;
        let file = folder.join(program);
        fs::write(&file, script(&real, NIGHTLY))?;
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755))?;
    }
    Ok(())
}

fn script(real: &Path, nightly: &str) -> String {
    let real = real.display();
    format!(
        r#"#!/bin/sh
# Names {nightly} where `nightly` is asked for.
count=$#
while [ "$count" -gt 0 ]; do
    word=$1
    shift
    case $word in
        +nightly) word=+{nightly} ;;
        nightly) word={nightly} ;;
    esac
    set -- "$@" "$word"
    count=$((count - 1))
done
exec '{real}' "$@"
"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pinned_nightly_stands_in_for_nightly_and_every_other_word_stays() {
        let file = std::env::temp_dir().join(format!("xtask-nightly-{}", std::process::id()));
        let text = script(Path::new("/bin/echo"), "nightly-2000-01-01");
        fs::write(&file, text).unwrap();
        let said = |words: &[&str]| {
            let mut command = Command::new("/bin/sh");
            run::output_of(command.arg(&file).args(words)).unwrap()
        };
        assert_eq!(
            said(&["+nightly", "build", "--lib"]),
            "+nightly-2000-01-01 build --lib"
        );
        assert_eq!(
            said(&["component", "list", "--toolchain", "nightly"]),
            "component list --toolchain nightly-2000-01-01"
        );
        assert_eq!(said(&["a  b", "nightly-2026"]), "a  b nightly-2026");
        fs::remove_file(file).unwrap();
    }
}
