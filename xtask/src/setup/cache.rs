//! The user's cache: the folder of the tools, outside of the checkout.
//!
//! Every tool has a folder whose name contains its version, so that two versions never mix. A stamp
//! file is written last. A folder without a stamp comes from an interrupted installation and is
//! made again.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

const STAMP: &str = ".complete";

/// The folder that holds all tools.
#[derive(Clone)]
pub struct Cache {
    root: PathBuf,
}

/// A lock that is held during an installation. Other runs wait for it.
pub struct Lock {
    _file: File,
}

impl Cache {
    /// `$WORKER_SENTRY_CACHE`, or the platform's cache folder.
    pub fn open() -> Result<Self> {
        let variable = |name: &str| {
            std::env::var_os(name)
                .filter(|value| !value.is_empty())
                .map(PathBuf::from)
        };
        let root = match variable("WORKER_SENTRY_CACHE") {
            Some(folder) => folder,
            None => match (variable("XDG_CACHE_HOME"), cfg!(target_os = "macos")) {
                (Some(folder), _) => folder,
                (None, mac) => {
                    let home = std::env::home_dir().context(
                        "no home directory: set WORKER_SENTRY_CACHE to a folder for the tools",
                    )?;
                    home.join(if mac { "Library/Caches" } else { ".cache" })
                }
            }
            .join("worker-sentry"),
        };
        fs::create_dir_all(&root)
            .with_context(|| format!("cannot create the tool cache {}", root.display()))?;
        let root = root.canonicalize()?;
        Ok(Self { root })
    }

    /// The cache's own folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The folder of one tool.
    pub fn folder(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// Where the output of an installation goes.
    pub fn log(&self, name: &str) -> PathBuf {
        self.root.join("logs").join(format!("{name}.log"))
    }

    /// Whether this tool was installed to the end.
    pub fn is_complete(&self, name: &str) -> bool {
        self.folder(name).join(STAMP).is_file()
    }

    /// Waits until no other run installs anything.
    pub fn lock(&self) -> Result<Lock> {
        let path = self.root.join("lock");
        let file = File::options().create(true).append(true).open(&path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                eprintln!(
                    "    another run installs tools into {}; waiting for it",
                    self.root.display()
                );
                file.lock()?;
            }
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("cannot lock {}", path.display()));
            }
        }
        Ok(Lock { _file: file })
    }

    /// Makes a tool's folder with `install`, unless the folder is there. The caller holds the lock.
    /// The remains of an interrupted run are removed first.
    pub fn once(
        &self,
        _lock: &Lock,
        name: &str,
        install: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<PathBuf> {
        let folder = self.folder(name);
        if !self.is_complete(name) {
            if folder.exists() {
                fs::remove_dir_all(&folder)?;
            }
            fs::create_dir_all(&folder)?;
            install(&folder)?;
            File::create(folder.join(STAMP))?;
        }
        Ok(folder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache(name: &str) -> Cache {
        let root = std::env::temp_dir().join(format!("xtask-cache-{name}-{}", std::process::id()));
        fs::create_dir_all(&root).unwrap();
        Cache { root }
    }

    #[test]
    fn a_complete_tool_is_not_installed_again() {
        let cache = cache("complete");
        let lock = cache.lock().unwrap();
        let mut runs = 0;
        for _ in 0..2 {
            cache
                .once(&lock, "tool-1.0", |_| {
                    runs += 1;
                    Ok(())
                })
                .unwrap();
        }
        assert_eq!(runs, 1);
        fs::remove_dir_all(cache.root()).unwrap();
    }

    #[test]
    fn an_interrupted_installation_is_made_again_from_nothing() {
        let cache = cache("interrupted");
        let lock = cache.lock().unwrap();
        let broken = cache.once(&lock, "tool-1.0", |folder| {
            fs::write(folder.join("half"), "")?;
            anyhow::bail!("no network")
        });
        assert!(broken.is_err() && !cache.is_complete("tool-1.0"));
        let folder = cache.once(&lock, "tool-1.0", |_| Ok(())).unwrap();
        assert!(cache.is_complete("tool-1.0") && !folder.join("half").exists());
        fs::remove_dir_all(cache.root()).unwrap();
    }
}
