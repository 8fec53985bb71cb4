//! Building a Worker.

use std::path::Path;

use anyhow::Result;

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

impl Builder<'_> {
    /// Runs worker-build, which leaves its output in the package's folder
    /// `build`.
    pub fn build(&self, package: &Path) -> Result<()> {
        self.build_into(package, "build", &[])
    }

    /// The same with another folder of the package's, and with cargo features.
    pub fn build_into(&self, package: &Path, folder: &str, features: &[&str]) -> Result<()> {
        let mut command = run::command(self.tools.bin.join("worker-build"));
        command.args(["--release", "--out-dir", folder, "."]);
        if !features.is_empty() {
            command.args(["--features", &features.join(",")]);
        }
        command.current_dir(package);
        self.tools.on_path(&mut command);
        self.wasm.apply(&mut command);
        // It downloads what these do not name.
        command.env("WASM_BINDGEN_BIN", self.tools.bin.join("wasm-bindgen"));
        command.env("WASM_OPT_BIN", self.npm.binary("wasm-opt"));
        command.env("ESBUILD_BIN", self.npm.binary("esbuild"));
        run::inherited(&mut command)
    }
}
