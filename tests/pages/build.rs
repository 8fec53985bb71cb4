//! Hands the Rust blocks of the pages to `skeptic`.
//!
//! `skeptic` gets copies of the pages that contain only these blocks, because an include is not
//! Rust until mdBook has replaced it.

use std::path::PathBuf;
use std::{env, fs};

use book_compiler::{Chapter, root};

/// Wraps each block without a `main`. Nothing uses what the block declares, hence `allow`.
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

/// The page with an empty line in place of every other line, so that a test has the number of its
/// block's line in its name. A heading with the block's key stands before each block.
fn blocks_only(page: &Chapter) -> String {
    let mut lines = vec![String::new(); page.text.lines().count()];
    let fences = page.fences().into_iter();
    for fence in fences.filter(|fence| fence.is_written_rust()) {
        // Line numbers start at 1.
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
