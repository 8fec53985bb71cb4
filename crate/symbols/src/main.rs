//! The program `worker-sentry-symbols`.

#![forbid(unsafe_code)]

use std::ffi::OsString;
use std::io::{self, BufRead as _, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use serde_json::Value;
use worker_sentry_symbols::{
    BuildId, Failure, Module, Paths, Resolver, Symbols, WasmOpt, check, compressed, console_frame,
    files, level, optimize, source_map, split,
};

/// Readable stacks for Cloudflare Workers in Rust.
///
/// Moves the names and lines of a Worker's functions out of its upload and into a
/// companion file, and puts them back into its stacks. Run `build` after worker-build,
/// `upload` after a deployment, and `resolve` whenever a stack has numbers for names.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Make the companion, and take names and lines out of the upload
    ///
    /// Run it after `worker-build --release --no-opt`. It may run again: what is done stays
    /// as it is.
    Build(Build),
    /// See whether companion and upload belong together, and how many calls have a line
    Check(Check),
    /// Hand the companion to sentry-cli, with the sources
    ///
    /// The upload is never handed over: it has the same id and would hide the companion.
    /// sentry-cli reads SENTRY_AUTH_TOKEN, SENTRY_ORG, SENTRY_PROJECT and SENTRY_URL.
    Upload(Upload),
    /// Turn an event's JSON or a console's stack into functions, files and lines
    ///
    /// Text that is no event goes through, with the frames of the Worker resolved, so the
    /// output of `wrangler dev` can be piped through.
    Resolve(Resolve),
    /// Write a source map, for receivers that know no WebAssembly, such as Bugsink
    Sourcemap(SourceMap),
}

#[derive(Args)]
struct Place {
    /// worker-build's output folder
    #[arg(long, default_value = "build", value_name = "FOLDER")]
    folder: PathBuf,
    /// The module that is uploaded [default: index_bg.wasm or worker/index.wasm in the folder]
    #[arg(long, value_name = "FILE")]
    wasm: Option<PathBuf>,
    /// The companion [default: beside the module, as index_bg.debug.wasm]
    #[arg(long, value_name = "FILE")]
    companion: Option<PathBuf>,
}

impl Place {
    fn module(&self) -> Result<PathBuf, Failure> {
        self.wasm
            .clone()
            .map_or_else(|| files::find_module(&self.folder), Ok)
    }

    fn companion(&self) -> Result<PathBuf, Failure> {
        match &self.companion {
            Some(path) => Ok(path.clone()),
            None => Ok(files::companion_of(&self.module()?)),
        }
    }
}

#[derive(Args)]
struct Naming {
    /// Show paths below FROM as below TO; may be given several times
    ///
    /// Packages of registries, the standard library and the workspace have short names
    /// without it.
    #[arg(long, value_name = "FROM=TO")]
    map: Vec<String>,
    /// Where to look for sources that are not where the building machine had them
    #[arg(long, default_value = ".", value_name = "FOLDER")]
    sources: PathBuf,
}

impl Naming {
    fn paths(&self, symbols: &Symbols) -> Result<Paths, Failure> {
        let mut paths = Paths::new(symbols.roots().iter().cloned());
        for rule in &self.map {
            paths.map(rule)?;
        }
        Ok(paths)
    }
}

#[derive(Args)]
struct Build {
    #[command(flatten)]
    place: Place,
    /// Leave the names in the upload, for consoles; they cost a few per cent of its size
    #[arg(long)]
    keep_names: bool,
    /// Run wasm-opt first, and keep every line right
    ///
    /// LEVEL is s, z, 1, 2, 3 or 4. The wasm-opt is the one that WASM_OPT_BIN names, else
    /// the one on PATH, else that of npm's binaryen through npx.
    #[arg(
        long,
        value_name = "LEVEL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "s"
    )]
    optimize: Option<String>,
}

#[derive(Args)]
struct Check {
    #[command(flatten)]
    place: Place,
}

#[derive(Args)]
struct Upload {
    #[command(flatten)]
    place: Place,
    /// Print the command, and do not run it
    #[arg(long)]
    print: bool,
    /// The sentry-cli to use [default: that on PATH, else npm's through npx]
    #[arg(long, value_name = "FILE")]
    sentry_cli: Option<PathBuf>,
    /// More for `sentry-cli debug-files upload`, after `--`
    #[arg(last = true, value_name = "ARGUMENT")]
    more: Vec<OsString>,
}

#[derive(Args)]
struct Resolve {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    naming: Naming,
    /// Print an event as JSON and not as lines to read
    #[arg(long)]
    json: bool,
    /// The file with the event or the stack [default: standard input]
    #[arg(value_name = "INPUT")]
    input: Option<PathBuf>,
}

#[derive(Args)]
struct SourceMap {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    naming: Naming,
    /// The source map [default: sourcemap/index_bg.wasm.map in worker-build's folder]
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Task::Build(task) => task.run(),
        Task::Check(task) => task.run(),
        Task::Upload(task) => task.run(),
        Task::Resolve(task) => task.run(),
        Task::Sourcemap(task) => task.run(),
    };
    match done {
        Ok(code) => code,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::FAILURE
        }
    }
}

type Done = Result<ExitCode, Failure>;

impl Build {
    fn run(self) -> Done {
        let path = self.place.module()?;
        let beside = self.place.companion()?;
        if path == beside {
            return Err(Failure::new(
                "upload and companion would be one file",
                "name another one with --companion",
            ));
        }
        files::refuse_uploaded(Path::new("."), &path, &beside)?;
        let file = path.display().to_string();
        let data = read_module(&path)?;
        if Module::parse(&data, &file)?.build_id().is_some() {
            return self.again(&data, &file, &beside);
        }
        let optimized = match &self.optimize {
            Some(level) => Some(optimize(&data, &file, &WasmOpt::find(level)?)?),
            None => None,
        };
        let made = optimized.as_ref().map_or(&data, |it| &it.data);
        let parts = split(made, &file, self.keep_names)?;
        // The companion is written first, so that an interrupted run can be repeated.
        files::write(&beside, &parts.companion)?;
        files::write(&path, &parts.upload)?;
        println!("build      {}", parts.id);
        println!("before     {}", size(&data));
        if let (Some(level), Some(optimized)) = (&self.optimize, &optimized) {
            println!(
                "wasm-opt   -O{level}, {} calls, of which {} have no line any more",
                optimized.calls, optimized.without_origin
            );
        }
        println!("upload     {}  {file}", size(&parts.upload));
        println!(
            "companion  {:>10} bytes  {}",
            parts.companion.len(),
            beside.display()
        );
        if !parts.mangled {
            eprintln!(
                "note: wasm-bindgen has demangled the names, and left a hash in them that \
                 changes from build to build.\n  what to do: set `demangle-name-section = false` \
                 in [package.metadata.wasm-pack.profile.release.wasm-bindgen]"
            );
        }
        Ok(ExitCode::SUCCESS)
    }

    /// Handles a module that is already split. It is kept if a new run would make the same.
    fn again(&self, upload: &[u8], file: &str, beside: &Path) -> Done {
        const AGAIN: &str = "run `worker-build --release --no-opt`, then this again";
        let companion = files::read(beside, AGAIN).map_err(|_| {
            Failure::new(
                format!(
                    "{file} is split already, and its companion {} is not there",
                    beside.display()
                ),
                AGAIN,
            )
        })?;
        let debug_file = beside.display().to_string();
        let debug = Module::parse(&companion, &debug_file)?;
        let module = Module::parse(upload, file)?;
        let checked = check((&debug, &debug_file), (&module, file))?;
        let done = level(&debug);
        if done != self.optimize {
            let how = done.map_or("without wasm-opt".to_owned(), |it| format!("with -O{it}"));
            return Err(Failure::new(
                format!("{file} is split already, {how}"),
                AGAIN,
            ));
        }
        if checked.names_kept != self.keep_names {
            let has = if checked.names_kept {
                "with"
            } else {
                "without"
            };
            return Err(Failure::new(
                format!("{file} is split already, {has} names"),
                AGAIN,
            ));
        }
        println!("build      {}, split already", checked.id);
        println!("upload     {}  {file}", size(upload));
        println!("companion  {:>10} bytes  {debug_file}", companion.len());
        Ok(ExitCode::SUCCESS)
    }
}

impl Check {
    fn run(self) -> Done {
        let path = self.place.module()?;
        let data = read_module(&path)?;
        let file = path.display().to_string();
        let upload = Module::parse(&data, &file)?;
        let (beside, companion) =
            files::read_companion(&self.place.companion()?, upload.build_id())?;
        let debug_file = beside.display().to_string();
        let companion = Module::parse(&companion, &debug_file)?;
        let checked = check((&companion, &debug_file), (&upload, &file))?;
        println!("build      {}", checked.id);
        println!("upload     {}  {file}", size(&data));
        if let Some(level) = level(&companion) {
            println!("wasm-opt   -O{level}");
        }
        println!("calls      {}", checked.calls);
        let share = |count: usize| 100.0 * count as f64 / checked.calls.max(1) as f64;
        for (name, count) in [
            ("exact", checked.exact),
            ("no line", checked.without_line),
            ("name only", checked.named_only),
            ("unknown", checked.unknown),
        ] {
            println!("{name:<10} {count:>6}  {:.1} %", share(count));
        }
        println!(
            "functions  {} of {} have the same name in DWARF and in the name section",
            checked.audit.agree, checked.audit.compared
        );
        Ok(ExitCode::SUCCESS)
    }
}

impl Upload {
    fn run(self) -> Done {
        let upload = self.place.module().ok().filter(|it| it.is_file());
        let data = upload.as_deref().map(read_module).transpose()?;
        let name = upload.unwrap_or_default().display().to_string();
        let upload = data
            .as_ref()
            .map(|data| Module::parse(data, &name))
            .transpose()?;
        let id = upload.as_ref().and_then(Module::build_id);
        let (path, companion) = files::read_companion(&self.place.companion()?, id)?;
        let file = path.display().to_string();
        let companion = Module::parse(&companion, &file)?;
        match &upload {
            // Sentry would accept a companion of another build and never use it.
            Some(upload) => drop(check((&companion, &file), (upload, &name))?),
            None => drop(Symbols::read(&companion, &file)?),
        }
        if companion.build_id().is_none() {
            return Err(Failure::new(
                format!("{file} has no build_id, so Sentry would never find it"),
                "run `worker-sentry-symbols build` first",
            ));
        }
        let mut command = self.sentry_cli();
        command.args(["debug-files", "upload", "--include-sources"]);
        command.args(&self.more).arg(&path);
        if self.print {
            println!("{}", shown(&command));
            return Ok(ExitCode::SUCCESS);
        }
        let status = command.status().map_err(|error| {
            Failure::new(
                format!("cannot start `{}`: {error}", shown(&command)),
                "install sentry-cli (https://docs.sentry.io/cli/), or Node.js, whose npx fetches it",
            )
        })?;
        if status.success() {
            return Ok(ExitCode::SUCCESS);
        }
        Err(Failure::new(
            format!("`{}` failed ({status})", shown(&command)),
            "read what it printed; mostly SENTRY_AUTH_TOKEN, SENTRY_ORG or SENTRY_PROJECT is not set",
        ))
    }

    fn sentry_cli(&self) -> Command {
        if let Some(path) = &self.sentry_cli {
            return Command::new(path);
        }
        let on_path = std::env::var_os("PATH").is_some_and(|path| {
            let names = ["sentry-cli", "sentry-cli.exe"];
            std::env::split_paths(&path).any(|it| names.iter().any(|name| it.join(name).is_file()))
        });
        if on_path {
            return Command::new("sentry-cli");
        }
        let mut npx = Command::new("npx");
        npx.args(["--yes", "@sentry/cli"]);
        npx
    }
}

impl Resolve {
    fn run(self) -> Done {
        let mut input: Box<dyn io::BufRead + Send> = match &self.input {
            Some(path) => {
                let data = files::read(path, "name a file with an event's JSON or a stack")?;
                Box::new(io::Cursor::new(data))
            }
            None => Box::new(io::BufReader::new(io::stdin())),
        };
        let first = input.fill_buf().unwrap_or_default();
        let start = first.iter().find(|it| !it.is_ascii_whitespace());
        if start == Some(&b'{') {
            self.events(input)
        } else {
            self.console(input)
        }
    }

    /// Events, or an envelope with one: every JSON value that has a stack.
    fn events(&self, mut input: Box<dyn io::BufRead + Send>) -> Done {
        let mut text = Vec::new();
        let broken = |error: &dyn std::fmt::Display| {
            Failure::new(
                format!("the input is no event: {error}"),
                "give one event's JSON, or a stack of a console as text",
            )
        };
        input
            .read_to_end(&mut text)
            .map_err(|error| broken(&error))?;
        let mut events = Vec::new();
        for value in serde_json::Deserializer::from_slice(&text).into_iter::<Value>() {
            let value = value.map_err(|error| broken(&error))?;
            let keys = ["exception", "stacktrace", "threads", "debug_meta"];
            if keys.iter().any(|key| value.get(key).is_some()) {
                events.push(value);
            }
        }
        if events.is_empty() {
            return Err(broken(&"it has no exception and no stack"));
        }
        for mut event in events {
            let id = first_image(&event);
            let (path, companion) = files::read_companion(&self.place.companion()?, id)?;
            let file = path.display().to_string();
            let module = Module::parse(&companion, &file)?;
            let symbols = Symbols::read(&module, &file)?;
            let paths = self.naming.paths(&symbols)?;
            let mut resolver = Resolver::new(&module, &symbols, &paths, &self.naming.sources)?;
            resolver.event(&mut event)?;
            if self.json {
                print(&format!("{event}\n"));
            } else {
                print(&resolver.shown(&event));
            }
        }
        Ok(ExitCode::SUCCESS)
    }

    /// Resolves text, line by line as it comes in. If one frame of a stack cannot be resolved, the
    /// whole stack is left unchanged.
    fn console(&self, input: Box<dyn io::BufRead + Send>) -> Done {
        // A stack ends at a line that is not a frame, or if no line has come in for this long.
        const QUIET: Duration = Duration::from_millis(100);
        let (sender, lines) = mpsc::channel();
        // The thread ends with its input, or when the receiver is dropped.
        thread::spawn(move || {
            for line in input.split(b'\n').map_while(Result::ok) {
                let line = String::from_utf8_lossy(&line).into_owned();
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let mut stack: Vec<String> = Vec::new();
        let mut failed: Option<Failure> = None;
        let mut loaded: Option<Loaded> = None;
        loop {
            let next = if stack.is_empty() {
                lines
                    .recv()
                    .map_err(|_| mpsc::RecvTimeoutError::Disconnected)
            } else {
                lines.recv_timeout(QUIET)
            };
            match next {
                Ok(line)
                    if console_frame(&line).is_some() || !stack.is_empty() && is_frame(&line) =>
                {
                    stack.push(line);
                }
                other => {
                    if !stack.is_empty()
                        && let Err(failure) = self.stack(&stack, &mut loaded)
                    {
                        stack.iter().for_each(|line| print(&format!("{line}\n")));
                        eprintln!("error: {failure}");
                        failed = Some(failure);
                    }
                    stack.clear();
                    match other {
                        Ok(line) => print(&format!("{line}\n")),
                        Err(mpsc::RecvTimeoutError::Timeout) => {}
                        Err(mpsc::RecvTimeoutError::Disconnected) => break,
                    }
                }
            }
        }
        // The failure was already printed where it happened.
        Ok(if failed.is_some() {
            ExitCode::FAILURE
        } else {
            ExitCode::SUCCESS
        })
    }

    fn stack(&self, stack: &[String], loaded: &mut Option<Loaded>) -> Result<(), Failure> {
        let path = self.place.companion()?;
        let id = self
            .place
            .module()
            .ok()
            .and_then(|it| read_module(&it).ok());
        let id = id.and_then(|data| Module::parse(&data, "").ok()?.build_id());
        let changed = std::fs::metadata(&path).and_then(|it| it.modified()).ok();
        // The companion is read again if it has changed, because `wrangler dev` builds while this
        // runs.
        if loaded.as_ref().is_none_or(|it| it.changed != changed) {
            let (path, data) = files::read_companion(&path, id)?;
            let file = path.display().to_string();
            let symbols = Symbols::read(&Module::parse(&data, &file)?, &file)?;
            *loaded = Some(Loaded {
                changed,
                file,
                data,
                symbols,
            });
        }
        let Some(loaded) = loaded else { return Ok(()) };
        let module = Module::parse(&loaded.data, &loaded.file)?;
        let paths = self.naming.paths(&loaded.symbols)?;
        let mut resolver = Resolver::new(&module, &loaded.symbols, &paths, &self.naming.sources)?;
        let mut out = String::new();
        for line in stack {
            match resolver.console(line) {
                Some(text) => out += &text?,
                None => out += &format!("{line}\n"),
            }
        }
        print(&out);
        Ok(())
    }
}

/// A companion that was read, and the time at which its file was written.
struct Loaded {
    changed: Option<std::time::SystemTime>,
    file: String,
    data: Vec<u8>,
    symbols: Symbols,
}

fn is_frame(line: &str) -> bool {
    line.trim_start().starts_with("at ")
}

fn first_image(event: &Value) -> Option<BuildId> {
    let images = event.pointer("/debug_meta/images")?.as_array()?;
    let wasm = images
        .iter()
        .find(|it| it.get("type").and_then(Value::as_str) == Some("wasm"))?;
    BuildId::read(wasm.get("debug_id")?.as_str()?)
}

impl SourceMap {
    fn run(self) -> Done {
        let (path, companion) = files::read_companion(&self.place.companion()?, None)?;
        let file = path.display().to_string();
        let module = Module::parse(&companion, &file)?;
        let symbols = Symbols::read(&module, &file)?;
        let paths = self.naming.paths(&symbols)?;
        let map = source_map(&module, &symbols, &paths, &self.naming.sources)?;
        let usual = || {
            self.place
                .folder
                .join("sourcemap")
                .join("index_bg.wasm.map")
        };
        let output = self.output.clone().unwrap_or_else(usual);
        files::write(&output, map.as_bytes())?;
        println!("source map {:>10} bytes  {}", map.len(), output.display());
        let folder = output.parent().unwrap_or(Path::new("."));
        println!(
            "to upload  sentry-cli sourcemaps upload {}",
            folder.display()
        );
        Ok(ExitCode::SUCCESS)
    }
}

fn read_module(path: &Path) -> Result<Vec<u8>, Failure> {
    files::read(
        path,
        "run `worker-build --release --no-opt` first, or name the module with --wasm",
    )
}

fn size(data: &[u8]) -> String {
    format!("{:>10} bytes, {:>9} gzip", data.len(), compressed(data))
}

/// Prints a text. Ends the program without a message if the output is closed.
fn print(text: &str) {
    let mut out = io::stdout().lock();
    if out
        .write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .is_err()
    {
        std::process::exit(0);
    }
}

/// A command as it would be typed.
fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let quoted = words.map(|word| {
        let word = word.to_string_lossy();
        let plain = |it: char| it.is_ascii_alphanumeric() || "-_./=:@+,".contains(it);
        if !word.is_empty() && word.chars().all(plain) {
            word.into_owned()
        } else {
            format!("'{}'", word.replace('\'', r"'\''"))
        }
    });
    quoted.collect::<Vec<_>>().join(" ")
}
