//! The readers of the symbols tool: modules, ids, lines of a console, events.

#[path = "../../../crate/symbols/tests/small/mod.rs"]
mod small;

use std::path::Path;
use std::sync::LazyLock;

use serde_json::Value;
use wasm_encoder::Module as Encoder;
use worker_sentry_symbols::{
    BuildId, Failure, Lookup, Module, Paths, Symbols, check, console_frame, source_map, split,
};

use crate::Reader;

/// All readers of the symbols tool, with their names.
pub(crate) const READERS: [(&str, Reader); 2] = [("module", module), ("lines", lines)];

/// A folder without files: paths in hostile DWARF must not lead to a file.
const NOWHERE: &str = "/nowhere";

/// Reads the input as a module, and also as the contents of each section of DWARF in a small
/// module.
fn module(data: &[u8]) {
    read_module(data);
    for name in [".debug_info", ".debug_line", ".debug_abbrev", "name"] {
        let mut whole = SMALL.clone();
        append(&mut whole, name, data);
        if name != ".debug_info" {
            append(&mut whole, ".debug_info", DWARF);
        }
        append(&mut whole, "build_id", &[7; 16]);
        read_module(&whole);
    }
}

fn read_module(data: &[u8]) {
    let Ok(module) = Module::parse(data, "a.wasm") else {
        return;
    };
    let same = module.rebuilt(|_| true, &[]);
    assert!(Module::parse(&same, "b.wasm").is_ok(), "what was rebuilt");
    for function in &module.functions {
        for at in &function.instructions {
            let found = module.function_at(*at).map(|it| it.body.clone());
            assert!(found.is_some_and(|body| body.contains(at)), "{at}");
        }
    }
    if let Ok(made) = split(data, "a.wasm", true) {
        let upload = Module::parse(&made.upload, "upload").expect("an upload");
        let companion = Module::parse(&made.companion, "companion").expect("a companion");
        let checked = check((&companion, "companion"), (&upload, "upload"));
        assert!(checked.is_ok(), "what was split");
    }
    let _: Result<_, Failure> = check((&module, "a"), (&module, "b"));
    let Ok(symbols) = Symbols::read(&module, "a.wasm") else {
        return;
    };
    let lookup: Lookup<'_> = symbols.lookup();
    for offset in 0..data.len().min(256) {
        let _ = lookup.at(offset);
    }
    let paths = Paths::new(symbols.roots().iter().cloned());
    let _ = source_map(&module, &symbols, &paths, Path::new(NOWHERE));
}

/// Reads the input as lines of a console, as ids, and as the JSON of an event.
fn lines(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    for line in text.lines() {
        let _ = console_frame(line);
        if let Some(id) = BuildId::read(line) {
            assert_eq!(BuildId::read(&id.to_string()), Some(id));
        }
        let _ = worker_sentry_symbols::is_foreign(line);
        let _ = Paths::new([line.to_owned()]).short(&text);
        let _ = worker_sentry_symbols::readable(line);
    }
    let module = Module::parse(&COMPANION, "companion").expect("a module");
    let Ok(symbols) = Symbols::read(&module, "companion") else {
        panic!("the companion of the tests cannot be read");
    };
    let paths = Paths::new(symbols.roots().iter().cloned());
    let resolver =
        worker_sentry_symbols::Resolver::new(&module, &symbols, &paths, Path::new(NOWHERE));
    let Ok(mut resolver) = resolver else {
        panic!("the companion of the tests has no id");
    };
    for line in text.lines() {
        let _ = resolver.console(line);
    }
    if let Ok(mut event) = serde_json::from_slice::<Value>(data) {
        let _ = resolver.event(&mut event);
        let _ = resolver.shown(&event);
    }
}

static SMALL: LazyLock<Vec<u8>> = LazyLock::new(|| small::module(&[], true, &[]));

/// An empty unit of DWARF 4.
const DWARF: &[u8] = &[7, 0, 0, 0, 4, 0, 0, 0, 0, 0, 4];

static COMPANION: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut whole = SMALL.clone();
    append(&mut whole, ".debug_info", DWARF);
    append(&mut whole, ".debug_abbrev", &[0]);
    append(&mut whole, "build_id", &[7; 16]);
    whole
});

/// Adds a custom section to a module.
fn append(module: &mut Vec<u8>, name: &str, data: &[u8]) {
    let mut one = Encoder::new();
    one.section(&small::custom(name, data));
    // Without the magic number and the version.
    module.extend(&one.finish()[8..]);
}
