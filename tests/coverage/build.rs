//! Keeps the names of functions that nothing calls.

fn main() {
    // `llvm-cov` wants the name of every function that the coverage map has. The linker
    // drops the names of those that nothing calls, but keeps their maps.
    println!("cargo::rustc-link-arg-cdylib=--no-gc-sections");
    println!("cargo::rerun-if-changed=build.rs");
}
