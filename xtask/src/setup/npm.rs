//! npm, and the tools that it installs: wrangler with workerd, esbuild, wasm-opt and axe, and
//! Spotlight.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use book_compiler::fingerprint;
use serde_json::Value;

use super::cache::Cache;
use crate::run;

/// Node.js, and the place of its npm.
pub struct Node {
    /// The executable of Node.js.
    pub file: PathBuf,
    /// The folder with npm and npx, unless they are the machine's own.
    pub(super) npm: Option<PathBuf>,
}

impl Node {
    /// Puts this Node.js first on a command's `PATH`.
    pub fn on_path(&self, command: &mut Command) {
        if let Some(folder) = self.file.parent() {
            run::prepend_path(command, folder);
        }
    }

    /// A command for npm or npx. The machine's npm runs on the machine's Node.js, for which it was
    /// made.
    pub fn npm(&self, program: &str) -> Command {
        match &self.npm {
            Some(folder) => {
                let mut command = run::command(folder.join(program));
                self.on_path(&mut command);
                command
            }
            None => run::command(program),
        }
    }
}

/// Node.js and the folder of the installed packages.
pub struct Npm {
    /// The executable of Node.js.
    pub node: PathBuf,
    /// The folder `node_modules`.
    pub modules: PathBuf,
}

impl Npm {
    /// The executable of an installed package. Many are scripts that look for Node.js on `PATH`:
    /// start these with [`Npm::command`].
    pub fn binary(&self, name: &str) -> PathBuf {
        self.modules.join(".bin").join(name)
    }

    /// Puts this Node.js first on a command's `PATH`.
    pub fn on_path(&self, command: &mut Command) {
        if let Some(folder) = self.node.parent() {
            run::prepend_path(command, folder);
        }
    }

    /// A command that starts an installed package on this Node.js.
    pub fn command(&self, name: &str) -> Command {
        let mut command = run::command(self.binary(name));
        self.on_path(&mut command);
        command
    }
}

/// Installs the tools.
pub fn install(cache: &Cache, root: &Path, node: &Node) -> Result<(Npm, String)> {
    let folder = root.join("tests/tools");
    let (modules, outcome) = locked(cache, "npm", &folder, node, |folder| {
        for tool in ["wrangler", "workerd", "esbuild", "wasm-opt"] {
            let file = folder.join("node_modules/.bin").join(tool);
            let mut command = run::command(&file);
            node.on_path(&mut command);
            if run::output_of(command.arg("--version").current_dir(folder)).is_none() {
                bail!("{tool} was installed but does not run: {}", file.display());
            }
        }
        Ok(())
    })?;
    let node = node.file.clone();
    Ok((Npm { node, modules }, outcome))
}

/// Installs these packages. Their dependencies have the newest versions that they allow.
pub fn install_unlocked(cache: &Cache, node: &Node, package: &Value) -> Result<(Npm, String)> {
    let text = package.to_string();
    let name = format!("npm-other-{}", fingerprint(&[text.as_bytes()]));
    let outcome = if cache.is_complete(&name) {
        "ready"
    } else {
        let guard = cache.lock()?;
        cache.once(&guard, &name, |folder| {
            fs::write(folder.join("package.json"), &text)?;
            let mut command = node.npm("npm");
            command
                .args(["install", "--ignore-scripts", "--no-audit", "--no-fund"])
                .current_dir(folder);
            let limit = Duration::from_secs(1200);
            run::logged(&mut command, "npm install", &cache.log("npm-other"), limit)
        })?;
        "installed with npm"
    };
    let modules = cache.folder(&name).join("node_modules");
    let node = node.file.clone();
    Ok((Npm { node, modules }, outcome.to_owned()))
}

/// Installs the JavaScript SDK that the bench compares with; returns the folder
/// of the packages.
pub fn install_sdk(cache: &Cache, root: &Path, node: &Node) -> Result<(PathBuf, String)> {
    let folder = root.join("tests/bench/js");
    locked(cache, "bench", &folder, node, |_| Ok(()))
}

/// Installs Spotlight, which shows traces; returns the folder of the packages.
///
/// It is installed apart from the other tools: it takes 115 MB, and only commands that look at
/// traces need it.
pub fn install_spotlight(cache: &Cache, root: &Path, node: &Node) -> Result<(PathBuf, String)> {
    let folder = root.join("tests/tools/spotlight");
    locked(cache, "spotlight", &folder, node, |_| Ok(()))
}

/// Installs exactly what the lock file in `from` says.
pub(super) fn locked(
    cache: &Cache,
    prefix: &str,
    from: &Path,
    node: &Node,
    check: impl FnOnce(&Path) -> Result<()>,
) -> Result<(PathBuf, String)> {
    let package = fs::read(from.join("package.json"))?;
    let lock = fs::read(from.join("package-lock.json"))?;
    let name = format!("{prefix}-{}", fingerprint(&[&package, &lock]));
    let outcome = if cache.is_complete(&name) {
        "ready"
    } else {
        let guard = cache.lock()?;
        cache.once(&guard, &name, |folder| {
            fs::write(folder.join("package.json"), &package)?;
            fs::write(folder.join("package-lock.json"), &lock)?;
            let mut command = node.npm("npm");
            // Install scripts are not needed: they only replace a small starter script by the
            // executable.
            command
                .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
                .current_dir(folder);
            run::logged(
                &mut command,
                "npm ci",
                &cache.log(prefix),
                Duration::from_secs(1200),
            )
            .with_context(|| format!("could not install what {} says", from.display()))?;
            check(folder)
        })?;
        "installed with npm"
    };
    let modules = cache.folder(&name).join("node_modules");
    Ok((modules, outcome.to_owned()))
}
