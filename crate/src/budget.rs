//! What a capture may cost, in figures that do not vary from run to run.
//!
//! If a test here fails, a change has made captures more expensive. Look for what the change
//! added: a clone, a `format!`, a field of the event. If the change is worth its price, raise
//! the figure in the same commit and say why. The limits for calls into JavaScript and for the
//! upload are in `tests/proof/budget.rs`.

use std::cell::RefCell;
use std::num::ParseIntError;

use allocation_counter::{AllocationInfo, measure};

use crate::api::report::Report;
use crate::api::wrap::drafts;
use crate::item::draft::drafted;
use crate::item::place::{Handler, Place};
use crate::platform::testing::{Fake, Outcome, Wait, block_on};
use crate::scope::{Scope, resume};
use crate::steps::capture;
use crate::steps::client::IsolateClient;
use crate::steps::load::tests::config;
use crate::steps::prepare;
use crate::steps::slot::{Isolate, Shared};

/// Allocations from the error to the bytes of its envelope, in an isolate that is
/// ready. Four of them are for the trace: the run's trace, the trace itself, its DSC, and a key.
const ALLOCATIONS: u64 = 35;
/// The most memory that is in use during a capture, in bytes.
const PEAK: u64 = 4_500;
/// An envelope with one error of a few words, in bytes.
const ENVELOPE: usize = 1_030;
/// Allocations of a wrapped call that does not fail. The one is its scope.
const ALLOCATIONS_OF_A_QUIET_CALL: u64 = 1;
/// The size of a report, in machine words. A report is moved into the future of its capture,
/// even without a DSN.
const WORDS_OF_A_REPORT: usize = 15;
/// Allocations of a capture without a DSN.
const ALLOCATIONS_WITHOUT_A_DSN: u64 = 0;

fn within(what: &str, cost: u64, budget: u64) {
    assert!(
        cost <= budget,
        "{what}: {cost}, and the budget is {budget}. crate/src/budget.rs says what to do"
    );
}

#[test]
fn an_event_is_made_and_written_within_its_budget_of_memory() {
    let error = "x".parse::<u8>().expect_err("no number");
    let client = IsolateClient::build(config(&[("SENTRY_RELEASE", "0.1.0")]));
    let fake = Fake::default();
    let mut written = Vec::new();
    let write = || {
        let mut draft = drafted(&fake, &error);
        draft.details.place = Place::new("RateLimiterDo", Handler::Alarm);
        let envelope = prepare::envelope(&fake, &client, draft.into()).expect("an envelope");
        written = envelope.bytes;
    };
    let AllocationInfo {
        count_total,
        bytes_max,
        count_current,
        ..
    } = measure(write);
    within("allocations of an event", count_total, ALLOCATIONS);
    within("memory of an event", bytes_max, PEAK);
    within(
        "bytes of an envelope",
        written.len() as u64,
        ENVELOPE as u64,
    );
    // The one allocation that is left is the envelope itself.
    assert_eq!(count_current, 1, "an event left something behind");
}

#[test]
fn a_call_that_does_not_fail_allocates_its_scope_and_nothing_else() {
    let fake = Fake::default();
    let cost = measure(|| {
        let scope = Scope::new(Place::new("RateLimiterDo", Handler::Alarm));
        let outcome = block_on(scope.run(async { Ok::<_, ParseIntError>(1) }));
        assert!(drafts(&fake, &scope, &outcome).is_empty());
        assert!(!scope.has_errands());
        assert_eq!(resume(outcome), Ok(1));
    });
    within(
        "allocations of a call that does not fail",
        cost.count_total,
        ALLOCATIONS_OF_A_QUIET_CALL,
    );
    assert_eq!(cost.count_current, 0, "a call left something behind");
}

#[test]
fn a_report_is_small() {
    let words = size_of::<Report<'_>>().div_ceil(size_of::<usize>());
    within("words of a report", words as u64, WORDS_OF_A_REPORT as u64);
}

#[test]
fn a_capture_without_a_dsn_allocates_nothing() {
    let error = "x".parse::<u8>().expect_err("no number");
    let (fake, isolate) = (Fake::default(), isolate());
    let cost = measure(|| {
        assert_eq!(
            block_on(capture(&fake, &isolate, |runtime| Some(drafted(
                runtime, &error
            )))),
            None
        );
    });
    within(
        "allocations of a capture without a DSN",
        cost.count_total,
        ALLOCATIONS_WITHOUT_A_DSN,
    );
}

#[test]
fn a_thousand_captures_leave_nothing_behind() {
    let error = "x".parse::<u8>().expect_err("no number");
    let (fake, isolate) = (Fake::default(), isolate());
    fake.world.bind("SENTRY_DSN", "https://key@s.example.com/1");
    *fake.world.reflex.borrow_mut() = Some(|wait| match wait {
        Wait::Post => Outcome::Posted(Ok((200, None, None))),
        Wait::Timer { .. } => Outcome::Fired,
        Wait::Secret => Outcome::Secret(None),
    });
    let capture_one = || {
        assert!(
            block_on(capture(&fake, &isolate, |runtime| Some(drafted(
                runtime, &error
            ))))
            .is_some()
        );
        // The memory of the fake runtime is not that of the crate.
        fake.world.posted.take();
        fake.world.lines.take();
    };
    // The first capture makes the client.
    capture_one();
    let cost = measure(|| (0..1_000).for_each(|_| capture_one()));
    assert_eq!(cost.count_current, 0, "{cost:?}");
}

fn isolate() -> Shared {
    RefCell::new(Isolate::new())
}
