//! The logs of one run, kept until the run ends.
//!
//! The outermost of the run's scopes keeps the logs and sends them when it ends. Work that goes
//! on after that, in the background or in a stream, sends its logs when it ends itself. Each
//! attempt of a Workflow's step also sends its logs at its end, because a Workflow that sleeps
//! may be removed from memory before it wakes up.

use std::cell::{Cell, RefCell};
use std::error::Error;
use std::rc::Rc;

use super::{Contribute, Said, Scope};
use crate::item::draft::Details;
use crate::item::log::{Dropped, Log, MAX_LOGS};
use crate::trace::run::Position;

/// The most items for the logs of one run. Sentry allows an SDK to keep at most 1,000 logs.
/// <https://develop.sentry.dev/sdk/telemetry/logs/#buffering>
pub(crate) const MAX_BATCHES: usize = 10;
/// An item with this many bytes of logs takes no further log. One byte becomes at most six
/// bytes of JSON, so the item stays below Sentry's limit of one megabyte.
const MAX_BYTES: usize = 100_000;

/// A log of a run.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) log: Log,
    pub(crate) at_ms: f64,
    pub(crate) sequence: u32,
    pub(crate) position: Position,
    /// Whether the position is that of a span that will be sent.
    pub(crate) is_in_span: bool,
}

/// The logs of one item.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) logs: Vec<Kept>,
    bytes: usize,
    /// The logs that were dropped before this batch is sent.
    pub(crate) dropped: Dropped,
}

/// What happened to a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Kept,
    /// Dropped, as the first log of its run.
    FirstDropped,
    Dropped,
}

/// The logs of one run.
#[derive(Debug, Default)]
pub(crate) struct Logs {
    batches: Vec<Batch>,
    /// How many items were taken to be sent.
    left: usize,
    dropped: Dropped,
    has_dropped: bool,
    last: Option<(f64, u32)>,
}

impl Logs {
    fn push(&mut self, log: Log, at_ms: f64, position: Position, is_in_span: bool) -> Fate {
        let size = log.size();
        let is_full = |batch: &Batch| batch.logs.len() == MAX_LOGS || batch.bytes >= MAX_BYTES;
        if self.batches.last().is_none_or(is_full) {
            if self.left + self.batches.len() >= MAX_BATCHES {
                self.dropped.count(&log);
                return match std::mem::replace(&mut self.has_dropped, true) {
                    true => Fate::Dropped,
                    false => Fate::FirstDropped,
                };
            }
            self.batches.push(Batch::default());
        }
        let sequence = match self.last {
            Some((ms, number)) if ms == at_ms => number.saturating_add(1),
            _ => 0,
        };
        self.last = Some((at_ms, sequence));
        if let Some(batch) = self.batches.last_mut() {
            batch.bytes += size;
            batch.logs.push(Kept {
                log,
                at_ms,
                sequence,
                position,
                is_in_span,
            });
        }
        Fate::Kept
    }

    /// Takes the batches that were not sent yet.
    pub(crate) fn take(&mut self) -> Vec<Batch> {
        let mut batches = std::mem::take(&mut self.batches);
        self.left += batches.len();
        if let Some(last) = batches.last_mut() {
            last.dropped = std::mem::take(&mut self.dropped);
        }
        batches
    }
}

/// Logs add nothing to the events of their run.
impl Contribute for RefCell<Logs> {
    fn contribute(&self, _: &mut Details, _: &Said, _: Option<&(dyn Error + 'static)>) {}
}

/// The state of a scope for the time after its handler has returned.
#[derive(Debug, Default)]
pub(super) struct After {
    /// Whether the run has ended. Background work of the run may still go on.
    is_over: Cell<bool>,
    outlives_handler: Cell<bool>,
    has_more: Cell<bool>,
}

impl Scope {
    /// The logs of this run, made if there are none yet.
    pub(crate) fn logs(&self) -> Option<Rc<RefCell<Logs>>> {
        self.shared()
    }

    /// Keeps a log of this run.
    pub(crate) fn log(&self, log: Log, at_ms: f64) -> Fate {
        #[cfg(any(test, feature = "spans"))]
        let is_in_span = super::spans::is_recording();
        #[cfg(not(any(test, feature = "spans")))]
        let is_in_span = false;
        let position = self.position();
        self.logs()
            .and_then(|logs| {
                let mut logs = logs.try_borrow_mut().ok()?;
                Some(logs.push(log, at_ms, position, is_in_span))
            })
            .unwrap_or(Fate::Dropped)
    }

    /// Ends this scope's part of the run. Returns `true` if the logs are to be sent now: if this
    /// scope is the outermost one, or if the run was over before.
    pub(crate) fn ends_with_logs(&self) -> bool {
        if self.after.has_more.get() {
            return false;
        }
        let outermost = self.outwards().last().unwrap_or(self);
        if self.parent.is_none() {
            self.after.is_over.set(true);
        }
        outermost.after.is_over.get()
    }

    /// As `ends_with_logs`, and returns the logs that are to be sent.
    #[cfg(test)]
    pub(crate) fn end_logs(&self) -> Vec<Batch> {
        match self.ends_with_logs() {
            true => self.take_logs(),
            false => Vec::new(),
        }
    }

    /// Takes all logs that the run has so far.
    pub(crate) fn take_logs(&self) -> Vec<Batch> {
        let logs = self.outwards().last().and_then(Scope::own::<RefCell<Logs>>);
        let taken = logs.and_then(|logs| Some(logs.try_borrow_mut().ok()?.take()));
        taken.unwrap_or_default()
    }

    /// Marks this part of the run as one that the handler does not wait for. The part itself
    /// must then poll everything that it has started.
    pub(super) fn outlive_handler(&self) {
        self.after.outlives_handler.set(true);
    }

    /// Whether [`outlive_handler`](Self::outlive_handler) was called.
    #[cfg(feature = "logs")]
    pub(crate) fn outlives_handler(&self) -> bool {
        self.after.outlives_handler.get()
    }

    /// Sets whether this part of the run goes on after its present end. A stream goes on after
    /// each item except the last.
    pub(crate) fn has_more(&self, has_more: bool) {
        self.after.has_more.set(has_more);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::item::place::{Handler, Place};

    fn run() -> Rc<Scope> {
        Scope::within(None, Place::new("Object", Handler::Alarm))
    }

    fn below(scope: &Rc<Scope>) -> Rc<Scope> {
        Scope::within(Some(Rc::clone(scope)), Place::default())
    }

    fn count(batches: &[Batch]) -> Vec<usize> {
        batches.iter().map(|batch| batch.logs.len()).collect()
    }

    #[test]
    fn the_logs_of_a_run_leave_with_its_outermost_wrapper_and_later_ones_with_what_goes_on() {
        let run = run();
        let inner = below(&run);
        inner.log(Log::info("a"), 1.0);
        assert_eq!(count(&inner.end_logs()), [0; 0]);
        run.log(Log::info("b"), 1.0);
        assert_eq!(count(&run.end_logs()), [2]);
        assert_eq!(count(&run.end_logs()), [0; 0]);
        let later = below(&run);
        later.log(Log::info("c"), 1.0);
        assert_eq!(count(&later.end_logs()), [1]);
    }

    #[test]
    fn a_part_that_has_more_keeps_its_logs_and_an_attempt_takes_all_that_there_are() {
        let run = run();
        run.end_logs();
        let stream = below(&run);
        run.log(Log::info("a"), 1.0);
        stream.has_more(true);
        stream.log(Log::info("a"), 1.0);
        assert_eq!(count(&stream.end_logs()), [0; 0]);
        stream.has_more(false);
        assert_eq!(count(&stream.end_logs()), [2]);

        let run = self::run();
        run.log(Log::info("a"), 1.0);
        let attempt = below(&run);
        attempt.log(Log::info("b"), 1.0);
        assert_eq!(count(&attempt.take_logs()), [2]);
        assert_eq!(count(&run.end_logs()), [0; 0]);
    }

    #[test]
    fn logs_of_one_millisecond_are_numbered() {
        let run = run();
        for at_ms in [1.0, 1.0, 1.0, 2.0, 2.0] {
            run.log(Log::info("a"), at_ms);
        }
        let batches = run.end_logs();
        let numbers = batches[0].logs.iter().map(|it| it.sequence);
        assert_eq!(Vec::from_iter(numbers), [0, 1, 2, 0, 1]);
    }

    #[test]
    fn a_run_keeps_so_many_items_of_so_many_logs_and_counts_the_rest() {
        let run = run();
        let most = MAX_BATCHES * MAX_LOGS;
        for _ in 0..most {
            assert_eq!(run.log(Log::info("four"), 1.0), Fate::Kept);
        }
        assert_eq!(run.log(Log::info("four"), 1.0), Fate::FirstDropped);
        assert_eq!(run.log(Log::info("four"), 1.0), Fate::Dropped);
        let batches = run.end_logs();
        assert_eq!(count(&batches), [MAX_LOGS; MAX_BATCHES]);
        let dropped: Vec<_> = batches.iter().map(|it| it.dropped.logs).collect();
        assert_eq!(dropped, [0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);
        assert_eq!(batches[9].dropped.bytes, 8);
        // The run has used up its items, so work after the run cannot log any more.
        assert_eq!(below(&run).log(Log::info("a"), 1.0), Fate::Dropped);
        assert_eq!(count(&below(&run).end_logs()), [0; 0]);
    }

    #[test]
    fn an_item_that_has_its_bytes_takes_no_log_more() {
        let run = run();
        let big = || Log::info("x".repeat(8_192)).with("key", "x".repeat(2_048));
        let mut kept = 0;
        while run.log(big(), 1.0) == Fate::Kept {
            kept += 1;
        }
        let batches = run.end_logs();
        assert_eq!(batches.len(), MAX_BATCHES);
        let each = MAX_BYTES.div_ceil(big().size());
        assert_eq!(count(&batches), [each; MAX_BATCHES]);
        assert_eq!(kept, each * MAX_BATCHES);
    }
}
