//! The book's own preprocessor. It refuses a block that no test proves, and adds to each listing
//! the tests that prove it.
//!
//! mdBook gives it all pages and takes the changed ones. It runs before mdBook replaces includes,
//! so it sees the pages as they were written.

use std::io::Write;

use anyhow::{Result, bail};

use crate::chapter::Chapter;
use crate::checks;
use crate::files::link;
use crate::listing::{Listing, caption};
use crate::proven::Proven;
use crate::site::placeholder;

/// Reads the book on stdin and writes it to stdout.
pub fn preprocess() -> Result<()> {
    let (_, mut book) = mdbook_preprocessor::parse_input(std::io::stdin())?;
    let proven = Proven::load()?;
    let wrong = checks::wrong(&proven);
    if !wrong.is_empty() {
        bail!(
            "the book has mistakes; correct these places:\n{}",
            wrong.join("\n")
        );
    }
    let is_ahead = proven.is_ahead();
    let proven = proven.strict();
    if is_ahead {
        for unproven in checks::wrong(&proven) {
            eprintln!("{unproven}, or it is not recorded yet");
        }
    }
    book.for_each_chapter_mut(|chapter| {
        let Some(path) = &chapter.path else { return };
        let page = Chapter {
            path: link(path),
            text: std::mem::take(&mut chapter.content),
        };
        chapter.content = with_proofs(&page, &proven);
    });
    // Not `println!`, which would panic if mdBook has already ended.
    Ok(serde_json::to_writer(std::io::stdout().lock(), &book)
        .map_err(std::io::Error::from)
        .and_then(|()| std::io::stdout().flush())?)
}

/// The page with the tests of each listing below its caption. Rust that is written
/// into the page becomes a listing of that page.
fn with_proofs(page: &Chapter, proven: &Proven) -> String {
    let mut lines: Vec<String> = page.text.lines().map(str::to_owned).collect();
    let mut fences = page.fences();
    // From the last to the first, so that the lines above keep their numbers.
    fences.reverse();
    for fence in &fences {
        if let Ok(listing) = Listing::of(page, fence) {
            let reason = page.reason(fence);
            let proof = proven.of(&listing, reason);
            if reason.is_some() {
                lines.remove(fence.after_line);
            }
            if !proof.is_empty() {
                lines.insert(fence.after_line, placeholder(&proof));
            }
        } else if fence.is_written_rust() {
            let file = format!("src/{}", page.path);
            let proof = proven.of_written(page, fence);
            let proof = if proof.is_empty() {
                String::new()
            } else {
                placeholder(&proof) + "\n"
            };
            let end = format!("\n{}\n{proof}</figure>", caption(&file));
            lines.insert(fence.end_line, end);
            lines.insert(fence.line - 1, "<figure class=\"listing\">\n".to_owned());
        }
    }
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chapter::chapter;

    #[test]
    fn the_tests_stand_below_the_caption_inside_the_figure() {
        let caption = "<figcaption><code>crate/src/steps/guard.rs</code></figcaption>";
        let text = format!(
            "# A page\n\n<figure class=\"listing\">\n\n```rust\n{{{{#include ../crate/src/steps/guard.rs:guard}}}}\n```\n\n{caption}\n</figure>\n\nMore.\n"
        );
        let shown = with_proofs(&chapter(&text), &Proven::of_a_test());
        let (before, after) = shown.split_once("<!-- proof: ").unwrap();
        assert!(before.ends_with(&format!("{caption}\n")), "{shown}");
        let (proof, after) = after.split_once(" -->\n").unwrap();
        assert!(after.starts_with("</figure>\n"), "{shown}");
        assert!(proof.contains("step_1_guard"), "{shown}");
        assert!(
            !proof.contains("\n\n"),
            "an empty line ends the HTML: {shown}"
        );
        assert_eq!(format!("{before}{after}"), text);
    }

    #[test]
    fn rust_that_is_written_into_a_page_becomes_a_listing_of_it() {
        let page = chapter("Text.\n\n```rust\nfn main() {}\n```\n\nMore.\n");
        let shown = with_proofs(&page, &Proven::of_a_test());
        let before = "Text.\n\n<figure class=\"listing\">\n\n```rust\nfn main() {}\n```\n\n\
                      <figcaption><code>src/test.md</code></figcaption>\n<!-- proof: [[\"";
        let after = " -->\n</figure>\n\nMore.\n";
        assert!(
            shown.starts_with(before) && shown.ends_with(after),
            "{shown}"
        );
    }
}
