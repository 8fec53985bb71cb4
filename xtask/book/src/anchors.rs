//! The places that other sites may link to: every id of every published page.
//!
//! `xtask/publish/anchors.txt` lists every place, and no place is ever removed from it. Rendering
//! fails when a listed place is lost, or when a page has a place that is not listed: `cargo xtask
//! book --anchors` adds new places.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Result, bail};

use crate::api;
use crate::files::{link, root, write};
use crate::rendered::{self, Rendered};

const LIST: &str = "xtask/publish/anchors.txt";

/// What to do with a place that is not in the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum New {
    /// Rendering fails.
    Refuse,
    /// The place is printed, because somebody is writing the page.
    Tell,
    /// The place is added to the list.
    Add,
}

/// Checks that every listed place is still there or leads to another page, and that every place of
/// the pages is in the list.
pub fn settle(book: &Path, new: New) -> Result<()> {
    let pages = rendered::pages(book, &[api::FOLDER])?;
    let text = fs::read_to_string(root().join(LIST)).unwrap_or_default();
    let listed: BTreeSet<String> = text.lines().map(str::to_owned).collect();
    let lost = Vec::from_iter(text.lines().filter(|anchor| is_lost(anchor, &pages)));
    if !lost.is_empty() {
        bail!(
            "these were published and are gone:\n  {}\nGive the heading its old id, \
             `## New words {{#old-words}}`, or put a line under `[output.html.redirect]` \
             in book.toml.",
            lost.join("\n  ")
        );
    }
    let there: BTreeSet<String> = pages.iter().flat_map(of).collect();
    let unlisted = Vec::from_iter(there.difference(&listed).cloned());
    if unlisted.is_empty() {
        return Ok(());
    }
    let said = format!(
        "not in {LIST}, which `cargo xtask book --anchors` changes:\n  {}",
        unlisted.join("\n  ")
    );
    match new {
        New::Refuse => bail!("{said}"),
        New::Tell => eprintln!("{said}"),
        New::Add => {
            let anchors = listed.union(&there);
            let lines: String = anchors.map(|anchor| format!("{anchor}\n")).collect();
            write(&root().join(LIST), &lines)?;
            eprintln!("{} new anchors in {LIST}", unlisted.len());
        }
    }
    Ok(())
}

fn is_lost(anchor: &str, pages: &[Rendered]) -> bool {
    let (path, id) = anchor.split_once('#').unwrap_or((anchor, ""));
    let Some(page) = pages.iter().find(|page| page.path == Path::new(path)) else {
        return true;
    };
    let leads_on = page.text.contains("http-equiv=\"refresh\"")
        || page
            .text
            .contains(&rendered::escaped(&format!("\"#{id}\":")));
    !leads_on && !page.has(id)
}

/// The page itself, and each place on it.
fn of(page: &Rendered) -> Vec<String> {
    let path = link(&page.path);
    let is_apart = ["404.html", "print.html", "toc.html"].contains(&path.as_str());
    let Some(text) = page.main().filter(|_| !is_apart) else {
        return Vec::new();
    };
    let places = ids(text).into_iter().map(|id| format!("{path}#{id}"));
    std::iter::once(path.clone()).chain(places).collect()
}

/// The ids of a text, without those inside a drawing: nobody links to a drawing's title or arrows.
fn ids(text: &str) -> Vec<&str> {
    let parts = Vec::from_iter(text.split(" id=\""));
    let is_of_a_place = |before: &str| !before.ends_with("<title") && !before.ends_with("<desc");
    let pairs = parts.windows(2).filter(|pair| is_of_a_place(pair[0]));
    let ids = pairs.filter_map(|pair| pair[1].split('"').next());
    ids.filter(|id| !id.starts_with("drawing-")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rendered::page;

    #[test]
    fn a_chapter_has_its_own_address_and_one_for_each_id() {
        let chapter = "<nav id=\"a\"></nav><main><h2 id=\"b\"></h2><figure class=\"x\" id=\"c\"><svg><title id=\"t\"></figure></main><i id=\"d\">";
        assert_eq!(
            of(&page("p.html", chapter)),
            ["p.html", "p.html#b", "p.html#c"]
        );
        assert_eq!(of(&page("print.html", chapter)), [""; 0]);
        assert_eq!(of(&page("moved.html", "no main")), [""; 0]);
    }

    #[test]
    fn an_anchor_is_lost_unless_it_is_there_or_leads_on() {
        let pages = [
            page(
                "a.html",
                "<main><h2 id=\"b\"><script data-moved='{&quot;#old&quot;:&quot;c.html&quot;}'>",
            ),
            page("moved.html", "<meta http-equiv=\"refresh\">"),
        ];
        for there in [
            "a.html",
            "a.html#b",
            "a.html#old",
            "moved.html",
            "moved.html#x",
        ] {
            assert!(!is_lost(there, &pages), "{there}");
        }
        for lost in ["b.html", "a.html#c"] {
            assert!(is_lost(lost, &pages), "{lost}");
        }
    }
}
