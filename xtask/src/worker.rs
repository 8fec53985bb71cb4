//! Building a Worker.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::run;
use crate::setup::{Npm, Tools, Wasm};

/// What it takes to build one.
pub struct Builder<'a> {
    /// The compiler.
    pub wasm: &'a Wasm,
    /// worker-build and wasm-bindgen.
    pub tools: &'a Tools,
    /// esbuild and wasm-opt.
    pub npm: &'a Npm,
}

/// A Worker to build: its package's folder, the folder below that for the output, and
/// cargo features.
pub type Build<'b> = (&'b Path, &'b str, &'b [&'b str]);

/// One compiles while another is bound and optimised, which is as much that takes one
/// core only.
const AT_ONCE: usize = 2;

impl Builder<'_> {
    /// Runs worker-build, which leaves its output in the package's folder
    /// `build`.
    pub fn build(&self, package: &Path) -> Result<()> {
        run::inherited(&mut self.command((package, "build", &[])))
    }

    /// Builds several, with a line for each. What a build that failed has printed
    /// follows.
    pub fn build_all(&self, builds: &[Build<'_>]) -> Result<()> {
        let waiting = Mutex::new(builds.iter());
        let next = || waiting.lock().ok()?.next();
        let work = || -> Result<()> {
            while let Some(build) = next() {
                self.build_quietly(*build)?;
            }
            Ok(())
        };
        thread::scope(|scope| {
            let working: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(work)).collect();
            let mut done = working.into_iter().map(|worker| worker.join());
            done.try_for_each(|it| it.expect("a build does not panic"))
        })
    }

    fn build_quietly(&self, build: Build<'_>) -> Result<()> {
        let (package, folder, _) = build;
        let name = package.strip_prefix(crate::root()).unwrap_or(package);
        let name = name.join(folder).display().to_string();
        eprintln!("  {name}: building");
        let begin = Instant::now();
        let mut command = self.command(build);
        let output = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .output();
        let output = output.with_context(|| format!("cannot start `{}`", run::shown(&command)))?;
        if !output.status.success() {
            eprint!("{}", String::from_utf8_lossy(&output.stdout));
            eprint!("{}", String::from_utf8_lossy(&output.stderr));
            bail!("building {name} failed ({})", output.status);
        }
        eprintln!("  {name}: built, {}", run::duration(begin.elapsed()));
        Ok(())
    }

    fn command(&self, (package, folder, features): Build<'_>) -> Command {
        let mut command = run::command(self.tools.bin.join("worker-build"));
        command.args(["--release", "--out-dir", folder, "."]);
        if !features.is_empty() {
            command.args(["--features", &features.join(",")]);
        }
        command.current_dir(package);
        self.tools.on_path(&mut command);
        self.wasm.apply(&mut command);
        // wasm-opt is a script for Node.js.
        self.npm.on_path(&mut command);
        // It downloads what these do not name.
        command.env("WASM_BINDGEN_BIN", self.tools.bin.join("wasm-bindgen"));
        command.env("WASM_OPT_BIN", self.npm.binary("wasm-opt"));
        command.env("ESBUILD_BIN", self.npm.binary("esbuild"));
        command
    }
}
