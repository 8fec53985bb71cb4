//! What JavaScript calls.

use std::sync::Once;

use wasm_bindgen::prelude::wasm_bindgen;

use crate::raw;

#[wasm_bindgen(inline_js = "\
    export function keep(raw) {\
        globalThis.coverageOfPanics = [...(globalThis.coverageOfPanics ?? []), raw];\
    }")]
extern "C" {
    /// Leaves a profile where the next instance of the module does not reach it.
    fn keep(raw: Vec<u8>);
}

/// Keeps the counters of an instance that ends by a panic. The hook that was there
/// before runs first, so that its lines count.
#[wasm_bindgen(js_name = armCoverage)]
pub fn arm_coverage() {
    static ARMED: Once = Once::new();
    ARMED.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            before(info);
            keep(raw::take());
        }));
    });
}

/// What has run since the last call, as LLVM's raw profile. The counters start again
/// at zero.
#[wasm_bindgen(js_name = takeCoverage)]
pub fn take_coverage() -> Vec<u8> {
    raw::take()
}
