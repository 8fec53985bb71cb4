//! The API documentation of the crate, as a part of the book: `api/`.
//!
//! rustdoc makes it. Each page of the API gets a line that leads back to the book, and to the pages
//! of the book that name the item.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::files::{copy, files, link, up, write};
use crate::rendered::{self, Rendered};

/// The folder of the API within the rendered book.
pub const FOLDER: &str = "api";
const FRONT: &str = "worker_sentry/index.html";

/// Adds rustdoc's pages to a rendered book.
pub fn add(docs: &Path, book: &Path) -> Result<()> {
    let pages = rendered::pages(book, &[FOLDER])?;
    let naming = naming(&pages);
    let to = book.join(FOLDER);
    for path in files(docs, &[])? {
        if path.extension().is_none_or(|kind| kind != "html") {
            copy(&docs.join(&path), &to.join(&path))?;
            continue;
        }
        let text = fs::read_to_string(docs.join(&path))?;
        let back = way_back(&path, naming.get(&path).map_or(&[], Vec::as_slice));
        write(
            &to.join(&path),
            &text.replacen("<main>", &format!("<main>{back}"), 1),
        )?;
    }
    write(&to.join("index.html"), &forward(FRONT))
}

/// For each page of the API, the pages of the book that link to it.
fn naming(pages: &[Rendered]) -> BTreeMap<PathBuf, Vec<&Rendered>> {
    let mut naming: BTreeMap<PathBuf, Vec<&Rendered>> = BTreeMap::new();
    // `index.html` and `print.html` repeat the text of other pages.
    let again = ["index.html", "print.html"].map(Path::new);
    for page in pages {
        if again.contains(&page.path.as_path()) {
            continue;
        }
        for (target, _) in page.targets() {
            if let Ok(target) = target.strip_prefix(FOLDER) {
                let pages = naming.entry(target.to_owned()).or_default();
                if !pages.iter().any(|other| other.path == page.path) {
                    pages.push(page);
                }
            }
        }
    }
    naming
}

/// The line that leads from a page of the API back to the book.
fn way_back(page: &Path, naming: &[&Rendered]) -> String {
    let up = format!("{}../", up(page));
    let mut links = format!("<a href=\"{up}index.html\">The book of worker-sentry</a>");
    for (number, page) in naming.iter().enumerate() {
        let before = if number == 0 { " – on this: " } else { ", " };
        let (path, title) = (link(&page.path), page.title());
        links.push_str(&format!("{before}<a href=\"{up}{path}\">{title}</a>"));
    }
    format!("<nav aria-label=\"The book\" style=\"margin: 0 0 1rem\">{links}</nav>")
}

/// A page that redirects to another one.
fn forward(to: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <title>worker-sentry</title>\n\
         <meta http-equiv=\"refresh\" content=\"0; url={to}\">\n\
         <a href=\"{to}\">{to}</a>\n</html>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rendered::page;

    #[test]
    fn an_item_leads_back_to_the_pages_that_name_it() {
        let item = "worker_sentry/fn.a.html";
        let pages = [
            page(
                "b.html",
                &format!("<title>B - worker-sentry</title><a href=\"api/{item}\">"),
            ),
            page(
                "hosts/c.html",
                &format!("<title>C</title><a href=\"../api/{item}#d\">"),
            ),
            page(
                "index.html",
                &format!("<title>I</title><a href=\"api/{item}\">"),
            ),
            page("print.html", &format!("<a href=\"api/{item}\">")),
        ];
        let naming = naming(&pages);
        let back = way_back(Path::new(item), &naming[Path::new(item)]);
        assert!(
            back.contains("<a href=\"../../b.html\">B</a>, <a href=\"../../hosts/c.html\">C</a>")
        );
        assert!(back.contains("<a href=\"../../index.html\">"));
        assert!(!back.contains("print") && !back.contains(">I<"));
    }
}
