//! Checks that every block of code comes from a file that is compiled and tested, or is of a kind
//! that the tests run or compare.

#[cfg(test)]
use std::collections::BTreeSet;

#[cfg(test)]
use super::assert_none;
use super::{drills, sources};
#[cfg(test)]
use crate::chapter::chapter;
use crate::chapter::{Chapter, Fence, code_in};
use crate::files::locked;
#[cfg(test)]
use crate::files::{files_below, link, read, root};
use crate::listing::Listing;
#[cfg(test)]
use crate::listing::anchors;
use crate::proven::Proven;

/// What is wrong with the blocks of these pages.
pub(super) fn wrong(pages: &[Chapter], proven: &Proven) -> Vec<String> {
    let checks = Checks::new(proven);
    pages.iter().flat_map(|page| checks.of(page)).collect()
}

#[test]
fn every_block_is_an_include_or_of_a_kind_that_is_tested() {
    let proven = Proven::load().unwrap();
    assert_none(&super::wrong(&proven));
}

/// What the checks compare blocks with.
struct Checks<'p> {
    /// The crate's sources, which contain its console lines.
    printed: String,
    /// `host/handler` of each drill.
    drills: Vec<String>,
    /// The record of the last test run.
    proven: &'p Proven,
}

impl<'p> Checks<'p> {
    fn new(proven: &'p Proven) -> Self {
        Checks {
            printed: sources("crate/src"),
            drills: drills(),
            proven,
        }
    }

    fn of(&self, page: &Chapter) -> Vec<String> {
        let mut wrong = Vec::new();
        for fence in page.fences() {
            let found = match fence.language {
                _ if fence.is_include() => self
                    .listing(page, &fence)
                    .map_err(|what| (fence.line, what)),
                "sh" => each(&fence, |line| self.shell(line)),
                "text" => each(&fence, |line| self.text(line)),
                "toml" => each(&fence, dependency),
                "mermaid" => Ok(()),
                kind if kind.starts_with("rust") && page.is_doctest() => Ok(()),
                _ if fence.is_written_rust() => self.written(page, &fence),
                other => {
                    let what = format!("`{other}` is no kind of block that is tested");
                    Err((fence.line, what))
                }
            };
            if let Err((line, what)) = found {
                wrong.push(page.at(line, what));
            }
        }
        wrong.extend(beside_fences(page));
        for table in page.tables().iter().filter(|table| table.head[0] == "Line") {
            for (line, cells) in &table.rows {
                let printed = code_in(cells[0]).unwrap_or_default();
                if !self.is_printed(printed) {
                    wrong.push(page.at(*line, format!("the crate never prints `{printed}`")));
                }
            }
        }
        wrong
    }

    /// Checks a listing, and that a test proves it.
    fn listing(&self, page: &Chapter, fence: &Fence<'_>) -> Result<(), String> {
        let listing = Listing::of(page, fence)?;
        match self.proven.wrong(&listing, page.reason(fence)) {
            Some(wrong) if !self.proven.is_ahead() => Err(wrong),
            _ => Ok(()),
        }
    }

    /// Checks Rust that is written into the page: `skeptic` has to have run it as it stands.
    fn written(&self, page: &Chapter, fence: &Fence<'_>) -> Result<(), Wrong> {
        each(fence, shows_itself)?;
        let test = page.test_of(fence);
        if self.proven.has_test_of_page(&test) || self.proven.is_ahead() {
            return Ok(());
        }
        let what = format!("no test ran this block as it stands: {test}");
        Err((fence.line, what))
    }

    /// Checks a command: a test has to have run it as it stands. Commands of `cargo xtask` are only
    /// parsed, in xtask.
    fn shell(&self, line: &str) -> Result<(), String> {
        if line.starts_with("cargo xtask ") {
            return Ok(());
        }
        if let Some((_, drill)) = line.split_once("/drill/") {
            let drill = drill.split('?').next().unwrap_or_default();
            if !self.drills.iter().any(|known| known == drill) {
                return Err(format!("a drill that is not there: {line}"));
            }
        }
        if self.proven.ran(line) || self.proven.is_ahead() {
            return Ok(());
        }
        Err(format!("no test ran this command: {line}"))
    }

    fn text(&self, line: &str) -> Result<(), String> {
        match line.strip_prefix("[worker-sentry] ") {
            Some(printed) if !self.is_printed(printed) => {
                Err(format!("the crate never prints `{printed}`"))
            }
            _ => Ok(()),
        }
    }

    /// Whether the crate prints this line: one string of its sources, or a binding's name followed
    /// by what is wrong with the binding.
    fn is_printed(&self, line: &str) -> bool {
        let quoted = |text: &str| self.printed.contains(&format!("\"{text}\""));
        let parts = line.split_once(' ');
        quoted(line) || parts.is_some_and(|(name, problem)| quoted(name) && quoted(problem))
    }
}

/// Refuses rustdoc's hidden lines. The reader copies exactly the lines that are shown, and a test
/// compiles such a line without its mark `#`.
fn shows_itself(line: &str) -> Result<(), String> {
    let hidden = line.trim() == "#" || line.trim_start().starts_with("# ");
    (!hidden)
        .then_some(())
        .ok_or_else(|| format!("a hidden line: {line}"))
}

/// The number of the page's line, and what is wrong there.
type Wrong = (usize, String);

/// Checks each line of a block.
fn each(fence: &Fence<'_>, check: impl Fn(&str) -> Result<(), String>) -> Result<(), Wrong> {
    let lines = fence.body.iter().enumerate();
    let mut lines = lines.filter(|(_, line)| !line.trim().is_empty());
    lines.try_for_each(|(index, line)| check(line).map_err(|what| (fence.line + 1 + index, what)))
}

/// Checks that `name = "1.2"` or `name = { version = "1.2", … }` has the beginning of the locked
/// version.
fn dependency(line: &str) -> Result<(), String> {
    if line.starts_with('[') {
        return Ok(());
    }
    let wrong = || format!("not a dependency with the version in Cargo.lock: {line}");
    let (name, value) = line.split_once(" = ").ok_or_else(wrong)?;
    let locked = locked(name).ok_or_else(wrong)?;
    let version = match value.strip_prefix("{ version = ") {
        Some(table) => table.split(',').next().unwrap_or(table),
        None => value,
    };
    let version = version.trim_matches('"');
    (format!("{locked}.").starts_with(&format!("{version}.")))
        .then_some(())
        .ok_or_else(wrong)
}

#[test]
fn a_dependency_has_the_version_that_is_locked_and_nothing_behind_it() {
    let worker = locked("worker").expect("worker is locked");
    for good in [
        format!("worker = \"{worker}\""),
        format!("worker = {{ version = \"{worker}\", features = [\"http\"] }}"),
        "[dependencies]".to_owned(),
    ] {
        assert_eq!(dependency(&good), Ok(()), "{good}");
    }
    for wrong in [
        format!("worker = \"{worker}\" more"),
        format!("worker = {{ path = \"../worker\", version = \"{worker}\" }}"),
        "worker = \"0.0.1\"".to_owned(),
        "worker = { version = \"0.0.1\", features = [\"http\"] }".to_owned(),
    ] {
        assert!(dependency(&wrong).is_err(), "{wrong}");
    }
}

/// Code that stands outside of a fence, and directives of mdBook outside of a fence.
fn beside_fences(page: &Chapter) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut previous = "";
    for (line, text) in page.prose() {
        if text.starts_with("    ") && previous.trim().is_empty() && !text.trim().is_empty() {
            wrong.push(page.at(line, "indented code: use a fence"));
        }
        if text.contains("<pre") || text.contains("{{#") {
            wrong.push(page.at(line, "code outside of a fence"));
        }
        previous = text;
    }
    wrong
}

#[cfg(test)]
fn wrong_in(text: &str) -> Vec<String> {
    let proven = Proven::of_a_test();
    Checks::new(&proven).of(&chapter(text))
}

#[cfg(test)]
/// A listing as the pages write it, with this line in it.
fn listing(line: &str, caption: &str) -> String {
    format!("```rust\n{line}\n```\n\n<figcaption><code>{caption}</code></figcaption>\n")
}

#[test]
fn a_listing_is_an_include_of_an_anchor_of_a_compiled_file() {
    let guard = "crate/src/steps/guard.rs";
    let good = listing("{{#include ../crate/src/steps/guard.rs:guard}}", guard);
    assert_none(&wrong_in(&good));
    for (line, complaint) in [
        (
            "{{#include ../crate/src/steps/guard.rs:gard}}",
            "has no anchor",
        ),
        ("{{#include ../crate/src/steps/guard.rs}}", "has no anchor"),
        ("{{#include ../crate/src/gard.rs:guard}}", "there is no"),
        (
            "{{#rustdoc_include ../crate/src/steps/guard.rs:guard}}",
            "not an include",
        ),
        (
            "{{#include ../crate/src/steps/guard.rs:guard}}\nfn more() {}",
            "stands alone",
        ),
        ("{{#include ../STYLE.md:guard}}", "is not compiled"),
        ("fn other() {}", "no test ran this block"),
    ] {
        let found = wrong_in(&listing(line, guard));
        assert_eq!(found.len(), 1, "{line}: {found:?}");
        assert!(found[0].starts_with("src/test.md:1: "), "{found:?}");
        // Without an anchor, the include ends at another colon, or has none.
        let is_it = found[0].contains(complaint) || found[0].contains("without an anchor");
        assert!(is_it, "{line}: {found:?}");
    }
    let caption = wrong_in(&listing(
        "{{#include ../crate/src/steps/guard.rs:guard}}",
        "guard.rs",
    ));
    assert!(caption[0].contains("caption"), "{caption:?}");
}

#[test]
fn a_block_of_another_kind_names_what_is_there() {
    for good in [
        "```sh\nnpx wrangler dev\ncargo xtask test alarm\n```",
        "```sh\ncurl -X POST 'http://localhost:8787/drill/main/fetch?marker=a'\n```",
        "```rust,no_run\nfn main() {}\n```",
        "```text\n[worker-sentry] event delivered\nanything else\n```",
        "```toml\n[dependencies]\nworker = \"0.8\"\n```",
        "| Line | Meaning |\n| --- | --- |\n| `SENTRY_DSN is not text; nothing is reported` | x |",
    ] {
        assert_none(&wrong_in(good));
    }
    for bad in [
        "```sh\nnpx wrangler publish\n```",
        "```sh\nnpx wrangler dev --remote\n```",
        "```sh\ncurl -X POST 'http://localhost:8787/drill/main/fetsh?marker=a'\n```",
        "```sh\n$ cargo xtask test\n```",
        "```text\n[worker-sentry] event devoured\n```",
        "```toml\nworker = \"0.7\"\n```",
        "```toml\nworker = \"0.80\"\n```",
        "```toml\nworkers = \"0.8\"\n```",
        "```json\n{}\n```",
        "```\nwhat is this\n```",
        "```rust,ignore\nfn main() {}\n```",
        "```rust\nfn main() {}\n// that changed\n```",
        "~~~rust\n# fn main() {}\n~~~",
        "Text:\n\n    indented();\n",
        "<pre>code</pre>",
        "{{#include ../crate/src/steps/guard.rs:guard}}",
        "| Line | Meaning |\n| --- | --- |\n| `SENTRY_DSN is not taxed` | x |",
    ] {
        assert_eq!(wrong_in(bad).len(), 1, "{bad}: {:?}", wrong_in(bad));
    }
    let second = "```sh\nnpx wrangler dev\nnpx wrangler publish\n```";
    assert!(
        wrong_in(second)[0].starts_with("src/test.md:3: "),
        "{:?}",
        wrong_in(second)
    );
}

#[test]
fn every_page_is_in_the_summary() {
    let summary = read("src/SUMMARY.md");
    let listed = |page: &Chapter| summary.contains(&format!("]({})", page.path));
    let missing: Vec<String> = Chapter::all()
        .iter()
        .filter(|page| !page.is_apart() && !listed(page))
        .map(|page| page.at(1, "is not in SUMMARY.md"))
        .collect();
    assert_none(&missing);
}

#[test]
fn a_page_shows_every_anchor_of_the_sources() {
    let mut shown = BTreeSet::new();
    for page in Chapter::all() {
        let fences = page.fences();
        let listings = fences.iter().filter_map(|it| Listing::of(&page, it).ok());
        shown.extend(listings.map(|listing| listing.key()));
    }
    let root = root();
    let mut idle = Vec::new();
    for (folder, kind) in [
        ("crate/src", "rs"),
        ("crate/src", "js"),
        ("listings", "rs"),
        ("listings", "toml"),
        ("listings", "yaml"),
    ] {
        for path in files_below(&root.join(folder), kind) {
            let file = link(path.strip_prefix(&root).expect("a path below the root"));
            for anchor in anchors(&read(&file)) {
                let listing = Listing {
                    file: file.clone(),
                    anchor: anchor.to_owned(),
                };
                if !shown.contains(&listing.key()) {
                    idle.push(listing.key());
                }
            }
        }
    }
    assert_none(&idle);
}
