//! `cargo xtask test`: runs every check of the project, in stages.

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use book_compiler::anchors::New;
use book_compiler::proven::{self, Part, Record};
use clap::ValueEnum;

use crate::proof::{Places, UNCHECKED, UNWINDING};
use crate::seen::Seen;
use crate::setup::{Npm, Setup, Tools, Unwinding, Wasm};
use crate::worker::{self, Builder, Job};
use crate::{book, run};

/// A part of the tests that can run alone.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Stage {
    /// Formatting: cargo fmt --check.
    Format,
    /// Lints of the whole workspace, for this machine.
    Clippy,
    /// Lints of what runs in the Worker, for wasm32.
    ClippyWasm,
    /// The documentation, without warnings.
    Rustdoc,
    /// What plain `cargo test` runs.
    Native,
    /// Builds the Workers with worker-build.
    Worker,
    /// Renders the book.
    Book,
    /// The real runtime, the real receiver, the real browser.
    Proof,
}

impl Stage {
    fn name(self) -> String {
        self.to_possible_value()
            .expect("no stage is hidden")
            .get_name()
            .to_owned()
    }

    /// Whether the stage runs tests, or makes what tests need.
    fn takes_part_with_a_filter(self) -> bool {
        matches!(self, Self::Native | Self::Worker | Self::Book | Self::Proof)
    }
}

/// `cargo xtask test`.
pub fn test(root: &Path, filter: Option<&str>, only: Option<Stage>, record: bool) -> Result<()> {
    let stages: Vec<Stage> = Stage::value_variants()
        .iter()
        .copied()
        .filter(|stage| match only {
            Some(only) => *stage == only,
            None => filter.is_none() || stage.takes_part_with_a_filter(),
        })
        .collect();
    let mut times = Vec::new();
    let mut run = Run {
        root,
        filter,
        record,
        ready: None,
    };

    let begin = Instant::now();
    eprintln!("== set-up");
    run.ready = Some(Ready::for_stages(root, &stages)?);
    times.push(("set-up".to_owned(), begin.elapsed()));

    for (index, stage) in stages.iter().enumerate() {
        let name = stage.name();
        eprintln!("\n== {name} ({} of {})", index + 1, stages.len());
        let begin = Instant::now();
        let summary = run.stage(*stage);
        times.push((name.clone(), begin.elapsed()));
        let summary = summary.map_err(|error| {
            table(&times, true);
            let filter = filter.map(|text| format!(" {text}")).unwrap_or_default();
            anyhow!(
                "{error:#}\n\nThe stage `{name}` failed. Run it alone with:\n  \
                 cargo xtask test --stage {name}{filter}"
            )
        })?;
        eprintln!("== {name}: {}", run::duration(begin.elapsed()));
        if index + 1 == stages.len() {
            table(&times, false);
            // This line is the last one, as CONTRIBUTING.md says.
            println!("{summary}");
        }
    }
    Ok(())
}

fn table(times: &[(String, Duration)], failed: bool) {
    eprintln!("\n  stage           duration");
    for (index, (name, time)) in times.iter().enumerate() {
        let mark = if failed && index + 1 == times.len() {
            "  FAILED"
        } else {
            ""
        };
        eprintln!("  {name:<14} {:>9}{mark}", run::duration(*time));
    }
    let total = times.iter().map(|(_, time)| *time).sum();
    eprintln!("  {:<14} {:>9}\n", "total", run::duration(total));
}

/// The results of the set-up, as far as the stages need them.
struct Ready {
    wasm: Option<Wasm>,
    /// A compiler that unwinds, or the reason why there is none.
    unwinding: Option<Result<Unwinding, String>>,
    tools: Option<Tools>,
    npm: Option<Npm>,
    places: Places,
}

impl Ready {
    fn for_stages(root: &Path, stages: &[Stage]) -> Result<Self> {
        let setup = Setup::new(root)?;
        let any = |wanted: &[Stage]| stages.iter().any(|stage| wanted.contains(stage));
        if any(&[Stage::Format, Stage::Clippy, Stage::ClippyWasm]) {
            setup.lints()?;
        }
        let worker = any(&[Stage::Worker]);
        let book = any(&[Stage::Book]);
        let proof = any(&[Stage::Proof]);
        let wasm = any(&[Stage::ClippyWasm, Stage::Worker])
            .then(|| setup.wasm())
            .transpose()?;
        let tools = match (worker, book || proof) {
            (true, true) => Some(setup.all_tools()?),
            (true, false) => Some(setup.worker_tools()?),
            (false, true) => Some(setup.book_tools()?),
            (false, false) => None,
        };
        let places = match proof {
            true => Places::without_a_browser(&setup)?,
            false => Places::default(),
        };
        Ok(Self {
            wasm,
            unwinding: worker.then(|| setup.unwinding()),
            npm: (worker || proof).then(|| setup.npm()).transpose()?,
            places: Places {
                chromium: proof.then(|| setup.chromium()).transpose()?,
                mdbook: tools.as_ref().map(|tools| tools.bin.clone()),
                ..places
            },
            tools,
        })
    }
}

/// The packages that run in a Worker, besides the crate itself, and their folders.
pub const WORKERS: [(&str, &str); 10] = [
    ("listings", "listings"),
    ("fixture", "tests/fixture"),
    ("stacks", "tests/stacks"),
    ("snippet-axum", "listings/snippets/axum"),
    ("snippet-object", "listings/snippets/object"),
    ("snippet-workflow", "listings/snippets/workflow"),
    ("snippet-fetch", "listings/snippets/fetch"),
    ("snippet-drill", "listings/snippets/drill"),
    ("snippet-router", "listings/snippets/router"),
    ("snippet-tunnel", "listings/snippets/tunnel"),
];

/// The Worker whose build is split a second time, optimised: the package's folder, and the folder
/// below it for the second output.
const OPTIMIZED: (&str, &str) = ("tests/stacks", "build-optimized");

/// The package whose features are Workers with one capability of the crate each.
const CAPABILITIES: &str = "tests/capabilities";

/// The Workers of that package: the folder for the output, and the feature. The one without a
/// feature is the smallest, and the others are compared with it.
const EACH: [(&str, &[&str]); 15] = [
    ("build", &[]),
    ("build-ambient", &["ambient"]),
    ("build-attribute", &["attribute"]),
    ("build-axum", &["axum"]),
    ("build-before-send", &["before-send"]),
    ("build-before-send-log", &["before-send-log"]),
    ("build-limit-repeats", &["limit-repeats"]),
    ("build-logs", &["logs"]),
    // The feature is on, but the Worker writes no log.
    ("build-logs-unused", &["worker-sentry/logs"]),
    ("build-monitors", &["monitors"]),
    ("build-request", &["request"]),
    ("build-router", &["router"]),
    ("build-spans", &["spans"]),
    ("build-tracing", &["tracing"]),
    // The feature is on, but the Worker makes no span of its own.
    ("build-transactions", &["worker-sentry/spans"]),
];

struct Run<'a> {
    root: &'a Path,
    filter: Option<&'a str>,
    /// Whether to write down what the tests prove.
    record: bool,
    ready: Option<Ready>,
}

/// For `expect`: the set-up has prepared what each chosen stage needs.
const SET_UP: &str = "the set-up covers this stage";

impl Run<'_> {
    fn ready(&self) -> &Ready {
        self.ready.as_ref().expect(SET_UP)
    }

    /// Runs one stage; returns the test runner's last summary.
    fn stage(&self, stage: Stage) -> Result<String> {
        match stage {
            Stage::Format => self.plain(self.cargo().args(["fmt", "--all", "--check"])),
            Stage::Clippy => self.plain(self.cargo().args([
                "clippy",
                "--workspace",
                "--all-targets",
                "--",
                "-D",
                "warnings",
            ])),
            Stage::ClippyWasm => self.clippy_wasm(),
            Stage::Rustdoc => self.plain(
                self.cargo()
                    .args(["doc", "--workspace", "--no-deps"])
                    .env("RUSTDOCFLAGS", "-D warnings"),
            ),
            Stage::Native => self.native(),
            Stage::Worker => self.workers(),
            Stage::Book => {
                let tools = self.ready().tools.as_ref().expect(SET_UP);
                let new = if self.record { New::Tell } else { New::Refuse };
                book::render(self.root, tools, new)?;
                Ok(String::new())
            }
            Stage::Proof => self.proof(),
        }
    }

    fn cargo(&self) -> Command {
        let mut command = run::command("cargo");
        command.current_dir(self.root);
        command
    }

    fn plain(&self, command: &mut Command) -> Result<String> {
        run::inherited(command)?;
        Ok(String::new())
    }

    fn native(&self) -> Result<String> {
        let mut command = self.cargo();
        command.arg("test").args(self.filter).envs(self.recording());
        let output = heard(&mut command)?;
        self.settle(Part::Native, &Record::of_native(&output))?;
        Ok(summary(&output))
    }

    /// The variable that tells the checks of the pages that the record is being made.
    fn recording(&self) -> Option<(&'static str, &'static str)> {
        self.record.then_some(proven::AHEAD)
    }

    /// Compares what the tests proved with the record, if no filter left out tests.
    fn settle(&self, part: Part, seen: &Record) -> Result<()> {
        if self.filter.is_some() {
            return Ok(());
        }
        proven::settle(part, seen, self.record)
    }

    fn clippy_wasm(&self) -> Result<String> {
        let mut command = self.ready().wasm.as_ref().expect(SET_UP).cargo();
        command
            .current_dir(self.root)
            .args(["clippy", "-p", "worker-sentry"]);
        for (package, _) in WORKERS {
            command.args(["-p", package]);
        }
        command.args(["-p", "capabilities"]);
        // Only the bench builds this package.
        command.args(["-p", "bench-worker", "--features", "bench-worker/workflow"]);
        command.args(["--target", "wasm32-unknown-unknown", "--", "-D", "warnings"]);
        self.plain(&mut command)
    }

    fn workers(&self) -> Result<String> {
        let ready = self.ready();
        let builder = Builder {
            wasm: ready.wasm.as_ref().expect(SET_UP),
            tools: ready.tools.as_ref().expect(SET_UP),
            npm: ready.npm.as_ref().expect(SET_UP),
        };
        let builder = &builder;
        let capabilities = &self.root.join(CAPABILITIES);
        let mut jobs: Vec<Job<'_>> = Vec::new();
        // Another compiler needs another target directory, so these builds can run beside all
        // others. They take the longest and are the first.
        match ready.unwinding.as_ref().expect(SET_UP) {
            Ok(unwinding) => jobs.push(Box::new(move || {
                UNWINDING.iter().try_for_each(|(folder, output, _)| {
                    builder.build_unwinding(&self.root.join(folder), output, unwinding)
                })
            })),
            Err(why) => {
                for (folder, output, _) in UNWINDING {
                    // The build of an earlier compiler would prove nothing about this one.
                    let _ = std::fs::remove_dir_all(self.root.join(folder).join(output));
                    eprintln!("  {UNCHECKED}: {why}");
                }
            }
        }
        let (optimized, second) = OPTIMIZED;
        for (_, folder) in WORKERS {
            let folder = self.root.join(folder);
            jobs.push(match folder.ends_with(optimized) {
                true => Box::new(move || builder.build_twice(&folder, "build", second)),
                false => Box::new(move || builder.build_quietly((&folder, "build", &[]))),
            });
        }
        for (output, feature) in EACH {
            let build = (capabilities.as_path(), output, feature);
            jobs.push(Box::new(move || builder.build_quietly(build)));
        }
        worker::run_all(jobs)?;
        Ok(String::new())
    }

    fn proof(&self) -> Result<String> {
        let ready = self.ready();
        let npm = ready.npm.as_ref().expect(SET_UP);
        let (folder, second) = OPTIMIZED;
        let workers = WORKERS.map(|(_, folder)| (format!("{folder}/build"), "worker"));
        let more = [
            (format!("{folder}/{second}"), "worker"),
            ("book".to_owned(), "book"),
        ];
        let each = EACH.map(|(output, _)| (format!("{CAPABILITIES}/{output}"), "worker"));
        for (folder, stage) in workers.into_iter().chain(each).chain(more) {
            if !self.root.join(&folder).is_dir() {
                bail!("{folder} is missing. Make it with: cargo xtask test --stage {stage}");
            }
        }
        let mut command = ready.places.proof(self.root, npm, &[])?;
        if let Some(filter) = self.filter {
            command.args(["--", filter]);
        }
        // Cargo's own target folder may be another one.
        let folder = self.root.join("target");
        std::fs::create_dir_all(&folder)?;
        let record = folder.join("proven.json");
        command.env("PROOF_RECORD", &record);
        command.envs(self.recording());
        let output = heard(&mut command)?;
        let seen = std::fs::read_to_string(&record).context("the proof wrote no record")?;
        self.settle(Part::Runtime, &Record::of_runtime(&seen)?)?;
        if self.filter.is_none() {
            let oldest = Seen::read(self.root)?.version("compatibility date", "oldest")?;
            eprintln!("\n== the core of the proof on the compatibility date {oldest}");
            let on_oldest = Core {
                date: &oldest,
                // These tests choose their dates themselves, and have already run.
                leave_out: &["dates::"],
                bugsink: ready.places.bugsink.as_ref().expect(SET_UP),
            };
            core(self.root, npm, &on_oldest)?;
        }
        if self.record {
            // The pages can now show the new record.
            book::render(self.root, ready.tools.as_ref().expect(SET_UP), New::Refuse)?;
        }
        Ok(summary(&output))
    }
}

/// The settings of a run of the core of the proof.
pub struct Core<'a> {
    /// The compatibility date of every Worker.
    pub date: &'a str,
    /// Tests whose names contain one of these do not run.
    pub leave_out: &'a [&'a str],
    /// The folder with the programs of Python, of which sentry-relay checks each event.
    pub bugsink: &'a Path,
}

/// Runs the core of the proof: the tests that depend on the runtime and on the date. It uses the
/// Workers that were built last, and no browser.
pub fn core(root: &Path, npm: &Npm, core: &Core<'_>) -> Result<()> {
    if !root.join("tests/fixture/build").is_dir() {
        bail!("the Workers are not built. Build them with: cargo xtask test --stage worker");
    }
    let places = Places {
        bugsink: Some(core.bugsink.to_owned()),
        ..Places::default()
    };
    let mut command = places.proof(root, npm, &["--"])?;
    for text in core.leave_out {
        command.args(["--skip", text]);
    }
    command.env("PROOF_CORE", "1").env("PROOF_DATE", core.date);
    run::inherited(&mut command)
}

/// Runs a command, passes its output on, and returns all of the output.
fn heard(command: &mut Command) -> Result<String> {
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start `{}`", run::shown(command)))?;
    let mut out = child.stdout.take().expect("stdout is piped");
    let mut output = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let read = out.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        output.extend(&buffer[..read]);
        let mut screen = std::io::stdout().lock();
        screen.write_all(&buffer[..read])?;
        screen.flush()?;
    }
    let status = child.wait()?;
    if !status.success() {
        bail!("`{}` failed ({status})", run::shown(command));
    }
    Ok(String::from_utf8_lossy(&output).into_owned())
}

/// The last line with a test runner's summary.
fn summary(output: &str) -> String {
    let mut lines = output.lines().rev();
    let last = lines.find(|line| line.starts_with("test result:"));
    last.unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_summary_is_the_last_word() {
        let output = "test result: ok. 1 passed\n\nrunning 2 tests\ntest result: ok. 2 passed\n\n";
        assert_eq!(summary(output), "test result: ok. 2 passed");
        assert_eq!(summary("Compiling\n"), "");
    }

    #[test]
    fn a_filter_leaves_out_the_lints() {
        assert!(!Stage::Clippy.takes_part_with_a_filter());
        assert!(Stage::Proof.takes_part_with_a_filter());
    }
}
