//! Rendered pages, read as far as links and ids go.
//!
//! They come from mdBook and rustdoc, which write attributes in one way only:
//! with double quotes. That needs no parser.

use std::fs;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result};

/// A rendered page.
pub struct Page {
    /// Its file, below the folder that was asked for.
    pub path: PathBuf,
    pub text: String,
}

impl Page {
    /// What it links to or loads within its own site: the file, below the same
    /// folder as the page's, and the fragment.
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

    /// Whether a link with this fragment finds its place.
    pub fn has(&self, id: &str) -> bool {
        id.is_empty() || self.text.contains(&format!("id=\"{id}\""))
    }

    /// What stands in `<title>`, without the book's own.
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

/// A text as HTML.
pub fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    text.replace('>', "&gt;").replace('"', "&quot;")
}

/// The text that HTML without tags says.
pub fn unescaped(html: &str) -> String {
    let text = html.replace("&lt;", "<").replace("&gt;", ">");
    let text = text.replace("&quot;", "\"").replace("&nbsp;", "\u{a0}");
    text.replace("&amp;", "&")
}

/// Every page below `folder`, except for what lies below one of `but`.
pub fn pages(folder: &Path, but: &[&str]) -> Result<Vec<Page>> {
    let mut pages = Vec::new();
    for path in files(folder, but)? {
        if path.extension().is_some_and(|kind| kind == "html") {
            let text = fs::read_to_string(folder.join(&path))
                .with_context(|| format!("cannot read {}", path.display()))?;
            pages.push(Page { path, text });
        }
    }
    Ok(pages)
}

/// The paths of all files below `folder`, except for what lies below one of `but`,
/// in a fixed order.
pub fn files(folder: &Path, but: &[&str]) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(below) = folders.pop() {
        let entries = fs::read_dir(folder.join(&below))
            .with_context(|| format!("cannot read {}", folder.join(&below).display()))?;
        for entry in entries {
            let entry = entry?;
            let path = below.join(entry.file_name());
            if but.iter().any(|but| path == Path::new(but)) {
                continue;
            }
            match entry.file_type()?.is_dir() {
                true => folders.push(path),
                false => files.push(path),
            }
        }
    }
    files.sort();
    Ok(files)
}

/// Copies one file, and makes the folders on its way.
pub fn copy(from: &Path, to: &Path) -> Result<()> {
    make_way(to)?;
    fs::copy(from, to).with_context(|| format!("cannot write {}", to.display()))?;
    Ok(())
}

/// Writes one file, and makes the folders on its way.
pub fn write(to: &Path, text: &str) -> Result<()> {
    make_way(to)?;
    fs::write(to, text).with_context(|| format!("cannot write {}", to.display()))
}

fn make_way(to: &Path) -> Result<()> {
    let folder = to.parent().unwrap_or(to);
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))
}

/// The way up from a page to its folder's root: `../` for each step.
pub fn up(page: &Path) -> String {
    "../".repeat(page.components().count().saturating_sub(1))
}

/// A path as a link has it.
pub fn link(path: &Path) -> String {
    path.display().to_string().replace('\\', "/")
}

/// A path without the steps up and down.
pub fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => {
                plain.pop();
            }
            component => plain.push(component),
        }
    }
    plain
}

/// A page for tests.
#[cfg(test)]
pub fn page(path: &str, text: &str) -> Page {
    Page {
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
        assert_eq!(up(&page.path), "../");
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
}
