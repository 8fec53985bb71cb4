//! Every block of code comes from a file that is compiled, or is of a kind whose
//! lines are checked here.

use std::path::{Component, Path, PathBuf};

use clap::CommandFactory;

use super::{Fence, Page, assert_none, code_in, page, pages, read, sources, tables};
use crate::setup::versions::locked;

/// What `wrangler` is asked to do on the pages.
const WRANGLER: [&str; 6] = [
    "deploy",
    "dev",
    "queues create",
    "secret delete",
    "secret list",
    "secret put",
];

#[test]
fn every_block_is_an_include_or_of_a_kind_that_is_checked() {
    let checks = Checks::new();
    let wrong: Vec<String> = pages().iter().flat_map(|page| checks.of(page)).collect();
    assert_none(&wrong);
}

/// What blocks are compared with.
struct Checks {
    /// The crate's sources, where its console lines are.
    printed: String,
    /// `host/handler` of each drill.
    drills: Vec<String>,
}

impl Checks {
    fn new() -> Self {
        Checks {
            printed: sources("crate/src"),
            drills: tables::drills(),
        }
    }

    fn of(&self, page: &Page) -> Vec<String> {
        let mut wrong = Vec::new();
        for fence in page.fences() {
            let found = match fence.language {
                _ if fence.body.iter().any(|line| line.contains("{{#")) => include(page, &fence),
                "sh" => each(&fence, |line| self.shell(line)),
                "text" => each(&fence, |line| self.text(line)),
                "toml" => each(&fence, dependency),
                "mermaid" => Ok(()),
                "rust" => Err("is not compiled: include it by an anchor".to_owned()),
                other => Err(format!("`{other}` is no kind of block that is tested")),
            };
            if let Err(what) = found {
                wrong.push(page.at(fence.line, what));
            }
        }
        wrong.extend(beside_fences(page));
        for table in page.tables().iter().filter(|table| table.head[0] == "Line") {
            for (line, cells) in &table.rows {
                let printed = code_in(cells[0]).unwrap_or_default();
                if !self.is_printed(printed) {
                    wrong.push(page.at(*line, format!("the crate never prints `{printed}`")));
                }
            }
        }
        wrong
    }

    /// A command that exists, as far as that can be told without running it.
    fn shell(&self, line: &str) -> Result<(), String> {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["npx", "wrangler", rest @ ..] => {
                let rest = rest.join(" ");
                let known = WRANGLER.iter().any(|command| rest.starts_with(command));
                known.then_some(()).ok_or("an unknown command of wrangler")
            }
            ["cargo", "xtask", command, ..] => {
                let cli = crate::Cli::command();
                let known = cli.find_subcommand(command).map(|_| ());
                known.ok_or("an unknown command of cargo xtask")
            }
            ["curl", ..] => match line.split_once("/drill/") {
                Some((_, drill)) => {
                    let drill = drill.split('?').next().unwrap_or_default();
                    let known = self.drills.iter().any(|known| known == drill);
                    known.then_some(()).ok_or("a drill that is not there")
                }
                None => Ok(()),
            },
            _ => Err("a program that the pages do not use"),
        }
        .map_err(|what| format!("{what}: {line}"))
    }

    fn text(&self, line: &str) -> Result<(), String> {
        match line.strip_prefix("[worker-sentry] ") {
            Some(printed) if !self.is_printed(printed) => {
                Err(format!("the crate never prints `{printed}`"))
            }
            _ => Ok(()),
        }
    }

    /// A line is one piece of text, or a binding's name and what is wrong with it.
    fn is_printed(&self, line: &str) -> bool {
        let quoted = |text: &str| self.printed.contains(&format!("\"{text}\""));
        let parts = line.split_once(' ');
        quoted(line) || parts.is_some_and(|(name, problem)| quoted(name) && quoted(problem))
    }
}

fn each(fence: &Fence<'_>, check: impl Fn(&str) -> Result<(), String>) -> Result<(), String> {
    let mut lines = fence.body.iter().filter(|line| !line.trim().is_empty());
    lines.try_for_each(|line| check(line))
}

/// `name = "1.2"` must be the beginning of the version that is locked.
fn dependency(line: &str) -> Result<(), String> {
    if line.starts_with('[') {
        return Ok(());
    }
    let wrong = || format!("not a dependency with the version in Cargo.lock: {line}");
    let (name, version) = line.split_once(" = ").ok_or_else(wrong)?;
    let locked = locked(name).ok_or_else(wrong)?;
    let version = version.trim_matches('"');
    (format!("{locked}.").starts_with(&format!("{version}.")))
        .then_some(())
        .ok_or_else(wrong)
}

/// Code that is in no fence, and directives of mdBook outside of one.
fn beside_fences(page: &Page) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut previous = "";
    for (line, text) in page.prose() {
        if text.starts_with("    ") && previous.trim().is_empty() && !text.trim().is_empty() {
            wrong.push(page.at(line, "indented code: use a fence"));
        }
        if text.contains("<pre") || text.contains("{{#") {
            wrong.push(page.at(line, "code outside of a fence"));
        }
        previous = text;
    }
    wrong
}

/// One include of one anchor, in a figure that names the file.
fn include(page: &Page, fence: &Fence<'_>) -> Result<(), String> {
    let [line] = fence.body.as_slice() else {
        return Err("an include stands alone in its block".to_owned());
    };
    let target = line
        .strip_prefix("{{#include ")
        .and_then(|line| line.strip_suffix("}}"))
        .ok_or_else(|| format!("not an include of an anchor: {line}"))?;
    let (path, anchor) = target
        .rsplit_once(':')
        .ok_or_else(|| format!("an include without an anchor: {target}"))?;
    let path = plain(&page.folder().join(path));
    let file = crate::root().join(&path);
    let text =
        std::fs::read_to_string(&file).map_err(|_| format!("there is no {}", shown(&path)))?;
    if !is_compiled(&path) {
        return Err(format!("{} is not compiled", shown(&path)));
    }
    let language = match path.extension().and_then(|extension| extension.to_str()) {
        Some("rs") => "rust",
        Some(extension) => extension,
        None => "",
    };
    if fence.language != language {
        return Err(format!(
            "is `{}` and shows {}",
            fence.language,
            shown(&path)
        ));
    }
    match anchored(&text, anchor) {
        None => return Err(format!("{} has no anchor `{anchor}`", shown(&path))),
        Some(lines) if lines.is_empty() => {
            return Err(format!("anchor `{anchor}` of {} is empty", shown(&path)));
        }
        Some(_) => {}
    }
    let caption = format!("<figcaption><code>{}</code></figcaption>", shown(&path));
    if fence.after != caption {
        return Err(format!("the caption is not {caption}"));
    }
    Ok(())
}

/// What mdBook puts in place of an include: the lines of code of an anchor that
/// is there exactly once.
fn anchored<'t>(text: &'t str, anchor: &str) -> Option<Vec<&'t str>> {
    let is = |line: &str, mark: &str| {
        let name = line.split_once(mark).map(|(_, name)| name.trim());
        name == Some(anchor)
    };
    let starts = text.lines().filter(|line| is(line, "ANCHOR:")).count();
    let ends = text.lines().filter(|line| is(line, "ANCHOR_END:")).count();
    if (starts, ends) != (1, 1) {
        return None;
    }
    let lines = text.lines().skip_while(|line| !is(line, "ANCHOR:"));
    let lines = lines.skip(1).take_while(|line| !is(line, "ANCHOR_END:"));
    // A comment alone is what is left of an item that has moved.
    let is_comment = |line: &str| line.starts_with("//") || line.starts_with("# ");
    let shown = lines
        .map(str::trim)
        .filter(|line| !is_comment(line) && !line.is_empty());
    Some(shown.collect())
}

/// Whether cargo or wrangler reads this file: a configuration beside a package,
/// or a module that its parent names.
fn is_compiled(path: &Path) -> bool {
    let parent = path.parent().unwrap_or(Path::new(""));
    let name = path.file_stem().and_then(|name| name.to_str());
    match (path.extension().and_then(|it| it.to_str()), name) {
        (Some("toml"), _) => crate::root().join(parent).join("Cargo.toml").is_file(),
        (Some("rs"), Some("lib" | "main")) => true,
        (Some("rs"), Some(name)) => {
            let declared = |file: PathBuf| {
                let text = std::fs::read_to_string(crate::root().join(file));
                text.is_ok_and(|text| text.contains(&format!("mod {name};")))
            };
            declared(parent.with_extension("rs"))
                || ["mod.rs", "lib.rs", "main.rs"]
                    .iter()
                    .any(|file| declared(parent.join(file)))
        }
        _ => false,
    }
}

/// A path without the steps up and down.
pub(super) fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => {
                plain.pop();
            }
            component => plain.push(component),
        }
    }
    plain
}

fn shown(path: &Path) -> String {
    path.display().to_string().replace('\\', "/")
}

fn wrong(text: &str) -> Vec<String> {
    Checks::new().of(&page(text))
}

/// A listing as the pages write it, with this line in it.
fn listing(line: &str, caption: &str) -> String {
    format!("```rust\n{line}\n```\n\n<figcaption><code>{caption}</code></figcaption>\n")
}

#[test]
fn a_listing_is_an_include_of_an_anchor_of_a_compiled_file() {
    let guard = "crate/src/guard.rs";
    let good = listing("{{#include ../crate/src/guard.rs:guard}}", guard);
    assert_none(&wrong(&good));
    for (line, complaint) in [
        ("{{#include ../crate/src/guard.rs:gard}}", "has no anchor"),
        ("{{#include ../crate/src/guard.rs}}", "has no anchor"),
        ("{{#include ../crate/src/gard.rs:guard}}", "there is no"),
        (
            "{{#rustdoc_include ../crate/src/guard.rs:guard}}",
            "not an include",
        ),
        (
            "{{#include ../crate/src/guard.rs:guard}}\nfn more() {}",
            "stands alone",
        ),
        ("{{#include ../STYLE.md:guard}}", "is not compiled"),
        ("fn main() {}", "is not compiled"),
    ] {
        let found = wrong(&listing(line, guard));
        assert_eq!(found.len(), 1, "{line}: {found:?}");
        assert!(found[0].starts_with("src/test.md:1: "), "{found:?}");
        // Without an anchor the last colon is another one, or none is there.
        let is_it = found[0].contains(complaint) || found[0].contains("without an anchor");
        assert!(is_it, "{line}: {found:?}");
    }
    let caption = wrong(&listing(
        "{{#include ../crate/src/guard.rs:guard}}",
        "guard.rs",
    ));
    assert!(caption[0].contains("caption"), "{caption:?}");
}

#[test]
fn an_anchor_that_is_empty_or_there_twice_is_no_anchor() {
    let once = "// ANCHOR: a\nfn a() {}\n// ANCHOR_END: a\n";
    assert_eq!(anchored(once, "a"), Some(vec!["fn a() {}"]));
    assert_eq!(anchored(&once.repeat(2), "a"), None);
    assert_eq!(anchored("// ANCHOR: a\nfn a() {}\n", "a"), None);
    assert_eq!(anchored(once, "b"), None);
    let empty = "// ANCHOR: a\n\n/// An item.\n// ANCHOR: b\n// ANCHOR_END: b\n// ANCHOR_END: a\n";
    assert_eq!(anchored(empty, "a"), Some(vec![]));
}

#[test]
fn a_file_that_no_module_names_is_not_compiled() {
    assert!(is_compiled(Path::new("crate/src/guard.rs")));
    assert!(is_compiled(Path::new(
        "listings/src/workflows/compilation.rs"
    )));
    assert!(is_compiled(Path::new("listings/wrangler.toml")));
    assert!(!is_compiled(Path::new("crate/src/left_over.rs")));
    assert!(!is_compiled(Path::new("src/wrangler.toml")));
}

#[test]
fn a_block_of_another_kind_names_what_is_there() {
    for good in [
        "```sh\nnpx wrangler secret put SENTRY_DSN\ncargo xtask test alarm\n```",
        "```sh\ncurl -X POST 'http://localhost:8787/drill/main/fetch?marker=a'\n```",
        "```text\n[worker-sentry] event delivered\nanything else\n```",
        "```toml\n[dependencies]\nworker = \"0.8\"\n```",
        "| Line | Meaning |\n| --- | --- |\n| `SENTRY_DSN is not text; nothing is reported` | x |",
    ] {
        assert_none(&wrong(good));
    }
    for bad in [
        "```sh\nnpx wrangler publish\n```",
        "```sh\ncargo xtask everything\n```",
        "```sh\ncurl -X POST 'http://localhost:8787/drill/main/fetsh?marker=a'\n```",
        "```sh\n$ cargo xtask test\n```",
        "```text\n[worker-sentry] event devoured\n```",
        "```toml\nworker = \"0.7\"\n```",
        "```toml\nworker = \"0.80\"\n```",
        "```toml\nworkers = \"0.8\"\n```",
        "```json\n{}\n```",
        "```\nwhat is this\n```",
        "~~~rust\nfn main() {}\n~~~",
        "Text:\n\n    indented();\n",
        "<pre>code</pre>",
        "{{#include ../crate/src/guard.rs:guard}}",
        "| Line | Meaning |\n| --- | --- |\n| `SENTRY_DSN is not taxed` | x |",
    ] {
        assert_eq!(wrong(bad).len(), 1, "{bad}: {:?}", wrong(bad));
    }
}

#[test]
fn every_page_is_in_the_summary() {
    let summary = read("src/SUMMARY.md");
    let listed = |page: &Page| summary.contains(&format!("]({})", page.path));
    let missing: Vec<String> = pages()
        .iter()
        .filter(|page| !super::is_apart(page) && !listed(page))
        .map(|page| page.at(1, "is not in SUMMARY.md"))
        .collect();
    assert_none(&missing);
}
