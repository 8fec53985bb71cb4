//! `cargo xtask pictures`: takes the pictures of the book anew.
//!
//! The proof takes the pictures (`tests/proof/pictures.rs`) and compares their text with the kept
//! text. This command tells the proof to keep what it sees.

use std::path::Path;

use anyhow::Result;

use crate::proof::Places;
use crate::run;
use crate::setup::Setup;
use crate::worker::Builder;

/// The Workers whose failures the pictures show.
const WORKERS: [&str; 2] = ["listings", "tests/fixture"];

/// `cargo xtask pictures`.
pub fn pictures(root: &Path) -> Result<()> {
    let setup = Setup::new(root)?;
    let (wasm, tools) = (setup.wasm()?, setup.all_tools()?);
    let npm = setup.npm()?;
    let places = Places {
        bugsink: Some(setup.bugsink()?),
        spotlight: Some(setup.spotlight()?),
        chromium: Some(setup.chromium()?),
        mdbook: Some(tools.bin.clone()),
        ..Places::default()
    };
    let builder = Builder {
        wasm: &wasm,
        tools: &tools,
        npm: &npm,
    };
    for worker in WORKERS {
        builder.build(&root.join(worker))?;
    }
    let mut command = places.proof(root, &npm, &["--", "pictures::"])?;
    run::inherited(command.env("WORKER_SENTRY_UPDATE", "1"))
}
