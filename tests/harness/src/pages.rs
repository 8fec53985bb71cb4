//! The pages of the book as they are written, for the tests that do what they say.

use std::fs;
use std::path::Path;

use crate::environment;

/// A page, and the blocks on it.
#[derive(Debug)]
pub struct Page {
    /// Its file below `src`, such as `hosts/main.md`.
    pub path: String,
    /// All of it.
    pub text: String,
    /// In their order.
    pub blocks: Vec<Block>,
}

/// A block of commands or of what a program prints, or a listing.
#[derive(Clone, Debug)]
pub struct Block {
    /// The number of its first line.
    pub line: usize,
    /// `sh`, `text`, or whatever else it is marked with.
    pub kind: String,
    /// What is in it.
    pub lines: Vec<String>,
}

impl Block {
    /// The lines of a block of a kind, or nothing.
    pub fn lines_of(&self, kind: &str) -> &[String] {
        if self.kind == kind { &self.lines } else { &[] }
    }

    /// The file that a block on this page shows a part of, which may be the page
    /// itself, and that part.
    ///
    /// # Panics
    ///
    /// If the file cannot be read or has no such part.
    pub fn listed(&self, page: &str) -> Option<(String, String)> {
        if self.kind.starts_with("rust") && !self.lines.concat().contains("{{#") {
            return Some((format!("src/{page}"), self.lines.join("\n")));
        }
        let target = self.lines.first()?.strip_prefix("{{#include ")?;
        let (path, anchor) = target.strip_suffix("}}")?.rsplit_once(':')?;
        // Pages are in `src` or one folder below it, and go up to the root.
        let ups = page.matches('/').count() + 1;
        let file = path.strip_prefix(&"../".repeat(ups))?;
        let text = fs::read_to_string(environment::workspace().join(file)).expect("a listed file");
        let is = |line: &str, mark: &str| {
            let name = line.split_once(mark).map(|(_, name)| name.trim());
            name == Some(anchor)
        };
        let after = text.lines().skip_while(|line| !is(line, "ANCHOR:")).skip(1);
        let inside = after.take_while(|line| !is(line, "ANCHOR_END:"));
        let shown = inside.filter(|line| !line.contains("ANCHOR"));
        Some((file.to_owned(), shown.collect::<Vec<_>>().join("\n")))
    }
}

/// All pages.
///
/// # Panics
///
/// If they cannot be read.
pub fn all() -> Vec<Page> {
    let folder = environment::workspace().join("src");
    let mut pages = Vec::new();
    read(&folder, "", &mut pages);
    pages.sort_by(|one, other| one.path.cmp(&other.path));
    pages
}

fn read(folder: &Path, prefix: &str, pages: &mut Vec<Page>) {
    for entry in fs::read_dir(folder).expect("the pages are there") {
        let path = entry.expect("the pages can be listed").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_dir() {
            read(&path, &format!("{prefix}{name}/"), pages);
        } else if name.ends_with(".md") {
            let text = fs::read_to_string(&path).expect("a page is text");
            pages.push(Page {
                path: format!("{prefix}{name}"),
                blocks: blocks(&text),
                text,
            });
        }
    }
}

fn blocks(text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((index, line)) = lines.next() {
        let Some(kind) = line.trim().strip_prefix("```") else {
            continue;
        };
        let inside = lines.by_ref().map(|(_, line)| line.to_owned());
        blocks.push(Block {
            line: index + 1,
            kind: kind.to_owned(),
            lines: inside.take_while(|line| line.trim() != "```").collect(),
        });
    }
    blocks
}
