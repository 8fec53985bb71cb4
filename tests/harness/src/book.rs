//! The rendered book, page by page, as a reader sees it.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::thread;

use serde_json::Value;

use crate::browser::{Page, Scheme};
use crate::{environment, run};
use site::Site;

/// The drawing of a diagram, wherever the tool put it on the page.
const DRAWING: &str = ":is(figure.diagram, .mermaid) svg";

/// The folder of the rendered book.
pub fn folder() -> PathBuf {
    environment::path("PROOF_BOOK")
}

/// The policy of a strict server: a page loads, runs and styles only with files of the book's own
/// host.
pub const POLICY: &str = "default-src 'self'";

/// The policy of the laboratory's page, whose engine is WebAssembly.
pub const LABORATORY_POLICY: &str = "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'";

/// The headers with the strictest policy that a page works under.
pub fn policy(path: &str) -> Vec<(&'static str, String)> {
    policed(match path.ends_with("/laboratory.html") {
        true => LABORATORY_POLICY,
        false => POLICY,
    })
}

/// The headers that apply a policy to a page.
pub fn policed(policy: &str) -> Vec<(&'static str, String)> {
    vec![("Content-Security-Policy", policy.to_owned())]
}

/// Serves the rendered book at the root of a site, under the strictest policy.
pub fn serve() -> Site {
    Site::with(&folder(), "", policy)
}

/// Every page below a folder with a rendered book, such as `hosts/main.html`, without the pages
/// of rustdoc.
///
/// # Panics
///
/// If there is no such folder, or no page in it.
pub fn pages(folder: &Path) -> Vec<String> {
    let files = book_compiler::files(folder, &["api"]).expect("a folder with a book");
    let names = files.iter().map(|file| book_compiler::link(file));
    let pages = Vec::from_iter(names.filter(|name| name.ends_with(".html")));
    assert!(!pages.is_empty(), "no page in {}", folder.display());
    pages
}

/// The pages that are chapters, without duplicates.
pub fn chapters(folder: &Path) -> Vec<String> {
    let mut pages = pages(folder);
    pages.retain(|page| {
        !["404.html", "index.html", "print.html", "toc.html"].contains(&page.as_str())
    });
    pages
}

/// Renders the book again, with settings such as `SITE_URL` for `output.html.site-url`, which
/// publishing sets in the same way.
///
/// # Panics
///
/// If mdBook fails.
pub fn render(settings: &[(&str, &str)]) -> PathBuf {
    let settings = settings
        .iter()
        .map(|(name, value)| (format!("MDBOOK_OUTPUT__HTML__{name}"), *value));
    // With several renderers, mdBook gives each a folder.
    mdbook(&environment::workspace(), settings).join("html")
}

/// The same pages, rendered by mdBook and mdbook-mermaid with only the settings of their manuals.
///
/// # Panics
///
/// If one of the two fails.
pub fn render_default() -> PathBuf {
    let book = run::new_directory("default-book");
    let source = environment::workspace().join("src");
    let configuration = format!("[book]\ntitle = \"worker-sentry\"\nsrc = {source:?}\n");
    fs::write(book.join("book.toml"), configuration).expect("a file in a new folder");
    let mut install = Command::new(environment::path("PROOF_MDBOOK").join("mdbook-mermaid"));
    let installed = install.arg("install").arg(&book).output();
    let installed = installed.expect("mdbook-mermaid starts");
    assert!(installed.status.success(), "{installed:?}");
    mdbook(&book, std::iter::empty())
}

fn mdbook<'a>(book: &Path, settings: impl Iterator<Item = (String, &'a str)>) -> PathBuf {
    let tools = environment::path("PROOF_MDBOOK");
    let path = env::var_os("PATH").unwrap_or_default();
    let path = env::join_paths([tools.clone()].into_iter().chain(env::split_paths(&path)));
    let folder = run::new_directory("rendered-book");
    let rendered = Command::new(tools.join("mdbook"))
        .args(["build", "--dest-dir"])
        .args([&folder, book])
        .env("PATH", path.expect("folders without a colon"))
        .env("MDBOOK_LOG", "warn")
        .envs(settings)
        .output()
        .expect("mdbook starts");
    assert!(rendered.status.success(), "{rendered:?}");
    folder
}

/// Opens pages with `open`, two windows at a time, and collects what `visit` finds.
///
/// # Panics
///
/// If a visit panicked.
pub fn visit_all<T: Send>(
    pages: &[String],
    open: impl Fn() -> Page + Sync,
    visit: impl Fn(&mut Page, &str) -> T + Sync,
) -> Vec<(String, T)> {
    let next = Mutex::new(pages.iter());
    let window = || {
        let mut window = open();
        let mut found = Vec::new();
        loop {
            let page = next.lock().expect("nothing panics while it is held").next();
            let Some(page) = page else { return found };
            found.push((page.clone(), visit(&mut window, page)));
        }
    };
    let mut found = thread::scope(|scope| {
        let other = scope.spawn(window);
        let mut found = window();
        match other.join() {
            Ok(more) => found.extend(more),
            Err(panic) => std::panic::resume_unwind(panic),
        }
        found
    });
    found.sort_by(|(one, _), (other, _)| one.cmp(other));
    found
}

/// A page of the book in a browser.
#[derive(Debug)]
pub struct BookPage {
    /// The browser's page, with the functions for any page.
    pub page: Page,
}

/// The measurements of a drawn diagram.
#[derive(Debug)]
pub struct Drawing {
    /// Its width on the screen.
    pub width: f64,
    /// Its height on the screen.
    pub height: f64,
    /// The selectable text in it.
    pub text: String,
}

impl BookPage {
    /// Opens a page such as `architecture.html`.
    #[track_caller]
    pub fn open(site: &Site, page: &str, scheme: Scheme) -> Self {
        BookPage {
            page: Page::open(&site.url(page), scheme),
        }
    }

    /// Waits for the first diagram to be drawn.
    #[track_caller]
    pub fn wait_for_drawing(&mut self) -> Drawing {
        let drawn = format!("(document.querySelector('{DRAWING}')?.textContent ?? '') !== ''");
        self.page.wait_until("drawing", &drawn);
        let mut drawing = self.page.evaluate(&format!(
            "(() => {{
                const drawing = document.querySelector('{DRAWING}');
                const {{ width, height }} = drawing.getBoundingClientRect();
                const texts = [...drawing.querySelectorAll('text, foreignObject')];
                return [width, height, texts.map((text) => text.textContent).join('\\n')];
            }})()"
        ));
        Drawing {
            width: drawing[0].as_f64().unwrap_or_default(),
            height: drawing[1].as_f64().unwrap_or_default(),
            text: match drawing[2].take() {
                Value::String(text) => text,
                _ => String::new(),
            },
        }
    }

    /// The colour behind the text: `rgb(…)`.
    pub fn background(&mut self) -> String {
        let colour = self
            .page
            .evaluate("getComputedStyle(document.documentElement).backgroundColor");
        colour.as_str().unwrap_or_default().to_owned()
    }
}
