//! The symbols of a companion: the functions, files and lines of an offset.
//!
//! They are read with the library that Sentry's own symbolicator uses, so the results are the
//! same as Sentry's.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};

use symbolic_debuginfo::Object;
use symbolic_symcache::{SymCache, SymCacheConverter};

use crate::Failure;
use crate::module::{BuildId, Module};
use crate::paths::is_foreign;

/// The file of a place whose file is not known. Without a file, the place would be taken to be in
/// the file of the unit. `symbolic` does not change a name in these brackets.
pub(crate) const UNKNOWN: &str = "<unknown>";

/// One function at an offset. An offset has several functions if some were inlined.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Location {
    /// The linker's name of the function.
    pub symbol: String,
    /// The readable name, without the hash of the build.
    pub function: String,
    /// The path of the source file from the compiler. Empty if unknown.
    pub path: String,
    /// The line, counted from 1. 0 means that the compiler gave the code no line.
    pub line: u32,
}

impl Location {
    /// Whether file and line are known.
    pub fn has_line(&self) -> bool {
        self.line > 0 && !self.path.is_empty()
    }

    /// Whether the function belongs to another package than the application: one of a registry,
    /// of Rust itself, or `worker-sentry`, which is at the top of each stack that it takes.
    ///
    /// ```
    /// use worker_sentry_symbols::Location;
    /// let location = |function: &str, path: &str| Location {
    ///     symbol: String::new(),
    ///     function: function.to_owned(),
    ///     path: path.to_owned(),
    ///     line: 7,
    /// };
    /// assert!(!location("app::run", "/home/ci/app/src/lib.rs").is_foreign());
    /// assert!(location("worker_sentry::api::capture::read", "/home/ci/fork/src/a.rs").is_foreign());
    /// assert!(location("<T as worker_sentry::WithStack>::with_stack", "/home/ci/a.rs").is_foreign());
    /// ```
    pub fn is_foreign(&self) -> bool {
        const CRATE: &str = "worker_sentry::";
        let function = self.function.trim_start_matches(['<', '&']);
        is_foreign(&self.path)
            || function.starts_with(CRATE)
            || function
                .split_once(" as ")
                .is_some_and(|(_, of)| of.starts_with(CRATE))
    }
}

/// The symbols of a companion.
pub struct Symbols {
    cache: Vec<u8>,
    id: Option<BuildId>,
    roots: Vec<String>,
}

impl Symbols {
    /// Reads a companion, or any module with names and DWARF. This takes about a second
    /// for a Worker of a megabyte.
    ///
    /// Fails if the module has no DWARF, or if the DWARF cannot be read.
    pub fn read(module: &Module<'_>, file: &str) -> Result<Self, Failure> {
        let unreadable = |error: &dyn std::fmt::Display| {
            Failure::new(
                format!("the DWARF of {file} cannot be read: {error}"),
                "build again: `worker-build --release --no-opt && worker-sentry-symbols build`",
            )
        };
        if module.custom(".debug_info").is_none() {
            return Err(Failure::new(
                format!("{file} has no DWARF, so it names no line"),
                "name the companion that `build` wrote (--companion), not the upload",
            ));
        }
        let object = Object::parse(module.data).map_err(|error| unreadable(&error))?;
        let mut converter = SymCacheConverter::new();
        converter
            .process_object(&object)
            .map_err(|error| unreadable(&error))?;
        let mut cache = Vec::new();
        converter
            .serialize(&mut cache)
            .map_err(|error| unreadable(&error))?;
        SymCache::parse(&cache).map_err(|error| unreadable(&error))?;
        Ok(Symbols {
            cache,
            id: module.build_id(),
            roots: roots(module),
        })
    }

    /// The id of the build.
    pub fn id(&self) -> Option<BuildId> {
        self.id
    }

    /// The folders in which the compiler was started for the application's own
    /// packages: the roots of the workspace, as paths of the building machine.
    pub fn roots(&self) -> &[String] {
        &self.roots
    }

    /// Makes a [`Lookup`], which can look up many offsets.
    pub fn lookup(&self) -> Lookup<'_> {
        Lookup {
            cache: SymCache::parse(&self.cache).ok(),
            readable: RefCell::default(),
        }
    }
}

/// Looks up offsets. See [`Symbols::lookup`].
pub struct Lookup<'s> {
    cache: Option<SymCache<'s>>,
    /// The readable name of each of the linker's names that were looked up.
    readable: RefCell<HashMap<String, String>>,
}

impl Lookup<'_> {
    /// The functions at this offset of the file, the innermost first. Empty if nothing
    /// is known.
    pub fn at(&self, offset: usize) -> Vec<Location> {
        let Some(cache) = &self.cache else {
            return Vec::new();
        };
        let mut known = self.readable.borrow_mut();
        let locations = cache.lookup(offset as u64).map(|location| {
            let symbol = location.function().name().to_owned();
            let function = match known.get(&symbol) {
                Some(function) => function.clone(),
                None => {
                    let function = readable(&symbol);
                    known.insert(symbol.clone(), function.clone());
                    function
                }
            };
            Location {
                function,
                symbol,
                path: location
                    .file()
                    .map(|file| file.full_path())
                    .filter(|path| path != UNKNOWN)
                    .unwrap_or_default(),
                line: location.line(),
            }
        });
        locations.collect()
    }

    /// The linker's name of the outermost function at this offset, which is the function that
    /// contains the code.
    pub(crate) fn outermost(&self, offset: usize) -> Option<&str> {
        let last = self.cache.as_ref()?.lookup(offset as u64).last()?;
        Some(last.function().name())
    }
}

/// The readable form of a Rust name: demangled, without the hash of the build.
///
/// ```
/// use worker_sentry_symbols::readable;
/// assert_eq!(readable("_ZN4core9panicking5panic17h0123456789abcdefE"), "core::panicking::panic");
/// // LLVM marks what was private to a part of the code.
/// assert_eq!(readable("_ZN3app3run17h0123456789abcdefE.llvm.1234567890"), "app::run");
/// assert_eq!(readable("_RNvC6_123foo3bar.llvm.9D1C9369"), "123foo::bar");
/// assert_eq!(readable("run.llvm.1234"), "run");
/// // wasm-bindgen can demangle too, and keeps the hash.
/// assert_eq!(readable("core::panicking::panic::h0123456789abcdef"), "core::panicking::panic");
/// ```
pub fn readable(symbol: &str) -> String {
    let name = format!("{:#}", rustc_demangle::demangle(symbol));
    let hash = |it: &str| it.len() == 16 && it.bytes().all(|b| b.is_ascii_hexdigit());
    let name = match name.rsplit_once("::h") {
        Some((rest, end)) if hash(end) => rest.to_owned(),
        _ => name,
    };
    // The other mangling has the crate's hash in brackets: `core[0123456789abcdef]::…`
    let mut out = String::with_capacity(name.len());
    let mut rest = name.as_str();
    while let Some((before, after)) = rest.split_once('[') {
        out.push_str(before);
        match after.split_once(']') {
            Some((inside, tail)) if inside.len() > 11 && hash(&format!("{inside:0>16}")) => {
                rest = tail;
            }
            _ => {
                out.push('[');
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out
}

fn roots(module: &Module<'_>) -> Vec<String> {
    let mut roots = BTreeSet::new();
    let section = |id: gimli::SectionId| -> Result<_, gimli::Error> {
        let data = module.custom(id.name()).unwrap_or_default();
        Ok(gimli::EndianSlice::new(data, gimli::LittleEndian))
    };
    let Ok(dwarf) = gimli::Dwarf::load(section) else {
        return Vec::new();
    };
    let mut units = dwarf.units();
    while let Ok(Some(header)) = units.next() {
        let Ok(unit) = dwarf.unit(header) else {
            continue;
        };
        if let Some(folder) = unit.comp_dir {
            let folder = folder.to_string_lossy().into_owned();
            if !is_foreign(&folder) && folder.len() > 1 {
                roots.insert(folder);
            }
        }
    }
    roots.into_iter().collect()
}
