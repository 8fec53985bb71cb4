//! What a reader downloads, in bytes, compared with a default book.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use harness::browser::{Page, Scheme};
use harness::site::Site;
use harness::walk::{self, Visit};
use harness::{book, shown};

/// The largest compressed size of a first visit, to a page with words only, and to a page with a
/// diagram or a picture. A picture is loaded last, when the page can already be read.
const PLAIN: usize = 45_000;
const WITH_A_DRAWING: usize = 65_000;
/// The largest compressed size of a first visit to the page of measurements, which contains its
/// plots.
const WITH_PLOTS: usize = 48_000;
const PLOTS: &str = "performance.html";
/// The largest compressed size of a page itself, and of everything that the first search loads.
/// *Architecture* has twenty listings, each with its measured tests.
const PAGE: usize = 23_000;
/// What a first visit to the laboratory may add to a page without a diagram: the engine, its script
/// and its style sheet.
const LABORATORY: usize = 150_000;
/// The page with the laboratory, and the beginning of the names of its own files.
const LABORATORY_PAGE: &str = "laboratory.html";
const LABORATORY_FILES: &str = "laboratory-";
/// The index grows with the pages: those on logs, traces and monitors are nearly a tenth of it, and
/// the tables of *Performance* a hundredth. Those figures change with each measurement, and their
/// digits compress differently, so the budget leaves 2,000 bytes for them.
const SEARCH: usize = 270_000;
/// The folder of the pictures.
const PICTURES: &str = "pictures/";

/// The page that shows the figures.
const SHOWN_ON: &str = "src/verified.md";

/// The rows of the table: the pages that a reader opens first.
const FIRST: [(&str, &str); 3] = [
    (
        "introduction.html",
        "First visit: Introduction, with a picture",
    ),
    ("quick-start.html", "First visit: Quick start"),
    (
        "architecture.html",
        "First visit: Architecture, with diagrams",
    ),
];

harness::trials![
    every_page_and_every_first_visit_stays_within_its_budget,
    the_book_shows_what_it_weighs_beside_a_default_book,
];

/// The size of some files, raw and compressed.
#[derive(Clone, Copy, Debug, Default)]
struct Weight {
    plain: usize,
    compressed: usize,
}

/// The size of a file, as it is sent.
fn weigh(folder: &Path, file: &str) -> Weight {
    let file = file.split(['?', '#']).next().unwrap_or_default();
    let bytes = fs::read(folder.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
    let compressed = match Path::new(file).extension().and_then(|kind| kind.to_str()) {
        // These formats are compressed already.
        Some("png" | "webp" | "woff2") => bytes.len(),
        _ => {
            let mut gzip = GzEncoder::new(Vec::new(), Compression::new(6));
            gzip.write_all(&bytes).expect("memory takes bytes");
            gzip.finish().expect("memory takes bytes").len()
        }
    };
    Weight {
        plain: bytes.len(),
        compressed,
    }
}

fn sum<'a>(folder: &Path, files: impl IntoIterator<Item = &'a String>) -> Weight {
    let weights = files.into_iter().map(|file| weigh(folder, file));
    weights.fold(Weight::default(), |sum, weight| Weight {
        plain: sum.plain + weight.plain,
        compressed: sum.compressed + weight.compressed,
    })
}

/// Fails, with a list of the files, if they are larger than the budget.
fn assert_within(what: &str, folder: &Path, files: &BTreeSet<String>, budget: usize) {
    let weight = sum(folder, files).compressed;
    let mut each = String::new();
    for file in files {
        let _ = write!(each, "\n{:>9}  {file}", weigh(folder, file).compressed);
    }
    assert!(
        weight <= budget,
        "{what}: {weight} bytes compressed, the budget is {budget}:{each}"
    );
}

fn every_page_and_every_first_visit_stays_within_its_budget() {
    let folder = book::folder();
    for visit in walk::visits() {
        // This page contains the whole book.
        if visit.page == "print.html" {
            continue;
        }
        let page = BTreeSet::from([visit.page.clone()]);
        assert_within(&visit.page, &folder, &page, PAGE);
        let draws = visit.views.iter().any(|view| !view.diagrams.is_empty());
        let pictures = visit.files.iter().filter(|file| file.starts_with(PICTURES));
        let is_plain = pictures.count() == 0 && !draws;
        let budget = match visit.page.as_str() {
            PLOTS => WITH_PLOTS,
            _ if is_plain => PLAIN,
            _ => WITH_A_DRAWING,
        };
        let is_own = |file: &&String| file.starts_with(LABORATORY_FILES);
        let (own, common): (BTreeSet<String>, BTreeSet<String>) =
            visit.files.iter().cloned().partition(|file| is_own(&file));
        let what = format!("a first visit to {}", visit.page);
        assert_within(&what, &folder, &common, budget);
        if visit.page == LABORATORY_PAGE {
            assert_eq!(own.len(), 3, "{own:?}");
            assert_within("the laboratory", &folder, &own, LABORATORY);
        } else {
            assert!(own.is_empty(), "{}: {own:?}", visit.page);
        }
    }
    let files = searched(&book::serve());
    assert_within("the first search", &folder, &files, SEARCH);
}

/// The files that a search loads, without those that the page had already loaded.
fn searched(site: &Site) -> BTreeSet<String> {
    let mut page = Page::open(&site.url("introduction.html"), Scheme::Light);
    page.forget();
    page.press("/");
    page.wait_until(
        "search",
        "document.getElementById('mdbook-search-index') !== null
            && !document.getElementById('mdbook-searchbar-outer').classList.contains('searching')",
    );
    let root = site.url("");
    let requests = page.requests().iter();
    let below = requests.filter_map(|url| url.strip_prefix(&root));
    // A browser requests icons when it wants, so these requests are left out.
    let files = below.filter(|file| !file.starts_with("favicon"));
    files.map(str::to_owned).collect()
}

/// One of the two books that are compared.
struct Weighed {
    folder: PathBuf,
    visits: Vec<Visit>,
    searched: BTreeSet<String>,
}

impl Weighed {
    fn new(folder: PathBuf) -> Self {
        let site = Site::of(&folder);
        let pages = FIRST.map(|(page, _)| page.to_owned());
        Weighed {
            visits: walk::visit(&site, &pages),
            searched: searched(&site),
            folder,
        }
    }

    /// The figures of its cells in the table.
    fn rows(&self) -> Vec<Weight> {
        let of = |page: &str| self.visits.iter().find(|visit| visit.page == page);
        let mut rows = Vec::new();
        for (page, _) in FIRST {
            let visit = of(page).expect("a page that was visited");
            rows.push(sum(&self.folder, &visit.files));
        }
        let chapters = book::chapters(&self.folder);
        let all = sum(&self.folder, &chapters);
        rows.push(Weight {
            plain: all.plain / chapters.len(),
            compressed: all.compressed / chapters.len(),
        });
        rows.push(sum(&self.folder, &self.searched));
        rows
    }
}

fn the_book_shows_what_it_weighs_beside_a_default_book() {
    let ours = Weighed::new(book::folder()).rows();
    let default = Weighed::new(book::render_default()).rows();
    let names = FIRST.map(|(_, name)| name);
    let names = names
        .into_iter()
        .chain(["Each page after it, on average", "The first search"]);
    let mut table = String::from(
        "| What is loaded | This book, kB | with gzip | Default book, kB | with gzip |\n\
         | --- | --- | --- | --- | --- |\n",
    );
    for (name, (ours, default)) in names.zip(ours.into_iter().zip(default)) {
        let cells = [
            ours.plain,
            ours.compressed,
            default.plain,
            default.compressed,
        ];
        let [a, b, c, d] = cells.map(kilobytes);
        let _ = writeln!(table, "| {name} | {a} | {b} | {c} | {d} |");
    }
    // Another sentence on a page changes the figures by less than this.
    shown::compare(SHOWN_ON, "weight", &table, 0.1);
}

fn kilobytes(bytes: usize) -> String {
    if bytes < 10_000 {
        format!("{:.1}", bytes as f64 / 1000.0)
    } else {
        (bytes / 1000).to_string()
    }
}
