//! The Rust blocks that are written into pages: how they are found, and what they
//! are known by.
//!
//! Both the checks of the pages and the build script of the package `pages`, which
//! has `skeptic` make tests of them, compile this file.

/// What such a block may be. Each is compiled, and run unless it says otherwise.
pub const KINDS: [&str; 3] = ["rust", "rust,no_run", "rust,should_panic"];

/// What a block is known by among the tests. It changes with every change to the
/// block: a test of an older text proves nothing.
pub fn key(body: &[&str]) -> String {
    // FNV-1a.
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for byte in body.iter().flat_map(|line| line.bytes().chain([b'\n'])) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    format!("block_{hash:016x}")
}

/// `hosts/main.md` is `hosts_main` among the tests.
pub fn module(page: &str) -> String {
    page.trim_end_matches(".md").replace(['/', '-'], "_")
}
