//! What wasm-opt is told of the runtime. The bench of this repository reads it, too.

/// What workerd can run of WebAssembly's extensions: what worker-build allows wasm-opt to use.
pub(crate) const FEATURES: [&str; 7] = [
    "--enable-mutable-globals",
    "--enable-sign-ext",
    "--enable-nontrapping-float-to-int",
    "--enable-bulk-memory",
    "--enable-multivalue",
    "--enable-reference-types",
    "--enable-exception-handling",
];
