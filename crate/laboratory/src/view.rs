//! A run in the form that the page shows.

use serde::Serialize;
use worker_sentry::laboratory::{Ending, Wait};

use crate::run::{Guard, Lane, Run, Saw, said_in};
use crate::word::{Receiver, Store};

/// A whole run as the page shows it. Times are milliseconds since the run began.
#[derive(Debug, PartialEq, Serialize)]
pub struct View {
    pub now_ms: u64,
    pub is_over: bool,
    /// The executed words, with each step as one word.
    pub done: Vec<String>,
    pub store: &'static str,
    pub receiver: &'static str,
    pub isolates: Vec<IsolateView>,
    pub handlers: Vec<HandlerView>,
    pub record: Vec<MomentView>,
    pub requests: Vec<RequestView>,
    pub console: Vec<LineView>,
    /// The result of the run, in a sentence.
    pub sum: String,
    /// The states that the isolate went through, in a sentence.
    pub course: String,
}

/// The state that handlers share.
#[derive(Debug, PartialEq, Serialize)]
pub struct IsolateView {
    pub guard: &'static str,
    pub state: &'static str,
}

/// One handler.
#[derive(Debug, PartialEq, Serialize)]
pub struct HandlerView {
    pub number: usize,
    pub name: String,
    pub guard: &'static str,
    pub is_live: bool,
    /// The steps that the handler has reached.
    pub steps: Vec<u8>,
    pub step: Option<u8>,
    pub waits: String,
    pub looks: usize,
    pub saw: String,
    pub report: String,
}

/// Something that happened.
#[derive(Debug, PartialEq, Serialize)]
pub struct MomentView {
    pub at_ms: u64,
    /// The handler's place in the list of handlers.
    pub handler: Option<usize>,
    pub who: String,
    pub text: String,
    pub state: &'static str,
}

/// A request to the receiver.
#[derive(Debug, PartialEq, Serialize)]
pub struct RequestView {
    pub at_ms: u64,
    pub who: String,
    pub head: String,
    pub body: String,
    pub answer: String,
}

/// A line of the console.
#[derive(Debug, PartialEq, Serialize)]
pub struct LineView {
    pub at_ms: u64,
    pub who: String,
    pub text: String,
}

impl Run {
    /// The run as the page shows it.
    pub fn view(&self) -> View {
        let guards = [Guard::Ours, Guard::Naive];
        let many = if self.is_beside { 2 } else { 1 };
        View {
            now_ms: self.now_ms(),
            is_over: self.is_over(),
            done: self.done.clone(),
            store: store(self.store()),
            receiver: receiver(self.receiver),
            isolates: guards
                .into_iter()
                .take(many)
                .map(|guard| IsolateView {
                    guard: name(guard),
                    state: self.state(guard),
                })
                .collect(),
            handlers: (0..self.lanes.len()).map(|it| self.handler(it)).collect(),
            record: self
                .record
                .iter()
                .map(|moment| MomentView {
                    at_ms: moment.at_ms,
                    handler: moment.lane,
                    who: moment.lane.map_or("time".to_owned(), |it| self.who(it)),
                    text: moment.text.clone(),
                    state: moment.state,
                })
                .collect(),
            requests: self
                .posts
                .iter()
                .map(|post| RequestView {
                    at_ms: post.at_ms,
                    who: self.who(post.posted.handler),
                    head: head(&post.posted.url, &post.posted.headers),
                    body: post.posted.body.clone(),
                    answer: match post.answer {
                        Some((ending, at_ms)) => {
                            format!("{}, at {} ms", answer(ending), number(at_ms))
                        }
                        None => "no answer yet".to_owned(),
                    },
                })
                .collect(),
            console: self
                .console
                .iter()
                .map(|line| LineView {
                    at_ms: line.at_ms,
                    who: self.who(line.lane),
                    text: line.text.clone(),
                })
                .collect(),
            sum: self.sum(),
            course: self.course(),
        }
    }

    /// A handler's number and name.
    pub fn who(&self, index: usize) -> String {
        let lane = &self.lanes[index];
        let mut who = format!("{} {}", lane.number, lane.way.name());
        if self.is_beside {
            who.push_str(match lane.guard {
                Guard::Ours => ", ours",
                Guard::Naive => ", naive",
            });
        }
        who
    }

    fn handler(&self, index: usize) -> HandlerView {
        let lane = &self.lanes[index];
        HandlerView {
            number: lane.number,
            name: lane.way.name(),
            guard: name(lane.guard),
            is_live: lane.is_live(),
            steps: lane.steps.iter().copied().collect(),
            step: lane.step,
            waits: self.waited(index),
            looks: lane.looks,
            saw: saw(lane),
            report: self.report(lane),
        }
    }

    /// What a handler waits for, as text.
    fn waited(&self, index: usize) -> String {
        if !self.lanes[index].is_live() {
            return "nothing".to_owned();
        }
        let waits = self.waits(index);
        if waits.is_empty() {
            return "nothing of its own".to_owned();
        }
        let began_ms = self.began_ms();
        let words = waits.into_iter().map(|wait| match wait {
            Wait::Store => "the store".to_owned(),
            Wait::Timer { due_ms } => {
                format!("its timer, due at {} ms", number(due_ms - began_ms))
            }
            Wait::Receiver => "the receiver".to_owned(),
        });
        words.collect::<Vec<_>>().join(", and ")
    }

    /// What happened to a report, as text.
    fn report(&self, lane: &Lane) -> String {
        let line = |lane: &Lane| lane.last_line.as_deref().map(said_in).map(str::to_owned);
        let posted = self.posts.iter().any(|post| {
            let of = &self.lanes[post.posted.handler];
            std::ptr::eq(of, lane)
        });
        match lane.captured() {
            Some(Some(_)) => "delivered".to_owned(),
            Some(None) => line(lane).unwrap_or_else(|| "no event".to_owned()),
            None if lane.is_live() => "under way".to_owned(),
            None if posted => "sent; its answer had nobody to hear it".to_owned(),
            None if lane.is_gone => "lost with its handler".to_owned(),
            None => "none: no SENTRY_DSN is bound".to_owned(),
        }
    }

    /// The states under the crate's guard, in their order.
    fn course(&self) -> String {
        let is_ours = |lane: usize| self.lanes[lane].guard == Guard::Ours;
        let moments = self.record.iter();
        let moments = moments.filter(|it| it.lane.is_none_or(is_ours));
        let mut states = vec!["absent"];
        states.extend(moments.map(|it| it.state));
        states.dedup();
        format!("State: {}.", states.join(", then "))
    }

    fn sum(&self) -> String {
        let count = |many: usize, one: &str, more: &str| match many {
            0 => format!("no {one}"),
            1 => format!("one {one}"),
            many => format!("{many} {more}"),
        };
        let posts = |guard| {
            let of = |post: &&crate::run::Post| self.lanes[post.posted.handler].guard == guard;
            self.posts.iter().filter(of).count()
        };
        let mut sum = format!(
            "{}, {}, {} to the receiver",
            count(self.loads[0], "load", "loads"),
            count(self.clients, "client", "clients"),
            count(posts(Guard::Ours), "request", "requests"),
        );
        if self.is_beside {
            sum.push_str(&format!(
                ". Naive: {}, {} to the receiver",
                count(self.loads[1], "load", "loads"),
                count(posts(Guard::Naive), "request", "requests"),
            ));
        }
        let mut letters = sum.chars();
        let first = letters.next().map(|it| it.to_ascii_uppercase());
        first.into_iter().chain(letters).collect::<String>() + "."
    }
}

fn name(guard: Guard) -> &'static str {
    match guard {
        Guard::Ours => "ours",
        Guard::Naive => "naive",
    }
}

/// What the application saw of a handler, as text.
fn saw(lane: &Lane) -> String {
    let Some((saw, at_ms)) = lane.saw else {
        return "nothing yet".to_owned();
    };
    let after_ms = at_ms - lane.started_ms;
    let what = match saw {
        Saw::Returned { is_error: true } => "its own error",
        Saw::Returned { is_error: false } => "a return",
        Saw::Cancelled => "cancelled",
        Saw::Hung => "cancelled as hung",
        Saw::Trapped => "ended with the WebAssembly instance",
    };
    match after_ms {
        0 => format!("{what}, at once"),
        after_ms => format!("{what}, after {} ms", number(after_ms)),
    }
}

fn head(url: &str, headers: &[(&'static str, String)]) -> String {
    let mut head = format!("POST {url}");
    for (name, value) in headers {
        head.push_str(&format!("\n{name}: {value}"));
    }
    head
}

fn answer(ending: Ending) -> String {
    match ending {
        Ending::Answered {
            status,
            retry_after,
            rate_limits,
        } => {
            let mut text = status.to_string();
            let headers = [
                ("Retry-After", retry_after),
                ("X-Sentry-Rate-Limits", rate_limits),
            ];
            for (name, value) in headers {
                if let Some(value) = value {
                    text.push_str(&format!(", {name}: {value}"));
                }
            }
            text
        }
        Ending::CutOff => "the connection was lost".to_owned(),
        _ => "none in time".to_owned(),
    }
}

/// A number with a comma between its thousands.
fn number(number: u64) -> String {
    match number {
        0..1_000 => number.to_string(),
        _ => format!("{},{:03}", number / 1_000, number % 1_000),
    }
}

fn store(store: Store) -> &'static str {
    match store {
        Store::Quick => "store-quick",
        Store::Slow => "store-slow",
        Store::FailsOnce => "store-fails-once",
        Store::Never => "store-never",
        Store::Unbound => "store-unbound",
    }
}

fn receiver(receiver: Receiver) -> &'static str {
    match receiver {
        Receiver::Takes => "receiver-200",
        Receiver::Pause => "receiver-429",
        Receiver::PauseSeconds => "receiver-429-seconds",
        Receiver::PauseDate => "receiver-429-date",
        Receiver::PauseLimits => "receiver-429-limits",
        Receiver::Fails => "receiver-500",
        Receiver::Hangs => "receiver-hangs",
        Receiver::CutsOff => "receiver-cuts-off",
    }
}
