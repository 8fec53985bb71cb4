//! The program that mdBook starts through `cargo xtask`: the preprocessor and the renderer `site`.

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match arguments.as_slice() {
        ["preprocess"] => book_compiler::preprocess::preprocess(),
        ["site", engine] => book_compiler::site::site(Path::new(engine)),
        _ => Err(anyhow::anyhow!(
            "`cargo xtask preprocess` and `cargo xtask site` start this program"
        )),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nerror: {error:#}");
            ExitCode::FAILURE
        }
    }
}
