//! Resolves an event's stacks with the companion of a build, through the library of the program
//! that users run.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use serde_json::Value;
use worker_sentry_symbols::{Failure, Module, Paths, Resolver, Symbols};

use crate::environment;

/// Resolves every stack of an event in place, with a companion.
///
/// # Errors
///
/// If the event is from another build, or if an address is not in the companion.
///
/// # Panics
///
/// If the companion cannot be read.
pub fn resolve(event: &mut Value, companion: &Path) -> Result<usize, Failure> {
    with(companion, |module, symbols, paths| {
        Resolver::new(module, symbols, paths, &environment::workspace())?.event(event)
    })
}

/// The errors of an event as text, with the functions, files and lines of their stacks.
///
/// # Errors
///
/// If the event is from another build, or if an address is not in the companion.
///
/// # Panics
///
/// If the companion cannot be read.
pub fn readable(event: &mut Value, companion: &Path) -> Result<String, Failure> {
    with(companion, |module, symbols, paths| {
        let mut resolver = Resolver::new(module, symbols, paths, &environment::workspace())?;
        resolver.event(event)?;
        Ok(resolver.shown(event))
    })
}

/// The source map of a build, for receivers that do not support WebAssembly. It is kept beside the
/// companion, because making one takes seconds.
///
/// # Panics
///
/// If the companion cannot be read, or if its folder cannot be written.
pub fn source_map(companion: &Path) -> String {
    let kept = companion.with_file_name("sourcemap/index_bg.wasm.map");
    let written = |file: &Path| fs::metadata(file).and_then(|data| data.modified());
    let companions = written(companion).expect("a companion");
    if written(&kept).is_ok_and(|kept| kept > companions) {
        return fs::read_to_string(&kept).expect("a source map");
    }
    let map = with(companion, |module, symbols, paths| {
        worker_sentry_symbols::source_map(module, symbols, paths, &environment::workspace())
    });
    let map = map.expect("a source map");
    fs::create_dir_all(kept.parent().unwrap_or(companion)).expect("a folder beside it");
    // The file has another name until it is complete, so an interrupted run leaves no half map.
    let half = kept.with_extension("tmp");
    let moved = fs::write(&half, &map).and_then(|()| fs::rename(&half, &kept));
    moved.expect("a file beside it");
    map
}

/// A companion's bytes and what they say. Reading them takes seconds.
struct Companion {
    written: SystemTime,
    bytes: Vec<u8>,
    symbols: Symbols,
    paths: Paths,
}

/// The companions that were read, by their files.
static READ: Mutex<BTreeMap<PathBuf, Arc<Companion>>> = Mutex::new(BTreeMap::new());

/// A companion as it is on the disk now.
fn read(companion: &Path) -> Arc<Companion> {
    let name = companion.display().to_string();
    let written = fs::metadata(companion).and_then(|data| data.modified());
    let written = written.unwrap_or_else(|error| panic!("{name}: {error}"));
    // The lock is held while one is read, so that two tests do not read the same one.
    let mut all = READ.lock().unwrap_or_else(PoisonError::into_inner);
    let known = all.get(companion).filter(|it| it.written == written);
    if let Some(known) = known {
        return Arc::clone(known);
    }
    let bytes = fs::read(companion).unwrap_or_else(|error| panic!("{name}: {error}"));
    let module = Module::parse(&bytes, &name).expect("a module");
    let symbols = Symbols::read(&module, &name).expect("symbols");
    let read = Arc::new(Companion {
        written,
        paths: Paths::new(symbols.roots().iter().cloned()),
        symbols,
        bytes,
    });
    all.insert(companion.to_owned(), Arc::clone(&read));
    read
}

fn with<T>(companion: &Path, act: impl FnOnce(&Module<'_>, &Symbols, &Paths) -> T) -> T {
    let read = read(companion);
    let module = Module::parse(&read.bytes, &companion.display().to_string());
    act(&module.expect("a module"), &read.symbols, &read.paths)
}

/// The marks of a resolved stack's lines that are in these sources, innermost
/// first. A line without a mark is given as `file:line`.
///
/// # Panics
///
/// If there is no such stack.
pub fn marks(stack: &Value, folder: &str) -> Vec<String> {
    let frames = stack["frames"].as_array().expect("frames");
    let own = frames.iter().rev().filter_map(|frame| {
        let file = frame["filename"].as_str()?;
        let line = frame["lineno"].as_u64()?;
        file.starts_with(folder).then(|| mark(file, line))
    });
    own.collect()
}

fn mark(file: &str, line: u64) -> String {
    let text = fs::read_to_string(environment::workspace().join(file));
    let text = text.unwrap_or_else(|error| panic!("{file}: {error}"));
    let marked = text.lines().nth(line as usize - 1);
    match marked.and_then(|line| line.split_once("// AT ")) {
        Some((_, mark)) => mark.to_owned(),
        None => format!("{file}:{line}"),
    }
}
