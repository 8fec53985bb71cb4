//! What the pages of the book must not get wrong, checked on their sources.
//!
//! mdBook renders a page whose include names no anchor, whose link leads
//! nowhere or whose table is out of date, and says nothing. These tests do, with
//! the page and the line.

mod anchors;
mod api;
mod blocks;
mod diagrams;
mod links;
mod tables;

use std::fs;
use std::path::{Path, PathBuf};

/// A page, as it is written.
struct Page {
    /// Its file below `src`, such as `hosts/main.md`.
    path: String,
    text: String,
}

/// A fenced block. Lines are counted from 1.
struct Fence<'p> {
    line: usize,
    language: &'p str,
    body: Vec<&'p str>,
    /// What the first line that is not empty after it says.
    after: &'p str,
}

/// A table: the cells of its head, then those of each row with its line.
struct Table<'p> {
    head: Vec<&'p str>,
    rows: Vec<(usize, Vec<&'p str>)>,
}

impl Page {
    fn at(&self, line: usize, what: impl std::fmt::Display) -> String {
        format!("src/{}:{line}: {what}", self.path)
    }

    /// The folder that its links and includes start from, below the root.
    fn folder(&self) -> PathBuf {
        Path::new("src")
            .join(&self.path)
            .parent()
            .unwrap()
            .to_path_buf()
    }

    fn fences(&self) -> Vec<Fence<'_>> {
        let mut fences = Vec::new();
        let mut lines = self.text.lines().enumerate().peekable();
        while let Some((index, line)) = lines.next() {
            let Some(language) = opened(line) else {
                continue;
            };
            let mut body = Vec::new();
            for (_, line) in lines.by_ref() {
                if line.trim() == fence_of(language.0) {
                    break;
                }
                body.push(line);
            }
            let after = self.text.lines().skip(index + body.len() + 2);
            fences.push(Fence {
                line: index + 1,
                language: language.1,
                body,
                after: after.map(str::trim).find(|l| !l.is_empty()).unwrap_or(""),
            });
        }
        fences
    }

    /// The lines outside of fences, each with its number.
    fn prose(&self) -> Vec<(usize, &str)> {
        let mut open = None;
        let mut prose = Vec::new();
        for (index, line) in self.text.lines().enumerate() {
            match (open, opened(line)) {
                (Some(mark), _) if line.trim() == fence_of(mark) => open = None,
                (Some(_), _) => {}
                (None, Some((mark, _))) => open = Some(mark),
                (None, None) => prose.push((index + 1, line)),
            }
        }
        prose
    }

    fn tables(&self) -> Vec<Table<'_>> {
        let mut tables: Vec<Table<'_>> = Vec::new();
        let mut last = 0;
        for (line, text) in self.prose() {
            let Some(row) = text.strip_prefix('|') else {
                continue;
            };
            let cells: Vec<&str> = row.trim_end_matches('|').split('|').collect();
            let cells: Vec<&str> = cells.into_iter().map(str::trim).collect();
            let is_rule = cells.iter().all(|cell| cell.trim_matches('-').is_empty());
            match tables.last_mut().filter(|_| line == last + 1) {
                Some(table) if !is_rule => table.rows.push((line, cells)),
                Some(_) => {}
                None => tables.push(Table {
                    head: cells,
                    rows: Vec::new(),
                }),
            }
            last = line;
        }
        tables
    }
}

/// The mark and the language of the fence that this line opens.
fn opened(line: &str) -> Option<(char, &str)> {
    let line = line.trim_start();
    ['`', '~'].into_iter().find_map(|mark| {
        let language = line.strip_prefix(fence_of(mark))?;
        Some((mark, language.trim()))
    })
}

fn fence_of(mark: char) -> &'static str {
    if mark == '`' { "```" } else { "~~~" }
}

/// What stands in backticks in a cell, such as ``[`main`](main.md)``.
fn code_in(cell: &str) -> Option<&str> {
    cell.split('`').nth(1)
}

fn pages() -> Vec<Page> {
    let folder = crate::root().join("src");
    let mut pages = Vec::new();
    for file in files_below(&folder, "md") {
        let path = file.strip_prefix(&folder).unwrap();
        pages.push(Page {
            path: path.to_str().unwrap().replace('\\', "/"),
            text: fs::read_to_string(&file).unwrap(),
        });
    }
    assert!(pages.len() > 20, "only {} pages", pages.len());
    pages
}

fn files_below(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(files_below(&path, extension));
        } else if path.extension().is_some_and(|found| found == extension) {
            files.push(path);
        }
    }
    files.sort();
    files
}

/// The text of a file of the repository.
fn read(path: impl AsRef<Path>) -> String {
    let file = crate::root().join(path);
    fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// All of a package's sources as one text.
fn sources(folder: &str) -> String {
    let files = files_below(&crate::root().join(folder), "rs");
    let texts: Vec<String> = files.into_iter().map(read).collect();
    texts.join("\n")
}

fn assert_none(wrong: &[String]) {
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

/// A page for the tests of these tests.
fn page(text: &str) -> Page {
    Page {
        path: "test.md".to_owned(),
        text: text.to_owned(),
    }
}

#[test]
fn every_page_opens_with_what_the_reader_will_be_able_to_do() {
    let mut wrong = Vec::new();
    for page in pages().iter().filter(|page| !is_apart(page)) {
        let mut lines = page.text.lines().filter(|line| !line.is_empty());
        let title = lines.next().unwrap_or_default();
        let opening = lines.next().unwrap_or_default();
        if !title.starts_with("# ") || !opening.starts_with("After this page") {
            wrong.push(page.at(1, "opens with a title and “After this page …”"));
        }
    }
    assert_none(&wrong);
}

/// The list of pages, and the one that stands in for a page that is not there.
fn is_apart(page: &Page) -> bool {
    ["SUMMARY.md", "404.md"].contains(&page.path.as_str())
}
