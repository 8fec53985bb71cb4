//! JavaScript's stack as text becomes Sentry's stack as frames.

use serde::Serialize;

use super::text::find;

/// Frames beyond this one, the innermost counted first, are left out.
const MAX_FRAMES: usize = 50;
/// A line of a stack that is longer than twice this is left out.
const MAX_FIELD: usize = 256;
/// How a line of V8's stack begins that names a frame.
const FRAME: &str = "\n    at ";

/// Frames, the outermost first.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Stack {
    pub(crate) frames: Vec<Frame>,
}

/// One call on a stack.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Frame {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) function: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) filename: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) lineno: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) colno: Option<u64>,
}

/// Reads V8's `Error.stack`. Lines that name no frame are skipped, among them the first,
/// which repeats the message.
/// <https://v8.dev/docs/stack-trace-api>
pub(crate) fn parse(stack: &str) -> Option<Stack> {
    let mut frames: Vec<Frame> = stack
        .lines()
        .filter_map(|line| frame(line.trim().strip_prefix("at ")?))
        .take(MAX_FRAMES)
        .collect();
    if frames.is_empty() {
        return None;
    }
    // V8 starts with the innermost frame, Sentry ends with it.
    frames.reverse();
    Some(Stack { frames })
}

/// Divides a text in which a message is followed by V8's lines of a stack.
pub(crate) fn split(text: &str) -> (&str, Option<&str>) {
    match find(text, FRAME) {
        Some(at) => (&text[..at], Some(&text[at..])),
        None => (text, None),
    }
}

/// `function (place)` or `place` alone, either after `async`.
fn frame(text: &str) -> Option<Frame> {
    let text = text.strip_prefix("async ").unwrap_or(text).trim();
    if text.len() > 2 * MAX_FIELD {
        return None;
    }
    let (function, place) = match text
        .strip_suffix(')')
        .and_then(|text| text.rsplit_once(" ("))
    {
        Some((function, place)) => (Some(function), place),
        None => (None, text),
    };
    // A debugger's own formatting writes this for a frame of WebAssembly.
    if place == "[object Object]" {
        return None;
    }
    let (filename, lineno, colno) = split_place(place);
    Some(Frame {
        function: function.map(str::to_owned),
        filename: Some(filename.to_owned()),
        lineno,
        colno,
    })
}

/// `file:line:column`. A text without numbers at its end is the file.
fn split_place(place: &str) -> (&str, Option<u64>, Option<u64>) {
    let Some((rest, column)) = split_number(place) else {
        return (place, None, None);
    };
    match split_number(rest) {
        Some((file, line)) => (file, Some(line), Some(column)),
        None => (rest, Some(column), None),
    }
}

fn split_number(text: &str) -> Option<(&str, u64)> {
    let (rest, number) = text.rsplit_once(':')?;
    Some((rest, number.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(line: &str) -> Frame {
        let stack = parse(&format!("Error: x\n    {line}")).expect("a frame");
        stack.frames.into_iter().next().expect("one frame")
    }

    #[test]
    fn every_form_of_a_frame_is_read() {
        type Row = (
            &'static str,
            Option<&'static str>,
            &'static str,
            Option<u64>,
            Option<u64>,
        );
        let table: [Row; 6] = [
            (
                "at f (index.js:3:14)",
                Some("f"),
                "index.js",
                Some(3),
                Some(14),
            ),
            (
                "at async C.f (a b.js:3:14)",
                Some("C.f"),
                "a b.js",
                Some(3),
                Some(14),
            ),
            ("at index.js:3:14", None, "index.js", Some(3), Some(14)),
            ("at f (native)", Some("f"), "native", None, None),
            ("at f (index.js:3)", Some("f"), "index.js", Some(3), None),
            (
                "at g (wasm://wasm/0a1b:wasm-function[12]:0xff)",
                Some("g"),
                "wasm://wasm/0a1b:wasm-function[12]:0xff",
                None,
                None,
            ),
        ];
        for (line, function, filename, lineno, colno) in table {
            let frame = read(line);
            assert_eq!(frame.function.as_deref(), function, "{line}");
            assert_eq!(frame.filename.as_deref(), Some(filename), "{line}");
            assert_eq!((frame.lineno, frame.colno), (lineno, colno), "{line}");
        }
    }

    #[test]
    fn the_innermost_frame_comes_last_and_the_message_is_left_out() {
        let stack = parse("Error: at home\n at inner (a.js:1:1)\n at outer (a.js:2:2)").unwrap();
        let functions: Vec<_> = stack
            .frames
            .iter()
            .map(|frame| frame.function.as_deref().unwrap_or_default())
            .collect();
        assert_eq!(functions, ["outer", "inner"]);
    }

    #[test]
    fn a_text_without_frames_has_no_stack() {
        for text in ["", "Error: x", "at", "\u{0}", "\n at [object Object]"] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_message_is_divided_from_the_stack_that_follows_it() {
        let (message, stack) = split("D1_ERROR: no such table\n    at f (a.js:1:2)\n    at g");
        assert_eq!(message, "D1_ERROR: no such table");
        assert_eq!(stack, Some("\n    at f (a.js:1:2)\n    at g"));
        assert_eq!(split("at home\nat work"), ("at home\nat work", None));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic_and_no_stack_is_too_long(text in "(at |[(): \n]|\\PC){0,400}") {
            if let Some(stack) = parse(&text) {
                prop_assert!((1..=MAX_FRAMES).contains(&stack.frames.len()));
            }
        }
    }
}
