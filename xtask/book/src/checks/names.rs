//! Checks that a page links each item of the crate that it names to the item's documentation.
//! `api.rs` checks, where the book is rendered, that the item exists.

use super::assert_none;
use crate::chapter::{Chapter, chapter};
use crate::files::read;

#[test]
fn the_first_mention_of_an_item_of_the_crate_leads_to_its_documentation() {
    let names = [read("crate/src/lib.rs"), read("crate/src/workflow/mod.rs")];
    let names: Vec<&str> = names.iter().flat_map(|text| public(text)).collect();
    assert!(names.len() > 20, "only {names:?}");
    let pages = Chapter::all();
    let pages = pages.iter().filter(|page| !page.is_apart());
    let wrong: Vec<String> = pages.flat_map(|page| unlinked(page, &names)).collect();
    assert_none(&wrong);
}

/// What a module exports: its functions, and what its `pub use` names.
fn public(module: &str) -> Vec<&str> {
    let word = |text: &'_ str| text.find(|c: char| !c.is_alphanumeric() && c != '_');
    let functions = module.split("\npub async fn ").skip(1);
    let functions = functions.filter_map(|rest| Some(&rest[..word(rest)?]));
    let uses = module.split("\npub use ").skip(1);
    let uses = uses.filter_map(|rest| rest.split(';').next());
    let names = uses.flat_map(|path| {
        let names = path.rsplit("::").next().unwrap_or_default();
        names.trim_matches(['{', '}']).split(',').map(str::trim)
    });
    let names = names.filter(|name| !name.is_empty());
    functions.chain(names).collect()
}

/// Names that a page mentions before it links them. Names in headings, tables and captions need no
/// link.
fn unlinked(page: &Chapter, names: &[&str]) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut is_html = false;
    let mut seen = Vec::new();
    for (line, text) in page.prose() {
        is_html = text.starts_with('<') || (is_html && !text.is_empty());
        if is_html || text.starts_with(['#', '|']) {
            continue;
        }
        for (at, _) in text.match_indices('`') {
            let Some((code, _)) = text[at + 1..].split_once('`') else {
                continue;
            };
            let Some(name) = names.iter().find(|name| **name == code) else {
                continue;
            };
            if seen.contains(name) {
                continue;
            }
            seen.push(*name);
            if !text[..at].ends_with('[') {
                wrong.push(page.at(line, format!("`{name}` leads to no documentation")));
            }
        }
    }
    wrong
}

#[test]
fn a_mention_without_a_link_is_named_with_its_line() {
    let names = public("\npub use a::{B, c_d};\npub async fn e(x: u8) {}\npub use f::g::H;\n");
    assert_eq!(names, ["e", "B", "c_d", "H"]);
    let found = |text: &str| unlinked(&chapter(text), &["B", "H"]);
    assert_none(&found(
        "# `B`\n\nSee [`B`] and `B`, `C` and [`H`](x).\n\n[`B`]: api/b.html\n",
    ));
    assert_eq!(
        found("# `B`\n\nSee `B` and\n[`H`] and `H`.\n"),
        ["src/test.md:3: `B` leads to no documentation"]
    );
}
