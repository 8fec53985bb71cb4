//! The set-up: installs what a command needs into the user's cache.

mod browser;
mod cache;
mod cargo_tools;
mod node;
mod npm;
mod packages;
#[cfg(test)]
mod pins;
mod python;
mod unwinding;
pub mod versions;
mod wasm;

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Result, bail};

use crate::run;
use cache::Cache;

pub use cargo_tools::Tools;
pub use npm::{Node, Npm};
pub use unwinding::Unwinding;
use versions::{CARGO_DENY, CARGO_MUTANTS, MDBOOK, MDBOOK_MERMAID, WASM_BINDGEN, WORKER_BUILD};
pub use wasm::Wasm;

/// The set-up of one run: where the checkout is, and where the tools are.
pub struct Setup {
    root: PathBuf,
    cache: Cache,
}

/// `cargo xtask setup`.
pub fn everything(root: &Path) -> Result<()> {
    let begin = Instant::now();
    let setup = Setup::new(root)?;
    eprintln!(
        "tools for worker-sentry, kept in {}",
        setup.cache.root().display()
    );
    setup.lints()?;
    setup.wasm()?;
    if let Err(why) = setup.unwinding() {
        eprintln!("    no Worker that unwinds can be built: {why}");
    }
    setup.all_tools()?;
    setup.npm()?;
    setup.sdk()?;
    setup.bugsink()?;
    setup.spotlight()?;
    setup.chromium()?;
    setup.typed()?;
    eprintln!("set-up complete after {}", run::duration(begin.elapsed()));
    Ok(())
}

impl Setup {
    /// Opens the cache. Nothing is installed yet.
    pub fn new(root: &Path) -> Result<Self> {
        Ok(Self {
            root: root.to_path_buf(),
            cache: Cache::open()?,
        })
    }

    /// rustfmt and clippy.
    pub fn lints(&self) -> Result<()> {
        step("rustfmt, clippy", || {
            let has = |tool: &str| {
                run::output_of(run::command("cargo").args([tool, "--version"])).is_some()
            };
            if has("fmt") && has("clippy") {
                return Ok(((), "ready".to_owned()));
            }
            let mut add = run::command("rustup");
            add.args(["component", "add", "rustfmt", "clippy"]);
            let _ = run::output_of(&mut add);
            if has("fmt") && has("clippy") {
                return Ok(((), "added with rustup".to_owned()));
            }
            bail!(
                "rustfmt or clippy is missing. Type one of:\n  \
                 rustup component add rustfmt clippy\n  \
                 apt-get install rustfmt rust-clippy      (Debian, Ubuntu; Debian 12: {})\n  \
                 dnf install rustfmt clippy               (Fedora)",
                "rust-web-clippy"
            )
        })
    }

    /// A compiler that builds for wasm32.
    pub fn wasm(&self) -> Result<Wasm> {
        step("wasm32 target", || {
            wasm::find_or_make(&self.cache, &self.root)
        })
    }

    /// A compiler for Workers that unwind, or the reason why there is none. A missing compiler is
    /// not an error, because everything else works without it.
    pub fn unwinding(&self) -> std::result::Result<Unwinding, String> {
        let made = step("nightly Rust, to unwind", || {
            Ok(match unwinding::find_or_install(&self.cache) {
                Ok((made, outcome)) => (Ok(made), outcome),
                Err(error) => (Err(format!("{error:#}")), "not available".to_owned()),
            })
        });
        made.unwrap_or_else(|error| Err(format!("{error:#}")))
    }

    /// mdbook and mdbook-mermaid.
    pub fn book_tools(&self) -> Result<Tools> {
        cargo_tools::install(&self.cache, &self.root, &[MDBOOK, MDBOOK_MERMAID])
    }

    /// wasm-bindgen and worker-build.
    pub fn worker_tools(&self) -> Result<Tools> {
        cargo_tools::install(&self.cache, &self.root, &[WASM_BINDGEN, WORKER_BUILD])
    }

    /// wasm-bindgen, for the engine of the laboratory.
    pub fn engine_tools(&self) -> Result<Tools> {
        cargo_tools::install(&self.cache, &self.root, &[WASM_BINDGEN])
    }

    /// cargo-deny.
    pub fn release_tools(&self) -> Result<Tools> {
        cargo_tools::install(&self.cache, &self.root, &[CARGO_DENY])
    }

    /// cargo-mutants.
    pub fn mutants_tools(&self) -> Result<Tools> {
        cargo_tools::install(&self.cache, &self.root, &[CARGO_MUTANTS])
    }

    /// Every tool of the tests that cargo installs. Installed together, the tools share compiled
    /// dependencies.
    pub fn all_tools(&self) -> Result<Tools> {
        let tools = [WASM_BINDGEN, WORKER_BUILD, MDBOOK, MDBOOK_MERMAID];
        cargo_tools::install(&self.cache, &self.root, &tools)
    }

    /// Node.js with npm: the machine's own, or one in the cache if the machine's is too old.
    pub fn node(&self) -> Result<Node> {
        step("Node.js", || node::find_or_install(&self.cache, &self.root))
    }

    /// wrangler with workerd, esbuild, wasm-opt and axe, and the Node.js that runs them.
    pub fn npm(&self) -> Result<Npm> {
        let node = self.node()?;
        step("wrangler, esbuild, wasm-opt", || {
            npm::install(&self.cache, &self.root, &node)
        })
    }

    /// The same tools, in the versions that `package` names instead of the pinned ones.
    pub fn npm_of(&self, node: &Node, package: &serde_json::Value) -> Result<Npm> {
        step("other npm packages", || {
            npm::install_unlocked(&self.cache, node, package)
        })
    }

    /// The folder of the JavaScript SDK. The bench compares the crate with it, and the proof calls
    /// it.
    pub fn sdk(&self) -> Result<PathBuf> {
        let node = self.node()?;
        step("@sentry/cloudflare", || {
            npm::install_sdk(&self.cache, &self.root, &node)
        })
    }

    /// The `bin` folder of the environment with Bugsink and sentry-relay.
    pub fn bugsink(&self) -> Result<PathBuf> {
        step("Bugsink", || python::install(&self.cache, &self.root))
    }

    /// The folder of Spotlight's packages.
    pub fn spotlight(&self) -> Result<PathBuf> {
        let node = self.node()?;
        step("Spotlight", || {
            npm::install_spotlight(&self.cache, &self.root, &node)
        })
    }

    /// The programs besides wrangler that commands in the pages use.
    pub fn typed(&self) -> Result<()> {
        step("curl, git", || {
            let outcome = packages::programs(&self.cache, &["curl", "git"])?;
            Ok(((), outcome))
        })
    }

    /// A Chromium or Chrome that runs without a display.
    pub fn chromium(&self) -> Result<PathBuf> {
        step("Chromium", || {
            browser::find_or_install(&self.cache, &self.root)
        })
    }
}

/// Runs a part of the set-up and prints one line: its name, its result, and the time it took.
fn step<T>(name: &str, work: impl FnOnce() -> Result<(T, String)>) -> Result<T> {
    let begin = Instant::now();
    match work() {
        Ok((value, outcome)) => {
            eprintln!(
                "  {name:<28} {:>7}  {outcome}",
                run::duration(begin.elapsed())
            );
            Ok(value)
        }
        Err(error) => {
            eprintln!("  {name:<28} {:>7}  FAILED", run::duration(begin.elapsed()));
            Err(error)
        }
    }
}

/// The first two numbers of a version in this text.
fn version_of(text: &str) -> Option<(u32, u32)> {
    text.split(|c: char| c.is_whitespace() || c == '-')
        .find_map(|word| {
            let mut numbers = word.trim_start_matches('v').split('.');
            Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
        })
}

#[cfg(test)]
mod tests {
    use super::version_of;

    #[test]
    fn a_version_is_found_in_what_tools_print() {
        assert_eq!(version_of("v20.20.2"), Some((20, 20)));
        assert_eq!(version_of("Python 3.11.7"), Some((3, 11)));
        assert_eq!(
            version_of("rustc 1.95.0 (59807616e 2026-04-14)"),
            Some((1, 95))
        );
        assert_eq!(version_of("none"), None);
    }
}
