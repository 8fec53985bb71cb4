//! Writes the page again from the committed results.

use std::fs;
use std::process::ExitCode;

fn main() -> ExitCode {
    match write() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn write() -> Result<(), String> {
    let said = |error: &dyn std::fmt::Display| error.to_string();
    let text = fs::read_to_string(bench_page::results_file()).map_err(|error| said(&error))?;
    let results = serde_json::from_str(&text).map_err(|error| said(&error))?;
    let file = bench_page::page_file();
    let page = fs::read_to_string(&file).map_err(|error| said(&error))?;
    let page = bench_page::write(&page, &results)?;
    fs::write(&file, page).map_err(|error| said(&error))
}
