//! The one function that the page calls.

use wasm_bindgen::prelude::wasm_bindgen;

use crate::run::Run;

/// A run from its beginning, as JSON.
///
/// A run is the text of what is done, so that a link can carry it. A word that is unknown is
/// left out.
#[wasm_bindgen]
pub fn show(run: &str) -> String {
    serde_json::to_string(&Run::of(run).view()).unwrap_or_default()
}
