//! Mistakes of the book's pages, found in their sources.
//!
//! mdBook renders a page without an error when an include names no anchor or when a table is out of
//! date. The preprocessor therefore fails the build for blocks, and tests fail for tables, each
//! with the page and the line. Links are followed in the rendered pages: see `rendered`.

mod blocks;
#[cfg(test)]
mod diagrams;
#[cfg(test)]
mod names;
#[cfg(test)]
mod tables;

#[cfg(test)]
use std::collections::BTreeSet;

use crate::chapter::{Chapter, front_page};
use crate::files::{files_below, read, root};
use crate::proven::Proven;

/// Everything that is wrong with the blocks of all pages, as `page:line: what`.
pub fn wrong(proven: &Proven) -> Vec<String> {
    let mut pages = Chapter::all();
    pages.push(front_page());
    blocks::wrong(&pages, proven)
}

/// All of a package's sources as one text.
fn sources(folder: &str) -> String {
    let files = files_below(&root().join(folder), "rs");
    let texts: Vec<String> = files.into_iter().map(read).collect();
    texts.join("\n")
}

/// `host/handler` of each drill that the example answers.
fn drills() -> Vec<String> {
    let text = read("listings/src/drill.rs");
    let drills = text.lines().filter_map(|line| {
        let (host, rest) = line.trim().strip_prefix("(\"")?.split_once("\", \"")?;
        let (handler, _) = rest.split_once("\") =>")?;
        Some(format!("{host}/{handler}"))
    });
    drills.collect()
}

#[cfg(test)]
/// A class, its handler, and the function that reports the handler's failure.
type Host = (String, String, String);

#[cfg(test)]
/// The name of a handler, at the start of a text that has it as the enum spells it:
/// `WebsocketError`.
fn handler_name(rest: &str) -> Option<String> {
    let variant = rest.split(|c: char| !c.is_ascii_alphanumeric()).next()?;
    let mut name = String::new();
    for letter in variant.chars() {
        if letter.is_ascii_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(letter.to_ascii_lowercase());
    }
    Some(name)
}

#[cfg(test)]
/// Every place in the sources that names a host and reports.
fn reporting(sources: &str) -> BTreeSet<Host> {
    let mut hosts = BTreeSet::new();
    let calls = |name: &str| {
        let calls = sources
            .match_indices(name)
            .map(|(at, _)| &sources[at + name.len()..]);
        Vec::from_iter(calls)
    };
    let names = |rest: &str| -> Vec<String> {
        let call = rest.split(')').next().unwrap_or_default();
        let classes = call.split('"').skip(1).step_by(2).map(str::to_owned);
        let handlers = call.split("Handler::").skip(1).filter_map(handler_name);
        Vec::from_iter(classes.chain(handlers))
    };
    for rest in calls("with_sentry_worker(") {
        if let [handler] = names(rest).as_slice() {
            hosts.insert(("main".into(), handler.clone(), "with_sentry_worker".into()));
        }
    }
    for rest in calls("with_sentry_in_isolate(") {
        if let [class, handler] = names(rest).as_slice() {
            let how = "with_sentry_in_isolate".to_owned();
            hosts.insert((class.clone(), handler.clone(), how));
        }
    }
    for rest in calls(".in_handler(") {
        if let [class, handler] = names(rest).as_slice()
            && let Some(at) = rest.find("capture_exception_in_")
        {
            let how = rest[at..].split('(').next().unwrap_or_default();
            hosts.insert((class.clone(), handler.clone(), how.to_owned()));
        }
    }
    hosts
}

#[cfg(test)]
fn assert_none(wrong: &[String]) {
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

#[test]
fn every_page_opens_with_what_the_reader_will_be_able_to_do() {
    let mut wrong = Vec::new();
    for page in Chapter::all().iter().filter(|page| !page.is_apart()) {
        let mut lines = page.text.lines().filter(|line| !line.is_empty());
        let title = lines.next().unwrap_or_default();
        let opening = lines.next().unwrap_or_default();
        if !title.starts_with("# ") || !opening.starts_with("After this page") {
            wrong.push(page.at(1, "opens with a title and “After this page …”"));
        }
    }
    assert_none(&wrong);
}
