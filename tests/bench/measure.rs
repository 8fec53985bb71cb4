//! The measurements.

use std::collections::{BTreeMap, HashMap};
use std::thread;
use std::time::{Duration, Instant};

use bench_page::{Column, Counts, Figure, Group, Results, Row, Unit, number, ratio, rows};
use serde_json::{Value, json};

use crate::stopwatch::Stopwatch;
use crate::workers::{Bundle, Control, Subject, Worker};
use crate::{machine, same};

pub const RELEASE: &str = "bench-1";
pub const ENVIRONMENT: &str = "bench";

/// How many times a run is tried if it loses events.
const ATTEMPTS: usize = 3;
/// How long to wait, after the last expected event, for further ones.
pub const SETTLED: Duration = Duration::from_millis(500);

/// The numbers of rounds, captures and calls.
#[derive(Clone, Copy)]
pub struct Effort {
    pub rounds: usize,
    fresh_rounds: usize,
    startup_rounds: usize,
    pub captures: usize,
    at_once: usize,
    pub quiet_calls: usize,
    memory_captures: usize,
    /// The number of calls that each send something.
    pub sending_calls: usize,
    pub steps: usize,
}

impl Effort {
    pub const FULL: Effort = Effort {
        rounds: 21,
        fresh_rounds: 11,
        startup_rounds: 61,
        captures: 100,
        at_once: 100,
        quiet_calls: 20_000,
        memory_captures: 2_000,
        sending_calls: 50,
        steps: 20,
    };
    pub const QUICK: Effort = Effort {
        rounds: 5,
        fresh_rounds: 3,
        startup_rounds: 7,
        ..Effort::FULL
    };

    /// Enough calls to measure them. The SDK's own wrappers put off some work until later, which
    /// must not pile up, so they are called less often.
    fn quiet_calls(self, column: Column) -> usize {
        match column {
            Column::Usual => self.quiet_calls / 100,
            _ => self.quiet_calls,
        }
    }
}

/// A way into a Worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Host {
    Fetch,
    Alarm,
    Run,
}

impl Host {
    const ALL: [Host; 3] = [Host::Fetch, Host::Alarm, Host::Run];

    fn path(self) -> &'static str {
        match self {
            Host::Fetch => "fetch",
            Host::Alarm => "alarm",
            Host::Run => "run",
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Host::Fetch => "main `fetch`",
            Host::Alarm => "alarm",
            Host::Run => "Workflow `run`",
        }
    }

    pub fn transaction(self) -> &'static str {
        match self {
            Host::Fetch => "main.fetch",
            Host::Alarm => "Bench.alarm",
            Host::Run => "BenchFlow.run",
        }
    }
}

/// The Workers of a comparison, each with its column.
const SIDES: [(Column, Subject); 4] = [
    (Column::Lazy, Subject::Lazy),
    (Column::Lean, Subject::Lean),
    (Column::Usual, Subject::Usual),
    (Column::Ours, Subject::Ours),
];

/// The same Workers, with the floor.
const WITH_FLOOR: [(Column, Subject); 5] = [
    SIDES[0],
    SIDES[1],
    SIDES[2],
    SIDES[3],
    (Column::Floor, Subject::PlainJs),
];

/// For each column: the Worker with the integration, and the Worker without it.
pub const ADDED: [(Column, Subject, Subject); 4] = [
    (Column::Lazy, Subject::Lazy, Subject::PlainJs),
    (Column::Lean, Subject::Lean, Subject::PlainJs),
    (Column::Usual, Subject::Usual, Subject::PlainJs),
    (
        Column::Ours,
        Subject::OursWithoutWorkflow,
        Subject::PlainRust,
    ),
];

/// The measurements that are made in every host of a running Worker.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// One of many captures in a row.
    Capture,
    /// Many captures at once.
    AtOnce,
    /// A call that does not fail.
    Call,
    /// A capture without a DSN.
    SilentCapture,
    /// A call that does not fail, without a DSN.
    SilentCall,
}

const KINDS: [Kind; 5] = [
    Kind::Capture,
    Kind::AtOnce,
    Kind::Call,
    Kind::SilentCapture,
    Kind::SilentCall,
];

/// The work that an isolate repeats before its memory is measured.
#[derive(Clone, Copy)]
enum Kept {
    Captures,
    /// Captures, each after ten breadcrumbs.
    Crumbs,
    /// Calls that do not fail and are traced.
    Calls,
}

/// The Workers of the comparisons that are not only about errors, each with its column.
pub const WITH_ALL: [(Column, Subject); 4] = [
    SIDES[0],
    SIDES[1],
    (Column::Usual, Subject::UsualAll),
    SIDES[3],
];

/// The rounds of each column.
pub type Rounds = BTreeMap<Column, Vec<f64>>;

pub struct Bench<'a> {
    pub bundles: &'a [Bundle],
    pub control: &'a Control,
    pub stopwatch: &'a Stopwatch,
    pub effort: Effort,
}

impl Bench<'_> {
    pub fn results(&self) -> Results {
        let parts: [(&str, &dyn Fn() -> Vec<Row>); 9] = [
            ("what is uploaded", &|| self.upload()),
            ("what each capability adds to that", &|| self.features()),
            ("what leaves", &|| self.wire()),
            ("memory", &|| self.memory()),
            ("start-up", &|| self.startup()),
            ("the first capture", &|| self.first()),
            ("captures, and calls that do not fail", &|| self.warm()),
            ("traces, breadcrumbs, monitors, axum", &|| self.more()),
            ("panics", &|| self.panics()),
        ];
        let mut rows = Vec::new();
        for (name, measure) in parts {
            let began = Instant::now();
            rows.extend(measure());
            println!("  {name:<40} {:>4.0} s", began.elapsed().as_secs_f64());
        }
        Results {
            date: machine::today(),
            rounds: self.effort.rounds,
            fresh_rounds: self.effort.fresh_rounds,
            startup_rounds: self.effort.startup_rounds,
            machine: machine::facts(),
            versions: machine::versions(),
            counts: self.counts(),
            rows,
        }
    }

    pub fn bundle(&self, subject: Subject) -> &Bundle {
        let mut bundles = self.bundles.iter();
        let found = bundles.find(|bundle| bundle.subject == subject);
        found.expect("all are bundled")
    }

    pub fn bindings(&self) -> Value {
        json!({
            "MARKS": self.stopwatch.url(),
            "SENTRY_DSN": self.stopwatch.dsn(),
            "SENTRY_RELEASE": RELEASE,
            "SENTRY_ENVIRONMENT": ENVIRONMENT,
        })
    }

    /// The same bindings, with a sample rate for traces.
    pub fn bindings_with(&self, rate: &str) -> Value {
        let mut bindings = self.bindings();
        bindings["SENTRY_TRACES_SAMPLE_RATE"] = json!(rate);
        bindings
    }

    pub fn start(&self, subject: Subject) -> Worker<'_> {
        self.control.worker(self.bundle(subject), &self.bindings())
    }

    /// Makes a host do something, and returns how long it took, in milliseconds.
    pub fn time(&self, worker: &Worker<'_>, host: Host, op: &str, count: usize) -> f64 {
        let run = self.run(worker, host, op, count);
        self.stopwatch.time(&run).as_secs_f64() * 1e3
    }

    /// As [`Bench::time`], but until all events have arrived, which may be later.
    ///
    /// # Panics
    ///
    /// If every attempt loses events.
    fn time_until_arrived(&self, worker: &Worker<'_>, host: Host, op: &str, count: usize) -> f64 {
        self.time_until(worker, host, op, count, count)
    }

    /// As [`Bench::time_until_arrived`], for another number of envelopes.
    pub fn time_until(
        &self,
        worker: &Worker<'_>,
        host: Host,
        op: &str,
        count: usize,
        envelopes: usize,
    ) -> f64 {
        for _ in 0..ATTEMPTS {
            let run = self.run(worker, host, op, count);
            if let Some(took) = self.stopwatch.time_until_arrived(&run, envelopes) {
                return took.as_secs_f64() * 1e3;
            }
            // The SDK gives up a flush after two seconds, which is too short on a busy machine.
            println!("    events of {op}, {} were lost; once more", host.name());
        }
        panic!("events of {op}, {} are lost", host.name())
    }

    /// Makes a host do something, and returns the name of that run.
    pub fn run(&self, worker: &Worker<'_>, host: Host, op: &str, count: usize) -> String {
        let run = self.stopwatch.new_run();
        // The size is that of the crate's own event.
        let path = format!("/{}/{op}?run={run}&count={count}&size=500", host.path());
        let answer = worker.post(&path);
        assert!(matches!(answer.status, 200 | 202), "{path}: {answer:?}");
        run
    }

    // What does not vary ---------------------------------------------------

    fn upload(&self) -> Vec<Row> {
        let added = |part: fn(&Bundle) -> f64| {
            let sides = ADDED.map(|(column, with, without)| {
                let added = part(self.bundle(with)) - part(self.bundle(without));
                (column, (added * 100.0).round() / 100.0)
            });
            BTreeMap::from(sides)
        };
        let mut named = added(|it| it.upload.1);
        if let Some(ours) = named.get_mut(&Column::Ours) {
            let [with, without] = [Subject::OursWithoutWorkflow, Subject::PlainRust]
                .map(|subject| self.bundle(subject).names());
            *ours = ((*ours + with - without) * 100.0).round() / 100.0;
        }
        vec![
            exact(
                Group::Upload,
                rows::UPLOAD,
                Unit::Kib,
                added(|it| it.upload.1),
            ),
            exact(
                Group::Upload,
                "the same, with the names of Rust functions",
                Unit::Kib,
                named,
            ),
            exact(
                Group::Upload,
                "added to the upload, raw",
                Unit::Kib,
                added(|it| it.upload.0),
            ),
        ]
    }

    /// What each capability adds to the upload, and the size of a user's whole upload.
    fn features(&self) -> Vec<Row> {
        let upload = |subject| self.bundle(subject).upload.1;
        let names = |subject| self.bundle(subject).names();
        let capabilities = [
            ("`spans`", Subject::Spans, Some(Subject::Usual)),
            ("`logs`", Subject::Logs, None),
            ("`tracing`", Subject::Tracing, None),
            (
                "all three, breadcrumbs and monitors",
                Subject::All,
                Some(Subject::UsualAll),
            ),
        ];
        let rounded = |value: f64| (value * 100.0).round() / 100.0;
        let mut rows = Vec::new();
        for (name, ours, theirs) in capabilities {
            let added = upload(ours) - upload(Subject::PlainRust);
            let named = added + names(ours) - names(Subject::PlainRust);
            let theirs = theirs.map(|it| rounded(upload(it) - upload(Subject::PlainJs)));
            for (suffix, added) in [("", added), (", names included", named)] {
                let sides = [(Column::Ours, rounded(added))].into_iter();
                let sides = sides.chain(theirs.map(|it| (Column::Usual, it)));
                rows.push(exact(
                    Group::Features,
                    format!("added with {name}{suffix}"),
                    Unit::Kib,
                    sides.collect(),
                ));
            }
        }
        // Without a companion, the names of functions stay in the upload.
        let without = upload(Subject::PlainRust) + names(Subject::PlainRust);
        rows.push(exact(
            Group::Features,
            rows::SHIPPED,
            Unit::Kib,
            [
                (Column::Ours, upload(Subject::Shipped)),
                (Column::Without, rounded(without)),
            ]
            .into(),
        ));
        rows
    }

    /// Each host fails once in each Worker.
    fn wire(&self) -> Vec<Row> {
        let (mut bytes, mut bodies, mut requests) =
            (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let mut connections = BTreeMap::new();
        for (column, subject) in SIDES {
            let worker = self.start(subject);
            let mut arrived = Vec::new();
            for host in Host::ALL {
                worker.post(&format!("/{}/fail?run=x&count={}", host.path(), same::LINE));
                let mut envelopes = self.stopwatch.take(1);
                thread::sleep(SETTLED);
                envelopes.extend(self.stopwatch.take(0));
                same::check(&envelopes[0], host);
                arrived.extend(envelopes);
            }
            connections.insert(column, self.connections(subject, 100));
            let hosts = Host::ALL.len() as f64;
            let mean = |of: fn(&harness::server::Request) -> usize| {
                let sum: usize = arrived.iter().map(of).sum();
                (sum as f64 / hosts).round()
            };
            bytes.insert(column, mean(same::bytes));
            bodies.insert(column, mean(|request| request.body.len()));
            requests.insert(column, arrived.len() as f64 / hosts);
        }
        vec![
            exact(
                Group::Wire,
                "an error, body and headers",
                Unit::Bytes,
                bytes,
            ),
            exact(Group::Wire, "its body alone", Unit::Bytes, bodies),
            exact(Group::Wire, "requests for it", Unit::Count, requests),
            exact(
                Group::Wire,
                "connections for a hundred in a row",
                Unit::Count,
                connections,
            ),
        ]
    }

    /// How many connections a new Worker makes for this many captures in a row.
    fn connections(&self, subject: Subject, captures: usize) -> f64 {
        let worker = self.start(subject);
        let before = self.stopwatch.connections();
        self.time(&worker, Host::Alarm, "captures", captures);
        self.stopwatch.take(captures);
        (self.stopwatch.connections() - before) as f64
    }

    fn counts(&self) -> Vec<Counts> {
        let bundle = self.bundle(Subject::Ours).counting();
        let traced = self.bundle(Subject::Traced).counting();
        let mut silent = self.bindings();
        silent["SENTRY_DSN"] = Value::Null;
        let [reporting, silent] =
            [self.bindings(), silent].map(|bindings| self.control.worker(&bundle, &bindings));
        let [all, none] = ["1", "0"].map(|rate| {
            let bindings = self.bindings_with(rate);
            self.control.worker(&traced, &bindings)
        });
        let calls = 10;
        let count = |worker: &Worker<'_>, op: &str, count: usize| -> Value {
            worker.get("/counts");
            self.time(worker, Host::Fetch, op, count);
            // A traced call sends its transaction after its end.
            thread::sleep(SETTLED);
            worker.get("/counts").json()
        };
        let of = |name: &str, worker: &Worker<'_>, op: &str| {
            // The first call does extra work, so it is not counted.
            count(worker, op, 1);
            let (many, none) = (count(worker, op, calls), count(worker, op, 0));
            let each = |told: &dyn Fn(&Value) -> f64| (told(&many) - told(&none)) / calls as f64;
            let functions = many["functions"].as_object().expect("functions").keys();
            let functions = functions.map(|function| {
                let told = |counts: &Value| counts["functions"][function].as_f64().unwrap_or(0.0);
                (without_hash(function), each(&told))
            });
            let mut functions: Vec<(String, f64)> = functions.collect();
            functions.retain(|(_, count)| *count > 0.0);
            functions.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
            Counts {
                name: name.to_owned(),
                out: each(&|counts| counts["out"].as_f64().unwrap_or(f64::NAN)),
                back: each(&|counts| counts["back"].as_f64().unwrap_or(f64::NAN)),
                timers: Some(each(&|counts| {
                    counts["timers"].as_f64().unwrap_or(f64::NAN)
                })),
                functions,
            }
        };
        let counts = vec![
            of(rows::COUNTED_CAPTURE, &reporting, "captures"),
            of("a call that does not fail", &reporting, "wrapped"),
            of("a capture without a DSN", &silent, "same"),
            of(
                "a call that does not fail, without a DSN",
                &silent,
                "wrapped",
            ),
            of(rows::COUNTED[0], &reporting, "crumbs"),
            of(rows::COUNTED[1], &all, "wrapped"),
            of(rows::COUNTED[2], &none, "wrapped"),
        ];
        self.stopwatch.take(0);
        counts
    }

    // What takes time ------------------------------------------------------

    fn warm(&self) -> Vec<Row> {
        let workers: HashMap<Subject, Worker<'_>> = WITH_FLOOR
            .into_iter()
            .map(|(_, subject)| (subject, self.start(subject)))
            .collect();
        let mut silent = self.bindings();
        silent
            .as_object_mut()
            .expect("an object")
            .remove("SENTRY_DSN");
        let silent: HashMap<Subject, Worker<'_>> = SIDES
            .into_iter()
            .map(|(_, subject)| (subject, self.control.worker(self.bundle(subject), &silent)))
            .collect();
        let effort = self.effort;
        let mut rows = Vec::new();
        let mut quiet = Vec::new();
        for host in Host::ALL {
            let mut rounds: [Rounds; 5] = Default::default();
            // The first round is for warming up, and is not measured.
            for round in 0..=effort.rounds {
                for (kind, rounds) in KINDS.into_iter().zip(&mut rounds) {
                    for turn in 0..WITH_FLOOR.len() {
                        let (column, subject) = WITH_FLOOR[(turn + round) % WITH_FLOOR.len()];
                        let worker = match kind {
                            Kind::SilentCapture | Kind::SilentCall => silent.get(&subject),
                            _ => workers.get(&subject),
                        };
                        let figure = worker.and_then(|it| self.once(it, column, host, kind));
                        if round > 0 {
                            rounds.entry(column).or_default().extend(figure);
                        }
                    }
                }
            }
            for rounds in &mut rounds {
                rounds.retain(|_, rounds| !rounds.is_empty());
            }
            let [one, many, wrapped, no_dsn, no_dsn_wrapped] = rounds;
            let name = |what: &str| format!("{what}, {}", host.name());
            rows.push(timed(Group::Capture, name(rows::CAPTURE), Unit::Ms, one));
            rows.push(timed(Group::Capture, name(rows::AT_ONCE), Unit::Ms, many));
            quiet.push(timed(
                Group::Quiet,
                name("a call that does not fail"),
                Unit::Us,
                wrapped,
            ));
            quiet.push(timed(
                Group::Quiet,
                name(rows::SILENT_CAPTURE),
                Unit::Us,
                no_dsn,
            ));
            quiet.push(timed(
                Group::Quiet,
                name("a call that does not fail, without a DSN"),
                Unit::Us,
                no_dsn_wrapped,
            ));
        }
        rows.extend(quiet);
        rows
    }

    /// One measurement of one Worker, without the time that beginning and ending take.
    fn once(&self, worker: &Worker<'_>, column: Column, host: Host, kind: Kind) -> Option<f64> {
        let effort = self.effort;
        let is_floor = column == Column::Floor;
        let (op, count) = match kind {
            Kind::Capture if is_floor => ("floor", effort.captures),
            Kind::AtOnce if is_floor => ("floor-at-once", effort.at_once),
            _ if is_floor => return None,
            Kind::Capture => ("captures", effort.captures),
            Kind::AtOnce => ("at-once", effort.at_once),
            Kind::SilentCapture => ("same", effort.quiet_calls(column)),
            Kind::Call | Kind::SilentCall => ("wrapped", effort.quiet_calls(column)),
        };
        let nothing = self.time(worker, host, op, 0);
        let took = match kind {
            Kind::Capture | Kind::AtOnce if !is_floor => {
                self.time_until_arrived(worker, host, op, count)
            }
            _ => self.time(worker, host, op, count),
        };
        let took = took - nothing;
        Some(match kind {
            Kind::AtOnce => took,
            Kind::Capture => took / count as f64,
            // A time shorter than the variation of the marks counts as zero.
            _ => took.max(0.0) / count as f64 * 1e3,
        })
    }

    fn startup(&self) -> Vec<Row> {
        let mut rounds = HashMap::<Subject, Vec<f64>>::new();
        let subjects = [
            Subject::PlainJs,
            Subject::Lazy,
            Subject::Lean,
            Subject::Usual,
            Subject::PlainRust,
            Subject::OursWithoutWorkflow,
        ];
        for round in 0..=self.effort.startup_rounds {
            for turn in 0..subjects.len() {
                let subject = subjects[(turn + round) % subjects.len()];
                let took = self.control.startup(self.bundle(subject));
                if round > 0 {
                    rounds.entry(subject).or_default().push(took);
                }
            }
        }
        let whole: Rounds = [
            (Column::Lazy, rounds[&Subject::Lazy].clone()),
            (Column::Lean, rounds[&Subject::Lean].clone()),
            (Column::Usual, rounds[&Subject::Usual].clone()),
            (Column::Ours, rounds[&Subject::OursWithoutWorkflow].clone()),
        ]
        .into();
        let added = |with: Subject, without: Subject| {
            let pairs = rounds[&with].iter().zip(&rounds[&without]);
            pairs.map(|(with, without)| with - without).collect()
        };
        let added: Rounds = [
            (Column::Lazy, added(Subject::Lazy, Subject::PlainJs)),
            (Column::Lean, added(Subject::Lean, Subject::PlainJs)),
            (Column::Usual, added(Subject::Usual, Subject::PlainJs)),
            (
                Column::Ours,
                added(Subject::OursWithoutWorkflow, Subject::PlainRust),
            ),
        ]
        .into();
        vec![
            timed(
                Group::Start,
                "from nothing to the first answer",
                Unit::Ms,
                whole,
            ),
            timed(
                Group::Start,
                "what the integration adds to that",
                Unit::Ms,
                added,
            ),
        ]
    }

    /// The first capture in an isolate, and the difference to a bare `fetch`.
    fn first(&self) -> Vec<Row> {
        let mut rows = Vec::new();
        for host in Host::ALL {
            let mut rounds = Rounds::default();
            for round in 0..self.effort.fresh_rounds {
                for turn in 0..WITH_FLOOR.len() {
                    let (column, subject) = WITH_FLOOR[(turn + round) % WITH_FLOOR.len()];
                    let worker = self.start(subject);
                    let op = if column == Column::Floor {
                        "floor"
                    } else {
                        "captures"
                    };
                    // The host has run before, but has not captured anything.
                    let nothing = self.time(&worker, host, "nothing", 0);
                    let took = self.time(&worker, host, op, 1);
                    rounds
                        .entry(column)
                        .or_default()
                        .push(took - nothing.min(took));
                }
            }
            let name = format!("the first capture, {}", host.name());
            rows.push(timed(Group::Start, name, Unit::Ms, rounds));
        }
        self.stopwatch.take(0);
        rows
    }

    // What is kept ---------------------------------------------------------

    fn memory(&self) -> Vec<Row> {
        let mut added = BTreeMap::new();
        let mut grown = BTreeMap::new();
        let mut without = HashMap::new();
        let bindings = self.bindings();
        let run = |subject: Subject, op: Kept, until: &[usize]| match op {
            Kept::Calls => self.kept(subject, &self.bindings_with("1"), op, until),
            _ => self.kept(subject, &bindings, op, until),
        };
        for subject in [Subject::PlainJs, Subject::PlainRust] {
            without.insert(subject, run(subject, Kept::Captures, &[1])[0]);
        }
        let captures = self.effort.memory_captures;
        for (column, subject) in SIDES {
            let plain = if subject.is_rust() {
                Subject::PlainRust
            } else {
                Subject::PlainJs
            };
            let kept = run(subject, Kept::Captures, &[100, captures]);
            added.insert(column, (kept[1] - without[&plain]).round());
            grown.insert(column, (kept[1] - kept[0]).round());
        }
        let grown_by = |sides: &[(Column, Subject)], op: Kept| {
            let grown = sides.iter().map(|(column, subject)| {
                let kept = run(*subject, op, &[100, captures]);
                (*column, (kept[1] - kept[0]).round())
            });
            grown.collect::<BTreeMap<_, _>>()
        };
        let crumbs = grown_by(&WITH_ALL, Kept::Crumbs);
        let traced = [
            (Column::Usual, Subject::UsualAll),
            (Column::Ours, Subject::Traced),
        ];
        let traced = grown_by(&traced, Kept::Calls);
        self.stopwatch.take(0);
        let captures = number(captures as f64);
        let row = |name: String, figures| exact(Group::Memory, name, Unit::Kib, figures);
        vec![
            row(
                format!("added to the isolate after {captures} captures"),
                added,
            ),
            row(rows::grown(&captures), grown),
            row("the same, each after ten breadcrumbs".to_owned(), crumbs),
            row(
                format!("grown between 100 traced calls and {captures}"),
                traced,
            ),
        ]
    }

    /// KiB of JavaScript's heap and of WebAssembly's memory, after an alarm has done this work so
    /// many times in a row.
    fn kept(&self, subject: Subject, bindings: &Value, op: Kept, until: &[usize]) -> Vec<f64> {
        let bundle = self.bundle(subject);
        let worker = self.control.inspected(bundle, bindings);
        let mut inspector = worker.inspector();
        let mut before = 0;
        let kept = until.iter().map(|until| {
            match op {
                // In groups of 50, because a Worker would not have more calls at once.
                Kept::Calls => {
                    for _ in 0..(until - before) / 50 {
                        self.time_until_arrived(&worker, Host::Alarm, "wrapped", 50);
                    }
                }
                Kept::Captures => {
                    self.time(&worker, Host::Alarm, "captures", until - before);
                }
                Kept::Crumbs => {
                    self.time(&worker, Host::Alarm, "crumbs", until - before);
                }
            }
            before = *until;
            let heap = inspector.heap_after_collection_beside(|| drop(worker.get("/"))) as f64;
            let memory = worker.get("/memory").json().as_f64().expect("bytes");
            (heap + memory) / 1024.0
        });
        kept.collect()
    }
}

/// The name without its hash: another compiler gives `__wbg_now_463ac581d2fc7ea3` another hash.
fn without_hash(function: &str) -> String {
    let is_hash = |end: &str| end.len() == 16 && end.bytes().all(|it| it.is_ascii_hexdigit());
    match function.rsplit_once('_') {
        Some((name, end)) if is_hash(end) && !end.starts_with("0000") => name.to_owned(),
        _ => function.to_owned(),
    }
}

fn exact(group: Group, name: impl Into<String>, unit: Unit, values: BTreeMap<Column, f64>) -> Row {
    let rounds = values
        .into_iter()
        .map(|(column, value)| (column, vec![value]));
    timed(group, name, unit, rounds.collect())
}

pub fn timed(group: Group, name: impl Into<String>, unit: Unit, rounds: Rounds) -> Row {
    let ours = &rounds[&Column::Ours];
    let others = Column::OTHERS.into_iter();
    let ratios = others.filter_map(|column| Some((column, ratio(ours, rounds.get(&column)?))));
    Row {
        group,
        name: name.into(),
        unit,
        // A ratio to a time of zero would say nothing.
        ratios: ratios
            .filter(|(_, it)| it.median > 0.0 && it.median.is_finite() && it.high.is_finite())
            .collect(),
        figures: rounds
            .iter()
            .map(|(column, rounds)| (*column, Figure::of(rounds)))
            .collect(),
    }
}
