//! Has Chromium draw the diagrams of the book that are new or have changed.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use book_compiler::drawings::{Diagram, FOLDER, Pen, diagrams};
use book_compiler::rendered::unescaped;
use book_compiler::write;
use serde_json::json;

use crate::run;
use crate::setup::versions::MDBOOK_MERMAID;
use crate::setup::{Setup, Tools};

/// The script that runs in Chromium.
const SCRIPT: &str = include_str!("drawings/draw.js");
const PEN: Pen<'_> = [SCRIPT, MDBOOK_MERMAID.version];

/// The diagrams whose drawing does not belong to their current source, as `page:line: what`.
pub fn wrong() -> Result<Vec<String>> {
    let diagrams = diagrams()?;
    let stale = diagrams.iter().filter(|it| !it.is_drawn(PEN));
    let stale = stale.map(|diagram| {
        let Diagram { id, place, .. } = diagram;
        format!("{place}: {FOLDER}/{id}.html is not of this diagram; `cargo xtask book` draws it")
    });
    Ok(stale.collect())
}

/// Draws the diagrams that are new or have changed, and removes drawings that no page has any more.
pub fn update(root: &Path, tools: &Tools) -> Result<()> {
    // An earlier version put Mermaid there, and mdBook would copy that file.
    let _ = fs::remove_file(root.join("src/mermaid.min.js"));
    let diagrams = diagrams()?;
    let stale = Vec::from_iter(diagrams.iter().filter(|it| !it.is_drawn(PEN)));
    if !stale.is_empty() {
        let chromium = Setup::new(root)?.chromium()?;
        for diagram in stale {
            let drawn = draw(root, tools, &chromium, &diagram.jobs())
                .with_context(|| diagram.place.clone())?;
            write(&diagram.file(), &diagram.text_of(&drawn, PEN))?;
            eprintln!("drawn: {FOLDER}/{}.html", diagram.id);
        }
    }
    let files = BTreeSet::from_iter(diagrams.iter().map(|it| it.file()));
    for entry in fs::read_dir(root.join(FOLDER)).into_iter().flatten() {
        let file = entry?.path();
        if !files.contains(&file) {
            fs::remove_file(&file).with_context(|| format!("cannot remove {}", file.display()))?;
        }
    }
    Ok(())
}

/// Draws every diagram again into a folder. The proof compares the result with the kept drawings.
pub fn draw_all(root: &Path, to: &Path) -> Result<()> {
    let setup = Setup::new(root)?;
    let (tools, chromium) = (setup.book_tools()?, setup.chromium()?);
    for diagram in diagrams()? {
        let drawn = draw(root, &tools, &chromium, &diagram.jobs())?;
        let file = to.join(format!("{}.html", diagram.id));
        write(&file, &diagram.text_of(&drawn, PEN))?;
    }
    Ok(())
}

/// Has Chromium draw the diagrams.
fn draw(
    root: &Path,
    tools: &Tools,
    chromium: &Path,
    jobs: &[(String, String, bool)],
) -> Result<Vec<String>> {
    let folder = root
        .join("target/drawings")
        .join(std::process::id().to_string());
    fs::create_dir_all(&folder)?;
    fs::write(folder.join("book.toml"), "[book]\n")?;
    // mdbook-mermaid brings the version of Mermaid that it needs.
    let mut install = run::command(tools.bin.join("mdbook-mermaid"));
    install.arg("install").arg(&folder);
    run::output_of(&mut install).context("`mdbook-mermaid install` failed")?;
    let jobs = jobs
        .iter()
        .map(|(name, source, narrow)| json!({ "name": name, "source": source, "narrow": narrow }));
    let jobs = serde_json::Value::from_iter(jobs).to_string();
    let page = format!(
        "<!DOCTYPE html>\n<meta charset=\"utf-8\">\n<script src=\"mermaid.min.js\"></script>\n\
         <pre id=\"drawn\"></pre>\n<pre id=\"failed\"></pre>\n\
         <script type=\"application/json\" id=\"jobs\">{}</script>\n<script>\n{SCRIPT}</script>\n",
        jobs.replace('<', "\\u003c")
    );
    let file = folder.join("draw.html");
    fs::write(&file, page)?;
    let mut command = run::command(chromium);
    command
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-background-networking",
            "--disable-dev-shm-usage",
            // Chromium waits until the script is done, for at most this many milliseconds.
            "--virtual-time-budget=60000",
            "--dump-dom",
        ])
        .arg(format!("--user-data-dir={}", folder.join("data").display()))
        .arg(format!("file://{}", file.display()));
    let page = run::output_of(&mut command).context("Chromium did not run")?;
    fs::remove_dir_all(&folder)?;
    let found = |id: &str| {
        let (_, rest) = page.split_once(&format!("<pre id=\"{id}\">"))?;
        Some(unescaped(rest.split_once("</pre>")?.0))
    };
    match found("failed") {
        Some(failed) if failed.is_empty() => {}
        failed => bail!("Mermaid did not draw it: {}", failed.unwrap_or_default()),
    }
    let drawn = found("drawn").context("Chromium gave no drawing")?;
    let drawn: Vec<String> = serde_json::from_str(&drawn).context("Chromium gave no drawing")?;
    Ok(drawn)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_diagram_of_the_book_has_its_drawing() {
        assert_eq!(wrong().unwrap(), [""; 0]);
    }
}
