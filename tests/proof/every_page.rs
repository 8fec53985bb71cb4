//! Rules for every page of the book.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;

use book_compiler::rendered::unescaped;
use harness::browser::{Page, Scheme};
use harness::walk::{self, PHONE, Visit, WIDE};
use harness::{book, environment};

/// The fewest words below a diagram. Fewer can only introduce the words, not tell the diagram.
const FEWEST_WORDS: usize = 40;

harness::trials![
    has_no_error_in_the_console,
    asks_no_other_host,
    is_no_wider_than_a_phone,
    stays_where_it_is_while_its_scripts_run,
    works_where_a_server_allows_only_files_of_its_own_host,
    loads_no_mermaid_and_the_search_only_when_it_is_used,
    has_a_twin_in_markdown_with_its_listings_and_llms_txt_lists_it,
    is_found_by_its_words_and_not_by_the_names_of_tests,
    has_coloured_listings_whose_text_is_what_it_was,
    has_a_title_of_its_own_an_icon_and_a_picture_for_links_to_it,
    has_diagrams_with_a_name_a_description_and_the_same_in_words,
    has_no_violation_that_axe_finds_wide_or_on_a_phone_light_or_dark,
    has_no_violation_that_axe_finds_with_the_search_a_menu_the_contents_or_the_help_open,
];

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

fn has_no_error_in_the_console() {
    assert_nothing(|visit| visit.errors.clone());
}

fn asks_no_other_host() {
    assert_nothing(|visit| visit.elsewhere.clone());
}

fn is_no_wider_than_a_phone() {
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

fn stays_where_it_is_while_its_scripts_run() {
    assert_nothing(|visit| {
        let moved = visit.views.iter().flat_map(|view| {
            let lines = view.moved.iter();
            lines.map(|line| format!("at {}: {line}", view.width))
        });
        moved.collect()
    });
}

fn has_coloured_listings_whose_text_is_what_it_was() {
    assert_nothing(|visit| {
        let blocks = visit.views.iter().flat_map(|view| view.miscoloured.clone());
        blocks.collect()
    });
}

fn has_a_title_of_its_own_an_icon_and_a_picture_for_links_to_it() {
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

fn loads_no_mermaid_and_the_search_only_when_it_is_used() {
    assert_nothing(|visit| {
        let unwanted = ["mermaid", "elasticlunr", "mark-", "searcher", "searchindex"];
        let is_unwanted = |file: &&String| unwanted.iter().any(|name| file.contains(name));
        visit.files.iter().filter(is_unwanted).cloned().collect()
    });
}

fn works_where_a_server_allows_only_files_of_its_own_host() {
    assert_nothing(|visit| {
        let views = visit.views.iter();
        views.flat_map(|view| view.violations.clone()).collect()
    });
    // The policy is really applied: it blocks a style that a script adds.
    let site = book::serve();
    let mut window = Page::open(&site.url("introduction.html"), Scheme::Light);
    window.evaluate("document.body.setAttribute('style', 'color: red')");
    assert!(
        format!("{:?}", window.errors()).contains("Content Security Policy"),
        "a style in the page is not refused"
    );
}

/// The code that a reader copies from a page, line by line.
fn code(html: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for block in html.split("<code class=\"language-").skip(1) {
        let block = block.split("</code>").next().unwrap_or_default();
        let (_, block) = block.split_once('>').unwrap_or_default();
        lines.extend(unescaped(block).lines().map(str::to_owned));
    }
    lines
}

fn has_a_twin_in_markdown_with_its_listings_and_llms_txt_lists_it() {
    let folder = book::folder();
    let list = fs::read_to_string(folder.join("llms.txt")).expect("llms.txt");
    let mut lines = 0;
    for page in book::chapters(&folder) {
        let html = fs::read_to_string(folder.join(&page)).expect(&page);
        let path = page.replace(".html", ".md");
        let link = "rel=\"alternate\" type=\"text/markdown\"";
        let (_, link) = html
            .split_once(link)
            .unwrap_or_else(|| panic!("{page}: {link}"));
        let link = link
            .split("href=\"")
            .nth(1)
            .and_then(|it| it.split('"').next());
        let link = link.unwrap_or_default();
        assert_eq!(link.trim_start_matches("../"), path, "{page}");
        assert!(folder.join(&page).with_file_name("").join(link).is_file());
        assert!(list.contains(&format!("]({path}): ")), "{path} in llms.txt");
        let twin = fs::read_to_string(folder.join(&path)).expect(&path);
        for html in ["{{#", "<figure", "<details", "<summary", "<svg", "<!--"] {
            assert!(!twin.contains(html), "{path} has {html}");
        }
        assert!(twin.starts_with("# "), "{path} begins with its title");
        for line in code(&html) {
            lines += 1;
            assert!(twin.contains(&line), "{path} has no line {line:?}");
        }
    }
    assert!(lines > 1000, "{lines} lines of code");
}

fn is_found_by_its_words_and_not_by_the_names_of_tests() {
    let folder = book::folder();
    let files = fs::read_dir(&folder).expect("a book").flatten();
    let mut files = files.map(|file| file.file_name().to_string_lossy().into_owned());
    let index = files.find(|file| file.starts_with("searchindex-"));
    let index = fs::read_to_string(folder.join(index.expect("an index"))).expect("an index");
    assert!(
        index.contains("Durable Objects"),
        "the text is in the index"
    );
    let page = fs::read_to_string(folder.join("architecture.html")).expect("a page");
    assert!(
        page.contains("<summary>Proven by "),
        "the tests are on the page"
    );
    for (at, _) in index.match_indices("Proven by ") {
        let after = &index[at + "Proven by ".len()..];
        let is_count = after.starts_with(|c: char| c.is_ascii_digit());
        assert!(!is_count, "{:.80}", &index[at..]);
    }
}

fn has_diagrams_with_a_name_a_description_and_the_same_in_words() {
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

/// A window with axe in each of its pages.
pub fn window_with_axe() -> Page {
    let axe = environment::path("PROOF_NPM").join("axe-core/axe.min.js");
    let axe = fs::read_to_string(axe).expect("axe-core, one of tests/tools/package.json");
    let mut window = Page::empty(Scheme::Light);
    window.before_each(&axe);
    window.before_each("window.print = () => {};");
    window
}

fn has_no_violation_that_axe_finds_with_the_search_a_menu_the_contents_or_the_help_open() {
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

fn has_no_violation_that_axe_finds_wide_or_on_a_phone_light_or_dark() {
    let site = book::serve();
    let mut pages = book::pages(&book::folder());
    // The index has the same content as the introduction.
    pages.retain(|page| page != "index.html");
    let found = book::visit_all(&pages, window_with_axe, |window, page| {
        let mut found = Vec::new();
        let judgements = [
            (WIDE, Scheme::Light, Judge::All),
            (WIDE, Scheme::Dark, Judge::Colours),
            (PHONE, Scheme::Light, Judge::Structure),
        ];
        for (width, scheme, judge) in judgements {
            // This page repeats all other pages, which are checked themselves, and takes as long as
            // all of them together. Only here can two of them use the same id.
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

/// The rules that axe checks. Colours take most of the time and are the same in each width, so they
/// are checked once for each scheme. All other rules see the same elements in light and dark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judge {
    All,
    Colours,
    Structure,
}

/// The violations that axe finds on the page.
pub fn axe(window: &mut Page, judge: Judge) -> Vec<String> {
    let (only, colours) = match judge {
        Judge::All => ("", true),
        Judge::Colours => ("runOnly: ['color-contrast', 'link-in-text-block'],", true),
        Judge::Structure => ("", false),
    };
    let violations = window.evaluate(&format!(
        "(async () => {{
            // What is marked as scrollable is marked when it has been laid out.
            await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
            const rules = {{
                'target-size': {{ enabled: true }},
                'color-contrast': {{ enabled: {colours} }},
            }};
            // No rule that is on needs the files of the page a second time.
            const asked = {{ preload: false, resultTypes: ['violations'], {only} rules }};
            const result = await axe.run(asked);
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
