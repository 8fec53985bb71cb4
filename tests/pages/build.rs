//! Hands the Rust blocks of the pages to `skeptic`.
//!
//! It gets copies of the pages that have nothing else in them: an include is no
//! Rust before mdBook has put it in place.

use std::path::{Path, PathBuf};
use std::{env, fs};

#[path = "../../xtask/src/pages/rust_blocks.rs"]
mod rust_blocks;

/// Added to each block without a `main`: what it declares is used by nobody.
const TEMPLATE: &str = "```rust,skt-page\n#![allow(dead_code)]\n{}\n\nfn main() {{}}\n```\n";

fn main() {
    let manifest = env::var("CARGO_MANIFEST_DIR").expect("cargo sets it");
    let out = PathBuf::from(env::var("OUT_DIR").expect("cargo sets it")).join("pages");
    let pages = Path::new(&manifest).join("../../src");
    println!("cargo:rerun-if-changed={}", pages.display());
    let _ = fs::remove_dir_all(&out);
    fs::create_dir_all(&out).expect("cargo's own folder takes folders");
    let mut copies = Vec::new();
    for (page, text) in texts(&pages, "") {
        let copy = blocks_only(&text);
        if copy.trim().is_empty() {
            continue;
        }
        let file = out.join(rust_blocks::module(&page) + ".md");
        fs::write(&file, copy).expect("cargo's own folder takes files");
        let template = out.join(rust_blocks::module(&page) + ".md.skt.md");
        fs::write(template, TEMPLATE).expect("cargo's own folder takes files");
        copies.push(file);
    }
    if copies.is_empty() {
        let none = out.with_file_name("skeptic-tests.rs");
        fs::write(none, "").expect("cargo's own folder takes files");
    }
    skeptic::generate_doc_tests(&copies);
}

/// The pages below a folder, by their paths.
fn texts(folder: &Path, prefix: &str) -> Vec<(String, String)> {
    let mut texts = Vec::new();
    for entry in fs::read_dir(folder).expect("the pages are there") {
        let path = entry.expect("the pages can be listed").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let page = format!("{prefix}{name}");
        if path.is_dir() {
            texts.extend(self::texts(&path, &format!("{page}/")));
        } else if page.ends_with(".md") {
            let text = fs::read_to_string(&path).expect("a page is text");
            texts.push((page, text));
        }
    }
    texts.sort();
    texts
}

/// The page with empty lines for everything but its Rust blocks, so that a test is
/// named for the line of its block; before each a heading with its key.
fn blocks_only(text: &str) -> String {
    let mut lines = vec![String::new(); text.lines().count()];
    let mut rest = text.lines().enumerate();
    while let Some((index, line)) = rest.next() {
        let Some(kind) = line.trim_start().strip_prefix("```") else {
            continue;
        };
        let inside = rest.by_ref().take_while(|(_, line)| line.trim() != "```");
        let body: Vec<&str> = inside.map(|(_, line)| line).collect();
        let included = body.iter().any(|line| line.contains("{{#"));
        if included || !rust_blocks::KINDS.contains(&kind.trim()) {
            continue;
        }
        lines[index - 1] = format!("# {}", rust_blocks::key(&body));
        let has_main = body.iter().any(|line| line.starts_with("fn main("));
        let template = if has_main { "" } else { ",skt-page" };
        lines[index] = format!("```{}{template}", kind.trim());
        for (offset, line) in body.iter().enumerate() {
            lines[index + 1 + offset] = (*line).to_owned();
        }
        lines[index + 1 + body.len()] = "```".to_owned();
    }
    lines.join("\n")
}
