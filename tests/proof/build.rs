//! Writes the list of what each module proves: `alarm::trials()` for each `mod alarm;` in
//! `main.rs`. A list of modules that a macro makes would hide their files from `cargo fmt`.

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
