//! The book's sequence diagram, as the stories that it tells.

use std::iter::Peekable;

use book_compiler::Chapter;

/// One way through one of the diagram's stories.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Path {
    /// The story's title, then the chosen branch of each alternative.
    pub name: Vec<String>,
    /// Each message in Mermaid's syntax: `R->>D: alarm()`.
    pub messages: Vec<String>,
}

/// Every path through the sequence diagram of a page such as `architecture.md`.
///
/// # Panics
///
/// If there is no such page, or no such diagram on it.
pub fn paths(page: &str) -> Vec<Path> {
    let chapter = Chapter::named(page);
    let mut fences = chapter.fences().into_iter();
    let source = fences.find(|fence| fence.body.first() == Some(&"sequenceDiagram"));
    let source = source.unwrap_or_else(|| panic!("{page} has no sequence diagram"));
    parse(&source.body[1..].join("\n"))
}

fn parse(source: &str) -> Vec<Path> {
    let mut lines = source.lines().map(str::trim).peekable();
    let mut paths = Vec::new();
    while let Some(line) = lines.next() {
        if let Some(title) = note(line) {
            let (ways, _) = block(&mut lines);
            paths.extend(ways.into_iter().map(|way| under(title, way)));
        }
    }
    paths
}

/// The paths through the lines up to the end of an alternative or the next story, and the line that
/// ended them.
fn block<'s>(lines: &mut Peekable<impl Iterator<Item = &'s str>>) -> (Vec<Path>, &'s str) {
    let mut ways = vec![Path::default()];
    while let Some(line) = lines.next_if(|line| note(line).is_none()) {
        if let Some(choice) = line.strip_prefix("alt ") {
            let chosen = alternatives(choice, lines);
            let both = |way: &Path| Vec::from_iter(chosen.iter().map(|next| after(way, next)));
            ways = ways.iter().flat_map(both).collect();
        } else if line == "end" || line.starts_with("else ") {
            return (ways, line);
        } else if !line.is_empty() {
            ways.iter_mut()
                .for_each(|way| way.messages.push(line.to_owned()));
        }
    }
    (ways, "")
}

fn alternatives<'s>(
    first: &'s str,
    lines: &mut Peekable<impl Iterator<Item = &'s str>>,
) -> Vec<Path> {
    let mut choice = first;
    let mut chosen = Vec::new();
    loop {
        let (ways, ended_by) = block(lines);
        chosen.extend(ways.into_iter().map(|way| under(choice, way)));
        match ended_by.strip_prefix("else ") {
            Some(next) => choice = next,
            None => return chosen,
        }
    }
}

fn note(line: &str) -> Option<&str> {
    Some(line.strip_prefix("Note over ")?.split_once(": ")?.1)
}

fn under(name: &str, mut way: Path) -> Path {
    way.name.insert(0, name.to_owned());
    way
}

fn after(way: &Path, next: &Path) -> Path {
    Path {
        name: [way.name.clone(), next.name.clone()].concat(),
        messages: [way.messages.clone(), next.messages.clone()].concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_alternative_is_a_way_of_its_own() {
        let source = "participant R\nbox x\nend\n\nNote over R,S: one\nA->>B: a\nalt p\n    B->>A: b\nelse q\n    alt r\n        B->>A: c\n    else s\n        B->>A: d\n    end\nend\nA->>B: e\n\nNote over R,S: two\nA->>B: f\n";
        let ways = parse(source);
        let shown: Vec<String> = ways
            .iter()
            .map(|way| format!("{}: {}", way.name.join(", "), way.messages.join(" ")))
            .collect();
        assert_eq!(
            shown,
            [
                "one, p: A->>B: a B->>A: b A->>B: e",
                "one, q, r: A->>B: a B->>A: c A->>B: e",
                "one, q, s: A->>B: a B->>A: d A->>B: e",
                "two: A->>B: f",
            ]
        );
    }
}
