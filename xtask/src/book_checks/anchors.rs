//! What others may have linked to stays: a page, and each heading on it.

use std::collections::BTreeSet;

use super::{assert_none, is_apart, links};
use crate::anchors::LIST;
use crate::pages::{pages, read};

#[test]
fn every_page_and_heading_is_in_the_list_of_anchors_and_none_of_the_list_is_lost() {
    let (there, listed) = (anchors(), read(LIST));
    let listed: BTreeSet<String> = listed.lines().map(str::to_owned).collect();
    let new = there.difference(&listed);
    let new = new.map(|it| format!("{it} is new: run `cargo xtask book --anchors`"));
    assert_none(&Vec::from_iter(new));
    let redirects = read("book.toml");
    let lost = listed
        .difference(&there)
        .filter(|it| !leads_on(&redirects, it));
    let lost =
        lost.map(|it| format!("{it} is lost: keep it with {{#…}}, or redirect it in book.toml"));
    assert_none(&Vec::from_iter(lost));
}

/// The anchors of the sources, as the rendered book has them.
fn anchors() -> BTreeSet<String> {
    let mut anchors = BTreeSet::new();
    for page in pages().iter().filter(|page| !is_apart(page)) {
        let path = page.path.replace(".md", ".html");
        // mdBook renders the first chapter twice.
        let first = (path == "introduction.html").then_some("index.html");
        for path in first.into_iter().chain([path.as_str()]) {
            anchors.insert(path.to_owned());
            let places = links::anchors(page).into_iter();
            anchors.extend(places.map(|id| format!("{path}#{id}")));
        }
    }
    anchors
}

/// Whether `[output.html.redirect]` has a line for an anchor, or for its page.
fn leads_on(book: &str, anchor: &str) -> bool {
    let page = anchor.split('#').next().unwrap_or_default();
    [anchor, page]
        .iter()
        .any(|from| book.contains(&format!("\"/{from}\" = ")))
}

#[test]
fn an_anchor_leads_on_by_a_line_of_its_own_or_of_its_page() {
    let book = "[output.html.redirect]\n\"/a.html\" = \"b.html\"\n\"/c.html#d\" = \"e.html\"\n";
    for there in ["a.html", "a.html#x", "c.html#d"] {
        assert!(leads_on(book, there), "{there}");
    }
    assert!(!leads_on(book, "c.html#e"));
}
