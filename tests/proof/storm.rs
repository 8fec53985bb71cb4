//! All hosts of the example Worker, failing many times at once.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::resume_unwind;
use std::thread;
use std::time::{Duration, Instant};

use harness::receiver::{self, Receiver};
use harness::wait;
use harness::worker::Worker;

use crate::hosts::{HOSTS, SECOND_ATTEMPT};

/// How many times each host fails.
const TIMES: usize = 50;
const START: &str = "storm-";

harness::trials![all_hosts_failing_at_once_fifty_times_over_arrive_each_exactly_once];

/// All markers have the same length, so that no marker is the beginning of another one.
fn marker(host: usize, time: usize) -> String {
    format!("{START}{host:02}-{time:02}")
}

fn all_hosts_failing_at_once_fifty_times_over_arrive_each_exactly_once() {
    let receiver = Receiver::accepting();
    let worker = Worker::listings()
        .secret("DRILLS", "on")
        .secret("SENTRY_DSN", &receiver.dsn())
        .start_direct();
    let began = Instant::now();
    let refused: Vec<String> = thread::scope(|scope| {
        let hosts = HOSTS.iter().enumerate().map(|(number, host)| {
            let worker = &worker;
            scope.spawn(move || {
                let answers =
                    (0..TIMES).map(|time| worker.drill(host.drill, &marker(number, time)));
                let refused = answers.filter(|answer| answer.status != 202);
                refused
                    .map(|answer| format!("{}: {answer:?}", host.drill))
                    .collect::<Vec<_>>()
            })
        });
        let hosts: Vec<_> = hosts.collect();
        let joined = hosts.into_iter().map(|host| host.join());
        joined
            .flat_map(|host| host.unwrap_or_else(|panic| resume_unwind(panic)))
            .collect()
    });
    assert!(refused.is_empty(), "{refused:#?}");
    let drilled = began.elapsed();
    let expected = HOSTS.len() * TIMES;
    let mut arrived = arrivals(&receiver);
    let mut last = Instant::now();
    while arrived.len() < expected {
        assert!(last.elapsed() < wait::LIMIT, "{}", report(&arrived));
        thread::sleep(Duration::from_millis(250));
        let now = arrivals(&receiver);
        if now.len() > arrived.len() {
            last = Instant::now();
        }
        arrived = now;
    }
    println!(
        "figure: {expected} failures of {} hosts in {drilled:?}, all reported after {:?}, in {} events",
        HOSTS.len(),
        began.elapsed(),
        receiver.requests().len(),
    );
    // The runtime's retries must not cause a second report.
    let once = || arrivals(&receiver).values().all(|count| *count == 1);
    wait::stays("each marker in one event", true, SECOND_ATTEMPT, once);
    assert_eq!(worker.get("/").status, 200);
}

/// How many events contain each marker. Messages of a queue that arrive in one batch share an
/// event, so an event may contain many markers.
fn arrivals(receiver: &Receiver) -> BTreeMap<String, usize> {
    let mut arrivals = BTreeMap::new();
    for received in receiver.requests() {
        let event = receiver::event(&received.request).to_string();
        let length = marker(0, 0).len();
        let markers: BTreeSet<&str> = event
            .match_indices(START)
            .filter_map(|(at, _)| event.get(at..at + length))
            .collect();
        for marker in markers {
            *arrivals.entry(marker.to_owned()).or_default() += 1;
        }
    }
    arrivals
}

/// The number of missing reports of each host.
fn report(arrivals: &BTreeMap<String, usize>) -> String {
    let missing = |number: usize| {
        let markers = (0..TIMES).map(|time| marker(number, time));
        markers
            .filter(|marker| !arrivals.contains_key(marker))
            .count()
    };
    let lines = HOSTS
        .iter()
        .enumerate()
        .map(|(number, host)| format!("\n  {}: {} missing", host.drill, missing(number)));
    lines.collect()
}
