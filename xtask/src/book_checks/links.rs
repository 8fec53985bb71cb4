//! Links between pages, to their headings too.

#[cfg(test)]
use super::{assert_none, page};
use crate::anchors::ids;
use crate::html::plain;
use crate::pages::Page;
#[cfg(test)]
use crate::pages::pages;

pub(super) fn wrong(pages: &[Page]) -> Vec<String> {
    pages.iter().flat_map(|page| broken(page, pages)).collect()
}

#[test]
fn every_link_leads_to_a_page_and_a_heading_that_are_there() {
    assert_none(&wrong(&pages()));
}

fn broken(page: &Page, pages: &[Page]) -> Vec<String> {
    let mut wrong = Vec::new();
    for (line, target) in links(page) {
        let what = match target.split_once("://") {
            Some(("https", _)) => continue,
            Some(_) => Some("is not https"),
            None => leads_nowhere(page, pages, target),
        };
        wrong.extend(what.map(|what| page.at(line, format!("{target} {what}"))));
    }
    wrong
}

fn leads_nowhere(page: &Page, pages: &[Page], target: &str) -> Option<&'static str> {
    let (path, heading) = match target.split_once('#') {
        Some((path, heading)) => (path, Some(heading)),
        None => (target, None),
    };
    let path = match path {
        "" => plain(&page.folder().join(page.path.rsplit('/').next()?)),
        path => plain(&page.folder().join(path)),
    };
    if path.starts_with("src/api") {
        // The API is there only when the book is rendered, and checked then.
        return None;
    }
    if path.starts_with("src/pictures") {
        let is_there = crate::root().join(&path).is_file();
        return (!is_there).then_some("is no picture");
    }
    let path = path.strip_prefix("src").unwrap_or(&path).to_str()?;
    // The page of a test is not among them.
    let other = pages.iter().chain([page]).find(|other| other.path == path);
    let Some(other) = other else {
        return Some("is no page");
    };
    let there = heading.is_none_or(|heading| anchors(other).iter().any(|it| it == heading));
    (!there).then_some("is no heading of that page")
}

/// The target of each link, with its line.
fn links(page: &Page) -> Vec<(usize, &str)> {
    let prose = page.prose();
    let links = prose.iter().flat_map(|(line, text)| {
        let targets = text.split("](").skip(1);
        targets.filter_map(|rest| Some((*line, rest.split_once(')')?.0)))
    });
    let definitions = prose.iter().filter_map(|(line, text)| {
        let (_, target) = text.strip_prefix('[')?.split_once("]: ")?;
        Some((*line, target))
    });
    links.chain(definitions).collect()
}

/// What a link to this page can point at: its headings, as mdBook names them,
/// and what has an id.
pub(super) fn anchors(page: &Page) -> Vec<String> {
    let mut anchors: Vec<String> = Vec::new();
    for (_, line) in page.prose() {
        if line.starts_with('#') {
            let text = line.trim_start_matches('#').trim();
            let name = match text.rsplit_once("{#") {
                Some((_, id)) => id.trim_end_matches('}').to_owned(),
                None => slug(text),
            };
            let taken = anchors.iter().filter(|other| **other == name).count();
            anchors.push(match taken {
                0 => name,
                taken => format!("{name}-{taken}"),
            });
        }
        anchors.extend(ids(line).into_iter().map(str::to_owned));
    }
    anchors
}

fn slug(heading: &str) -> String {
    let kept = heading.chars().filter_map(|c| match c {
        ' ' => Some('-'),
        c if c.is_alphanumeric() || c == '_' || c == '-' => Some(c),
        _ => None,
    });
    kept.collect::<String>().to_lowercase()
}

#[test]
fn a_link_that_leads_nowhere_is_named_with_its_line() {
    let text = |link: &str| format!("# A title\n\nSee [it]({link}).\n\n## `Code`: and more\n");
    let definition = |target: &str| format!("# A title\n\n[it]: {target}\n");
    assert_eq!(broken(&page(&definition("a.md")), &[]).len(), 1);
    let pages = pages();
    for good in [
        "panics.md",
        "panics.md#what-cannot",
        "hosts/index.md",
        "architecture.md#states",
        "#code-and-more",
        "pictures/issue-light.webp",
        "api/worker_sentry/index.html",
        "https://docs.rs/worker",
    ] {
        assert_none(&broken(&page(&text(good)), &pages));
    }
    for bad in [
        "panic.md",
        "panics.md#what-can",
        "panics.html",
        "#code",
        "http://docs.rs/worker",
    ] {
        let found = broken(&page(&text(bad)), &pages);
        assert_eq!(found.len(), 1, "{bad}");
        assert!(found[0].starts_with("src/test.md:3: "), "{found:?}");
    }
}
