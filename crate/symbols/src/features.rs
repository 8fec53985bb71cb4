//! What wasm-opt is told of the runtime. The bench of this repository reads it, too.

/// Options of wasm-opt: what workerd can run of WebAssembly's extensions, which is what
/// worker-build allows it to use.
pub const FEATURES: [&str; 7] = [
    "--enable-mutable-globals",
    "--enable-sign-ext",
    "--enable-nontrapping-float-to-int",
    "--enable-bulk-memory",
    "--enable-multivalue",
    "--enable-reference-types",
    "--enable-exception-handling",
];
