//! Resolves the offsets in an event or in a stack as text to functions, files and lines.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use crate::Failure;
use crate::module::{BuildId, Module};
use crate::paths::Paths;
use crate::symbols::{Location, Lookup, Symbols};

/// Resolves stacks by one companion, for people and for receivers.
pub struct Resolver<'s> {
    module: &'s Module<'s>,
    lookup: Lookup<'s>,
    id: BuildId,
    paths: &'s Paths,
    sources: Sources,
}

impl<'s> Resolver<'s> {
    /// Makes a resolver. Sources that are not at the path of the building machine are searched
    /// in `folder`.
    ///
    /// Fails if the companion has no id.
    pub fn new(
        module: &'s Module<'s>,
        symbols: &'s Symbols,
        paths: &'s Paths,
        folder: &Path,
    ) -> Result<Self, Failure> {
        let id = symbols.id().ok_or_else(|| {
            Failure::new(
                "the companion has no build_id",
                "name the file that `worker-sentry-symbols build` wrote with --companion",
            )
        })?;
        Ok(Resolver {
            module,
            lookup: symbols.lookup(),
            id,
            paths,
            sources: Sources {
                folder: folder.to_owned(),
                files: HashMap::new(),
            },
        })
    }

    /// The functions at an offset of the upload, the innermost first.
    ///
    /// Empty if the offset is outside of all functions or between two instructions: such an
    /// offset is of another build, or was changed. The start of a function's body counts as its
    /// first instruction, because V8 reports that offset for a stack overflow.
    pub fn at(&self, offset: usize) -> Vec<Location> {
        let function = self.module.function_at(offset);
        let Some(function) = function.filter(|it| it.is_named_at(offset)) else {
            return Vec::new();
        };
        let found = self.lookup.at(offset);
        match function.instructions.first() {
            Some(first) if found.is_empty() && *first > offset => self.lookup.at(*first),
            _ => found,
        }
    }

    /// Resolves the frames of a Sentry event, in place. Returns how many were resolved.
    ///
    /// A frame with inlined functions becomes several frames. Frames of JavaScript are not
    /// changed.
    ///
    /// Fails for an event of another build, an event without a build, and an event with an
    /// offset that is not an instruction of this build.
    pub fn event(&mut self, event: &mut Value) -> Result<usize, Failure> {
        let image = self.image(event)?;
        let mut resolved = 0;
        for list in ["exception", "threads"] {
            // Sentry also accepts a plain list of values.
            let values = match event.get_mut(list) {
                Some(Value::Array(values)) => Some(values),
                Some(Value::Object(object)) => match object.get_mut("values") {
                    Some(Value::Array(values)) => Some(values),
                    _ => None,
                },
                _ => None,
            };
            for value in values.into_iter().flatten() {
                resolved += self.stacktrace(value, image)?;
            }
        }
        resolved += self.stacktrace(event, image)?;
        Ok(resolved)
    }

    /// The index of this build's image.
    fn image(&self, event: &Value) -> Result<usize, Failure> {
        let images = event
            .pointer("/debug_meta/images")
            .and_then(Value::as_array);
        let images = images.map(Vec::as_slice).unwrap_or_default();
        let id_of = |image: &Value| {
            let is_wasm = image.get("type").and_then(Value::as_str) == Some("wasm");
            let id = image.get("debug_id").and_then(Value::as_str);
            if is_wasm {
                id.and_then(BuildId::read)
            } else {
                None
            }
        };
        if let Some(index) = images.iter().position(|it| id_of(it) == Some(self.id)) {
            return Ok(index);
        }
        let others: Vec<String> = images
            .iter()
            .filter_map(id_of)
            .map(|it| it.to_string())
            .collect();
        if others.is_empty() {
            return Err(Failure::new(
                "the event names no build: it has no debug image of WebAssembly",
                "deploy a Worker that `worker-sentry-symbols build` has split, and resolve its \
                 next event",
            ));
        }
        Err(Failure::new(
            format!(
                "the event is of build {}, the companion of {}",
                others.join(", "),
                self.id
            ),
            "name the companion of the event's build with --companion; a folder will do, of \
             which the right one is taken",
        ))
    }

    fn stacktrace(&mut self, owner: &mut Value, image: usize) -> Result<usize, Failure> {
        let Some(Value::Array(frames)) = owner.pointer_mut("/stacktrace/frames") else {
            return Ok(0);
        };
        let mut resolved = 0;
        let mut out = Vec::with_capacity(frames.len());
        for frame in frames.iter() {
            let Some(offset) = address(frame, image)? else {
                out.push(frame.clone());
                continue;
            };
            let found = self.at(offset);
            if found.is_empty() {
                return Err(Failure::new(
                    format!("offset {offset:#x} is no instruction of build {}", self.id),
                    "the event was changed on its way, or the id is of two builds: compare the \
                     files with `worker-sentry-symbols check`",
                ));
            }
            resolved += 1;
            // Sentry wants the innermost frame last.
            for location in found.iter().rev() {
                out.push(self.frame(frame, location));
            }
        }
        *frames = out;
        Ok(resolved)
    }

    fn frame(&mut self, physical: &Value, location: &Location) -> Value {
        let mut frame: Map<String, Value> = physical.as_object().cloned().unwrap_or_default();
        for stale in ["lineno", "colno", "filename"] {
            frame.remove(stale);
        }
        frame.insert("function".into(), json!(location.function));
        frame.insert("symbol".into(), json!(location.symbol));
        frame.insert("in_app".into(), json!(!location.is_foreign()));
        if !location.path.is_empty() {
            let short = self.paths.short(&location.path);
            frame.insert("abs_path".into(), json!(short));
            frame.insert("filename".into(), json!(short));
        }
        if location.line > 0 {
            frame.insert("lineno".into(), json!(location.line));
            if let Some((before, line, after)) = self.sources.around(location, self.paths) {
                frame.insert("pre_context".into(), json!(before));
                frame.insert("context_line".into(), json!(line));
                frame.insert("post_context".into(), json!(after));
            }
        }
        Value::Object(frame)
    }

    /// A resolved event as readable lines: each exception, then the stack of the report, the
    /// innermost frame first.
    pub fn shown(&mut self, event: &Value) -> String {
        let mut out = String::new();
        let values = event
            .pointer("/exception/values")
            .or_else(|| event.get("exception"));
        // The last exception is the one that was caught.
        for value in values.and_then(Value::as_array).into_iter().flatten().rev() {
            let text = |key| value.get(key).and_then(Value::as_str).unwrap_or_default();
            out += &format!("{}: {}\n", text("type"), text("value"));
            let frames = value
                .pointer("/stacktrace/frames")
                .and_then(Value::as_array);
            for frame in frames.into_iter().flatten().rev() {
                out += &shown_frame(frame);
            }
        }
        // The stack of the report is shown if no exception has a stack.
        let threads = event
            .pointer("/threads/values")
            .or_else(|| event.get("threads"));
        for thread in threads.and_then(Value::as_array).into_iter().flatten() {
            let frames = thread
                .pointer("/stacktrace/frames")
                .and_then(Value::as_array);
            let frames = frames.map(Vec::as_slice).unwrap_or_default();
            if !frames.is_empty() {
                out += "reported\n";
            }
            for frame in frames.iter().rev() {
                out += &shown_frame(frame);
            }
        }
        out
    }

    /// Turns a line of a console's stack into lines with names. `None` if the line has no
    /// frame of WebAssembly.
    ///
    /// Fails if the frame is not of this build: the offset must be an instruction of the
    /// function with the frame's index.
    pub fn console(&mut self, line: &str) -> Option<Result<String, Failure>> {
        let (index, offset) = console_frame(line)?;
        let function = self.module.function_at(offset);
        let fits = function.is_some_and(|it| it.index == index && it.is_named_at(offset));
        if !fits {
            return Some(Err(Failure::new(
                format!(
                    "function {index} has no instruction at {offset:#x} in build {}",
                    self.id
                ),
                "the stack is of another build: name its companion with --companion",
            )));
        }
        let indent: String = line.chars().take_while(|it| it.is_whitespace()).collect();
        let mut out = String::new();
        let found = self.at(offset);
        for (depth, location) in found.iter().enumerate() {
            let place = match (location.path.is_empty(), location.line) {
                (true, _) => format!("wasm {offset:#x}"),
                (false, 0) => self.paths.short(&location.path),
                (false, line) => format!("{}:{line}", self.paths.short(&location.path)),
            };
            let inlined = if depth + 1 < found.len() {
                " [inlined]"
            } else {
                ""
            };
            out += &format!("{indent}at {} ({place}){inlined}\n", location.function);
            if !location.is_foreign()
                && let Some((_, source, _)) = self.sources.around(location, self.paths)
            {
                out += &format!("{indent}   {:>5} | {}\n", location.line, source.trim());
            }
        }
        if found.is_empty() {
            out = format!("{line}\n");
        }
        Some(Ok(out))
    }
}

fn shown_frame(frame: &Value) -> String {
    let text = |key| frame.get(key).and_then(Value::as_str);
    let function = text("function").unwrap_or("?");
    let mut out = format!("    at {function}");
    if let Some(file) = text("filename").or(text("abs_path")) {
        out += &format!(" ({file}");
        if let Some(line) = frame.get("lineno").and_then(Value::as_u64) {
            out += &format!(":{line}");
        }
        out += ")";
    }
    out += "\n";
    let own = frame.get("in_app").and_then(Value::as_bool) == Some(true);
    if let (true, Some(line), Some(number)) = (
        own,
        text("context_line"),
        frame.get("lineno").and_then(Value::as_u64),
    ) {
        out += &format!("       {number:>5} | {}\n", line.trim());
    }
    out
}

/// The offset of a frame in the image of this index.
fn address(frame: &Value, image: usize) -> Result<Option<usize>, Failure> {
    let mode = frame.get("addr_mode").and_then(Value::as_str);
    if mode.and_then(|it| it.strip_prefix("rel:")) != Some(image.to_string().as_str()) {
        return Ok(None);
    }
    let number = match frame.get("instruction_addr") {
        Some(Value::String(text)) => match text.strip_prefix("0x") {
            Some(digits) => usize::from_str_radix(digits, 16).ok(),
            None => text.parse().ok(),
        },
        Some(Value::Number(number)) => number.as_u64().and_then(|it| usize::try_from(it).ok()),
        _ => None,
    };
    let bad = || {
        Failure::new(
            format!("a frame of the event has no address that can be read: {frame}"),
            "give the event's JSON as the crate sent it, or as Sentry shows it under `JSON`",
        )
    };
    number.map(Some).ok_or_else(bad)
}

/// The function's index and the offset in a line of V8's stack:
/// `at wasm://wasm/001326ce:wasm-function[336]:0x27c6a`.
///
/// ```
/// use worker_sentry_symbols::console_frame;
/// let line = "    at core::run (wasm://wasm/001326ce:wasm-function[336]:0x27c6a)";
/// assert_eq!(console_frame(line), Some((336, 0x27c6a)));
/// assert_eq!(console_frame("    at async Object.fetch (worker.js:10:4)"), None);
/// ```
pub fn console_frame(line: &str) -> Option<(u32, usize)> {
    let (_, rest) = line.split_once("wasm-function[")?;
    let (index, rest) = rest.split_once("]:0x")?;
    let end = rest
        .find(|it: char| !it.is_ascii_hexdigit())
        .unwrap_or(rest.len());
    Some((
        index.parse().ok()?,
        usize::from_str_radix(&rest[..end], 16).ok()?,
    ))
}

/// Source files, each read once.
pub(crate) struct Sources {
    pub(crate) folder: PathBuf,
    pub(crate) files: HashMap<String, Option<Vec<String>>>,
}

type Context = (Vec<String>, String, Vec<String>);

impl Sources {
    /// The lines of a file, if the file is found.
    pub(crate) fn lines(&mut self, path: &str, paths: &Paths) -> Option<&[String]> {
        if !self.files.contains_key(path) {
            let places = [PathBuf::from(path), self.folder.join(paths.short(path))];
            let text = places
                .iter()
                .find_map(|it| std::fs::read_to_string(it).ok());
            let lines = text.map(|it| it.lines().map(str::to_owned).collect());
            self.files.insert(path.to_owned(), lines);
        }
        self.files.get(path)?.as_deref()
    }

    fn around(&mut self, location: &Location, paths: &Paths) -> Option<Context> {
        const AROUND: usize = 5;
        let lines = self.lines(&location.path, paths)?;
        let at = usize::try_from(location.line).ok()?.checked_sub(1)?;
        let line = lines.get(at)?.clone();
        let before = lines[at.saturating_sub(AROUND)..at].to_vec();
        let after = lines[at + 1..lines.len().min(at + 1 + AROUND)].to_vec();
        Some((before, line, after))
    }
}
