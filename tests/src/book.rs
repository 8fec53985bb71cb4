//! The rendered book, page by page, as a reader sees it.

use serde_json::Value;

use crate::browser::{Page, Scheme};
use crate::environment;
use crate::site::Site;

/// A diagram on a page, wherever its tool put the drawing.
const DRAWING: &str = ":is(figure.diagram, .mermaid) svg";

/// The rendered book, served at the root of a site.
pub fn serve() -> Site {
    Site::of(&environment::path("PROOF_BOOK"))
}

/// A page of the book in a browser.
#[derive(Debug)]
pub struct BookPage {
    /// The page, for what is not special to a book.
    pub page: Page,
}

/// What can be measured of a drawn diagram.
#[derive(Debug)]
pub struct Drawing {
    /// Its size on the screen.
    pub width: f64,
    /// Its size on the screen.
    pub height: f64,
    /// The texts in it, as a reader can select them.
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
