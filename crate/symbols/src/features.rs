//! The options that describe the runtime to wasm-opt. The bench of this repository uses them, too.

/// Options of wasm-opt: the extensions of WebAssembly that workerd can run. worker-build allows
/// the same ones.
pub const FEATURES: [&str; 7] = [
    "--enable-mutable-globals",
    "--enable-sign-ext",
    "--enable-nontrapping-float-to-int",
    "--enable-bulk-memory",
    "--enable-multivalue",
    "--enable-reference-types",
    "--enable-exception-handling",
];
