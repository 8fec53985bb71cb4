//! The twin of each page in Markdown, and `llms.txt`, for programs that read.
//!
//! mdBook hands over the chapters with their includes in place. What is HTML in them
//! becomes Markdown, so that a twin is complete and has nothing that only a browser
//! understands.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::html;

/// The list of all pages: <https://llmstxt.org/>
pub const LIST: &str = "llms.txt";

/// Writes them beside the pages, and returns the twins in the order of the book.
pub fn write(context: &Value, to: &Path) -> Result<Vec<PathBuf>> {
    let book = &context["config"]["book"];
    let says = |name: &str| book[name].as_str().unwrap_or_default();
    let mut list = format!("# {}\n\n> {}\n\n{HOW}", says("title"), says("description"));
    let mut twins = Vec::new();
    let items = context["book"]["items"].as_array();
    for item in items.context("the items of a book")? {
        add(item, to, &mut list, &mut twins)?;
    }
    html::write(&to.join(LIST), &list)?;
    Ok(twins)
}

const HOW: &str = "Each page is here in Markdown, with its listings in place. \
                   The page itself has the same address with `.html` for `.md`.\n";

/// The list with whole addresses: each page is below `base`.
pub fn absolute(list: &str, base: &str) -> String {
    list.replace("](", &format!("]({base}"))
}

/// Adds a chapter and those below it, or the title of a part.
fn add(item: &Value, to: &Path, list: &mut String, twins: &mut Vec<PathBuf>) -> Result<()> {
    if let Some(part) = item["PartTitle"].as_str() {
        list.push_str(&format!("\n## {part}\n\n"));
        return Ok(());
    }
    let chapter = &item["Chapter"];
    if let (Some(path), Some(content)) = (chapter["path"].as_str(), chapter["content"].as_str()) {
        let twin = twin(content);
        html::write(&to.join(path), &twin)?;
        if twins.is_empty() {
            list.push_str("\n## Start\n\n");
        }
        let name = chapter["name"].as_str().unwrap_or_default();
        list.push_str(&format!("- [{name}]({path}): {}\n", opening(&twin)));
        twins.push(PathBuf::from(path));
    }
    for item in chapter["sub_items"].as_array().into_iter().flatten() {
        add(item, to, list, twins)?;
    }
    Ok(())
}

/// The first paragraph below the title, in one line.
fn opening(twin: &str) -> String {
    let mut paragraphs = twin.split("\n\n").filter(|it| !it.trim().is_empty());
    let opening = paragraphs.nth(1).unwrap_or_default();
    opening.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A chapter without HTML.
fn twin(chapter: &str) -> String {
    let mut lines = chapter.lines();
    let mut twin: Vec<String> = Vec::new();
    let mut fence = None;
    while let Some(line) = lines.next() {
        let mut marks = ["```", "~~~"].into_iter();
        let mark = marks.find(|it| line.trim_start().starts_with(it));
        match (fence, mark) {
            (Some(open), Some(mark)) if mark == open && line.trim() == mark => fence = None,
            (Some(_), _) => {}
            (None, Some(mark)) => fence = Some(mark),
            (None, None) => {
                let text = plain(line, &mut lines).unwrap_or_default();
                for line in text.split('\n') {
                    // What is taken out leaves empty lines.
                    let is_second = twin.last().is_some_and(String::is_empty);
                    if !(line.is_empty() && is_second) {
                        twin.push(line.to_owned());
                    }
                }
                continue;
            }
        }
        twin.push(line.to_owned());
    }
    format!("{}\n", twin.join("\n").trim())
}

/// A line outside of a block of code, with those that end what it begins.
fn plain<'c>(line: &'c str, rest: &mut impl Iterator<Item = &'c str>) -> Option<String> {
    let mut until = |end: &str| {
        let mut text = line.to_owned();
        while !text.contains(end) {
            match rest.next() {
                Some(line) => text.extend([" ", line]),
                None => break,
            }
        }
        text
    };
    let is = |tags: &[&str]| tags.iter().any(|tag| line.starts_with(tag));
    if is(&["<svg"]) {
        until("</svg>");
        None
    } else if is(&["<!--"]) {
        until("-->");
        None
    } else if is(&["<figcaption"]) {
        let caption = until("</figcaption>");
        let text = without_tags(&caption.replace("<code>", "`").replace("</code>", "`"));
        Some(if caption.contains("<figcaption><code>") {
            format!("File: {text}\n")
        } else {
            format!("{text}\n")
        })
    } else if is(&["<summary"]) {
        let summary = until("</summary>");
        Some(format!("\n**{}**\n", without_tags(&summary)))
    } else if is(&[
        "<figure",
        "</figure",
        "<details",
        "</details",
        "<div",
        "</div",
    ]) {
        None
    } else if line.starts_with('#') {
        let heading = line.split_once(" {#").map_or(line, |(heading, _)| heading);
        Some(heading.to_owned())
    } else {
        Some(line.to_owned())
    }
}

fn without_tags(html: &str) -> String {
    let mut text = String::new();
    let mut is_inside = false;
    for character in html.chars() {
        match character {
            '<' => is_inside = true,
            '>' if is_inside => is_inside = false,
            _ if !is_inside => text.push(character),
            _ => {}
        }
    }
    html::unescaped(text.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHAPTER: &str = "# A page {#old}

After this page
you can read.

<!-- a note -->
<figure class=\"listing\">

```rust
// <figure>


fn main() {}
```

<figcaption><code>src/a.rs</code></figcaption>
</figure>

<figure class=\"plot\">
<svg role=\"img\">
<title>x</title>
</svg>
<figcaption>A plot: <span class=\"a\">o</span> is
this.</figcaption>
</figure>

<details>
<summary>The same in words</summary>

Words.

</details>
";

    #[test]
    fn a_twin_has_the_listings_and_the_words_of_its_page_and_no_html() {
        assert_eq!(
            twin(CHAPTER),
            "# A page

After this page
you can read.

```rust
// <figure>


fn main() {}
```

File: `src/a.rs`

A plot: o is this.

**The same in words**

Words.
"
        );
    }

    #[test]
    fn a_published_list_has_whole_addresses() {
        assert_eq!(
            absolute("- [A](b/c.md): d\n", "https://example.com/x/"),
            "- [A](https://example.com/x/b/c.md): d\n"
        );
    }

    #[test]
    fn the_list_has_every_chapter_below_its_part_with_its_opening() {
        let chapter = |name: &str, path: &str, below: Value| {
            serde_json::json!({ "Chapter": {
                "name": name, "path": path, "content": CHAPTER, "sub_items": below,
            } })
        };
        let items = serde_json::json!([
            chapter("One", "one.md", serde_json::json!([])),
            { "PartTitle": "A part" },
            chapter("Two", "two.md", serde_json::json!([chapter("Three", "below/three.md", serde_json::json!([]))])),
        ]);
        let context = serde_json::json!({
            "config": { "book": { "title": "T", "description": "D" } },
            "book": { "items": items },
        });
        let folder = crate::root()
            .join("target")
            .join(format!("twins-{}", std::process::id()));
        let twins = write(&context, &folder).unwrap();
        let list = std::fs::read_to_string(folder.join(LIST)).unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
        assert_eq!(
            twins,
            ["one.md", "two.md", "below/three.md"].map(PathBuf::from)
        );
        let opening = "After this page you can read.";
        assert_eq!(
            list,
            format!(
                "# T\n\n> D\n\n{HOW}\n## Start\n\n- [One](one.md): {opening}\n\n## A part\n\n\
                 - [Two](two.md): {opening}\n- [Three](below/three.md): {opening}\n"
            )
        );
    }
}
