//! Rendering the book.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::setup::{Setup, Tools};
use crate::{anchors, api, run};

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
    place_mermaid(root, tools)?;
    let mut command = run::command(tools.bin.join("mdbook"));
    tools.on_path(&mut command);
    command
        .args(["build", "--dest-dir"])
        .arg(folder)
        .arg(root)
        .envs(variables.iter().map(|(name, value)| (name, value)));
    // Without this mdBook reports each of its steps.
    if std::env::var_os("MDBOOK_LOG").is_none() {
        command.env("MDBOOK_LOG", "warn");
    }
    run::inherited(&mut command)?;
    anchors::check(root, folder)?;
    api::add(root, folder)
}

/// Puts mermaid.min.js where mdBook copies it from.
///
/// It is another project's file and not committed; mdbook-mermaid brings the
/// one that fits. The rest of what that would write into a book is ours.
fn place_mermaid(root: &Path, tools: &Tools) -> Result<()> {
    let folder = root
        .join("target/mermaid")
        .join(std::process::id().to_string());
    fs::create_dir_all(&folder)?;
    fs::write(folder.join("book.toml"), "[book]\n")?;
    let mut install = run::command(tools.bin.join("mdbook-mermaid"));
    install.arg("install").arg(&folder);
    run::output_of(&mut install).context("`mdbook-mermaid install` failed")?;
    let script = fs::read(folder.join("mermaid.min.js"))
        .context("`mdbook-mermaid install` brought no mermaid.min.js")?;
    fs::remove_dir_all(&folder)?;
    let place = root.join("src/mermaid.min.js");
    if fs::read(&place).is_ok_and(|there| there == script) {
        return Ok(());
    }
    fs::write(&place, script).with_context(|| format!("cannot write {}", place.display()))
}
