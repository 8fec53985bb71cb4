//! Starts the proof and the other programs that run Workers, and tells them where the tools are.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::run;
use crate::setup::{Npm, Setup};

/// The Workers that are built a second time, for unwinding: the package's folder, the folder of the
/// output below it, and the variable that gives the proof its path.
pub const UNWINDING: [(&str, &str, &str); 2] = [
    ("tests/fixture", "build-unwind", "PROOF_FIXTURE_UNWIND"),
    ("tests/stacks", "build-unwind", "PROOF_STACKS_UNWIND"),
];

/// The folders that the proof reads, and the variables that give it their paths.
const FOLDERS: [(&str, &str); 6] = [
    ("PROOF_LISTINGS", "listings/build"),
    ("PROOF_FIXTURE", "tests/fixture/build"),
    ("PROOF_STACKS", "tests/stacks/build"),
    ("PROOF_STACKS_OPTIMIZED", "tests/stacks/build-optimized"),
    ("PROOF_SNIPPETS", "listings/snippets"),
    ("PROOF_BOOK", "book"),
];

/// Printed where there is no build that unwinds.
pub const UNCHECKED: &str = "NOT CHECKED: what a panic does in a build that unwinds";

/// The paths of the tools. A tool that the started program does not need may be left out.
#[derive(Default)]
pub struct Places {
    /// The folder with the programs of Python: Bugsink, and sentry-relay, which checks each event.
    pub bugsink: Option<PathBuf>,
    pub spotlight: Option<PathBuf>,
    pub sdk: Option<PathBuf>,
    pub chromium: Option<PathBuf>,
    pub mdbook: Option<PathBuf>,
}

impl Places {
    /// Sets up what the proof needs besides a browser and mdBook.
    pub fn without_a_browser(setup: &Setup) -> Result<Self> {
        setup.typed()?;
        Ok(Self {
            bugsink: Some(setup.bugsink()?),
            spotlight: Some(setup.spotlight()?),
            sdk: Some(setup.sdk()?),
            ..Self::default()
        })
    }

    /// The command that runs the proof: `cargo test --test proof` with these arguments.
    pub fn proof(&self, root: &Path, npm: &Npm, arguments: &[&str]) -> Result<Command> {
        let mut command = self.command(root, npm);
        command.args(["test", "--test", "proof"]).args(arguments);
        for (folder, output, variable) in UNWINDING {
            let unwinding = root.join(folder).join(output);
            if unwinding.is_dir() {
                command.env(variable, unwinding);
            } else {
                eprintln!("  {UNCHECKED}: {folder} has no build that unwinds");
            }
        }
        command.env("PROOF_XTASK", std::env::current_exe()?);
        Ok(command)
    }

    /// A cargo command that knows the paths of the Workers and of the tools.
    pub fn command(&self, root: &Path, npm: &Npm) -> Command {
        let mut command = run::command("cargo");
        command
            .current_dir(root)
            .env("PROOF_WRANGLER", npm.binary("wrangler"))
            .env("PROOF_NODE", &npm.node)
            .env("PROOF_NPM", &npm.modules);
        for (variable, folder) in FOLDERS {
            command.env(variable, root.join(folder));
        }
        for (variable, place) in [
            ("PROOF_BUGSINK", &self.bugsink),
            ("PROOF_SPOTLIGHT", &self.spotlight),
            ("PROOF_SDK", &self.sdk),
            ("PROOF_CHROMIUM", &self.chromium),
            ("PROOF_MDBOOK", &self.mdbook),
        ] {
            let unused = || root.join("target");
            command.env(variable, place.clone().unwrap_or_else(unused));
        }
        command
    }
}
