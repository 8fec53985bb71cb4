//! The pages of the book as they are written: their blocks, tables and listings. Whoever
//! checks, measures or renders them reads them here.

pub mod rust_blocks;

use std::fs;
use std::path::{Path, PathBuf};

use crate::html::{link, plain};

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
    /// What it says after its mark.
    pub language: &'p str,
    /// What is in it.
    pub body: Vec<&'p str>,
    /// The number of the first line that is not empty after it, or of the end.
    pub after_line: usize,
    /// What the first line that is not empty after it says.
    pub after: &'p str,
}

/// A table: the cells of its head, then those of each row with its line.
pub struct Table<'p> {
    pub head: Vec<&'p str>,
    pub rows: Vec<(usize, Vec<&'p str>)>,
}

impl Fence<'_> {
    /// Whether it is Rust that stands in the page itself.
    pub fn is_written_rust(&self) -> bool {
        let is_rust = rust_blocks::KINDS.contains(&self.language);
        is_rust && !self.body.iter().any(|line| line.contains("{{#"))
    }
}

impl Page {
    /// Where something is: `src/page.md:12: what`.
    pub fn at(&self, line: usize, what: impl std::fmt::Display) -> String {
        let file = link(&plain(&Path::new("src").join(&self.path)));
        format!("{file}:{line}: {what}")
    }

    /// Whether rustdoc runs its Rust, by way of `doc-comment`.
    pub fn is_doctest(&self) -> bool {
        self.path == README
    }

    /// The folder that its links and includes start from, below the root.
    pub fn folder(&self) -> PathBuf {
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

    /// What the line below a listing's caption says of lines that no test runs.
    pub fn reason(&self, fence: &Fence<'_>) -> Option<&str> {
        let line = self.text.lines().nth(fence.after_line)?;
        let reason = line
            .trim()
            .strip_prefix(REASON[0])?
            .strip_suffix(REASON[1])?;
        Some(reason.trim()).filter(|reason| !reason.is_empty())
    }

    /// The lines outside of fences, each with its number.
    pub fn prose(&self) -> Vec<(usize, &str)> {
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

    pub fn tables(&self) -> Vec<Table<'_>> {
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

/// What stands around the reason why no test runs a line of a listing.
const REASON: [&str; 2] = ["<!-- unrun: ", "-->"];

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
pub fn code_in(cell: &str) -> Option<&str> {
    cell.split('`').nth(1)
}

/// The crate's front page, from where the book's pages are.
const README: &str = "../crate/README.md";

pub fn readme() -> Page {
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

/// A piece of a file that a page shows.
#[derive(Debug)]
pub struct Listing {
    /// The file below the root.
    pub file: String,
    /// The anchor's name.
    pub anchor: String,
}

impl Listing {
    /// One include of one anchor, in a figure that names the file.
    pub fn of(page: &Page, fence: &Fence<'_>) -> Result<Self, String> {
        let [line] = fence.body.as_slice() else {
            return Err("an include stands alone in its block".to_owned());
        };
        let target = line
            .strip_prefix("{{#include ")
            .and_then(|line| line.strip_suffix("}}"))
            .ok_or_else(|| format!("not an include of an anchor: {line}"))?;
        let (path, anchor) = target
            .rsplit_once(':')
            .ok_or_else(|| format!("an include without an anchor: {target}"))?;
        let path = plain(&page.folder().join(path));
        let file = link(&path);
        let text = std::fs::read_to_string(crate::root().join(&path))
            .map_err(|_| format!("there is no {file}"))?;
        if !is_compiled(&path) {
            return Err(format!("{file} is not compiled"));
        }
        let language = match path.extension().and_then(|extension| extension.to_str()) {
            Some("rs") => "rust",
            Some(extension) => extension,
            None => "",
        };
        if fence.language != language {
            return Err(format!("is `{}` and shows {file}", fence.language));
        }
        let lines =
            anchored(&text, anchor).ok_or_else(|| format!("{file} has no anchor `{anchor}`"))?;
        if lines.is_empty() {
            return Err(format!("anchor `{anchor}` of {file} is empty"));
        }
        let caption = caption(&file);
        if fence.after != caption {
            return Err(format!("the caption is not {caption}"));
        }
        Ok(Listing {
            anchor: anchor.to_owned(),
            file,
        })
    }
}

/// The line below a listing that names its file.
pub fn caption(file: &str) -> String {
    format!("<figcaption><code>{file}</code></figcaption>")
}

/// What mdBook puts in place of an include: the lines of code of an anchor that
/// is there exactly once.
fn anchored<'t>(text: &'t str, anchor: &str) -> Option<Vec<&'t str>> {
    let is = |line: &str, mark: &str| {
        let name = line.split_once(mark).map(|(_, name)| name.trim());
        name == Some(anchor)
    };
    let starts = text.lines().filter(|line| is(line, "ANCHOR:")).count();
    let ends = text.lines().filter(|line| is(line, "ANCHOR_END:")).count();
    if (starts, ends) != (1, 1) {
        return None;
    }
    let lines = text.lines().skip_while(|line| !is(line, "ANCHOR:"));
    let lines = lines.skip(1).take_while(|line| !is(line, "ANCHOR_END:"));
    // A comment alone is what is left of an item that has moved.
    let is_comment = |line: &str| line.starts_with("//") || line.starts_with("# ");
    let shown = lines
        .map(str::trim)
        .filter(|line| !is_comment(line) && !line.is_empty());
    Some(shown.collect())
}

/// Whether cargo or wrangler reads this file: a configuration beside a package, a workflow
/// beside it, whose commands a trial runs, a module that its parent names, or JavaScript that
/// the Rust beside it binds.
fn is_compiled(path: &Path) -> bool {
    let parent = path.parent().unwrap_or(Path::new(""));
    let name = path.file_stem().and_then(|name| name.to_str());
    match (path.extension().and_then(|it| it.to_str()), name) {
        (Some("toml" | "yaml"), _) => crate::root().join(parent).join("Cargo.toml").is_file(),
        (Some("rs"), Some("lib" | "main")) => true,
        // A folder's own module is declared where the folder is.
        (Some("rs"), Some("mod")) => is_compiled(&parent.with_extension("rs")),
        (Some("js"), Some(_)) => {
            let rust = std::fs::read_to_string(crate::root().join(path.with_extension("rs")));
            // The path in the attribute is that within the package.
            let mut within = path.iter().skip_while(|part| *part != "src");
            let within = within.by_ref().collect::<PathBuf>().display().to_string();
            rust.is_ok_and(|text| text.contains(&format!("module = \"/{within}\"")))
        }
        (Some("rs"), Some(name)) => {
            let declared = |file: PathBuf| {
                let text = std::fs::read_to_string(crate::root().join(file));
                text.is_ok_and(|text| text.contains(&format!("mod {name};")))
            };
            declared(parent.with_extension("rs"))
                || ["mod.rs", "lib.rs", "main.rs"]
                    .iter()
                    .any(|file| declared(parent.join(file)))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_anchor_that_is_empty_or_there_twice_is_no_anchor() {
        let once = "// ANCHOR: a\nfn a() {}\n// ANCHOR_END: a\n";
        assert_eq!(anchored(once, "a"), Some(vec!["fn a() {}"]));
        assert_eq!(anchored(&once.repeat(2), "a"), None);
        assert_eq!(anchored("// ANCHOR: a\nfn a() {}\n", "a"), None);
        assert_eq!(anchored(once, "b"), None);
        let empty =
            "// ANCHOR: a\n\n/// An item.\n// ANCHOR: b\n// ANCHOR_END: b\n// ANCHOR_END: a\n";
        assert_eq!(anchored(empty, "a"), Some(vec![]));
    }

    #[test]
    fn a_file_that_no_module_names_is_not_compiled() {
        assert!(is_compiled(Path::new("crate/src/steps/guard.rs")));
        assert!(is_compiled(Path::new(
            "listings/src/workflows/compilation.rs"
        )));
        assert!(is_compiled(Path::new("listings/wrangler.toml")));
        assert!(!is_compiled(Path::new("crate/src/left_over.rs")));
        assert!(!is_compiled(Path::new("src/wrangler.toml")));
    }
}
