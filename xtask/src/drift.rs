//! `cargo xtask drift`: finds versions that are newer than the pinned ones, and runs the core of
//! the proof on them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::run;
use crate::seen::{self, Seen};
use crate::setup::{Node, Setup, versions};
use crate::test::{self, Core};

/// Tests that the oldest runtime cannot pass. They need newer compatibility dates, or what its
/// Workflows do not have: rollbacks, a restart from a step, the name of the Workflow, and the name
/// and count of a step. The oldest runtime also does not expose the ids of its own spans.
const NOT_YET: [&str; 10] = [
    "dates::",
    "trace::a_run_without_a_trace_can_be_in_the_one_that_cloudflare_records_and_on_its_span",
    "workflows::a_body_is_told_its_step_its_attempt_and_its_configuration",
    "workflows::a_handled_error_that_a_step_reports_is_reported_once_in_spite_of_a_replay",
    "workflows::a_replay_for_the_rollbacks_ends_where_the_run_had_come_to",
    "workflows::a_restart_from_a_step_runs_that_step_again_and_none_before_it",
    "workflows::a_rollback_that_fails_for_good_is_reported_once",
    "workflows::a_workflow_that_fails_is_undone_step_by_step_from_its_end",
    "workflows::an_event_knows_the_instance_the_workflow_the_step_and_the_attempt",
    "workflows::input_and_output_are_typed",
];

/// Which runtime the core of the proof runs on.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Prove {
    /// The newest wrangler of the registry, with the workerd that it brings.
    Newest,
    /// The oldest wrangler that the versions page names.
    Oldest,
}

/// A version that is pinned here, and the newest version in its registry.
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
        let pinned =
            book_compiler::locked(name).with_context(|| format!("{name} is not locked"))?;
        add("crates.io", name, pinned, of_crates_io(name));
    }
    for tool in versions::CARGO_TOOLS.iter().chain(&versions::CHORE_TOOLS) {
        let newest = of_crates_io(tool.package);
        add("crates.io", tool.package, tool.version.to_owned(), newest);
    }
    for folder in [
        "tests/tools",
        "tests/tools/node",
        "tests/tools/spotlight",
        "tests/bench/js",
    ] {
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
    // `rustup check` reports a newer version by its exit code, so a failure is not an error here.
    let said = run::command("rustup").arg("check").output().ok();
    let said = said.map(|it| String::from_utf8_lossy(&it.stdout).into_owned());
    let newest = said.and_then(|text| newest_stable(&text));
    add("Rust", "stable", format!("{major}.{minor}"), newest);

    print!("{}", table(&pins));
    let behind = pins.iter().filter(|pin| pin.is_behind()).count();
    let silent = pins.iter().filter(|pin| pin.newest.is_none()).count();
    println!("\n{behind} of {} are behind their registries.", pins.len());
    if silent > 0 {
        println!("{silent} could not be compared: their registry did not answer. Try again later.");
    }
    if silent == pins.len() {
        bail!("no registry answered");
    }
    Ok(())
}

/// The newest version of a crate, asked for through cargo. It runs outside of the checkout, because
/// inside it cargo reports the locked version.
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

/// The version in brackets: `bugsink (2.6.1)`.
fn in_brackets(text: &str) -> Option<String> {
    let (_, rest) = text.split_once('(')?;
    Some(rest.split_once(')')?.0.to_owned())
}

/// The newest stable version, as major and minor, in a line of `rustup check`: `stable-… - update
/// available: 1.95.0 (…) -> 1.99.1 (…)`, or `… - up to date: 1.99.1 (…)`.
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
        // The oldest wrangler does not support the newest compatibility date.
        Prove::Oldest => vec![oldest],
    };
    for date in dates {
        eprintln!("\n== compatibility date {date}");
        let core = Core {
            date: &date,
            leave_out: match prove {
                Prove::Newest => &[],
                Prove::Oldest => &NOT_YET,
            },
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
            println!(
                "{} says so now; put it into the table of src/versions.md",
                seen::FILE
            );
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
    fn what_the_oldest_runtime_cannot_show_names_tests_that_there_are() {
        let folder = crate::root().join("tests/proof");
        for name in NOT_YET {
            let (module, rule) = name.split_once("::").expect("a module");
            let text = fs::read_to_string(folder.join(module).with_extension("rs")).unwrap();
            assert!(text.contains(&format!("    {rule}")), "{name}");
        }
    }
}
