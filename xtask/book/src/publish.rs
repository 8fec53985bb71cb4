//! The folder to publish, complete, for one release.
//!
//! The newest release is at the folder's root, so an address without a version always shows it.
//! Each release also has a folder of its own, such as `v0.1`, which stays when a newer release is
//! published.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::api;
use crate::files::{copy, files, link, read, root, up, write};
use crate::rendered::{self, Rendered, broken};

/// The list of all pages, which the renderer writes: <https://llmstxt.org/>
pub const LIST_FOR_PROGRAMS: &str = "llms.txt";

/// The options of a publication.
#[derive(Default)]
pub struct Options {
    /// The folder: a new one, or one that this command filled before.
    pub out: PathBuf,
    /// The release, such as 0.1. Without it, the release is that of Cargo.toml.
    pub release: Option<String>,
    /// The address at which the folder will be reached.
    pub url: Option<String>,
    /// The repository's address.
    pub repository: Option<String>,
    /// The address to edit a page at, with {path} in place of the page's file.
    pub edit_url: Option<String>,
}

/// Renders the book into a folder, with variables for mdBook.
pub type Render<'r> = dyn Fn(&Path, &[(&str, String)]) -> Result<()> + 'r;

/// A folder to publish, whose options and content were checked.
pub struct Publication {
    options: Options,
    address: Option<Address>,
    release: Release,
    /// This release, and those that are already in the folder.
    releases: BTreeSet<Release>,
}

impl Publication {
    /// Checks the options and the folder.
    pub fn of(options: Options) -> Result<Self> {
        let release = match &options.release {
            Some(release) => Release::parse(release),
            None => Release::of_the_workspace(),
        }?;
        let address = options.url.as_deref().map(Address::parse).transpose()?;
        let mut releases = releases_in(&options.out)?;
        releases.insert(release);
        Ok(Self {
            options,
            address,
            release,
            releases,
        })
    }

    /// Fills the folder, and checks that it is complete.
    pub fn write(&self, render: &Render<'_>) -> Result<()> {
        let (out, release) = (&self.options.out, self.release);
        let newest = *self.releases.last().expect("this one is there");
        // The list is written before anything else: it marks the folder as one of this command,
        // even after an interruption.
        list(out, &self.releases)?;
        self.place(&format!("{release}/"), render)?;
        if release == newest {
            self.place("", render)?;
        }
        for old in self.releases.iter().filter(|old| **old != newest) {
            point_to_the_newest(out, *old, newest)?;
        }
        list(out, &self.releases)?;
        if let Some(address) = &self.address {
            write(&out.join("sitemap.xml"), &sitemap(out, address)?)?;
        }
        // Without this file GitHub Pages removes files that its own generator ignores.
        write(&out.join(".nojekyll"), "")?;
        let wrong = broken(out, &rendered::pages(out, &[])?);
        if !wrong.is_empty() {
            bail!(
                "{} is not complete:\n  {}",
                out.display(),
                wrong.join("\n  ")
            );
        }
        eprintln!("published: {release} in {}", out.display());
        Ok(())
    }

    /// Renders into the folder's root (``), or into a release's own (`v0.1/`).
    fn place(&self, place: &str, render: &Render<'_>) -> Result<()> {
        let made = root().join("target/publish");
        let made = made.join(std::process::id().to_string());
        render(&made, &self.variables(place))?;
        for page in rendered::pages(&made, &[api::FOLDER])? {
            if is_of_the_template(&page) {
                write(&made.join(&page.path), &self.filled_in(&page, place)?)?;
            }
        }
        if let Some(address) = &self.address {
            // The reader of this list may have no page, and so no address that links could be
            // relative to.
            let list = made.join(LIST_FOR_PROGRAMS);
            let base = format!("{}{place}", address.url);
            write(&list, &absolute(&fs::read_to_string(&list)?, &base))?;
        }
        let to = self.options.out.join(place);
        clear(&to)?;
        for file in files(&made, &[])? {
            copy(&made.join(&file), &to.join(&file))?;
        }
        fs::remove_dir_all(&made).with_context(|| format!("cannot remove {}", made.display()))
    }

    /// The variables that tell mdBook about this place.
    fn variables(&self, place: &str) -> Vec<(&'static str, String)> {
        let mut variables = Vec::new();
        if let Some(address) = &self.address {
            let path = format!("{}{place}", address.path);
            variables.push(("MDBOOK_OUTPUT__HTML__SITE_URL", path));
        }
        if let Some(repository) = &self.options.repository {
            let repository = repository.trim_end_matches('/');
            let edit = match &self.options.edit_url {
                Some(edit) => edit.clone(),
                None => format!("{repository}/edit/main/{{path}}"),
            };
            variables.push((
                "MDBOOK_OUTPUT__HTML__GIT_REPOSITORY_URL",
                repository.to_owned(),
            ));
            variables.push(("MDBOOK_OUTPUT__HTML__EDIT_URL_TEMPLATE", edit));
        }
        variables
    }

    /// A page with what is only known when the book is published.
    fn filled_in(&self, page: &Rendered, place: &str) -> Result<String> {
        let to_root = up(&Path::new(place).join(&page.path));
        let release = format!(
            "<a class=\"menu-release\" href=\"{to_root}{LIST_PAGE}\">{}</a>",
            self.release
        );
        let text = replaced(page, &page.text, RELEASE, &release)?;
        let Some(address) = &self.address else {
            return Ok(text);
        };
        // Search engines should find the address without a version.
        let url = address_of(address, &page.path);
        let image = format!("{}social.png", address.url);
        let mut lines = format!("<meta property=\"og:url\" content=\"{url}\">");
        if !["404.html", "print.html"]
            .map(Path::new)
            .contains(&page.path.as_path())
        {
            lines.push_str(&format!("\n    <link rel=\"canonical\" href=\"{url}\">"));
        }
        let text = replaced(page, &text, ADDRESS, &lines)?;
        let (before, after) = text
            .split_once("\"og:image\" content=\"")
            .with_context(|| format!("{} has no og:image", page.path.display()))?;
        let (_, after) = after.split_once('"').unwrap_or_default();
        Ok(format!("{before}\"og:image\" content=\"{image}\"{after}"))
    }
}

/// A release by its first two numbers. A patch release replaces the book of the release it
/// corrects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Release {
    major: u32,
    minor: u32,
}

impl Release {
    fn parse(text: &str) -> Result<Self> {
        let mut numbers = text.trim_start_matches('v').split('.').map(str::parse);
        match (numbers.next(), numbers.next()) {
            (Some(Ok(major)), Some(Ok(minor))) => Ok(Release { major, minor }),
            _ => bail!("{text:?} is no release: it begins with two numbers, such as 0.1"),
        }
    }

    fn of_the_workspace() -> Result<Self> {
        let manifest = read("Cargo.toml");
        let version = manifest
            .split_once("[workspace.package]")
            .and_then(|(_, rest)| rest.split_once("version = \""))
            .and_then(|(_, rest)| rest.split('"').next());
        Release::parse(version.context("Cargo.toml names no version")?)
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v{}.{}", self.major, self.minor)
    }
}

/// The address at which the folder is reached.
struct Address {
    /// The whole address, with a slash at its end.
    url: String,
    /// The address without scheme and host.
    path: String,
}

impl Address {
    fn parse(url: &str) -> Result<Self> {
        let host_and_path = url.split_once("://").filter(|(scheme, rest)| {
            ["http", "https"].contains(scheme)
                && !rest.is_empty()
                && !rest.contains(['?', '#', '"'])
        });
        let Some((_, host_and_path)) = host_and_path else {
            bail!("{url:?} is not the address of a folder, such as https://example.com/book/");
        };
        let path = host_and_path.split_once('/').map_or("", |(_, path)| path);
        let path = path.trim_end_matches('/');
        Ok(Address {
            url: format!("{}/", url.trim_end_matches('/')),
            path: if path.is_empty() {
                "/".to_owned()
            } else {
                format!("/{path}/")
            },
        })
    }
}

const LIST: &str = "releases.json";
const LIST_PAGE: &str = "releases.html";
/// The style of the list of releases. It is a file, since a server may forbid styles in a page.
const LIST_STYLE: &str = "releases.css";
const STYLE: &str = ":root { color-scheme: light dark; font: 1.1rem/1.6 system-ui, sans-serif; }\n\
                     body { max-width: 40rem; margin: 3rem auto; padding: 0 1rem; }\n";

/// The releases that are already in the folder.
///
/// Publishing replaces the content of the folder's root. A folder that this command did not fill is
/// therefore refused.
fn releases_in(out: &Path) -> Result<BTreeSet<Release>> {
    let Ok(entries) = fs::read_dir(out) else {
        return Ok(BTreeSet::new());
    };
    let names = entries.flatten().map(|entry| entry.file_name());
    let names = Vec::from_iter(names.map(|name| name.to_string_lossy().into_owned()));
    let is_new = names.iter().all(|name| is_kept(name));
    if !is_new && !names.iter().any(|name| name == LIST) {
        bail!(
            "{} has files that this command did not write: choose another folder with --out",
            out.display()
        );
    }
    Ok(names
        .iter()
        .filter_map(|name| release_named(name))
        .collect())
}

fn release_named(folder: &str) -> Option<Release> {
    let release = Release::parse(folder).ok()?;
    (release.to_string() == folder).then_some(release)
}

/// Whether a file in the folder's root belongs to the server and must stay.
fn is_kept(name: &str) -> bool {
    name.starts_with('.') || name == "CNAME"
}

/// The marks in `theme/index.hbs` that publishing replaces.
const ADDRESS: &str = "<!-- address -->";
const RELEASE: &str = "<!-- release -->";
const NOTICE: [&str; 2] = ["<!-- notice -->", "<!-- /notice -->"];

fn replaced(page: &Rendered, text: &str, marker: &str, by: &str) -> Result<String> {
    if !text.contains(marker) {
        bail!(
            "{} has no {marker}; theme/index.hbs puts it there",
            page.path.display()
        );
    }
    Ok(text.replacen(marker, by, 1))
}

/// Whether mdBook made this page with the template. It makes two kinds of page without it: the bare
/// table of contents, and pages that only redirect to another one.
fn is_of_the_template(page: &Rendered) -> bool {
    page.path != Path::new("toc.html") && !page.text.contains("http-equiv=\"refresh\"")
}

/// The address of a page. A folder's `index.html` has the address of the folder.
fn address_of(address: &Address, page: &Path) -> String {
    let page = link(page);
    let page = match page.strip_suffix("index.html") {
        Some(folder) if folder.is_empty() || folder.ends_with('/') => folder,
        _ => &page,
    };
    format!("{}{page}", address.url)
}

/// Removes the files of an earlier publication from this place.
fn clear(place: &Path) -> Result<()> {
    let entries = fs::read_dir(place).into_iter().flatten().flatten();
    for entry in entries {
        let name = entry.file_name().to_string_lossy().into_owned();
        if is_kept(&name) || name == LIST || release_named(&name).is_some() {
            continue;
        }
        let path = entry.path();
        let removed = match entry.file_type()?.is_dir() {
            true => fs::remove_dir_all(&path),
            false => fs::remove_file(&path),
        };
        removed.with_context(|| format!("cannot remove {}", path.display()))?;
    }
    Ok(())
}

/// Says on each page of an old release which release is the newest.
fn point_to_the_newest(out: &Path, old: Release, newest: Release) -> Result<()> {
    let folder = out.join(old.to_string());
    for page in rendered::pages(&folder, &[api::FOLDER])? {
        if !is_of_the_template(&page) {
            continue;
        }
        let is_there = out.join(&page.path).is_file();
        let same = if is_there {
            link(&page.path)
        } else {
            "index.html".to_owned()
        };
        let to = format!("{}../{same}", up(&page.path));
        let notice = format!(
            "<aside class=\"old-release\" aria-label=\"Release\">This is {old}. <a href=\"{to}\">The newest is {newest}</a>.</aside>"
        );
        write(&folder.join(&page.path), &noticed(&page, &notice)?)?;
    }
    Ok(())
}

fn noticed(page: &Rendered, notice: &str) -> Result<String> {
    let [begin, end] = NOTICE;
    let parts = page.text.split_once(begin).and_then(|(before, rest)| {
        let (_, after) = rest.split_once(end)?;
        Some((before, after))
    });
    let Some((before, after)) = parts else {
        bail!("{} has no place for a notice", page.path.display());
    };
    Ok(format!("{before}{begin}{notice}{end}{after}"))
}

/// Writes the list of releases, for people and for programs.
fn list(out: &Path, releases: &BTreeSet<Release>) -> Result<()> {
    let names = Vec::from_iter(releases.iter().rev().map(ToString::to_string));
    write(&out.join(LIST), &format!("{names:?}\n"))?;
    let items = names
        .iter()
        .map(|name| format!("<li><a href=\"{name}/index.html\">{name}</a></li>\n"));
    let page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <title>The releases of worker-sentry</title>\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <link rel=\"stylesheet\" href=\"{LIST_STYLE}\">\n\
         </head>\n<body>\n<main>\n<h1>The releases of worker-sentry</h1>\n\
         <p>Each has a book of its own. <a href=\"index.html\">The newest</a> is {newest}.</p>\n\
         <ul>\n{items}</ul>\n</main>\n</body>\n</html>\n",
        newest = names[0],
        items = items.collect::<String>(),
    );
    write(&out.join(LIST_STYLE), STYLE)?;
    write(&out.join(LIST_PAGE), &page)
}

/// Writes the sitemap: <https://www.sitemaps.org/protocol.html>
fn sitemap(out: &Path, address: &Address) -> Result<String> {
    let is_to_be_found = |page: &Rendered| page.text.contains("rel=\"canonical\"");
    let mut urls = String::new();
    for page in root_pages(out)?.iter().filter(|page| is_to_be_found(page)) {
        let url = address_of(address, &page.path);
        urls.push_str(&format!("<url><loc>{url}</loc></url>\n"));
    }
    Ok(format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <urlset xmlns=\"http://www.sitemaps.org/schemas/sitemap/0.9\">\n{urls}</urlset>\n"
    ))
}

/// The pages of the newest release.
fn root_pages(out: &Path) -> Result<Vec<Rendered>> {
    let mut pages = rendered::pages(out, &[api::FOLDER])?;
    pages.retain(|page| {
        let first = page
            .path
            .iter()
            .next()
            .unwrap_or_default()
            .to_string_lossy();
        release_named(&first).is_none()
    });
    Ok(pages)
}

/// The list for programs with absolute addresses: each page is below `base`.
fn absolute(list: &str, base: &str) -> String {
    list.replace("](", &format!("]({base}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_is_named_by_its_first_two_numbers() {
        for text in ["0.1", "v0.1", "0.1.7"] {
            assert_eq!(Release::parse(text).unwrap().to_string(), "v0.1");
        }
        for text in ["", "1", "next", "v1.x"] {
            assert!(Release::parse(text).is_err(), "{text}");
        }
        assert!(Release::parse("0.9").unwrap() < Release::parse("0.10").unwrap());
        assert!(Release::of_the_workspace().is_ok());
        assert_eq!(release_named("v0.1.2"), None);
        assert_eq!(release_named("api"), None);
    }

    #[test]
    fn an_address_is_that_of_a_folder() {
        for (url, expected, path) in [
            ("https://example.com", "https://example.com/", "/"),
            (
                "https://example.com/a/b/",
                "https://example.com/a/b/",
                "/a/b/",
            ),
        ] {
            let address = Address::parse(url).unwrap();
            assert_eq!(
                (address.url.as_str(), address.path.as_str()),
                (expected, path)
            );
        }
        for url in [
            "example.com",
            "ftp://example.com",
            "https://",
            "https://example.com/?a",
        ] {
            assert!(Address::parse(url).is_err(), "{url}");
        }
        let address = Address::parse("https://example.com/b").unwrap();
        let of = |page: &str| address_of(&address, Path::new(page));
        assert_eq!(of("index.html"), "https://example.com/b/");
        assert_eq!(of("hosts/index.html"), "https://example.com/b/hosts/");
        assert_eq!(of("a-index.html"), "https://example.com/b/a-index.html");
    }

    #[test]
    fn a_folder_with_files_of_somebody_elses_is_refused() {
        let folder = root().join("target/test-publish");
        let _ = fs::remove_dir_all(&folder);
        assert!(releases_in(&folder).unwrap().is_empty());
        write(&folder.join(".git/HEAD"), "").unwrap();
        write(&folder.join("CNAME"), "").unwrap();
        assert!(releases_in(&folder).unwrap().is_empty());
        write(&folder.join("thesis.txt"), "").unwrap();
        assert!(releases_in(&folder).is_err());
        write(&folder.join(LIST), "").unwrap();
        write(&folder.join("v0.3/index.html"), "").unwrap();
        let found = releases_in(&folder).unwrap();
        assert_eq!(Vec::from_iter(found), [Release { major: 0, minor: 3 }]);
    }

    #[test]
    fn a_published_list_has_whole_addresses() {
        assert_eq!(
            absolute("- [A](b/c.md): d\n", "https://example.com/x/"),
            "- [A](https://example.com/x/b/c.md): d\n"
        );
    }
}
