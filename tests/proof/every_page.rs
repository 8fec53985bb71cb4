//! What is true of every page of the book.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;

use libtest_mimic::Trial;
use proof::browser::{Page, Scheme};
use proof::case::test;
use proof::walk::{self, PHONE, Visit, WIDE};
use proof::{book, environment};

/// An introduction to the words that a diagram is told in is no telling.
const FEWEST_WORDS: usize = 40;

pub fn trials() -> Vec<Trial> {
    vec![
        test("every_page::has_no_error_in_the_console", no_error),
        test("every_page::asks_no_other_host", no_other_host),
        test("every_page::is_no_wider_than_a_phone", not_wider),
        test(
            "every_page::stays_where_it_is_while_its_scripts_run_and_its_diagrams_are_drawn",
            nothing_moves,
        ),
        test(
            "every_page::loads_mermaid_only_for_a_diagram_and_the_search_only_when_it_is_used",
            loaded_where_it_is_needed,
        ),
        test(
            "every_page::has_coloured_listings_whose_text_is_what_it_was",
            coloured,
        ),
        test(
            "every_page::has_a_title_of_its_own_an_icon_and_a_picture_for_links_to_it",
            presented,
        ),
        test(
            "every_page::has_links_that_lead_to_a_page_and_a_place_that_are_there",
            links_lead_somewhere,
        ),
        test(
            "every_page::has_diagrams_with_a_name_a_description_and_the_same_in_words",
            diagrams_in_words,
        ),
        test(
            "every_page::keeps_the_place_that_its_drawings_need",
            diagrams_fit,
        ),
        test(
            "every_page::has_no_violation_that_axe_finds_wide_or_on_a_phone_light_or_dark",
            accessible,
        ),
        test(
            "every_page::has_no_violation_that_axe_finds_with_the_search_a_menu_the_contents_or_the_help_open",
            accessible_when_open,
        ),
    ]
}

/// Fails with everything that a rule finds on any page.
fn assert_nothing(rule: impl Fn(&Visit) -> Vec<String>) {
    let mut found = String::new();
    for visit in walk::visits() {
        for line in rule(visit) {
            let _ = write!(found, "\n{}: {line}", visit.page);
        }
    }
    assert!(found.is_empty(), "{found}");
}

fn no_error() {
    assert_nothing(|visit| visit.errors.clone());
}

fn no_other_host() {
    assert_nothing(|visit| visit.elsewhere.clone());
}

fn not_wider() {
    assert_nothing(|visit| {
        let views = visit.views.iter();
        let at = |view: &walk::View| {
            let width = view.width;
            let lines = view.sticking_out.iter();
            lines.map(|line| format!("at {width}: {line}")).collect()
        };
        views.flat_map(at as fn(&_) -> Vec<String>).collect()
    });
    let widths: Vec<u32> = walk::visits()[0]
        .views
        .iter()
        .map(|view| view.width)
        .collect();
    assert_eq!(widths, [WIDE, PHONE]);
}

fn nothing_moves() {
    assert_nothing(|visit| {
        let moved = visit.views.iter().flat_map(|view| {
            let lines = view.moved.iter();
            lines.map(|line| format!("at {}: {line}", view.width))
        });
        moved.collect()
    });
}

fn coloured() {
    assert_nothing(|visit| {
        let blocks = visit.views.iter().flat_map(|view| view.miscoloured.clone());
        blocks.collect()
    });
}

fn presented() {
    let folder = book::folder();
    let mut titles = BTreeMap::new();
    for page in book::chapters(&folder) {
        let html = fs::read_to_string(folder.join(&page)).expect(&page);
        let between = |before: &str, after: &str| {
            let (_, rest) = html.split_once(before)?;
            Some(rest.split_once(after)?.0.to_owned())
        };
        let title = between("<title>", "</title>").expect("a title");
        if let Some(other) = titles.insert(title, page.clone()) {
            panic!("{page} has the title of {other}");
        }
        for (before, after) in [
            ("<link rel=\"icon\" type=\"image/svg+xml\" href=\"", "\""),
            (
                "<link rel=\"alternate icon\" type=\"image/png\" href=\"",
                "\"",
            ),
            ("<meta property=\"og:image\" content=\"", "\""),
        ] {
            let file = between(before, after).unwrap_or_else(|| panic!("{page}: no {before}"));
            let file = folder.join(&page).with_file_name("").join(&file);
            assert!(file.is_file(), "{page}: no {}", file.display());
        }
        for name in ["og:title", "og:description", "twitter:card", "description"] {
            assert!(
                html.contains(&format!("=\"{name}\" content=\"")),
                "{page}: {name}"
            );
        }
    }
}

fn loaded_where_it_is_needed() {
    let mut with_a_diagram = Vec::new();
    assert_nothing(|visit| {
        let search = ["elasticlunr", "mark-", "searcher", "searchindex"];
        let search = visit
            .files
            .iter()
            .filter(|file| search.iter().any(|name| file.starts_with(name)));
        let drawn = visit.views.iter().any(|view| !view.diagrams.is_empty());
        let mermaid = visit.files.contains("mermaid.min.js");
        let mut wrong: Vec<String> = search.cloned().collect();
        if mermaid != drawn {
            wrong.push(format!("Mermaid: {mermaid}, a diagram: {drawn}"));
        }
        wrong
    });
    for visit in walk::visits() {
        if visit.files.contains("mermaid.min.js") {
            with_a_diagram.push(&visit.page);
        }
    }
    assert!(
        with_a_diagram.len() < walk::visits().len() / 2,
        "{with_a_diagram:?}"
    );
}

fn links_lead_somewhere() {
    let folder = book::folder();
    let mut places: BTreeMap<String, Option<BTreeSet<String>>> = BTreeMap::new();
    let mut wrong = BTreeMap::new();
    let mut followed = 0;
    for visit in walk::visits() {
        for link in &visit.links {
            followed += 1;
            if let Some(host) = link.strip_prefix("https://") {
                let host = host.split('/').next().unwrap_or_default();
                let plain = |c: char| c.is_ascii_alphanumeric() || "-.".contains(c);
                if !host.contains('.') || !host.chars().all(plain) || link.contains(' ') {
                    wrong.insert(link.clone(), &visit.page);
                }
                continue;
            }
            let (path, place) = link.split_once('#').unwrap_or((link, ""));
            let path = if path.is_empty() || path.ends_with('/') {
                format!("{path}index.html")
            } else {
                path.to_owned()
            };
            let ids = places.entry(path).or_insert_with_key(|path| {
                let text = fs::read_to_string(folder.join(path)).ok()?;
                Some(ids(&text))
            });
            let there = ids
                .as_ref()
                .is_some_and(|ids| place.is_empty() || ids.contains(place));
            if !there {
                wrong.insert(link.clone(), &visit.page);
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "links to nowhere, and a page of each: {wrong:#?}"
    );
    assert!(followed > 1000, "{followed} links");
}

/// The ids in a page.
fn ids(html: &str) -> BTreeSet<String> {
    let mut parts = html.split(" id=\"");
    parts.next();
    let ids = parts.filter_map(|part| Some(part.split_once('"')?.0.to_owned()));
    ids.collect()
}

fn diagrams_in_words() {
    let mut diagrams = 0;
    for visit in walk::visits() {
        for diagram in visit.views.iter().flat_map(|view| &view.diagrams) {
            diagrams += 1;
            let words = diagram.words.split_whitespace().count();
            assert!(
                !diagram.name.is_empty()
                    && diagram.description.len() > diagram.name.len()
                    && words >= FEWEST_WORDS,
                "{}: {diagram:#?}",
                visit.page
            );
        }
    }
    assert!(diagrams > 0);
}

fn diagrams_fit() {
    assert_nothing(|visit| {
        let mut wrong = Vec::new();
        for diagram in visit.views.iter().flat_map(|view| &view.diagrams) {
            let ((width, height), (drawn_width, drawn_height)) = (diagram.kept, diagram.drawn);
            // Its texts are as wide as the machine's fonts.
            let near = |kept: f64, drawn: f64| (kept / drawn - 1.0).abs() < 0.1;
            if !near(width, drawn_width) || !near(height, drawn_height) {
                wrong.push(format!(
                    "{}: write --diagram-width: {drawn_width:.0}; --diagram-height: \
                     {drawn_height:.0} instead of {width} and {height}",
                    diagram.name
                ));
            }
        }
        wrong.dedup();
        wrong
    });
}

/// A window with axe in each of its pages.
fn window_with_axe() -> Page {
    let axe = environment::path("PROOF_NPM").join("axe-core/axe.min.js");
    let axe = fs::read_to_string(axe).expect("axe-core, one of tests/tools/package.json");
    let mut window = Page::empty(Scheme::Light);
    window.before_each(&axe);
    window.before_each("window.print = () => {};");
    window
}

fn accessible_when_open() {
    let site = book::serve();
    let mut window = window_with_axe();
    let mut found = Vec::new();
    for width in [WIDE, PHONE] {
        window.resize(width, 900);
        for (what, key, element) in [
            ("the search", "s", "#mdbook-searchresults li"),
            ("the menu", "", "#mdbook-theme-list"),
            ("the contents", "", "#mdbook-sidebar"),
            ("the help", "?", "#mdbook-help-popup"),
        ] {
            window.go(&site.url("why-isolates.html"));
            match what {
                "the menu" => window.click("#mdbook-theme-toggle"),
                "the contents" if width == PHONE => window.click("#mdbook-sidebar-toggle"),
                "the contents" => {}
                _ => window.press(key),
            }
            if what == "the search" {
                window.write("alarm");
            }
            let seen = format!("document.querySelector('{element}')?.checkVisibility() === true");
            window.wait_until(what, &seen);
            for (scheme, judge) in [(Scheme::Light, Judge::All), (Scheme::Dark, Judge::Colours)] {
                window.prefer(scheme);
                for violation in axe(&mut window, judge) {
                    let scheme = scheme.name();
                    found.push(format!("{what} at {width}, {scheme}: {violation}"));
                }
            }
            window.prefer(Scheme::Light);
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

fn accessible() {
    let site = book::serve();
    let mut pages = book::pages(&book::folder());
    // The index is the introduction once more.
    pages.retain(|page| page != "index.html");
    let found = book::visit_all(&pages, window_with_axe, |window, page| {
        let mut found = Vec::new();
        let judgements = [
            (WIDE, Scheme::Light, Judge::All),
            (WIDE, Scheme::Dark, Judge::Colours),
            (PHONE, Scheme::Light, Judge::Structure),
        ];
        for (width, scheme, judge) in judgements {
            // What is on it has been judged where it comes from, and takes as long as
            // all the other pages.
            let judge = match (page, judge) {
                ("print.html", Judge::All) => Judge::Structure,
                ("print.html", _) => continue,
                _ => judge,
            };
            window.prefer(scheme);
            if judge != Judge::Colours {
                window.resize(width, 900);
                window.go(&site.url(page));
            }
            for violation in axe(window, judge) {
                found.push(format!("at {width}, {}: {violation}", scheme.name()));
            }
        }
        found
    });
    let found: Vec<_> = found
        .iter()
        .filter(|(_, found)| !found.is_empty())
        .collect();
    assert!(found.is_empty(), "{found:#?}");
}

/// What axe is asked for. Colours take the most of its time and are the same at each
/// width; all else is the same elements in the dark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Judge {
    All,
    Colours,
    Structure,
}

/// What axe has against the page as it is now.
fn axe(window: &mut Page, judge: Judge) -> Vec<String> {
    let (only, colours) = match judge {
        Judge::All => ("", true),
        Judge::Colours => ("runOnly: ['color-contrast', 'link-in-text-block'],", true),
        Judge::Structure => ("", false),
    };
    let violations = window.evaluate(&format!(
        "(async () => {{
            await window.diagramsDrawn;
            // What is marked as scrollable is marked when it has been laid out.
            await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
            const rules = {{
                'target-size': {{ enabled: true }},
                'color-contrast': {{ enabled: {colours} }},
            }};
            const result = await axe.run({{ resultTypes: ['violations'], {only} rules }});
            if ({colours} !== result.passes.some(({{ id }}) => id === 'color-contrast')) {{
                return ['axe did not do what it was asked for'];
            }}
            return result.violations.map(({{ id, help, nodes }}) => [id, help, ...nodes.map(
                ({{ html, failureSummary }}) => `${{html}}: ${{failureSummary}}`)]);
        }})()"
    ));
    let violations = violations.as_array().into_iter().flatten();
    violations
        .map(|violation| format!("{violation:#}"))
        .collect()
}
