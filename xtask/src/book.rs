//! Rendering the book.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::setup::{Setup, Tools};
use crate::{anchors, api, drawings, run};

/// `cargo xtask book`.
pub fn book(root: &Path, is_to_record: bool) -> Result<()> {
    let tools = Setup::new(root)?.book_tools()?;
    render(root, &tools)?;
    if is_to_record {
        anchors::record(root, &root.join("book"))?;
    }
    eprintln!("rendered: {}", root.join("book/index.html").display());
    Ok(())
}

/// Renders into ./book, the documentation of the crate included.
pub fn render(root: &Path, tools: &Tools) -> Result<()> {
    render_to(root, tools, &root.join("book"), &[])
}

/// The same, with a variable for the preprocessor.
pub fn render_with(
    root: &Path,
    tools: &Tools,
    variable: Option<(&'static str, &'static str)>,
) -> Result<()> {
    let variable = variable.map(|(name, value)| (name, value.to_owned()));
    render_to(root, tools, &root.join("book"), variable.as_slice())
}

/// Renders into a folder, with variables that change the settings in book.toml.
pub fn render_to(
    root: &Path,
    tools: &Tools,
    folder: &Path,
    variables: &[(&str, String)],
) -> Result<()> {
    drawings::update(root, tools)?;
    // Below its own folder and then in one step, so that nobody sees half a book.
    let made = root
        .join("target/book")
        .join(std::process::id().to_string());
    let mut command = run::command(tools.bin.join("mdbook"));
    tools.on_path(&mut command);
    command
        .args(["build", "--dest-dir"])
        .arg(&made)
        .arg(root)
        .envs(variables.iter().map(|(name, value)| (name, value)));
    // Without this mdBook reports each of its steps.
    if std::env::var_os("MDBOOK_LOG").is_none() {
        command.env("MDBOOK_LOG", "warn");
    }
    run::inherited(&mut command)?;
    // mdBook gives each renderer a folder.
    let pages = made.join("html");
    anchors::check(root, &pages)?;
    api::add(root, &pages)?;
    if folder.exists() {
        fs::remove_dir_all(folder)
            .with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    if let Some(parent) = folder.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::rename(&pages, folder).with_context(|| format!("cannot make {}", folder.display()))?;
    Ok(fs::remove_dir_all(&made)?)
}
