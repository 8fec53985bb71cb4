//! A run: executes one word after the other, and records what happened.
//!
//! The run follows the rules of the runtime. A handler goes on only when one of its own waits has
//! ended. A handler without a wait of its own is cancelled as hung. A cancelled handler is
//! never polled again and never dropped.

use std::collections::BTreeSet;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use worker_sentry::laboratory::{Ending, Isolate, Platform, Posted, Task, Wait, Waiting, World};

use crate::handler::{Background, Failure, Handling};
use crate::naive::Naive;
use crate::word::{MOST_WORDS, Receiver, Store, Way, Word, words};

/// The most handlers in one run.
const MOST_HANDLERS: usize = 12;
/// The most steps in one run.
const MOST_STEPS: usize = 400;
/// The most events in one step.
const MOST_EVENTS: usize = 2_000;

/// Which guard a handler has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guard {
    Ours,
    Naive,
}

/// What the application got back from a handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Saw {
    /// The handler returned: its own error, or a success.
    Returned {
        is_error: bool,
    },
    Cancelled,
    /// The runtime cancelled the handler, because nothing would ever wake it.
    Hung,
    /// The WebAssembly instance in which the handler ran has ended.
    Trapped,
}

/// One handler that was called.
pub struct Lane {
    /// Two lanes with the same number are the same handler under two guards.
    pub number: usize,
    pub way: Way,
    pub guard: Guard,
    pub started_ms: u64,
    /// What the application saw, and when.
    pub saw: Option<(Saw, u64)>,
    /// Whether the background was ended from outside, so that nothing more is delivered.
    pub is_gone: bool,
    /// The steps that the handler has reached.
    pub steps: BTreeSet<u8>,
    /// The step in which the handler is.
    pub step: Option<u8>,
    /// How often the handler looked and found another one loading.
    pub looks: usize,
    /// The handler's last line in the console.
    pub last_line: Option<String>,
    platform: Platform,
    handling: Option<Handling>,
    tasks: Vec<Task>,
    background: Background,
}

impl Lane {
    /// The result of the report: the event's id if it was delivered.
    pub fn captured(&self) -> Option<Option<String>> {
        self.platform.captured().pop()
    }

    /// Whether the handler or its background can still go on.
    pub fn is_live(&self) -> bool {
        !self.is_gone && (self.handling.is_some() || !self.tasks.is_empty())
    }
}

/// A request to the receiver.
pub struct Post {
    pub posted: Posted,
    pub at_ms: u64,
    /// The answer, and when it came.
    pub answer: Option<(Ending, u64)>,
    wait: usize,
    due: (u64, Ending),
}

/// Something that happened.
pub struct Moment {
    pub at_ms: u64,
    /// The lane that it happened to. `None` for an action of the reader.
    pub lane: Option<usize>,
    pub text: String,
    /// The isolate's state afterwards.
    pub state: &'static str,
}

/// A line of the console.
pub struct Line {
    pub at_ms: u64,
    pub lane: usize,
    pub text: String,
}

/// The next event that happens without the reader.
enum Event {
    /// A wait ends.
    Ends(Waiting, Ending),
    /// A handler is found hung.
    Hung(usize),
}

/// A run and everything that happened in it.
pub struct Run {
    pub lanes: Vec<Lane>,
    pub posts: Vec<Post>,
    pub record: Vec<Moment>,
    pub console: Vec<Line>,
    /// The executed words, with each step as one word.
    pub done: Vec<String>,
    /// How often a load began, by guard.
    pub loads: [usize; 2],
    /// How often a client was made.
    pub clients: usize,
    /// How often the WebAssembly instance ended and a new one began.
    pub instances: usize,
    /// How the store answers each guard. It is separate for each, so that a store that fails
    /// once fails once for each guard.
    stores: [Store; 2],
    pub receiver: Receiver,
    pub is_beside: bool,
    world: World,
    isolate: Isolate,
    naive: Naive,
    began_ms: u64,
    /// The answers of the store: the number of the wait, when it ends, and how.
    secrets: Vec<(usize, u64, Ending)>,
    steps: usize,
    numbers: usize,
}

/// The state of a lane before it was polled.
struct Before {
    state: &'static str,
    looks: usize,
    waits: Vec<Wait>,
    captures: usize,
}

impl Run {
    /// Executes a text from its beginning.
    pub fn of(text: &str) -> Self {
        let world = World::default();
        world.bind_store(true);
        let mut run = Run {
            lanes: Vec::new(),
            posts: Vec::new(),
            record: Vec::new(),
            console: Vec::new(),
            done: Vec::new(),
            loads: [0; 2],
            clients: 0,
            instances: 1,
            stores: [Store::Quick; 2],
            receiver: Receiver::Takes,
            is_beside: false,
            began_ms: world.now_ms(),
            world,
            isolate: Isolate::default(),
            naive: Naive::default(),
            secrets: Vec::new(),
            steps: 0,
            numbers: 0,
        };
        for (text, word) in words(text) {
            run.take(text, word);
        }
        run
    }

    /// Milliseconds since the run began.
    pub fn now_ms(&self) -> u64 {
        self.world.now_ms() - self.began_ms
    }

    /// When the run began, on the clock of the world.
    pub fn began_ms(&self) -> u64 {
        self.began_ms
    }

    /// How the store answers the next request.
    pub fn store(&self) -> Store {
        self.stores[Guard::Ours as usize]
    }

    /// The isolate's state under a guard.
    pub fn state(&self, guard: Guard) -> &'static str {
        match guard {
            Guard::Ours => self.isolate.state(),
            Guard::Naive => self.naive.state(),
        }
    }

    /// The waits of a lane.
    pub fn waits(&self, lane: usize) -> Vec<Wait> {
        let own = self.world.waiting().into_iter();
        own.filter(|it| it.handler == lane)
            .map(|it| it.wait)
            .collect()
    }

    /// Whether no further event happens without the reader.
    pub fn is_over(&self) -> bool {
        self.next().is_none()
    }

    fn take(&mut self, text: &str, word: Word) {
        match word {
            Word::Steps(many) => {
                for _ in 0..many {
                    if !self.step() {
                        break;
                    }
                }
                return;
            }
            Word::End => {
                while self.step() {}
                return;
            }
            Word::Naive => self.is_beside = true,
            Word::Start(way) => self.start(way),
            Word::Store(store) => {
                self.stores = [store; 2];
                self.world.bind_store(store != Store::Unbound);
            }
            Word::Receiver(receiver) => self.receiver = receiver,
            Word::Cancel(number) => self.cancel(number),
            Word::Pass(seconds) => self.pass(seconds),
        }
        if self.done.len() < MOST_WORDS {
            self.done.push(text.to_owned());
        }
    }

    fn start(&mut self, way: Way) {
        if self.lanes.len() >= MOST_HANDLERS {
            return;
        }
        self.numbers += 1;
        let guards = [Guard::Ours, Guard::Naive];
        let many = if self.is_beside { 2 } else { 1 };
        for guard in guards.into_iter().take(many) {
            let index = self.lanes.len();
            let platform = self.world.platform(index);
            let background = Background::default();
            let handling = match guard {
                Guard::Ours => way.handling(
                    platform.clone(),
                    self.isolate.clone(),
                    Rc::clone(&background),
                ),
                Guard::Naive => {
                    way.naively(platform.clone(), self.naive.clone(), Rc::clone(&background))
                }
            };
            self.lanes.push(Lane {
                number: self.numbers,
                way,
                guard,
                started_ms: self.now_ms(),
                saw: None,
                is_gone: false,
                steps: BTreeSet::new(),
                step: None,
                looks: 0,
                last_line: None,
                platform,
                handling: Some(handling),
                tasks: Vec::new(),
                background,
            });
            self.poll(index, Some("It is called."));
            if way == Way::Panic {
                self.end_instance(guard, index);
            }
        }
    }

    fn cancel(&mut self, number: usize) {
        for index in 0..self.lanes.len() {
            if self.lanes[index].number == number && self.lanes[index].is_live() {
                self.force(index, Saw::Cancelled);
                let text = "The runtime cancels it. Nobody polls its future again.";
                self.tell(index, text.to_owned());
            }
        }
    }

    /// Ends a handler from outside.
    fn force(&mut self, index: usize, saw: Saw) {
        let now_ms = self.now_ms();
        let lane = &mut self.lanes[index];
        lane.is_gone = true;
        lane.saw.get_or_insert((saw, now_ms));
    }

    /// A panic ends the WebAssembly instance, with all handlers that run in it and its memory.
    fn end_instance(&mut self, guard: Guard, panicked: usize) {
        for index in 0..self.lanes.len() {
            let lane = &self.lanes[index];
            let is_panicked = index == panicked;
            if lane.guard == guard && (is_panicked || lane.is_live()) {
                if is_panicked {
                    self.lanes[index].saw = None;
                }
                self.force(index, Saw::Trapped);
                if !is_panicked {
                    let text = "It ends with the WebAssembly instance that it ran in.";
                    self.tell(index, text.to_owned());
                }
            }
        }
        match guard {
            Guard::Ours => {
                self.isolate = Isolate::default();
                self.instances += 1;
            }
            Guard::Naive => self.naive = Naive::default(),
        }
        let text = "The trap ends the WebAssembly instance. The next handler gets a new one.";
        self.tell(panicked, text.to_owned());
    }

    fn pass(&mut self, seconds: u64) {
        let until_ms = self.world.now_ms() + seconds * 1_000;
        for _ in 0..MOST_EVENTS {
            match self.next() {
                Some((due_ms, _)) if due_ms <= until_ms => self.happen(),
                _ => break,
            };
        }
        self.world.advance_to(until_ms);
        let text = format!("{seconds} seconds have passed.");
        self.record.push(Moment {
            at_ms: self.now_ms(),
            lane: None,
            text,
            state: self.isolate.state(),
        });
    }

    /// Lets events happen until one is shown. Returns `false` if no event is left.
    fn step(&mut self) -> bool {
        if self.steps == MOST_STEPS {
            return false;
        }
        let told = self.record.len();
        for _ in 0..MOST_EVENTS {
            if !self.happen() {
                break;
            }
            if self.record.len() > told {
                self.steps += 1;
                self.done.push("1".to_owned());
                return true;
            }
        }
        false
    }

    /// The next event, and when it happens.
    fn next(&self) -> Option<(u64, Event)> {
        let now_ms = self.world.now_ms();
        let waiting = self.world.waiting();
        for (index, lane) in self.lanes.iter().enumerate() {
            if lane.is_live() && !waiting.iter().any(|it| it.handler == index) {
                return Some((now_ms, Event::Hung(index)));
            }
        }
        let ends = waiting.into_iter().filter_map(|it| {
            let is_live = self.lanes[it.handler].is_live();
            let (due_ms, ending) = match it.wait {
                Wait::Timer { due_ms } => (due_ms, Ending::Fired),
                Wait::Store => {
                    let secret = self.secrets.iter().find(|(id, ..)| *id == it.id)?;
                    (secret.1, secret.2)
                }
                // The receiver answers also if no handler waits for the answer any more.
                Wait::Receiver => {
                    let post = self.posts.iter().find(|post| post.wait == it.id)?;
                    return Some((post.due.0, Event::Ends(it, post.due.1)));
                }
            };
            is_live.then_some((due_ms, Event::Ends(it, ending)))
        });
        // Of events that are due at the same time, the longest wait ends first.
        ends.min_by_key(|(due_ms, event)| match event {
            Event::Ends(waiting, _) => (*due_ms, waiting.id),
            Event::Hung(_) => (*due_ms, 0),
        })
    }

    fn happen(&mut self) -> bool {
        let Some((due_ms, event)) = self.next() else {
            return false;
        };
        self.world.advance_to(due_ms);
        match event {
            Event::Hung(index) => {
                self.force(index, Saw::Hung);
                let text =
                    "It waits for nothing of its own. The runtime finds it hung and cancels it.";
                self.tell(index, text.to_owned());
            }
            Event::Ends(waiting, ending) => {
                let index = waiting.handler;
                let now_ms = self.now_ms();
                let post = self.posts.iter_mut().find(|post| post.wait == waiting.id);
                if let Some(post) = post {
                    post.answer = Some((ending, now_ms));
                }
                self.world.end(waiting.id, ending);
                let said = match ending {
                    Ending::Secret(Some(_)) => Some("The store answers.".to_owned()),
                    Ending::Secret(None) => Some("The store fails.".to_owned()),
                    Ending::Fired => None,
                    Ending::Answered { status, .. } => {
                        Some(format!("The receiver answers {status}."))
                    }
                    Ending::CutOff => Some("The connection is lost.".to_owned()),
                    Ending::TimedOut => Some("The receiver has not answered in time.".to_owned()),
                };
                if self.lanes[index].is_live() {
                    self.poll(index, said.as_deref());
                } else if let Some(said) = said {
                    self.tell(index, format!("{said} Nobody is left to hear it."));
                }
            }
        }
        true
    }

    /// Polls a handler and its background, and records what has changed.
    fn poll(&mut self, index: usize, said: Option<&str>) {
        let before = self.before(index);
        let mut context = Context::from_waker(Waker::noop());
        let lane = &mut self.lanes[index];
        let mut returned = None;
        if let Some(handling) = &mut lane.handling
            && let Poll::Ready(result) = handling.as_mut().poll(&mut context)
        {
            lane.handling = None;
            returned = Some(result);
        }
        lane.tasks.append(&mut lane.background.borrow_mut());
        lane.tasks
            .retain_mut(|task| task.as_mut().poll(&mut context).is_pending());
        self.note(index, &before, said, returned);
    }

    fn before(&self, index: usize) -> Before {
        Before {
            state: self.state(self.lanes[index].guard),
            looks: self.world.looks(),
            waits: self.waits(index),
            captures: self.lanes[index].platform.captured().len(),
        }
    }

    /// Records what a poll has changed.
    fn note(
        &mut self,
        index: usize,
        before: &Before,
        said: Option<&str>,
        returned: Option<Result<(), Failure>>,
    ) {
        let now_ms = self.now_ms();
        let (way, guard) = (self.lanes[index].way, self.lanes[index].guard);
        let is_first = self.lanes[index].steps.is_empty();
        let is_bound = self.store() != Store::Unbound;
        let lines = self.world.lines(self.console.len());
        let after = self.state(guard);
        let waits = self.waits(index);
        let is_new = |wait: &&Wait| !before.waits.contains(wait);
        let asks = waits.iter().filter(is_new).any(|it| *it == Wait::Store);
        let sleeps = waits.iter().filter(is_new).find_map(|it| match it {
            Wait::Timer { due_ms } => Some(due_ms - self.began_ms),
            _ => None,
        });
        let mut steps: Vec<u8> = Vec::new();
        let mut parts: Vec<String> = said.map(str::to_owned).into_iter().collect();
        if is_first && way != Way::Panic {
            steps.push(1);
            parts.push(
                match (self.world.looks() > before.looks, is_bound) {
                    (_, false) => "1 guard: no SENTRY_DSN is bound, so there is nothing to do.",
                    (true, true) => "1 guard: SENTRY_DSN is bound.",
                    (false, true) => "1 guard: SENTRY_DSN is bound, as the isolate remembers.",
                }
                .to_owned(),
            );
        }
        if way == Way::Panic {
            parts.push("It panics.".to_owned());
        }
        if asks {
            self.loads[guard as usize] += 1;
            steps.push(2);
            parts.push(match (guard, before.state) {
                (Guard::Ours, "loading") => {
                    "2 load: the load before this one is overdue. It takes the turn and asks the store."
                }
                (Guard::Ours, _) => "2 load: it is its turn. It asks the store.",
                (Guard::Naive, _) => "2 load: it keeps its future for all, and asks the store.",
            }
            .to_owned());
        } else if after == "loading" && before.state == "loading" && is_first {
            steps.push(2);
            parts.push(
                match guard {
                    Guard::Ours => "2 load: another one loads. It sleeps on a timer of its own.",
                    Guard::Naive => "2 load: another one loads. It awaits that one's future.",
                }
                .to_owned(),
            );
        } else if guard == Guard::Ours
            && after == "loading"
            && before.state == "loading"
            && sleeps.is_some()
        {
            self.lanes[index].looks += 1;
            if self.lanes[index].looks == 1 {
                parts.push("Its timer fires. It looks: another one still loads.".to_owned());
            }
        }
        match (before.state, after) {
            ("loading", "absent") => {
                steps.push(3);
                parts.push("3 load failure: it gives its turn back.".to_owned());
            }
            ("loading", "failed for good") => {
                parts.push("The future that all share has failed, and is kept.".to_owned());
            }
            ("absent" | "loading", "ready") => {
                steps.extend([4, 5]);
                self.clients += usize::from(guard == Guard::Ours);
                parts.push("4 initialise once, 5 build the client.".to_owned());
            }
            ("ready", "ready") if is_first => {
                parts.push("The client is there.".to_owned());
            }
            _ => {}
        }
        for posted in self.world.posted(self.posts.len()) {
            steps.push(6);
            parts.push(format!("6 deliver: it posts {} bytes.", posted.body.len()));
            self.keep(index, posted);
        }
        for text in lines {
            self.lanes[index].last_line = Some(text.clone());
            self.console.push(Line {
                at_ms: now_ms,
                lane: index,
                text,
            });
        }
        self.keep_secrets();
        let captured = self.lanes[index].platform.captured();
        if captured.len() > before.captures {
            parts.push(match captured.last() {
                Some(Some(_)) => "The event is delivered.".to_owned(),
                _ => match &self.lanes[index].last_line {
                    Some(line) => format!("No event: {}.", said_in(line)),
                    None => "No event.".to_owned(),
                },
            });
        }
        if let Some(result) = returned {
            let is_error = result.is_err();
            self.lanes[index].saw = Some((Saw::Returned { is_error }, now_ms));
            if way != Way::Panic {
                parts.push(
                    match (is_error, self.lanes[index].is_live()) {
                        (true, false) => "It returns its own error, unchanged.",
                        (true, true) => "It returns its own error, and the report goes on.",
                        (false, false) => "It returns.",
                        (false, true) => "It returns, and the report goes on.",
                    }
                    .to_owned(),
                );
            }
        }
        self.lanes[index].steps.extend(&steps);
        if let Some(step) = steps.last() {
            self.lanes[index].step = Some(*step);
        }
        if !parts.is_empty() {
            self.tell(index, parts.join(" "));
        }
    }

    /// Keeps a request that was just sent, with the time and the kind of its answer.
    fn keep(&mut self, index: usize, posted: Posted) {
        let known: BTreeSet<usize> = self.posts.iter().map(|post| post.wait).collect();
        let waiting = self.world.waiting().into_iter();
        let wait = waiting
            .filter(|it| it.handler == index && it.wait == Wait::Receiver)
            .find(|it| !known.contains(&it.id));
        let now_ms = self.world.now_ms();
        let late_ms = u64::from(posted.timeout_ms);
        let due = match self.receiver.answer() {
            Some((after_ms, ending)) if after_ms < late_ms => (now_ms + after_ms, ending),
            _ => (now_ms + late_ms, Ending::TimedOut),
        };
        self.posts.push(Post {
            posted,
            at_ms: self.now_ms(),
            answer: None,
            wait: wait.map_or(usize::MAX, |it| it.id),
            due,
        });
    }

    /// Keeps the times and the kinds of the store's answers.
    fn keep_secrets(&mut self) {
        for it in self.world.waiting() {
            let is_known = self.secrets.iter().any(|(id, ..)| *id == it.id);
            if it.wait != Wait::Store || is_known {
                continue;
            }
            let store = &mut self.stores[self.lanes[it.handler].guard as usize];
            let (due_ms, ending) = match store.answer() {
                Some((after_ms, ending)) => (self.world.now_ms() + after_ms, ending),
                None => (u64::MAX, Ending::Secret(None)),
            };
            self.secrets.push((it.id, due_ms, ending));
            *store = store.next();
        }
    }

    fn tell(&mut self, index: usize, text: String) {
        self.record.push(Moment {
            at_ms: self.now_ms(),
            lane: Some(index),
            text,
            state: self.state(self.lanes[index].guard),
        });
    }
}

/// A line of the console without its level.
pub fn said_in(line: &str) -> &str {
    line.split_once(": ").map_or(line, |(_, said)| said)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_its_text_and_its_steps_are_the_same_one_by_one() {
        for experiment in crate::EXPERIMENTS {
            let whole = Run::of(experiment.run);
            let steps = Run::of(&whole.done.join("."));
            assert_eq!(steps.view(), whole.view(), "{}", experiment.id);
            assert!(whole.is_over(), "{}", experiment.id);
        }
    }

    #[test]
    fn nothing_of_ours_ever_waits_for_nothing_of_its_own() {
        let ways = ["alarm", "fetch", "socket", "run"];
        let stores = [
            "store-quick",
            "store-slow",
            "store-fails-once",
            "store-never",
        ];
        let receivers = [
            "receiver-200",
            "receiver-429",
            "receiver-hangs",
            "receiver-cuts-off",
        ];
        for (one, store) in ways.iter().zip(stores) {
            for (other, receiver) in ways.iter().zip(receivers) {
                for between in ["1", "3", "cancel-1", "panic", "30s"] {
                    let text = format!("{store}.{receiver}.{one}.{other}.{between}.{one}.end");
                    let run = Run::of(&text);
                    assert!(run.is_over(), "{text}");
                    let hung = |lane: &Lane| matches!(lane.saw, Some((Saw::Hung, _)));
                    assert!(!run.lanes.iter().any(hung), "{text}");
                }
            }
        }
    }

    #[test]
    fn a_text_from_a_link_is_taken_as_far_as_it_is_known_and_no_run_is_endless() {
        let run = Run::of("nonsense..alarm.cancel-0.cancel-99.99999.5.<b>.end");
        assert_eq!(run.lanes.len(), 1);
        let many = "store-never.alarm.fetch.run.".repeat(500);
        let run = Run::of(&many);
        assert!(run.lanes.len() <= MOST_HANDLERS + 1);
        assert!(run.done.len() <= MOST_WORDS);
    }
}
