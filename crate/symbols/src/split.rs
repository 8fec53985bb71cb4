//! Splits one module into two: the companion, which has names and lines, and the upload, which
//! has none.

use std::io::Write as _;

use crate::Failure;
use crate::audit::Audit;
use crate::module::{BUILD_ID, BuildId, Module};
use crate::symbols::Symbols;

const AGAIN: &str = "run `worker-build --release --no-opt`, then `worker-sentry-symbols build`";

/// The two files of a build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    /// The id of the build, which both files contain.
    pub id: BuildId,
    /// The whole module, and the id.
    pub companion: Vec<u8>,
    /// The parts that the runtime needs, and the id.
    pub upload: Vec<u8>,
    /// How well the DWARF fits.
    pub audit: Audit,
    /// Whether the names are the linker's mangled names. Names that wasm-bindgen has demangled
    /// contain a hash that differs from build to build.
    pub mangled: bool,
}

/// Splits a module that worker-build wrote. The code keeps its bytes and its offset, so
/// offsets of the upload are valid in the companion too.
///
/// Fails for a module without DWARF or names, for a module that is already split, for one whose
/// DWARF does not fit its code, and for one with a custom section before the code.
pub fn split(data: &[u8], file: &str, keep_names: bool) -> Result<Split, Failure> {
    let module = Module::parse(data, file)?;
    refuse_unsplittable(&module, file)?;
    // This reads the companion with its names. The audit reads it without them.
    Symbols::read(&module, file)?;
    let audit = Audit::of(&module, file)?;
    refuse_inexact(&audit, file)?;
    let id = module.computed_id();
    let mangled = module
        .names
        .values()
        .any(|it| it.starts_with("_ZN") || it.starts_with("_R"));
    Ok(Split {
        id,
        companion: module.rebuilt(|_| true, &[(BUILD_ID, id.bytes())]),
        upload: upload(&module, id, keep_names),
        audit,
        mangled,
    })
}

/// The upload of a module: without DWARF, with the id, and with names only if `keep_names`.
pub(crate) fn upload(module: &Module<'_>, id: BuildId, keep_names: bool) -> Vec<u8> {
    let keep = |section: &crate::Section| {
        !section.is_dwarf()
            && !section.is_custom(BUILD_ID)
            && !section.is_custom("sourceMappingURL")
            && (keep_names || !section.is_custom("name"))
    };
    module.rebuilt(keep, &[(BUILD_ID, id.bytes())])
}

pub(crate) fn refuse_unsplittable(module: &Module<'_>, file: &str) -> Result<(), Failure> {
    if module.build_id().is_some() {
        return Err(Failure::new(
            format!("{file} is split already: it has a build_id"),
            AGAIN,
        ));
    }
    if let Some(section) = module.custom_before_code() {
        let name = section.name.as_deref().unwrap_or_default();
        return Err(Failure::new(
            format!("{file} has the custom section `{name}` in front of its code"),
            "build for wasm32-unknown-unknown with worker-build, without a tool that adds \
             sections at the front; position-independent and emscripten modules cannot be split",
        ));
    }
    if module.custom(".debug_info").is_none() {
        return Err(Failure::new(
            format!("{file} has no DWARF, so it names no line"),
            "add `debug = 1` to [profile.release] of the workspace and \
             `dwarf-debug-info = true` to \
             [package.metadata.wasm-pack.profile.release.wasm-bindgen], and run \
             `worker-build --release --no-opt`",
        ));
    }
    if module.names.is_empty() {
        return Err(Failure::new(
            format!("{file} has no names of functions"),
            "take `strip` out of [profile.release], `remove-name-section` out of the \
             package's metadata, and build again",
        ));
    }
    Ok(())
}

pub(crate) fn refuse_inexact(audit: &Audit, file: &str) -> Result<(), Failure> {
    if audit.compared == 0 {
        return Err(Failure::new(
            format!("the DWARF of {file} names no function"),
            "set `debug = 1` in [profile.release]; \"line-tables-only\" is not enough",
        ));
    }
    if audit.fits() {
        return Ok(());
    }
    Err(Failure::new(
        format!(
            "the DWARF of {file} is not of its code: {} of {} functions have the same name \
             in both, {} of {} ranges fit. That is what wasm-opt leaves behind",
            audit.agree, audit.compared, audit.sound, audit.ranges
        ),
        "build with `worker-build --release --no-opt`, and if you want wasm-opt let \
         `worker-sentry-symbols build --optimize` run it",
    ))
}

/// The result of [`check`]: how much the companion of an upload knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checked {
    /// The id of both.
    pub id: BuildId,
    /// Instructions that call. Each frame of a stack except the innermost is at one of them.
    pub calls: usize,
    /// Calls whose function, file and line are known.
    pub exact: usize,
    /// Calls to which the compiler gave no line. The function is known, and mostly also the
    /// line of a function around it.
    pub without_line: usize,
    /// Calls of which only the function's name is known.
    pub named_only: usize,
    /// Calls of which nothing is known.
    pub unknown: usize,
    /// How well the DWARF fits.
    pub audit: Audit,
    /// Whether the upload still has its names.
    pub names_kept: bool,
}

/// Compares a companion and an upload.
///
/// Fails if the files are of different builds, if one was changed after the build, or if the
/// companion's DWARF does not fit its code.
pub fn check(
    companion: (&Module<'_>, &str),
    upload: (&Module<'_>, &str),
) -> Result<Checked, Failure> {
    let (debug, debug_file) = companion;
    let (bare, bare_file) = upload;
    let id_of = |module: &Module<'_>, file: &str| {
        let none = || Failure::new(format!("{file} has no build_id: it was not split"), AGAIN);
        module.build_id().ok_or_else(none)
    };
    let (id, other) = (id_of(debug, debug_file)?, id_of(bare, bare_file)?);
    if id != other {
        return Err(Failure::new(
            format!("{debug_file} is of build {id}, {bare_file} of build {other}"),
            format!("name the companion of the same build with --companion, or {AGAIN}"),
        ));
    }
    if debug.code != bare.code || debug.data[debug.code.clone()] != bare.data[bare.code.clone()] {
        return Err(Failure::new(
            format!("{debug_file} and {bare_file} have one id, and their code differs"),
            format!("no tool may run after `build`; {AGAIN}"),
        ));
    }
    for (module, file) in [companion, upload] {
        let computed = module.computed_id();
        // The id of an optimised build is computed in the same way, from its final sections.
        if computed != id {
            return Err(Failure::new(
                format!("{file} was changed after it was split: it says {id} and is {computed}"),
                format!("no tool may run after `build`; {AGAIN}"),
            ));
        }
    }
    if bare.sections.iter().any(crate::Section::is_dwarf) {
        return Err(Failure::new(
            format!("{bare_file} has DWARF, which nobody needs in an upload"),
            "name the upload with --wasm and the companion with --companion: they may be swapped",
        ));
    }
    let symbols = Symbols::read(debug, debug_file)?;
    let lookup = symbols.lookup();
    let audit = Audit::of(debug, debug_file)?;
    refuse_inexact(&audit, debug_file)?;
    let mut checked = Checked {
        id,
        calls: 0,
        exact: 0,
        without_line: 0,
        named_only: 0,
        unknown: 0,
        audit,
        names_kept: !bare.names.is_empty(),
    };
    for function in &debug.functions {
        for (at, _) in &function.calls {
            let found = lookup.at(*at);
            checked.calls += 1;
            *match found.first() {
                Some(innermost) if innermost.has_line() => &mut checked.exact,
                Some(_) if found.iter().any(|it| !it.path.is_empty()) => &mut checked.without_line,
                Some(_) => &mut checked.named_only,
                None => &mut checked.unknown,
            } += 1;
        }
    }
    Ok(checked)
}

/// The size of `data` in bytes when compressed with gzip at its best level, as for an upload.
pub fn compressed(data: &[u8]) -> usize {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    // Writing into memory cannot fail.
    let written = gzip.write_all(data).and_then(|()| gzip.finish());
    written.map_or(0, |it| it.len())
}
