//! The pages of the book as they are written: their blocks, tables and prose.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag};

use crate::files::{self, link, plain, read};
use crate::listing::Listing;

/// A page, as it is written.
#[derive(Clone, Debug)]
pub struct Chapter {
    /// The page's file below `src`, such as `hosts/main.md`.
    pub path: String,
    /// The page's Markdown.
    pub text: String,
}

/// A fenced block. Lines are counted from 1.
#[derive(Clone, Debug)]
pub struct Fence<'c> {
    /// The number of the line that opens it.
    pub line: usize,
    /// The number of the line that closes it.
    pub end_line: usize,
    /// The text behind the opening mark.
    pub language: &'c str,
    /// The lines of the block.
    pub body: Vec<&'c str>,
    /// The number of the first line after the block that is not empty, or of the page's end.
    pub after_line: usize,
    /// The text of the first line after the block that is not empty.
    pub after: &'c str,
}

/// A table: the cells of its head, then those of each row with its line.
#[derive(Default)]
pub struct Table<'c> {
    pub head: Vec<&'c str>,
    pub rows: Vec<(usize, Vec<&'c str>)>,
}

/// The kinds of a Rust block that stands in a page. Each is compiled; all but `no_run` are run.
const WRITTEN: [&str; 3] = ["rust", "rust,no_run", "rust,should_panic"];

impl Fence<'_> {
    /// Whether the block shows a part of a file.
    pub fn is_include(&self) -> bool {
        self.body.iter().any(|line| line.contains("{{#"))
    }

    /// Whether the block is Rust that stands in the page itself.
    pub fn is_written_rust(&self) -> bool {
        WRITTEN.contains(&self.language) && !self.is_include()
    }

    /// The block's name in the record of the tests. It changes with every change to the block,
    /// because a test of an older text proves nothing.
    pub fn key(&self) -> String {
        let lines = self.body.iter().map(|line| line.as_bytes());
        let bytes = lines.flat_map(|line| line.iter().chain(b"\n"));
        format!("block_{}", files::fnv(bytes))
    }
}

impl Chapter {
    /// Every page of the book.
    ///
    /// # Panics
    ///
    /// If the pages cannot be read.
    pub fn all() -> Vec<Self> {
        let folder = files::root().join("src");
        let files = files::files_below(&folder, "md").into_iter();
        let chapters = Vec::from_iter(files.map(|file| Self {
            path: link(file.strip_prefix(&folder).expect("a file of the folder")),
            text: fs::read_to_string(&file).expect("a page is text"),
        }));
        assert!(chapters.len() > 20, "only {} pages", chapters.len());
        chapters
    }

    /// The page whose file this is.
    ///
    /// # Panics
    ///
    /// If there is no such page.
    pub fn named(path: &str) -> Self {
        Self {
            path: path.to_owned(),
            text: read(Path::new("src").join(path)),
        }
    }

    /// A message with its place: `src/page.md:12: what`.
    pub fn at(&self, line: usize, what: impl std::fmt::Display) -> String {
        let file = link(&plain(&Path::new("src").join(&self.path)));
        format!("{file}:{line}: {what}")
    }

    /// Whether rustdoc runs the page's Rust, through `doc-comment`.
    pub fn is_doctest(&self) -> bool {
        self.path == FRONT_PAGE
    }

    /// Whether this is the list of pages, or the page that is shown in place of one that does not
    /// exist.
    pub fn is_apart(&self) -> bool {
        ["SUMMARY.md", "404.md"].contains(&self.path.as_str())
    }

    /// The folder that the page's links and includes start from, below the root.
    pub fn folder(&self) -> PathBuf {
        Path::new("src")
            .join(&self.path)
            .parent()
            .expect("a file is in a folder")
            .to_path_buf()
    }

    /// The page's name among the tests: `hosts_main` for `hosts/main.md`.
    pub fn module(&self) -> String {
        self.path.trim_end_matches(".md").replace(['/', '-'], "_")
    }

    /// The name that `skeptic` gives to the test of a block, without the line.
    pub fn test_of(&self, fence: &Fence<'_>) -> String {
        format!("{}_sect_{}", self.module(), fence.key())
    }

    /// The page as mdBook reads it.
    fn events(&self) -> impl Iterator<Item = (Event<'_>, Range<usize>)> {
        let options = Options::ENABLE_TABLES
            | Options::ENABLE_FOOTNOTES
            | Options::ENABLE_STRIKETHROUGH
            | Options::ENABLE_TASKLISTS
            | Options::ENABLE_HEADING_ATTRIBUTES
            | Options::ENABLE_DEFINITION_LIST
            | Options::ENABLE_GFM;
        Parser::new_ext(&self.text, options).into_offset_iter()
    }

    fn line_of(&self, at: usize) -> usize {
        self.text[..at].matches('\n').count() + 1
    }

    /// The fenced blocks.
    pub fn fences(&self) -> Vec<Fence<'_>> {
        let is_fence = |event: &Event<'_>| {
            matches!(
                event,
                Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(_)))
            )
        };
        let fences = self.events().filter(|(event, _)| is_fence(event));
        let fences = fences.map(|(_, range)| {
            let line = self.line_of(range.start);
            let mut body = Vec::from_iter(self.text[range].lines());
            let language = body.remove(0).trim().trim_start_matches(['`', '~']).trim();
            let end_line = line + body.len();
            body.pop();
            let mut after = self.text.lines().map(str::trim).enumerate().skip(end_line);
            let (after_line, after) = after.find(|it| !it.1.is_empty()).unwrap_or((end_line, ""));
            Fence {
                line,
                end_line,
                language,
                body,
                after_line: after_line + 1,
                after,
            }
        });
        fences.collect()
    }

    /// The reason, from the line below a listing's caption, why no test runs some of its lines.
    pub fn reason(&self, fence: &Fence<'_>) -> Option<&str> {
        let line = self.text.lines().nth(fence.after_line)?;
        let reason = line
            .trim()
            .strip_prefix(REASON[0])?
            .strip_suffix(REASON[1])?;
        Some(reason.trim()).filter(|reason| !reason.is_empty())
    }

    /// The file that a block shows a part of, and that part. The file may be the page itself.
    pub fn listed(&self, fence: &Fence<'_>) -> Option<(String, String)> {
        if fence.is_written_rust() {
            return Some((format!("src/{}", self.path), fence.body.join("\n")));
        }
        let listing = Listing::of(self, fence).ok()?;
        let text = read(&listing.file);
        let lines = Vec::from_iter(listing.shown(&text).into_iter().map(|it| it.1));
        Some((listing.file.clone(), lines.join("\n")))
    }

    /// The lines outside of fences, each with its number.
    pub fn prose(&self) -> Vec<(usize, &str)> {
        let fences = self.fences();
        let is_code = |line| {
            let mut fences = fences.iter();
            fences.any(|fence| (fence.line..=fence.end_line).contains(&line))
        };
        let lines = self.text.lines().enumerate();
        let lines = lines.map(|(index, text)| (index + 1, text));
        lines.filter(|(line, _)| !is_code(*line)).collect()
    }

    /// The tables, with their cells as they are written.
    pub fn tables(&self) -> Vec<Table<'_>> {
        let mut tables: Vec<Table<'_>> = Vec::new();
        for (event, range) in self.events() {
            match (event, tables.last_mut()) {
                (Event::Start(Tag::Table(_)), _) => tables.push(Table::default()),
                (Event::Start(Tag::TableRow), Some(table)) => {
                    table.rows.push((self.line_of(range.start), Vec::new()));
                }
                (Event::Start(Tag::TableCell), Some(table)) => {
                    let cells = match table.rows.last_mut() {
                        Some((_, cells)) => cells,
                        None => &mut table.head,
                    };
                    cells.push(self.text[range].trim_matches('|').trim());
                }
                _ => {}
            }
        }
        tables
    }

    /// The table with this head.
    ///
    /// # Panics
    ///
    /// If there is no such table.
    pub fn table(&self, head: &[&str]) -> Table<'_> {
        let mut tables = self.tables();
        tables.retain(|table| table.head == head);
        let found = tables.pop();
        found.unwrap_or_else(|| panic!("src/{} has no table with the head {head:?}", self.path))
    }
}

/// The text around the reason why no test runs a line of a listing.
const REASON: [&str; 2] = ["<!-- unrun: ", "-->"];

/// The text in backticks in a cell, such as ``[`main`](main.md)``.
pub fn code_in(cell: &str) -> Option<&str> {
    cell.split('`').nth(1)
}

/// The path of the crate's front page, from the folder of the book's pages.
const FRONT_PAGE: &str = "../crate/README.md";

/// The crate's front page, which rustdoc shows.
pub fn front_page() -> Chapter {
    Chapter::named(FRONT_PAGE)
}

/// A page for tests.
#[cfg(test)]
pub(crate) fn chapter(text: &str) -> Chapter {
    Chapter {
        path: "test.md".to_owned(),
        text: text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fence_has_its_lines_and_what_comes_after_it() {
        let page = chapter(
            "Text.\n\n  ~~~sh\n  a\n\n  ```\n  ~~~\n\n\nMore.\n\n- x\n\n  ```rust,no_run\n  b\n  ```\n",
        );
        let fences = page.fences();
        let of = |fence: &Fence<'_>| (fence.line, fence.end_line, fence.after_line);
        assert_eq!(
            fences.iter().map(of).collect::<Vec<_>>(),
            [(3, 7, 10), (14, 16, 17)]
        );
        assert_eq!(fences[0].body, ["  a", "", "  ```"]);
        assert_eq!(
            [fences[0].language, fences[1].language],
            ["sh", "rust,no_run"]
        );
        assert_eq!([fences[0].after, fences[1].after], ["More.", ""]);
        let prose = page.prose();
        assert_eq!(prose.iter().filter(|it| !it.1.is_empty()).count(), 3);
    }

    #[test]
    fn a_table_has_its_cells_as_they_are_written() {
        let page = chapter(
            "A\n\n| `x` | Y |\n| --- | :-- |\n| [`a`](b.md) | `c \\| d` |\n| e | f |\n\n| z |\n|---|\n",
        );
        let tables = page.tables();
        assert_eq!(tables.len(), 2);
        assert_eq!(tables[0].head, ["`x`", "Y"]);
        assert_eq!(tables[0].rows[0], (5, vec!["[`a`](b.md)", "`c \\| d`"]));
        assert_eq!(tables[0].rows[1], (6, vec!["e", "f"]));
        assert_eq!((tables[1].head.len(), tables[1].rows.len()), (1, 0));
    }
}
