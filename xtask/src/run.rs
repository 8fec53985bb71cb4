//! Runs other programs, with their output or with one line of progress.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// The number of last lines that are shown of a failed program's output.
const TAIL: usize = 40;
const POLL: Duration = Duration::from_millis(50);
const TICK_TERMINAL: Duration = Duration::from_secs(1);
const TICK_PLAIN: Duration = Duration::from_secs(20);

/// A command with nothing on stdin and without the variables that `cargo run` set for xtask.
///
/// With `CARGO` set, a nested cargo would start the outer cargo's executable. With
/// `LD_LIBRARY_PATH` set, a second compiler would look for its libraries in the folder of the
/// first.
pub fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        let ours = [
            "CARGO_PKG_",
            "CARGO_MANIFEST_",
            "CARGO_BIN_",
            "CARGO_CRATE_",
        ];
        if text == "CARGO" || text == "OUT_DIR" || ours.iter().any(|p| text.starts_with(p)) {
            command.env_remove(&name);
        }
    }
    if let Some(paths) = std::env::var_os("LD_LIBRARY_PATH") {
        let target = crate::root().join("target");
        let kept: Vec<PathBuf> = std::env::split_paths(&paths)
            .filter(|path| {
                let rust = path.components().any(|c| c.as_os_str() == "rustlib")
                    || path.join("rustlib").is_dir();
                !path.as_os_str().is_empty() && !path.starts_with(&target) && !rust
            })
            .collect();
        match std::env::join_paths(kept) {
            Ok(joined) if !joined.is_empty() => command.env("LD_LIBRARY_PATH", joined),
            _ => command.env_remove("LD_LIBRARY_PATH"),
        };
    }
    command
}

/// Puts a folder in front of a command's `PATH`.
pub fn prepend_path(command: &mut Command, folder: &Path) {
    let current = command
        .get_envs()
        .find(|(name, _)| *name == "PATH")
        .and_then(|(_, value)| value.map(OsStr::to_os_string))
        .or_else(|| std::env::var_os("PATH"))
        .unwrap_or_default();
    let paths = std::iter::once(folder.to_path_buf()).chain(std::env::split_paths(&current));
    if let Ok(joined) = std::env::join_paths(paths) {
        command.env("PATH", joined);
    }
}

/// The executable that a shell would run for this name.
pub fn which(name: &str) -> Option<PathBuf> {
    let paths = std::env::var_os("PATH")?;
    std::env::split_paths(&paths)
        .map(|folder| folder.join(name))
        .find(|file| is_executable(file))
}

/// Whether this is an executable file.
pub fn is_executable(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(file).is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
}

/// A program's stdout, trimmed. `None` if the program is missing or fails.
pub fn output_of(command: &mut Command) -> Option<String> {
    let output = command.stderr(Stdio::null()).output().ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// The machine that a compiler runs on, read from the output of `rustc -vV`.
pub fn host_in(about: &str) -> Option<&str> {
    about.lines().find_map(|line| line.strip_prefix("host: "))
}

/// A command line as a person would type it.
pub fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}

/// Runs a program that prints its own output. A failure of the program is an error.
pub fn inherited(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| cannot_start(command))?;
    check(command, status)
}

fn cannot_start(command: &Command) -> String {
    format!("cannot start `{}`", shown(command))
}

fn check(command: &Command, status: ExitStatus) -> Result<()> {
    if !status.success() {
        bail!("`{}` failed ({status})", shown(command));
    }
    Ok(())
}

/// Whether a line of progress may be overwritten: only on a terminal, and not in CI.
fn ticks_in_place() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("CI").is_none()
}

/// Runs a program with its output in a log file and a line of progress now and then. If it fails,
/// or takes longer than `limit`, the error shows the end of the log.
pub fn logged(command: &mut Command, what: &str, log: &Path, limit: Duration) -> Result<()> {
    if let Some(folder) = log.parent() {
        fs::create_dir_all(folder)?;
    }
    let file = Arc::new(Mutex::new(
        File::create(log).with_context(|| format!("cannot write {}", log.display()))?,
    ));
    let lines = Arc::new(Mutex::new(VecDeque::new()));
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| cannot_start(command))?;
    let readers = [
        child.stdout.take().map(|out| collect(out, &file, &lines)),
        child.stderr.take().map(|out| collect(out, &file, &lines)),
    ];
    let status = wait(&mut child, what, &lines, limit)?;
    for reader in readers.into_iter().flatten() {
        let _ = reader.join();
    }
    let failure = match status {
        Some(status) if status.success() => return Ok(()),
        Some(status) => format!("failed ({status})"),
        None => format!("was stopped after {}", duration(limit)),
    };
    let mut tail = String::new();
    for line in lines.lock().expect("no reader panics").iter() {
        tail.push_str(&format!("\n    | {line}"));
    }
    bail!(
        "`{}` {failure}; its whole output: {}{tail}",
        shown(command),
        log.display()
    )
}

type Lines = Arc<Mutex<VecDeque<String>>>;

fn collect(
    from: impl std::io::Read + Send + 'static,
    file: &Arc<Mutex<File>>,
    lines: &Lines,
) -> thread::JoinHandle<()> {
    let (file, lines) = (Arc::clone(file), Arc::clone(lines));
    thread::spawn(move || {
        for line in BufReader::new(from).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line).trim_end().to_owned();
            let _ = writeln!(file.lock().expect("no reader panics"), "{line}");
            if line.is_empty() {
                continue;
            }
            let mut lines = lines.lock().expect("no reader panics");
            if lines.len() == TAIL {
                lines.pop_front();
            }
            lines.push_back(line);
        }
    })
}

/// Waits for the program. `None` if it was stopped because it reached the limit.
fn wait(
    child: &mut Child,
    what: &str,
    lines: &Lines,
    limit: Duration,
) -> Result<Option<ExitStatus>> {
    let begin = Instant::now();
    let in_place = ticks_in_place();
    let tick = if in_place { TICK_TERMINAL } else { TICK_PLAIN };
    let mut next = tick;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break Some(status);
        }
        if begin.elapsed() > limit {
            child.kill()?;
            child.wait()?;
            break None;
        }
        if begin.elapsed() >= next {
            next += tick;
            let last = lines
                .lock()
                .expect("no reader panics")
                .back()
                .cloned()
                .unwrap_or_default();
            let last: String = last.trim().chars().take(60).collect();
            let line = format!("    {what}: {} {last}", duration(begin.elapsed()));
            if in_place {
                eprint!("\r\x1b[2K{line}");
            } else {
                eprintln!("{line}");
            }
        }
        thread::sleep(POLL);
    };
    if in_place {
        eprint!("\r\x1b[2K");
    }
    Ok(status)
}

/// A duration for a person: `0.4 s`, `73 s`.
pub fn duration(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    if seconds < 10.0 {
        format!("{seconds:.1} s")
    } else {
        format!("{seconds:.0} s")
    }
}
