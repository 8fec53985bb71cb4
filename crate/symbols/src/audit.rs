//! Checks whether the DWARF of a module fits its code.
//!
//! If a tool changes the code and not the DWARF, the DWARF still has an answer for every offset,
//! but the answers are wrong. The file has no mark for that. Two comparisons show it: names of
//! functions, and ranges of code.

use std::collections::HashMap;

use crate::Failure;
use crate::module::{Function, Module};
use crate::symbols::{Lookup, Symbols, readable};

/// How well the DWARF fits the code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Audit {
    /// Functions that have a name both in the name section and in the DWARF.
    pub compared: usize,
    /// Those of them whose two names agree.
    pub agree: usize,
    /// Ranges of code that the DWARF assigns to a function, also to an inlined one.
    pub ranges: usize,
    /// Ranges that begin and end in one function, and begin at an instruction.
    pub sound: usize,
}

impl Audit {
    /// Compares the DWARF of a module with its code.
    ///
    /// The library prefers a name of the name section to that of the DWARF. So the DWARF is
    /// read from a copy without that section. Otherwise the names would be compared with
    /// themselves.
    ///
    /// Fails if there is no DWARF, or if it cannot be read.
    pub fn of(module: &Module<'_>, file: &str) -> Result<Self, Failure> {
        let nameless = module.rebuilt(|it| !it.is_custom("name"), &[]);
        let symbols = Symbols::read(&Module::parse(&nameless, file)?, file)?;
        let lookup = symbols.lookup();
        let mut audit = Audit::default();
        for function in &module.functions {
            let Some(name) = module.names.get(&function.index) else {
                continue;
            };
            if let Some(symbol) = outermost(function, &lookup, 15) {
                audit.compared += 1;
                audit.agree += usize::from(same(&symbol, name));
            }
        }
        for (low, high) in ranges(module) {
            audit.ranges += 1;
            audit.sound += usize::from(is_sound(module, low, high));
        }
        Ok(audit)
    }

    /// Whether the DWARF is right for this code. Some functions, such as exported ones, have
    /// two different names by design, so a few different names are allowed.
    pub fn fits(&self) -> bool {
        self.agree * 10 >= self.compared * 8 && self.sound * 100 >= self.ranges * 98
    }
}

/// The name that the DWARF has for most of a function, looked up at up to `most` places.
pub(crate) fn outermost(function: &Function, lookup: &Lookup<'_>, most: usize) -> Option<String> {
    let all = &function.instructions;
    let step = all.len().div_ceil(most).max(1);
    let mut counts: HashMap<String, usize> = HashMap::new();
    for &at in all.iter().step_by(step) {
        if let Some(symbol) = lookup.outermost(at) {
            *counts.entry(symbol.to_owned()).or_default() += 1;
        }
    }
    // By count, and then by name, so that the same file always has the same answer.
    let best = counts
        .into_iter()
        .max_by(|a, b| (a.1, &b.0).cmp(&(b.1, &a.0)));
    best.map(|(symbol, _)| symbol)
}

fn same(symbol: &str, name: &str) -> bool {
    symbol == name || {
        let (symbol, name) = (readable(symbol), readable(name));
        // wasm-bindgen and the linker make names longer, as in `fetch.command_export`.
        let head = name.split_once('.').map_or(name.as_str(), |it| it.0);
        symbol == name || symbol == head
    }
}

fn is_sound(module: &Module<'_>, low: u64, high: u64) -> bool {
    let base = module.code.start as u64;
    let (Ok(low), Ok(high)) = (usize::try_from(base + low), usize::try_from(base + high)) else {
        return false;
    };
    let after = module.functions.partition_point(|it| it.body.end <= low);
    let Some(function) = module.functions.get(after) else {
        return false;
    };
    // A function's range may begin at the length in front of its body.
    let front = match after.checked_sub(1).and_then(|at| module.functions.get(at)) {
        Some(before) => before.body.end,
        None => module.code.start,
    };
    let starts = low <= function.body.start && low >= front
        || function.instructions.binary_search(&low).is_ok();
    starts && high <= function.body.end
}

/// The ranges of code of all functions, also of inlined ones, counted from the start of the
/// code section's contents. Functions that the linker dropped are left out.
fn ranges(module: &Module<'_>) -> Vec<(u64, u64)> {
    let mut all = Vec::new();
    // The list ends at the first part that cannot be read. `Symbols::read` has already reported
    // such a file.
    let _ = collect_ranges(module, &mut all);
    all
}

fn collect_ranges(module: &Module<'_>, all: &mut Vec<(u64, u64)>) -> Result<(), gimli::Error> {
    let section = |id: gimli::SectionId| -> Result<_, gimli::Error> {
        let data = module.custom(id.name()).unwrap_or_default();
        Ok(gimli::EndianSlice::new(data, gimli::LittleEndian))
    };
    let dwarf = gimli::Dwarf::load(section)?;
    let size = module.code.len() as u64;
    let mut units = dwarf.units();
    while let Some(header) = units.next()? {
        let unit = dwarf.unit(header)?;
        let mut entries = unit.entries();
        while let Some(entry) = entries.next_dfs()? {
            if !matches!(
                entry.tag(),
                gimli::DW_TAG_subprogram | gimli::DW_TAG_inlined_subroutine
            ) {
                continue;
            }
            let mut ranges = dwarf.die_ranges(&unit, entry)?;
            while let Some(range) = ranges.next()? {
                // 0 and the largest numbers mark code that the linker removed.
                if range.begin > 0 && range.begin < size && range.begin < range.end {
                    all.push((range.begin, range.end));
                }
            }
        }
    }
    Ok(())
}
