//! The receiver of all the Workers, which takes the time.
//!
//! A Worker says when it begins and when it is done. The receiver takes the time, because a
//! Worker's own clock does not advance between two requests.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use harness::receiver::{Answer, Receiver};
use harness::server::Request;

/// The longest time that a measurement may take.
const LIMIT: Duration = Duration::from_secs(60);
/// An event that has not arrived this long after the end of a run is lost.
const LOST: Duration = Duration::from_secs(5);

/// What the receiver has got.
#[derive(Default)]
struct Seen {
    marks: HashMap<String, Instant>,
    /// The envelopes that nobody has taken yet.
    envelopes: Vec<Request>,
    /// The time at which the last envelope arrived.
    last: Option<Instant>,
}

#[derive(Default)]
struct State {
    seen: Mutex<Seen>,
    news: Condvar,
}

impl State {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The receiver, and what it has got.
pub struct Stopwatch {
    receiver: Receiver,
    state: Arc<State>,
    runs: AtomicU64,
}

impl Stopwatch {
    pub fn new() -> Self {
        let state = Arc::<State>::default();
        let noting = Arc::clone(&state);
        let receiver = Receiver::answering(move |request, _| {
            let now = Instant::now();
            let mut seen = noting.seen();
            if let Some(mark) = request.target.strip_prefix("/mark/") {
                seen.marks.insert(mark.to_owned(), now);
            } else if request.target.starts_with("/api/") {
                seen.envelopes.push(request.clone());
                seen.last = Some(now);
            }
            drop(seen);
            noting.news.notify_all();
            Answer::ok()
        });
        Stopwatch {
            receiver,
            state,
            runs: AtomicU64::new(1),
        }
    }

    /// The address for the Workers' marks.
    pub fn url(&self) -> String {
        self.receiver.url()
    }

    /// The DSN for the Workers' events.
    pub fn dsn(&self) -> String {
        self.receiver.dsn()
    }

    /// The number of connections so far.
    pub fn connections(&self) -> usize {
        self.receiver.connections()
    }

    /// A new name for a run, which is part of its marks.
    pub fn new_run(&self) -> String {
        self.runs.fetch_add(1, Ordering::Relaxed).to_string()
    }

    /// Waits for the end of a run, and returns how long it took.
    ///
    /// # Panics
    ///
    /// If the run does not end in time.
    pub fn time(&self, run: &str) -> Duration {
        let took = self.wait(LIMIT, |seen| {
            let end = *seen.marks.get(&format!("end/{run}"))?;
            let begin = *seen.marks.get(&format!("begin/{run}"))?;
            Some(end - begin)
        });
        took.unwrap_or_else(|| panic!("run {run} has no end"))
    }

    /// Waits for this many envelopes, and takes all that are there.
    ///
    /// # Panics
    ///
    /// If too few arrive in time.
    pub fn take(&self, count: usize) -> Vec<Request> {
        let taken = self.wait(LIMIT, |seen| {
            let complete = seen.envelopes.len() >= count;
            complete.then(|| std::mem::take(&mut seen.envelopes))
        });
        taken.unwrap_or_else(|| {
            let arrived = self.state.seen().envelopes.len();
            panic!("{arrived} of {count} envelopes have arrived")
        })
    }

    /// Waits for the end of a run and for this many envelopes, takes them, and returns how
    /// long both took. `None` if some envelopes are lost.
    ///
    /// # Panics
    ///
    /// If the run does not end in time.
    pub fn time_until_arrived(&self, run: &str, count: usize) -> Option<Duration> {
        self.time(run);
        let took = self.wait(LOST, |seen| {
            let complete = seen.envelopes.len() >= count;
            let end = *seen.marks.get(&format!("end/{run}"))?;
            let begin = *seen.marks.get(&format!("begin/{run}"))?;
            complete.then(|| end.max(seen.last.unwrap_or(end)) - begin)
        });
        self.take(0);
        took
    }

    fn wait<T>(&self, limit: Duration, mut ask: impl FnMut(&mut Seen) -> Option<T>) -> Option<T> {
        let deadline = Instant::now() + limit;
        let mut seen = self.state.seen();
        loop {
            if let Some(answer) = ask(&mut seen) {
                return Some(answer);
            }
            let left = deadline.checked_duration_since(Instant::now())?;
            let woken = self.state.news.wait_timeout(seen, left);
            seen = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}
