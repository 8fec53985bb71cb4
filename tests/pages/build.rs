//! Hands the Rust blocks of the pages to `skeptic`.
//!
//! It gets copies of the pages that have nothing else in them: an include is no
//! Rust before mdBook has put it in place.

use std::path::PathBuf;
use std::{env, fs};

use book_compiler::{Chapter, root};

/// Added to each block without a `main`: what it declares is used by nobody.
const TEMPLATE: &str = "```rust,skt-page\n#![allow(dead_code)]\n{}\n\nfn main() {{}}\n```\n";

fn main() {
    let out = PathBuf::from(env::var("OUT_DIR").expect("cargo sets it")).join("pages");
    println!("cargo:rerun-if-changed={}", root().join("src").display());
    let _ = fs::remove_dir_all(&out);
    fs::create_dir_all(&out).expect("cargo's own folder takes folders");
    let mut copies = Vec::new();
    for page in Chapter::all() {
        let copy = blocks_only(&page);
        if copy.trim().is_empty() {
            continue;
        }
        let file = out.join(page.module() + ".md");
        fs::write(&file, copy).expect("cargo's own folder takes files");
        let template = out.join(page.module() + ".md.skt.md");
        fs::write(template, TEMPLATE).expect("cargo's own folder takes files");
        copies.push(file);
    }
    if copies.is_empty() {
        let none = out.with_file_name("skeptic-tests.rs");
        fs::write(none, "").expect("cargo's own folder takes files");
    }
    skeptic::generate_doc_tests(&copies);
}

/// The page with empty lines for everything but its Rust blocks, so that a test is
/// named for the line of its block; before each a heading with its key.
fn blocks_only(page: &Chapter) -> String {
    let mut lines = vec![String::new(); page.text.lines().count()];
    let fences = page.fences().into_iter();
    for fence in fences.filter(|fence| fence.is_written_rust()) {
        // Lines are counted from 1.
        let opening = fence.line - 1;
        lines[opening - 1] = format!("# {}", fence.key());
        let has_main = fence.body.iter().any(|line| line.starts_with("fn main("));
        let template = if has_main { "" } else { ",skt-page" };
        lines[opening] = format!("```{}{template}", fence.language);
        for (line, text) in lines[fence.line..].iter_mut().zip(&fence.body) {
            (*text).clone_into(line);
        }
        lines[fence.end_line - 1] = "```".to_owned();
    }
    lines.join("\n")
}
