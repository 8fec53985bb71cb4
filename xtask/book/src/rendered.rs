//! Rendered pages: their links, ids and titles.
//!
//! mdBook and rustdoc write attributes in one way only, with double quotes. So searching the text
//! is enough, without an HTML parser.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::api;
use crate::files::{files, link, plain};

/// A rendered page.
#[derive(Clone)]
pub struct Rendered {
    /// The page's file, below the folder that was searched.
    pub path: PathBuf,
    pub text: String,
}

impl Rendered {
    /// The files of the same site that the page links to or loads, each with the fragment. A path
    /// starts at the same folder as the page's own.
    pub fn targets(&self) -> impl Iterator<Item = (PathBuf, &str)> {
        let links = ["href", "src"].map(|name| attributes(&self.text, name));
        links.into_iter().flatten().filter_map(|link| {
            let (path, fragment) = link.split_once('#').unwrap_or((link, ""));
            let is_elsewhere = path.contains(':') || path.starts_with('/');
            let path = path.split('?').next()?;
            let file = match path {
                "" => self.path.clone(),
                path => self.path.parent()?.join(path),
            };
            (!is_elsewhere).then(|| (plain(&file), fragment))
        })
    }

    /// Whether the page has the place that a fragment names.
    pub fn has(&self, id: &str) -> bool {
        id.is_empty() || self.text.contains(&format!("id=\"{id}\""))
    }

    /// The page's content, without the parts that every page has.
    pub fn main(&self) -> Option<&str> {
        self.text.split_once("<main>")?.1.split("</main>").next()
    }

    /// The text of `<title>`, without the book's name.
    pub fn title(&self) -> &str {
        let (_, title) = self.text.split_once("<title>").unwrap_or_default();
        let title = title.split("</title>").next().unwrap_or_default();
        title.strip_suffix(" - worker-sentry").unwrap_or(title)
    }
}

/// The values of an attribute.
pub fn attributes<'t>(text: &'t str, name: &str) -> Vec<&'t str> {
    let before = format!(" {name}=\"");
    let values = text.split(before.as_str()).skip(1);
    values.filter_map(|rest| rest.split('"').next()).collect()
}

/// A text, escaped for HTML.
pub fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    text.replace('>', "&gt;").replace('"', "&quot;")
}

/// The text that HTML without tags stands for.
pub fn unescaped(html: &str) -> String {
    let text = html.replace("&lt;", "<").replace("&gt;", ">");
    let text = text.replace("&quot;", "\"").replace("&#39;", "'");
    let text = text.replace("&nbsp;", "\u{a0}");
    text.replace("&amp;", "&")
}

/// Every page below `folder`, without those below a folder in `but`.
pub fn pages(folder: &Path, but: &[&str]) -> Result<Vec<Rendered>> {
    let mut pages = Vec::new();
    for path in files(folder, but)? {
        if path.extension().is_some_and(|kind| kind == "html") {
            let text = fs::read_to_string(folder.join(&path))
                .with_context(|| format!("cannot read {}", path.display()))?;
            pages.push(Rendered { path, text });
        }
    }
    Ok(pages)
}

/// What is wrong with the links of these pages, which are all pages of `folder`: a file or a place
/// that does not exist, an address that is not valid, a file that is loaded from another host.
///
/// rustdoc checks the links within the crate's documentation. Links into it are followed if the
/// documentation is there.
pub fn broken(folder: &Path, pages: &[Rendered]) -> Vec<String> {
    let find = |path: &Path| {
        let at = pages.binary_search_by(|page| page.path.as_path().cmp(path));
        at.ok().map(|at| &pages[at])
    };
    let is_documentation = |path: &Path| path.iter().any(|part| part == api::FOLDER);
    let is_documented = pages.iter().any(|page| is_documentation(&page.path));
    let mut wrong = Vec::new();
    for page in pages {
        let from = link(&page.path);
        let loaded = attributes(&page.text, "src").into_iter();
        let elsewhere = loaded.filter(|source| source.contains("//"));
        wrong.extend(elsewhere.map(|source| format!("{from}: loads {source}")));
        if is_documentation(&page.path) {
            continue;
        }
        let outward = attributes(page.main().unwrap_or_default(), "href").into_iter();
        let outward = outward.filter(|to| to.contains("://") && !is_address(to));
        wrong.extend(outward.map(|to| format!("{from}: {to} is not the https address of a host")));
        for (target, id) in page.targets() {
            let is_there = match find(&target) {
                Some(target) => target.has(id),
                None if is_documentation(&target) => !is_documented,
                None => folder.join(&target).is_file(),
            };
            if !is_there {
                wrong.push(format!("{from}: no {}#{id}", link(&target)));
            }
        }
    }
    wrong
}

fn is_address(link: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-.".contains(c);
    let host = link
        .strip_prefix("https://")
        .and_then(|it| it.split('/').next());
    host.is_some_and(|host| host.contains('.') && host.chars().all(is_plain)) && !link.contains(' ')
}

/// A page for tests.
#[cfg(test)]
pub(crate) fn page(path: &str, text: &str) -> Rendered {
    Rendered {
        path: path.into(),
        text: text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pages_targets_are_files_of_its_own_site() {
        let page = page(
            "hosts/main.html",
            "<title>Main - worker-sentry</title><a href=\"../a.html#b\"></a><a href=\"#c\"></a>\
             <a href=\"https://example.com/\"></a><img src=\"x.png?v=1\"><a href=\"mailto:a\"></a>",
        );
        let targets = Vec::from_iter(page.targets());
        let expected = [
            ("a.html", "b"),
            ("hosts/main.html", "c"),
            ("hosts/x.png", ""),
        ];
        assert_eq!(
            targets,
            expected.map(|(path, id)| (PathBuf::from(path), id))
        );
        assert_eq!(page.title(), "Main");
        assert_eq!(crate::up(&page.path), "../");
    }

    #[test]
    fn a_text_is_the_same_after_it_was_html() {
        let text = "<a> & \"b\" &lt;";
        assert_eq!(escaped(text), "&lt;a&gt; &amp; &quot;b&quot; &amp;lt;");
        assert_eq!(unescaped(&escaped(text)), text);
    }

    #[test]
    fn an_id_is_there_or_not() {
        let page = page("a.html", "<h2 id=\"b\">");
        assert!(page.has("") && page.has("b") && !page.has("c"));
    }

    #[test]
    fn a_link_that_leads_nowhere_is_named_with_its_page() {
        let folder = std::env::temp_dir().join(format!("book-links-{}", std::process::id()));
        crate::write(&folder.join("a.png"), "").unwrap();
        let others = ["b/c.html", "v0.1/api/fn.e.html"];
        let others = others.map(|path| page(path, "<h2 id=\"d\"><a href=\"../a.html\">"));
        let wrong = |text: &str| {
            let pages = Vec::from_iter(
                [page("a.html", text)]
                    .into_iter()
                    .chain(others.iter().cloned()),
            );
            broken(&folder, &pages)
        };
        for good in [
            "<a href=\"b/c.html#d\">",
            "<a href=\"#f\"><i id=\"f\">",
            "<img src=\"a.png\">",
            "<a href=\"v0.1/api/fn.e.html\">",
            "<a href=\"https://docs.rs/worker\">",
            // Publishing sets the addresses outside of `<main>`, so they are not checked.
            "<a href=\"http://localhost/\"><main></main>",
            "<a href=\"mailto:a\">",
        ] {
            assert_eq!(wrong(good), [""; 0], "{good}");
        }
        for bad in [
            "<a href=\"b/d.html\">",
            "<a href=\"b/c.html#e\">",
            "<a href=\"#f\">",
            "<img src=\"b.png\">",
            "<a href=\"v0.1/api/fn.e.html#f\">",
            "<a href=\"api/fn.f.html\">",
            "<main><a href=\"http://docs.rs/worker\">",
            "<main><a href=\"https://localhost\">",
            "<script src=\"https://example.com/a.js\">",
        ] {
            let found = wrong(bad);
            assert_eq!(found.len(), 1, "{bad}: {found:?}");
            assert!(found[0].starts_with("a.html: "), "{found:?}");
        }
        // Plain `mdbook build` makes no documentation of the crate, so a link into it is not
        // checked.
        let alone = [page("a.html", "<a href=\"api/fn.e.html\">")];
        assert_eq!(broken(&folder, &alone), [""; 0]);
        fs::remove_dir_all(folder).unwrap();
    }
}
