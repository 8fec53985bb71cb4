//! Packages of the system. They are installed where that needs no password. Elsewhere an error
//! names them, with the command to type.

use std::time::Duration;

use anyhow::{Result, bail};

use super::cache::Cache;
use crate::run;

/// Whether packages can be installed without a password.
pub fn can_apt_get() -> bool {
    let root = run::output_of(run::command("id").arg("-u")).is_some_and(|id| id == "0");
    root && run::which("apt-get").is_some()
}

/// Installs Debian packages. If that fails, updates the package lists and tries again.
pub fn apt_get(cache: &Cache, what: &str, packages: &[&str]) -> Result<()> {
    let log = cache.log(&format!("apt-{what}"));
    let limit = Duration::from_secs(900);
    let install = || {
        let mut command = run::command("apt-get");
        command
            .args(["install", "--yes", "--no-install-recommends"])
            .args(packages);
        command.env("DEBIAN_FRONTEND", "noninteractive");
        run::logged(
            &mut command,
            &format!("apt-get install {what}"),
            &log,
            limit,
        )
    };
    let simulated = run::output_of(
        run::command("apt-get")
            .args(["install", "--simulate", "--no-install-recommends"])
            .args(packages),
    );
    if simulated.is_none() || install().is_err() {
        let mut update = run::command("apt-get");
        update.arg("update");
        run::logged(
            &mut update,
            "apt-get update",
            &cache.log("apt-update"),
            limit,
        )?;
        install()?;
    }
    Ok(())
}

/// Checks for programs of the system, and installs packages of the same names if they are missing.
pub fn programs(cache: &Cache, names: &[&str]) -> Result<String> {
    let missing = |names: &[&str]| -> Vec<String> {
        let missing = names.iter().filter(|name| run::which(name).is_none());
        missing.map(|name| (*name).to_owned()).collect()
    };
    let needed = missing(names);
    if needed.is_empty() {
        return Ok("ready".to_owned());
    }
    let needed: Vec<&str> = needed.iter().map(String::as_str).collect();
    if can_apt_get() {
        apt_get(cache, "programs", &needed)?;
        if missing(names).is_empty() {
            return Ok(format!("installed {}", needed.join(", ")));
        }
    }
    let needed = needed.join(" ");
    bail!(
        "missing: {needed}. Type one of:\n  \
         apt-get install {needed}      (Debian, Ubuntu)\n  \
         dnf install {needed}          (Fedora)\n  \
         brew install {needed}         (macOS)"
    )
}
