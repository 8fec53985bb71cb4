//! A browser for the tests of the book.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, bail};

use super::cache::Cache;
use super::node;
use super::npm::Node;
use super::{packages, versions};
use crate::run;

const NAMES: [&str; 5] = [
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "chrome-headless-shell",
];

const PLACES: [&str; 4] = [
    "/usr/bin/chromium",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/snap/bin/chromium",
];

/// Uses a browser of the machine, or one in the cache, or installs one.
pub fn find_or_install(cache: &Cache, root: &Path) -> Result<(PathBuf, String)> {
    for variable in ["CHROME", "CHROMIUM"] {
        if let Some(file) = std::env::var_os(variable).filter(|value| !value.is_empty()) {
            let file = PathBuf::from(file);
            if !works(&file) {
                bail!("{variable}={} does not run with --version", file.display());
            }
            let from = format!("ready: {variable}={}", file.display());
            return Ok((file, from));
        }
    }
    if let Some(file) = of_the_machine() {
        let from = format!("ready: {}", file.display());
        return Ok((file, from));
    }
    let name = versions::CHROME_HEADLESS_SHELL.replace('@', "-");
    if cache.is_complete(&name)
        && let Some(file) = below(&cache.folder(&name))
    {
        return Ok((file, "ready".to_owned()));
    }
    let downloaded = node::find_or_install(cache, root).and_then(|(node, _)| {
        let lock = cache.lock()?;
        cache.once(&lock, &name, |folder| download(cache, &node, folder))
    });
    if let Ok(folder) = downloaded
        && let Some(file) = below(&folder)
    {
        return Ok((
            file,
            format!("installed {}", versions::CHROME_HEADLESS_SHELL),
        ));
    }
    if packages::can_apt_get() {
        // Without any font a page would show no text.
        packages::apt_get(cache, "chromium", &["chromium", "fonts-liberation"])?;
        if let Some(file) = of_the_machine() {
            return Ok((file, "installed with apt-get".to_owned()));
        }
    }
    bail!(
        "a Chromium or Chrome is needed, and it could not be downloaded. Type one of:\n  \
         sudo apt-get install chromium fonts-liberation   (Debian)\n  \
         sudo snap install chromium                       (Ubuntu)\n  \
         sudo dnf install chromium                        (Fedora)\n  \
         brew install --cask google-chrome                (macOS)\n  \
         or set CHROME to the executable of one"
    )
}

fn of_the_machine() -> Option<PathBuf> {
    let named = NAMES.iter().filter_map(|name| run::which(name));
    named
        .chain(PLACES.iter().map(PathBuf::from))
        .find(|file| works(file))
}

fn works(file: &Path) -> bool {
    run::is_executable(file) && run::output_of(run::command(file).arg("--version")).is_some()
}

fn download(cache: &Cache, node: &Node, folder: &Path) -> Result<()> {
    let mut command = node.npm("npx");
    command.args([
        "--yes",
        versions::PUPPETEER_BROWSERS,
        "install",
        versions::CHROME_HEADLESS_SHELL,
    ]);
    command.arg("--path").arg(folder).current_dir(folder);
    run::logged(
        &mut command,
        "downloading a browser",
        &cache.log("browser"),
        Duration::from_secs(600),
    )?;
    if below(folder).is_none() {
        bail!("the downloaded browser does not run; system libraries may be missing");
    }
    Ok(())
}

/// The executable somewhere below this folder.
fn below(folder: &Path) -> Option<PathBuf> {
    let entries = std::fs::read_dir(folder).ok()?;
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    let (folders, files): (Vec<_>, Vec<_>) = paths.into_iter().partition(|path| path.is_dir());
    let named = |file: &PathBuf| {
        file.file_name()
            .is_some_and(|name| name == "chrome-headless-shell")
    };
    files
        .into_iter()
        .find(|file| named(file) && works(file))
        .or_else(|| folders.iter().find_map(|f| below(f)))
}
