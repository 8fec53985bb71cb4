//! The machine and the versions of a run.

use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread::available_parallelism;

use bench_page::Fact;
use harness::environment;
use serde_json::Value;

/// Today, as `2026-11-24`.
pub fn today() -> String {
    let date = Command::new("date").args(["-u", "+%Y-%m-%d"]).output();
    let date = date.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    date.unwrap_or_default()
}

/// Facts about the machine. A fact that the machine does not provide is left out.
pub fn facts() -> Vec<Fact> {
    let cores = available_parallelism().ok().map(|cores| cores.to_string());
    [
        ("Processor", processor()),
        ("Cores", cores),
        ("Memory", memory()),
        ("System", system()),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some(fact(name, value?)))
    .collect()
}

/// The versions of the programs that ran, and of those that built them.
pub fn versions() -> Vec<Fact> {
    let crates = ["worker-sentry", "worker", "sentry-core", "wasm-bindgen"];
    let crates = crates.map(|name| (name, locked(name)));
    let tools = environment::path("PROOF_NPM");
    let sdk = environment::path("BENCH_SDK");
    let packages = [
        ("@sentry/cloudflare", package(&sdk, "@sentry/cloudflare")),
        ("workerd", package(&tools, "workerd")),
        ("wrangler", package(&tools, "wrangler")),
        ("esbuild", package(&tools, "esbuild")),
        ("binaryen", package(&tools, "binaryen")),
    ];
    let rustc = env::var("BENCH_RUSTC").ok();
    let rustc = rustc.and_then(|text| Some(text.split(' ').nth(1)?.to_owned()));
    crates
        .into_iter()
        .chain(packages)
        .chain([("rustc", rustc)])
        .filter_map(|(name, value)| Some(fact(name, value?)))
        .collect()
}

fn fact(name: &str, value: String) -> Fact {
    Fact {
        name: name.to_owned(),
        value,
    }
}

fn processor() -> Option<String> {
    let info = fs::read_to_string("/proc/cpuinfo").ok();
    let of_linux = info.as_deref().and_then(|info| after(info, "model name"));
    of_linux.or_else(|| said("sysctl", &["-n", "machdep.cpu.brand_string"]))
}

fn memory() -> Option<String> {
    let info = fs::read_to_string("/proc/meminfo").ok();
    let kib = info.as_deref().and_then(|info| after(info, "MemTotal"));
    let kib = kib.and_then(|text| text.strip_suffix("kB")?.trim().parse::<f64>().ok());
    let bytes = || said("sysctl", &["-n", "hw.memsize"])?.parse::<f64>().ok();
    let gib = match kib {
        Some(kib) => kib / 1024.0 / 1024.0,
        None => bytes()? / 1024.0 / 1024.0 / 1024.0,
    };
    Some(format!("{gib:.0} GiB"))
}

fn system() -> Option<String> {
    let release = fs::read_to_string("/etc/os-release").ok();
    let name = release.as_deref().and_then(|text| {
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
        Some(line.trim_matches('"').to_owned())
    });
    name.or_else(|| said("uname", &["-sr"]))
}

/// The text after the colon in the first line that begins with this name.
fn after(text: &str, name: &str) -> Option<String> {
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn said(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    (output.status.success() && !text.is_empty()).then_some(text)
}

fn locked(name: &str) -> Option<String> {
    let lock = fs::read_to_string(environment::workspace().join("Cargo.lock")).ok()?;
    let lock: toml::Table = lock.parse().ok()?;
    let packages = lock.get("package")?.as_array()?;
    let found = packages
        .iter()
        .find(|package| package["name"].as_str() == Some(name))?;
    Some(found.get("version")?.as_str()?.to_owned())
}

fn package(modules: &Path, name: &str) -> Option<String> {
    let file = modules.join(name).join("package.json");
    let package: Value = serde_json::from_str(&fs::read_to_string(file).ok()?).ok()?;
    Some(package["version"].as_str()?.to_owned())
}
