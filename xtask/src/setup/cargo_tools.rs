//! The tools that come from crates.io.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::cache::{Cache, Lock};
use super::versions::CargoTool;
use super::{packages, step};
use crate::run;

/// A tool is compiled once per machine, and each run takes about a second, so a short compilation
/// matters more than a fast tool. Without optimisation compiling takes little more than half the
/// time, and wasm-bindgen takes 0.6 s for the example instead of 0.1 s.
const PROFILE: [(&str, &str); 6] = [
    ("CARGO_PROFILE_RELEASE_OPT_LEVEL", "0"),
    ("CARGO_PROFILE_RELEASE_LTO", "off"),
    ("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16"),
    ("CARGO_PROFILE_RELEASE_DEBUG", "0"),
    ("CARGO_PROFILE_RELEASE_STRIP", "debuginfo"),
    ("CARGO_PROFILE_RELEASE_PANIC", "unwind"),
];

/// A folder with links to the tools of exactly the pinned versions.
pub struct Tools {
    /// The folder.
    pub bin: PathBuf,
}

impl Tools {
    /// Puts these tools first on a command's `PATH`.
    pub fn on_path(&self, command: &mut Command) {
        run::prepend_path(command, &self.bin);
    }
}

/// Finds or builds the tools.
pub fn install(cache: &Cache, root: &Path, tools: &[CargoTool]) -> Result<Tools> {
    let bin = root.join("target/tools");
    fs::create_dir_all(&bin)?;
    let mut built = false;
    for tool in tools {
        let name = format!("{} {}", tool.package, tool.version);
        let file = step(&name, || {
            if let Some(file) = on_path(tool).and_then(|file| linked(&bin, file)) {
                let from = format!("ready: {}", file.display());
                return Ok((file, from));
            }
            let folder = format!("{}-{}", tool.package, tool.version);
            let outcome = if cache.is_complete(&folder) {
                "ready"
            } else {
                built = true;
                let lock = cache.lock()?;
                require_libraries(cache, tool)?;
                cache.once(&lock, &folder, |folder| cargo_install(cache, tool, folder))?;
                "built with cargo install"
            };
            Ok((
                cache.folder(&folder).join("bin").join(tool.binary),
                outcome.to_owned(),
            ))
        })?;
        link(&file, &bin.join(tool.binary))?;
    }
    if built {
        drop_shared_target(cache, &cache.lock()?)?;
    }
    Ok(Tools { bin })
}

/// The tool on `PATH`, if it says that it has the pinned version.
fn on_path(tool: &CargoTool) -> Option<PathBuf> {
    if std::env::var_os("WORKER_SENTRY_NO_PATH_TOOLS").is_some() {
        return None;
    }
    let file = run::which(tool.binary)?;
    let printed = run::output_of(run::command(&file).arg("--version"))?;
    let right = printed
        .split_whitespace()
        .any(|word| word.trim_start_matches('v') == tool.version);
    right.then_some(file)
}

/// The file that a link in `bin` points to. The folder of links may be on `PATH`, when a command of
/// this set-up starts another set-up, and a new link must not point to itself.
fn linked(bin: &Path, file: PathBuf) -> Option<PathBuf> {
    match file.parent() == Some(bin) {
        true => fs::canonicalize(file).ok(),
        false => Some(file),
    }
}

/// The target folder that cargo uses for every tool, so that they share compiled dependencies.
fn shared_target(cache: &Cache) -> PathBuf {
    cache.folder("cargo-target")
}

fn cargo_install(cache: &Cache, tool: &CargoTool, folder: &Path) -> Result<()> {
    let mut command = run::command("cargo");
    command
        .args(["install", tool.package, "--version", tool.version])
        .args(tool.arguments);
    command.arg("--root").arg(folder);
    // Not in the checkout, whose cargo configuration is not meant for tools.
    command.current_dir(cache.root());
    command.env("CARGO_TARGET_DIR", shared_target(cache));
    command
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_BUILD_TARGET");
    command.envs(PROFILE);
    let limit = Duration::from_secs(3600);
    run::logged(&mut command, tool.package, &cache.log(tool.package), limit)
        .with_context(|| format!("could not build {} {}", tool.package, tool.version))
}

fn drop_shared_target(cache: &Cache, _lock: &Lock) -> Result<()> {
    let target = shared_target(cache);
    if target.exists() {
        let size = size_of(&target) / (1024 * 1024);
        fs::remove_dir_all(&target)?;
        eprintln!("  removed what the builds left behind: {size} MiB");
    }
    Ok(())
}

fn size_of(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else {
        return 0;
    };
    let sizes = entries.flatten().map(|entry| match entry.metadata() {
        Ok(data) if data.is_dir() => size_of(&entry.path()),
        Ok(data) => data.len(),
        Err(_) => 0,
    });
    sizes.sum()
}

/// Links a tool. A correct link is left alone, because another run may be using it.
fn link(file: &Path, link: &Path) -> Result<()> {
    if fs::read_link(link).is_ok_and(|target| target == file) {
        return Ok(());
    }
    let fresh = link.with_extension(format!("{}", std::process::id()));
    let _ = fs::remove_file(&fresh);
    std::os::unix::fs::symlink(file, &fresh)?;
    fs::rename(&fresh, link)?;
    Ok(())
}

/// Checks for a C compiler and OpenSSL, which worker-build needs.
fn require_libraries(cache: &Cache, tool: &CargoTool) -> Result<()> {
    if tool.package != super::versions::WORKER_BUILD.package || cfg!(target_os = "macos") {
        return Ok(());
    }
    let there = || {
        run::which("cc").is_some()
            && run::output_of(run::command("pkg-config").args(["--exists", "openssl"])).is_some()
    };
    if !there() && packages::can_apt_get() {
        packages::apt_get(
            cache,
            "build-tools",
            &["build-essential", "pkg-config", "libssl-dev"],
        )?;
    }
    if !there() {
        bail!(
            "worker-build needs a C compiler, pkg-config and OpenSSL's headers. Type one of:\n  \
             sudo apt-get install build-essential pkg-config libssl-dev   (Debian, Ubuntu)\n  \
             sudo dnf install gcc pkgconf-pkg-config openssl-devel        (Fedora)"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_that_is_found_by_its_own_link_is_the_file_behind_it() {
        let folder = std::env::temp_dir().join(format!("xtask-links-{}", std::process::id()));
        let bin = folder.join("bin");
        fs::create_dir_all(&bin).unwrap();
        let folder = fs::canonicalize(folder).unwrap();
        let (tool, bin) = (folder.join("tool"), folder.join("bin"));
        fs::write(&tool, "").unwrap();
        link(&tool, &bin.join("tool")).unwrap();
        let found = linked(&bin, bin.join("tool")).unwrap();
        assert_eq!(found, tool);
        link(&found, &bin.join("tool")).unwrap();
        assert!(bin.join("tool").is_file());
        assert_eq!(linked(&bin, tool.clone()), Some(tool));
        fs::remove_dir_all(folder).unwrap();
    }
}
