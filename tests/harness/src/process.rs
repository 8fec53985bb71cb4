//! Child processes that cannot outlive the run.
//!
//! Each process runs in a process group of its own, under a shell that holds one end of a pipe.
//! When the run closes the other end, or ends for any reason, the kernel closes the pipe. The shell
//! notices that and kills its whole group: wrangler, the workerd that wrangler started, and further
//! processes.

use std::fs::{self, File};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crate::{case, run, wait};

/// `$1` is the file for the command's exit code. The other arguments are the command.
const SUPERVISOR: &str = r#"
ended=$1
shift
{ "$@" </dev/null; echo "$?" >"$ended"; } &
read -r _
kill -KILL 0
"#;

/// Every supervisor that was started and is not yet waited for.
static SUPERVISORS: Mutex<Vec<Child>> = Mutex::new(Vec::new());

/// The output of a process.
#[derive(Debug)]
pub struct Log {
    name: String,
    path: PathBuf,
}

impl Log {
    /// The process's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// All lines so far, of standard output and standard error in their order.
    pub fn lines(&self) -> Vec<String> {
        self.text().lines().map(ToOwned::to_owned).collect()
    }

    fn text(&self) -> String {
        let bytes = fs::read(&self.path).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// A running process. It is ended when it is dropped.
#[derive(Debug)]
pub struct Process {
    /// The shell that ends it. A part of another process has none.
    supervisor: Option<u32>,
    log: Arc<Log>,
    /// The files that get an exit code when the process ends by itself.
    ended: Vec<PathBuf>,
}

impl Process {
    /// Starts `command` with its arguments, variables and directory. All other settings of it are
    /// ignored: the output goes to the log, and there is no input.
    ///
    /// # Panics
    ///
    /// If there is no shell, or if the log cannot be written.
    #[track_caller]
    pub fn start(name: &str, command: &Command) -> Self {
        let path = run::new_path(&format!("{name}.log"));
        let ended = path.with_extension("ended");
        let out = File::create(&path).expect("the run's directory takes a log");
        let err = out.try_clone().expect("a second handle to the log");
        let mut supervisor = Command::new("sh");
        supervisor
            .args(["-c", SUPERVISOR, name])
            .arg(&ended)
            .arg(command.get_program())
            .args(command.get_args())
            .stdout(out)
            .stderr(err);
        for (variable, value) in command.get_envs() {
            match value {
                Some(value) => supervisor.env(variable, value),
                None => supervisor.env_remove(variable),
            };
        }
        if let Some(directory) = command.get_current_dir() {
            supervisor.current_dir(directory);
        }
        let log = Arc::new(Log {
            name: name.to_owned(),
            path,
        });
        case::uses(&log);
        Process {
            supervisor: Some(supervise(&mut supervisor).expect("a shell")),
            log,
            ended: vec![ended],
        }
    }

    /// A part of this process with a log of its own, which the process must write. It ends with the
    /// process, or when the process writes an exit code into the part's own file.
    ///
    /// # Panics
    ///
    /// If the log cannot be written.
    pub(crate) fn part(&self, name: &str) -> Self {
        let path = run::new_path(&format!("{name}.log"));
        File::create(&path).expect("the run's directory takes a log");
        let ended = [&[path.with_extension("ended")], &self.ended[..]].concat();
        let name = name.to_owned();
        Process {
            supervisor: None,
            log: Arc::new(Log { name, path }),
            ended,
        }
    }

    /// The file with the output, and the file for the exit code.
    pub(crate) fn files(&self) -> (&Path, &Path) {
        (&self.log.path, &self.ended[0])
    }

    /// The exit code, if the process has ended by itself.
    fn code(&self) -> Option<String> {
        let codes = self
            .ended
            .iter()
            .filter_map(|it| fs::read_to_string(it).ok());
        let mut whole = codes.filter(|code| code.ends_with('\n'));
        whole.next().map(|code| code.trim().to_owned())
    }

    /// The output of the process. The running test shows it if the test fails.
    pub fn log(&self) -> &Log {
        case::uses(&self.log);
        &self.log
    }

    /// Waits for the first line that contains `part`.
    ///
    /// # Panics
    ///
    /// If no such line comes within `limit`, or before the process ends.
    #[track_caller]
    pub fn wait_for_line(&self, part: &str, limit: Duration) -> String {
        let line = wait::until(&format!("line with {part:?}"), limit, || {
            let code = self.code();
            let line = self
                .log()
                .lines()
                .into_iter()
                .find(|line| line.contains(part));
            if let (None, Some(code)) = (&line, code) {
                let name = &self.log.name;
                panic!("{name} ended with {code} and no {part:?}");
            }
            line
        });
        if let Some((_, said)) = line.split_once("[worker-sentry] ") {
            // The escape sequence that ends a coloured warning comes after the text.
            let said = said.split('\u{1b}').next().unwrap_or_default();
            case::used(format!("line {said}"));
        }
        line
    }

    /// Waits for a line that contains `part`, and returns the word after it.
    ///
    /// # Panics
    ///
    /// If no such line comes within `limit`, or before the process ends.
    #[track_caller]
    pub fn wait_for_word_after(&self, part: &str, limit: Duration) -> String {
        let line = self.wait_for_line(part, limit);
        let (_, rest) = line.split_once(part).unwrap_or_default();
        let word = rest.split_whitespace().next().unwrap_or_default();
        word.to_owned()
    }

    /// How many lines contain `part`.
    pub fn count_lines(&self, part: &str) -> usize {
        let lines = self.log().lines();
        lines.iter().filter(|line| line.contains(part)).count()
    }

    /// Waits for a line that contains `part`, and checks that it is the only one.
    ///
    /// A line of a Worker takes some time until it is in wrangler's log, and more than an event
    /// takes to its receiver.
    ///
    /// # Panics
    ///
    /// If no such line comes within the usual limit, or if there are several.
    #[track_caller]
    pub fn says_once(&self, part: &str) {
        self.wait_for_line(part, wait::LIMIT);
        assert_eq!(self.count_lines(part), 1, "lines with `{part}`");
    }

    /// Passes on each line that the process writes from now on.
    ///
    /// # Panics
    ///
    /// When the process ends by itself.
    pub fn follow(&self, mut show: impl FnMut(&str)) -> ! {
        let mut seen = self.log.text().matches('\n').count();
        loop {
            // This is asked before the log is read: a process that has ended has written all its
            // lines.
            let has_ended = self.code().is_some();
            let text = self.log.text();
            let whole = text.matches('\n').count();
            text.lines().take(whole).skip(seen).for_each(&mut show);
            seen = whole;
            assert!(!has_ended, "{} ended", self.log.name);
            thread::sleep(wait::PAUSE);
        }
    }

    /// Waits for the process to end by itself.
    ///
    /// # Panics
    ///
    /// If it does not end within `limit`, or if it fails.
    #[track_caller]
    pub fn wait_for_success(&self, limit: Duration) {
        let end = format!("end of {}", self.log.name);
        let code = wait::until(&end, limit, || self.code());
        assert_eq!(code, "0", "{} failed", self.log().name);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let mut supervisors = SUPERVISORS.lock().unwrap_or_else(PoisonError::into_inner);
        let mine = supervisors
            .iter()
            .position(|child| Some(child.id()) == self.supervisor);
        if let Some(mine) = mine {
            let child = supervisors.swap_remove(mine);
            drop(supervisors);
            end(child);
        }
    }
}

/// Starts a shell in a process group of its own, which notices the end of this process.
pub(crate) fn supervise(shell: &mut Command) -> io::Result<u32> {
    let child = shell.process_group(0).stdin(Stdio::piped()).spawn()?;
    let id = child.id();
    SUPERVISORS
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(child);
    Ok(id)
}

/// Ends all processes that still run, the last one first.
pub(crate) fn end_all() {
    loop {
        let last = SUPERVISORS
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        match last {
            Some(child) => end(child),
            None => return,
        }
    }
}

/// Closes a supervisor's input and waits until it has ended its group.
fn end(mut child: Child) {
    drop(child.stdin.take());
    let _ = child.wait();
}
