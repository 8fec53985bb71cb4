//! `cargo xtask drift`: what is newer than the pins, and whether the core of the proof
//! passes on it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::run;
use crate::setup::{Node, Setup, versions};
use crate::test::{self, Core};

/// The oldest and the newest of each that the core of the proof passed on.
const SEEN: &str = "tests/tools/seen.json";

/// Which runtime the core of the proof runs on.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Prove {
    /// The newest wrangler of the registry, with the workerd that it brings.
    Newest,
    /// The oldest wrangler that the versions page names.
    Oldest,
}

/// A version that is pinned here, and the newest one of its registry.
struct Pin {
    registry: &'static str,
    name: String,
    pinned: String,
    newest: Option<String>,
}

impl Pin {
    fn is_behind(&self) -> bool {
        self.newest.as_ref().is_some_and(|it| *it != self.pinned)
    }
}

/// `cargo xtask drift`.
pub fn drift(root: &Path, prove: Option<Prove>) -> Result<()> {
    eprintln!("== set-up");
    let setup = Setup::new(root)?;
    let node = setup.node()?;
    match prove {
        None => {
            let python = setup.bugsink()?.join("python");
            compare(root, &node, &python)
        }
        Some(prove) => prove_on(root, &setup, &node, prove),
    }
}

// What is behind ------------------------------------------------------------

fn compare(root: &Path, node: &Node, python: &Path) -> Result<()> {
    eprintln!("\n== registries");
    let mut pins = Vec::new();
    let mut add = |registry, name: &str, pinned: String, newest: Option<String>| {
        pins.push(Pin {
            registry,
            name: name.to_owned(),
            pinned,
            newest,
        });
    };
    for name in ["worker", "wasm-bindgen", "sentry-core", "sentry-types"] {
        let pinned = versions::locked(name).with_context(|| format!("{name} is not locked"))?;
        add("crates.io", name, pinned, of_crates_io(name));
    }
    for tool in versions::CARGO_TOOLS {
        let newest = of_crates_io(tool.package);
        add("crates.io", tool.package, tool.version.to_owned(), newest);
    }
    for folder in ["tests/tools", "tests/tools/node", "tests/bench/js"] {
        let package = fs::read_to_string(root.join(folder).join("package.json"))?;
        for (name, pinned) in of_package(&serde_json::from_str(&package)?) {
            let mut view = node.npm("npm");
            let newest = run::output_of(view.args(["view", &name, "version"]));
            add("npm", &name, pinned, newest);
        }
    }
    let requirements = fs::read_to_string(root.join("tests/tools/requirements.txt"))?;
    let wheel = versions::NODE_FROM_PYPI.split_once("==");
    let asked = ["bugsink", "sentry-relay"].iter().filter_map(|name| {
        let mut lines = requirements
            .lines()
            .filter_map(|line| line.split_once("=="));
        lines.find(|(other, _)| other == name)
    });
    for (name, pinned) in asked.chain(wheel) {
        let mut pip = run::command(python);
        pip.args(["-m", "pip", "index", "versions", name]);
        let newest = run::output_of(&mut pip).and_then(|text| in_brackets(&text));
        add("PyPI", name, pinned.to_owned(), newest);
    }
    let (major, minor) = versions::rust();
    // It says by its exit code that there is something newer.
    let said = run::command("rustup").arg("check").output().ok();
    let said = said.map(|it| String::from_utf8_lossy(&it.stdout).into_owned());
    let newest = said.and_then(|text| newest_stable(&text));
    add("Rust", "stable", format!("{major}.{minor}"), newest);

    print!("{}", table(&pins));
    let behind = pins.iter().filter(|pin| pin.is_behind()).count();
    let silent = pins.iter().filter(|pin| pin.newest.is_none()).count();
    println!("\n{behind} of {} are behind their registries.", pins.len());
    if silent > 0 {
        println!("For {silent} there was no answer.");
    }
    if silent == pins.len() {
        bail!("no registry answered");
    }
    Ok(())
}

/// The newest version of a crate, by cargo's own client. Outside the checkout: inside,
/// cargo tells of the version that is locked.
fn of_crates_io(name: &str) -> Option<String> {
    let mut info = run::command("cargo");
    info.args(["info", "--quiet", "--registry", "crates-io", name])
        .current_dir(std::env::temp_dir());
    let text = run::output_of(&mut info)?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("version: "))?;
    Some(line.split_whitespace().next()?.to_owned())
}

/// The names and versions that a `package.json` pins.
fn of_package(package: &Value) -> BTreeMap<String, String> {
    let groups = ["dependencies", "optionalDependencies"];
    let groups = groups.iter().filter_map(|name| package[name].as_object());
    groups
        .flatten()
        .filter_map(|(name, version)| Some((name.clone(), version.as_str()?.to_owned())))
        .collect()
}

/// `bugsink (2.6.1)`
fn in_brackets(text: &str) -> Option<String> {
    let (_, rest) = text.split_once('(')?;
    Some(rest.split_once(')')?.0.to_owned())
}

/// `stable-… - update available: 1.95.0 (…) -> 1.99.1 (…)`, or `… - up to date: 1.99.1 (…)`,
/// as the two numbers that are pinned.
fn newest_stable(text: &str) -> Option<String> {
    let line = text.lines().find(|line| line.starts_with("stable"))?;
    let (_, newest) = line.rsplit_once("-> ").or_else(|| line.rsplit_once(": "))?;
    let mut numbers = newest.split_whitespace().next()?.split('.');
    Some(format!("{}.{}", numbers.next()?, numbers.next()?))
}

fn table(pins: &[Pin]) -> String {
    let mut text =
        "| From | What | Pinned | Newest | |\n| --- | --- | --- | --- | --- |\n".to_owned();
    for pin in pins {
        let newest = pin.newest.as_deref().unwrap_or("no answer");
        let behind = if pin.is_behind() { "behind" } else { "" };
        let Pin {
            registry,
            name,
            pinned,
            ..
        } = pin;
        text.push_str(&format!(
            "| {registry} | {name} | {pinned} | {newest} | {behind} |\n"
        ));
    }
    text
}

// The core of the proof -------------------------------------------------------

fn prove_on(root: &Path, setup: &Setup, node: &Node, prove: Prove) -> Result<()> {
    let mut seen = Seen::read(root)?;
    let wrangler = match prove {
        Prove::Newest => {
            let mut view = node.npm("npm");
            run::output_of(view.args(["view", "wrangler", "version"]))
                .context("npm does not say which wrangler is the newest")?
        }
        Prove::Oldest => seen.version("wrangler", "oldest")?,
    };
    let package = fs::read_to_string(root.join("tests/tools/package.json"))?;
    let mut package: Value = serde_json::from_str(&package)?;
    package["dependencies"]["wrangler"] = wrangler.clone().into();
    let npm = setup.npm_of(node, &package)?;
    let bugsink = setup.bugsink()?;
    let workerd = installed(&npm.modules, "workerd")?;
    eprintln!("\n== the core of the proof on wrangler {wrangler}, workerd {workerd}");

    let oldest = seen.version("compatibility date", "oldest")?;
    let newest = seen.version("compatibility date", "newest")?;
    let dates = match prove {
        Prove::Newest => vec![oldest, newest],
        // It does not know the newer ones.
        Prove::Oldest => vec![oldest],
    };
    for date in dates {
        eprintln!("\n== compatibility date {date}");
        let core = Core {
            date: &date,
            // The changes of newer dates are nothing that an old runtime can show.
            leave_out: (prove == Prove::Oldest).then_some("dates::"),
            bugsink: &bugsink,
        };
        test::core(root, &npm, &core).with_context(|| {
            format!("the core fails on wrangler {wrangler}, workerd {workerd}, date {date}")
        })?;
    }
    println!("the core passes on wrangler {wrangler} with workerd {workerd}");
    if prove == Prove::Newest {
        seen.note("wrangler", &wrangler);
        seen.note("workerd", &workerd);
        if seen.write(root)? {
            println!("{SEEN} says so now; put it into the table of src/versions.md");
        }
    }
    Ok(())
}

fn installed(modules: &Path, name: &str) -> Result<String> {
    let file = modules.join(name).join("package.json");
    let package: Value = serde_json::from_str(&fs::read_to_string(file)?)?;
    let version = package["version"].as_str().context("no version")?;
    Ok(version.to_owned())
}

/// What [`SEEN`] says.
pub struct Seen(Value);

impl Seen {
    /// Reads it.
    pub fn read(root: &Path) -> Result<Self> {
        let text = fs::read_to_string(root.join(SEEN))?;
        Ok(Self(serde_json::from_str(&text)?))
    }

    /// The `oldest` or `newest` that was seen of this.
    pub fn version(&self, name: &str, which: &str) -> Result<String> {
        let version = self.0[name][which].as_str();
        let version = version.with_context(|| format!("{SEEN} has no {which} {name}"))?;
        Ok(version.to_owned())
    }

    /// What it tells of, in its order.
    #[cfg(test)]
    pub fn names(&self) -> Vec<&str> {
        let rows = self.0.as_object().into_iter().flatten();
        rows.map(|(name, _)| name.as_str()).collect()
    }

    fn note(&mut self, name: &str, newest: &str) {
        self.0[name]["newest"] = json!(newest);
    }

    /// Whether that changed anything.
    fn write(&self, root: &Path) -> Result<bool> {
        let rows = self.0.as_object().context("an object")?;
        let rows: Vec<String> = rows
            .iter()
            .map(|(name, it)| {
                let (oldest, newest) = (&it["oldest"], &it["newest"]);
                format!("  \"{name}\": {{ \"oldest\": {oldest}, \"newest\": {newest} }}")
            })
            .collect();
        let text = format!("{{\n{}\n}}\n", rows.join(",\n"));
        let file: PathBuf = root.join(SEEN);
        let changed = fs::read_to_string(&file)? != text;
        fs::write(file, text)?;
        Ok(changed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_registries_clients_print_is_understood() {
        let check = "stable-x - update available: 1.95.0 (a 2026-04-14) -> 1.99.1 (b 2026-10-13)\n\
                     nightly-x - up to date: 1.101.0-nightly (c 2026-10-29)";
        assert_eq!(newest_stable(check).as_deref(), Some("1.99"));
        let check = "stable-x - up to date: 1.99.1 (b 2026-10-13)";
        assert_eq!(newest_stable(check).as_deref(), Some("1.99"));
        assert_eq!(newest_stable("no toolchain"), None);
        let index = "bugsink (2.6.2)\nAvailable versions: 2.6.2, 2.6.1";
        assert_eq!(in_brackets(index).as_deref(), Some("2.6.2"));
    }

    #[test]
    fn only_a_pin_whose_registry_has_another_version_is_behind() {
        let pin = |newest: Option<&str>| Pin {
            registry: "npm",
            name: "wrangler".to_owned(),
            pinned: "4.1.0".to_owned(),
            newest: newest.map(str::to_owned),
        };
        assert!(!pin(Some("4.1.0")).is_behind());
        assert!(!pin(None).is_behind());
        assert!(pin(Some("4.2.0")).is_behind());
        let text = table(&[pin(Some("4.2.0")), pin(None)]);
        assert!(text.contains("| npm | wrangler | 4.1.0 | 4.2.0 | behind |"));
        assert!(text.contains("| npm | wrangler | 4.1.0 | no answer |  |"));
    }

    #[test]
    fn every_worker_is_configured_for_the_newest_date_that_was_seen_to_work() {
        let root = crate::root();
        let newest = Seen::read(&root).unwrap();
        let newest = newest.version("compatibility date", "newest").unwrap();
        for file in [
            "listings/wrangler.toml",
            "listings/snippets/fetch/wrangler.toml",
            "listings/snippets/object/wrangler.toml",
            "listings/snippets/workflow/wrangler.toml",
            "tests/fixture/wrangler.toml",
        ] {
            let text = fs::read_to_string(root.join(file)).unwrap();
            let wanted = format!("compatibility_date = \"{newest}\"");
            assert!(text.lines().any(|line| line == wanted), "{file}: {wanted}");
        }
    }

    #[test]
    fn writing_what_was_seen_keeps_all_of_it() {
        let root = std::env::temp_dir().join(format!("xtask-seen-{}", std::process::id()));
        fs::create_dir_all(root.join("tests/tools")).unwrap();
        let committed = fs::read_to_string(crate::root().join(SEEN)).unwrap();
        fs::write(root.join(SEEN), &committed).unwrap();
        let mut seen = Seen::read(&root).unwrap();
        assert!(!seen.write(&root).unwrap());
        seen.note("wrangler", "9.9.9");
        assert!(seen.write(&root).unwrap());
        let changed = fs::read_to_string(root.join(SEEN)).unwrap();
        assert_eq!(changed.lines().count(), committed.lines().count());
        assert!(changed.contains("\"newest\": \"9.9.9\""));
        fs::remove_dir_all(root).unwrap();
    }
}
