//! Writes DWARF: for each function, the places of its instructions in the source.

use std::collections::HashMap;

use gimli::write::{
    Address, AttributeValue, Dwarf, EndianVec, FileId, LineProgram, LineString, Sections, Unit,
    UnitEntryId, UnitId,
};
use gimli::{Encoding, Format, LineEncoding};

use crate::Failure;
use crate::module::Module;
use crate::symbols::{Location, UNKNOWN, readable};

/// The functions at one place, the outermost first.
pub(crate) type Chain = Vec<Location>;

/// A function and the source places of its code.
pub(crate) struct Mapped {
    /// Where the body begins, counted from the start of the code section's contents.
    pub low: u64,
    /// Where the body ends.
    pub high: u64,
    /// The linker's name.
    pub symbol: String,
    /// The offset from which each chain applies, ascending. No chain is empty.
    pub spans: Vec<(u64, Chain)>,
}

const ENCODING: Encoding = Encoding {
    format: Format::Dwarf32,
    version: 4,
    address_size: 4,
};

/// The custom sections with the DWARF of these functions. `producer` is the name of the tool that
/// made the code; `roots` are the folders in which the compiler was started.
///
/// Fails if the data does not fit into DWARF of 32 bits.
pub(crate) fn written(
    functions: &[Mapped],
    producer: &str,
    roots: &[String],
) -> Result<Vec<(&'static str, Vec<u8>)>, Failure> {
    let mut dwarf = Dwarf::new();
    let (first, more) = match roots {
        [first, more @ ..] => (first.as_str(), more),
        [] => ("/", &[][..]),
    };
    let mut writer = Writer::new(&mut dwarf, producer, first);
    writer.range(functions);
    for function in functions {
        writer.function(function);
    }
    // A root is only recorded as the folder of a unit, so each other root gets a unit without
    // code.
    for root in more {
        Writer::new(&mut dwarf, producer, root);
    }
    let mut sections = Sections::new(EndianVec::new(gimli::LittleEndian));
    let mut all = Vec::new();
    dwarf
        .write(&mut sections)
        .and_then(|()| {
            sections.for_each(|id, data| {
                if !data.slice().is_empty() {
                    all.push((id.name(), data.slice().to_vec()));
                }
                Ok::<(), gimli::write::Error>(())
            })
        })
        .map_err(|error| {
            Failure::new(
                format!("DWARF of the optimised code cannot be written: {error}"),
                "build without --optimize",
            )
        })?;
    Ok(all)
}

/// The producer of a module's code, as it was given to [`written`].
pub(crate) fn producer(module: &Module<'_>) -> Option<String> {
    let section = |id: gimli::SectionId| -> Result<_, gimli::Error> {
        let data = module.custom(id.name()).unwrap_or_default();
        Ok(gimli::EndianSlice::new(data, gimli::LittleEndian))
    };
    let dwarf = gimli::Dwarf::load(section).ok()?;
    let unit = dwarf.unit(dwarf.units().next().ok()??).ok()?;
    let mut entries = unit.entries();
    let value = entries
        .next_dfs()
        .ok()??
        .attr_value(gimli::DW_AT_producer)?;
    let text = dwarf.attr_string(&unit, value).ok()?;
    Some(text.to_string_lossy().into_owned())
}

struct Writer<'d> {
    dwarf: &'d mut Dwarf,
    unit: UnitId,
    root: UnitEntryId,
    /// The functions that are inlined somewhere, by the linker's name.
    inlined: HashMap<String, UnitEntryId>,
    files: HashMap<String, FileId>,
}

impl<'d> Writer<'d> {
    fn new(dwarf: &'d mut Dwarf, producer: &str, folder: &str) -> Self {
        let lines = LineProgram::new(
            ENCODING,
            LineEncoding::default(),
            line_string(folder),
            None,
            line_string("worker"),
            None,
        );
        let unit = dwarf.units.add(Unit::new(ENCODING, lines));
        let root = dwarf.units.get(unit).root();
        let mut writer = Writer {
            dwarf,
            unit,
            root,
            inlined: HashMap::new(),
            files: HashMap::new(),
        };
        for (name, text) in [
            (gimli::DW_AT_producer, producer),
            (gimli::DW_AT_name, "worker"),
            (gimli::DW_AT_comp_dir, folder),
        ] {
            writer.set_text(root, name, text);
        }
        writer.set(
            root,
            gimli::DW_AT_language,
            AttributeValue::Language(gimli::DW_LANG_Rust),
        );
        writer
    }

    /// Writes the range of the unit's code. `symbolic` treats a unit without a range, or one
    /// that begins at 0, as dropped by the linker.
    fn range(&mut self, functions: &[Mapped]) {
        if let (Some(first), Some(last)) = (functions.first(), functions.last()) {
            self.set_range(self.root, first.low, last.high);
        }
    }

    fn function(&mut self, function: &Mapped) {
        let entry = self.add(self.root, gimli::DW_TAG_subprogram);
        self.set_name(entry, &function.symbol);
        self.set_range(entry, function.low, function.high);
        let ends = function.spans.iter().skip(1).map(|it| it.0);
        let spans: Vec<Span<'_>> = function
            .spans
            .iter()
            .zip(ends.chain([function.high]))
            .map(|((low, chain), high)| Span {
                low: *low,
                high,
                chain,
            })
            .collect();
        self.inline(entry, &spans, 1);
        self.lines(&spans);
    }

    /// Makes the entries of the functions that are inlined at this depth.
    fn inline(&mut self, parent: UnitEntryId, spans: &[Span<'_>], depth: usize) {
        // Adjacent spans of the same call of the same function become one entry.
        let same = |a: &Span<'_>, b: &Span<'_>| match (a.chain.get(depth), b.chain.get(depth)) {
            (Some(one), Some(other)) => {
                one.symbol == other.symbol && a.chain[depth - 1] == b.chain[depth - 1]
            }
            _ => false,
        };
        for group in spans.chunk_by(same) {
            let (Some(first), Some(last)) = (group.first(), group.last()) else {
                continue;
            };
            let Some(callee) = first.chain.get(depth) else {
                continue;
            };
            let call = &first.chain[depth - 1];
            let origin = self.abstracted(&callee.symbol);
            let file = self.file(&call.path);
            let entry = self.add(parent, gimli::DW_TAG_inlined_subroutine);
            self.set_range(entry, first.low, last.high);
            for (name, value) in [
                (
                    gimli::DW_AT_abstract_origin,
                    AttributeValue::UnitRef(origin),
                ),
                (
                    gimli::DW_AT_call_file,
                    AttributeValue::FileIndex(Some(file)),
                ),
                (
                    gimli::DW_AT_call_line,
                    AttributeValue::Udata(call.line.into()),
                ),
            ] {
                self.set(entry, name, value);
            }
            self.inline(entry, group, depth + 1);
        }
    }

    /// Writes the line of the innermost function of each span. All lines of a function are in
    /// one sequence, because `symbolic` reads only one.
    fn lines(&mut self, spans: &[Span<'_>]) {
        let (Some(first), Some(last)) = (spans.first(), spans.last()) else {
            return;
        };
        let start = Address::Constant(first.low);
        self.program().begin_sequence(Some(start));
        for span in spans {
            let Some(place) = span.chain.last() else {
                continue;
            };
            let file = self.file(&place.path);
            let row = self.program().row();
            row.address_offset = span.low - first.low;
            row.file = file;
            row.line = place.line.into();
            self.program().generate_row();
        }
        self.program().end_sequence(last.high - first.low);
    }

    fn abstracted(&mut self, symbol: &str) -> UnitEntryId {
        if let Some(entry) = self.inlined.get(symbol) {
            return *entry;
        }
        let entry = self.add(self.root, gimli::DW_TAG_subprogram);
        self.set_name(entry, symbol);
        self.set(
            entry,
            gimli::DW_AT_inline,
            AttributeValue::Inline(gimli::DW_INL_inlined),
        );
        self.inlined.insert(symbol.to_owned(), entry);
        entry
    }

    fn file(&mut self, path: &str) -> FileId {
        let path = if path.is_empty() { UNKNOWN } else { path };
        if let Some(id) = self.files.get(path) {
            return *id;
        }
        let (folder, name) = match path.rfind(['/', '\\']) {
            Some(at) if at + 1 < path.len() => (&path[..=at], &path[at + 1..]),
            _ => ("", path),
        };
        let program = self.program();
        let folder = match folder {
            "" => program.default_directory(),
            "/" => program.add_directory(line_string(folder)),
            folder => program.add_directory(line_string(&folder[..folder.len() - 1])),
        };
        let id = program.add_file(line_string(name), folder, None);
        self.files.insert(path.to_owned(), id);
        id
    }

    fn program(&mut self) -> &mut LineProgram {
        &mut self.dwarf.units.get_mut(self.unit).line_program
    }

    fn add(&mut self, parent: UnitEntryId, tag: gimli::DwTag) -> UnitEntryId {
        self.dwarf.units.get_mut(self.unit).add(parent, tag)
    }

    fn set(&mut self, entry: UnitEntryId, name: gimli::DwAt, value: AttributeValue) {
        let unit = self.dwarf.units.get_mut(self.unit);
        unit.get_mut(entry).set(name, value);
    }

    fn set_text(&mut self, entry: UnitEntryId, name: gimli::DwAt, text: &str) {
        let text = self.dwarf.strings.add(whole(text));
        self.set(entry, name, AttributeValue::StringRef(text));
    }

    fn set_name(&mut self, entry: UnitEntryId, symbol: &str) {
        self.set_text(entry, gimli::DW_AT_linkage_name, symbol);
        self.set_text(entry, gimli::DW_AT_name, &readable(symbol));
    }

    fn set_range(&mut self, entry: UnitEntryId, low: u64, high: u64) {
        let start = AttributeValue::Address(Address::Constant(low));
        self.set(entry, gimli::DW_AT_low_pc, start);
        self.set(
            entry,
            gimli::DW_AT_high_pc,
            AttributeValue::Udata(high - low),
        );
    }
}

struct Span<'c> {
    low: u64,
    high: u64,
    chain: &'c [Location],
}

/// The text without zeros, because DWARF ends a text with a zero.
fn whole(text: &str) -> Vec<u8> {
    text.bytes().filter(|it| *it != 0).collect()
}

/// A text of the line program. An empty text is replaced, because it would end the list.
fn line_string(text: &str) -> LineString {
    let text = whole(text);
    LineString::String(if text.is_empty() { b".".to_vec() } else { text })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::symbols::Symbols;
    use proptest::prelude::*;
    use wasm_encoder::{CodeSection, Function, FunctionSection, Instruction, TypeSection};

    const SYMBOLS: [&str; 4] = [
        "_ZN3app5outer17h0123456789abcdefE",
        "_ZN3app5inner17h0123456789abcdefE",
        "_RNvCs1234_3app4leaf",
        "plain",
    ];
    const FILES: [&str; 5] = [
        "/home/ci/app/src/lib.rs",
        "/home/ci/app/src/deep/mod.rs",
        "/rustc/0123/library/core/src/option.rs",
        "C:\\app\\src\\lib.rs",
        "",
    ];

    /// Functions of this many instructions each.
    fn module(sizes: &[usize]) -> Vec<u8> {
        let mut out = wasm_encoder::Module::new();
        let mut types = TypeSection::new();
        types.ty().function([], []);
        out.section(&types);
        let mut functions = FunctionSection::new();
        let mut code = CodeSection::new();
        for size in sizes {
            functions.function(0);
            let mut function = Function::new([]);
            for _ in 1..*size {
                function.instruction(&Instruction::Nop);
            }
            function.instruction(&Instruction::End);
            code.function(&function);
        }
        out.section(&functions);
        out.section(&code);
        out.finish()
    }

    fn place(symbol: &str, file: &str, line: u32) -> Location {
        Location {
            symbol: symbol.to_owned(),
            function: readable(symbol),
            path: file.to_owned(),
            line: if file.is_empty() { 0 } else { line },
        }
    }

    fn any_place() -> impl Strategy<Value = Location> {
        let all = (0..SYMBOLS.len(), 0..FILES.len(), 0u32..5);
        all.prop_map(|(symbol, file, line)| place(SYMBOLS[symbol], FILES[file], line))
    }

    proptest! {
        #[test]
        fn what_is_written_is_found_again_at_every_instruction(
            all in prop::collection::vec(
                prop::collection::vec(prop::collection::vec(any_place(), 1..5), 1..9),
                1..5,
            )
        ) {
            let sizes: Vec<usize> = all.iter().map(Vec::len).collect();
            let data = module(&sizes);
            let read = Module::parse(&data, "m").expect("a module");
            let mut functions = Vec::new();
            for ((function, chains), number) in read.functions.iter().zip(&all).zip(0..) {
                let from = |at: usize| (at - read.code.start) as u64;
                let symbol = format!("function{number}");
                let outermost = |chain: &Chain| {
                    let mut chain = chain.clone();
                    chain[0] = place(&symbol, &chain[0].path, chain[0].line);
                    chain
                };
                functions.push(Mapped {
                    low: from(function.body.start),
                    high: from(function.body.end),
                    spans: function
                        .instructions
                        .iter()
                        .zip(chains)
                        .map(|(at, chain)| (from(*at), outermost(chain)))
                        .collect(),
                    symbol,
                });
            }
            let roots = ["/home/ci/app".to_owned(), "/home/ci/other".to_owned()];
            let sections = written(&functions, "made", &roots).expect("it is written");
            let more: Vec<_> = sections.iter().map(|(name, data)| (*name, data.as_slice())).collect();
            let whole = read.rebuilt(|_| true, &more);
            let whole = Module::parse(&whole, "m").expect("a module");
            prop_assert_eq!(producer(&whole), Some("made".to_owned()));
            let symbols = Symbols::read(&whole, "m").expect("symbols");
            prop_assert_eq!(symbols.roots(), &roots[..]);
            let lookup = symbols.lookup();
            for function in &functions {
                for (at, chain) in &function.spans {
                    let mut found = lookup.at(read.code.start + *at as usize);
                    found.reverse();
                    prop_assert_eq!(&found, chain);
                }
            }
        }
    }
}
