//! The oldest and the newest version of each tool with which the core of the proof passed.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};

/// The file that records these versions.
pub const FILE: &str = "tests/tools/seen.json";

/// The content of [`FILE`].
pub struct Seen(Value);

impl Seen {
    /// Reads the file.
    pub fn read(root: &Path) -> Result<Self> {
        let text = fs::read_to_string(root.join(FILE))?;
        Ok(Self(serde_json::from_str(&text)?))
    }

    /// The `oldest` or the `newest` version that was seen of a tool.
    pub fn version(&self, name: &str, which: &str) -> Result<String> {
        let version = self.0[name][which].as_str();
        let version = version.with_context(|| format!("{FILE} has no {which} {name}"))?;
        Ok(version.to_owned())
    }

    /// The names of the tools, in the order of the file.
    #[cfg(test)]
    pub fn names(&self) -> Vec<&str> {
        let rows = self.0.as_object().into_iter().flatten();
        rows.map(|(name, _)| name.as_str()).collect()
    }

    /// Makes this version the newest of a tool.
    pub fn note(&mut self, name: &str, newest: &str) {
        self.0[name]["newest"] = json!(newest);
    }

    /// Writes the file, and returns whether that changed it.
    pub fn write(&self, root: &Path) -> Result<bool> {
        let rows = self.0.as_object().context("an object")?;
        let rows: Vec<String> = rows
            .iter()
            .map(|(name, it)| {
                let (oldest, newest) = (&it["oldest"], &it["newest"]);
                format!("  \"{name}\": {{ \"oldest\": {oldest}, \"newest\": {newest} }}")
            })
            .collect();
        let text = format!("{{\n{}\n}}\n", rows.join(",\n"));
        let file = root.join(FILE);
        let changed = fs::read_to_string(&file)? != text;
        fs::write(file, text)?;
        Ok(changed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_worker_is_configured_for_the_newest_date_that_was_seen_to_work() {
        let root = crate::root();
        let newest = Seen::read(&root).unwrap();
        let newest = newest.version("compatibility date", "newest").unwrap();
        for file in [
            "listings/wrangler.toml",
            "listings/snippets/fetch/wrangler.toml",
            "listings/snippets/object/wrangler.toml",
            "listings/snippets/workflow/wrangler.toml",
            "tests/fixture/wrangler.toml",
        ] {
            let text = fs::read_to_string(root.join(file)).unwrap();
            let wanted = format!("compatibility_date = \"{newest}\"");
            assert!(text.lines().any(|line| line == wanted), "{file}: {wanted}");
        }
    }

    #[test]
    fn writing_what_was_seen_keeps_all_of_it() {
        let root = std::env::temp_dir().join(format!("xtask-seen-{}", std::process::id()));
        fs::create_dir_all(root.join("tests/tools")).unwrap();
        let committed = fs::read_to_string(crate::root().join(FILE)).unwrap();
        fs::write(root.join(FILE), &committed).unwrap();
        let mut seen = Seen::read(&root).unwrap();
        assert!(!seen.write(&root).unwrap());
        seen.note("wrangler", "9.9.9");
        assert!(seen.write(&root).unwrap());
        let changed = fs::read_to_string(root.join(FILE)).unwrap();
        assert_eq!(changed.lines().count(), committed.lines().count());
        assert!(changed.contains("\"newest\": \"9.9.9\""));
        fs::remove_dir_all(root).unwrap();
    }
}
