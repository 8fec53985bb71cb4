//! Runs wasm-opt so that names and lines are still right afterwards.
//!
//! wasm-opt makes DWARF wrong, but it updates a source map in all its passes. So wasm-opt gets a
//! source map in which the line of each instruction is the instruction's own offset. The
//! resulting map has the original offset of each instruction. The DWARF of the unoptimised module
//! has the place of that offset, and from these places the DWARF of the final code is written.
//!
//! A source map has one place for an instruction, and cannot record that a function was
//! inlined or merged. So the passes that inline or merge functions are skipped: each function
//! stays separate, and each call keeps the functions that the compiler had inlined around it.

use std::collections::{BTreeSet, HashMap};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs, process};

use serde_json::Value;
use wasm_encoder::{NameMap, NameSection, Section as _};

use crate::audit::{Audit, outermost};
use crate::dwarf::{self, Chain, Mapped};
use crate::features::FEATURES;
use crate::module::{BUILD_ID, Function, Module};
use crate::sourcemap::{numbers, vlq};
use crate::split::{refuse_inexact, refuse_unsplittable};
use crate::symbols::{Location, Lookup, Symbols, readable};
use crate::{Failure, files};

/// The passes that join two functions or two calls into one.
const SKIPPED: [&str; 5] = [
    "--skip-pass=inlining",
    "--skip-pass=inlining-optimizing",
    "--skip-pass=duplicate-function-elimination",
    "--skip-pass=merge-similar-functions",
    "--skip-pass=code-folding",
];

const WITHOUT: &str = "build without --optimize";

/// The command of wasm-opt, and the level of optimisation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WasmOpt {
    program: OsString,
    before: Vec<OsString>,
    level: String,
}

impl WasmOpt {
    /// Finds wasm-opt: the program that `WASM_OPT_BIN` names, or else the one on `PATH`, or else
    /// that of npm's `binaryen` through `npx`. `level` is `s`, `z` or a digit from 1 to 4.
    ///
    /// Fails for another level.
    pub fn find(level: &str) -> Result<Self, Failure> {
        let named = env::var_os("WASM_OPT_BIN").filter(|it| !it.is_empty());
        match named.or_else(on_path) {
            Some(program) => WasmOpt::new(&[program], level),
            None => WasmOpt::new(
                &["npx", "--yes", "--package", "binaryen", "wasm-opt"],
                level,
            ),
        }
    }

    /// wasm-opt by this command: a program and its first arguments.
    ///
    /// Fails for another level, and for an empty command.
    pub fn new<W: AsRef<OsStr>>(command: &[W], level: &str) -> Result<Self, Failure> {
        if !["s", "z", "1", "2", "3", "4"].contains(&level) {
            return Err(Failure::new(
                format!("wasm-opt has no level -O{level} that makes code smaller or faster"),
                "take one of s, z, 1, 2, 3, 4, as in --optimize=z",
            ));
        }
        let [program, before @ ..] = command else {
            return Err(Failure::new(
                "there is no command for wasm-opt",
                "name a program",
            ));
        };
        Ok(WasmOpt {
            program: program.as_ref().to_owned(),
            before: before.iter().map(|it| it.as_ref().to_owned()).collect(),
            level: level.to_owned(),
        })
    }

    /// The producer in the DWARF, from which a later run reads the level of this run.
    fn producer(&self) -> String {
        format!("{PRODUCER}{}", self.level)
    }

    /// Runs wasm-opt. The two source maps are files beside the modules.
    fn run(&self, input: &Path, output: &Path) -> Result<(), Failure> {
        let with_map = |path: &Path| path.with_extension("map");
        let mut command = Command::new(&self.program);
        command.args(&self.before);
        command.arg(input).arg("-o").arg(output);
        command.arg(format!("-O{}", self.level)).arg("--debuginfo");
        command.args(FEATURES).args(SKIPPED);
        command.arg("--input-source-map").arg(with_map(input));
        command.arg("--output-source-map").arg(with_map(output));
        let program = self.program.to_string_lossy();
        let out = command.output().map_err(|error| {
            Failure::new(
                format!("cannot start `{program}`, for wasm-opt: {error}"),
                "install binaryen, or Node.js, whose npx fetches it, or name a wasm-opt with \
                 WASM_OPT_BIN",
            )
        })?;
        if out.status.success() {
            return Ok(());
        }
        let said = [out.stderr, out.stdout].concat();
        let said = String::from_utf8_lossy(&said);
        Err(Failure::new(
            format!("wasm-opt failed ({}):\n{}", out.status, said.trim()),
            format!("use binaryen 132, with which this was tested, or {WITHOUT}"),
        ))
    }
}

const PRODUCER: &str = "worker-sentry-symbols, wasm-opt -O";

fn on_path() -> Option<OsString> {
    let path = env::var_os("PATH")?;
    let names = ["wasm-opt", "wasm-opt.exe"];
    let mut all = env::split_paths(&path).flat_map(|folder| names.map(|name| folder.join(name)));
    all.find(|it| it.is_file()).map(PathBuf::into_os_string)
}

/// The level at which a companion's code was optimised, if it was.
pub fn level(companion: &Module<'_>) -> Option<String> {
    dwarf::producer(companion)?
        .strip_prefix(PRODUCER)
        .map(str::to_owned)
}

/// An optimised module, with names and DWARF of the new code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Optimized {
    /// The module, ready for [`split`](crate::split()).
    pub data: Vec<u8>,
    /// Instructions that call.
    pub calls: usize,
    /// Calls that wasm-opt made, or moved to another function. Their function is known, and
    /// their line is not.
    pub without_origin: usize,
    /// For each call that was in the unoptimised module: its offset in this module, and its
    /// offset in the unoptimised one.
    pub origins: Vec<(usize, usize)>,
}

/// Runs wasm-opt on a module that `worker-build --release --no-opt` made.
///
/// Every call of the result is then looked up. It must have the same functions, files and lines
/// as in the unoptimised module.
///
/// Fails for all that [`split`](crate::split()) refuses, if wasm-opt fails, and if one call has
/// another place than before.
pub fn optimize(data: &[u8], file: &str, wasm_opt: &WasmOpt) -> Result<Optimized, Failure> {
    let before = Module::parse(data, file)?;
    refuse_unsplittable(&before, file)?;
    refuse_inexact(&Audit::of(&before, file)?, file)?;
    let folder = Scratch::new()?;
    let (input, output) = (folder.0.join("in.wasm"), folder.0.join("out.wasm"));
    files::write(&input, &renamed(&before))?;
    files::write(&input.with_extension("map"), offsets(&before).as_bytes())?;
    wasm_opt.run(&input, &output)?;
    let made = files::read(&output, WITHOUT)?;
    let map = files::read(&output.with_extension("map"), WITHOUT)?;
    let after = Module::parse(&made, "wasm-opt's output")?;
    let segments = segments(&map)?;
    let symbols = Symbols::read(&before, file)?;
    let traced = Traced::new(&before, &symbols.lookup(), &after, &segments);
    let data = with_symbols(&after, &traced, &wasm_opt.producer(), symbols.roots())?;
    let done = Optimized {
        data,
        calls: after.functions.iter().map(|it| it.calls.len()).sum(),
        without_origin: traced.without_origin,
        origins: traced.origins,
    };
    refuse_moved(&done, &symbols.lookup())?;
    Ok(done)
}

/// A temporary folder of this run. It is removed when this is dropped.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Result<Self, Failure> {
        let name = format!("worker-sentry-symbols-{}", process::id());
        // An existing path belongs to another process, so another name is tried.
        let mut path = env::temp_dir().join(&name);
        for more in 1..100 {
            match fs::create_dir(&path) {
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                    path = env::temp_dir().join(format!("{name}-{more}"));
                }
                made => {
                    return made.map(|()| Scratch(path.clone())).map_err(|error| {
                        Failure::new(
                            format!("cannot make the folder {}: {error}", path.display()),
                            "name a folder that is writable with TMPDIR",
                        )
                    });
                }
            }
        }
        Err(Failure::new(
            format!("{} is there already", path.display()),
            "remove what earlier runs left there",
        ))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // If this fails, the operating system removes the folder later.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The module without DWARF, with each function's index as its name. wasm-opt renames functions
/// with equal names. With unique names, each function is recognised afterwards.
fn renamed(module: &Module<'_>) -> Vec<u8> {
    let defined = module.functions.iter().map(|it| it.index);
    let names = (0..module.imported).chain(defined);
    let section = name_section(names.map(|index| (index, format!("f{index}"))));
    module.rebuilt(
        |it| !it.is_dwarf() && !it.is_custom("name") && !it.is_custom("sourceMappingURL"),
        &[("name", &section)],
    )
}

/// The contents of a name section. The indices must ascend.
fn name_section(names: impl Iterator<Item = (u32, String)>) -> Vec<u8> {
    let mut map = NameMap::new();
    for (index, name) in names {
        map.append(index, &name);
    }
    let mut section = NameSection::new();
    section.functions(&map);
    let mut out = wasm_encoder::Module::new();
    out.section(&section);
    let data = out.finish();
    // Only the contents are returned; kind, length and name are written elsewhere.
    debug_assert_eq!(section.id(), 0);
    let named = Module::parse(&data, "names").ok();
    named
        .and_then(|it| it.custom("name").map(<[u8]>::to_vec))
        .unwrap_or_default()
}

/// A source map in which the line of each instruction is its offset.
fn offsets(module: &Module<'_>) -> String {
    let mut mappings = String::new();
    let mut last = 0;
    for at in module.functions.iter().flat_map(|it| &it.instructions) {
        if !mappings.is_empty() {
            mappings.push(',');
        }
        let at = *at as i64;
        for field in [at - last, 0, at - last, 0] {
            vlq(&mut mappings, field);
        }
        last = at;
    }
    serde_json::json!({
        "version": 3,
        "sources": ["before.wasm"],
        "names": [],
        "mappings": mappings,
    })
    .to_string()
}

/// Each offset, ascending, with the offset before wasm-opt if there is one.
type Segments = Vec<(usize, Option<usize>)>;

fn segments(map: &[u8]) -> Result<Segments, Failure> {
    let broken = || {
        Failure::new(
            "the source map that wasm-opt wrote cannot be read",
            format!("use binaryen 132, with which this was tested, or {WITHOUT}"),
        )
    };
    let map: Value = serde_json::from_slice(map).map_err(|_| broken())?;
    let mappings = map.get("mappings").and_then(Value::as_str).unwrap_or("");
    let (mut at, mut line) = (0, 0);
    let mut all = Vec::new();
    for segment in mappings.split(',').filter(|it| !it.is_empty()) {
        let fields = numbers(segment);
        at += fields.first().ok_or_else(broken)?;
        let origin = fields.get(2).map(|more| {
            line += more;
            line
        });
        let offset = |it: i64| usize::try_from(it).map_err(|_| broken());
        all.push((offset(at)?, origin.map(offset).transpose()?));
    }
    if all.is_empty() {
        return Err(broken());
    }
    Ok(all)
}

/// The functions of the final code, with the origin of each instruction.
struct Traced {
    functions: Vec<Mapped>,
    /// The linker's names of all functions that have one.
    names: Vec<(u32, String)>,
    without_origin: usize,
    origins: Vec<(usize, usize)>,
}

impl Traced {
    fn new(
        before: &Module<'_>,
        lookup: &Lookup<'_>,
        after: &Module<'_>,
        segments: &[(usize, Option<usize>)],
    ) -> Self {
        let mut traced = Traced {
            functions: Vec::new(),
            names: Vec::new(),
            without_origin: 0,
            origins: Vec::new(),
        };
        let old = |index: u32| -> Option<u32> {
            after.names.get(&index)?.strip_prefix('f')?.parse().ok()
        };
        for index in 0..after.imported {
            if let Some(name) = old(index).and_then(|it| before.names.get(&it)) {
                traced.names.push((index, name.clone()));
            }
        }
        let by_index: HashMap<u32, &Function> =
            before.functions.iter().map(|it| (it.index, it)).collect();
        for function in &after.functions {
            let own = old(function.index).and_then(|it| by_index.get(&it).copied());
            // The name comes from the DWARF of the unoptimised module, because a name of the
            // name section may have a suffix, such as `.llvm.` and a number.
            let symbol = own
                .and_then(|own| outermost(own, lookup, 15))
                .or_else(|| own.and_then(|own| before.names.get(&own.index).cloned()));
            if let Some(symbol) = &symbol {
                traced.names.push((function.index, symbol.clone()));
            }
            let base = after.code.start;
            let mut mapped = Mapped {
                low: (function.body.start - base) as u64,
                high: (function.body.end - base) as u64,
                symbol: symbol.unwrap_or_default(),
                spans: Vec::new(),
            };
            let mut calls = function.calls.iter().map(|it| it.0).peekable();
            for &at in &function.instructions {
                let origin = own.and_then(|own| origin(own, function, at, segments));
                if calls.next_if_eq(&at).is_some() {
                    let called = origin.filter(|it| own.is_some_and(|own| own.calls_at(*it)));
                    match called {
                        Some(called) => traced.origins.push((at, called)),
                        None => traced.without_origin += 1,
                    }
                }
                let chain = chain(origin, lookup, &mapped.symbol);
                if mapped.spans.last().is_none_or(|last| last.1 != chain) {
                    mapped.spans.push(((at - base) as u64, chain));
                }
            }
            // Some functions of wasm-bindgen have no name. Nothing is known about them, so they
            // are left out.
            if !mapped.symbol.is_empty() {
                traced.functions.push(mapped);
            }
        }
        traced
    }
}

/// The offset of an instruction before wasm-opt, if the instruction was in the same function.
fn origin(
    own: &Function,
    function: &Function,
    at: usize,
    segments: &[(usize, Option<usize>)],
) -> Option<usize> {
    let after = segments.partition_point(|it| it.0 <= at);
    let (column, origin) = *segments.get(after.checked_sub(1)?)?;
    let origin = origin?;
    (function.body.contains(&column) && own.body.contains(&origin)).then_some(origin)
}

fn chain(origin: Option<usize>, lookup: &Lookup<'_>, symbol: &str) -> Chain {
    let mut found = origin.map(|it| lookup.at(it)).unwrap_or_default();
    found.reverse();
    if found.is_empty() {
        found.push(Location {
            symbol: symbol.to_owned(),
            function: readable(symbol),
            path: String::new(),
            line: 0,
        });
    }
    found
}

fn with_symbols(
    after: &Module<'_>,
    traced: &Traced,
    producer: &str,
    roots: &[String],
) -> Result<Vec<u8>, Failure> {
    let sections = dwarf::written(&traced.functions, producer, roots)?;
    let names = name_section(traced.names.iter().cloned());
    let mut more = vec![("name", names.as_slice())];
    more.extend(sections.iter().map(|(name, data)| (*name, data.as_slice())));
    let gone = ["name", BUILD_ID, "sourceMappingURL"];
    Ok(after.rebuilt(
        |it| !it.is_dwarf() && !gone.iter().any(|name| it.is_custom(name)),
        &more,
    ))
}

/// Looks each call up in both modules. Fails if the places of one differ.
fn refuse_moved(done: &Optimized, before: &Lookup<'_>) -> Result<(), Failure> {
    const FILE: &str = "the optimised module";
    let symbols = Symbols::read(&Module::parse(&done.data, FILE)?, FILE)?;
    let lookup = symbols.lookup();
    let moved: BTreeSet<usize> = done
        .origins
        .iter()
        .filter(|(here, there)| lookup.at(*here) != before.at(*there))
        .map(|it| it.0)
        .collect();
    let Some(first) = moved.first() else {
        return Ok(());
    };
    Err(Failure::new(
        format!(
            "{} of {} calls would be shown at another place than they are, the first at {first:#x}",
            moved.len(),
            done.calls
        ),
        WITHOUT,
    ))
}
