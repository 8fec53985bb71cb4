//! Gives libFuzzer's inputs to one reader, which `FUZZ_READER` names.

#![no_main]

use std::sync::LazyLock;

libfuzzer_sys::fuzz_target!(|data: &[u8]| READER(data));

static READER: LazyLock<fuzz::Reader> = LazyLock::new(|| {
    let name = std::env::var("FUZZ_READER").unwrap_or_default();
    fuzz::reader(&name).unwrap_or_else(|| panic!("there is no reader {name:?}"))
});
