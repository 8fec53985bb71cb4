//! This run of the proof: its directory and its end.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{self, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use crate::process::{end_all, supervise};

static DIRECTORY: OnceLock<PathBuf> = OnceLock::new();
static NAMES: AtomicU32 = AtomicU32::new(1);

/// The run's own directory. It is removed after the run, even if the run was killed.
pub fn directory() -> &'static Path {
    DIRECTORY.get_or_init(|| {
        let directory = std::env::temp_dir().join(format!("worker-sentry-proof-{}", process::id()));
        let _ = fs::remove_dir_all(&directory);
        fs::create_dir_all(&directory).expect("the temporary directory takes new directories");
        // After a SIGKILL no destructors run. So a shell outside of our process group waits for the
        // end of this process, and removes the directory.
        let mut janitor = Command::new("sh");
        janitor
            .args(["-c", JANITOR, "janitor"])
            .arg(&directory)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        supervise(&mut janitor).expect("a shell");
        directory
    })
}

/// Waits for the end of its input, then removes the directory. It repeats that until no process
/// writes there any more.
const JANITOR: &str = r#"
read -r _
until rm -rf "$1" && sleep 0.2 && [ ! -e "$1" ]; do :; done
"#;

/// A new empty directory.
///
/// # Panics
///
/// If the file system does not allow it.
pub fn new_directory(name: &str) -> PathBuf {
    let path = new_path(name);
    fs::create_dir_all(&path).expect("the run's directory takes new directories");
    path
}

/// A path that nothing else uses.
pub(crate) fn new_path(name: &str) -> PathBuf {
    let number = NAMES.fetch_add(1, Ordering::Relaxed);
    directory().join(format!("{number}-{name}"))
}

/// Calls a function many times at once, with a number for each call, and waits for all calls.
pub fn at_once(times: usize, act: impl Fn(usize) + Sync) {
    thread::scope(|scope| {
        for number in 0..times {
            let act = &act;
            scope.spawn(move || act(number));
        }
    });
}

/// Ends every process that the run started. The process that ends last removes the run's files.
pub fn end() {
    end_all();
}
