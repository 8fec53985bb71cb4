//! The folder to publish: its content, and how it is served.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use harness::browser::{Page, Scheme};
use harness::process::Process;
use harness::shared::Shared;
use harness::site::Site;
use harness::worker::Worker;
use harness::{book, environment, run, wait};

/// The path of the folder below the site, which is also in its address.
const BELOW: &str = "docs/book";
const ADDRESS: &str = "https://book.example.com/docs/book";
const REPOSITORY: &str = "https://git.example.com/worker-sentry";

harness::trials![
    the_newest_release_is_at_the_root_and_an_older_one_stays_and_leads_to_it,
    a_page_knows_its_whole_address_and_leads_to_its_source,
    a_worker_with_static_assets_serves_the_folder_below_a_path_with_its_own_404_page,
    a_folder_with_files_of_somebody_elses_is_refused_and_left_as_it_is,
];

/// A site with two releases of the book, below a path.
fn site() -> &'static Path {
    static SITE: Shared<PathBuf> = Shared::new();
    SITE.get(|| {
        let site = run::new_directory("site");
        for release in ["0.1.0", "0.2.0"] {
            publish(&site.join(BELOW), &["--release", release]).wait_for_success(wait::START);
        }
        site
    })
}

fn publish(out: &Path, arguments: &[&str]) -> Process {
    let mut command = Command::new(environment::path("PROOF_XTASK"));
    command
        .current_dir(environment::workspace())
        .args([
            "publish",
            "--url",
            ADDRESS,
            "--repository",
            REPOSITORY,
            "--out",
        ])
        .arg(out)
        .args(arguments);
    Process::start("cargo xtask publish", &command)
}

fn read(page: &str) -> String {
    let file = site().join(BELOW).join(page);
    fs::read_to_string(&file).unwrap_or_else(|error| panic!("{page}: {error}"))
}

fn the_newest_release_is_at_the_root_and_an_older_one_stays_and_leads_to_it() {
    assert_eq!(read("releases.json"), "[\"v0.2\", \"v0.1\"]\n");
    let site = Site::with(site(), "", book::policy);
    let label = "document.querySelector('.menu-release').textContent";
    let notice = "document.querySelector('.old-release')?.innerText ?? ''";
    for (place, release, says) in [
        ("", "v0.2", ""),
        ("v0.2/", "v0.2", ""),
        ("v0.1/", "v0.1", "This is v0.1. The newest is v0.2."),
    ] {
        let url = site.url(&format!("{BELOW}/{place}hosts/main.html"));
        let mut page = Page::open(&url, Scheme::Light);
        assert_eq!(page.evaluate(label), release, "{url}");
        assert_eq!(page.evaluate(notice), says, "{url}");
        let list = page.evaluate("document.querySelector('.menu-release').href");
        assert_eq!(list, site.url(&format!("{BELOW}/releases.html")));
        assert_eq!(page.errors(), [""; 0], "{url}");
        for request in page.requests() {
            let is_here = request.starts_with(&site.origin()) || request.starts_with("data:");
            assert!(is_here, "{url} asks for {request}");
        }
        if !says.is_empty() {
            let newest = page.evaluate("document.querySelector('.old-release a').href");
            assert_eq!(newest, site.url(&format!("{BELOW}/hosts/main.html")));
        }
    }
    // Each release contains all its files.
    for file in [
        "api/worker_sentry/index.html",
        "architecture.md",
        "404.html",
    ] {
        for place in ["", "v0.1/", "v0.2/"] {
            assert!(!read(&format!("{place}{file}")).is_empty(), "{place}{file}");
        }
    }
}

fn a_page_knows_its_whole_address_and_leads_to_its_source() {
    for place in ["", "v0.1/"] {
        let page = read(&format!("{place}hosts/main.html"));
        let own = format!("{ADDRESS}/hosts/main.html");
        for wanted in [
            format!("<link rel=\"canonical\" href=\"{own}\">"),
            format!("<meta property=\"og:url\" content=\"{own}\">"),
            format!("<meta property=\"og:image\" content=\"{ADDRESS}/social.png\">"),
            format!("href=\"{REPOSITORY}\" title=\"Source\""),
            format!("href=\"{REPOSITORY}/edit/main/src/hosts/main.md\""),
        ] {
            assert!(
                page.contains(&wanted),
                "{place}hosts/main.html has no {wanted}"
            );
        }
        let missing = read(&format!("{place}404.html"));
        assert!(
            missing.contains(&format!("<base href=\"/{BELOW}/{place}\">")),
            "{place}404.html"
        );
    }
    for place in ["", "v0.1/"] {
        let list = read(&format!("{place}llms.txt"));
        let wanted = format!("]({ADDRESS}/{place}hosts/main.md): ");
        assert!(list.contains(&wanted), "{place}llms.txt has no {wanted}");
    }
    let sitemap = read("sitemap.xml");
    assert!(
        sitemap.contains(&format!("<loc>{ADDRESS}/</loc>")),
        "{sitemap}"
    );
    assert!(
        sitemap.contains(&format!("<loc>{ADDRESS}/hosts/main.html</loc>")),
        "{sitemap}"
    );
    assert!(
        !sitemap.contains("404") && !sitemap.contains("v0."),
        "{sitemap}"
    );
}

fn a_worker_with_static_assets_serves_the_folder_below_a_path_with_its_own_404_page() {
    let options = Worker::site(site());
    let read_by_wrangler = options.clone().deploy_dry_run();
    let counted = read_by_wrangler
        .iter()
        .any(|line| line.contains("files from the assets directory"));
    assert!(counted, "{read_by_wrangler:#?}");

    let worker = options.start();
    let page = |path: &str| {
        let answer = worker.get(&format!("/{BELOW}/{path}"));
        (answer.status, answer.body)
    };
    // The server uses addresses without an extension, and redirects links that have one.
    for (path, title) in [
        ("", "Introduction"),
        ("architecture", "Architecture"),
        ("hosts/", "All hosts"),
        ("v0.1/architecture", "Architecture"),
        ("api/worker_sentry/", "worker_sentry - Rust"),
    ] {
        let (status, body) = page(path);
        assert_eq!(status, 200, "{path}");
        assert!(
            body.contains(&format!("<title>{title}")),
            "{path}: {body:.300}"
        );
    }
    assert_eq!(page("architecture.html").0, 307);
    for (path, base) in [
        ("nowhere", "/docs/book/"),
        ("hosts/nowhere/at/all", "/docs/book/"),
        ("v0.1/nowhere", "/docs/book/v0.1/"),
    ] {
        let (status, body) = page(path);
        assert_eq!(status, 404, "{path}");
        assert!(
            body.contains(&format!("<base href=\"{base}\">")),
            "{path}: {body:.300}"
        );
    }
}

fn a_folder_with_files_of_somebody_elses_is_refused_and_left_as_it_is() {
    let folder = run::new_directory("foreign");
    fs::write(folder.join("thesis.txt"), "years of work").expect("a file");
    let refused = publish(&folder, &[]);
    refused.wait_for_line("files that this command did not write", wait::START);
    let left = fs::read_dir(&folder).expect("the folder").flatten();
    let left = Vec::from_iter(left.map(|entry| entry.file_name()));
    assert_eq!(left, ["thesis.txt"]);
}
