//! `cargo xtask pictures`: takes the pictures of the book anew.
//!
//! The proof takes them (`tests/proof/pictures.rs`) and compares their text with what is
//! kept. Here it is told to keep what it sees.

use std::path::Path;

use anyhow::Result;

use crate::run;
use crate::setup::Setup;
use crate::test::places;
use crate::worker::Builder;

/// The Workers that are seen failing.
const WORKERS: [&str; 2] = ["listings", "tests/fixture"];

/// `cargo xtask pictures`.
pub fn pictures(root: &Path) -> Result<()> {
    let setup = Setup::new(root)?;
    let (wasm, tools) = (setup.wasm()?, setup.all_tools()?);
    let (npm, bugsink, chromium) = (setup.npm()?, setup.bugsink()?, setup.chromium()?);
    let spotlight = setup.spotlight()?;
    let builder = Builder {
        wasm: &wasm,
        tools: &tools,
        npm: &npm,
    };
    for worker in WORKERS {
        builder.build(&root.join(worker))?;
    }
    let mut command = run::command("cargo");
    command.current_dir(root);
    command.args(["test", "-p", "proof", "--test", "proof", "--", "pictures::"]);
    places(root, &npm, &mut command)?;
    command
        .env("PROOF_BUGSINK", &bugsink)
        .env("PROOF_SPOTLIGHT", &spotlight)
        // No picture needs it.
        .env("PROOF_SDK", root.join("target"))
        .env("PROOF_CHROMIUM", &chromium)
        .env("PROOF_MDBOOK", &tools.bin)
        .env("WORKER_SENTRY_UPDATE", "1");
    run::inherited(&mut command)
}
