//! Describes a value that JavaScript threw by its name, its message and its stack.

use std::error::Error;

use super::stack;
use super::text::{MAX_VALUE, bounded, find};
use crate::platform::{Kind, Seen};

/// The name for a thrown value that has none.
const UNNAMED: &str = "Error";
/// How many bytes of a `Debug` text are read.
const MAX_DEBUG: usize = 8_192;
/// The largest position in a `Debug` text, in bytes, at which a JavaScript value begins if the
/// error only wraps it.
const NEAR: usize = 192;
/// The text between the name of a Rust function and its position.
const WASM: &str = " (wasm://";
/// How the `Debug` of `JsValue` begins.
const VALUE: &str = "JsValue(";

/// The description of a thrown value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Described {
    pub(crate) name: String,
    pub(crate) message: String,
    /// The stack as V8 wrote it, one line for each frame.
    pub(crate) stack: Option<String>,
}

/// Says what was thrown, also where it has no name or no message.
pub(crate) fn describe(seen: Seen) -> Described {
    let what = match seen.kind {
        Kind::Text | Kind::Primitive => seen.text.unwrap_or_default(),
        Kind::Null => "null".to_owned(),
        Kind::Undefined => "undefined".to_owned(),
        Kind::Symbol => "a symbol".to_owned(),
        Kind::BigInt => "a bigint".to_owned(),
        Kind::Function => "a function".to_owned(),
        Kind::Object => match seen.message {
            Some(message) => message,
            None => "an object that is not an Error".to_owned(),
        },
    };
    // Errors of some bindings repeat their stack at the end of their message.
    let (message, in_message) = stack::split(&what);
    Described {
        name: match seen.name {
            Some(name) if !name.is_empty() => bounded(128, format_args!("{name}")),
            _ => UNNAMED.to_owned(),
        },
        message: bounded(MAX_VALUE, format_args!("{message}")),
        stack: seen.stack.or_else(|| in_message.map(str::to_owned)),
    }
}

/// Reads the value that JavaScript threw from the `Debug` text of an error that only wraps it.
///
/// With `transparent` of `thiserror`, `source` skips the wrapped error, so a `worker::Error`
/// inside cannot be reached as a value. The `Debug` text still has the thrown value with name,
/// message and stack. An error counts as a wrapper if its `Display` has no text besides that
/// of the thrown value.
pub(crate) fn in_debug(error: &(dyn Error + 'static)) -> Option<Described> {
    let start = bounded(NEAR, format_args!("{error:?}"));
    let at = find(&start, VALUE)? + VALUE.len();
    let debug = bounded(MAX_DEBUG, format_args!("{error:?}"));
    let (text, frames) = stack::split(debug.get(at..)?);
    let frames = frames?;
    // `JsValue` writes `name: message`, and then the stack, which begins with the same text.
    let first = text.get(..text.len() / 2)?;
    let first = match text.get(first.len()..)?.strip_prefix('\n') {
        Some(second) if second == first => first,
        _ => text,
    };
    let (name, message) = first.split_once(": ")?;
    let display = bounded(MAX_VALUE, format_args!("{error}"));
    let is_wrapper = display.ends_with(message) && display.starts_with(name)
        || stack::split(&display).1.is_some();
    is_wrapper.then(|| Described {
        name: bounded(128, format_args!("{name}")),
        message: bounded(MAX_VALUE, format_args!("{message}")),
        stack: Some(clean(frames)),
    })
}

/// Only the frames. The rest of the `Debug` text follows directly after the last frame.
fn clean(frames: &str) -> String {
    let mut stack = String::new();
    for line in frames.lines().skip(1) {
        let Some(frame) = line.strip_prefix("    at ") else {
            break;
        };
        stack.push_str("\n    at ");
        stack.push_str(&frame[..end(frame)]);
    }
    stack
}

/// The index at which a frame ends if more text follows it.
fn end(frame: &str) -> usize {
    // The name of a Rust function can have parentheses, as in `f<()>`. Its position has none.
    let place = find(frame, WASM).unwrap_or(0);
    let close = frame[place..].find(')').map(|at| place + at);
    match (frame[place..].find('('), close) {
        (Some(open), Some(close)) if place + open < close => close + 1,
        (_, Some(close)) => close,
        (_, None) => frame.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt;

    /// An error with the two texts that `transparent` produces.
    struct Hidden {
        debug: &'static str,
        display: &'static str,
    }
    impl fmt::Debug for Hidden {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.debug)
        }
    }
    impl fmt::Display for Hidden {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.display)
        }
    }
    impl Error for Hidden {}

    const DEBUG: &str = "Worker(UnknownJsError { original: JsValue(TypeError: no list\nTypeError: no list\n    at f (index.js:3:14)\n    at index.js:9:1), name: Some(\"TypeError\"), message: \"no list\", code: None, cause: None })";

    fn seen(kind: Kind) -> Seen {
        Seen {
            kind,
            ..Seen::default()
        }
    }

    fn text(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn an_error_has_its_own_name_message_and_stack() {
        let described = describe(Seen {
            name: text("TypeError"),
            message: text("no list"),
            stack: text("\n    at f (index.js:3:14)"),
            ..seen(Kind::Object)
        });
        assert_eq!(described.name, "TypeError");
        assert_eq!(described.message, "no list");
        assert_eq!(described.stack, text("\n    at f (index.js:3:14)"));
    }

    #[test]
    fn a_stack_inside_a_message_is_taken_out_of_it() {
        let described = describe(Seen {
            message: text("D1_ERROR: no such table: x\n    at f (index.js:3:14)"),
            ..seen(Kind::Object)
        });
        assert_eq!(described.message, "D1_ERROR: no such table: x");
        assert_eq!(described.stack, text("\n    at f (index.js:3:14)"));
    }

    #[test]
    fn what_is_thrown_without_a_message_is_said_in_words() {
        let table = [
            (Kind::Null, None, "null"),
            (Kind::Undefined, None, "undefined"),
            (Kind::Text, text("just text"), "just text"),
            (Kind::Primitive, text("7"), "7"),
            (Kind::Symbol, None, "a symbol"),
            (Kind::BigInt, None, "a bigint"),
            (Kind::Function, None, "a function"),
            (Kind::Object, None, "an object that is not an Error"),
        ];
        for (kind, text, message) in table {
            let described = describe(Seen { text, ..seen(kind) });
            assert_eq!((&*described.name, &*described.message), ("Error", message));
        }
    }

    #[test]
    fn a_wrapper_around_a_thrown_value_is_read_through() {
        for display in ["TypeError: no list", "TypeError [E7]: no list"] {
            let error = Hidden {
                debug: DEBUG,
                display,
            };
            let described = in_debug(&error).expect("a wrapper");
            assert_eq!(described.name, "TypeError");
            assert_eq!(described.message, "no list");
            let stack = "\n    at f (index.js:3:14)\n    at index.js:9:1";
            assert_eq!(described.stack, text(stack));
        }
    }

    #[test]
    fn a_rust_functions_parentheses_do_not_end_its_frame() {
        let error = Hidden {
            debug: "Worker(JsValue(E: m\nE: m\n    at a::f<()> (wasm://wasm/0a:wasm-function[1]:0xff)\n    at wasm://wasm/0a:wasm-function[2]:0xfe), code: (1))",
            display: "E: m",
        };
        let described = in_debug(&error).expect("a wrapper");
        let stack = "\n    at a::f<()> (wasm://wasm/0a:wasm-function[1]:0xff)\n    at wasm://wasm/0a:wasm-function[2]:0xfe";
        assert_eq!(described.stack, text(stack));
    }

    #[test]
    fn an_error_with_a_message_of_its_own_hides_nothing() {
        let error = Hidden {
            debug: DEBUG,
            display: "the list could not be read",
        };
        assert_eq!(in_debug(&error), None);
        let far = Hidden {
            debug: "Far { a: \"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\", b: JsValue(E: m\nE: m\n    at f) }",
            display: "E: m",
        };
        assert_eq!(in_debug(&far), None);
    }

    #[test]
    fn a_debug_text_with_a_stack_in_the_message_is_no_message() {
        let error = Hidden {
            debug: "D1(D1Error { inner: JsValue(Error: D1_ERROR: no such table\nError: D1_ERROR: no such table\n    at f (i.js:1:2)) })",
            display: "D1: D1Error { inner: JsValue(Error: D1_ERROR: no such table\nError: D1_ERROR: no such table\n    at f (i.js:1:2)) }",
        };
        let described = in_debug(&error).expect("a wrapper");
        assert_eq!(described.name, "Error");
        assert_eq!(described.message, "D1_ERROR: no such table");
        assert_eq!(described.stack, text("\n    at f (i.js:1:2)"));
    }
}
