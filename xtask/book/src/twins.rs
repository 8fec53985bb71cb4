//! The twin of each page in Markdown, and `llms.txt`, for programs that read the book.
//!
//! mdBook provides the chapters with their includes replaced. HTML in a chapter becomes Markdown,
//! so that a twin is complete and contains nothing that only a browser understands.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::Result;
use mdbook_renderer::RenderContext;
use mdbook_renderer::book::BookItem;

use crate::chapter::Chapter;
use crate::files::{link, write};
use crate::publish::LIST_FOR_PROGRAMS as LIST;
use crate::rendered::unescaped;

/// Writes the twins beside the pages, and returns their paths in the order of the book.
pub fn write_all(context: &RenderContext, to: &Path) -> Result<Vec<PathBuf>> {
    let book = &context.config.book;
    let says = |text: &Option<String>| text.clone().unwrap_or_default();
    let (title, about) = (says(&book.title), says(&book.description));
    let mut list = format!("# {title}\n\n> {about}\n\n{HOW}");
    let mut twins = Vec::new();
    for item in context.book.iter() {
        match item {
            BookItem::PartTitle(part) => list.push_str(&format!("\n## {part}\n\n")),
            BookItem::Chapter(chapter) => {
                let Some(path) = &chapter.path else { continue };
                let twin = twin(&chapter.content);
                write(&to.join(path), &twin)?;
                if twins.is_empty() {
                    list.push_str("\n## Start\n\n");
                }
                let (name, opening) = (&chapter.name, opening(&twin));
                list.push_str(&format!("- [{name}]({}): {opening}\n", link(path)));
                twins.push(path.clone());
            }
            BookItem::Separator => {}
        }
    }
    write(&to.join(LIST), &list)?;
    Ok(twins)
}

const HOW: &str = "Each page is here in Markdown, with its listings in place. \
                   The page itself has the same address with `.html` for `.md`.\n";

/// The first paragraph below the title, in one line.
fn opening(twin: &str) -> String {
    let mut paragraphs = twin.split("\n\n").filter(|it| !it.trim().is_empty());
    let opening = paragraphs.nth(1).unwrap_or_default();
    opening.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A chapter without HTML.
fn twin(content: &str) -> String {
    let chapter = Chapter {
        path: String::new(),
        text: content.to_owned(),
    };
    let prose: BTreeSet<usize> = chapter.prose().iter().map(|it| it.0).collect();
    let mut lines = content.lines().enumerate();
    let mut twin: Vec<String> = Vec::new();
    while let Some((index, line)) = lines.next() {
        if !prose.contains(&(index + 1)) {
            twin.push(line.to_owned());
            continue;
        }
        let text = plain(line, &mut lines.by_ref().map(|it| it.1)).unwrap_or_default();
        for line in text.split('\n') {
            // Removed HTML leaves empty lines: two of them become one.
            let is_second = twin.last().is_some_and(String::is_empty);
            if !(line.is_empty() && is_second) {
                twin.push(line.to_owned());
            }
        }
    }
    format!("{}\n", twin.join("\n").trim())
}

/// A line outside of a block of code, as Markdown. `rest` gives up the lines that belong to the
/// element which this line begins.
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
    unescaped(text.trim())
}

#[cfg(test)]
mod tests {
    use super::*;
    use mdbook_renderer::book::Book;
    use mdbook_renderer::config::Config;

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
    fn the_list_has_every_chapter_below_its_part_with_its_opening() {
        let chapter = |name: &str, path: &str| {
            mdbook_renderer::book::Chapter::new(name, CHAPTER.to_owned(), path, Vec::new())
        };
        let mut two = chapter("Two", "two.md");
        two.sub_items = vec![chapter("Three", "below/three.md").into()];
        let items = vec![
            chapter("One", "one.md").into(),
            BookItem::PartTitle("A part".to_owned()),
            two.into(),
        ];
        let folder = std::env::temp_dir().join(format!("book-twins-{}", std::process::id()));
        let book = Book::new_with_items(items);
        let mut context = RenderContext::new("", book, Config::default(), &folder);
        context.config.book.title = Some("T".to_owned());
        context.config.book.description = Some("D".to_owned());
        let twins = write_all(&context, &folder).unwrap();
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
