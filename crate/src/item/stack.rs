//! Turns a stack as V8 writes it into Sentry's list of frames.
//!
//! A frame of WebAssembly has an address, the byte offset of its call in the uploaded file.
//! The receiver computes function, file and line from the address if it has the build's companion
//! file. The crate makes no file name from the address: such a name would change with each build,
//! and receivers group by file names.

use super::json::Json;
use super::text::{bounded, find};
use crate::trace::ids::hex;

/// The most frames that are kept, counted from the innermost.
const MAX_FRAMES: usize = 50;
/// The longest name of a function, in bytes; a longer one is cut.
const MAX_NAME: usize = 256;
/// The longest place of a JavaScript frame, in bytes; a frame with a longer one is left out.
const MAX_PLACE: usize = 512;
/// The address counts from the start of the first debug image.
const OF_THE_FIRST_IMAGE: &str = "rel:0";
/// The number of digits of the hash that the compiler puts at the end of a name.
const HASH: usize = 16;
/// The start of each line of V8's stack that names a frame.
const FRAME: &str = "\n    at ";

/// Frames, the outermost first.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Stack {
    pub(crate) frames: Vec<Frame>,
}

/// One call on a stack.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Frame {
    pub(crate) function: Option<String>,
    pub(crate) filename: Option<String>,
    pub(crate) lineno: Option<u64>,
    pub(crate) colno: Option<u64>,
    /// Whether the function is the application's own, if that is known.
    pub(crate) in_app: Option<bool>,
    /// The byte offset in the module, for a frame of WebAssembly.
    pub(crate) instruction_addr: Option<Address>,
    /// The origin from which the address counts.
    pub(crate) addr_mode: Option<&'static str>,
}

/// A byte offset in the uploaded module. Sentry wants it as a hexadecimal text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Address(pub(crate) u64);

impl Stack {
    /// Writes the stack as the value of the key `stacktrace`.
    pub(crate) fn write(&self, json: &mut Json) {
        json.key("stacktrace");
        json.plain(r#"{"frames":["#);
        json.objects(&self.frames, Frame::write);
        json.plain("]}");
    }
}

impl Frame {
    fn write(&self, json: &mut Json) {
        json.maybe("function", self.function.as_deref());
        json.maybe("filename", self.filename.as_deref());
        for (key, number) in [("lineno", self.lineno), ("colno", self.colno)] {
            if let Some(number) = number {
                json.number(key, number);
            }
        }
        if let Some(in_app) = self.in_app {
            json.flag("in_app", in_app);
        }
        if let Some(address) = self.instruction_addr {
            json.key("instruction_addr");
            address.write(json);
        }
        json.maybe("addr_mode", self.addr_mode);
    }
}

impl Address {
    fn write(self, json: &mut Json) {
        json.plain("\"0x");
        let bytes = self.0.to_be_bytes();
        let mut text = [0; 32];
        let digits = hex(&bytes, &mut text).trim_start_matches('0');
        json.plain(if digits.is_empty() { "0" } else { digits });
        json.plain("\"");
    }
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

/// Reads the stack of a call that was made from Rust in order to take it.
///
/// JavaScript frames inside the innermost Rust frame belong to the call that takes the stack, and
/// JavaScript frames around the outermost Rust frame belong to the code that `worker-build` puts
/// around every Worker. Both are left out, because they are the same in every stack.
pub(crate) fn from_here(text: &str) -> Option<Stack> {
    let mut stack = parse(text)?;
    let is_rust = |frame: &Frame| frame.instruction_addr.is_some();
    let innermost = stack.frames.iter().rposition(is_rust)?;
    stack.frames.truncate(innermost + 1);
    let outermost = stack.frames.iter().position(is_rust)?;
    stack.frames.drain(..outermost);
    Some(stack)
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
    // The name of a generic function can have any length and any characters.
    let (function, place) = match text
        .strip_suffix(')')
        .and_then(|text| text.rsplit_once(" ("))
    {
        Some((function, place)) => (Some(name(function)), place),
        None => (None, text),
    };
    // A debugger writes `[object Object]` for a frame of WebAssembly.
    if place == "[object Object]" || place.len() > MAX_PLACE {
        return None;
    }
    if let Some(address) = address(place) {
        return Some(Frame {
            function: function.map(without_module),
            in_app: Some(true),
            instruction_addr: Some(address),
            addr_mode: Some(OF_THE_FIRST_IMAGE),
            ..Frame::default()
        });
    }
    let (filename, lineno, colno) = split_place(place);
    Some(Frame {
        function,
        filename: Some(filename.to_owned()),
        lineno,
        colno,
        ..Frame::default()
    })
}

/// V8 puts the module's name in front of a function's: `fixture.wasm.fixture::fetch`.
fn without_module(name: String) -> String {
    const END: &str = ".wasm.";
    match find(&name, END) {
        Some(at) if !name[..at].contains([':', '<']) => name[at + END.len()..].to_owned(),
        _ => name,
    }
}

/// The address in `wasm://wasm/001326ce:wasm-function[336]:0x27c6a`.
fn address(place: &str) -> Option<Address> {
    let (rest, offset) = place.rsplit_once(':')?;
    if !rest.ends_with(']') || find(rest, ":wasm-function[").is_none() {
        return None;
    }
    let offset = u64::from_str_radix(offset.strip_prefix("0x")?, 16).ok()?;
    Some(Address(offset))
}

/// A function's name, cut to its limit, and without the parts that change with each build: the
/// hash, and the number that LLVM adds to a private function.
fn name(function: &str) -> String {
    let function = match find(function, ".llvm.") {
        Some(at) => &function[..at],
        None => function,
    };
    let (stem, end) = match function.strip_suffix('E') {
        // A mangled name ends with the length of the hash, the hash and an `E`.
        Some(stem) if function.starts_with("_ZN") => match without_hash(stem) {
            Some(stem) => (stem.strip_suffix("17").unwrap_or(stem), "E"),
            None => (function, ""),
        },
        _ => match without_hash(function) {
            Some(stem) => (stem.trim_end_matches([':', '_']), ""),
            None => (function, ""),
        },
    };
    bounded(MAX_NAME, format_args!("{stem}{end}"))
}

/// What stands before `h0123456789abcdef`, or before `_0123456789abcdef` as wasm-bindgen
/// writes it.
fn without_hash(name: &str) -> Option<&str> {
    let at = name.len().checked_sub(HASH + 1)?;
    let (stem, hash) = (name.get(..at)?, name.get(at + 1..)?);
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let is_hash = matches!(name.as_bytes()[at], b'h' | b'_') && hash.bytes().all(is_digit);
    is_hash.then_some(stem)
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
                "at new C (wasm-function[1].js:3:14)",
                Some("new C"),
                "wasm-function[1].js",
                Some(3),
                Some(14),
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
    fn a_frame_of_webassembly_has_its_address_and_no_file() {
        let long = format!("f::<{}>", "(), ".repeat(500));
        let names = [
            (None, None),
            (Some("a::<()>::f (x)"), Some("a::<()>::f (x)")),
            (Some("a::f::h0123456789abcdef"), Some("a::f")),
            (Some("_ZN1a1f17h0123456789abcdefE"), Some("_ZN1a1fE")),
            (Some("a::half::hash"), Some("a::half::hash")),
            (Some("a.wasm.a::f::h0123456789abcdef"), Some("a::f")),
            (Some("<a.wasm.b as c>::f"), Some("<a.wasm.b as c>::f")),
            (
                Some(&*long),
                Some(&*bounded(MAX_NAME, format_args!("{long}"))),
            ),
        ];
        for (name, function) in names {
            let place = "wasm://wasm/a.wasm-0a1b:wasm-function[12]:0xff";
            let line = match name {
                Some(name) => format!("at {name} ({place})"),
                None => format!("at {place}"),
            };
            let expected = Frame {
                function: function.map(str::to_owned),
                in_app: Some(true),
                instruction_addr: Some(Address(255)),
                addr_mode: Some("rel:0"),
                ..Frame::default()
            };
            assert_eq!(
                super::parse(&line).expect("a frame").frames,
                [expected],
                "{line}"
            );
        }
        for (address, text) in [
            (0x27c6a, "0x27c6a"),
            (0, "0x0"),
            (u64::MAX, "0xffffffffffffffff"),
        ] {
            let json = crate::item::json::written(|json| Address(address).write(json));
            assert_eq!(json, text);
        }
    }

    #[test]
    fn names_that_the_build_makes_for_javascript_are_without_their_hash() {
        for (name, function) in [
            ("imports.__wbg_new_405e22f390576ce2", "imports.__wbg_new"),
            ("a_invoke__h405e22f390576ce2", "a_invoke"),
            ("deadbeefdeadbeefdead", "deadbeefdeadbeefdead"),
            ("ü_405e22f390576ce", "ü_405e22f390576ce"),
        ] {
            let frame = read(&format!("at {name} (index.js:1:2)"));
            assert_eq!(frame.function.as_deref(), Some(function));
        }
    }

    #[test]
    fn names_are_without_the_number_that_llvm_puts_behind_them() {
        for (name, function) in [
            ("app::run.llvm.1234567890", "app::run"),
            ("_ZN3app3run17h0123456789abcdefE.llvm.12", "_ZN3app3runE"),
            ("app::run::h0123456789abcdef.llvm.9D1C", "app::run"),
            ("app::llvm.run", "app::llvm.run"),
        ] {
            let frame = read(&format!("at {name} (wasm://wasm/0a:wasm-function[1]:0x2)"));
            assert_eq!(frame.function.as_deref(), Some(function));
        }
    }

    #[test]
    fn a_stack_that_is_taken_from_rust_is_without_what_is_around_rust() {
        let wasm = |offset| format!("\n at wasm://wasm/0a:wasm-function[1]:{offset}");
        let script = "\n at f (index.js:1:2)";
        let (inner, outer) = (wasm("0x1"), wasm("0x2"));
        let stack = from_here(&format!(
            "Error{script}{inner}{script}{outer}{script}{script}"
        ));
        let frames = stack.expect("a stack").frames;
        let addresses = frames.iter().map(|it| it.instruction_addr.map(|it| it.0));
        assert_eq!(addresses.collect::<Vec<_>>(), [Some(2), None, Some(1)]);
        assert_eq!(from_here(&format!("Error{script}")), None);
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
