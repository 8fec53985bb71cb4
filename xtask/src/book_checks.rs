//! What the pages of the book must not get wrong, checked on their sources.
//!
//! mdBook renders a page whose include names no anchor, whose link leads
//! nowhere or whose table is out of date, and says nothing. The preprocessor
//! fails the build for blocks and links, tests fail for tables, each with the
//! page and the line.

#[cfg(test)]
mod anchors;
#[cfg(test)]
mod api;
mod blocks;
#[cfg(test)]
mod diagrams;
mod links;
pub mod rust_blocks;
#[cfg(test)]
mod tables;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::html;
use crate::proven::Proven;

pub use blocks::{Listing, caption};

/// Everything that is wrong with the blocks and the links of all pages, as
/// `page:line: what`.
pub fn wrong(proven: &Proven) -> Vec<String> {
    let mut pages = pages();
    let links = links::wrong(&pages);
    pages.push(readme());
    blocks::wrong(&pages, proven)
        .into_iter()
        .chain(links)
        .collect()
}

/// A page, as it is written.
pub struct Page {
    /// Its file below `src`, such as `hosts/main.md`.
    pub path: String,
    /// Its Markdown.
    pub text: String,
}

/// A fenced block. Lines are counted from 1.
pub struct Fence<'p> {
    /// The number of the line that opens it.
    pub line: usize,
    /// The number of the line that closes it.
    pub end_line: usize,
    language: &'p str,
    /// What is in it.
    pub body: Vec<&'p str>,
    /// The number of the first line that is not empty after it, or of the end.
    pub after_line: usize,
    /// What the first line that is not empty after it says.
    after: &'p str,
}

/// A table: the cells of its head, then those of each row with its line.
struct Table<'p> {
    head: Vec<&'p str>,
    rows: Vec<(usize, Vec<&'p str>)>,
}

impl Fence<'_> {
    /// What it says after its mark.
    pub fn language(&self) -> &str {
        self.language
    }

    /// Whether it is Rust that stands in the page itself.
    pub fn is_written_rust(&self) -> bool {
        let is_rust = rust_blocks::KINDS.contains(&self.language);
        is_rust && !self.body.iter().any(|line| line.contains("{{#"))
    }
}

impl Page {
    /// Where something is: `src/page.md:12: what`.
    pub fn at(&self, line: usize, what: impl std::fmt::Display) -> String {
        let file = html::link(&html::plain(&Path::new("src").join(&self.path)));
        format!("{file}:{line}: {what}")
    }

    /// Whether rustdoc runs its Rust, by way of `doc-comment`.
    fn is_doctest(&self) -> bool {
        self.path == README
    }

    /// The folder that its links and includes start from, below the root.
    fn folder(&self) -> PathBuf {
        Path::new("src")
            .join(&self.path)
            .parent()
            .unwrap()
            .to_path_buf()
    }

    /// The fenced blocks.
    pub fn fences(&self) -> Vec<Fence<'_>> {
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
            let end = index + body.len() + 2;
            let mut after = self.text.lines().map(str::trim).enumerate().skip(end);
            let (after_line, after) = after.find(|it| !it.1.is_empty()).unwrap_or((end, ""));
            fences.push(Fence {
                line: index + 1,
                end_line: end,
                language: language.1,
                body,
                after_line: after_line + 1,
                after,
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

/// The crate's front page, from where the book's pages are.
const README: &str = "../crate/README.md";

fn readme() -> Page {
    Page {
        path: README.to_owned(),
        text: read("crate/README.md"),
    }
}

/// Every page of the book.
pub fn pages() -> Vec<Page> {
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

/// The files of a folder and those below it, in their order.
pub fn files_below(folder: &Path, extension: &str) -> Vec<PathBuf> {
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
pub fn read(path: impl AsRef<Path>) -> String {
    let file = crate::root().join(path);
    fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// All of a package's sources as one text.
fn sources(folder: &str) -> String {
    let files = files_below(&crate::root().join(folder), "rs");
    let texts: Vec<String> = files.into_iter().map(read).collect();
    texts.join("\n")
}

/// `host/handler` of each drill that the example answers.
fn drills() -> Vec<String> {
    let text = read("listings/src/drill.rs");
    let drills = text.lines().filter_map(|line| {
        let (host, rest) = line.trim().strip_prefix("(\"")?.split_once("\", \"")?;
        let (handler, _) = rest.split_once("\") =>")?;
        Some(format!("{host}/{handler}"))
    });
    drills.collect()
}

/// A class, its handler, and the function that reports what it fails with.
pub type Host = (String, String, String);

/// The name of a handler, at the start of a text with the enum's: `WebsocketError`.
fn handler_name(rest: &str) -> Option<String> {
    let variant = rest.split(|c: char| !c.is_ascii_alphanumeric()).next()?;
    let mut name = String::new();
    for letter in variant.chars() {
        if letter.is_ascii_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(letter.to_ascii_lowercase());
    }
    Some(name)
}

/// Every place in the sources that names a host and reports.
pub fn reporting(sources: &str) -> BTreeSet<Host> {
    let mut hosts = BTreeSet::new();
    let calls = |name: &str| {
        let calls = sources
            .match_indices(name)
            .map(|(at, _)| &sources[at + name.len()..]);
        Vec::from_iter(calls)
    };
    let names = |rest: &str| -> Vec<String> {
        let call = rest.split(')').next().unwrap_or_default();
        let classes = call.split('"').skip(1).step_by(2).map(str::to_owned);
        let handlers = call.split("Handler::").skip(1).filter_map(handler_name);
        Vec::from_iter(classes.chain(handlers))
    };
    for rest in calls("with_sentry_worker(") {
        if let [handler] = names(rest).as_slice() {
            hosts.insert(("main".into(), handler.clone(), "with_sentry_worker".into()));
        }
    }
    for rest in calls("with_sentry_in_isolate(") {
        if let [class, handler] = names(rest).as_slice() {
            let how = "with_sentry_in_isolate".to_owned();
            hosts.insert((class.clone(), handler.clone(), how));
        }
    }
    for rest in calls(".in_handler(") {
        if let [class, handler] = names(rest).as_slice()
            && let Some(at) = rest.find("capture_exception_in_")
        {
            let how = rest[at..].split('(').next().unwrap_or_default();
            hosts.insert((class.clone(), handler.clone(), how.to_owned()));
        }
    }
    hosts
}

#[cfg(test)]
fn assert_none(wrong: &[String]) {
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

/// A page for the tests of these checks.
#[cfg(test)]
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
#[cfg(test)]
fn is_apart(page: &Page) -> bool {
    ["SUMMARY.md", "404.md"].contains(&page.path.as_str())
}
