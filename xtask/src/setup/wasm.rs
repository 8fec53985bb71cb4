//! A compiler that builds for wasm32-unknown-unknown.
//!
//! The compiler in use is taken if it has the standard library for wasm32. Otherwise Debian's own
//! compiler builds for wasm32, and for nothing else. Its standard library for wasm32 is built once,
//! from the packaged source, into a sysroot in the cache.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use book_compiler::fingerprint;

use super::cache::Cache;
use super::{packages, version_of, versions};
use crate::run;

const TARGET: &str = "wasm32-unknown-unknown";
const SWITCH: &str = "WORKER_SENTRY_WASM";
/// The folder in which Debian's packages put their compiler.
const DISTRIBUTION: &str = "/usr/bin";

/// How to build for wasm32.
pub struct Wasm {
    /// The distribution's compiler, if it is used: a folder for `PATH`, and a target directory that
    /// no other compiler uses.
    instead: Option<Distribution>,
}

struct Distribution {
    bin: PathBuf,
    sysroot: PathBuf,
    target_directory: PathBuf,
}

impl Wasm {
    /// Makes a command build for wasm32 with this compiler.
    pub fn apply(&self, command: &mut Command) {
        if let Some(other) = &self.instead {
            run::prepend_path(command, &other.bin);
            command.env("CARGO_TARGET_DIR", &other.target_directory);
            // clippy reads the sysroot from this variable and does not ask rustc for it.
            command.env("SYSROOT", &other.sysroot);
            command.env_remove("RUSTC").env_remove("RUSTUP_TOOLCHAIN");
        }
    }

    /// The compiler's own name and version.
    pub fn version(&self) -> String {
        let mut rustc = run::command("rustc");
        self.apply(&mut rustc);
        run::output_of(rustc.arg("--version")).unwrap_or_default()
    }

    /// The cargo of this compiler, which is found first on the command's `PATH`.
    pub fn cargo(&self) -> Command {
        let mut command = run::command("cargo");
        self.apply(&mut command);
        command
    }
}

/// Finds the compiler, or builds what it lacks.
pub fn find_or_make(cache: &Cache, root: &Path) -> Result<(Wasm, String)> {
    let choice = std::env::var(SWITCH).unwrap_or_default();
    match choice.as_str() {
        "rustup" => with_rustup(),
        "distribution" => with_distribution(cache, root),
        "" => with_rustup().or_else(|error| {
            eprintln!("    {error:#}; trying the distribution's compiler");
            with_distribution(cache, root)
        }),
        _ => bail!("{SWITCH}={choice} is neither `rustup` nor `distribution`"),
    }
}

fn with_rustup() -> Result<(Wasm, String)> {
    let version = run::output_of(run::command("rustc").arg("--version")).unwrap_or_default();
    if has_std("rustc") {
        return Ok((Wasm { instead: None }, format!("ready: {version}")));
    }
    if run::which("rustup").is_none() {
        bail!("rustc has no {TARGET} and there is no rustup to add it");
    }
    let added = run::command("rustup")
        .args(["target", "add", TARGET])
        .output()?;
    if added.status.success() && has_std("rustc") {
        return Ok((
            Wasm { instead: None },
            format!("added with rustup: {version}"),
        ));
    }
    let said = String::from_utf8_lossy(&added.stderr);
    let said = said
        .lines()
        .rfind(|line| !line.trim().is_empty())
        .unwrap_or("no output")
        .trim();
    bail!("`rustup target add {TARGET}` failed ({said})")
}

/// Whether a compiler has a standard library for wasm32.
fn has_std(rustc: &str) -> bool {
    let mut ask = run::command(rustc);
    ask.args(["--target", TARGET, "--print", "target-libdir"]);
    let Some(folder) = run::output_of(&mut ask) else {
        return false;
    };
    let Ok(files) = fs::read_dir(folder) else {
        return false;
    };
    files
        .flatten()
        .any(|file| file.file_name().to_string_lossy().starts_with("libstd-"))
}

fn with_distribution(cache: &Cache, root: &Path) -> Result<(Wasm, String)> {
    let missing = missing_packages();
    if !missing.is_empty() && packages::can_apt_get() {
        let _ = packages::apt_get(cache, "rust", versions::DEBIAN_RUST);
    }
    let missing = missing_packages();
    if !missing.is_empty() {
        bail!(
            "no compiler builds for {TARGET} (missing: {}). Type one of:\n  \
             rustup target add {TARGET}                    (with rustup: https://rustup.rs)\n  \
             sudo apt-get install {}   (Debian 12)\n  \
             sudo dnf install rust-std-static-{TARGET}     (Fedora)\n  \
             brew install rustup && rustup default stable && rustup target add {TARGET}   (macOS)",
            missing.join(", "),
            versions::DEBIAN_RUST.join(" "),
        );
    }
    let rustc = format!("{DISTRIBUTION}/rustc");
    let about = run::output_of(run::command(&rustc).arg("-vV")).context("rustc does not run")?;
    let version = about.lines().next().unwrap_or_default().to_owned();
    let (major, minor) = version_of(&version).context("rustc has no version")?;
    let name = format!(
        "wasm32-{major}.{minor}-{}",
        fingerprint(&[about.as_bytes()])
    );
    let outcome = if cache.is_complete(&name) {
        format!("ready: the distribution's {version}")
    } else {
        let lock = cache.lock()?;
        cache.once(&lock, &name, |folder| {
            build_std(cache, folder, Path::new(&rustc))
        })?;
        format!("standard library built for the distribution's {version}")
    };
    let folder = cache.folder(&name);
    let wasm = Wasm {
        instead: Some(Distribution {
            bin: folder.join("bin"),
            sysroot: folder.join("sysroot"),
            target_directory: root.join("target").join(&name),
        }),
    };
    Ok((wasm, outcome))
}

/// The packages that the distribution's compiler still needs.
fn missing_packages() -> Vec<&'static str> {
    let bin = Path::new(DISTRIBUTION);
    let mut missing = Vec::new();
    let mut ask = run::command(bin.join("rustc"));
    let new_enough = run::output_of(ask.arg("--version"))
        .and_then(|text| version_of(&text))
        .is_some_and(|version| version >= versions::rust());
    if !new_enough {
        missing.push("a new enough rustc");
    }
    for (file, what) in [
        ("cargo", "cargo"),
        ("cargo-clippy", "clippy"),
        ("rust-lld", "rust-lld"),
    ] {
        if !bin.join(file).exists() {
            missing.push(what);
        }
    }
    if new_enough && !library(&bin.join("rustc")).is_some_and(|library| library.is_dir()) {
        missing.push("the standard library's source");
    }
    missing
}

fn sysroot(rustc: &Path) -> Option<PathBuf> {
    run::output_of(run::command(rustc).args(["--print", "sysroot"])).map(PathBuf::from)
}

fn library(rustc: &Path) -> Option<PathBuf> {
    Some(sysroot(rustc)?.join("lib/rustlib/src/rust/library"))
}

/// Makes a sysroot of our own: links to the distribution's, and the library that is built here.
fn build_std(cache: &Cache, folder: &Path, rustc: &Path) -> Result<()> {
    let empty = folder.join("empty");
    fs::create_dir_all(empty.join("src"))?;
    fs::write(
        empty.join("Cargo.toml"),
        "[package]\nname = \"empty\"\nversion = \"0.0.0\"\nedition = \"2021\"\n\n[workspace]\n",
    )?;
    fs::write(empty.join("src/lib.rs"), "#![no_std]\n")?;
    let mut build = run::command(format!("{DISTRIBUTION}/cargo"));
    run::prepend_path(&mut build, Path::new(DISTRIBUTION));
    build.args([
        "build",
        "--release",
        "--target",
        TARGET,
        "-Zbuild-std=std,panic_abort",
    ]);
    build
        .current_dir(&empty)
        .env("CARGO_TARGET_DIR", folder.join("target"));
    build.env_remove("RUSTC").env_remove("RUSTUP_TOOLCHAIN");
    build
        .env("RUSTC_BOOTSTRAP", "1")
        .env("CARGO_PROFILE_RELEASE_LTO", "off");
    // Without bitcode in the library, a build with LTO fails later.
    build.env("RUSTFLAGS", "-Cembed-bitcode=yes");
    let limit = Duration::from_secs(1800);
    run::logged(
        &mut build,
        "standard library for wasm32",
        &cache.log("wasm32-std"),
        limit,
    )
    .context("could not build the standard library for wasm32")?;

    let rustlib = folder.join("sysroot/lib/rustlib");
    let libraries = rustlib.join(TARGET).join("lib");
    fs::create_dir_all(&libraries)?;
    for file in fs::read_dir(folder.join("target").join(TARGET).join("release/deps"))?.flatten() {
        let name = file.file_name().to_string_lossy().into_owned();
        if name.ends_with(".rlib") && !name.starts_with("libempty-") {
            fs::copy(file.path(), libraries.join(name))?;
        }
    }
    let theirs = sysroot(rustc)
        .context("rustc has no sysroot")?
        .join("lib/rustlib");
    for entry in fs::read_dir(&theirs)?.flatten() {
        if entry.file_name() != TARGET {
            symlink(entry.path(), rustlib.join(entry.file_name()))?;
        }
    }
    let bin = folder.join("bin");
    fs::create_dir_all(&bin)?;
    // worker-build asks rustc for the sysroot, so the script passes ours.
    let sysroot = folder.join("sysroot");
    let script = format!(
        "#!/bin/sh\nexec {} --sysroot '{}' \"$@\"\n",
        rustc.display(),
        sysroot.display()
    );
    fs::write(bin.join("rustc"), script)?;
    fs::set_permissions(bin.join("rustc"), fs::Permissions::from_mode(0o755))?;
    for tool in ["cargo", "cargo-clippy", "clippy-driver", "rust-lld"] {
        symlink(Path::new(DISTRIBUTION).join(tool), bin.join(tool))?;
    }
    fs::remove_dir_all(folder.join("target"))?;
    fs::remove_dir_all(&empty)?;
    Ok(())
}
