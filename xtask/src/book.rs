//! Renders the book: starts mdBook, the book's compiler and rustdoc.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use book_compiler::anchors::{self, New};
use book_compiler::proven::AHEAD;
use book_compiler::rendered::{self, broken};
use book_compiler::{Chapter, api};
use clap::Parser;

use crate::setup::{Setup, Tools};
use crate::{Cli, drawings, engine, run};

/// `cargo xtask book`.
pub fn book(root: &Path, is_to_record: bool) -> Result<()> {
    let tools = Setup::new(root)?.book_tools()?;
    let new = if is_to_record { New::Add } else { New::Refuse };
    render(root, &tools, new)?;
    eprintln!("rendered: {}", root.join("book/index.html").display());
    Ok(())
}

/// Renders the book and the documentation of the crate into ./book.
pub fn render(root: &Path, tools: &Tools, new: New) -> Result<()> {
    render_to(root, tools, &root.join("book"), &[], new)
}

/// Renders into a folder. `variables` change the settings in book.toml. With [`New::Tell`] the
/// pages may also show what the records do not have yet.
pub fn render_to(
    root: &Path,
    tools: &Tools,
    folder: &Path,
    variables: &[(&str, String)],
    mut new: New,
) -> Result<()> {
    drawings::update(root, tools)?;
    // Renders into a separate folder, and then moves it in one step, so that nobody sees half a
    // book.
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
    if new == New::Tell {
        command.envs([AHEAD]);
    } else if std::env::var_os(AHEAD.0).is_some() && new == New::Refuse {
        new = New::Tell;
    }
    // At its default level mdBook reports each of its steps.
    if std::env::var_os("MDBOOK_LOG").is_none() {
        command.env("MDBOOK_LOG", "warn");
    }
    run::inherited(&mut command)?;
    // mdBook gives each renderer a folder of its own.
    let pages = made.join("html");
    anchors::settle(&pages, new)?;
    api::add(&document(root)?, &pages)?;
    let wrong = broken(&pages, &rendered::pages(&pages, &[])?);
    if !wrong.is_empty() {
        bail!("links of the book lead nowhere:\n{}", wrong.join("\n"));
    }
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

/// Runs rustdoc.
///
/// The compiled dependencies are shared with every other build. Only the pages have a folder of
/// their own, because rustdoc adds to the pages that it finds.
fn document(root: &Path) -> Result<PathBuf> {
    let target = root.join("target/api");
    let mut command = run::command("cargo");
    command
        .current_dir(root)
        .env("CARGO_BUILD_BUILD_DIR", root.join("target"))
        .args(["doc", "--quiet", "--no-deps", "--lib", "--all-features"])
        .args(["--package", "worker-sentry", "--target-dir"])
        .arg(&target);
    run::inherited(&mut command)?;
    Ok(target.join("doc"))
}

/// `cargo xtask preprocess`: checks the drawings and the commands of `cargo xtask` in the pages;
/// the book's compiler does the rest.
pub fn preprocess(root: &Path) -> Result<()> {
    let mut wrong = drawings::wrong()?;
    wrong.extend(Chapter::all().iter().flat_map(unknown_commands));
    if !wrong.is_empty() {
        bail!(
            "the book has mistakes; correct these places:\n{}",
            wrong.join("\n")
        );
    }
    compile(root, &["preprocess".as_ref()])
}

/// `cargo xtask site`: makes the engine of the laboratory; the book's compiler does the rest.
pub fn site(root: &Path) -> Result<()> {
    let engine = engine::build(root)?;
    compile(root, &["site".as_ref(), &engine])
}

/// Passes mdBook's input to the book's compiler. That is a program of its own, because most
/// commands need no book and would have to wait until the compiler is built.
fn compile(root: &Path, arguments: &[&Path]) -> Result<()> {
    let mut command = run::command("cargo");
    command.current_dir(root).stdin(Stdio::inherit());
    command.args(["run", "--package", "book-compiler"]);
    // The first build takes a while. Without output it would look like a hang.
    let made = std::env::current_exe()?.with_file_name("book-compiler");
    if made.is_file() {
        command.arg("--quiet");
    }
    run::inherited(command.arg("--").args(arguments))
}

/// The lines of a page that start with `cargo xtask` but are not valid commands.
fn unknown_commands(page: &Chapter) -> Vec<String> {
    let fences = page.fences().into_iter();
    let fences = fences.filter(|fence| fence.language == "sh");
    let lines = fences.flat_map(|fence| (fence.line + 1..).zip(fence.body));
    let unknown = lines.filter(|(_, line)| {
        let words = line.split_whitespace().skip(1);
        // The parser expects `cargo xtask` as the name of the program.
        line.starts_with("cargo xtask") && Cli::try_parse_from(words).is_err()
    });
    let unknown = unknown.map(|(number, line)| {
        let what = format!("not a command of cargo xtask: {line}");
        page.at(number, what)
    });
    unknown.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_of_a_page_that_the_parser_does_not_know_is_named_with_its_line() {
        let page = |line: &str| Chapter {
            path: "test.md".to_owned(),
            text: format!("Text.\n\n```sh\n{line}\nls\n```\n"),
        };
        for good in [
            "cargo xtask test alarm",
            "cargo test",
            "cargo xtask book --anchors",
        ] {
            assert_eq!(unknown_commands(&page(good)), [""; 0], "{good}");
        }
        for bad in [
            "cargo xtask everything",
            "cargo xtask test --all",
            "cargo xtask",
        ] {
            let expected = format!("src/test.md:4: not a command of cargo xtask: {bad}");
            assert_eq!(unknown_commands(&page(bad)), [expected]);
        }
    }

    #[test]
    fn every_command_of_the_pages_is_one() {
        let pages = Chapter::all();
        assert_eq!(
            Vec::from_iter(pages.iter().flat_map(unknown_commands)),
            [""; 0]
        );
    }
}
