//! The measurements that are not only about errors: traces, breadcrumbs, monitors, axum, panics.

use std::collections::HashMap;
use std::thread;
use std::time::Instant;

use bench_page::{Column, Group, Row, Unit, rows};
use serde_json::Value;

use crate::measure::{ADDED, Bench, Host, Rounds, SETTLED, WITH_ALL, timed};
use crate::same;
use crate::workers::{Subject, Worker};

/// One side of a comparison. The sides are measured in turns.
struct Side<'w> {
    column: Column,
    worker: &'w Worker<'w>,
    op: &'static str,
    count: usize,
    /// The call whose time is subtracted.
    base: (&'w Worker<'w>, &'static str, usize),
    /// How many envelopes have to arrive before the measurement ends.
    envelopes: usize,
}

impl<'w> Side<'w> {
    fn new(column: Column, worker: &'w Worker<'w>, op: &'static str, count: usize) -> Self {
        Side {
            column,
            worker,
            op,
            count,
            base: (worker, op, 0),
            envelopes: 0,
        }
    }

    /// Sets how many envelopes each call sends.
    fn sending(mut self, each: usize) -> Self {
        self.envelopes = self.count * each;
        self
    }

    /// Subtracts the time of as many calls of another operation.
    fn beside(mut self, worker: &'w Worker<'w>, op: &'static str) -> Self {
        self.base = (worker, op, self.count);
        self
    }
}

impl Bench<'_> {
    /// Makes all these measurements.
    pub fn more(&self) -> Vec<Row> {
        let with = |subject: Subject, bindings: &Value| {
            let worker = self.control.worker(self.bundle(subject), bindings);
            (subject, worker)
        };
        let off = [
            Subject::Lazy,
            Subject::Lean,
            Subject::UsualAll,
            Subject::Ours,
            Subject::Traced,
            Subject::PlainJs,
        ];
        let off: HashMap<_, _> = off.map(|it| with(it, &self.bindings())).into();
        let traced = [Subject::UsualAll, Subject::Traced];
        let [one, zero]: [HashMap<_, _>; 2] =
            ["1", "0"].map(|rate| traced.map(|it| with(it, &self.bindings_with(rate))).into());
        let mut silent = self.bindings();
        silent["SENTRY_DSN"] = Value::Null;
        let (_, silent) = with(Subject::Traced, &silent);
        self.check_more(&off, &one);

        let effort = self.effort;
        let (few, some, many) = (
            effort.sending_calls,
            effort.quiet_calls / 100,
            effort.quiet_calls,
        );
        let [one_usual, one_ours] = traced.map(|it| &one[&it]);
        let [zero_usual, zero_ours] = traced.map(|it| &zero[&it]);
        let (plain, ours) = (&off[&Subject::PlainJs], &off[&Subject::Ours]);
        let mut rows = Vec::new();
        let mut row = |name: String, unit, host, sides: &[Side<'_>]| {
            rows.push(self.in_turns(name, unit, host, sides));
        };
        for host in [Host::Fetch, Host::Alarm] {
            let name = |what: &str| format!("{what}, {}", host.name());
            let usual = Side::new(Column::Usual, one_usual, "wrapped", few).sending(1);
            let sides = [
                usual,
                Side::new(Column::Ours, one_ours, "wrapped", few).sending(1),
            ];
            row(name(rows::TRACED), Unit::Us, host, &sides);
            let sides = [
                Side::new(Column::Usual, zero_usual, "wrapped", some),
                Side::new(Column::Ours, zero_ours, "wrapped", many),
            ];
            row(name(rows::UNSAMPLED), Unit::Us, host, &sides);
            let sides = [
                Side::new(Column::Ours, &off[&Subject::Traced], "wrapped", many),
                Side::new(Column::Without, ours, "wrapped", many),
            ];
            row(name(rows::UNTRACED), Unit::Us, host, &sides);
        }

        let steps = |column, worker, base| {
            Side::new(column, worker, "steps", effort.steps).beside(base, "steps")
        };
        let mut ours_traced = steps(Column::Ours, one_ours, &silent).sending(1);
        // The run itself has a transaction, too.
        ours_traced.envelopes += 1;
        let sides = [
            steps(Column::Usual, one_usual, plain).sending(1),
            ours_traced,
        ];
        row(rows::TRACED_STEP.to_owned(), Unit::Us, Host::Run, &sides);
        let sides = [
            steps(Column::Usual, zero_usual, plain),
            steps(Column::Ours, zero_ours, &silent),
        ];
        row(rows::UNSAMPLED_STEP.to_owned(), Unit::Us, Host::Run, &sides);

        let all = |op, count, each| {
            WITH_ALL
                .map(|(column, subject)| Side::new(column, &off[&subject], op, count).sending(each))
        };
        let sides = all("crumbs", effort.captures, 1);
        row(rows::CRUMBS.to_owned(), Unit::Us, Host::Fetch, &sides);
        let sides = all("cron", few, 2);
        row(rows::CRON.to_owned(), Unit::Us, Host::Fetch, &sides);

        let layer = |column, worker, count| {
            Side::new(column, worker, "axum", count).beside(worker, "axum-bare")
        };
        let sides = [
            layer(Column::Usual, &off[&Subject::UsualAll], some),
            layer(Column::Ours, &off[&Subject::Traced], many / 10),
        ];
        row(rows::LAYER.to_owned(), Unit::Us, Host::Fetch, &sides);
        let sides = [
            layer(Column::Usual, one_usual, few).sending(1),
            layer(Column::Ours, one_ours, few).sending(1),
        ];
        row(rows::TRACED_LAYER.to_owned(), Unit::Us, Host::Fetch, &sides);
        rows
    }

    /// One row: measures the sides in turns, and divides by the number of calls.
    fn in_turns(&self, name: String, unit: Unit, host: Host, sides: &[Side<'_>]) -> Row {
        let mut rounds = Rounds::default();
        // The first round is for warming up, and is not measured.
        for round in 0..=self.effort.rounds {
            for turn in 0..sides.len() {
                let side = &sides[(turn + round) % sides.len()];
                let (base, op, count) = side.base;
                let base = self.time(base, host, op, count);
                let took = match side.envelopes {
                    0 => self.time(side.worker, host, side.op, side.count),
                    all => self.time_until(side.worker, host, side.op, side.count, all),
                };
                if round > 0 {
                    // A time shorter than the variation of the marks counts as zero.
                    let each = (took - base).max(0.0) / side.count as f64;
                    let each = if unit == Unit::Us { each * 1e3 } else { each };
                    rounds.entry(side.column).or_default().push(each);
                }
            }
        }
        timed(Group::More, name, unit, rounds)
    }

    /// Checks that the Workers of these comparisons do the same.
    fn check_more(
        &self,
        off: &HashMap<Subject, Worker<'_>>,
        traced: &HashMap<Subject, Worker<'_>>,
    ) {
        let arrived = |worker: &Worker<'_>, host, op: &str, count| {
            self.stopwatch.take(0);
            self.run(worker, host, op, 1);
            let arrived = self.stopwatch.take(count);
            thread::sleep(SETTLED);
            arrived
        };
        for (_, subject) in WITH_ALL {
            let worker = &off[&subject];
            same::check_crumbs(&arrived(worker, Host::Fetch, "crumbs", 1)[0]);
            same::check_run_of_monitor(&arrived(worker, Host::Fetch, "cron", 2));
        }
        for worker in traced.values() {
            for (host, op) in [
                (Host::Fetch, "wrapped"),
                (Host::Alarm, "wrapped"),
                (Host::Fetch, "axum"),
                (Host::Run, "steps"),
            ] {
                same::check_transaction(&arrived(worker, host, op, 1)[0]);
            }
        }
        self.stopwatch.take(0);
    }

    /// The time from a request that ends in a panic or an exception to its answer, as the client
    /// sees it. A panic ends the WebAssembly instance, so each report is the first one of a new
    /// instance.
    pub fn panics(&self) -> Vec<Row> {
        let subjects = [
            Subject::PlainJs,
            Subject::PlainRust,
            Subject::Lazy,
            Subject::Lean,
            Subject::Usual,
            Subject::OursWithoutWorkflow,
        ];
        let workers = subjects.map(|it| (it, self.start(it)));
        let mut rounds = HashMap::<Subject, Vec<f64>>::new();
        for round in 0..=self.effort.rounds {
            for turn in 0..workers.len() {
                let (subject, worker) = &workers[(turn + round) % workers.len()];
                // This request makes the new instance before the time is taken.
                worker.get("/");
                let op = if subject.is_rust() { "panic" } else { "fail" };
                let began = Instant::now();
                // Each error has another line, because the SDK leaves out an error that it has just
                // sent.
                let answer = worker.post(&format!("/fetch/{op}?run=x&count={round}"));
                let took = began.elapsed().as_secs_f64() * 1e3;
                assert_eq!(answer.status, 500, "{answer:?}");
                if round > 0 {
                    rounds.entry(*subject).or_default().push(took);
                }
            }
        }
        self.stopwatch.take(ADDED.len() * self.effort.rounds);
        let whole = ADDED.map(|(column, with, _)| (column, rounds[&with].clone()));
        let added = ADDED.map(|(column, with, without)| {
            let pairs = rounds[&with].iter().zip(&rounds[&without]);
            (
                column,
                pairs.map(|(with, without)| with - without).collect(),
            )
        });
        vec![
            timed(Group::More, rows::PANIC, Unit::Ms, whole.into()),
            timed(Group::More, rows::PANIC_ADDED, Unit::Ms, added.into()),
        ]
    }
}
