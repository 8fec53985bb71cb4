//! What a reader does with the book, in a browser.

use std::fs;
use std::path::Path;
use std::process::Command;

use harness::book::{self, BookPage};
use harness::browser::{Page, Scheme};
use harness::site::Site;
use harness::{environment, run};
use serde_json::{Value, json};

harness::trials![
    finds_a_page_by_typing_what_it_is_about_and_follows_the_result,
    does_each_of_ten_tasks_by_search_or_contents_in_at_most_three_steps,
    copies_whole_files_with_their_buttons_and_they_compile,
    sees_the_theme_of_the_system_until_one_is_chosen_and_then_keeps_that,
    gets_around_with_the_keyboard_alone,
    sees_where_the_focus_is_on_everything_that_takes_it,
    prints_every_chapter_with_no_code_cut_off_and_nothing_around_it,
    without_scripts_has_the_text_the_listings_the_contents_and_the_way_on,
    opens_the_book_from_a_folder_and_searches_it_and_sees_its_diagrams,
    reads_one_way_in_at_a_time_on_a_phone_and_chooses_it_with_the_keyboard,
    with_storage_blocked_reads_searches_and_chooses_a_theme,
    finds_the_way_from_a_wrong_address_at_any_depth_and_under_a_sub_path,
    under_a_sub_path_reads_searches_and_goes_on,
    is_shown_the_source_and_the_way_to_edit_a_page_when_published_with_a_repository,
];

/// A search, and the page that answers it. The page must be among the first results.
const SEARCHES: [(&str, &str); 46] = [
    ("install", "quick-start.html"),
    ("SENTRY_DSN", "configuration.html"),
    ("sample rate", "configuration.html"),
    ("release", "configuration.html"),
    ("environment", "configuration.html"),
    ("tunnel", "configuration.html"),
    ("Secrets Store", "configuration.html"),
    ("Cloudflare Access", "configuration.html"),
    ("with_sentry_worker", "main-worker.html"),
    ("queue", "main-worker.html"),
    ("cron", "main-worker.html"),
    ("capture_exception_in_isolate", "durable-objects.html"),
    ("retry", "durable-objects.html"),
    ("websocket_error", "background.html"),
    ("wait_until", "background.html"),
    ("hibernation", "background.html"),
    ("NonRetryableError", "workflows.html"),
    ("rate limit", "hosts/rate-limiter.html"),
    ("Retry-After", "failure.html"),
    ("timeout", "failure.html"),
    ("panic", "panics.html"),
    ("privacy", "zero-trust.html"),
    ("personal data", "zero-trust.html"),
    ("wrangler dev", "quick-start.html"),
    ("deploy", "deploying.html"),
    ("not arrive", "troubleshooting.html"),
    ("hung", "troubleshooting.html"),
    ("isolates", "why-isolates.html"),
    ("versions", "versions.html"),
    ("javascript", "from-javascript.html"),
    ("beforeSend", "from-javascript.html"),
    ("stack trace", "stack-traces.html"),
    ("backtrace", "stack-traces.html"),
    ("sentry-core", "introduction.html"),
    ("anyhow", "returns.html"),
    ("fingerprint", "issues.html"),
    ("staging", "deploying.html"),
    ("wrangler tail", "deploying.html"),
    ("IP address", "zero-trust.html"),
    ("receiver did not answer in time", "troubleshooting.html"),
    ("email", "after-the-response.html"),
    ("stream", "after-the-response.html"),
    ("unwind", "unwinding.html"),
    ("monorepo", "recipes.html"),
    ("noisy", "recipes.html"),
    ("what to use", "what-to-use.html"),
];
/// The number of results that fit on a screen.
const FIRST_RESULTS: usize = 8;

const SEARCH_IS_OPEN: &str = "document.activeElement?.id === 'mdbook-searchbar'";

fn finds_a_page_by_typing_what_it_is_about_and_follows_the_result() {
    let site = book::serve();
    let mut page = Page::open(&site.url("introduction.html"), Scheme::Light);
    page.press("/");
    page.wait_until("open search", SEARCH_IS_OPEN);
    let mut missed = Vec::new();
    for (typed, wanted) in SEARCHES {
        let results = search(&mut page, typed);
        if !results
            .iter()
            .any(|result| result.contains(&format!("/{wanted}")))
        {
            missed.push(format!(
                "`{typed}` is not answered by {wanted} but by {results:#?}"
            ));
        }
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));

    let typed = "malformed DSN";
    let results = search(&mut page, typed);
    assert!(!results.is_empty());
    page.click("#mdbook-searchresults li:first-child a");
    let there = page.arrives_at(|url| url.contains("highlight="));
    let followed = there.replace('?', "#");
    assert_eq!(
        followed.split('#').next(),
        results[0].split(['#', '?']).next()
    );
    page.wait_until(
        "mark on the words",
        "document.querySelector('main mark') !== null",
    );
    assert_eq!(page.errors(), [""; 0]);
}

/// One step of a reader.
enum Step {
    /// Chooses a page in the contents.
    Contents(&'static str),
    /// Searches for this text, and chooses the result that leads to this page.
    Search(&'static str, &'static str),
    /// Follows a link in the page's text.
    Link(&'static str),
}
use Step::{Contents, Link, Search};

/// A question, the way to its answer, the section that contains the answer, and words of the
/// answer.
struct Task {
    wants: &'static str,
    way: &'static [Step],
    section: &'static str,
    says: &'static str,
}

const fn task(
    wants: &'static str,
    way: &'static [Step],
    section: &'static str,
    says: &'static str,
) -> Task {
    Task {
        wants,
        way,
        section,
        says,
    }
}

const TASKS: [Task; 10] = [
    task(
        "find the rule about the DSN",
        &[Contents("configuration.html")],
        "the-dsn-is-a-secret",
        "npx wrangler secret put SENTRY_DSN",
    ),
    task(
        "wrap an alarm",
        &[Contents("what-to-use.html"), Link("durable-objects.html")],
        "one-line-for-a-class",
        "#[with_sentry]",
    ),
    task(
        "read a stack",
        &[Search("backtrace", "stack-traces.html")],
        "what-an-event-says",
        "frames",
    ),
    task(
        "silence a noisy error",
        &[
            Contents("what-to-use.html"),
            Link("recipes.html#noisy-errors"),
            Link("zero-trust.html#the-last-word-is-yours"),
        ],
        "the-last-word-is-yours",
        "None drops the event",
    ),
    task(
        "join a trace",
        &[
            Contents("what-to-use.html"),
            Link("one-trace.html#pass-it-on"),
        ],
        "pass-it-on",
        "traced_",
    ),
    task(
        "see why nothing arrives",
        &[
            Contents("recipes.html"),
            Link("troubleshooting.html#every-console-line"),
        ],
        "every-console-line",
        "the receiver could not be reached; event lost",
    ),
    task(
        "return an anyhow::Error",
        &[Search("anyhow", "returns.html")],
        "anyhow",
        "features = [\"anyhow\"]",
    ),
    task(
        "know what personal data leaves",
        &[
            Contents("recipes.html"),
            Link("zero-trust.html#what-leaves"),
        ],
        "what-leaves",
        "breadcrumbs",
    ),
    task(
        "tell staging and production apart",
        &[Search("staging", "deploying.html")],
        "staging-and-production",
        "[env.staging.vars]",
    ),
    task(
        "report a background task",
        &[
            Contents("what-to-use.html"),
            Link("after-the-response.html#background-tasks"),
        ],
        "background-tasks",
        "with_sentry_in_background(env, context",
    ),
];
const STEPS: usize = 3;

fn does_each_of_ten_tasks_by_search_or_contents_in_at_most_three_steps() {
    let site = book::serve();
    let mut page = Page::empty(Scheme::Light);
    let mut failed = Vec::new();
    for task in &TASKS {
        assert!(task.way.len() <= STEPS, "{}", task.wants);
        page.go(&site.url("introduction.html"));
        for step in task.way {
            take(&mut page, step);
        }
        let section = page.evaluate(&format!(
            "(() => {{
                const heading = document.getElementById({});
                let text = '';
                for (let next = heading?.nextElementSibling; next; next = next.nextElementSibling) {{
                    if (/^H[12]$/.test(next.tagName)) break;
                    text += next.innerText + '\\n';
                }}
                return text;
            }})()",
            json!(task.section)
        ));
        let section = section.as_str().unwrap_or_default();
        if !section.contains(task.says) {
            failed.push(format!("{}: {} says {section:?}", task.wants, task.section));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    assert_eq!(page.errors(), [""; 0]);
}

fn take(page: &mut Page, step: &Step) {
    let (link, wanted) = match step {
        Contents(wanted) => (format!("#mdbook-sidebar a[href$='{wanted}']"), wanted),
        Link(wanted) => (format!("main a[href$='{wanted}']"), wanted),
        Search(typed, wanted) => {
            page.press("/");
            page.wait_until("open search", SEARCH_IS_OPEN);
            search(page, typed);
            let link = format!(
                "#mdbook-searchresults li:nth-child(-n+{FIRST_RESULTS}) a[href*='{wanted}']"
            );
            (link, wanted)
        }
    };
    page.wait_until(
        "link to the next page",
        &format!("document.querySelector({}) !== null", json!(link)),
    );
    page.click(&link);
    let wanted = wanted.split('#').next().unwrap_or_default();
    page.arrives_at(|url| url.contains(&format!("/{wanted}")));
}

/// Types into the open search, and returns the addresses of the first results.
fn search(page: &mut Page, typed: &str) -> Vec<String> {
    page.evaluate("document.getElementById('mdbook-searchbar').select()");
    // All but the last key are inserted at once. Each key makes an entry in the page's history, and
    // Chromium refuses more entries in a minute than a reader would make.
    let (last, _) = typed.char_indices().last().expect("something is typed");
    page.call("Input.insertText", json!({ "text": typed[..last] }));
    page.write(&typed[last..]);
    let answered = format!(
        "document.getElementById('mdbook-searchresults-header').innerText.includes({})",
        json!(format!("'{typed}'"))
    );
    page.wait_until("answer", &answered);
    let results = page.evaluate(
        "[...document.querySelectorAll('#mdbook-searchresults a')].map((link) => link.href)",
    );
    texts(&results).into_iter().take(FIRST_RESULTS).collect()
}

fn texts(values: &Value) -> Vec<String> {
    let values = values.as_array().into_iter().flatten();
    values
        .filter_map(|value| Some(value.as_str()?.to_owned()))
        .collect()
}

/// Pages with complete files for a reader to copy, and the number of these files.
const WHOLE_FILES: [(&str, usize); 2] = [("quick-start.html", 2), ("frameworks.html", 2)];

fn copies_whole_files_with_their_buttons_and_they_compile() {
    let site = book::serve();
    let mut page = Page::empty(Scheme::Light);
    page.allow_clipboard();
    for (name, files) in WHOLE_FILES {
        page.go(&site.url(name));
        copy_and_compile(&mut page, files);
    }
}

/// Copies the page's files into an empty folder, and compiles them.
fn copy_and_compile(page: &mut Page, files: usize) {
    let buttons = page.evaluate(
        "[...document.querySelectorAll('main pre')].map((block, index) => {
            block.id = `block-${index}`;
            return [
                block.querySelector('code').className.match(/language-(\\w+)/)[1],
                block.closest('figure')?.querySelector('figcaption')?.textContent.trim() ?? '',
            ];
        })",
    );
    let workspace = environment::workspace();
    let folder = run::new_directory("copied");
    let mut dependencies = String::new();
    let mut members = Vec::new();
    for (index, block) in buttons.as_array().into_iter().flatten().enumerate() {
        page.click(&format!("#block-{index} .clip-button"));
        page.wait_until(
            "word that it was copied",
            &format!("document.querySelector('#block-{index} .tooltiptext, #block-{index} .tooltipped') !== null"),
        );
        let copied = page.evaluate("navigator.clipboard.readText()");
        let copied = copied.as_str().expect("a text");
        assert!(
            !copied.trim().is_empty() && !copied.starts_with('$'),
            "{copied}"
        );
        let file = block[1].as_str().unwrap_or_default();
        match block[0].as_str() {
            Some("toml") if file.is_empty() => dependencies.push_str(copied),
            Some("toml") => assert!(toml::from_str::<toml::Table>(copied).is_ok(), "{copied}"),
            Some("rust") => {
                let original = fs::read_to_string(workspace.join(file)).expect(file);
                // The book leaves out the marks of anchors.
                let shown: Vec<&str> = original
                    .lines()
                    .filter(|line| !line.contains("// ANCHOR"))
                    .collect();
                assert!(
                    shown.join("\n").contains(copied.trim_end()),
                    "{file}: {copied}"
                );
                let name = format!("copied-{index}");
                let package = folder.join(&name);
                fs::create_dir_all(package.join("src")).expect("a folder in a new one");
                fs::write(package.join("src/lib.rs"), copied).expect("a file in a new folder");
                members.push(name);
            }
            _ => {}
        }
    }
    assert_eq!(members.len(), files, "{buttons}");
    compile(&folder, &members, &dependencies);
}

/// Compiles copied packages with this crate, with the versions of this workspace and without a
/// network.
fn compile(folder: &Path, members: &[String], dependencies: &str) {
    let workspace = environment::workspace();
    for member in members {
        let manifest = format!(
            "[package]\nname = \"{member}\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\
             [lib]\ncrate-type = [\"cdylib\"]\n{dependencies}"
        );
        fs::write(folder.join(member).join("Cargo.toml"), manifest).expect("a new file");
    }
    let root = format!(
        "[workspace]\nresolver = \"3\"\nmembers = {members:?}\n\
         [patch.crates-io]\nworker-sentry = {{ path = {:?} }}\n\
         [profile.dev]\ndebug = \"line-tables-only\"\n",
        workspace.join("crate")
    );
    fs::write(folder.join("Cargo.toml"), root).expect("a new file");
    fs::copy(workspace.join("Cargo.lock"), folder.join("Cargo.lock")).expect("the lock file");
    let checked = Command::new("cargo")
        .args(["check", "--workspace", "--offline", "--target-dir"])
        .arg(workspace.join("target"))
        .current_dir(folder)
        .output()
        .expect("cargo starts");
    assert!(
        checked.status.success(),
        "{}",
        String::from_utf8_lossy(&checked.stderr)
    );
}

fn sees_the_theme_of_the_system_until_one_is_chosen_and_then_keeps_that() {
    let site = book::serve();
    let mut page = BookPage::open(&site, "introduction.html", Scheme::Light);
    let light = page.background();
    page.page.prefer(Scheme::Dark);
    page.page.wait_until(
        "dark, as the system",
        "document.documentElement.classList.contains('coal')",
    );
    let dark = page.background();
    assert_ne!(light, dark, "it follows the system while it is read");
    let bar = |page: &mut BookPage| {
        page.page.wait_until(
            "colour for the browser's own frame",
            "(() => {
                const colours = document.querySelectorAll('meta[name=theme-color]');
                const probe = document.createElement('i');
                probe.style.color = colours[0].content;
                document.body.append(probe);
                const colour = getComputedStyle(probe).color;
                probe.remove();
                return colours.length === 1
                    && colour === getComputedStyle(document.documentElement).backgroundColor;
            })()",
        );
    };
    bar(&mut page);

    page.page.click("#mdbook-theme-toggle");
    page.page.click("#mdbook-theme-light");
    assert_eq!(page.background(), light, "the choice wins over the system");
    bar(&mut page);
    page.page.go(&site.url("quick-start.html"));
    assert_eq!(page.background(), light, "on the next page too");
    page.page.click("#mdbook-theme-toggle");
    let chosen = "document.querySelector('.theme-selected').textContent";
    assert_eq!(page.page.evaluate(chosen), "Light");
    page.page.click("#mdbook-theme-default_theme");
    assert_eq!(page.background(), dark, "and back to the system's");
    assert_eq!(page.page.errors(), [""; 0]);
}

fn gets_around_with_the_keyboard_alone() {
    let site = book::serve();
    let mut page = Page::open(&site.url("quick-start.html"), Scheme::Light);
    let focused = |page: &mut Page| {
        let focused =
            page.evaluate("document.activeElement.id || document.activeElement.className || document.activeElement.outerHTML.slice(0, 200)");
        focused.as_str().unwrap_or_default().to_owned()
    };
    page.press("Tab");
    assert_eq!(focused(&mut page), "skip-link");
    let shown = "document.activeElement.getBoundingClientRect().top >= 0";
    assert_eq!(
        page.evaluate(shown),
        true,
        "the skip link is seen when it has the focus"
    );
    page.press("Enter");
    page.wait_until(
        "way to the text",
        "document.activeElement.id === 'mdbook-content'",
    );
    page.press("Tab");
    let inside = "document.querySelector('main').contains(document.activeElement)";
    assert_eq!(page.evaluate(inside), true, "the next stop is in the text");

    page.press("ArrowRight");
    page.arrives_at(|url| url.contains("/what-to-use.html"));
    page.press("ArrowLeft");
    page.arrives_at(|url| url.contains("/quick-start.html"));

    for key in ["s", "/"] {
        page.press(key);
        page.wait_until("open search", SEARCH_IS_OPEN);
        page.write("alarm");
        page.wait_until(
            "results",
            "document.querySelectorAll('#mdbook-searchresults li').length > 3",
        );
        let typed = page.evaluate("document.getElementById('mdbook-searchbar').value");
        assert_eq!(typed, "alarm", "what opens the search is not typed into it");
        page.press("Escape");
        let closed = "document.getElementById('mdbook-search-wrapper').checkVisibility()";
        assert_eq!(page.evaluate(closed), false);
        page.go(&site.url("quick-start.html"));
    }
    page.press("s");
    page.wait_until("open search", SEARCH_IS_OPEN);
    page.write("troubleshooting");
    page.wait_until(
        "results",
        "document.querySelector('#mdbook-searchresults a')?.href.includes('troubleshooting')",
    );
    page.press("Enter");
    page.arrives_at(|url| url.contains("/troubleshooting.html"));

    page.press("?");
    let help = "document.getElementById('mdbook-help-popup').checkVisibility()";
    assert_eq!(page.evaluate(help), true);
    page.press("Escape");
    assert_eq!(page.evaluate(help), false);

    page.evaluate("document.getElementById('mdbook-theme-toggle').focus()");
    page.press("Enter");
    page.wait_until(
        "menu",
        "document.querySelector('#mdbook-theme-list').checkVisibility()",
    );
    for _ in 0..3 {
        page.press("ArrowDown");
    }
    assert_eq!(focused(&mut page), "mdbook-theme-coal");
    page.press("Enter");
    page.wait_until(
        "dark",
        "document.documentElement.classList.contains('coal')",
    );
    assert_eq!(page.errors(), [""; 0]);
}

fn sees_where_the_focus_is_on_everything_that_takes_it() {
    let site = book::serve();
    let mut page = Page::empty(Scheme::Light);
    let mut stops = 0;
    for (name, width) in [("architecture.html", 360), ("configuration.html", 1280)] {
        page.resize(width, 900);
        page.go(&site.url(name));
        loop {
            page.press("Tab");
            let stop = page.evaluate(
                "(() => {
                    const stop = document.activeElement;
                    if (stop === document.body || stop.dataset.seen) return null;
                    stop.dataset.seen = true;
                    const style = getComputedStyle(stop);
                    const box = stop.getBoundingClientRect();
                    const ringed = style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2;
                    const inside = box.bottom > 0 && box.top < innerHeight
                        && box.right > 0 && box.left < innerWidth;
                    return ringed && inside ? true : [style.outline, JSON.stringify(box), stop.outerHTML];
                })()",
            );
            if stop.is_null() {
                break;
            }
            assert_eq!(stop, true, "{name} at {width}");
            stops += 1;
        }
        let boxes = page.evaluate(
            "[...document.querySelectorAll('main *')]
                .filter((box) => box.scrollWidth > box.clientWidth + 1 && box.clientWidth > 0
                    && ['auto', 'scroll'].includes(getComputedStyle(box).overflowX)
                    && !box.dataset.seen)
                .map((box) => box.outerHTML)",
        );
        assert_eq!(boxes, json!([]), "boxes that scroll and cannot be reached");
    }
    assert!(stops > 60, "{stops} stops");
}

/// The width between the browser's margins on A4, in CSS pixels.
const PAPER: u32 = 718;

fn prints_every_chapter_with_no_code_cut_off_and_nothing_around_it() {
    let site = book::serve();
    let folder = book::folder();
    let mut page = Page::empty(Scheme::Dark);
    page.before_each("window.print = () => { window.printed = true; };");
    page.resize(PAPER, 1000);
    page.go(&site.url("print.html"));
    page.wait_until("word to print", "window.printed === true");
    page.on_paper(Scheme::Dark);
    let seen = page.evaluate(
        "(() => {
            const visible = (selector) => [...document.querySelectorAll(selector)]
                .filter((element) => element.checkVisibility()).map((element) => element.outerHTML);
            const cut = [...document.querySelectorAll('main pre > code, main table, main .drawing svg')]
                .filter((box) => box.scrollWidth > box.clientWidth + 1
                    || box.getBoundingClientRect().right > innerWidth)
                .map((box) => box.outerHTML.slice(0, 200));
            return {
                around: visible('nav, header, [role=search], .buttons, .skip-link'),
                cut,
                titles: [...document.querySelectorAll('main h1')].map((title) => title.textContent.trim()),
                closed: visible('.diagram > details > :not(summary)').length,
                inDetails: document.querySelectorAll('.diagram > details > :not(summary)').length,
                drawings: visible('.drawing svg').length,
                background: getComputedStyle(document.documentElement).backgroundColor,
            };
        })()",
    );
    assert_eq!(seen["around"], json!([]));
    assert_eq!(seen["cut"], json!([]), "cut off");
    assert_eq!(seen["background"], "rgb(255, 255, 255)");
    assert!(seen["drawings"].as_u64() > Some(1), "{seen}");
    let in_details = seen["inDetails"].as_u64();
    assert!(
        in_details > Some(0) && seen["closed"].as_u64() >= in_details,
        "{seen}"
    );
    let titles = texts(&seen["titles"]);
    for chapter in book::chapters(&folder) {
        let html = fs::read_to_string(folder.join(&chapter)).expect(&chapter);
        let title = title(&html);
        assert!(
            titles.contains(&title),
            "{chapter}: {title} is not in {titles:#?}"
        );
    }
    let pdf = page.pdf();
    assert!(pdf.starts_with(b"%PDF-"));
    assert!(pdf.len() > 100_000, "{} bytes", pdf.len());
}

/// The text of a page's first heading.
fn title(html: &str) -> String {
    let heading = html.split_once("<main>").map_or("", |(_, main)| main);
    let heading = heading.split_once("<h1").map_or("", |(_, rest)| rest);
    let heading = heading
        .split_once("</h1>")
        .map_or("", |(heading, _)| heading);
    let mut title = String::new();
    let mut inside = true;
    for character in heading.chars() {
        match character {
            '<' => inside = true,
            '>' => inside = false,
            _ if !inside => title.push(character),
            _ => {}
        }
    }
    title.trim().to_owned()
}

fn without_scripts_has_the_text_the_listings_the_contents_and_the_way_on() {
    let site = book::serve();
    let mut page = Page::empty(Scheme::Dark);
    page.without_scripts();
    page.go(&site.url("quick-start.html"));
    let seen = page.evaluate(
        "({
            text: document.querySelector('main').innerText,
            listings: [...document.querySelectorAll('main pre')].map((block) => block.innerText.trim()),
            contents: document.querySelector('.sidebar iframe').getBoundingClientRect().width,
            next: document.querySelector('[rel=next]').href,
            buttons: [...document.querySelectorAll('button')].filter((button) => button.checkVisibility())
                .map((button) => button.outerHTML),
            dark: getComputedStyle(document.documentElement).backgroundColor,
        })",
    );
    let text = seen["text"].as_str().unwrap_or_default();
    assert!(text.contains("Quick start") && text.contains("with_sentry_worker"));
    let listings = texts(&seen["listings"]);
    assert!(listings.len() > 6 && listings.iter().all(|block| !block.is_empty()));
    assert!(seen["contents"].as_f64() > Some(100.0), "{seen}");
    assert_eq!(seen["next"], site.url("what-to-use.html"));
    assert_eq!(seen["buttons"], json!([]), "a button that does nothing");
    let mut with_scripts = BookPage::open(&site, "quick-start.html", Scheme::Dark);
    assert_eq!(seen["dark"], with_scripts.background());

    page.resize(390, 800);
    page.go(&site.url("hosts/main.html"));
    let link = "document.querySelector('.contents-link')";
    assert_eq!(page.evaluate(&format!("{link}.checkVisibility()")), true);
    page.click(".contents-link");
    page.arrives_at(|url| url.ends_with("/toc.html"));
    page.click("a[href='architecture.html']");
    page.arrives_at(|url| url.ends_with("/architecture.html"));
    let seen = page.evaluate(
        "({
            drawn: document.querySelector('#sequence .way[open] svg').getBoundingClientRect().height,
            source: document.querySelectorAll('pre.mermaid').length,
            words: document.querySelector('.diagram summary').checkVisibility(),
            wide: document.documentElement.scrollWidth,
        })",
    );
    assert!(seen["drawn"].as_f64() > Some(300.0), "{seen}");
    assert_eq!(seen["source"], 0);
    assert_eq!((&seen["words"], &seen["wide"]), (&json!(true), &json!(390)));
    assert_eq!(page.errors(), [""; 0]);
}

/// What a reader sees of a page's sequence diagram: the widths of the visible drawings and of the
/// space for them, and the texts of each.
const DRAWINGS: &str = "[...document.querySelectorAll('#sequence .drawing svg')]
    .filter((drawing) => drawing.checkVisibility({ contentVisibilityAuto: true })
        && drawing.getBoundingClientRect().height > 0)
    .map((drawing) => ({
        wide: drawing.getBoundingClientRect().width,
        high: drawing.getBoundingClientRect().height,
        room: drawing.parentElement.clientWidth,
        scrolls: drawing.parentElement.scrollWidth > drawing.parentElement.clientWidth,
        scale: drawing.getBoundingClientRect().width / drawing.viewBox.baseVal.width,
        text: [...drawing.querySelectorAll('.messageText')].map((text) => text.textContent).join(''),
        name: document.getElementById(drawing.getAttribute('aria-labelledby')).textContent,
    }))";

fn reads_one_way_in_at_a_time_on_a_phone_and_chooses_it_with_the_keyboard() {
    let site = book::serve();
    let mut page = Page::open(&site.url("architecture.html"), Scheme::Light);
    let whole = page.evaluate(DRAWINGS);
    assert_eq!(whole.as_array().map(Vec::len), Some(1), "{whole}");
    let letters = |text: &Value| {
        let text = text.as_str().unwrap_or_default();
        Vec::from_iter(text.chars().filter(|c| !c.is_whitespace()))
    };
    let said = letters(&whole[0]["text"]);

    page.resize(390, 844);
    let ways = page.evaluate(
        "[...document.querySelectorAll('#sequence .way > summary')].map((summary, number) => {
            summary.id = `way-${number}`;
            return summary.textContent;
        })",
    );
    let ways = texts(&ways);
    assert!(ways.len() > 3, "{ways:?}");
    let mut shown = Vec::new();
    for (number, title) in ways.iter().enumerate() {
        // The Tab key moves to the story and Enter opens it, as for a reader without a mouse.
        while page.evaluate("document.activeElement.id") != format!("way-{number}") {
            page.press("Tab");
        }
        if number > 0 {
            page.press("Enter");
        }
        page.wait_until(
            "only this way",
            &format!(
                "[...document.querySelectorAll('#sequence .way')]
                    .every((way, at) => way.open === (at === {number}))"
            ),
        );
        let drawn = page.evaluate(DRAWINGS);
        assert_eq!(drawn.as_array().map(Vec::len), Some(1), "{title}: {drawn}");
        let way = &drawn[0];
        assert_eq!(way["name"].as_str(), Some(title.as_str()));
        assert_eq!(way["scrolls"], false, "{way}");
        assert!(way["scale"].as_f64() > Some(0.85), "legible: {way}");
        assert!(way["high"].as_f64() < Some(1300.0), "{way}");
        shown.extend(letters(&way["text"]));
    }
    // The drawings of all stories together have the text of the whole drawing.
    let (mut said, mut shown) = (said, shown);
    said.sort_unstable();
    shown.sort_unstable();
    assert_eq!(String::from_iter(shown), String::from_iter(said));
    assert_eq!(page.errors(), [""; 0]);
}

/// A page in a sandbox has no storage: each use of it throws, as it does if a reader blocks
/// storage.
const NO_STORAGE: &str = "sandbox allow-scripts";

fn with_storage_blocked_reads_searches_and_chooses_a_theme() {
    let site = Site::with(&book::folder(), "", |_| book::policed(NO_STORAGE));
    let open = || {
        let mut window = Page::empty(Scheme::Light);
        window.before_each(
            "window.print = () => {};
            for (const name of ['localStorage', 'sessionStorage']) {
                try { window[name]; window.hasStorage = true; } catch { window.blocked = true; }
            }",
        );
        window
    };
    let found = book::visit_all(&book::pages(&book::folder()), open, |window, page| {
        window.forget();
        window.go(&site.url(page));
        let blocked = window.evaluate("window.blocked === true && window.hasStorage !== true");
        assert_eq!(blocked, true, "storage is blocked");
        window.errors().to_vec()
    });
    let found = Vec::from_iter(found.iter().filter(|(_, errors)| !errors.is_empty()));
    assert!(found.is_empty(), "{found:#?}");

    let mut page = open();
    page.go(&site.url("quick-start.html"));
    page.click("#mdbook-theme-toggle");
    for (choice, theme) in [
        ("coal", "coal"),
        ("default_theme", "light"),
        ("light", "light"),
    ] {
        page.click(&format!("#mdbook-theme-{choice}"));
        let seen = format!("document.documentElement.classList.contains('{theme}')");
        assert_eq!(page.evaluate(&seen), true, "{choice}");
    }
    page.click("#mdbook-sidebar-toggle");
    page.click("#mdbook-sidebar-toggle");
    page.click(".sidebar a[href$='architecture.html']");
    page.arrives_at(|url| url.ends_with("/architecture.html"));
    page.press("/");
    page.wait_until("open search", SEARCH_IS_OPEN);
    assert!(!search(&mut page, "alarm").is_empty());
    assert_eq!(page.errors(), [""; 0]);
}

fn opens_the_book_from_a_folder_and_searches_it_and_sees_its_diagrams() {
    let folder = book::folder();
    let url = |page: &str| format!("file://{}", folder.join(page).display());
    let mut page = Page::open(&url("index.html"), Scheme::Light);
    read_search_and_go_on(&mut page, &url("architecture.html"));
    let outside: Vec<_> = page
        .requests()
        .iter()
        .filter(|url| !url.starts_with("file://") && !url.starts_with("data:"))
        .collect();
    assert!(outside.is_empty(), "{outside:?}");
}

fn under_a_sub_path_reads_searches_and_goes_on() {
    let site = Site::under(&book::folder(), "/team/book");
    let mut page = Page::open(&site.url("index.html"), Scheme::Light);
    read_search_and_go_on(&mut page, &site.url("architecture.html"));
    let root = site.url("");
    let outside: Vec<_> = page
        .requests()
        .iter()
        .filter(|url| !url.starts_with(&root) && !url.starts_with("data:"))
        .collect();
    assert!(outside.is_empty(), "{outside:?}");
}

/// From the first page, goes to the next one, searches for a third, and looks at a diagram.
fn read_search_and_go_on(page: &mut Page, diagram: &str) {
    page.click("[rel=next]");
    page.arrives_at(|url| url.ends_with("/quick-start.html"));
    page.click("#mdbook-search-toggle");
    page.wait_until("open search", SEARCH_IS_OPEN);
    search(page, "CacheWarmingWorkflow");
    page.press("Enter");
    page.arrives_at(|url| url.contains("/hosts/cache-warming.html"));
    page.click(".sidebar a[href$='/architecture.html']");
    assert_eq!(
        page.arrives_at(|url| url.ends_with("architecture.html")),
        diagram
    );
    let drawn = page.evaluate("document.querySelectorAll('.drawing svg').length");
    assert!(drawn.as_u64() > Some(1), "{drawn} drawings");
    assert_eq!(page.errors(), [""; 0]);
}

fn finds_the_way_from_a_wrong_address_at_any_depth_and_under_a_sub_path() {
    let at_the_root = book::serve();
    let below = Site::under(&book::render(&[("SITE_URL", "/team/book/")]), "/team/book");
    for site in [at_the_root, below] {
        let mut page = Page::open(&site.url("introduction.html"), Scheme::Light);
        let looks = "getComputedStyle(document.querySelector('h1')).font
            + getComputedStyle(document.documentElement).backgroundColor";
        let as_it_should = page.evaluate(looks);
        for wrong in ["no-such-page.html", "hosts/none.html", "a/b/c/d/e"] {
            page.forget();
            page.go(&site.url(wrong));
            let title = page.evaluate("document.querySelector('h1').textContent.trim()");
            assert_eq!(title, "There is no such page");
            assert_eq!(page.evaluate(looks), as_it_should, "{wrong}");
            let links = page.evaluate(
                "[...document.querySelectorAll('main a:not(.header)')].map((link) => link.href)",
            );
            for link in texts(&links) {
                let found = page.evaluate(&format!(
                    "fetch({}).then((page) => page.status)",
                    json!(link)
                ));
                assert_eq!(found, 200, "{link} on the page for {wrong}");
            }
            let skip = page.evaluate("document.querySelector('.skip-link').href");
            assert_eq!(skip, site.url(&format!("{wrong}#mdbook-content")));
            let broken: Vec<_> = page.errors().to_vec();
            let other: Vec<_> = broken
                .iter()
                .filter(|error| !error.contains(&format!("{:?}", site.url(wrong))))
                .collect();
            assert!(other.is_empty(), "{other:?}");
        }
        page.press("s");
        page.wait_until("open search", SEARCH_IS_OPEN);
        search(&mut page, "quick start");
        page.press("Enter");
        page.arrives_at(|url| url.contains("/quick-start.html"));
    }
}

fn is_shown_the_source_and_the_way_to_edit_a_page_when_published_with_a_repository() {
    let folder = book::render(&[
        ("GIT_REPOSITORY_URL", "https://git.example.com/book"),
        (
            "EDIT_URL_TEMPLATE",
            "https://git.example.com/book/edit/main/{path}",
        ),
    ]);
    let site = Site::of(&folder);
    let mut page = Page::open(&site.url("hosts/main.html"), Scheme::Light);
    let links = "[...document.querySelectorAll('.right-buttons a')].map((link) => link.href)";
    let links = texts(&page.evaluate(links));
    let edit = "https://git.example.com/book/edit/main/src/hosts/main.md";
    assert!(links.contains(&edit.to_owned()), "{links:?}");
    assert!(
        links.contains(&"https://git.example.com/book".to_owned()),
        "{links:?}"
    );
    page.resize(360, 800);
    let narrow = "document.documentElement.scrollWidth";
    assert_eq!(page.evaluate(narrow), 360);
    let title = "(({ scrollWidth, clientWidth }) => clientWidth - scrollWidth)
        (document.querySelector('.menu-title'))";
    let room = page.evaluate(title);
    assert!(
        room.as_f64() >= Some(0.0),
        "{room} on a phone for the title"
    );

    let mut without = Page::open(&book::serve().url("hosts/main.html"), Scheme::Light);
    let outside = "document.querySelectorAll('.right-buttons a[href*=\"://git\"]').length";
    assert_eq!(without.evaluate(outside), 0);
}
