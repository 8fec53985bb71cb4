//! The listings: pieces of files that pages show.

use std::fs;
use std::path::{Path, PathBuf};

use crate::chapter::{Chapter, Fence};
use crate::files::{link, plain, root};

/// A piece of a file that a page shows.
#[derive(Debug)]
pub struct Listing {
    /// The path of the file from the root.
    pub file: String,
    /// The anchor's name.
    pub anchor: String,
}

impl Listing {
    /// The one include of one anchor in this block. Its figure must name the file.
    pub fn of(page: &Chapter, fence: &Fence<'_>) -> Result<Self, String> {
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
        let text =
            fs::read_to_string(root().join(&path)).map_err(|_| format!("there is no {file}"))?;
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
            code_of(&text, anchor).ok_or_else(|| format!("{file} has no anchor `{anchor}`"))?;
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

    /// The lines of the file's text that a page shows, each with its number in the file.
    pub fn shown<'t>(&self, text: &'t str) -> Vec<(usize, &'t str)> {
        shown(text, &self.anchor)
    }

    /// The listing's name in the record of the measurement.
    pub fn key(&self) -> String {
        format!("{}:{}", self.file, self.anchor)
    }
}

/// The line below a listing that names its file.
pub fn caption(file: &str) -> String {
    format!("<figcaption><code>{file}</code></figcaption>")
}

/// The lines of an anchor that a page shows, each with its number in the file.
pub(crate) fn shown<'t>(text: &'t str, anchor: &str) -> Vec<(usize, &'t str)> {
    let lines = text.lines().enumerate();
    let lines = lines.skip_while(|(_, line)| !is_mark(line, "ANCHOR:", anchor));
    let lines = lines.skip(1);
    let lines = lines.take_while(|(_, line)| !is_mark(line, "ANCHOR_END:", anchor));
    // mdBook leaves out the marks of other anchors inside this one.
    let lines =
        lines.filter(|(_, line)| !line.contains("ANCHOR:") && !line.contains("ANCHOR_END:"));
    lines.map(|(index, line)| (index + 1, line)).collect()
}

/// The anchors that begin in a text.
#[cfg(test)]
pub(crate) fn anchors(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(|line| marked(line, "ANCHOR:"))
}

fn is_mark(line: &str, mark: &str, anchor: &str) -> bool {
    marked(line, mark) == Some(anchor)
}

/// The name behind a mark.
fn marked<'l>(line: &'l str, mark: &str) -> Option<&'l str> {
    line.split_once(mark).map(|(_, name)| name.trim())
}

/// The lines of code of an anchor, if the anchor is there exactly once.
fn code_of<'t>(text: &'t str, anchor: &str) -> Option<Vec<&'t str>> {
    let count = |mark: &str| {
        text.lines()
            .filter(|line| is_mark(line, mark, anchor))
            .count()
    };
    if (count("ANCHOR:"), count("ANCHOR_END:")) != (1, 1) {
        return None;
    }
    // A listing of comments alone is empty: its item has moved.
    let is_comment = |line: &str| line.starts_with("//") || line.starts_with("# ");
    let lines = shown(text, anchor).into_iter().map(|(_, line)| line.trim());
    Some(
        lines
            .filter(|line| !is_comment(line) && !line.is_empty())
            .collect(),
    )
}

/// Whether the tests use this file: cargo or wrangler reads a configuration beside a package, a
/// test runs the commands of a workflow, a module has to be declared by its parent, and JavaScript
/// has to be bound by the Rust file beside it.
fn is_compiled(path: &Path) -> bool {
    let parent = path.parent().unwrap_or(Path::new(""));
    let name = path.file_stem().and_then(|name| name.to_str());
    match (path.extension().and_then(|it| it.to_str()), name) {
        (Some("toml" | "yaml"), _) => root().join(parent).join("Cargo.toml").is_file(),
        (Some("rs"), Some("lib" | "main")) => true,
        // A folder's own module is declared in the file that declares the folder.
        (Some("rs"), Some("mod")) => is_compiled(&parent.with_extension("rs")),
        (Some("js"), Some(_)) => {
            let rust = fs::read_to_string(root().join(path.with_extension("rs")));
            // The attribute has the path within the package.
            let mut within = path.iter().skip_while(|part| *part != "src");
            let within = within.by_ref().collect::<PathBuf>().display().to_string();
            rust.is_ok_and(|text| text.contains(&format!("module = \"/{within}\"")))
        }
        (Some("rs"), Some(name)) => {
            let declared = |file: PathBuf| {
                let text = fs::read_to_string(root().join(file));
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
        assert_eq!(code_of(once, "a"), Some(vec!["fn a() {}"]));
        assert_eq!(code_of(&once.repeat(2), "a"), None);
        assert_eq!(code_of("// ANCHOR: a\nfn a() {}\n", "a"), None);
        assert_eq!(code_of(once, "b"), None);
        let empty =
            "// ANCHOR: a\n\n/// An item.\n// ANCHOR: b\n// ANCHOR_END: b\n// ANCHOR_END: a\n";
        assert_eq!(code_of(empty, "a"), Some(vec![]));
    }

    #[test]
    fn a_page_shows_what_is_between_the_marks_and_no_mark() {
        let text =
            "a\n// ANCHOR: x\nb\n  // ANCHOR: y\n  c\n// ANCHOR_END: y\n// ANCHOR_END: x\nd\n";
        assert_eq!(shown(text, "x"), [(3, "b"), (5, "  c")]);
        assert_eq!(shown(text, "y"), [(5, "  c")]);
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
