//! What the runtime does with an alarm that returns its error.

use std::time::Duration;

use harness::receiver::{self, Receiver};
use harness::wait;
use harness::worker::Worker;

/// The shortest pause before each further run. The runtime waits two, four, eight seconds and so
/// on, and adds a random time.
const PAUSES_MS: [u64; 2] = [1_900, 3_800];
/// The longest wait for a run that must not happen.
const NEXT: Duration = Duration::from_secs(11);

harness::trials![an_alarm_that_failed_runs_again_until_it_succeeds_and_each_failure_is_a_report];

fn an_alarm_that_failed_runs_again_until_it_succeeds_and_each_failure_is_a_report() {
    let receiver = Receiver::accepting();
    let worker = Worker::fixture()
        .secret("SENTRY_DSN", &receiver.dsn())
        .start();
    let runs = || {
        let notes = worker.get("/tally/retries").json();
        let notes = notes.as_array().expect("notes").iter();
        notes
            .map(|note| {
                note.as_str()
                    .and_then(|ms| ms.parse().ok())
                    .expect("a time")
            })
            .collect::<Vec<u64>>()
    };
    let path = "/subject/retries/retries?marker=retries&count=2";
    assert_eq!(worker.post(path).status, 200);
    let times = wait::until("third run", wait::LIMIT, || {
        Some(runs()).filter(|runs| runs.len() == 3)
    });
    let pauses: Vec<u64> = times.windows(2).map(|two| two[1] - two[0]).collect();
    println!("figure: a failed alarm ran again after {pauses:?} ms");
    for (pause, least) in pauses.iter().zip(PAUSES_MS) {
        assert!(*pause >= least, "{pauses:?}");
    }
    wait::stays("runs", 3, NEXT, || runs().len());
    let requests = receiver.requests();
    let events = requests
        .iter()
        .map(|received| receiver::event(&received.request));
    let failures = events.filter(|event| event.to_string().contains("on purpose: retries"));
    assert_eq!(failures.count(), 2);
}
