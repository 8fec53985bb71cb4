//! Starting the proof, and what else runs Workers, and telling it where things are.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::run;
use crate::setup::Npm;

/// The Workers that are built a second time, to unwind: the folder, the folder below that
/// for the output, and the variable that tells the proof where it is.
pub const UNWINDING: [(&str, &str, &str); 2] = [
    ("tests/fixture", "build-unwind", "PROOF_FIXTURE_UNWIND"),
    ("tests/stacks", "build-unwind", "PROOF_STACKS_UNWIND"),
];

/// What is looked at, and the variables that tell where that is.
const FOLDERS: [(&str, &str); 6] = [
    ("PROOF_LISTINGS", "listings/build"),
    ("PROOF_FIXTURE", "tests/fixture/build"),
    ("PROOF_STACKS", "tests/stacks/build"),
    ("PROOF_STACKS_OPTIMIZED", "tests/stacks/build-optimized"),
    ("PROOF_SNIPPETS", "listings/snippets"),
    ("PROOF_BOOK", "book"),
];

/// Said where there is no build that unwinds.
pub const UNCHECKED: &str = "NOT CHECKED: what a panic does in a build that unwinds";

/// Where the tools are. What is to run has no use for one that is left out.
#[derive(Default)]
pub struct Places {
    /// The folder with the programs of Python: Bugsink, and sentry-relay, which judges each
    /// event.
    pub bugsink: Option<PathBuf>,
    pub spotlight: Option<PathBuf>,
    pub sdk: Option<PathBuf>,
    pub chromium: Option<PathBuf>,
    pub mdbook: Option<PathBuf>,
}

impl Places {
    /// The command that runs the proof: cargo, with what follows `cargo test -p proof`.
    pub fn proof(&self, root: &Path, npm: &Npm, arguments: &[&str]) -> Result<Command> {
        let mut command = self.command(root, npm);
        command.args(["test", "-p", "proof"]).args(arguments);
        for (folder, output, variable) in UNWINDING {
            let unwinding = root.join(folder).join(output);
            if unwinding.is_dir() {
                command.env(variable, unwinding);
            } else {
                eprintln!("  {UNCHECKED}: {folder} was not built so");
            }
        }
        command.env("PROOF_XTASK", std::env::current_exe()?);
        Ok(command)
    }

    /// Cargo, told where the Workers and the tools are.
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
