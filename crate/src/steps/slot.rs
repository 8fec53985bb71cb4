//! Steps 3 and 4, *load failure* and *initialise once*: one client for each
//! isolate, made for the first way in that needs it.
//!
//! This module is a state machine. It never waits and never calls the platform, so a native
//! test can enumerate every interleaving of its callers.
//!
//! ```text
//!            turn: Load                 loaded
//!   absent ─────────────▶ loading ─────────────────▶ ready
//!      ▲                     │  ▲                       │
//!      │       failed        │  │ turn after `expires`  │ turn: Ready
//!      └─────────────────────┘  └── a new ticket        └─ for the isolate's life
//! ```
//!
//! A load that was given up may still succeed, after the load that replaced it has failed. In
//! that case `loaded` leads from absent to ready.
//!
//! Callers that find the isolate loading do not wait for the loader's future, because
//! the runtime cancels a request that depends on another request's I/O. Each such caller
//! checks again on its own timer, and starts a load itself when the loader is late.

use std::cell::RefCell;
use std::rc::Rc;

use super::client::IsolateClient;
use super::load::Complaint;

/// The isolate's state, as its callers share it.
pub(crate) type Shared = RefCell<Isolate<IsolateClient>>;

// ANCHOR: slot
thread_local! {
    /// An isolate has one thread and, with it, one of these. Leaked because a
    /// capture keeps it across waits; it lives as long as the isolate anyway.
    static ISOLATE: &'static Shared = Box::leak(Box::new(RefCell::new(Isolate::new())));
}
// ANCHOR_END: slot

/// This isolate's state.
pub(crate) fn shared() -> &'static Shared {
    ISOLATE.with(|isolate| *isolate)
}

/// Identifies one load, so that the failure of a load that was given up cannot end a later one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ticket(u64);

/// The next action of a caller.
#[derive(Debug)]
pub(crate) enum Turn<C> {
    /// Load, then call [`Isolate::loaded`] or [`Isolate::failed`].
    Load(Ticket),
    /// Another caller is loading. Sleep on your own timer, then call `turn` again.
    Wait,
    /// The client is ready.
    Ready(Rc<C>),
}

// ANCHOR: states
#[derive(Debug)]
enum Slot<C> {
    Absent,
    Loading { ticket: Ticket, expires_ms: f64 },
    Ready(Rc<C>),
}
// ANCHOR_END: states

/// The state an isolate keeps between requests. It holds no request's data.
#[derive(Debug)]
pub(crate) struct Isolate<C> {
    slot: Slot<C>,
    configured: Option<bool>,
    #[cfg(feature = "spans")]
    traces: Option<Option<crate::trace::sampling::Rate>>,
    #[cfg(any(test, feature = "logs"))]
    logs: Option<bool>,
    tickets: u64,
    complained: Vec<Complaint>,
}

impl<C> Isolate<C> {
    pub(crate) const fn new() -> Self {
        Isolate {
            slot: Slot::Absent,
            configured: None,
            #[cfg(feature = "spans")]
            traces: None,
            #[cfg(any(test, feature = "logs"))]
            logs: None,
            tickets: 0,
            complained: Vec::new(),
        }
    }

    /// Whether there is a DSN. `look` is called once in the isolate's life.
    pub(crate) fn is_configured(&mut self, look: impl FnOnce() -> bool) -> bool {
        *self.configured.get_or_insert_with(look)
    }

    /// The sample rate of traces. `look` is called once in the isolate's life.
    #[cfg(feature = "spans")]
    pub(crate) fn traces(
        &mut self,
        look: impl FnOnce() -> Option<crate::trace::sampling::Rate>,
    ) -> Option<crate::trace::sampling::Rate> {
        *self.traces.get_or_insert_with(look)
    }

    /// Whether logs are sent. `look` is called once in the isolate's life.
    #[cfg(any(test, feature = "logs"))]
    pub(crate) fn logs(&mut self, look: impl FnOnce() -> bool) -> bool {
        *self.logs.get_or_insert_with(look)
    }

    // ANCHOR: turn
    /// Asks for the client. At most one caller at a time is told to load.
    ///
    /// A load that has taken `load_ms` is taken for dead: its request may have
    /// been cancelled, and the runtime tells nobody.
    pub(crate) fn turn(&mut self, now_ms: f64, load_ms: f64) -> Turn<C> {
        match &self.slot {
            Slot::Ready(client) => return Turn::Ready(Rc::clone(client)),
            Slot::Loading { expires_ms, .. } if now_ms < *expires_ms => return Turn::Wait,
            Slot::Loading { .. } | Slot::Absent => {}
        }
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        self.slot = Slot::Loading {
            ticket,
            expires_ms: now_ms + load_ms,
        };
        Turn::Load(ticket)
    }
    // ANCHOR_END: turn

    // ANCHOR: failed
    /// A load failed or was dropped: the next caller starts from scratch.
    ///
    /// A late loader's failure changes nothing for the one that took over.
    pub(crate) fn failed(&mut self, ticket: Ticket) {
        if matches!(&self.slot, Slot::Loading { ticket: current, .. } if *current == ticket) {
            self.slot = Slot::Absent;
        }
    }
    // ANCHOR_END: failed

    // ANCHOR: loaded
    /// A load succeeded: builds the client, unless the isolate has one already.
    pub(crate) fn loaded(&mut self, build: impl FnOnce() -> C) -> Rc<C> {
        if let Slot::Ready(client) = &self.slot {
            return Rc::clone(client);
        }
        let client = Rc::new(build());
        self.slot = Slot::Ready(Rc::clone(&client));
        client
    }
    // ANCHOR_END: loaded

    /// The client, if there is one already.
    pub(crate) fn ready(&self) -> Option<Rc<C>> {
        match &self.slot {
            Slot::Ready(client) => Some(Rc::clone(client)),
            Slot::Absent | Slot::Loading { .. } => None,
        }
    }

    /// The state's name in the book.
    #[cfg(any(test, feature = "laboratory"))]
    pub(crate) fn state(&self) -> &'static str {
        match self.slot {
            Slot::Absent => "absent",
            Slot::Loading { .. } => "loading",
            Slot::Ready(_) => "ready",
        }
    }

    /// Whether this complaint is new in the isolate. `true` once for each complaint.
    pub(crate) fn is_news(&mut self, complaint: Complaint) -> bool {
        let news = !self.complained.contains(&complaint);
        if news {
            self.complained.push(complaint);
        }
        news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOAD_MS: f64 = 100.0;

    fn ticket(isolate: &mut Isolate<u8>, now_ms: f64) -> Ticket {
        match isolate.turn(now_ms, LOAD_MS) {
            Turn::Load(ticket) => ticket,
            other => panic!("expected a turn to load, got {other:?}"),
        }
    }

    #[test]
    fn step_2_load_only_one_load_is_in_flight() {
        let mut isolate = Isolate::new();
        ticket(&mut isolate, 0.0);
        assert!(matches!(isolate.turn(0.0, LOAD_MS), Turn::Wait));
        assert!(matches!(isolate.turn(99.0, LOAD_MS), Turn::Wait));
    }

    #[test]
    fn step_3_load_failure_clears_the_slot_for_the_next_call() {
        let mut isolate = Isolate::new();
        let first = ticket(&mut isolate, 0.0);
        isolate.failed(first);
        ticket(&mut isolate, 0.0);
    }

    #[test]
    fn step_3_load_failure_a_loader_that_never_returns_is_replaced_when_it_is_late() {
        let mut isolate = Isolate::new();
        let dead = ticket(&mut isolate, 0.0);
        let next = ticket(&mut isolate, 100.0);
        // The late failure of the first load does not end the load that replaced it.
        isolate.failed(dead);
        assert!(matches!(isolate.turn(150.0, LOAD_MS), Turn::Wait));
        isolate.failed(next);
        ticket(&mut isolate, 150.0);
    }

    #[test]
    fn step_4_initialise_once_a_second_load_does_not_build_a_second_client() {
        let mut isolate = Isolate::new();
        ticket(&mut isolate, 0.0);
        ticket(&mut isolate, 100.0);
        let first = isolate.loaded(|| 1);
        let second = isolate.loaded(|| unreachable!("a second client"));
        assert!(Rc::ptr_eq(&first, &second));
        assert!(matches!(isolate.turn(1e12, LOAD_MS), Turn::Ready(client) if *client == 1));
    }

    #[test]
    fn a_failure_after_the_client_is_there_changes_nothing() {
        let mut isolate = Isolate::new();
        let first = ticket(&mut isolate, 0.0);
        assert!(isolate.ready().is_none());
        isolate.loaded(|| 1);
        isolate.failed(first);
        assert_eq!(isolate.ready().as_deref(), Some(&1));
    }

    /// Every transition from one state to another, with its name in the book's diagram. A test of
    /// the book compares the two.
    const TRANSITIONS: [(&str, &str, &str); 4] = [
        ("absent", "loading", "first capture"),
        ("absent", "ready", "loaded late"),
        ("loading", "absent", "load failed"),
        ("loading", "ready", "loaded"),
    ];

    /// One step in the life of an isolate. Each load ends once. `oldest` chooses between the
    /// oldest and the newest of the loads that have not ended.
    #[derive(Clone, Copy)]
    enum Step {
        Turn { is_late: bool },
        Failed { oldest: bool },
        Loaded { oldest: bool },
    }

    const STEPS: [Step; 6] = [
        Step::Turn { is_late: false },
        Step::Turn { is_late: true },
        Step::Failed { oldest: false },
        Step::Failed { oldest: true },
        Step::Loaded { oldest: false },
        Step::Loaded { oldest: true },
    ];

    #[test]
    fn the_transitions_are_those_and_no_others_whatever_happens_in_whichever_order() {
        const LENGTH: u32 = 6;
        let mut seen = std::collections::BTreeSet::new();
        for number in 0..STEPS.len().pow(LENGTH) {
            let steps = (0..LENGTH).map(|at| STEPS[number / STEPS.len().pow(at) % STEPS.len()]);
            play(steps, &mut seen);
        }
        assert_eq!(Vec::from_iter(seen), TRANSITIONS);
    }

    type Seen = std::collections::BTreeSet<(&'static str, &'static str, &'static str)>;

    fn play(steps: impl Iterator<Item = Step>, seen: &mut Seen) {
        let mut isolate = Isolate::<u8>::new();
        let mut loads = Vec::new();
        let mut now_ms = 0.0;
        for step in steps {
            let before = isolate.state();
            let mut end = |oldest| match oldest {
                _ if loads.is_empty() => None,
                true => Some(loads.remove(0)),
                false => loads.pop(),
            };
            let name = match step {
                Step::Turn { is_late } => {
                    now_ms += if is_late { LOAD_MS } else { 1.0 };
                    if let Turn::Load(ticket) = isolate.turn(now_ms, LOAD_MS) {
                        loads.push(ticket);
                    }
                    "first capture"
                }
                Step::Failed { oldest } => {
                    let Some(ticket) = end(oldest) else { continue };
                    isolate.failed(ticket);
                    "load failed"
                }
                Step::Loaded { oldest } => {
                    let Some(_) = end(oldest) else { continue };
                    isolate.loaded(|| 1);
                    if before == "absent" {
                        "loaded late"
                    } else {
                        "loaded"
                    }
                }
            };
            let after = isolate.state();
            if before != after {
                seen.insert((before, after, name));
            }
        }
    }

    #[test]
    fn a_complaint_is_news_once() {
        let mut isolate = Isolate::<u8>::new();
        let complaint = |binding| Complaint {
            binding,
            problem: "is wrong",
        };
        assert!(isolate.is_news(complaint("A")));
        assert!(!isolate.is_news(complaint("A")));
        assert!(isolate.is_news(complaint("B")));
    }
}
