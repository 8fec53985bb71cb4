//! Which lines a test ran in workerd: the counters of instrumented Workers.
//!
//! `cargo xtask coverage` builds the Workers with counters and sets `PROOF_COVERAGE`. Their
//! counters are set to nothing when a test first uses a Worker, and are read when the test
//! or the Worker ends. What runs at the same time in one Worker cannot be told apart, so
//! tests that share Workers run one after the other.

use std::cell::RefCell;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ureq::Agent;

use crate::case;

/// Where the counters go.
const VARIABLE: &str = "PROOF_COVERAGE";
/// Modules of the proof whose tests use none of the instrumented Workers, or hold what one
/// weighs, costs or looks like to figures that counters change.
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
/// A Worker that is busy or broken does not answer, and is not worth more.
const TIMEOUT: Duration = Duration::from_secs(10);
/// What the Workers that are bound to one of them are called by it.
const BESIDE: &str = "SENTRY_SERVICE";

/// Whoever uses a Worker that others use holds this until its test ends.
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
    /// The Worker that is bound to it.
    beside: Option<String>,
    is_shared: bool,
}

/// Whether lines are measured in this run.
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
    /// A Worker that just started.
    pub(crate) fn new(address: &str, name: String, beside: Option<String>) -> Option<Self> {
        is_on().then(|| Self {
            address: address.to_owned(),
            name,
            beside,
            is_shared: case::is_aside(),
        })
    }

    /// The test on this thread uses it now.
    pub(crate) fn used(&self) {
        // A test's other threads work for the one that waits for them.
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

    /// It is about to end. A shared one outlives its tests.
    pub(crate) fn ends(&self) {
        if !self.is_shared {
            self.take(case::name().as_deref());
        }
    }

    /// Reads the counters for a test, or forgets them.
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

/// The test on this thread is over, and whether it passed.
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

/// A file with the counters, and one that says whose they are.
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
/// The version that LLVM 20 to 22 write; `llvm-profdata` refuses one that it does not know.
const VERSION: u64 = 10;
/// A function's record in the section `data` on a 32-bit target, in bytes.
const RECORD: u64 = 48;
/// The bits of a pointer on a 32-bit target.
const POINTER: u64 = 0xffff_ffff;

/// LLVM's raw profile of what a Worker answered: the ends of three sections, and their
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
    // The fields that are nothing: binary ids, paddings, bitmaps and tables of types.
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
        // Where these begin as seen from `data`, as wide as a pointer there.
        counters.wrapping_sub(data) & POINTER,
        0_u64.wrapping_sub(data) & POINTER,
        names,
        0,
        0,
        // The last kind of value that is counted.
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
