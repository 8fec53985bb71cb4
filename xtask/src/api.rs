//! The API documentation of the crate, as a part of the book: `api/`.
//!
//! rustdoc makes it. Each of its pages gets a line that leads back to the book, to
//! the pages that name the item first of all.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::html::{self, Page};
use crate::run;

/// Where it lies in the rendered book.
pub const FOLDER: &str = "api";
const FRONT: &str = "worker_sentry/index.html";

/// Adds it to a rendered book, and checks the links that lead there.
pub fn add(root: &Path, book: &Path) -> Result<()> {
    let docs = document(root)?;
    let pages = html::pages(book, &[FOLDER])?;
    let naming = naming(&pages);
    let to = book.join(FOLDER);
    for path in html::files(&docs, &[])? {
        if path.extension().is_none_or(|kind| kind != "html") {
            html::copy(&docs.join(&path), &to.join(&path))?;
            continue;
        }
        let text = fs::read_to_string(docs.join(&path))?;
        let back = way_back(&path, naming.get(&path).map_or(&[], Vec::as_slice));
        html::write(
            &to.join(&path),
            &text.replacen("<main>", &format!("<main>{back}"), 1),
        )?;
    }
    html::write(&to.join("index.html"), &forward(FRONT))?;
    check(&pages, &to)
}

/// Runs rustdoc.
///
/// What is compiled for it is shared with everything else. Only the pages have a
/// folder of their own, because rustdoc adds to those that it finds.
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

/// The pages of the book that lead to each page of the API.
fn naming(pages: &[Page]) -> BTreeMap<PathBuf, Vec<&Page>> {
    let mut naming: BTreeMap<PathBuf, Vec<&Page>> = BTreeMap::new();
    // Both have the text of other pages.
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
fn way_back(page: &Path, naming: &[&Page]) -> String {
    let up = format!("{}../", html::up(page));
    let mut links = format!("<a href=\"{up}index.html\">The book of worker-sentry</a>");
    for (number, page) in naming.iter().enumerate() {
        let before = if number == 0 { " – on this: " } else { ", " };
        let (path, title) = (html::link(&page.path), page.title());
        links.push_str(&format!("{before}<a href=\"{up}{path}\">{title}</a>"));
    }
    format!("<nav aria-label=\"The book\" style=\"margin: 0 0 1rem\">{links}</nav>")
}

/// A page that leads to another one.
pub fn forward(to: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <title>worker-sentry</title>\n\
         <meta http-equiv=\"refresh\" content=\"0; url={to}\">\n\
         <a href=\"{to}\">{to}</a>\n</html>\n"
    )
}

/// Every link of the book that leads to the API finds its item.
fn check(pages: &[Page], api: &Path) -> Result<()> {
    let mut wrong = Vec::new();
    for page in pages {
        for (target, id) in page.targets() {
            let Ok(below) = target.strip_prefix(FOLDER) else {
                continue;
            };
            let text = fs::read_to_string(api.join(below)).ok();
            let path = target.clone();
            if !text.is_some_and(|text| Page { path, text }.has(id)) {
                let target = html::link(&target);
                wrong.push(format!("{}: no {target}#{id}", page.path.display()));
            }
        }
    }
    if !wrong.is_empty() {
        bail!("links to the API lead nowhere:\n  {}", wrong.join("\n  "));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::html::page;

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

    #[test]
    fn a_link_to_an_item_that_is_not_there_is_named_with_its_page() {
        let api = crate::root().join("target/test-api");
        html::write(&api.join("fn.a.html"), "<main><h1 id=\"b\">").expect("a page");
        let of = |link: &str| check(&[page("p.html", &format!("<a href=\"api/{link}\">"))], &api);
        for good in ["fn.a.html", "fn.a.html#b"] {
            assert!(of(good).is_ok(), "{good}");
        }
        for bad in ["fn.b.html", "fn.a.html#c"] {
            let error = of(bad).expect_err(bad).to_string();
            assert!(error.contains("p.html: no api/fn."), "{error}");
        }
    }
}
