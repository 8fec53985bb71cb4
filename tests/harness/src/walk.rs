//! A visit to every page of the book: what a page requested, where it links to, and whether its
//! content moved. The visit is made once, for all tests that use it.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::book;
use crate::browser::{Page, Scheme};
use crate::shared::Shared;
use site::Site;

/// The width of a window on a desktop.
pub const WIDE: u32 = 1280;
/// The width of the narrowest phone.
pub const PHONE: u32 = 360;

/// The observations on one page.
#[derive(Debug)]
pub struct Visit {
    /// The page, such as `hosts/main.html`.
    pub page: String,
    /// Errors, in both widths.
    pub errors: Vec<String>,
    /// The files that the page requested, as paths below the root.
    pub files: BTreeSet<String>,
    /// Requests to other hosts.
    pub elsewhere: Vec<String>,
    /// The page in both widths.
    pub views: Vec<View>,
}

/// A page at one width.
#[derive(Debug)]
pub struct View {
    /// The width of the window.
    pub width: u32,
    /// Elements that are wider than the page.
    pub sticking_out: Vec<String>,
    /// Elements that moved while the scripts ran.
    pub moved: Vec<String>,
    /// Blocks of code whose text changes when they are coloured, or that have no colours.
    pub miscoloured: Vec<String>,
    /// What a strict `Content-Security-Policy` blocked.
    pub violations: Vec<String>,
    /// The diagrams of the page.
    pub diagrams: Vec<Diagram>,
}

/// A diagram, for readers who do not see the drawing.
#[derive(Debug)]
pub struct Diagram {
    /// The drawing's name.
    pub name: String,
    /// The drawing's description.
    pub description: String,
    /// The words below the drawing.
    pub words: String,
}

/// All pages of the book as it was rendered.
///
/// # Panics
///
/// If a page cannot be opened.
pub fn visits() -> &'static [Visit] {
    static VISITS: Shared<Vec<Visit>> = Shared::new();
    VISITS.get(|| {
        let site = book::serve();
        visit(&site, &book::pages(&book::folder()))
    })
}

/// Visits some pages of a site.
pub fn visit(site: &Site, pages: &[String]) -> Vec<Visit> {
    let open = || {
        let mut window = Page::empty(Scheme::Light);
        window.before_each(BEFORE);
        window
    };
    let found = book::visit_all(pages, open, |window, page| visit_one(site, window, page));
    found.into_iter().map(|(_, visit)| visit).collect()
}

fn visit_one(site: &Site, window: &mut Page, page: &str) -> Visit {
    window.forget();
    let root = site.url("");
    let mut views = Vec::new();
    for width in [WIDE, PHONE] {
        window.resize(width, 900);
        window.go(&site.url(page));
        let seen = window.evaluate(AFTER);
        views.push(View {
            width,
            sticking_out: texts(&seen["stickingOut"]),
            moved: texts(&seen["moved"]),
            miscoloured: texts(&seen["miscoloured"]),
            violations: texts(&seen["violations"]),
            diagrams: seen["diagrams"]
                .as_array()
                .into_iter()
                .flatten()
                .map(|diagram| Diagram {
                    name: text(&diagram["name"]),
                    description: text(&diagram["description"]),
                    words: text(&diagram["words"]),
                })
                .collect(),
        });
    }
    let (files, elsewhere): (Vec<_>, Vec<_>) = window
        .requests()
        .iter()
        .filter(|url| !url.starts_with("data:"))
        .partition(|url| url.starts_with(&root));
    let below = |url: &String| match url.strip_prefix(&root) {
        Some(path) => path.to_owned(),
        None => url.clone(),
    };
    Visit {
        page: page.to_owned(),
        files: files
            .into_iter()
            .map(below)
            // A browser requests icons when it wants, so these requests are left out.
            .filter(|file| !file.starts_with("favicon"))
            .collect(),
        elsewhere: elsewhere.into_iter().cloned().collect(),
        errors: window.errors().to_vec(),
        views,
    }
}

fn texts(values: &Value) -> Vec<String> {
    values.as_array().into_iter().flatten().map(text).collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// Records the place of every element before the page's first script runs, and keeps the print page
/// from opening a dialogue.
const BEFORE: &str = r"
window.places = () => [...document.querySelectorAll('main > *, .chapters, .sidebar li')]
    .map((element) => [element, element.getBoundingClientRect()])
    .filter(([, box]) => box.height > 0 && box.right > 0)
    .map(([element, box]) => [element, Math.round(box.top + scrollY), Math.round(box.height)]);
window.violations = [];
document.addEventListener('securitypolicyviolation', ({ violatedDirective, blockedURI, sourceFile, lineNumber }) =>
    window.violations.push(`${violatedDirective}: ${blockedURI} in ${sourceFile}:${lineNumber}`));
window.print = () => { window.printed = true; };
document.addEventListener('readystatechange', () => {
    if (document.readyState !== 'interactive') return;
    // Without a script that waits for them, the style sheets may not be there yet.
    window.placesBefore = document.scripts.length > 0 ? window.places() : [];
});
document.addEventListener('readystatechange', () => {
    if (document.readyState !== 'interactive') return;
    window.codeBefore = new Map([...document.querySelectorAll('pre > code[class*=language-]')]
        .map((block) => [block, block.textContent]));
});
window.shifts = [];
new PerformanceObserver((list) => window.shifts.push(...list.getEntries()))
    .observe({ type: 'layout-shift', buffered: true });
";

/// Examines the page after it has been painted.
const AFTER: &str = r"(async () => {
    const painted = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
    await painted();
    await painted();
    const name = (element) => `<${element.localName} id='${element.id}' class='${element.className}'> `
        + element.textContent.trim().slice(0, 40);
    const now = new Map(window.places().map(([element, top, height]) => [element, [top, height]]));
    const moved = window.placesBefore
        .filter(([element, top, height]) => `${now.get(element)}` !== `${[top, height]}`)
        .map(([element, top, height]) =>
            `${name(element)}: from ${top} (${height} high) to ${now.get(element)}`);
    for (const shift of window.shifts) {
        moved.push(`a shift by ${shift.value} of `
            + shift.sources.map(({ node, previousRect, currentRect }) => node
                && [name(node.parentElement ?? node), JSON.stringify([previousRect, currentRect])]));
    }
    const root = document.documentElement;
    // What scrolls in a box of its own may be wider than the page.
    const scrolls = (element) => element && (element.localName === 'body' ? false
        : ['auto', 'scroll'].includes(getComputedStyle(element).overflowX) || scrolls(element.parentElement));
    const stickingOut = [...document.querySelectorAll('main, main *, header *, .chapters *')]
        .filter((element) => element.getBoundingClientRect().right > root.clientWidth + 1
            && element.checkVisibility() && !scrolls(element.parentElement))
        .map(name);
    if (root.scrollWidth > root.clientWidth) stickingOut.push(`the document is ${root.scrollWidth} wide`);
    const miscoloured = [...window.codeBefore]
        .filter(([block, before]) => block.textContent !== before
            || (block.matches('.language-rust, .language-toml') && !block.querySelector('span')))
        .map(([block]) => name(block));
    const labelled = (drawing, by) => document.getElementById(drawing?.getAttribute(by))?.textContent;
    const diagrams = [...document.querySelectorAll('figure.diagram')].map((figure) => {
        const drawing = figure.querySelector('svg[role=img]');
        return {
            name: labelled(drawing, 'aria-labelledby'),
            description: labelled(drawing, 'aria-describedby'),
            words: figure.querySelector(':scope > details')?.textContent,
        };
    });
    return { violations: window.violations, moved, stickingOut, miscoloured, diagrams };
})()";
