//! Bugsink, the receiver, and sentry-relay, in a Python environment of their own.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use book_compiler::fingerprint;

use super::cache::Cache;
use super::{packages, version_of, versions};
use crate::run;

/// Installs the packages in `tests/tools/requirements.txt`; returns the `bin` folder.
pub fn install(cache: &Cache, root: &Path) -> Result<(PathBuf, String)> {
    let requirements = fs::read(root.join("tests/tools/requirements.txt"))?;
    let name = format!("python-{}", fingerprint(&[&requirements]));
    let bin = cache.folder(&name).join("bin");
    // An environment refers to the Python that made it, and that Python may have been removed.
    let works = || run::output_of(run::command(bin.join("python")).arg("--version")).is_some();
    if cache.is_complete(&name) && works() {
        return Ok((bin, "ready".to_owned()));
    }
    let guard = cache.lock()?;
    if cache.is_complete(&name) && !works() {
        fs::remove_dir_all(cache.folder(&name))?;
    }
    let python = python(cache)?;
    cache.once(&guard, &name, |folder| {
        let limit = Duration::from_secs(1200);
        let mut venv = run::command(&python);
        venv.args(["-m", "venv"]).arg(folder);
        run::logged(
            &mut venv,
            "python -m venv",
            &cache.log("python-venv"),
            limit,
        )?;
        fs::write(folder.join("requirements.txt"), &requirements)?;
        let mut pip = run::command(folder.join("bin/python"));
        pip.args([
            "-m",
            "pip",
            "install",
            "--disable-pip-version-check",
            "--requirement",
        ]);
        pip.arg(folder.join("requirements.txt"));
        run::logged(&mut pip, "pip install", &cache.log("pip"), limit)
            .context("could not install the packages of tests/tools/requirements.txt")
    })?;
    Ok((bin, format!("installed with pip and {}", python.display())))
}

/// A Python that is new enough and can make environments.
pub(super) fn python(cache: &Cache) -> Result<PathBuf> {
    if let Some(python) = find() {
        return Ok(python);
    }
    if packages::can_apt_get() {
        packages::apt_get(cache, "python", &["python3", "python3-venv"])?;
        if let Some(python) = find() {
            return Ok(python);
        }
    }
    let (major, minor) = versions::PYTHON;
    bail!(
        "Python {major}.{minor} or newer with its venv module is needed. Type one of:\n  \
         sudo apt-get install python3 python3-venv   (Debian, Ubuntu)\n  \
         sudo dnf install python3                    (Fedora)\n  \
         brew install python                         (macOS)"
    )
}

fn find() -> Option<PathBuf> {
    let numbered = (versions::PYTHON.1..=20)
        .rev()
        .map(|minor| format!("python3.{minor}"));
    let names = std::iter::once("python3".to_owned()).chain(numbered);
    // A Python that lacks a module may come before `/usr/bin/python3` on `PATH`.
    let files = names
        .filter_map(|name| run::which(&name))
        .chain([PathBuf::from("/usr/bin/python3")]);
    files.into_iter().find(|python| {
        let version = run::output_of(run::command(python).arg("--version"));
        version
            .and_then(|text| version_of(&text))
            .is_some_and(|v| v >= versions::PYTHON)
            && run::output_of(run::command(python).args(["-c", "import venv, ensurepip"])).is_some()
    })
}
