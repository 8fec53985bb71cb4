//! The book's own renderer, `site`: it finishes the pages that mdBook has rendered.
//!
//! mdBook starts it after its own renderer (see `book.toml`), also in plain `mdbook build`. It
//! fails for a link that leads nowhere. It puts into the pages what mdBook's search must not find
//! or what mdBook cannot make: the tests of each listing, the drawings and the dark pictures. It
//! also writes the twin of each page in Markdown, and `llms.txt`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use mdbook_renderer::RenderContext;

use crate::files::{copy, fingerprint, link, root, up, write};
use crate::proven::{Proof, Proven};
use crate::rendered::{self, Rendered, escaped};
use crate::{drawings, pictures, twins};

/// The mark in the template's head that the link to the twin replaces.
const TWIN: &str = "<!-- twin -->";
/// The mark in a page that a listing's tests replace.
const PROOF: [&str; 2] = ["<!-- proof: ", " -->"];
/// The mark in a page that the laboratory replaces, and the page whose scripts run the laboratory.
const LABORATORY: &str = "<!-- laboratory -->";
const LABORATORY_PAGE: &str = "laboratory.html";

/// Reads mdBook's description of the book on stdin, and finishes the rendered pages. `engine` is
/// the engine of the laboratory, which is built before.
pub fn site(engine: &Path) -> Result<()> {
    let context = RenderContext::from_json(std::io::stdin())?;
    // Each renderer has a folder of its own, beside that of mdBook's renderer, which has the pages.
    let folder = context.destination.with_file_name("html");
    let twins = twins::write_all(&context, &folder)?;
    let laboratory = laboratory(engine, &folder)?;
    for (file, text) in Proven::load()?.files() {
        write(&folder.join(file), &text)?;
    }
    let mut pages = rendered::pages(&folder, &[])?;
    if pages.iter().any(is_moved) {
        copy(&root().join("theme/moved.js"), &folder.join("moved.js"))?;
    }
    for page in &mut pages {
        page.text = finished(page, &twins)?;
        // The page of the whole book is for paper, where the laboratory cannot run.
        if page.path == Path::new(LABORATORY_PAGE) {
            page.text = page.text.replace(LABORATORY, &laboratory);
        }
        write(&folder.join(&page.path), &page.text)?;
    }
    // This renderer puts nothing into its own folder.
    let _ = fs::remove_dir(context.destination);
    let broken = rendered::broken(&folder, &pages);
    if !broken.is_empty() {
        bail!("links of the book lead nowhere:\n{}", broken.join("\n"));
    }
    Ok(())
}

/// The HTML of the laboratory on its page. The names of its files change with their content, so
/// that a browser never combines an old file with a new one.
fn laboratory(engine: &Path, pages: &Path) -> Result<String> {
    let mut html = fs::read_to_string(root().join("theme/laboratory.html"))?;
    for (file, kind) in [
        (root().join("theme/laboratory.css"), "css"),
        (root().join("theme/laboratory.js"), "js"),
        (engine.to_path_buf(), "wasm"),
    ] {
        let content = fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
        let name = format!("laboratory-{}.{kind}", fingerprint(&[&content]));
        copy(&file, &pages.join(&name))?;
        html = html.replace(&format!("\"laboratory.{kind}\""), &format!("\"{name}\""));
    }
    Ok(html.trim_end().to_owned())
}

fn is_moved(page: &Rendered) -> bool {
    page.text.contains(" src=\"moved.js\"")
}

/// A page with every mark replaced.
fn finished(page: &Rendered, twins: &[PathBuf]) -> Result<String> {
    let text = drawings::placed(&page.text)?;
    let text = pictures::placed(&text)?;
    let up = up(&page.path);
    let text = with_proofs(&text, &up)?;
    // mdBook writes the first chapter a second time, as the index.
    let source = match page.path.to_str() {
        Some("index.html") => twins.first().cloned().unwrap_or_default(),
        _ => page.path.with_extension("md"),
    };
    let twin = if twins.contains(&source) {
        let title = "This page in Markdown";
        let address = link(&source);
        format!(
            "<link rel=\"alternate\" type=\"text/markdown\" title=\"{title}\" href=\"{up}{address}\">"
        )
    } else {
        String::new()
    };
    Ok(text
        .replace(TWIN, &twin)
        .replace(
            "<div style=\"break-before: page; page-break-before: always;\"></div>",
            "<div class=\"page-break\"></div>",
        )
        .replace(" src=\"moved.js\"", &format!(" src=\"{up}moved.js\"")))
}

/// The comment that stands in place of a listing's tests until mdBook has made the search index.
pub fn placeholder(proof: &Proof) -> String {
    let names = proof.written().to_string();
    // A comment in HTML ends at two hyphens, so the text must not contain them.
    let [begin, end] = PROOF;
    format!("{begin}{}{end}", names.replace('-', "\\u002d"))
}

/// A page in which the tests of each listing replace the mark.
fn with_proofs(page: &str, up: &str) -> Result<String> {
    let [begin, end] = PROOF;
    let mut parts = page.split(begin);
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (names, after) = part.split_once(end).context("a comment without an end")?;
        let proof = Proof::parsed(names).with_context(|| names.to_owned())?;
        text.push_str(&shown(&proof, up));
        text.push_str(after);
    }
    Ok(text)
}

/// The tests as a list that opens on a click.
fn shown(proof: &Proof, up: &str) -> String {
    let Proof { count, file, .. } = proof;
    let note = match proof.note.is_empty() {
        true => String::new(),
        false => format!("<p>{}</p>\n", with_code(&proof.note)),
    };
    if *count == 0 {
        return format!("<div class=\"proof\">{}</div>", note.trim_end());
    }
    let tests = if *count == 1 { "test" } else { "tests" };
    let mut html =
        format!("<details class=\"proof\">\n<summary>Proven by {count} {tests}</summary>\n{note}");
    let kinds = [
        ("In the real runtime", &proof.runtime),
        ("Native", &proof.native),
    ];
    for (kind, tests) in kinds {
        if tests.is_empty() {
            continue;
        }
        html.push_str(&format!("<p>{kind}</p>\n<ul>\n"));
        for test in tests {
            html.push_str(&format!("<li><code>{}</code></li>\n", breakable(test)));
        }
        html.push_str("</ul>\n");
    }
    let more = count - proof.native.len() - proof.runtime.len();
    let more = match more {
        0 => String::new(),
        more => format!("{more} more. "),
    };
    if !file.is_empty() {
        html.push_str(&format!(
            "<p>{more}<a href=\"{up}{file}\">Which test ran which line</a></p>\n"
        ));
    } else if !more.is_empty() {
        html.push_str(&format!("<p>{}</p>\n", more.trim_end()));
    }
    html + "</details>"
}

/// A text as HTML, with the text in backticks as code.
fn with_code(text: &str) -> String {
    let parts = text.split('`').enumerate();
    let parts = parts.map(|(index, part)| match index % 2 {
        0 => escaped(part),
        _ => format!("<code>{}</code>", escaped(part)),
    });
    parts.collect()
}

/// A name as HTML in which a line may end after each word.
fn breakable(name: &str) -> String {
    let escaped = escaped(name);
    escaped.replace("::", "::<wbr>").replace('_', "_<wbr>")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rendered::page;

    #[test]
    fn the_tests_of_a_listing_are_a_comment_until_the_page_is_finished() {
        let proof = Proof {
            native: vec!["a::b_c -- d".to_owned()],
            runtime: vec!["x > \"y\"".to_owned(), "z".to_owned()],
            count: 9,
            file: "lines/a.txt".to_owned(),
            note: "No test runs line 4. <Why> of `a`.".to_owned(),
        };
        let comment = placeholder(&proof);
        let inside = comment.trim_start_matches("<!--").trim_end_matches("-->");
        assert!(!inside.contains('-'), "{comment}");
        let shown = with_proofs(&format!("<figure>{comment}</figure>"), "../").unwrap();
        assert!(
            shown.starts_with("<figure><details class=\"proof\">\n<summary>Proven by 9 tests</summary>\n<p>No test runs line 4. &lt;Why&gt; of <code>a</code>.</p>\n<p>In the real runtime</p>\n")
                && shown.ends_with("</details></figure>"),
            "{shown}"
        );
        for part in [
            "<code>a::<wbr>b_<wbr>c -- d</code>",
            "<p>6 more. <a href=\"../lines/a.txt\">Which test ran which line</a></p>",
        ] {
            assert!(shown.contains(part), "{shown}");
        }
    }

    #[test]
    fn a_page_leads_to_its_twin_and_one_without_a_twin_to_none() {
        let twins = ["start.md", "hosts/a.md"].map(PathBuf::from);
        let link = |path: &str| {
            let page = page(path, "<!-- twin -->");
            finished(&page, &twins).unwrap()
        };
        assert!(link("hosts/a.html").ends_with("href=\"../hosts/a.md\">"));
        assert!(link("index.html").ends_with("href=\"start.md\">"));
        assert_eq!(link("404.html"), "");
    }

    #[test]
    fn a_name_breaks_after_each_word_and_cannot_become_markup() {
        assert_eq!(breakable("a::b_c"), "a::<wbr>b_<wbr>c");
        assert_eq!(breakable("<i> & co"), "&lt;i&gt; &amp; co");
    }
}
