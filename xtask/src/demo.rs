//! `cargo xtask demo`: the example Worker beside two receivers. The user makes the Worker fail.
//!
//! `tests/demo.rs` runs the demo. This file prepares it: it sets up the tools and builds the
//! Worker.

use std::path::Path;

use anyhow::Result;

use crate::proof::Places;
use crate::run;
use crate::setup::Setup;
use crate::worker::Builder;

/// `cargo xtask demo`.
pub fn demo(root: &Path, drill: Option<&str>) -> Result<()> {
    let setup = Setup::new(root)?;
    let npm = setup.npm()?;
    let builder = Builder {
        wasm: &setup.wasm()?,
        tools: &setup.worker_tools()?,
        npm: &npm,
    };
    let places = Places {
        bugsink: Some(setup.bugsink()?),
        spotlight: Some(setup.spotlight()?),
        ..Places::default()
    };
    eprintln!("building the example Worker");
    builder.build(&root.join("listings"))?;
    let mut command = places.command(root, &npm);
    command.args(["run", "-p", "proof", "--bin", "demo", "--"]);
    run::inherited(command.args(drill))
}
