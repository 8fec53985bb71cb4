//! Builds Workers.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use book_compiler::fingerprint;

use crate::run;
use crate::setup::{Npm, Tools, Unwinding, Wasm, versions};

/// The tools that a build needs.
pub struct Builder<'a> {
    /// The compiler.
    pub wasm: &'a Wasm,
    /// worker-build and wasm-bindgen.
    pub tools: &'a Tools,
    /// esbuild and wasm-opt.
    pub npm: &'a Npm,
}

/// A Worker to build: the package's folder, the folder for the output below it, and the cargo
/// features.
pub type Build<'b> = (&'b Path, &'b str, &'b [&'b str]);

/// One build, or several that must follow each other.
pub type Job<'j> = Box<dyn FnOnce() -> Result<()> + Send + 'j>;

/// How many jobs run at once. Of those that share a target directory one compiles, while the others
/// run wasm-bindgen and wasm-opt, which use one core and take about as long.
const AT_ONCE: usize = 3;

impl Builder<'_> {
    /// Runs worker-build, which writes into the package's folder `build`. Does nothing if nothing
    /// has changed since the last build.
    pub fn build(&self, package: &Path) -> Result<()> {
        unless_built((package, "build", &[]), || {
            run::inherited(&mut self.command((package, "build", &[])))?;
            match splits(package) {
                true => run::inherited(&mut split(package, "build")),
                false => Ok(()),
            }
        })
    }

    /// As [`Builder::build`], but prints only a line before and after it, and the output of a build
    /// that fails.
    pub fn build_quietly(&self, build: Build<'_>) -> Result<()> {
        let (package, folder, _) = build;
        let name = shown(package, folder);
        unless_built(build, || {
            run_quietly(&name, self.command(build))?;
            match splits(package) {
                true => run_quietly(&format!("{name}, its companion"), split(package, folder)),
                false => Ok(()),
            }
        })
    }

    /// Builds a Worker once and makes its companion twice: in `folder` as it is, and in `second`
    /// optimised. Does nothing if nothing has changed since the last build.
    pub fn build_twice(&self, package: &Path, folder: &str, second: &str) -> Result<()> {
        let (plain, optimized) = ((package, folder, &[][..]), (package, second, &[][..]));
        let name = shown(package, folder);
        let make = || {
            run_quietly(&name, self.command(plain))?;
            let target = package.join(second);
            if target.exists() {
                fs::remove_dir_all(&target)?;
            }
            copy(&package.join(folder), &target)
                .with_context(|| format!("cannot copy {name} to {second}"))?;
            run_quietly(&format!("{name}, its companion"), split(package, folder))?;
            let command = self.split_optimized(package, second);
            run_quietly(&format!("{name}, optimised"), command)?;
            write_stamp(optimized)
        };
        if is_built(optimized)? {
            unless_built(plain, make)
        } else {
            make()?;
            write_stamp(plain)
        }
    }

    /// Builds a Worker as a user ships it with a companion: optimised, with its names and lines in
    /// the companion. Does nothing if nothing has changed since the last build.
    pub fn build_shipped(&self, build: Build<'_>) -> Result<()> {
        let (package, folder, _) = build;
        let name = shown(package, folder);
        unless_built(build, || {
            let mut command = self.command_unoptimized(build);
            command.env("WASM_BINDGEN_BIN", self.keeping_lines()?);
            run_quietly(&name, command)?;
            run_quietly(
                &format!("{name}, its companion"),
                self.split_optimized(package, folder),
            )
        })
    }

    /// A wasm-bindgen that keeps what a companion is made from. A setting in the package's manifest
    /// would do the same, but for every build of the package, and so enlarge the other uploads.
    fn keeping_lines(&self) -> Result<PathBuf> {
        let real = self.tools.bin.join("wasm-bindgen");
        let text = format!(
            "#!/bin/sh\nexec '{}' --keep-debug --no-demangle \"$@\"\n",
            real.display()
        );
        let script = crate::root().join("target/wasm-bindgen-keeping-lines");
        fs::write(&script, text)?;
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755))?;
        Ok(script)
    }

    /// The second half of a build whose module is optimised after worker-build.
    fn split_optimized(&self, package: &Path, folder: &str) -> Command {
        let mut command = split(package, folder);
        command.arg("--optimize");
        self.npm.on_path(&mut command);
        command.env("WASM_OPT_BIN", self.npm.binary("wasm-opt"));
        command
    }

    /// Builds a Worker that unwinds: the standard library is part of the build.
    pub fn build_unwinding(
        &self,
        package: &Path,
        folder: &str,
        unwinding: &Unwinding,
    ) -> Result<()> {
        unless_built((package, folder, &[]), || {
            let mut command = self.command((package, folder, &[]));
            command.arg("--panic-unwind");
            unwinding.apply(&mut command);
            // Another compiler needs another target directory.
            command.env("CARGO_TARGET_DIR", crate::root().join("target/unwinding"));
            let name = shown(package, folder);
            run_quietly(&name, command)?;
            match splits(package) {
                true => run_quietly(&format!("{name}, its companion"), split(package, folder)),
                false => Ok(()),
            }
        })
    }

    /// The command that builds a Worker.
    pub fn command(&self, build: Build<'_>) -> Command {
        self.command_of(build, splits(build.0))
    }

    /// The command that builds a Worker without optimising the module.
    pub fn command_unoptimized(&self, build: Build<'_>) -> Command {
        self.command_of(build, true)
    }

    /// The command that builds a Worker. `is_split` says whether a companion is made of it.
    fn command_of(&self, (package, folder, features): Build<'_>, is_split: bool) -> Command {
        let mut command = run::command(self.tools.bin.join("worker-build"));
        command.args(["--release", "--out-dir", folder, "."]);
        // worker-build passes the features, and all that follows them, on to cargo.
        if is_split {
            command.arg("--no-opt");
        }
        if !features.is_empty() {
            command.args(["--features", &features.join(",")]);
        }
        command.current_dir(package);
        self.tools.on_path(&mut command);
        self.wasm.apply(&mut command);
        // wasm-opt is a script for Node.js.
        self.npm.on_path(&mut command);
        // worker-build downloads each program that these variables do not name.
        command.env("WASM_BINDGEN_BIN", self.tools.bin.join("wasm-bindgen"));
        command.env("WASM_OPT_BIN", self.npm.binary("wasm-opt"));
        command.env("ESBUILD_BIN", self.npm.binary("esbuild"));
        command
    }
}

/// Runs jobs, several at once, in their order. If one fails, no further one begins.
pub fn run_all(jobs: Vec<Job<'_>>) -> Result<()> {
    let waiting = Mutex::new(jobs.into_iter());
    let next = || waiting.lock().ok()?.next();
    let has_failed = AtomicBool::new(false);
    let work = || -> Result<()> {
        while let Some(job) = next().filter(|_| !has_failed.load(Ordering::Relaxed)) {
            job().inspect_err(|_| has_failed.store(true, Ordering::Relaxed))?;
        }
        Ok(())
    };
    thread::scope(|scope| {
        let working: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(work)).collect();
        let mut done = working.into_iter().map(|worker| worker.join());
        done.try_for_each(|it| it.expect("a build does not panic"))
    })
}

/// Copies a folder that worker-build wrote.
pub fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// Makes a build, unless nothing has changed since the last one. A failed build, or a build that
/// another program has changed, is made again.
fn unless_built(build: Build<'_>, make: impl FnOnce() -> Result<()>) -> Result<()> {
    if is_built(build)? {
        eprintln!("  {}: nothing has changed", shown(build.0, build.1));
        return Ok(());
    }
    make()?;
    write_stamp(build)
}

/// Whether a build is as [`write_stamp`] saw it, and its sources have not changed.
fn is_built(build: Build<'_>) -> Result<bool> {
    let last = fs::read_to_string(stamp_of(build));
    let inputs = inputs(&crate::root(), build.0)?;
    Ok(last.is_ok_and(|last| made(build, &inputs).is_ok_and(|made| made == last)))
}

fn write_stamp(build: Build<'_>) -> Result<()> {
    let made = made(build, &inputs(&crate::root(), build.0)?)?;
    fs::write(stamp_of(build), made).context("the folder of the build takes a file")
}

fn stamp_of((package, folder, _): Build<'_>) -> PathBuf {
    stamp_in(&package.join(folder))
}

/// The file in which a build keeps the fingerprint of its sources and its output.
pub fn stamp_in(folder: &Path) -> PathBuf {
    folder.join(".inputs")
}

/// A fingerprint of a build's sources and of its output.
fn made((package, folder, features): Build<'_>, inputs: &str) -> Result<String> {
    let output = package.join(folder);
    let module = fs::read(output.join("index_bg.wasm"))?;
    let script = fs::read(output.join("index.js"))?;
    let features = features.join(",");
    let parts = [inputs.as_bytes(), features.as_bytes(), &module, &script];
    Ok(fingerprint(&parts))
}

/// Whether a Worker's own build command moves names and lines into a companion file.
fn splits(package: &Path) -> bool {
    let config = fs::read_to_string(package.join("wrangler.toml"));
    config.is_ok_and(|config| config.contains("&& worker-sentry-symbols build"))
}

/// The second half of such a build command, with this repository's own program.
fn split(package: &Path, folder: &str) -> Command {
    let mut command = run::command("cargo");
    command
        .current_dir(crate::root())
        .args(["run", "--quiet", "--package", "worker-sentry-symbols", "--"])
        .args(["build", "--folder"])
        .arg(package.join(folder));
    command
}

/// The name of a build in messages.
fn shown(package: &Path, folder: &str) -> String {
    let name = package.strip_prefix(crate::root()).unwrap_or(package);
    name.join(folder).display().to_string()
}

/// Runs a build, and prints a line before and after it. Its output is printed if it fails. A
/// warning is also a failure, because a user of the crate would see it in each build.
pub fn run_quietly(name: &str, mut command: Command) -> Result<()> {
    eprintln!("  {name}: building");
    let begin = Instant::now();
    let output = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .output();
    let output = output.with_context(|| format!("cannot start `{}`", run::shown(&command)))?;
    let printed = [output.stdout, output.stderr].concat();
    let printed = String::from_utf8_lossy(&printed);
    if !output.status.success() {
        eprint!("{printed}");
        bail!("building {name} failed ({})", output.status);
    }
    if let Some(warning) = warning(&printed) {
        eprint!("{printed}");
        bail!("building {name} printed a warning: {warning}");
    }
    eprintln!("  {name}: built, {}", run::duration(begin.elapsed()));
    Ok(())
}

/// The first warning, of the compiler, of worker-build or of esbuild.
fn warning(printed: &str) -> Option<&str> {
    let words = ["warning:", "[WARN]", "[WARNING]"];
    let mut lines = printed.lines();
    lines.find(|line| words.iter().any(|word| line.contains(word)))
}

/// A fingerprint of everything that a Worker on the crate is built from: the sources of both, the
/// versions of their dependencies, and the versions of the tools.
pub fn inputs(root: &Path, package: &Path) -> Result<String> {
    let mut files = vec![
        root.join("Cargo.toml"),
        root.join("Cargo.lock"),
        root.join("tests/tools/package-lock.json"),
    ];
    for folder in [root.join("crate"), package.to_path_buf()] {
        sources(&folder, &mut files)?;
    }
    files.sort();
    let mut parts = vec![
        versions::NIGHTLY.as_bytes().to_vec(),
        versions::WORKER_BUILD.version.as_bytes().to_vec(),
        versions::WASM_BINDGEN.version.as_bytes().to_vec(),
    ];
    for file in files {
        parts.push(
            file.strip_prefix(root)
                .unwrap_or(&file)
                .display()
                .to_string()
                .into(),
        );
        parts.push(fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?);
    }
    let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
    Ok(fingerprint(&parts))
}

/// Finds the files of a package, without build output.
fn sources(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = entry.path();
        if entry.file_type()?.is_file() {
            files.push(path);
        } else if !name.starts_with("build") && !name.starts_with('.') && name != "target" {
            sources(&path, files)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_of_each_tool_is_found_in_what_a_build_prints() {
        let quiet = "   Compiling worker-sentry v0.1.0\n[INFO]: Done in 8.2s\n  index.js  57.6kb\n";
        assert_eq!(warning(quiet), None);
        for line in [
            "warning: unused variable: `x`",
            "[WARN]: the wasm target is old",
            "▲ [WARNING] Duplicate key \"./snippets/a.js\" in object literal [duplicate-object-key]",
        ] {
            assert_eq!(warning(&format!("{quiet}{line}\n")), Some(line));
        }
    }

    #[test]
    fn a_change_of_the_crate_or_the_worker_changes_the_inputs_and_what_was_built_does_not() {
        let root = std::env::temp_dir().join(format!("xtask-inputs-{}", std::process::id()));
        let worker = root.join("worker");
        let write = |file: &str, text: &str| {
            let file = root.join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        };
        for file in ["Cargo.toml", "Cargo.lock", "tests/tools/package-lock.json"] {
            write(file, "");
        }
        write("crate/src/lib.rs", "");
        write("worker/src/lib.rs", "");
        let first = inputs(&root, &worker).unwrap();
        write("worker/build-unwind/index.js", "built");
        write("worker/.wrangler/state", "kept");
        assert_eq!(inputs(&root, &worker).unwrap(), first);
        write("worker/src/lib.rs", "// changed");
        let second = inputs(&root, &worker).unwrap();
        assert_ne!(second, first);
        write("crate/src/more/new.rs", "");
        assert_ne!(inputs(&root, &worker).unwrap(), second);
        fs::remove_dir_all(root).unwrap();
    }
}
