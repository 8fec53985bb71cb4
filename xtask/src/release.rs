//! `cargo xtask release`: checks whether the packages could be published as they are. It
//! publishes nothing.
//!
//! A check may need a registry, an advisory database or a compiler that this machine does not have.
//! Such a check is named at the end, as not checked.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::run;
use crate::setup::{Setup, Wasm, versions};

/// The published packages, each after the packages that it depends on, and their folders.
const PACKAGES: [(&str, &str); 3] = [
    ("worker-sentry-macros", "crate/macros"),
    ("worker-sentry", "crate"),
    ("worker-sentry-symbols", "crate/symbols"),
];

/// The rules for dependencies, for cargo-deny.
const DENY: &str = "xtask/release/deny.toml";

/// How long fetching the advisories may take.
const FETCH: Duration = Duration::from_secs(120);

/// `cargo xtask release`.
pub fn release(root: &Path) -> Result<()> {
    let begin = Instant::now();
    eprintln!("== set-up");
    let setup = Setup::new(root)?;
    let wasm = setup.wasm()?;
    let nightly = setup.unwinding().map(drop);
    let tools = setup.release_tools()?;
    let mut proof = Proof {
        root: root.to_path_buf(),
        wasm,
        nightly,
        deny: tools.bin.join(versions::CARGO_DENY.binary),
        unchecked: Vec::new(),
    };
    for (name, part) in PARTS {
        eprintln!("\n== {name}");
        part(&mut proof).with_context(|| format!("not ready to release: {name}"))?;
    }
    println!(
        "\nReady, as far as a machine can tell ({}).",
        run::duration(begin.elapsed())
    );
    for what in &proof.unchecked {
        println!("NOT CHECKED: {what}");
    }
    println!("The rest is a person's: see “Releasing” in CONTRIBUTING.md.");
    Ok(())
}

type Part = fn(&mut Proof) -> Result<()>;

/// The checks, in this order: a later one uses what an earlier one made.
const PARTS: [(&str, Part); 6] = [
    ("packages", Proof::packages),
    ("upload, without uploading", Proof::upload),
    ("licences and the tree of dependencies", Proof::tree),
    ("advisories", Proof::advisories),
    ("documentation, as docs.rs makes it", Proof::documentation),
    ("oldest dependencies, oldest Rust", Proof::oldest),
];

struct Proof {
    root: PathBuf,
    wasm: Wasm,
    /// The reason, if there is no nightly compiler.
    nightly: Result<(), String>,
    deny: PathBuf,
    unchecked: Vec<String>,
}

impl Proof {
    fn cargo(&self) -> Command {
        let mut command = run::command("cargo");
        command.current_dir(&self.root);
        command
    }

    /// The folder for everything that these checks build.
    fn target(&self) -> PathBuf {
        self.root.join("target/release-proof")
    }

    /// Packs every package and builds each from its archive; later ones use the earlier ones.
    fn packages(&mut self) -> Result<()> {
        let mut status = run::command("git");
        status
            .current_dir(&self.root)
            .args(["status", "--porcelain"]);
        if let Some(changed) = run::output_of(&mut status).filter(|it| !it.is_empty()) {
            let count = changed.lines().count();
            self.unchecked.push(format!(
                "that a release has what is committed: {count} files differ"
            ));
        }
        let mut command = self.cargo();
        command.args(["package", "--locked", "--allow-dirty"]);
        named(&mut command);
        // Without a separate folder, the package would share its build folder with this program.
        command.env("CARGO_TARGET_DIR", self.target());
        run::inherited(&mut command)
    }

    fn upload(&mut self) -> Result<()> {
        let mut command = self.cargo();
        command.args([
            "publish",
            "--dry-run",
            "--no-verify",
            "--locked",
            "--allow-dirty",
        ]);
        named(&mut command);
        command.env("CARGO_TARGET_DIR", self.target());
        run::inherited(&mut command)
    }

    fn deny(&self, folder: &str, check: &[&str]) -> Command {
        let mut command = run::command(&self.deny);
        command.current_dir(&self.root).arg("--manifest-path");
        command.arg(self.root.join(folder).join("Cargo.toml"));
        command.args(["--all-features", "--exclude-dev", "--locked", "--config"]);
        command.arg(self.root.join(DENY)).args(check);
        command
    }

    fn tree(&mut self) -> Result<()> {
        for (name, folder) in PACKAGES {
            eprintln!("{name}");
            let mut check = self.deny(folder, &["check"]);
            run::inherited(check.args(["bans", "licenses", "sources"]))?;
        }
        Ok(())
    }

    /// The advisory database is a git repository, which not every machine can reach.
    fn advisories(&mut self) -> Result<()> {
        let mut fetch = self.deny("crate", &["fetch"]);
        let log = self.target().join("advisories.log");
        if run::logged(fetch.arg("db"), "cargo deny fetch", &log, FETCH).is_err() {
            self.unchecked
                .push("advisories: their database could not be fetched".to_owned());
            return Ok(());
        }
        for (_, folder) in PACKAGES {
            run::inherited(self.deny(folder, &["check"]).arg("advisories"))?;
        }
        Ok(())
    }

    /// Whether there is a nightly compiler. Without one, notes that `what` was not checked.
    fn has_nightly(&mut self, what: &str) -> bool {
        if let Err(why) = &self.nightly {
            self.unchecked.push(format!("{what}: {why}"));
        }
        self.nightly.is_ok()
    }

    /// Makes the documentation with the compiler, the target and the features that docs.rs uses.
    fn documentation(&mut self) -> Result<()> {
        if !self.has_nightly("the documentation of docs.rs") {
            return Ok(());
        }
        for (name, folder) in PACKAGES {
            let docs = DocsRs::of(&self.root, name)?;
            let mut command = nightly(&self.root.join(folder));
            command.args(["doc", "--locked", "--no-deps", "--lib"]);
            if !docs.features.is_empty() {
                command.arg("--features").arg(docs.features.join(","));
            }
            if let Some(target) = docs.target {
                command.args(["--target", &target]);
            }
            command.env("RUSTDOCFLAGS", "--cfg docsrs -D warnings");
            command.env("CARGO_TARGET_DIR", self.target().join("docs"));
            run::inherited(&mut command)?;
        }
        Ok(())
    }

    /// Builds each package with the oldest version of each direct dependency, for the target it
    /// runs on. Indirect dependencies have their newest version, because their bounds are stated by
    /// other crates.
    fn oldest(&mut self) -> Result<()> {
        if !self.has_nightly("the oldest dependencies") {
            return Ok(());
        }
        let folder = self.target().join("oldest");
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(&folder)?;
        for (name, _) in PACKAGES {
            let packed = format!("{}.crate", with_version(name));
            let packed = self.target().join("package").join(packed);
            let mut unpack = run::command("tar");
            unpack.arg("xzf").arg(packed).arg("-C").arg(&folder);
            run::inherited(&mut unpack)?;
        }
        for (name, _) in PACKAGES {
            let unpacked = folder.join(with_version(name));
            fs::remove_file(unpacked.join("Cargo.lock"))?;
            // Without a `[workspace]` of its own, cargo would look for the package in the workspace
            // above.
            let manifest = unpacked.join("Cargo.toml");
            let text = fs::read_to_string(&manifest)?;
            fs::write(&manifest, format!("{text}\n[workspace]\n"))?;
        }
        let (major, minor) = versions::rust();
        let rust = format!("{major}.{minor}");
        if !is_in_use(&rust) {
            self.unchecked
                .push(format!("Rust {rust}, the oldest: another is in use"));
        }
        for (name, _) in PACKAGES {
            let unpacked = folder.join(with_version(name));
            let mut resolve = nightly(&unpacked);
            resolve.args(["generate-lockfile", "-Zdirect-minimal-versions"]);
            run::inherited(own(&mut resolve, &folder, name))?;
            // The macros and the tool run on the machine that builds, not in a Worker.
            let in_a_worker = name == "worker-sentry";
            let mut check = match in_a_worker {
                true => self.wasm.cargo(),
                false => run::command("cargo"),
            };
            check.current_dir(&unpacked).args(["check", "--locked"]);
            if in_a_worker {
                let features = DocsRs::of(&self.root, name)?.features.join(",");
                check.args([
                    "--target",
                    "wasm32-unknown-unknown",
                    "--features",
                    &features,
                ]);
            }
            check.env("CARGO_TARGET_DIR", folder.join("target"));
            run::inherited(own(&mut check, &folder, name))?;
        }
        Ok(())
    }
}

/// Lets `worker-sentry` find its macros, which the registry may not have yet.
fn own<'c>(command: &'c mut Command, folder: &Path, name: &str) -> &'c mut Command {
    if name == "worker-sentry" {
        let macros = folder.join(with_version("worker-sentry-macros"));
        let patch = format!("patch.crates-io.worker-sentry-macros.path={macros:?}");
        command.arg("--config").arg(patch);
    }
    command
}

fn named(command: &mut Command) {
    for (name, _) in PACKAGES {
        command.args(["--package", name]);
    }
}

/// The name of a package with its version, as the name of its archive has it.
fn with_version(name: &str) -> String {
    format!("{name}-{}", book_compiler::locked(name).unwrap_or_default())
}

fn nightly(folder: &Path) -> Command {
    let mut command = run::command("cargo");
    command.current_dir(folder).env_remove("RUSTC");
    command.env("RUSTUP_TOOLCHAIN", versions::NIGHTLY);
    command
}

/// Whether the compiler in use has this version.
fn is_in_use(rust: &str) -> bool {
    let printed = run::output_of(run::command("rustc").arg("--version"));
    printed.is_some_and(|it| it.starts_with(&format!("rustc {rust}.")))
}

/// The settings that docs.rs reads in a manifest.
struct DocsRs {
    features: Vec<String>,
    target: Option<String>,
}

impl DocsRs {
    fn of(root: &Path, name: &str) -> Result<Self> {
        let package = package(root, name)?;
        let docs = &package["metadata"]["docs"]["rs"];
        let texts = |name: &str| {
            let list = docs[name].as_array().into_iter().flatten();
            list.filter_map(|it| Some(it.as_str()?.to_owned()))
        };
        Ok(DocsRs {
            features: texts("features").collect(),
            target: texts("targets").next(),
        })
    }
}

/// The manifests of the packages, as cargo reads them.
fn packages(root: &Path) -> Result<Vec<Value>> {
    let mut metadata = run::command("cargo");
    metadata.current_dir(root).args([
        "metadata",
        "--format-version",
        "1",
        "--no-deps",
        "--offline",
    ]);
    let text = run::output_of(&mut metadata).context("cargo metadata failed")?;
    let mut all: Value = serde_json::from_str(&text)?;
    Ok(serde_json::from_value(all["packages"].take())?)
}

/// The manifest of a package, as cargo reads it.
fn package(root: &Path, name: &str) -> Result<Value> {
    let mut all = packages(root)?.into_iter();
    let found = all.find(|package| package["name"] == name);
    found.with_context(|| format!("there is no package {name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_folders() -> Vec<(&'static str, &'static str, Value)> {
        let with = |(name, folder)| (name, folder, package(&crate::root(), name).unwrap());
        PACKAGES.map(with).to_vec()
    }

    #[test]
    fn every_package_that_may_be_published_is_in_the_list_after_what_it_depends_on() {
        let all = packages(&crate::root()).unwrap();
        // `publish = false` is an empty list of registries.
        let free = all.iter().filter(|it| it["publish"].is_null());
        let mut free = Vec::from_iter(free.map(|it| it["name"].as_str().unwrap()));
        let mut listed = PACKAGES.map(|(name, _)| name);
        for (name, _, package) in with_folders() {
            for dependency in package["dependencies"].as_array().unwrap() {
                let at = |name: &Value| listed.iter().position(|it| name == it);
                let (own, its) = (at(&name.into()), at(&dependency["name"]));
                assert!(its < own, "{name}: {}", dependency["name"]);
            }
        }
        free.sort_unstable();
        listed.sort_unstable();
        assert_eq!(free, listed);
    }

    #[test]
    fn what_is_published_says_what_a_registry_shows_and_brings_its_licences() {
        for (name, folder, package) in with_folders() {
            for field in [
                "description",
                "license",
                "readme",
                "documentation",
                "rust_version",
            ] {
                assert!(package[field].is_string(), "{name} has no {field}");
            }
            for field in ["authors", "keywords", "categories"] {
                let count = package[field].as_array().unwrap().len();
                assert!((1..=5).contains(&count), "{name}: {count} {field}");
            }
            for licence in ["LICENSE-MIT", "LICENSE-APACHE"] {
                let read = |folder: &Path| fs::read_to_string(folder.join(licence)).unwrap();
                let root = crate::root();
                assert_eq!(read(&root.join(folder)), read(&root), "{name}: {licence}");
            }
        }
    }

    /// A link to a file of the checkout leads nowhere on the registry's page.
    #[test]
    fn a_readme_that_is_published_links_to_addresses_only() {
        for (name, folder, _) in with_folders() {
            let readme = crate::root().join(folder).join("README.md");
            for after in fs::read_to_string(readme).unwrap().split("](").skip(1) {
                let target = after.split(')').next().unwrap();
                let leads = target.starts_with("https://") || target.starts_with('#');
                assert!(leads, "{name}: {target}");
            }
        }
    }

    #[test]
    fn docs_rs_is_told_every_feature_but_those_that_are_no_interface() {
        for (name, _, package) in with_folders() {
            let docs = DocsRs::of(&crate::root(), name).unwrap();
            let has = package["features"].as_object().unwrap();
            // Follow each feature to the features that it enables.
            let mut told = docs.features.clone();
            told.push("default".to_owned());
            let mut at = 0;
            while at < told.len() {
                let brings = has.get(&told[at]).and_then(Value::as_array);
                let brings = brings.into_iter().flatten().filter_map(Value::as_str);
                told.extend(brings.map(ToOwned::to_owned).collect::<Vec<_>>());
                at += 1;
            }
            for feature in has.keys() {
                let hidden = HIDDEN.contains(&feature.as_str()) || feature == "default";
                let is_told = told.contains(feature);
                assert!(
                    is_told != hidden || feature == "default",
                    "{name}: {feature}"
                );
            }
            for feature in &docs.features {
                assert!(has.contains_key(feature), "{name}: {feature}");
            }
        }
    }

    /// Features that only this repository uses.
    const HIDDEN: [&str; 2] = ["hostile", "laboratory"];

    #[test]
    fn a_package_has_its_sources_its_licences_and_its_readme_and_no_file_of_the_repository() {
        for (name, _, _) in with_folders() {
            let mut list = run::command("cargo");
            list.current_dir(crate::root());
            list.args(["package", "--list", "--allow-dirty", "--offline"]);
            let list = run::output_of(list.args(["--package", name])).unwrap();
            let files = Vec::from_iter(list.lines());
            for wanted in ["src/lib.rs", "README.md", "LICENSE-MIT", "LICENSE-APACHE"] {
                assert!(files.contains(&wanted), "{name} has no {wanted}");
            }
            let known = [
                "src/",
                "tests/",
                "Cargo.",
                "LICENSE-",
                "README.md",
                ".cargo_vcs",
            ];
            for file in files {
                let is_known = known.iter().any(|it| file.starts_with(it));
                assert!(is_known, "{name}: {file}");
            }
        }
    }
}
