//! `cargo xtask coverage`: measures which lines of the listings each test runs.
//!
//! The packages of this workspace are compiled with counters (`coverage/rustc.sh`), for this
//! machine and for workerd. Each native test runs in a process of its own. In workerd the proof
//! reads the counters before and after each of its tests (`tests/harness/src/coverage.rs`). LLVM's
//! own tools turn counters into lines.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use book_compiler::measured::{self, Lines, Measured, Numbers};
use book_compiler::proven;
use book_compiler::{Chapter, Listing, link, read};
use clap::ValueEnum;
use serde_json::Value;

use crate::proof::Places;
use crate::run;
use crate::setup::{Npm, Setup, Tools, Wasm};
use crate::test::WORKERS;
use crate::worker::{self, Builder};

const WRAPPER: &str = "xtask/src/coverage/rustc.sh";
/// The module through which the instrumented Workers give out their counters.
const ENTRY: &str = "tests/scripts/coverage";
/// The packages whose native tests are measured.
const NATIVE: [&str; 5] = [
    "worker-sentry",
    "laboratory",
    "listings",
    "snippet-axum",
    "snippet-tunnel",
];
/// The Worker that the book does not show.
const NOT_SHOWN: &str = "stacks";
/// Inputs for property tests: the same in every run, and few.
const INPUTS: [(&str, &str); 2] = [("PROPTEST_RNG_SEED", "1"), ("PROPTEST_CASES", "32")];

/// LLVM's tools that read counters.
struct Llvm {
    bin: PathBuf,
}

/// The counters of one test in one program.
struct Counters {
    test: String,
    is_runtime: bool,
    raw: PathBuf,
    program: PathBuf,
}

/// A part of the measurement that can run alone.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// The native tests. The proof's counters of the last run are used again.
    Native,
    /// No test: lines are computed from the counters of the last run.
    Lines,
}

/// `cargo xtask coverage`.
pub fn coverage(root: &Path, only: Option<Part>) -> Result<()> {
    let begin = Instant::now();
    eprintln!("== set-up");
    let setup = Setup::new(root)?;
    let wasm = setup.wasm()?;
    let llvm = match Llvm::find_or_add(&wasm) {
        Ok(llvm) => llvm,
        Err(why) => {
            eprintln!("  NOT CHECKED: which test runs which line: {why:#}");
            return Ok(());
        }
    };
    let target = root.join("target/coverage");
    let mut said = Instant::now();
    let mut next = |name: &str| {
        eprintln!("\n== {name} (after {})", run::duration(said.elapsed()));
        said = Instant::now();
    };
    let listings = listings();
    let positions = target.join("positions.txt");
    if only.is_none() {
        let (tools, npm) = (setup.worker_tools()?, setup.npm()?);
        let places = Places::without_a_browser(&setup)?;
        next("Workers with counters");
        build(root, &target, &wasm, &tools, &npm)?;
        fs::write(&positions, placed(&listings))?;
        next("the proof, with these Workers");
        proof(root, &target, &npm, &places)?;
    }
    if only != Some(Part::Lines) {
        next("native tests, one to a process");
        native(root, &target)?;
    }
    next("lines");
    // A counter refers to the line number of the time when it was compiled.
    if fs::read_to_string(&positions).is_ok_and(|then| then != placed(&listings)) {
        bail!(
            "a listing has changed or moved since the Workers were built: run `cargo xtask coverage` \
             without --only"
        );
    }
    let mut counters = counted(&target, &native_folder(&target), false)?;
    counters.extend(counted(&target, &proof_folder(&target), true)?);
    let measured = lines(root, &llvm, &listings, &counters)?;
    fs::write(root.join(measured::FILE), measured.written())?;
    let unrun = measured.listings.iter().filter_map(|(key, lines)| {
        let unrun = lines.unrun(|_| true);
        (!unrun.is_empty()).then(|| format!("  {key}: {}", measured::ranges(&unrun, "-")))
    });
    let unrun: Vec<String> = unrun.collect();
    if !unrun.is_empty() {
        eprintln!("  lines that no test ran:\n{}", unrun.join("\n"));
    }
    eprintln!(
        "\nNot measured: macros, symbols, the Worker that unwinds, the code in rustdoc and in \
         the pages.\n\
         {}: {} listings, {} native tests, {} in workerd, after {}",
        measured::FILE,
        measured.listings.len(),
        measured.native.len(),
        measured.runtime.len(),
        run::duration(begin.elapsed())
    );
    Ok(())
}

impl Llvm {
    /// The tools that fit the compiler in use. rustup adds them if they are missing.
    fn find_or_add(wasm: &Wasm) -> Result<Self> {
        let about =
            run::output_of(run::command("rustc").arg("-vV")).context("rustc does not run")?;
        if !about.starts_with(&wasm.version()) {
            bail!("the compiler for wasm32 is another one than that for this machine");
        }
        let host = run::host_in(&about);
        let sysroot = run::output_of(run::command("rustc").args(["--print", "sysroot"]));
        let (Some(host), Some(sysroot)) = (host, sysroot) else {
            bail!("rustc does not say where it is");
        };
        let bin = Path::new(&sysroot)
            .join("lib/rustlib")
            .join(host)
            .join("bin");
        let is_there = || bin.join("llvm-cov").is_file() && bin.join("llvm-profdata").is_file();
        if !is_there() {
            let mut add = run::command("rustup");
            let _ = run::output_of(add.args(["component", "add", "llvm-tools"]));
        }
        if !is_there() {
            bail!("llvm-cov is missing; with rustup it is: rustup component add llvm-tools");
        }
        Ok(Self { bin })
    }

    /// The lines with code of these files, and how often each ran.
    fn lines(&self, counters: &Counters, files: &[PathBuf]) -> Result<String> {
        let data = counters.raw.with_extension("profdata");
        let mut merge = run::command(self.bin.join("llvm-profdata"));
        merge
            .args(["merge", "-sparse", "-o"])
            .arg(&data)
            .arg(&counters.raw);
        output(&mut merge)?;
        let mut export = run::command(self.bin.join("llvm-cov"));
        export
            .args([
                "export",
                "--format=lcov",
                "--skip-functions",
                "-instr-profile",
            ])
            .arg(&data)
            .arg(&counters.program)
            .arg("--sources")
            .args(files);
        let lines = output(&mut export)?;
        fs::remove_file(data)?;
        Ok(lines)
    }
}

fn output(command: &mut Command) -> Result<String> {
    let output = command.output()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("`{}` failed: {}", run::shown(command), said.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Every Rust listing of the book, once.
pub fn listings() -> BTreeMap<String, Listing> {
    let mut listings = BTreeMap::new();
    for page in Chapter::all() {
        for fence in page.fences() {
            if let Ok(listing) = Listing::of(&page, &fence)
                && listing.file.ends_with(".rs")
            {
                listings.insert(listing.key(), listing);
            }
        }
    }
    listings
}

fn instrumented(root: &Path, target: &Path, command: &mut Command) {
    command
        .env("CARGO_TARGET_DIR", target)
        .env("RUSTC_WORKSPACE_WRAPPER", root.join(WRAPPER))
        // With link-time optimisation the linker fails on LLVM's map from counters to lines.
        .env("CARGO_PROFILE_RELEASE_LTO", "off")
        .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16");
}

/// Runs each native test in a process of its own.
fn native(root: &Path, target: &Path) -> Result<()> {
    let folder = emptied(native_folder(target))?;
    let mut cargo = run::command("cargo");
    cargo.current_dir(root).args(["test", "--no-run", "--lib"]);
    cargo.arg("--message-format=json-render-diagnostics");
    for package in NATIVE {
        cargo.args(["-p", package]);
    }
    instrumented(root, target, &mut cargo);
    let mut tests = Vec::new();
    for Built { program, package } in built_tests(&mut cargo)? {
        let mut list = run::command(&program);
        list.args(["--list", "--format", "terse"])
            .current_dir(&package);
        list.env("LLVM_PROFILE_FILE", "/dev/null");
        for test in output(&mut list)?
            .lines()
            .filter_map(|it| it.strip_suffix(": test"))
        {
            tests.push((program.clone(), package.clone(), test.to_owned()));
        }
    }
    each(&tests, |index, (program, package, test)| {
        let raw = folder.join(format!("{index}.profraw"));
        let mut run = run::command(program);
        run.args([test, "--exact", "--quiet"]).current_dir(package);
        run.env("LLVM_PROFILE_FILE", &raw);
        run.envs(INPUTS).envs([proven::AHEAD]);
        if !run.output()?.status.success() {
            eprintln!("  left out, it failed: {test}");
            return Ok(());
        }
        let name = proven::native_name(package.strip_prefix(root).unwrap_or(package), test);
        let of = format!("{}\n{name}\n", program.display());
        Ok(fs::write(raw.with_extension("of"), of)?)
    })?;
    Ok(())
}

/// A program with tests, and its package's folder.
pub struct Built {
    pub program: PathBuf,
    pub package: PathBuf,
}

/// Builds programs with tests by a command that prints each artifact as JSON.
pub fn built_tests(cargo: &mut Command) -> Result<Vec<Built>> {
    let built = cargo.stderr(Stdio::inherit()).output()?;
    if !built.status.success() {
        bail!("`{}` failed", run::shown(cargo));
    }
    let mut programs = Vec::new();
    for line in String::from_utf8_lossy(&built.stdout).lines() {
        let artifact: Value = serde_json::from_str(line)?;
        let text = |name: &str| artifact[name].as_str().map(PathBuf::from);
        if let Some((program, manifest)) = text("executable").zip(text("manifest_path"))
            && artifact["profile"]["test"] == true
        {
            let package = manifest.parent().context("a manifest is in a folder")?;
            programs.push(Built {
                program,
                package: package.to_owned(),
            });
        }
    }
    Ok(programs)
}

fn native_folder(target: &Path) -> PathBuf {
    target.join("counters/native")
}

fn proof_folder(target: &Path) -> PathBuf {
    target.join("counters/proof")
}

fn emptied(folder: PathBuf) -> Result<PathBuf> {
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// Each listing's lines with their numbers.
fn placed(listings: &BTreeMap<String, Listing>) -> String {
    let mut placed = String::new();
    for (key, listing) in listings {
        placed += &format!("{key}\n");
        let text = read(&listing.file);
        for (number, line) in listing.shown(&text) {
            placed += &format!("{number} {line}\n");
        }
    }
    placed
}

/// The counters in a folder. Beside each file of counters another one names the program or the
/// Worker, and the test.
fn counted(target: &Path, folder: &Path, is_runtime: bool) -> Result<Vec<Counters>> {
    let mut found = Vec::new();
    let mut failed = BTreeSet::new();
    let entries = fs::read_dir(folder)
        .context("nothing was counted yet: run `cargo xtask coverage` without --only")?;
    for entry in entries.flatten() {
        let of = entry.path();
        if of.extension().is_none_or(|it| it != "of") {
            continue;
        }
        let text = fs::read_to_string(&of)?;
        let (program, test) = text
            .trim()
            .split_once('\n')
            .context("a program and a test")?;
        if program == "failed" {
            failed.insert(test.to_owned());
            continue;
        }
        let worker = shown().find(|it| it.0 == program);
        let program = match worker {
            Some((_, package, _)) => target
                .join("wasm32-unknown-unknown/release")
                .join(format!("{}.wasm", package.replace('-', "_"))),
            None if is_runtime => continue,
            None => PathBuf::from(program),
        };
        found.push(Counters {
            test: test.to_owned(),
            is_runtime,
            raw: of.with_extension("profraw"),
            program,
        });
    }
    found.retain(|counters| !failed.contains(&counters.test));
    if found.is_empty() {
        bail!("no test left counters: look at the failures above");
    }
    Ok(found)
}

/// The Workers that a page shows: the name in the proof, the package and its folder.
fn shown() -> impl Iterator<Item = (String, &'static str, &'static str)> {
    let shown = WORKERS.into_iter().filter(|it| it.0 != NOT_SHOWN);
    shown.map(|(package, folder)| (package.replacen("snippet-", "snippet ", 1), package, folder))
}

/// The folder of a Worker with counters, below the folder of all such Workers.
fn place(name: &str) -> String {
    match name.split_once(' ') {
        Some((_, snippet)) => format!("snippets/{snippet}/build"),
        None => name.to_owned(),
    }
}

fn build(root: &Path, target: &Path, wasm: &Wasm, tools: &Tools, npm: &Npm) -> Result<()> {
    let workers = target.join("workers");
    let builder = Builder { wasm, tools, npm };
    for (name, _, folder) in shown() {
        let package = root.join(folder);
        let up = "../".repeat(Path::new(folder).components().count());
        let below = workers.strip_prefix(root)?.join(place(&name));
        let out = format!("{up}{}", below.display());
        let mut command = builder.command_unoptimized((&package, &out, &[]));
        instrumented(root, target, &mut command);
        worker::run_quietly(&name, command)?;
        let made = workers.join(place(&name));
        fs::rename(made.join("index.js"), made.join("built.js"))?;
        for file in ["index.js", "instances.js"] {
            fs::copy(root.join(ENTRY).join(file), made.join(file))?;
        }
    }
    Ok(())
}

/// Runs the tests of the proof that use these Workers.
fn proof(root: &Path, target: &Path, npm: &Npm, places: &Places) -> Result<()> {
    let counters = emptied(proof_folder(target))?;
    let mut command = places.proof(root, npm, &[])?;
    let workers = target.join("workers");
    command.env("PROOF_LISTINGS", workers.join("listings"));
    command.env("PROOF_FIXTURE", workers.join("fixture"));
    command.env("PROOF_SNIPPETS", workers.join("snippets"));
    command.env_remove("PROOF_FIXTURE_UNWIND");
    command.env("PROOF_COVERAGE", &counters);
    // A test that fails with counters is left out of the measurement. The proof itself runs it
    // without counters.
    if !command.status()?.success() {
        eprintln!("  a test that failed with counters is left out");
    }
    Ok(())
}

/// Finds which tests ran which lines of the listings.
fn lines(
    root: &Path,
    llvm: &Llvm,
    listings: &BTreeMap<String, Listing>,
    counters: &[Counters],
) -> Result<Measured> {
    let files: BTreeSet<&str> = listings.values().map(|it| it.file.as_str()).collect();
    let paths: Vec<PathBuf> = files.iter().map(|file| root.join(file)).collect();
    let found = each(counters, |_, counters| {
        let lines = llvm.lines(counters, &paths)?;
        Ok(parsed(root, &lines))
    })?;
    let mut names = [BTreeSet::new(), BTreeSet::new()];
    // For each listing, the lines that each test ran.
    let mut ran: BTreeMap<&str, BTreeMap<(bool, &str), Numbers>> = BTreeMap::new();
    let mut measured = Measured::default();
    for (key, listing) in listings {
        let text = read(&listing.file);
        let shown = listing.shown(&text);
        let mut code = Numbers::new();
        for (counters, files) in counters.iter().zip(&found) {
            let Some(lines) = files.get(&listing.file) else {
                continue;
            };
            let within = shown.iter().enumerate();
            let within =
                within.filter_map(|(index, (line, _))| Some((index + 1, *lines.get(line)?)));
            let within: Vec<(usize, bool)> = within.collect();
            code.extend(within.iter().map(|it| it.0));
            let these: Numbers = within.iter().filter(|it| it.1).map(|it| it.0).collect();
            if !these.is_empty() {
                names[usize::from(counters.is_runtime)].insert(counters.test.clone());
                let tests = ran.entry(key).or_default();
                let test = (counters.is_runtime, counters.test.as_str());
                tests.entry(test).or_default().extend(these);
            }
        }
        let text = measured::text_of(&shown);
        let lines = Lines {
            text,
            code,
            ran: BTreeMap::new(),
        };
        measured.listings.insert(key.clone(), lines);
    }
    let [native, runtime] = names.map(Vec::from_iter);
    for (key, tests) in ran {
        let lines = measured.listings.get_mut(key).context("a listing")?;
        for ((is_runtime, test), these) in tests {
            let list = if is_runtime { &runtime } else { &native };
            let at = list
                .binary_search_by(|it| it.as_str().cmp(test))
                .ok()
                .context("a test")?;
            let number = at + if is_runtime { native.len() } else { 0 };
            lines.ran.entry(these).or_default().insert(number);
        }
    }
    (measured.native, measured.runtime) = (native, runtime);
    Ok(measured)
}

/// The lines with code of each file, and whether each line ran.
type Files = BTreeMap<String, BTreeMap<usize, bool>>;

/// Reads what llvm-cov exports as lcov: `SF:file`, then `DA:line,count` for each line of code.
fn parsed(root: &Path, lcov: &str) -> Files {
    let mut files = Files::new();
    let mut file = String::new();
    for line in lcov.lines() {
        if let Some(path) = line.strip_prefix("SF:") {
            let below = Path::new(path)
                .strip_prefix(root)
                .unwrap_or(Path::new(path));
            file = link(below);
        } else if let Some(counted) = line.strip_prefix("DA:") {
            let mut numbers = counted.split(',').map(str::parse::<usize>);
            if let (Some(Ok(line)), Some(Ok(count))) = (numbers.next(), numbers.next()) {
                files
                    .entry(file.clone())
                    .or_default()
                    .insert(line, count > 0);
            }
        }
    }
    files
}

/// Calls a function for each item, on all cores, and returns the results in the order of the items.
fn each<T: Sync, R: Send>(
    all: &[T],
    work: impl Fn(usize, &T) -> Result<R> + Sync,
) -> Result<Vec<R>> {
    let waiting = Mutex::new(all.iter().enumerate());
    let next = || waiting.lock().ok()?.next();
    let done = Mutex::new(BTreeMap::new());
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some((index, it)) = next() {
                    let result = work(index, it);
                    if let Ok(mut done) = done.lock() {
                        done.insert(index, result);
                    }
                }
            });
        }
    });
    let done = done
        .into_inner()
        .map_err(|_| anyhow::anyhow!("a thread panicked"))?;
    done.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_code_ran_if_it_was_counted() {
        let lcov = "SF:/w/a/b.rs\nDA:3,0\nDA:4,12\nBRF:0\nend_of_record\nSF:/w/c.rs\nDA:1,1\n";
        let files = parsed(Path::new("/w"), lcov);
        assert_eq!(files["a/b.rs"], [(3, false), (4, true)].into());
        assert_eq!(files["c.rs"], [(1, true)].into());
    }

    #[test]
    fn what_is_done_for_each_comes_back_in_order_and_a_failure_is_one() {
        let numbers: Vec<usize> = (0..100).collect();
        assert_eq!(each(&numbers, |index, it| Ok(index + it)).unwrap()[99], 198);
        assert!(each(&numbers, |_, it| if *it == 7 { bail!("7") } else { Ok(()) }).is_err());
    }
}
