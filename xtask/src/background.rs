//! Programs that run beside this one and end with it, however it ends.
//!
//! Each runs in a process group of its own under a shell that reads from a pipe
//! of ours. When this program is gone, by Ctrl-C or worse, the kernel closes the
//! pipe, and the shell kills its group: the program and all it started.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// `$1` is where to note how the program ended, the rest is the program.
const SUPERVISOR: &str = r#"
ended=$1
shift
{ "$@" </dev/null; echo "$?" >"$ended"; } &
read -r _
kill -KILL 0
"#;

/// Removes the folder `$1` in the end, until nobody writes there any more.
const JANITOR: &str = r#"
read -r _
until rm -rf "$1" && sleep 0.2 && [ ! -e "$1" ]; do :; done
"#;

const POLL: Duration = Duration::from_millis(50);
/// How many lines of a failed program's output are worth showing.
const TAIL: usize = 30;

/// A shell that waits for us to be gone.
struct Supervisor(Child);

impl Supervisor {
    fn start(shell: &mut Command) -> Result<Self> {
        let child = shell.process_group(0).stdin(Stdio::piped()).spawn();
        Ok(Supervisor(child.context("cannot start a shell")?))
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

/// A temporary folder that is gone afterwards. Drop it after what runs in it.
pub struct Folder {
    path: PathBuf,
    _janitor: Supervisor,
}

impl Folder {
    /// A new folder below the system's own for temporary files.
    pub fn new(name: &str) -> Result<Self> {
        let name = format!("{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).with_context(|| format!("cannot create {}", path.display()))?;
        let mut janitor = Command::new("sh");
        janitor.args(["-c", JANITOR, "janitor"]).arg(&path);
        Ok(Folder {
            _janitor: Supervisor::start(&mut janitor)?,
            path,
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// A program in the background. Ended when dropped.
pub struct Background {
    name: String,
    log: PathBuf,
    ended: PathBuf,
    _supervisor: Supervisor,
}

impl Background {
    /// Starts `command`, whose output goes to a log in `folder`.
    pub fn start(name: &str, command: &Command, folder: &Folder) -> Result<Self> {
        let log = folder.path().join(format!("{name}.log"));
        let ended = folder.path().join(format!("{name}.ended"));
        let out = File::create(&log)?;
        let err = out.try_clone()?;
        let mut shell = Command::new("sh");
        shell
            .args(["-c", SUPERVISOR, name])
            .arg(&ended)
            .arg(command.get_program())
            .args(command.get_args())
            .stdout(out)
            .stderr(err);
        for (variable, value) in command.get_envs() {
            match value {
                Some(value) => shell.env(variable, value),
                None => shell.env_remove(variable),
            };
        }
        if let Some(directory) = command.get_current_dir() {
            shell.current_dir(directory);
        }
        Ok(Background {
            name: name.to_owned(),
            log,
            ended,
            _supervisor: Supervisor::start(&mut shell)?,
        })
    }

    /// Everything it wrote.
    pub fn output(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// The rest of the first line that contains `part`, from there on.
    pub fn wait_for(&self, part: &str, limit: Duration) -> Result<String> {
        let begin = Instant::now();
        loop {
            // Asked before the output is read: what ends has written all.
            let ended = self.has_ended();
            let output = self.output();
            if let Some((_, rest)) = output.split_once(part)
                && let Some((line, _)) = rest.split_once('\n')
            {
                return Ok(line.trim().to_owned());
            }
            if ended {
                return Err(self.failure("ended"));
            }
            if begin.elapsed() > limit {
                return Err(self.failure("did not get ready"));
            }
            thread::sleep(POLL);
        }
    }

    /// Passes on what it writes from byte `from` on, until it ends by itself.
    pub fn follow(&self, mut from: usize, mut show: impl FnMut(&str)) -> Result<()> {
        loop {
            let ended = self.has_ended();
            let output = self.output();
            let end = output.rfind('\n').map_or(0, |end| end + 1);
            if end > from {
                output[from..end].lines().for_each(&mut show);
                from = end;
            }
            if ended {
                bail!("{} ended", self.name);
            }
            thread::sleep(POLL);
        }
    }

    fn has_ended(&self) -> bool {
        self.ended.exists()
    }

    fn failure(&self, what: &str) -> anyhow::Error {
        let output = self.output();
        let lines: Vec<&str> = output.lines().collect();
        let mut text = format!("{} {what}; the end of its output:", self.name);
        for line in &lines[lines.len().saturating_sub(TAIL)..] {
            text.push_str(&format!("\n    | {line}"));
        }
        anyhow::anyhow!(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(20);

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    fn is_alive(id: &str) -> bool {
        Command::new("kill")
            .args(["-0", id])
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    }

    #[test]
    fn what_a_program_started_ends_with_it_and_its_folder_is_gone() {
        let folder = Folder::new("xtask-background").unwrap();
        let path = folder.path().to_owned();
        let script = "sleep 300 & echo \"child $!\"; wait";
        let program = Background::start("parent", &shell(script), &folder).unwrap();
        let child = program.wait_for("child ", LIMIT).unwrap();
        assert!(is_alive(&child));
        drop(program);
        let begin = Instant::now();
        // Whoever inherits it needs a moment to notice that it has ended.
        while is_alive(&child) && begin.elapsed() < LIMIT {
            thread::sleep(POLL);
        }
        assert!(!is_alive(&child));
        drop(folder);
        assert!(!path.exists());
    }

    #[test]
    fn a_program_that_ends_too_early_shows_what_it_said() {
        let folder = Folder::new("xtask-early").unwrap();
        let program = Background::start("early", &shell("echo no luck; exit 3"), &folder).unwrap();
        let error = program.wait_for("ready", LIMIT).unwrap_err().to_string();
        assert!(error.contains("early ended") && error.contains("no luck"));
    }
}
