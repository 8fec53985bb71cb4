//! The book's own preprocessor: no block is shown that no test proves, no diagram
//! without its drawing, and each listing says which tests prove it.
//!
//! mdBook starts it as `book.toml` says, hands it all pages as JSON and takes them
//! back. It runs before mdBook puts includes in place, so it sees what was written.

use std::io::{Read, Write};
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::book_checks;
use crate::drawings;
use crate::pages::{Listing, Page, caption};
use crate::proven::Proven;
use crate::site::placeholder;

/// `cargo xtask preprocess`.
pub fn preprocess(root: &Path) -> Result<()> {
    let mut input = String::new();
    std::io::stdin().read_to_string(&mut input)?;
    let proven = Proven::load(root)?;
    let mut wrong = book_checks::wrong(&proven);
    wrong.extend(drawings::wrong(root)?);
    if !wrong.is_empty() {
        bail!("the book is not as it has to be:\n{}", wrong.join("\n"));
    }
    let is_ahead = proven.is_ahead();
    let proven = proven.strict();
    if is_ahead {
        for unproven in book_checks::wrong(&proven) {
            eprintln!("{unproven}, or it is not recorded yet");
        }
    }
    let mut input: Value = serde_json::from_str(&input).context("mdBook sends JSON")?;
    let mut book = input[1].take();
    for_each_chapter(&mut book, &|chapter| {
        let (Some(path), Some(text)) = (chapter["path"].as_str(), chapter["content"].as_str())
        else {
            return;
        };
        let page = Page {
            path: path.replace('\\', "/"),
            text: text.to_owned(),
        };
        chapter["content"] = with_proofs(&page, &proven).into();
    });
    // Not `println!`: mdBook may be gone.
    Ok(serde_json::to_writer(std::io::stdout().lock(), &book)
        .map_err(std::io::Error::from)
        .and_then(|()| std::io::stdout().flush())?)
}

/// Calls `change` for each chapter, wherever mdBook keeps it.
fn for_each_chapter(value: &mut Value, change: &impl Fn(&mut Value)) {
    match value {
        Value::Array(values) => values
            .iter_mut()
            .for_each(|it| for_each_chapter(it, change)),
        Value::Object(fields) => {
            for (name, value) in fields {
                if name == "Chapter" {
                    change(value);
                }
                for_each_chapter(value, change);
            }
        }
        _ => {}
    }
}

/// The page with the tests of each listing below its caption. Rust that is written
/// into the page becomes a listing of that page.
fn with_proofs(page: &Page, proven: &Proven) -> String {
    let mut lines: Vec<String> = page.text.lines().map(str::to_owned).collect();
    let mut fences = page.fences();
    // From the end, so that the lines above keep their numbers.
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
            let proof = proven.of_written(&page.path, fence);
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

    #[test]
    fn the_tests_stand_below_the_caption_inside_the_figure() {
        let caption = "<figcaption><code>crate/src/steps/guard.rs</code></figcaption>";
        let text = format!(
            "# A page\n\n<figure class=\"listing\">\n\n```rust\n{{{{#include ../crate/src/steps/guard.rs:guard}}}}\n```\n\n{caption}\n</figure>\n\nMore.\n"
        );
        let page = Page {
            path: "page.md".to_owned(),
            text: text.clone(),
        };
        let proven = Proven::of_a_test();
        let shown = with_proofs(&page, &proven);
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
        let page = Page {
            path: "test.md".to_owned(),
            text: "Text.\n\n```rust\nfn main() {}\n```\n\nMore.\n".to_owned(),
        };
        let shown = with_proofs(&page, &Proven::of_a_test());
        let before = "Text.\n\n<figure class=\"listing\">\n\n```rust\nfn main() {}\n```\n\n\
                      <figcaption><code>src/test.md</code></figcaption>\n<!-- proof: [[\"";
        let after = " -->\n</figure>\n\nMore.\n";
        assert!(
            shown.starts_with(before) && shown.ends_with(after),
            "{shown}"
        );
    }

    #[test]
    fn chapters_are_found_at_any_depth_and_nothing_else_changes() {
        let mut book: Value = serde_json::from_str(
            r#"{"items":[{"PartTitle":"x"},{"Chapter":{"content":"a","sub_items":[
                {"Chapter":{"content":"b","sub_items":[]}}]}},"Separator"]}"#,
        )
        .unwrap();
        let before = book.to_string();
        for_each_chapter(&mut book, &|chapter| {
            let text = chapter["content"].as_str().unwrap().to_uppercase();
            chapter["content"] = text.into();
        });
        let after = before.replace("\"a\"", "\"A\"").replace("\"b\"", "\"B\"");
        assert_eq!(book.to_string(), after);
    }
}
