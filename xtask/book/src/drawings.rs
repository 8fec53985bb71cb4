//! The drawings of the book's diagrams.
//!
//! A diagram is written in Mermaid, in a page. When a diagram is new or has changed, `cargo xtask
//! book` has Chromium draw it, and keeps the drawing in `theme/drawings/`. The renderer `site` puts
//! the drawing into the page. So a reader loads no Mermaid and sees the drawing without JavaScript,
//! and plain `mdbook build` gives the same page.
//!
//! A sequence diagram that tells several stories is drawn several times: whole, and each story
//! alone, as wide as a phone.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use crate::chapter::Chapter;
use crate::files::{fingerprint, root};
use crate::rendered::escaped;

/// The folder of the drawings. Each file has the id of its figure as its name.
pub const FOLDER: &str = "theme/drawings";
/// The beginning of a figure with a diagram in a page.
const FIGURE: &str = "<figure class=\"diagram\" id=\"";

/// A diagram of a page.
#[derive(Debug, PartialEq, Eq)]
pub struct Diagram {
    /// The id of the figure.
    pub id: String,
    /// The place in the page's source: `src/page.md:12`.
    pub place: String,
    source: String,
}

/// What draws: the script that runs in Chromium, and the version of mdbook-mermaid, which brings
/// Mermaid.
pub type Pen<'p> = [&'p str; 2];

impl Diagram {
    /// The diagrams of a page. A diagram whose figure has no id is an error.
    fn of(page: &Chapter) -> Result<Vec<Self>> {
        let lines = Vec::from_iter(page.text.lines());
        let mut diagrams = Vec::new();
        for fence in page.fences() {
            if fence.language != "mermaid" {
                continue;
            }
            let place = page.at(fence.line, "");
            let place = place.trim_end_matches(": ").to_owned();
            let mut before = lines[..fence.line - 1].iter().rev();
            let figure = before.find(|line| !line.is_empty());
            let id = figure
                .and_then(|line| line.strip_prefix(FIGURE)?.split('"').next())
                .filter(|id| !id.is_empty());
            let Some(id) = id else {
                bail!("{place}: a diagram stands in `{FIGURE}…\">`, with an empty line between");
            };
            diagrams.push(Self {
                id: id.to_owned(),
                place,
                source: fence.body.join("\n"),
            });
        }
        Ok(diagrams)
    }

    /// The file of the drawing.
    pub fn file(&self) -> PathBuf {
        root().join(FOLDER).join(format!("{}.html", self.id))
    }

    /// The first line of the drawing's file. It changes with the diagram's source, with the script
    /// and with the version of Mermaid.
    fn mark(&self, [script, version]: Pen<'_>) -> String {
        let parts = [&self.source, script, version, WAY].map(str::as_bytes);
        format!("<!-- of {} -->\n", fingerprint(&parts))
    }

    /// Whether the kept drawing belongs to what the page says now.
    pub fn is_drawn(&self, pen: Pen<'_>) -> bool {
        fs::read_to_string(self.file()).is_ok_and(|drawn| drawn.starts_with(&self.mark(pen)))
    }

    /// The drawings to make: the name of each, its source, and whether it is for a phone.
    pub fn jobs(&self) -> Vec<(String, String, bool)> {
        let name = format!("drawing-{}", self.id);
        let mut jobs = vec![(name.clone(), self.source.clone(), false)];
        for (number, story) in stories(&self.source).iter().enumerate() {
            jobs.push((format!("{name}-{}", number + 1), story.source.clone(), true));
        }
        jobs
    }

    /// The text of the drawing's file.
    pub fn text_of(&self, drawn: &[String], pen: Pen<'_>) -> String {
        let stories = stories(&self.source);
        let [whole, alone @ ..] = drawn else {
            return String::new();
        };
        if stories.is_empty() {
            let mark = self.mark(pen);
            return format!("{mark}<div class=\"drawing\">{whole}</div>\n");
        }
        let mut file = format!(
            "{}<div class=\"drawing whole\">{whole}</div>\n<div class=\"ways\">\n",
            self.mark(pen)
        );
        for (number, (story, drawing)) in stories.iter().zip(alone).enumerate() {
            let way = WAY
                .replace("ID", &self.id)
                .replace("OPEN", if number == 0 { " open" } else { "" })
                .replace("TITLE", &escaped(&story.title))
                .replace("DRAWING", drawing);
            file.push_str(&way);
        }
        file.push_str("</div>\n");
        file
    }
}

/// One story on a phone. All stories of a diagram have one name: opening one closes the others,
/// with any key and without a script.
const WAY: &str = "<details class=\"way\" name=\"ID-ways\"OPEN>\n<summary>TITLE</summary>\n\
                   <div class=\"drawing\">DRAWING</div>\n</details>\n";

/// All diagrams of the book.
pub fn diagrams() -> Result<Vec<Diagram>> {
    let mut diagrams = Vec::new();
    for page in &Chapter::all() {
        diagrams.extend(Diagram::of(page)?);
    }
    let ids: BTreeSet<&str> = diagrams.iter().map(|it| it.id.as_str()).collect();
    if ids.len() < diagrams.len() {
        bail!("two diagrams have one id: {ids:?}");
    }
    Ok(diagrams)
}

/// A page with each diagram's drawing in the place of its source.
pub fn placed(page: &str) -> Result<String> {
    const SOURCE: &str = "<pre class=\"mermaid\">";
    let mut parts = page.split(SOURCE);
    let mut placed = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let id = placed
            .rsplit_once(FIGURE)
            .and_then(|(_, rest)| rest.split('"').next());
        let file = root()
            .join(FOLDER)
            .join(format!("{}.html", id.unwrap_or_default()));
        let drawing = fs::read_to_string(&file)
            .with_context(|| format!("no drawing in {}", file.display()))?;
        let (_, drawing) = drawing.split_once('\n').unwrap_or_default();
        let (_, after) = part
            .split_once("</pre>")
            .context("a diagram without an end")?;
        placed.push_str(drawing.trim_end());
        placed.push_str(after);
    }
    Ok(placed)
}

/// A story of a sequence diagram, as a diagram of its own.
#[derive(Debug, PartialEq, Eq)]
struct Story {
    title: String,
    source: String,
}

/// The title of a story, in the line that begins it.
fn title(line: &str) -> Option<&str> {
    let (_, title) = line.trim().strip_prefix("Note over ")?.split_once(": ")?;
    Some(title)
}

/// The stories of a sequence diagram that tells more than one. Each begins with a note over all
/// participants, and has only the participants that it needs.
fn stories(source: &str) -> Vec<Story> {
    let lines = Vec::from_iter(source.lines());
    let starts = Vec::from_iter((0..lines.len()).filter(|at| title(lines[*at]).is_some()));
    if lines.first() != Some(&"sequenceDiagram") || starts.len() < 2 {
        return Vec::new();
    }
    let head = &lines[1..starts[0]];
    let whole = |key: &str| {
        let mut said = head.iter().filter_map(|line| line.trim().strip_prefix(key));
        said.next().unwrap_or_default().trim().to_owned()
    };
    let ends = starts.iter().skip(1).copied().chain([lines.len()]);
    let mut stories = Vec::new();
    for (number, (start, end)) in starts.iter().zip(ends).enumerate() {
        let title = title(lines[*start]).unwrap_or_default().to_owned();
        let told = &lines[start + 1..end];
        let mut source = format!(
            "sequenceDiagram\n    accTitle: {title}\n    accDescr: Way {} of {} in this: {}\n",
            number + 1,
            starts.len(),
            whole("accDescr:")
        );
        for line in needed(head, &participants(told))
            .into_iter()
            .chain(told.iter().copied().filter(|line| !line.trim().is_empty()))
        {
            source.push_str(line);
            source.push('\n');
        }
        stories.push(Story { title, source });
    }
    stories
}

/// The senders and receivers of the messages.
fn participants<'s>(told: &[&'s str]) -> BTreeSet<&'s str> {
    let ends = told.iter().filter_map(|line| {
        let (from, rest) = line.trim().split_once("->>")?;
        let (to, _) = rest.split_once(':')?;
        Some([
            from.trim_end_matches('-'),
            to.trim_start_matches(['+', '-']),
        ])
    });
    ends.flatten().collect()
}

/// The lines of the head for the participants that a story needs, and the boxes around them.
fn needed<'s>(head: &[&'s str], wanted: &BTreeSet<&str>) -> Vec<&'s str> {
    let mut needed = Vec::new();
    let mut open = None;
    for line in head {
        let mut words = line.split_whitespace();
        match words.next() {
            Some("box") => open = Some((needed.len(), *line)),
            Some("end") => {
                if let Some((at, begin)) = open.take()
                    && needed.len() > at
                {
                    needed.insert(at, begin);
                    needed.push(*line);
                }
            }
            Some("participant" | "actor") if words.next().is_some_and(|it| wanted.contains(it)) => {
                needed.push(*line);
            }
            _ => {}
        }
    }
    needed
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: &str = "sequenceDiagram
    accTitle: All
    accDescr: Everything.
    participant R as Runtime
    box rgb(1, 2, 3) A box
        participant D as object
    end
    box rgb(1, 2, 3) Another
        participant W as run
    end

    Note over R,W: It fails, at last
    R->>D: alarm()
    alt bound
        D-->>R: error
    end

    Note over R,W: It runs
    R->>W: run()";

    #[test]
    fn each_story_is_a_diagram_of_its_own_with_the_participants_that_it_needs() {
        let stories = stories(TWO);
        assert_eq!(stories[0].title, "It fails, at last");
        assert_eq!(
            stories[0].source,
            "sequenceDiagram
    accTitle: It fails, at last
    accDescr: Way 1 of 2 in this: Everything.
    participant R as Runtime
    box rgb(1, 2, 3) A box
        participant D as object
    end
    R->>D: alarm()
    alt bound
        D-->>R: error
    end
"
        );
        assert!(stories[1].source.contains("Another") && !stories[1].source.contains("A box"));
        assert_eq!(stories.len(), 2);
    }

    #[test]
    fn a_diagram_of_one_story_or_of_states_is_drawn_whole_only() {
        let one = TWO.split("\n\n    Note over R,W: It runs").next().unwrap();
        for source in [one, "stateDiagram-v2\n    A --> B: Note over x: y"] {
            assert_eq!(stories(source), [], "{source}");
        }
    }

    #[test]
    fn a_drawing_is_of_one_source_only() {
        let of = |source: &str| Diagram {
            id: "a".to_owned(),
            place: String::new(),
            source: source.to_owned(),
        };
        let pen = ["script", "1.0"];
        assert_ne!(of("a").mark(pen), of("b").mark(pen));
        assert_ne!(of("a").mark(pen), of("a").mark(["script", "1.1"]));
        let text = of("a").text_of(&["<svg/>".to_owned()], pen);
        assert!(text.starts_with(&of("a").mark(pen)));
    }
}
