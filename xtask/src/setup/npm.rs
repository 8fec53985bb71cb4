//! The tools that come from npm: wrangler with workerd, esbuild, wasm-opt, axe.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::cache::{Cache, fingerprint};
use super::{version_of, versions};
use crate::run;

/// Node.js and the folder of the installed packages.
pub struct Npm {
    /// The executable of Node.js.
    pub node: PathBuf,
    /// The folder `node_modules`.
    pub modules: PathBuf,
}

impl Npm {
    /// The executable of an installed package.
    pub fn binary(&self, name: &str) -> PathBuf {
        self.modules.join(".bin").join(name)
    }
}

/// Node.js, new enough for wrangler, with npm beside it.
pub fn node() -> Result<PathBuf> {
    let (major, minor) = versions::NODE;
    let found = run::which("node");
    let version = found
        .as_ref()
        .and_then(|node| run::output_of(run::command(node).arg("--version")))
        .and_then(|text| version_of(&text));
    match (found, version) {
        (Some(node), Some(version)) if version >= versions::NODE && run::which("npm").is_some() => {
            Ok(node)
        }
        (_, version) => {
            let seen = match version {
                Some((major, minor)) if (major, minor) < versions::NODE => {
                    format!("Node.js {major}.{minor} is too old")
                }
                Some(_) => "npm is missing".to_owned(),
                None => "Node.js is missing".to_owned(),
            };
            bail!(
                "{seen}: Node.js {major}.{minor} or newer and npm are needed. Type one of:\n  \
                 sudo apt-get install nodejs npm   (Debian 13, Ubuntu 25.04 or newer)\n  \
                 sudo dnf install nodejs npm       (Fedora)\n  \
                 brew install node                 (macOS)\n  \
                 or take an installer from https://nodejs.org/en/download"
            )
        }
    }
}

/// Installs the tools.
pub fn install(cache: &Cache, root: &Path) -> Result<(Npm, String)> {
    let node = node()?;
    let folder = root.join("tests/tools");
    let (modules, outcome) = locked(cache, "npm", &folder, |folder| {
        for tool in ["wrangler", "workerd", "esbuild", "wasm-opt"] {
            let file = folder.join("node_modules/.bin").join(tool);
            if run::output_of(run::command(&file).arg("--version").current_dir(folder)).is_none() {
                bail!("{tool} was installed but does not run: {}", file.display());
            }
        }
        Ok(())
    })?;
    Ok((Npm { node, modules }, outcome))
}

/// Installs the JavaScript SDK that the bench compares with; returns the folder
/// of the packages.
pub fn install_sdk(cache: &Cache, root: &Path) -> Result<(PathBuf, String)> {
    node()?;
    locked(cache, "bench", &root.join("tests/bench/js"), |_| Ok(()))
}

/// Installs what the lock file in `from` says, and nothing else.
fn locked(
    cache: &Cache,
    prefix: &str,
    from: &Path,
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
            let mut command = run::command("npm");
            // The executables work without the packages' install scripts;
            // those only replace a small starter by the executable itself.
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
