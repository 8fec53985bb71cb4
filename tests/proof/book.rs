//! The book in a browser.

use harness::book::{self, BookPage};
use harness::browser::Scheme;

/// The three groups of participants in the diagram.
const HOSTS: [&str; 3] = ["Main Worker", "Durable Object", "Workflow"];
/// The texts of the six steps in the diagram.
const STEPS: [&str; 6] = [
    "1 guard",
    "2 load",
    "3 loading → absent",
    "4 loading → ready",
    "5 build the client",
    "6 POST envelope",
];

harness::trials![the_architecture_page_draws_its_diagram_in_light_and_dark_and_stays_on_its_host];

fn the_architecture_page_draws_its_diagram_in_light_and_dark_and_stays_on_its_host() {
    let site = book::serve();
    let backgrounds = [Scheme::Light, Scheme::Dark].map(|scheme| {
        let mut page = BookPage::open(&site, "architecture.html", scheme);
        let drawing = page.wait_for_drawing();
        assert!(
            drawing.width > 200.0 && drawing.height > 200.0,
            "{drawing:?}"
        );
        for part in HOSTS.iter().chain(&STEPS) {
            assert!(drawing.text.contains(part), "no {part} in {drawing:?}");
        }
        let picture = page
            .page
            .screenshot(&format!("architecture-{}", scheme.name()));
        println!("figure: {}", picture.display());
        assert_eq!(page.page.errors(), [""; 0]);
        let requests = page.page.requests();
        assert!(
            requests.contains(&site.url("architecture.html")),
            "{requests:?}"
        );
        let elsewhere: Vec<&String> = requests
            .iter()
            .filter(|url| !url.starts_with(&site.origin()) && !url.starts_with("data:"))
            .collect();
        assert!(elsewhere.is_empty(), "{elsewhere:?}");
        page.background()
    });
    assert_ne!(backgrounds[0], backgrounds[1], "light and dark");
}
