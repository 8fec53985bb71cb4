//! A bad deploy: many isolates fail at once, and the receiver limits its rate.
//!
//! The steps, the states and the pauses are the crate's own, separate for each isolate.
//! The receiver is simulated: it accepts a number of events in a minute, and answers further ones
//! with `429` and the rest of the minute, as Sentry does.
//! <https://develop.sentry.dev/sdk/foundations/transport/rate-limiting/>

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::error::Error;
use std::fmt::{self, Write};
use std::rc::Rc;
use std::task::{Context, Waker};

use worker_sentry::laboratory::{Ending, Isolate, Task, Wait, World};
use worker_sentry::{Handler, Report, limit_repeats};

/// How long the failures go on, and how long a limit of the receiver lasts.
const MINUTE_MS: u64 = 60_000;
/// How long the store takes to answer.
const STORE_MS: u64 = 20;
/// How long the receiver takes to answer.
const RECEIVER_MS: u64 = 80;
/// One failure out of this many is a rare error, the one that somebody looks for.
const RARE: u64 = 100;
const DSN: &str = "https://key@errors.example.com/1";

/// The settings of a simulation.
#[derive(Clone, Copy, Debug)]
pub struct Flood {
    /// Isolates among which the failures are spread.
    pub isolates: usize,
    /// Failures of all isolates together, in one minute.
    pub failures: usize,
    /// Events that the receiver accepts in that minute.
    pub quota: usize,
    /// The argument of `limit_repeats`: how many events of one error an isolate sends in that
    /// minute. `0` means no limit.
    pub repeats: u32,
}

/// The result of a simulation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Toll {
    /// Requests to the receiver.
    pub requests: usize,
    /// Events that the receiver accepted.
    pub delivered: usize,
    /// Events that the receiver refused.
    pub refused: usize,
    /// Events that an isolate dropped without a request, because of a pause or because of the
    /// limit of repeats.
    pub dropped: usize,
    /// How many events of the rare error were delivered, and how often the error happened.
    pub rare: (usize, usize),
}

#[derive(Debug)]
struct Failure {
    is_rare: bool,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.is_rare {
            true => "the index is corrupt",
            false => "the new table is missing",
        })
    }
}

impl Error for Failure {}

/// The next event of a simulation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Next {
    /// An isolate fails, and whether by the rare error.
    Fails { isolate: usize, is_rare: bool },
    /// A wait of an isolate ends.
    Ends { isolate: usize, wait: usize },
}

/// One isolate and its running captures.
struct Place {
    world: World,
    isolate: Isolate,
    tasks: Rc<RefCell<Vec<Task>>>,
    /// Waits with a smaller number than this are already in the queue.
    known: usize,
    /// How many requests were already read.
    posts: usize,
}

impl Place {
    fn new() -> Self {
        let world = World::default();
        world.bind_store(true);
        Place {
            world,
            isolate: Isolate::default(),
            tasks: Rc::default(),
            known: 0,
            posts: 0,
        }
    }

    fn poll(&self) {
        let mut context = Context::from_waker(Waker::noop());
        self.tasks
            .borrow_mut()
            .retain_mut(|task| task.as_mut().poll(&mut context).is_pending());
    }
}

impl Flood {
    /// Runs the simulation.
    pub fn run(self) -> Toll {
        limit_repeats(self.repeats);
        let toll = self.run_limited();
        limit_repeats(0);
        toll
    }

    fn run_limited(self) -> Toll {
        let mut toll = Toll::default();
        let mut places: Vec<_> = (0..self.isolates).map(|_| Place::new()).collect();
        let began_ms = places[0].world.now_ms();
        let mut queue = BinaryHeap::new();
        let mut dice = Dice(1);
        for at in 0..self.failures as u64 {
            let due_ms = at * MINUTE_MS / self.failures as u64;
            let isolate = dice.below(self.isolates as u64) as usize;
            let is_rare = dice.below(RARE) == 0;
            queue.push(Reverse((due_ms, Next::Fails { isolate, is_rare })));
        }
        while let Some(Reverse((now_ms, next))) = queue.pop() {
            let (Next::Fails { isolate, .. } | Next::Ends { isolate, .. }) = next;
            let place = &mut places[isolate];
            place.world.advance_to(began_ms + now_ms);
            match next {
                Next::Fails { is_rare, .. } => fail(place, is_rare, &mut toll),
                Next::Ends { wait, .. } => {
                    let waiting = place.world.waiting();
                    // The wait may have ended already, with another wait of the same capture.
                    let Some(waiting) = waiting.into_iter().find(|it| it.id == wait) else {
                        continue;
                    };
                    let ending = match waiting.wait {
                        Wait::Store => Ending::Secret(Some(DSN)),
                        Wait::Timer { .. } => Ending::Fired,
                        Wait::Receiver => self.answer(now_ms, waiting.handler, &mut toll),
                    };
                    place.world.end(wait, ending);
                }
            }
            place.poll();
            let posts = place.world.posted(place.posts).len();
            place.posts += posts;
            toll.requests += posts;
            for waiting in place.world.waiting() {
                if waiting.id < place.known {
                    continue;
                }
                place.known = waiting.id + 1;
                let due_ms = match waiting.wait {
                    Wait::Store => now_ms + STORE_MS,
                    Wait::Receiver => now_ms + RECEIVER_MS,
                    Wait::Timer { due_ms } => due_ms - began_ms,
                };
                let wait = waiting.id;
                queue.push(Reverse((due_ms, Next::Ends { isolate, wait })));
            }
        }
        toll.dropped = self.failures - toll.delivered - toll.refused;
        toll
    }

    fn answer(self, now_ms: u64, handler: usize, toll: &mut Toll) -> Ending {
        let is_taken = toll.delivered < self.quota;
        let (status, rate_limits) = match is_taken {
            true => {
                toll.delivered += 1;
                toll.rare.0 += handler;
                (200, None)
            }
            false => {
                toll.refused += 1;
                (
                    429,
                    Some(limit(MINUTE_MS.saturating_sub(now_ms).div_ceil(1_000))),
                )
            }
        };
        Ending::Answered {
            status,
            retry_after: None,
            rate_limits,
        }
    }
}

fn fail(place: &Place, is_rare: bool, toll: &mut Toll) {
    toll.rare.1 += usize::from(is_rare);
    let tasks = Rc::clone(&place.tasks);
    let error = Failure { is_rare };
    let report = Report::new(&error).in_handler("main", Handler::Fetch);
    // The receiver knows by the number of the request which error it gets.
    place
        .world
        .platform(usize::from(is_rare))
        .capture_in_background(&place.isolate, |task| tasks.borrow_mut().push(task), report);
}

/// The header of a limit that ends after `seconds`.
fn limit(seconds: u64) -> &'static str {
    thread_local! {
        static LIMITS: Vec<&'static str> = (0..=60)
            .map(|seconds| &*format!("{seconds}:error:key").leak())
            .collect();
    }
    LIMITS.with(|limits| limits[seconds.clamp(1, 60) as usize])
}

/// Pseudo-random numbers, the same in each run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: u64) -> u64 {
        // The multiplier and the addend are those of Knuth's MMIX.
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % most
    }
}

/// The page's table: the same failures, spread over more and more isolates.
pub fn table() -> String {
    let mut table = String::from(
        "| Isolates | Each isolate sends | Requests | Taken | Refused | Dropped without a request | Of the rare error |\n\
         | --- | --- | --- | --- | --- | --- | --- |\n",
    );
    for isolates in [1, 100, 1_000, 5_000] {
        for repeats in [0, 5, 1] {
            let toll = flood(isolates, repeats).run();
            let sends = match repeats {
                0 => "everything".to_owned(),
                1 => "an error once".to_owned(),
                most => format!("an error {most} times"),
            };
            let _ = writeln!(
                table,
                "| {} | {sends} | {} | {} | {} | {} | {} of {} |",
                grouped(isolates),
                grouped(toll.requests),
                grouped(toll.delivered),
                grouped(toll.refused),
                grouped(toll.dropped),
                toll.rare.0,
                toll.rare.1,
            );
        }
    }
    table.trim_end().to_owned()
}

/// 10,000 failures within a minute. The receiver accepts 1,000 events.
fn flood(isolates: usize, repeats: u32) -> Flood {
    Flood {
        isolates,
        failures: 10_000,
        quota: 1_000,
        repeats,
    }
}

/// A number with a comma before each three digits.
fn grouped(number: usize) -> String {
    match number {
        0..1_000 => number.to_string(),
        _ => format!("{},{:03}", number / 1_000, number % 1_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiments::tests::assert_page_has;

    #[test]
    fn an_isolate_costs_the_receiver_little_more_than_the_request_that_is_refused() {
        for isolates in [1, 10, 100, 1_000, 5_000] {
            let toll = flood(isolates, 0).run();
            // Requests that were already sent when the first one was refused are refused, too.
            let under_way = 2 * 10_000 * RECEIVER_MS as usize / MINUTE_MS as usize;
            assert!(toll.refused <= isolates + under_way, "{isolates}: {toll:?}");
            assert_eq!(toll.requests, toll.delivered + toll.refused);
            assert_eq!(toll.dropped, 10_000 - toll.requests);
        }
    }

    #[test]
    fn without_a_limit_everything_arrives() {
        let toll = Flood {
            quota: usize::MAX,
            ..flood(100, 0)
        };
        let toll = toll.run();
        assert_eq!((toll.delivered, toll.refused, toll.dropped), (10_000, 0, 0));
        assert_eq!(toll.rare.0, toll.rare.1);
    }

    #[test]
    fn a_limit_of_repeats_saves_the_rare_error_only_while_all_isolates_stay_below_the_quota() {
        let saved = |isolates, repeats| {
            let (delivered, of) = flood(isolates, repeats).run().rare;
            (delivered * 100).checked_div(of).unwrap_or_default()
        };
        assert!(saved(100, 0) < 20);
        assert_eq!(saved(100, 5), 100);
        assert!(saved(5_000, 5) < 20);
    }

    #[test]
    fn the_page_shows_what_came_of_it() {
        assert_page_has("src/failure.md", &[("flood", table())]);
    }
}
