//! A source map of a Worker, for receivers that do not support WebAssembly.
//!
//! The generated text has one line, and its columns are the offsets of the upload.

use std::collections::HashMap;
use std::path::Path;

use serde_json::json;

use crate::Failure;
use crate::module::Module;
use crate::paths::{Paths, is_foreign};
use crate::resolve::Sources;
use crate::symbols::{Location, Symbols};

/// The source map of a companion, as JSON.
///
/// A source map has one place for each offset. For inlined functions, it is the innermost one of
/// the application. The map contains the application's own sources, as far as they are found.
///
/// Fails if the companion has no id.
pub fn source_map(
    module: &Module<'_>,
    symbols: &Symbols,
    paths: &Paths,
    folder: &Path,
) -> Result<String, Failure> {
    let id = symbols.id().ok_or_else(|| {
        Failure::new(
            "the companion has no build_id",
            "name the file that `worker-sentry-symbols build` wrote with --companion",
        )
    })?;
    let lookup = symbols.lookup();
    let mut files = Table::default();
    let mut names = Table::default();
    // The largest line of each file. A source file with fewer lines is of another version.
    let mut longest: Vec<u32> = Vec::new();
    let mut mappings = String::new();
    let mut last = [0i64; 5];
    let mut before: Option<Location> = None;
    for function in &module.functions {
        for &at in &function.instructions {
            let place = best(&lookup.at(at));
            if place == before && at != function.instructions[0] {
                continue;
            }
            before.clone_from(&place);
            if !mappings.is_empty() {
                mappings.push(',');
            }
            // The first instruction's place applies from the start of the body: see
            // `Function::is_named_at`.
            let from = match at == function.instructions[0] {
                true => function.body.start,
                false => at,
            };
            let mut fields = [from as i64, last[1], last[2], 0, last[4]];
            let mut used = 1;
            if let Some(place) = place {
                let file = files.index(&place.path);
                longest.resize(files.values.len(), 0);
                longest[file] = longest[file].max(place.line);
                fields[1] = file as i64;
                fields[2] = i64::from(place.line) - 1;
                fields[4] = names.index(&place.function) as i64;
                used = 5;
            }
            for field in 0..used {
                vlq(&mut mappings, fields[field] - last[field]);
                last[field] = fields[field];
            }
        }
    }
    let mut sources = Sources {
        folder: folder.to_owned(),
        files: HashMap::new(),
    };
    let mut content = |at: usize, path: &String| -> Option<String> {
        if is_foreign(path) {
            return None;
        }
        let lines = sources.lines(path, paths)?;
        (lines.len() >= longest[at] as usize).then(|| lines.join("\n"))
    };
    let contents: Vec<Option<String>> = files
        .values
        .iter()
        .enumerate()
        .map(|(at, path)| content(at, path))
        .collect();
    let shown: Vec<String> = files.values.iter().map(|path| paths.short(path)).collect();
    let map = json!({
        "version": 3,
        "file": "index_bg.wasm",
        "debug_id": id.to_string(),
        "debugId": id.to_string(),
        "sources": shown,
        "sourcesContent": contents,
        "names": names.values,
        "mappings": mappings,
    });
    Ok(map.to_string())
}

fn best(found: &[Location]) -> Option<Location> {
    let own = found.iter().find(|it| it.has_line() && !it.is_foreign());
    own.or_else(|| found.iter().find(|it| it.has_line()))
        .cloned()
}

/// Distinct values, in the order in which they were added.
#[derive(Default)]
struct Table {
    values: Vec<String>,
    index: HashMap<String, usize>,
}

impl Table {
    fn index(&mut self, value: &str) -> usize {
        if let Some(index) = self.index.get(value) {
            return *index;
        }
        self.values.push(value.to_owned());
        self.index.insert(value.to_owned(), self.values.len() - 1);
        self.values.len() - 1
    }
}

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Appends a number in the format of source maps: five bits for each digit, the sign in the
/// lowest bit.
pub(crate) fn vlq(out: &mut String, value: i64) {
    let mut rest = value.unsigned_abs() << 1 | u64::from(value < 0);
    loop {
        let more = rest >> 5 != 0;
        let digit = (rest & 31) as usize | usize::from(more) << 5;
        out.push(char::from(DIGITS[digit]));
        rest >>= 5;
        if !more {
            return;
        }
    }
}

/// The numbers of a segment of a source map's mappings. Any other character ends the segment.
pub(crate) fn numbers(segment: &str) -> Vec<i64> {
    let mut out = Vec::new();
    let (mut value, mut shift) = (0u64, 0u32);
    for byte in segment.bytes() {
        let Some(digit) = DIGITS.iter().position(|it| *it == byte) else {
            break;
        };
        value |= (digit as u64 & 31).checked_shl(shift).unwrap_or(0);
        shift += 5;
        if digit & 32 == 0 {
            let size = (value >> 1) as i64;
            out.push(if value & 1 == 1 { -size } else { size });
            (value, shift) = (0, 0);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_number_of_a_source_map_is_read_as_it_was_written(
            all in prop::collection::vec(-(1i64 << 40)..(1i64 << 40), 0..6)
        ) {
            let mut text = String::new();
            for value in &all {
                vlq(&mut text, *value);
            }
            prop_assert_eq!(numbers(&text), all);
        }
    }
}
