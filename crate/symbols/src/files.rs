//! Finds, reads and writes the files of a build.

use std::fs;
use std::path::{Path, PathBuf};

use crate::Failure;
use crate::module::{BuildId, Module};

/// Finds the module that worker-build wrote into its output folder: `index_bg.wasm`, or
/// `worker/index.wasm` of its older layout. If both exist, the one that the folder's JavaScript
/// imports is taken.
///
/// Fails if neither exists.
pub fn find_module(folder: &Path) -> Result<PathBuf, Failure> {
    let (now, before) = (
        folder.join("index_bg.wasm"),
        folder.join("worker/index.wasm"),
    );
    match (now.is_file(), before.is_file()) {
        (true, false) => Ok(now),
        (false, true) => Ok(before),
        (true, true) => {
            let script = fs::read_to_string(folder.join("index.js")).unwrap_or_default();
            Ok(if script.contains("index_bg.wasm") {
                now
            } else {
                before
            })
        }
        (false, false) => Err(Failure::new(
            format!(
                "there is no index_bg.wasm and no worker/index.wasm in {}",
                folder.display()
            ),
            "run `worker-build --release --no-opt` first, in the folder of the Worker's \
             Cargo.toml; or name the module with --wasm",
        )),
    }
}

/// The companion's usual path: beside the module, as `NAME.debug.wasm`. worker-build makes git
/// ignore that folder. The JavaScript there does not import the companion, so wrangler does not
/// upload it. See [`refuse_uploaded`].
pub fn companion_of(module: &Path) -> PathBuf {
    module.with_extension("debug.wasm")
}

/// Fails if wrangler would upload the companion. That happens if wrangler's configuration in
/// `project` uploads whole folders, and the companion is in the folder of the module.
pub fn refuse_uploaded(project: &Path, module: &Path, companion: &Path) -> Result<(), Failure> {
    let inside = module.parent().is_some_and(|it| companion.starts_with(it));
    if !inside {
        return Ok(());
    }
    for name in ["wrangler.toml", "wrangler.json", "wrangler.jsonc"] {
        let text = fs::read_to_string(project.join(name)).unwrap_or_default();
        for line in text
            .lines()
            .filter(|it| !it.trim_start().starts_with(['#', '/']))
        {
            let words: String = line
                .chars()
                .filter(|it| !it.is_whitespace() && *it != '"')
                .collect();
            for key in ["find_additional_modules", "no_bundle"] {
                let set = [format!("{key}=true"), format!("{key}:true")];
                if set.iter().any(|it| words.contains(it.as_str())) {
                    return Err(Failure::new(
                        format!(
                            "{name} has `{key}`, so wrangler would upload {} too",
                            companion.display()
                        ),
                        "keep the companion elsewhere, for example with \
                         --companion target/symbols/index_bg.debug.wasm",
                    ));
                }
            }
        }
    }
    Ok(())
}

/// Reads a file. `todo` is what the user can do if the file is missing.
pub fn read(path: &Path, todo: &str) -> Result<Vec<u8>, Failure> {
    let failed = |error: std::io::Error| {
        Failure::new(format!("cannot read {}: {error}", path.display()), todo)
    };
    fs::read(path).map_err(failed)
}

/// Writes a file atomically: a reader sees either the old or the new contents. Missing folders
/// are created.
pub fn write(path: &Path, data: &[u8]) -> Result<(), Failure> {
    let failed = |error: std::io::Error| {
        Failure::new(
            format!("cannot write {}: {error}", path.display()),
            "make the folder writable, or name another place",
        )
    };
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    let part = path.with_extension("part");
    fs::write(&part, data).map_err(failed)?;
    fs::rename(&part, path).map_err(failed)
}

/// Reads the companion at `path`. If `path` is a folder of companions, reads the one of build
/// `id`.
///
/// Fails if there is no such companion.
pub fn read_companion(path: &Path, id: Option<BuildId>) -> Result<(PathBuf, Vec<u8>), Failure> {
    const TODO: &str =
        "run `worker-sentry-symbols build` first, or name the companion with --companion";
    if !path.is_dir() {
        return Ok((path.to_owned(), read(path, TODO)?));
    }
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = entries.map(|it| it.path()).collect();
    found.retain(|it| it.extension().is_some_and(|it| it == "wasm"));
    found.sort();
    for file in found {
        let data = read(&file, TODO)?;
        let Ok(module) = Module::parse(&data, &file.display().to_string()) else {
            continue;
        };
        let of_build = id.is_none() || module.build_id() == id;
        if of_build && module.build_id().is_some() && module.custom(".debug_info").is_some() {
            return Ok((file, data));
        }
    }
    let of = id.map_or_else(String::new, |id| format!(" of build {id}"));
    Err(Failure::new(
        format!("no companion{of} is in {}", path.display()),
        "build that state of the sources again, or fetch its companion from where the build ran",
    ))
}
