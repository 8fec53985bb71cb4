//! Writes the list of all tests: `alarm::trials()` for each `mod alarm;` in `main.rs`. If a macro
//! declared the modules, `cargo fmt` would not find their files.

use std::path::Path;
use std::{env, fs};

fn main() {
    const MAIN: &str = "proof/main.rs";
    println!("cargo::rerun-if-changed={MAIN}");
    let main = fs::read_to_string(MAIN).expect("the proof");
    let modules = main
        .lines()
        .filter_map(|line| line.strip_prefix("mod ")?.strip_suffix(';'));
    let trials: String = modules.map(|it| format!("{it}::trials(), ")).collect();
    let folder = env::var_os("OUT_DIR").expect("cargo's folder");
    fs::write(Path::new(&folder).join("trials.rs"), format!("[{trials}]")).expect("written");
}
