//! Checks that the words below each diagram say what it says, and that the states are those of the
//! code.
//!
//! `tests/proof/diagram.rs` compares the messages of the sequence diagram with the real runtime.

use std::collections::BTreeSet;

use super::assert_none;
use crate::chapter::{Chapter, Fence, chapter};
use crate::files::read;

/// A key of a message, and the words below the drawing that say the same.
const SAID: [(&str, &str); 40] = [
    ("alarm()", "`alarm`"),
    ("the runtime's retry", "runs the alarm again"),
    ("websocket_error()", "`websocket_error`"),
    ("fetch()", "`fetch`"),
    ("run()", "`run`"),
    ("capture, awaited", "awaits a capture"),
    ("capture in background", "a capture in the background"),
    ("with_sentry_worker", "`with_sentry_worker`"),
    ("SENTRY_DSN", "`SENTRY_DSN`"),
    ("None", "`None`"),
    ("at once", "at once"),
    ("absent → loading", "from absent to loading"),
    ("loading → absent", "from loading back to absent"),
    ("the next capture loads", "next capture loads"),
    ("loading → ready", "from loading to ready"),
    (", once", ", once"),
    ("build the client", "client is built"),
    (
        "ready: the client is there",
        "isolate ready|isolate is ready",
    ),
    ("POST envelope", "envelope"),
    ("200", "`200`"),
    ("500", "`500`"),
    ("Some(event id)", "the event's id"),
    (
        "its own error, unchanged",
        "its own error, unchanged|its own error unchanged",
    ),
    ("before the answer", "before the answer"),
    ("sentry-trace:", "`sentry-trace`"),
    ("__sentry_trace:", "`__sentry_trace`"),
    ("T-client-", "the client's span"),
    ("T-main-", "main Worker's span"),
    ("T-object-", "the object's span"),
    ("T-queue-", "the span of `queue`"),
    ("queue()", "`queue`"),
    ("attempt 1", "first attempt"),
    ("attempt 2", "second attempt"),
    (", below run", "below the span of `run`"),
    ("panic", "panics"),
    ("the WebAssembly instance ends", "WebAssembly instance ends"),
    ("as hung", "cancels the request as hung"),
    ("as an error", "to the runtime as an error"),
    (
        "in a new WebAssembly instance",
        "in a new WebAssembly instance",
    ),
    (
        "in the same WebAssembly instance",
        "in the same WebAssembly instance",
    ),
];

#[test]
fn every_message_of_the_sequence_diagram_is_said_in_the_words_below_it() {
    let pages = Chapter::all();
    let wrong: Vec<String> = pages.iter().flat_map(unsaid).collect();
    assert_none(&wrong);
    let diagrams = pages.iter().flat_map(Chapter::fences);
    let is_sequence = |body: &[&str]| body.first() == Some(&"sequenceDiagram");
    assert!(diagrams.into_iter().any(|fence| is_sequence(&fence.body)));
}

/// The messages of a page's sequence diagram that its words leave out.
fn unsaid(page: &Chapter) -> Vec<String> {
    let mut wrong = Vec::new();
    for fence in page.fences() {
        if fence.body.first() != Some(&"sequenceDiagram") {
            continue;
        }
        let words = words(page, &fence);
        let mut story = String::new();
        for (number, line) in fence.body.iter().enumerate() {
            let number = fence.line + 1 + number;
            let line = line.trim();
            if let Some((_, title)) = line
                .split_once(" over ")
                .and_then(|it| it.1.split_once(": "))
            {
                match told(&words, title) {
                    Some(words) => story = words,
                    None => wrong.push(page.at(number, format!("no words on “{title}”"))),
                }
            } else if let Some((_, said)) =
                line.split_once(">>").and_then(|it| it.1.split_once(": "))
            {
                wrong.extend(unsaid_of(said, &story).map(|what| page.at(number, what)));
            }
        }
    }
    wrong
}

/// The words below a drawing.
fn words(page: &Chapter, fence: &Fence<'_>) -> String {
    let below = page.text.lines().skip(fence.line);
    let below = below.skip_while(|line| *line != "<details>");
    let words = below.take_while(|line| *line != "</details>");
    Vec::from_iter(words.map(str::trim)).join(" ")
}

/// The words of one story. They begin with its title in bold, as far as the title's first comma or
/// colon, and end where the next story begins.
fn told(words: &str, title: &str) -> Option<String> {
    let title = title.split([',', ':']).next()?;
    let (_, rest) = words.split_once(&format!("**{title}"))?;
    let (_, rest) = rest.split_once("**")?;
    Some(rest.split("**").next()?.to_owned())
}

fn unsaid_of(message: &str, story: &str) -> Option<String> {
    let keys = Vec::from_iter(SAID.iter().filter(|(key, _)| message.contains(key)));
    if keys.is_empty() {
        return Some(format!("“{message}” has no key in `SAID`"));
    }
    let missing = keys
        .into_iter()
        .find(|(_, words)| !words.split('|').any(|words| story.contains(words)))?;
    Some(format!("“{message}” is not said in words: {}", missing.1))
}

#[test]
fn the_state_diagram_has_the_transitions_that_the_code_makes() {
    let pages = Chapter::all();
    let drawn = pages.iter().find_map(drawn).expect("a state diagram");
    let made = made(&read("crate/src/steps/slot.rs"));
    assert_eq!(
        drawn, made,
        "src/architecture.md is left, crate/src/steps/slot.rs right"
    );
}

#[test]
fn every_transition_of_the_state_diagram_is_said_in_the_words_below_it() {
    let pages = Chapter::all();
    let page = pages.iter().find(|page| drawn(page).is_some());
    let page = page.expect("a page with a state diagram");
    let mut fences = page.fences().into_iter();
    let fence = fences.find(is_of_states).expect("the diagram");
    let words = words(page, &fence).to_lowercase();
    for [from, to, by] in drawn(page).expect("its transitions") {
        for said in [&from, &to, &by] {
            assert!(
                words.contains(said.as_str()),
                "no words on {from} → {to}: {said}"
            );
        }
    }
}

fn is_of_states(fence: &Fence<'_>) -> bool {
    fence.body.first() == Some(&"stateDiagram-v2")
}

/// A transition: the state before, the state after, and the reason.
type Transitions = BTreeSet<[String; 3]>;

/// The transitions of a page's state diagram, without the arrow from the start mark.
fn drawn(page: &Chapter) -> Option<Transitions> {
    let mut fences = page.fences().into_iter();
    let fence = fences.find(is_of_states)?;
    let lines = || fence.body.iter().map(|line| line.trim());
    let name = |alias: &str| {
        let end = format!("\" as {alias}");
        let mut names =
            lines().filter_map(|line| line.strip_prefix("state \"")?.strip_suffix(&end));
        let name = names.next()?.split('<').next()?;
        Some(name.to_owned())
    };
    let transitions = lines().filter_map(|line| {
        let (from, rest) = line.split_once(" --> ")?;
        let (to, by) = rest.split_once(": ")?;
        Some([name(from)?, name(to)?, by.to_owned()])
    });
    Some(transitions.collect())
}

/// The elements of the crate's `TRANSITIONS`. A test of the crate compares them with what an
/// isolate does.
fn made(isolate: &str) -> Transitions {
    let (_, list) = isolate.split_once("TRANSITIONS: [").expect("TRANSITIONS");
    let (_, list) = list.split_once("= [").expect("its elements");
    let (list, _) = list.split_once("];").expect("its end");
    let words = Vec::from_iter(list.split('"').skip(1).step_by(2).map(str::to_owned));
    let (transitions, rest) = words.as_chunks();
    assert!(rest.is_empty(), "three words each: {rest:?}");
    transitions.iter().cloned().collect()
}

#[test]
fn a_message_without_words_is_named_with_its_line() {
    let text = |message: &str, words: &str| {
        format!(
            "```mermaid\nsequenceDiagram\n    Note over R,S: It fails, at last\n    R->>D: {message}\n```\n\n<details>\n\n**It fails.** {words}\n\n**More.** `alarm`\n\n</details>\n"
        )
    };
    let found = |message: &str, words: &str| unsaid(&chapter(&text(message, words)));
    assert_none(&found("alarm()", "The runtime calls `alarm`."));
    assert_eq!(
        found("alarm()", "The runtime calls."),
        ["src/test.md:4: “alarm()” is not said in words: `alarm`"]
    );
    assert_eq!(
        found("new()", "The runtime calls `new`."),
        ["src/test.md:4: “new()” has no key in `SAID`"]
    );
}

#[test]
fn a_transition_is_read_from_a_drawing_and_from_the_code() {
    let drawing = "```mermaid\nstateDiagram-v2\n    state \"a<br/>x\" as A\n    state \"b\" as B\n    [*] --> A\n    A --> B: by c\n```\n";
    let code = "const TRANSITIONS: [(&str, &str, &str); 1] = [(\"a\", \"b\", \"by c\")];";
    assert_eq!(drawn(&chapter(drawing)), Some(made(code)));
}
