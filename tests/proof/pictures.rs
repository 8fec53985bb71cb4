//! The pictures of the book: issues of the Workers, as Bugsink shows them in Chromium, and a
//! trace, as Spotlight does.
//!
//! `cargo xtask pictures` keeps what this test sees: each picture in `src/pictures`, in light and
//! in dark, and its text below `tests/data/pictures`. Pictures of the same page differ in some
//! pixels between machines, so the test compares the text, and the size roughly.

use std::env;
use std::fs;
use std::path::PathBuf;

use book_compiler::Chapter;
use harness::browser::{Page, Scheme};
use harness::bugsink;
use harness::spotlight::spotlight;
use harness::worker::{Build, Worker};
use harness::{environment, symbols, wait};

const PICTURES: &str = "src/pictures";
const TEXTS: &str = "tests/data/pictures";
/// The largest size of one picture, in bytes.
const MOST: usize = 60_000;
/// Set by `cargo xtask pictures`.
const UPDATE: &str = "WORKER_SENTRY_UPDATE";
/// How much a machine's fonts may change the height of a picture.
const HEIGHT: f64 = 0.15;
const AGAIN: &str = "take it again with: cargo xtask pictures";

/// A picture of the book.
struct Picture {
    name: &'static str,
    /// The text that the error contains.
    marker: &'static str,
    /// Makes the error, and returns the address of the page that shows it.
    provoke: fn(&str) -> (Worker, String),
    /// The colour schemes of the page.
    schemes: &'static [Scheme],
    /// The width of the window.
    width: u32,
    /// How many pixels of the picture one pixel of the page has.
    scale: f64,
    /// A script that prepares the page and returns the elements to show.
    show: &'static str,
}

const BOTH: [Scheme; 2] = [Scheme::Light, Scheme::Dark];

const ALL: [Picture; 5] = [
    Picture {
        name: "issue",
        marker: "easylist",
        provoke: |marker| {
            let project = bugsink::project();
            let options = Worker::listings().with_drills();
            let worker = options.secret("SENTRY_DSN", &project.dsn).start();
            worker.drill("compilation-coordinator/alarm", marker);
            let page = project.shown(marker).page;
            (worker, format!("{page}details/"))
        },
        schemes: &BOTH,
        width: 760,
        scale: 0.8,
        show: r#"(() => {
            const tags = document.querySelector('#tags');
            const kept = [tags, tags.nextElementSibling];
            [...tags.parentElement.children].filter((it) => !kept.includes(it)).forEach((it) => it.remove());
            document.querySelector('form[method=post]').remove();
            const heading = document.querySelector('h1.text-4xl').parentElement;
            return [heading, ...kept];
        })()"#,
    },
    Picture {
        name: "panic",
        marker: "annoyances",
        provoke: |marker| {
            let project = bugsink::project();
            let companion = Build::Listings.companion();
            project.take_source_map(&symbols::source_map(&companion));
            let options = Worker::listings().with_drills();
            let options = options.secret("SENTRY_DSN", &project.dsn);
            let worker = options.secret("SENTRY_SOURCE_MAPS", "on").start();
            worker.drill("panic/alarm", marker);
            (worker, project.shown(marker).page)
        },
        schemes: &BOTH,
        width: 960,
        scale: 0.75,
        show: r#"(() => {
            const frames = [...document.querySelectorAll('.js-frame-details')].map((it) => it.parentElement);
            const first = frames.findIndex((it) => it.textContent.includes('::give_up::'));
            const last = frames.findIndex((it) => it.textContent.includes('DurableObject>::alarm::'));
            const details = frames[first].querySelector('.js-frame-details');
            toggleFrameVisibility(details.previousElementSibling);
            details.style.height = 'auto';
            return frames.slice(first, last + 1);
        })()"#,
    },
    Picture {
        name: "trail",
        marker: "easyprivacy",
        provoke: |marker| told(marker, "breadcrumbs/"),
        schemes: &BOTH,
        width: 700,
        scale: 0.8,
        show: "[...document.querySelectorAll('table')]",
    },
    Picture {
        name: "who",
        marker: "easyprivacy",
        provoke: |marker| told(marker, "details/"),
        schemes: &BOTH,
        width: 700,
        scale: 0.8,
        show: r#"['tags', 'user'].flatMap((id) => {
            const heading = document.getElementById(id);
            return [heading, heading.nextElementSibling];
        })"#,
    },
    Picture {
        name: "waterfall",
        marker: "waterfall",
        provoke: traced,
        // Spotlight has only a dark scheme.
        schemes: &[Scheme::Dark],
        width: 1800,
        scale: 0.8,
        show: "[document.querySelector('ul.tree')]",
    },
];

/// Runs a chain, whose parts are all in the trace of the request.
fn traced(marker: &str) -> (Worker, String) {
    let spotlight = spotlight();
    let options = Worker::fixture().reporting_to(&spotlight.dsn());
    let worker = options.var("SENTRY_TRACES_SAMPLE_RATE", "1").start();
    worker.post(&format!("/traces/chain?marker={marker}."));
    let trace = wait::until("trace of the first error", wait::LIMIT, || {
        let errors = spotlight.errors();
        let mut errors = errors.split("### Error");
        let error = errors.find(|it| it.contains(&format!("main:{marker}.")))?;
        let (_, id) = error.split_once("trace_id: \"")?;
        Some(id.split('"').next()?.to_owned())
    });
    // The run is sent last. Its error is a separate line.
    wait::until("whole trace", wait::LIMIT, || {
        let tree = spotlight.tree(&trace);
        let runs = tree.iter().filter(|it| it.name == "ChainWorkflow.run");
        (runs.filter(|it| it.has_length).count() == 1).then_some(())
    });
    let page = format!("{}/telemetry/traces/{trace}", spotlight.page());
    (worker, page)
}

/// A run that sets data and leaves breadcrumbs, and then fails.
fn told(marker: &str, tab: &str) -> (Worker, String) {
    let project = bugsink::project();
    let worker = Worker::fixture().reporting_to(&project.dsn).start();
    worker.post(&format!("/story/pictured?marker={marker}"));
    (worker, format!("{}{tab}", project.shown(marker).page))
}

harness::trials![
    each_picture_is_small_and_stands_in_a_page_with_words_for_those_who_do_not_see_it,
    ..ALL.iter().map(|picture| {
        let rule = format!("the_picture_{}_shows_what_bugsink_shows_now", picture.name);
        harness::trial!(rule, || picture.is_of_now())
    }),
];

/// The content of a picture.
struct Seen {
    files: Vec<(String, Vec<u8>)>,
    text: String,
}

/// The beginnings of addresses on this machine.
const HERE: [&str; 4] = ["http://127.0.0.1:", "http://localhost:", "data:", "blob:"];

impl Picture {
    /// The names of the picture's files, one for each scheme.
    fn files(&self) -> Vec<String> {
        let name = self.name;
        match self.schemes {
            [_] => vec![format!("{name}.webp")],
            schemes => Vec::from_iter(
                schemes
                    .iter()
                    .map(|it| format!("{name}-{}.webp", it.name())),
            ),
        }
    }

    fn see(&self) -> Seen {
        let (_worker, address) = (self.provoke)(self.marker);
        let mut page = Page::empty(Scheme::Light);
        page.resize(self.width, 1200);
        let (mut files, mut text) = (Vec::new(), String::new());
        for (scheme, name) in self.schemes.iter().zip(self.files()) {
            // The page reads the preferred scheme when it is loaded.
            page.prefer(*scheme);
            page.go(&address);
            page.evaluate("document.fonts.ready.then(() => true)");
            page.wait_until(
                "what to show",
                "document.querySelector('h1, ul.tree') !== null",
            );
            let seen = page.evaluate(&SEE.replace("SHOWN", self.show));
            if self.schemes.len() > 1 {
                assert_eq!(seen["theme"], scheme.name());
            }
            let region = [0, 1, 2, 3].map(|at| {
                let number = seen["region"][at].as_u64().expect("a region");
                u32::try_from(number).expect("the size of a page")
            });
            files.push((name, page.picture(region, self.scale)));
            text = seen["text"].as_str().expect("a text").to_owned();
        }
        let elsewhere: Vec<&String> = page
            .requests()
            .iter()
            .filter(|url| !HERE.iter().any(|it| url.starts_with(it)))
            .collect();
        assert!(elsewhere.is_empty(), "{elsewhere:?}");
        Seen { files, text }
    }

    fn is_of_now(&self) {
        let seen = self.see();
        let text = environment::workspace()
            .join(TEXTS)
            .join(format!("{}.txt", self.name));
        if env::var_os(UPDATE).is_some() {
            fs::create_dir_all(pictures()).expect("a folder for pictures");
            for (name, bytes) in &seen.files {
                fs::write(pictures().join(name), bytes).expect("a file of ours");
            }
            fs::create_dir_all(text.parent().expect("a folder")).expect("a folder for texts");
            fs::write(&text, &seen.text).expect("a file of ours");
            return;
        }
        let kept = fs::read_to_string(&text).unwrap_or_default();
        assert_eq!(
            kept, seen.text,
            "{}: left is the kept picture, right is now; {AGAIN}",
            self.name
        );
        for (name, now) in &seen.files {
            let kept = fs::read(pictures().join(name)).unwrap_or_default();
            let ([width, height], now) = (size(&kept), size(now));
            let is_near = f64::from(height.abs_diff(now[1])) <= f64::from(height) * HEIGHT;
            assert!(
                width == now[0] && is_near,
                "{name} is {width} by {height}, now {now:?}; {AGAIN}"
            );
        }
    }
}

fn pictures() -> PathBuf {
    environment::workspace().join(PICTURES)
}

/// Width and height of a WebP in the extended format, as Chromium writes it:
/// <https://www.rfc-editor.org/rfc/rfc9649.html#section-2.7>
fn size(webp: &[u8]) -> [u32; 2] {
    let is_extended = webp.get(8..16) == Some(b"WEBPVP8X");
    let number = |at: usize| {
        let bytes = webp.get(at..at + 3).filter(|_| is_extended);
        bytes.map_or(0, |it| u32::from_le_bytes([it[0], it[1], it[2], 0]) + 1)
    };
    [number(24), number(27)]
}

fn each_picture_is_small_and_stands_in_a_page_with_words_for_those_who_do_not_see_it() {
    let files = fs::read_dir(pictures()).expect("a folder of pictures");
    let mut files: Vec<PathBuf> = files.flatten().map(|it| it.path()).collect();
    files.sort();
    let mut names = Vec::new();
    for file in &files {
        names.push(
            file.file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned(),
        );
        let bytes = fs::read(file).expect("a picture");
        assert!(
            bytes.len() <= MOST,
            "{}: {} bytes",
            file.display(),
            bytes.len()
        );
        assert_ne!(size(&bytes), [0, 0], "{}", file.display());
    }
    let pages = Chapter::all();
    let mut wanted = Vec::new();
    for picture in &ALL {
        let (name, files) = (picture.name, picture.files());
        // The page's Markdown names the first file.
        let shown = format!("](pictures/{})", files[0]);
        wanted.extend(files);
        let lines = pages.iter().flat_map(|page| page.text.lines());
        let lines = Vec::from_iter(lines.filter(|line| line.contains(&shown)));
        let [line] = &lines[..] else {
            panic!("{name} stands in {} pages", lines.len());
        };
        let words = line
            .strip_prefix("![")
            .and_then(|line| line.strip_suffix(&shown));
        let words = words.unwrap_or_default().split_whitespace().count();
        assert!(words >= 8, "{name}: {line}");
    }
    wanted.sort();
    assert_eq!(names, wanted);
}

/// Prepares the page for a picture, and returns its text as lines. Whatever differs in each run is
/// removed: times, ids, addresses and line numbers.
const SEE: &str = r"(() => {
    const still = document.createElement('style');
    still.textContent = '* { transition: none !important; }';
    document.head.append(still);
    const shown = SHOWN;
    const boxes = shown.map((it) => it.getBoundingClientRect());
    const least = (side) => Math.floor(Math.min(...boxes.map((it) => it[side])));
    const most = (side) => Math.ceil(Math.max(...boxes.map((it) => it[side])));
    const room = 8;
    const [left, top] = [Math.max(0, least('left') - room), Math.max(0, least('top') + scrollY - room)];
    const region = [left, top, most('right') + room - left, most('bottom') + scrollY + room - top];
    const lines = [];
    for (const element of shown) {
        const texts = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
        while (texts.nextNode()) {
            const { textContent, parentElement } = texts.currentNode;
            const text = textContent.replace(/\s+/g, ' ').trim();
            if (text && !parentElement.closest('[data-collapsed=true]')) lines.push(text);
        }
    }
    const text = lines.join('\n')
        .replace(/\b\d{1,2} [A-Z][a-z]{2} \d{1,2}:\d\d(:\d\d\.\n\d{3})?/g, '…')
        .replace(/\b\d+(\.\d+)?m?s\b/g, '…')
        .replace(/\b[0-9a-f]{32}\b|\b[0-9a-f]{16}\b|0x[0-9a-f]+/g, '…')
        .replace(/\b\d+:\d+\b/g, '…');
    return { region, text, theme: document.documentElement.dataset.theme };
})()";
