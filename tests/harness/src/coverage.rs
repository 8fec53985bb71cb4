//! The lines that a test ran in workerd, from the counters of instrumented Workers.
//!
//! `cargo xtask coverage` builds the Workers with counters and sets `PROOF_COVERAGE`. The counters
//! are reset when a test first uses a Worker, and are read when the test or the Worker ends. The
//! counters of one Worker do not tell tests apart, so tests that share a Worker run one after
//! another.

use std::cell::RefCell;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ureq::Agent;

use crate::case;

/// The variable with the folder for the counters.
const VARIABLE: &str = "PROOF_COVERAGE";
/// The modules of the proof that do not run while lines are measured. They use no instrumented
/// Worker, or they compare its size, its cost or its look with values that counters change.
const LEFT_OUT: [&str; 13] = [
    "book",
    "budget",
    "ci",
    "demo",
    "deploy",
    "every_page",
    "laboratory",
    "newcomer",
    "pictures",
    "publish",
    "reader",
    "stacks",
    "weight",
];
/// The longest wait for counters. A Worker that is busy or broken does not answer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The binding through which a Worker reaches the Worker bound to it.
const BESIDE: &str = "SENTRY_SERVICE";

/// Held by the test that uses a shared Worker, until that test ends.
static SHARED: Mutex<()> = Mutex::new(());
static FILES: AtomicU32 = AtomicU32::new(0);

thread_local! {
    static USING: RefCell<Using> = const { RefCell::new(Using::new()) };
}

/// The shared Workers that the test on this thread uses.
struct Using {
    shared: Vec<Counted>,
    alone: Option<MutexGuard<'static, ()>>,
}

impl Using {
    const fn new() -> Self {
        Self {
            shared: Vec::new(),
            alone: None,
        }
    }
}

/// A Worker whose counters can be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Counted {
    address: String,
    name: String,
    /// The name of the Worker that is bound to it, if there is one.
    beside: Option<String>,
    is_shared: bool,
}

/// Whether this run measures lines.
pub fn is_on() -> bool {
    folder().is_some()
}

fn folder() -> Option<PathBuf> {
    let folder = std::env::var_os(VARIABLE)?;
    (!folder.is_empty()).then(|| PathBuf::from(folder))
}

/// Whether a test runs while lines are measured.
pub fn takes_part(name: &str) -> bool {
    let module = name.split("::").next().unwrap_or_default();
    !LEFT_OUT.contains(&module)
}

impl Counted {
    /// A Worker that has just started.
    pub(crate) fn new(address: &str, name: String, beside: Option<String>) -> Option<Self> {
        is_on().then(|| Self {
            address: address.to_owned(),
            name,
            beside,
            is_shared: case::is_aside(),
        })
    }

    /// Notes that the test on this thread uses this Worker.
    pub(crate) fn used(&self) {
        // Other threads of a test are ignored: the test's own thread waits for them.
        if !self.is_shared || case::is_aside() || case::name().is_none() {
            return;
        }
        let is_new = USING.with_borrow_mut(|using| {
            if using.shared.contains(self) {
                return false;
            }
            using
                .alone
                .get_or_insert_with(|| SHARED.lock().unwrap_or_else(PoisonError::into_inner));
            using.shared.push(self.clone());
            true
        });
        if is_new {
            self.take(None);
        }
    }

    /// Reads the counters of a Worker that is about to end. A shared Worker outlives its tests.
    pub(crate) fn ends(&self) {
        if !self.is_shared {
            self.take(case::name().as_deref());
        }
    }

    /// Reads the counters for a test, or discards them.
    fn take(&self, test: Option<&str>) {
        self.take_from("", &self.name, test);
        if let Some(beside) = &self.beside {
            self.take_from(&format!("/{BESIDE}"), beside, test);
        }
    }

    fn take_from(&self, path: &str, worker: &str, test: Option<&str>) {
        let answer = asked(&format!("{}/__coverage{path}", self.address));
        let (Some(folder), Some(test)) = (folder(), test) else {
            return;
        };
        match answer.and_then(|body| profile(&body).ok_or_else(|| "no counters".to_owned())) {
            Ok(profile) => write(&folder, worker, test, &profile),
            Err(error) => eprintln!("  no lines of {worker} in {test}: {error}"),
        }
    }
}

/// Ends the measurement of a test on this thread.
pub(crate) fn ended(test: &str, has_passed: bool) {
    let using = USING.replace(Using::new());
    for worker in &using.shared {
        worker.take(Some(test));
    }
    drop(using);
    if let Some(folder) = folder().filter(|_| !has_passed) {
        write(&folder, "failed", test, &[]);
    }
}

fn asked(url: &str) -> Result<Vec<u8>, String> {
    let agent: Agent = Agent::config_builder()
        .max_redirects(0)
        .proxy(None)
        .timeout_global(Some(TIMEOUT))
        .build()
        .into();
    let answer = agent.get(url).call();
    let body = answer.and_then(|mut answer| answer.body_mut().read_to_vec());
    body.map_err(|error| error.to_string())
}

/// Writes the counters to a file, and beside it a file that names the Worker and the test.
fn write(folder: &Path, worker: &str, test: &str, profile: &[u8]) {
    let number = FILES.fetch_add(1, Ordering::Relaxed);
    let file = folder.join(format!("{number}.profraw"));
    let of = folder.join(format!("{number}.of"));
    let written =
        fs::write(file, profile).and_then(|()| fs::write(of, format!("{worker}\n{test}\n")));
    written.expect("the folder of the counters takes files");
}

/// `\xfflprofR\x81`, the mark of LLVM's raw profile with 32-bit pointers.
const MAGIC: u64 = u64::from_be_bytes(*b"\xfflprofR\x81");
/// The version that LLVM 20 to 22 write. `llvm-profdata` refuses versions that it does not know.
const VERSION: u64 = 10;
/// The size of a function's record in the section `data`, in bytes, on a 32-bit target.
const RECORD: u64 = 48;
/// The bits of a pointer on a 32-bit target.
const POINTER: u64 = 0xffff_ffff;

/// LLVM's raw profile, made from a Worker's answer: the addresses of three sections, and their
/// content.
fn profile(body: &[u8]) -> Option<Vec<u8>> {
    let (head, content) = body.split_at_checked(24)?;
    let at = |index: usize| {
        let bytes = head.get(4 * index..4 * index + 4)?;
        Some(u64::from(u32::from_le_bytes(bytes.try_into().ok()?)))
    };
    let (data, counters, names) = (at(0)?, at(2)?, at(4)?);
    let lengths = [
        at(1)?.checked_sub(data)?,
        at(3)?.checked_sub(counters)?,
        at(5)?.checked_sub(names)?,
    ];
    if lengths.iter().sum::<u64>() != content.len() as u64 {
        return None;
    }
    // The fields that are zero: binary ids, paddings, bitmaps and tables of types.
    let header = [
        MAGIC,
        VERSION,
        0,
        lengths[0] / RECORD,
        0,
        lengths[1] / 8,
        0,
        0,
        0,
        lengths[2],
        // The distance of the counters from `data`, as wide as a pointer of the target.
        counters.wrapping_sub(data) & POINTER,
        0_u64.wrapping_sub(data) & POINTER,
        names,
        0,
        0,
        // The number of the last kind of value profiling.
        2,
    ];
    let mut profile: Vec<u8> = header.iter().flat_map(|it| it.to_le_bytes()).collect();
    profile.extend_from_slice(content);
    profile.resize(profile.len().next_multiple_of(8), 0);
    Some(profile)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_is_made_of_three_sections_and_of_nothing_less() {
        let ends: [u32; 6] = [1000, 1048, 2000, 2016, 3000, 3003];
        let mut body: Vec<u8> = ends.iter().flat_map(|end| end.to_le_bytes()).collect();
        body.extend([7; 48 + 16 + 3]);
        let profile = profile(&body).expect("a profile");
        let field = |index: usize| {
            let bytes = profile[8 * index..8 * index + 8].try_into();
            u64::from_le_bytes(bytes.expect("eight bytes"))
        };
        assert_eq!([field(3), field(5), field(9)], [1, 2, 3]);
        assert_eq!(field(10), 1000);
        assert_eq!(profile.len(), 16 * 8 + 72);
        body.pop();
        assert_eq!(super::profile(&body), None);
        assert_eq!(super::profile(b"not found"), None);
    }
}
