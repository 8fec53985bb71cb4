//! The files of the repository, and those of the rendered book.

use std::fs;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result};

/// The root of the checkout that this program was built in.
pub fn root() -> PathBuf {
    plain(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."))
}

/// The text of a file of the repository.
///
/// # Panics
///
/// If there is no such file.
pub fn read(path: impl AsRef<Path>) -> String {
    let file = root().join(path);
    fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// The version of a package in Cargo.lock. Of several versions it is the newest, since cargo sorts
/// them.
pub fn locked(package: &str) -> Option<String> {
    let lock = read("Cargo.lock");
    let entries = lock.split("[[package]]");
    let named = entries.filter(|it| it.contains(&format!("\nname = \"{package}\"\n")));
    let entry = named.last()?;
    let line = entry.lines().find(|line| line.starts_with("version"))?;
    Some(line.split('"').nth(1)?.to_owned())
}

/// A short text that changes when any of the parts changes.
pub fn fingerprint(parts: &[&[u8]]) -> String {
    fnv(parts.iter().flat_map(|part| part.iter().chain(&[0xff])))
}

/// FNV-1a.
pub(crate) fn fnv<'b>(bytes: impl Iterator<Item = &'b u8>) -> String {
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{hash:016x}")
}

/// All files with this extension in a folder and below it, in a fixed order.
///
/// # Panics
///
/// If there is no such folder.
pub fn files_below(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut files = files(folder, &[]).expect("a folder of the repository");
    files.retain(|file| file.extension().is_some_and(|kind| kind == extension));
    files.into_iter().map(|file| folder.join(file)).collect()
}

/// The paths of all files below `folder`, without those below a folder in `but`, in a fixed order.
pub fn files(folder: &Path, but: &[&str]) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(below) = folders.pop() {
        let entries = fs::read_dir(folder.join(&below))
            .with_context(|| format!("cannot read {}", folder.join(&below).display()))?;
        for entry in entries {
            let entry = entry?;
            let path = below.join(entry.file_name());
            if but.iter().any(|but| path == Path::new(but)) {
                continue;
            }
            match entry.file_type()?.is_dir() {
                true => folders.push(path),
                false => files.push(path),
            }
        }
    }
    files.sort();
    Ok(files)
}

/// Copies a file, and makes the folders that its path needs.
pub fn copy(from: &Path, to: &Path) -> Result<()> {
    make_way(to)?;
    fs::copy(from, to).with_context(|| format!("cannot write {}", to.display()))?;
    Ok(())
}

/// Writes a file, and makes the folders that its path needs.
pub fn write(to: &Path, text: &str) -> Result<()> {
    make_way(to)?;
    fs::write(to, text).with_context(|| format!("cannot write {}", to.display()))
}

fn make_way(to: &Path) -> Result<()> {
    let folder = to.parent().unwrap_or(to);
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))
}

/// The path from a page up to its folder's root: `../` for each level.
pub fn up(page: &Path) -> String {
    "../".repeat(page.components().count().saturating_sub(1))
}

/// A path as it is written in a link.
pub fn link(path: &Path) -> String {
    path.display().to_string().replace('\\', "/")
}

/// A path without `.` and `..`.
pub fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => {
                plain.pop();
            }
            component => plain.push(component),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_tells_where_one_part_ends() {
        assert_ne!(fingerprint(&[b"ab", b"c"]), fingerprint(&[b"a", b"bc"]));
    }
}
