//! Every order in which three first captures can meet in one isolate.
//!
//! A run is a list of choices: which request starts, whose wait ends and how,
//! which request is cancelled, when time passes. The explorer replays the captures from
//! the beginning for each list, until it has tried all lists.
//!
//! A request is polled only when it starts or when one of its own waits has ended.
//! A request that depends on another request's I/O therefore gets stuck, and the test fails.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use sentry_core::protocol::Uuid;
use thiserror::Error;

use super::slot::{Isolate, Shared};
use super::{LOAD_MS, capture};
use crate::item::draft::drafted;
use crate::platform::Binding;
use crate::platform::testing::{Fake, Outcome, Wait, Waiting, World};

const REQUESTS: usize = 3;
const GOOD: &str = "https://key@sentry.example.com/1";

#[derive(Debug, Error)]
#[error("marker-{0}")]
struct Marker(usize);

/// One thing that can happen next.
#[derive(Clone, Copy, Debug)]
enum Step {
    Start,
    EndSecret {
        id: usize,
        good: bool,
    },
    EndPost {
        id: usize,
    },
    NextTimer,
    LoadExpires,
    /// The request is cancelled and its future dropped.
    Drop(usize),
    /// The request is cancelled, and its future is never polled and never dropped. The
    /// runtime does the same.
    Abandon(usize),
}

enum Request {
    Running(Pin<Box<dyn Future<Output = Option<Uuid>>>>),
    Done(Option<Uuid>),
    Cancelled,
}

struct Run {
    world: Rc<World>,
    isolate: Rc<Shared>,
    requests: Vec<Request>,
    failures: usize,
    expiries: usize,
    cancelled: usize,
    looks: usize,
    /// Abandoned futures. They are kept here because an abandoned future must not be dropped.
    limbo: Vec<Pin<Box<dyn Future<Output = Option<Uuid>>>>>,
    history: Vec<Step>,
}

impl Run {
    fn new() -> Self {
        let world = Rc::new(World::default());
        world
            .bindings
            .borrow_mut()
            .insert("SENTRY_DSN", Binding::Secret(()));
        Run {
            world,
            isolate: Rc::new(RefCell::new(Isolate::new())),
            requests: Vec::new(),
            failures: 0,
            expiries: 0,
            cancelled: 0,
            looks: 0,
            limbo: Vec::new(),
            history: Vec::new(),
        }
    }

    fn enabled(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        // At most one fault of each kind and two faults in one run, to limit the number of runs.
        let faults_left = self.failures + self.expiries + self.cancelled < 2;
        let live = |request: usize| matches!(self.requests[request], Request::Running(_));
        let waiting: Vec<Waiting> = self
            .world
            .waiting
            .borrow()
            .iter()
            .filter(|waiting| live(waiting.request))
            .cloned()
            .collect();
        for Waiting { id, wait, .. } in &waiting {
            match wait {
                Wait::Secret => {
                    steps.push(Step::EndSecret {
                        id: *id,
                        good: true,
                    });
                    if faults_left && self.failures == 0 {
                        steps.push(Step::EndSecret {
                            id: *id,
                            good: false,
                        });
                    }
                }
                Wait::Post => steps.push(Step::EndPost { id: *id }),
                Wait::Timer { .. } => {}
            }
        }
        if self.requests.len() < REQUESTS {
            steps.push(Step::Start);
        }
        let timers = waiting
            .iter()
            .any(|waiting| matches!(waiting.wait, Wait::Timer { .. }));
        // If a caller looks and finds the isolate still loading, nothing changes. So two such
        // steps in a row stand for any number, unless no other step is possible.
        if timers && (self.looks < 2 || steps.is_empty()) {
            steps.push(Step::NextTimer);
        }
        if faults_left && timers && self.expiries == 0 {
            steps.push(Step::LoadExpires);
        }
        if faults_left && self.cancelled == 0 {
            for request in 0..self.requests.len() {
                if live(request) {
                    steps.extend([Step::Drop(request), Step::Abandon(request)]);
                }
            }
        }
        steps
    }

    fn take(&mut self, step: Step) {
        self.history.push(step);
        match step {
            Step::Start => self.start(),
            Step::EndSecret { id, good } => {
                self.failures += usize::from(!good);
                self.end(id, Outcome::Secret(good.then(|| GOOD.to_owned())));
            }
            Step::EndPost { id } => self.end(id, Outcome::Posted(Ok((200, None, None)))),
            Step::NextTimer => {
                self.looks += 1;
                self.next_timer(u64::MAX);
            }
            Step::LoadExpires => {
                let until = self.world.now_ms.get() + LOAD_MS as u64;
                while self.next_timer(until) {}
            }
            Step::Drop(request) => {
                self.cancelled += 1;
                self.requests[request] = Request::Cancelled;
            }
            Step::Abandon(request) => {
                self.cancelled += 1;
                let left = std::mem::replace(&mut self.requests[request], Request::Cancelled);
                if let Request::Running(future) = left {
                    self.limbo.push(future);
                }
            }
        }
        if !matches!(step, Step::NextTimer) {
            self.looks = 0;
        }
        self.check_loads();
    }

    fn start(&mut self) {
        let number = self.requests.len();
        let fake = Fake {
            world: Rc::clone(&self.world),
            request: number,
        };
        let isolate = Rc::clone(&self.isolate);
        let future = async move {
            let error = Marker(number);
            capture(&fake, &isolate, |runtime| Some(drafted(runtime, &error))).await
        };
        self.requests.push(Request::Running(Box::pin(future)));
        self.poll(number);
    }

    fn end(&mut self, id: usize, outcome: Outcome) {
        let request = self
            .world
            .waiting
            .borrow()
            .iter()
            .find(|waiting| waiting.id == id)
            .map(|waiting| waiting.request)
            .expect("a wait that is there");
        self.world.end(id, outcome);
        self.poll(request);
    }

    /// Fires the timer that is due first, if it is due by `until`.
    fn next_timer(&mut self, until: u64) -> bool {
        let due = self
            .world
            .waiting
            .borrow()
            .iter()
            .filter(|waiting| matches!(self.requests[waiting.request], Request::Running(_)))
            .filter_map(|waiting| match waiting.wait {
                Wait::Timer { due_ms } => Some((due_ms, waiting.id)),
                Wait::Secret | Wait::Post => None,
            })
            .min();
        let Some((due_ms, id)) = due.filter(|(due_ms, _)| *due_ms <= until) else {
            let now = self.world.now_ms.get();
            self.world
                .now_ms
                .set(if until == u64::MAX { now } else { until });
            return false;
        };
        self.world.now_ms.set(self.world.now_ms.get().max(due_ms));
        self.expiries += usize::from(self.is_loading(id));
        self.end(id, Outcome::Fired);
        true
    }

    /// Whether the request with this timer is reading a secret. If so, the timer is the time
    /// limit of its load.
    fn is_loading(&self, timer: usize) -> bool {
        let waiting = self.world.waiting.borrow();
        let request = waiting.iter().find(|waiting| waiting.id == timer);
        request.is_some_and(|timer| {
            waiting
                .iter()
                .any(|other| other.request == timer.request && other.wait == Wait::Secret)
        })
    }

    fn poll(&mut self, number: usize) {
        let Request::Running(future) = &mut self.requests[number] else {
            return;
        };
        let mut context = Context::from_waker(Waker::noop());
        if let Poll::Ready(id) = future.as_mut().poll(&mut context) {
            self.requests[number] = Request::Done(id);
        }
    }

    /// Checks that at most one load is running, apart from loads that are overdue.
    fn check_loads(&self) {
        let now = self.world.now_ms.get();
        // The time limit of a load is a timer, so its due time shows when the load began.
        let waiting = self.world.waiting.borrow();
        let in_flight = waiting
            .iter()
            .filter(|waiting| waiting.wait == Wait::Secret)
            .filter(|secret| {
                waiting.iter().any(|other| {
                    other.request == secret.request
                        && matches!(other.wait, Wait::Timer { due_ms } if due_ms > now)
                })
            })
            .count();
        assert!(
            in_flight <= 1,
            "{in_flight} loads at once: {:?}",
            self.history
        );
    }

    fn check_end(&self) {
        let story = &self.history;
        let clients = self
            .world
            .lines
            .borrow()
            .iter()
            .filter(|line| line.contains("client initialised"))
            .count();
        assert!(clients <= 1, "{clients} clients: {story:?}");
        let posted = self.world.posted.borrow();
        let mut lost = 0;
        for (number, request) in self.requests.iter().enumerate() {
            let own: Vec<_> = posted
                .iter()
                .filter(|sent| sent.request == number)
                .collect();
            for sent in &own {
                assert!(
                    sent.body.contains(&format!("marker-{number}")),
                    "request {number} sent another one's event: {story:?}"
                );
            }
            match request {
                Request::Running(_) => panic!("request {number} is stuck: {story:?}"),
                Request::Done(Some(_)) => assert_eq!(own.len(), 1, "{story:?}"),
                Request::Done(None) => lost += 1,
                Request::Cancelled => assert!(own.len() <= 1, "{story:?}"),
            }
        }
        // Only a call whose own load failed or took too long may lose its event.
        let excused = self.failures + self.expiries;
        assert!(lost <= excused, "{lost} lost, {excused} excused: {story:?}");
    }
}

#[test]
fn in_every_interleaving_there_is_one_load_one_client_and_no_event_lost() {
    let mut choices: Vec<(usize, usize)> = Vec::new();
    let mut runs = 0_u32;
    loop {
        let mut run = Run::new();
        let mut depth = 0;
        loop {
            let enabled = run.enabled();
            if enabled.is_empty() {
                break;
            }
            if depth == choices.len() {
                choices.push((0, enabled.len()));
            }
            let (choice, of) = choices[depth];
            assert_eq!(of, enabled.len(), "the captures are not deterministic");
            depth += 1;
            run.take(enabled[choice]);
            assert!(depth < 400, "no end: {:?}", run.history);
        }
        run.check_end();
        runs += 1;
        // The next list of choices, depth first.
        while let Some((choice, of)) = choices.pop() {
            if choice + 1 < of {
                choices.push((choice + 1, of));
                break;
            }
        }
        if choices.is_empty() {
            break;
        }
    }
    println!("{runs} interleavings");
    assert!(
        runs > 1_000,
        "only {runs} interleavings: the explorer is broken"
    );
}
