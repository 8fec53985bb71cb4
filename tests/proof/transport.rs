//! Receivers with faults, and what the application notices of them.
//!
//! There is one Worker and one receiver. The event's message names the fault of the receiver. The
//! tests run one after another, because a receiver's request for a pause silences the whole
//! isolate.

use std::io::{self, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use harness::receiver::{Answer, Received, Receiver};
use harness::server::Request;
use harness::shared::Shared;
use harness::wait;
use harness::worker::Worker;
use serde_json::Value;
use socket2::SockRef;

/// The longest time of one capture, as the documentation states it.
const BOUND: Duration = Duration::from_secs(5);
/// The time that a busy machine may add to a limit.
pub const SLACK: Duration = Duration::from_secs(3);
/// The longest time of a capture whose receiver answers at once.
const AT_ONCE: Duration = Duration::from_secs(2);
const HUGE: usize = 50_000_000;

/// A fault of a receiver.
struct Fault {
    /// The fault's name. It stands in the event's message, between `fault.` and a dot.
    name: &'static str,
    /// The rule that the test proves.
    rule: &'static str,
    answer: fn() -> Answer,
    /// Whether the receiver's answer says that it accepted the event.
    taken: bool,
    within: Duration,
}

static FAULTS: [Fault; 18] = [
    Fault {
        name: "garbage",
        rule: "a_200_with_garbage_for_a_body_is_an_answer_like_any_other",
        answer: || Answer::Reply(200, Vec::new(), b"\x00\xff<html>}{".to_vec()),
        taken: true,
        within: AT_ONCE,
    },
    Fault {
        name: "400",
        rule: "a_400_loses_the_event_and_nothing_else",
        answer: || Answer::status(400),
        taken: false,
        within: AT_ONCE,
    },
    Fault {
        name: "413",
        rule: "a_413_loses_the_event_and_nothing_else",
        answer: || Answer::status(413),
        taken: false,
        within: AT_ONCE,
    },
    Fault {
        name: "500",
        rule: "a_500_loses_the_event_and_nothing_else",
        answer: || Answer::Reply(500, Vec::new(), b"<h1>oops</h1>".to_vec()),
        taken: false,
        within: AT_ONCE,
    },
    Fault {
        name: "503",
        rule: "a_503_without_retry_after_asks_for_no_pause",
        answer: || Answer::status(503),
        taken: false,
        within: AT_ONCE,
    },
    Fault {
        name: "other-category",
        rule: "rate_limits_for_other_categories_ask_for_no_pause",
        answer: || {
            let limits = "60:transaction;session:organization, 60:log_item:key".to_owned();
            // The header for categories counts, although the other header asks for a longer pause.
            let retry_after = ("Retry-After", "60".to_owned());
            let headers = vec![("X-Sentry-Rate-Limits", limits), retry_after];
            Answer::Reply(429, headers, Vec::new())
        },
        taken: false,
        within: AT_ONCE,
    },
    Fault {
        name: "nonsense-headers",
        rule: "headers_without_sense_ask_for_no_pause",
        answer: || {
            let nonsense = |name| (name, "soon:: ,;;,-1,NaN:error,1e999:error".to_owned());
            let headers = vec![nonsense("X-Sentry-Rate-Limits"), nonsense("Retry-After")];
            Answer::Reply(503, headers, Vec::new())
        },
        taken: false,
        within: AT_ONCE,
    },
    Fault {
        name: "redirect",
        rule: "a_redirect_is_not_followed",
        answer: || {
            let to = format!("{}/api/1/envelope/", elsewhere().url());
            Answer::Reply(307, vec![("Location", to)], Vec::new())
        },
        taken: false,
        within: AT_ONCE,
    },
    Fault {
        name: "closed",
        rule: "a_connection_closed_without_an_answer_loses_the_event_and_nothing_else",
        answer: || Answer::Stream(Box::new(|_| Ok(()))),
        taken: false,
        within: AT_ONCE,
    },
    Fault {
        name: "reset",
        rule: "a_connection_reset_without_an_answer_loses_the_event_and_nothing_else",
        answer: || Answer::Stream(Box::new(reset)),
        taken: false,
        within: AT_ONCE,
    },
    Fault {
        name: "reset-in-the-head",
        rule: "a_connection_reset_in_the_middle_of_an_answer_loses_the_event_and_nothing_else",
        answer: || {
            Answer::Stream(Box::new(|stream| {
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Le")?;
                reset(stream)
            }))
        },
        taken: false,
        within: AT_ONCE,
    },
    Fault {
        name: "cut-body",
        rule: "a_body_that_breaks_off_is_not_missed",
        answer: || {
            Answer::Stream(Box::new(|stream| {
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
            }))
        },
        taken: true,
        within: AT_ONCE,
    },
    Fault {
        name: "not-http",
        rule: "an_answer_that_is_not_http_loses_the_event_and_nothing_else",
        answer: || {
            // The beginning of a TLS record, as an answer to a request without TLS.
            Answer::Stream(Box::new(|stream| {
                stream.write_all(b"\x15\x03\x01\x00\x02\x02\x0a\r\n\r\n\x00\x00")
            }))
        },
        taken: false,
        within: AT_ONCE,
    },
    Fault {
        name: "hang",
        rule: "a_receiver_that_hangs_is_given_up",
        answer: || Answer::Hang,
        taken: false,
        within: BOUND,
    },
    Fault {
        name: "slow-head",
        rule: "an_answer_whose_head_never_ends_is_given_up",
        answer: || {
            Answer::Stream(Box::new(|stream| {
                stream.write_all(b"HTTP/1.1 200 OK\r\nX-Slow: ")?;
                drip(stream, b"x")
            }))
        },
        taken: false,
        within: BOUND,
    },
    Fault {
        name: "slow-body",
        rule: "a_body_that_never_ends_is_not_waited_for",
        answer: || {
            Answer::Stream(Box::new(|stream| {
                stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
                drip(stream, b"1\r\nx\r\n")
            }))
        },
        taken: true,
        within: AT_ONCE,
    },
    Fault {
        name: "late-body",
        rule: "a_short_body_that_does_not_come_is_not_waited_for",
        answer: || {
            Answer::Stream(Box::new(|stream| {
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{")?;
                // This takes longer than a capture may.
                thread::sleep(BOUND * 2);
                stream.write_all(b"}")
            }))
        },
        taken: true,
        within: AT_ONCE,
    },
    Fault {
        name: "huge",
        rule: "a_huge_body_is_not_read",
        answer: || {
            Answer::Stream(Box::new(|stream| {
                WRITTEN.store(0, Ordering::SeqCst);
                write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {HUGE}\r\n\r\n")?;
                let part = [b'x'; 10_000];
                for _ in 0..HUGE / part.len() {
                    stream.write_all(&part)?;
                    WRITTEN.fetch_add(part.len(), Ordering::SeqCst);
                }
                Ok(())
            }))
        },
        taken: true,
        within: AT_ONCE,
    },
];

/// A receiver's request for a pause.
struct Pause {
    name: &'static str,
    rule: &'static str,
    answer: fn() -> Answer,
    taken: bool,
    /// How long the pause lasts, if a test can wait for it.
    lasts: Option<Duration>,
}

static PAUSES: [Pause; 9] = [
    Pause {
        name: "429",
        rule: "a_429_without_a_header_pauses_for_longer_than_a_test_waits",
        answer: || Answer::status(429),
        taken: false,
        lasts: None,
    },
    Pause {
        name: "429-seconds",
        rule: "a_429_with_retry_after_in_seconds_pauses_so_long",
        answer: || retry_after(429, "2".to_owned()),
        taken: false,
        lasts: Some(Duration::from_secs(2)),
    },
    Pause {
        name: "429-date",
        rule: "a_429_with_retry_after_as_a_date_pauses_until_then",
        answer: || retry_after(429, in_three_seconds()),
        taken: false,
        // The date has no fractions of a second, so up to a second is lost.
        lasts: Some(Duration::from_secs(2)),
    },
    Pause {
        name: "503-seconds",
        rule: "a_503_with_retry_after_in_seconds_pauses_so_long",
        answer: || retry_after(503, "2".to_owned()),
        taken: false,
        lasts: Some(Duration::from_secs(2)),
    },
    Pause {
        name: "503-date",
        rule: "a_503_with_retry_after_as_a_date_pauses_until_then",
        answer: || retry_after(503, in_three_seconds()),
        taken: false,
        lasts: Some(Duration::from_secs(2)),
    },
    Pause {
        name: "limits-error",
        rule: "rate_limits_that_name_errors_pause_so_long",
        answer: || limits(429, "60:transaction:key, 2:error;session:organization"),
        taken: false,
        lasts: Some(Duration::from_secs(2)),
    },
    Pause {
        name: "limits-all",
        rule: "rate_limits_that_name_no_category_pause_everything",
        answer: || limits(429, "2::organization"),
        taken: false,
        lasts: Some(Duration::from_secs(2)),
    },
    Pause {
        name: "limits-200",
        rule: "rate_limits_count_also_where_the_event_was_taken",
        answer: || limits(200, "2:error:key"),
        taken: true,
        lasts: Some(Duration::from_secs(2)),
    },
    Pause {
        name: "limits-long",
        rule: "a_long_rate_limit_holds_for_as_long_as_the_isolate_lives",
        answer: || limits(429, "86400:error:key"),
        taken: false,
        lasts: None,
    },
];

static WRITTEN: AtomicUsize = AtomicUsize::new(0);

harness::trials![
    an_envelope_goes_to_the_dsns_endpoint_with_its_three_headers,
    a_refused_connection_loses_the_event_and_nothing_else,
    a_hundred_captures_at_once_all_arrive_at_a_slow_receiver,
    bodies_that_never_end_are_cancelled_while_an_object_lives_on,
    two_thousand_captures_leave_both_heaps_flat,
    ..FAULTS
        .iter()
        .map(|fault| harness::trial!(fault.rule, || survives(fault))),
    ..PAUSES
        .iter()
        .map(|pause| harness::trial!(pause.rule, || is_honoured(pause))),
];

/// A Worker and the receiver it reports to.
struct Stage {
    worker: Worker,
    receiver: Receiver,
}

/// The stage. Only one test at a time can use it.
fn stage() -> MutexGuard<'static, Stage> {
    static STAGE: Shared<Mutex<Stage>> = Shared::new();
    let stage = STAGE.get(|| {
        let receiver = Receiver::answering(|request, _| answer(request));
        let worker = Worker::fixture().reporting_to(&receiver.dsn()).start();
        Mutex::new(Stage { worker, receiver })
    });
    stage.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The stage's Worker, started without a DSN.
pub fn silent() -> &'static Worker {
    static SILENT: Shared<Worker> = Shared::new();
    SILENT.get(|| Worker::fixture().start())
}

/// A receiver at which nothing may arrive.
fn elsewhere() -> &'static Receiver {
    static ELSEWHERE: Shared<Receiver> = Shared::new();
    ELSEWHERE.get(Receiver::accepting)
}

/// Answers as the event's message asks for.
fn answer(request: &Request) -> Answer {
    let text = request.text();
    let asked = |name: &str| text.contains(&format!("fault.{name}."));
    if let Some(fault) = FAULTS.iter().find(|fault| asked(fault.name)) {
        return (fault.answer)();
    }
    match PAUSES.iter().find(|pause| asked(pause.name)) {
        Some(pause) => (pause.answer)(),
        None => Answer::ok(),
    }
}

fn retry_after(status: u16, when: String) -> Answer {
    Answer::Reply(status, vec![("Retry-After", when)], Vec::new())
}

fn limits(status: u16, limits: &str) -> Answer {
    let headers = vec![("X-Sentry-Rate-Limits", limits.to_owned())];
    Answer::Reply(status, headers, Vec::new())
}

fn in_three_seconds() -> String {
    httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(3))
}

/// Closes the connection so that the client gets an error.
fn reset(stream: &mut TcpStream) -> io::Result<()> {
    SockRef::from(&*stream).set_linger(Some(Duration::ZERO))
}

/// Writes until the client has closed the connection.
fn drip(stream: &mut TcpStream, drop: &[u8]) -> io::Result<()> {
    stream.set_nodelay(true)?;
    loop {
        stream.write_all(drop)?;
        thread::sleep(Duration::from_millis(50));
    }
}

impl Stage {
    /// Captures an error and waits for the end of the capture. Returns whether the event was
    /// accepted, and how long the capture took.
    fn capture(&self, marker: &str) -> (bool, Duration) {
        let began = Instant::now();
        let answer = self.worker.post(&format!("/main/capture?marker={marker}"));
        let took = began.elapsed();
        assert_eq!(answer.status, 200, "{answer:?}");
        (answer.json() != Value::Null, took)
    }

    fn memory(&self) -> Value {
        self.worker.get("/memory").json()
    }

    /// Makes the next request start on a new instance.
    fn start_over(&self, name: &str) {
        let answer = self.worker.post(&format!("/main/panic?marker=over.{name}"));
        assert_eq!(answer.status, 500, "{answer:?}");
        assert!(self.capture(&format!("fresh.{name}")).0, "a fresh instance");
    }

    /// Checks that a request gets the same answer with and without reporting.
    fn answers_as_without_a_dsn(&self, marker: &str) {
        let path = format!("/main/error?marker={marker}");
        let began = Instant::now();
        let answer = self.worker.post(&path);
        let took = began.elapsed();
        assert_eq!(answer, silent().post(&path));
        assert!(took < AT_ONCE, "the answer was held up for {took:?}");
    }
}

fn survives(fault: &Fault) {
    let stage = stage();
    let name = fault.name;
    assert!(stage.capture(&format!("before.{name}")).0);
    let memory = stage.memory();
    stage.answers_as_without_a_dsn(&format!("fault.{name}.thrown"));

    let (taken, took) = stage.capture(&format!("fault.{name}.awaited"));
    println!("figure: {name}: the capture ended after {took:?}");
    assert_eq!(taken, fault.taken);
    assert!(took < fault.within + SLACK, "{took:?}");
    assert!(stage.receiver.count(&format!("fault.{name}.")) >= 2);

    let (taken, took) = stage.capture(&format!("after.{name}"));
    assert!(taken, "the next capture arrives");
    assert!(took < AT_ONCE + SLACK, "{took:?}");
    assert_eq!(stage.memory(), memory, "bytes of memory");
    // Connections that were not broken until then are one or two idle ones, kept for the next
    // event. The runtime closes those as well.
    wait::until("end of the connections", wait::LIMIT, || {
        (stage.receiver.open_connections() <= 1).then_some(())
    });
    match name {
        "redirect" => assert_eq!(elsewhere().connections(), 0),
        "huge" => {
            let written = WRITTEN.load(Ordering::SeqCst);
            println!("figure: huge: {written} of {HUGE} bytes were taken off the receiver");
            assert!(written < HUGE / 2, "{written} bytes");
        }
        _ => {}
    }
}

fn is_honoured(pause: &Pause) {
    let stage = stage();
    let name = pause.name;
    stage.start_over(name);
    let (taken, _) = stage.capture(&format!("fault.{name}.first"));
    assert_eq!(taken, pause.taken);
    let asked = stage.receiver.wait_for(&format!("fault.{name}.first")).at;

    assert!(!stage.capture(&format!("paused.{name}")).0);
    stage.answers_as_without_a_dsn(&format!("paused.{name}"));
    match pause.lasts {
        Some(lasts) => {
            let resumed = wait::until("end of the pause", wait::LIMIT, || {
                let begin = asked.elapsed();
                let (taken, _) = stage.capture(&format!("resumed.{name}"));
                taken.then(|| (begin, asked.elapsed()))
            });
            println!("figure: {name}: captures were sent again after {resumed:?}");
            // The pause ended at some time between the two.
            let (begin, end) = resumed;
            assert!(end >= lasts - Duration::from_millis(100), "{end:?}");
            assert!(begin < lasts + SLACK, "{begin:?}");
            assert_eq!(stage.receiver.count(&format!("resumed.{name}")), 1);
        }
        None => {
            thread::sleep(Duration::from_secs(3));
            assert!(!stage.capture(&format!("paused.{name}")).0);
            stage.start_over(name);
        }
    }
    assert_eq!(stage.receiver.count(&format!("paused.{name}")), 0);
}

fn an_envelope_goes_to_the_dsns_endpoint_with_its_three_headers() {
    let stage = stage();
    assert!(stage.capture("headers").0);
    let Received { request, .. } = stage.receiver.wait_for("headers");
    assert_eq!(
        (&*request.method, &*request.target),
        ("POST", "/api/1/envelope/")
    );
    let name = format!("sentry.rust.cloudflare/{}", env!("CARGO_PKG_VERSION"));
    let auth = format!("Sentry sentry_version=7, sentry_client={name}, sentry_key=public");
    for (header, value) in [
        ("x-sentry-auth", &*auth),
        ("content-type", "application/x-sentry-envelope"),
        ("user-agent", &*name),
    ] {
        assert_eq!(request.header(header), Some(value));
    }
}

fn a_refused_connection_loses_the_event_and_nothing_else() {
    let first = Receiver::accepting();
    let address = first.url().replace("http://", "");
    let dsn = first.dsn();
    drop(first);
    wait::until("refused connection", wait::LIMIT, || {
        TcpStream::connect(&address).is_err().then_some(())
    });
    let worker = Worker::fixture().reporting_to(&dsn).start();
    let stage = Stage {
        worker,
        receiver: Receiver::accepting(),
    };
    stage.answers_as_without_a_dsn("refused");
    let (taken, took) = stage.capture("refused");
    println!("figure: refused: the capture ended after {took:?}");
    assert!(!taken);
    assert!(took < AT_ONCE + SLACK, "{took:?}");
    let memory = stage.memory();
    assert!(!stage.capture("refused").0);
    assert_eq!(stage.memory(), memory);

    let receiver = Receiver::listening(&address, |_, _| Answer::ok());
    assert!(stage.capture("there-again").0);
    assert_eq!(receiver.requests().len(), 1);
}

fn a_hundred_captures_at_once_all_arrive_at_a_slow_receiver() {
    let receiver = Receiver::answering(|_, _| {
        thread::sleep(Duration::from_millis(300));
        Answer::ok()
    });
    let worker = Worker::fixture().reporting_to(&receiver.dsn()).start();
    let stage = Stage { worker, receiver };
    let began = Instant::now();
    thread::scope(|scope| {
        let stage = &stage;
        for number in 0..100 {
            scope.spawn(move || assert!(stage.capture(&format!("burst.{number}.")).0, "{number}"));
        }
        // The application answers at the same time.
        for _ in 0..10 {
            assert_eq!(stage.worker.get("/").status, 200);
        }
    });
    println!(
        "figure: burst: 100 captures at once took {:?}",
        began.elapsed()
    );
    for number in 0..100 {
        assert_eq!(stage.receiver.count(&format!("burst.{number}.")), 1);
    }
    stage.worker.process().says_once("client initialised");
    wait::until("end of the connections", wait::LIMIT, || {
        (stage.receiver.open_connections() == 0).then_some(())
    });
}

fn bodies_that_never_end_are_cancelled_while_an_object_lives_on() {
    const CAPTURES: usize = 20;
    let stage = stage();
    let no_more_than_an_idle_one = |what: &str, limit| {
        wait::until(what, limit, || {
            (stage.receiver.open_connections() <= 1).then_some(())
        });
    };
    no_more_than_an_idle_one("end of earlier connections", wait::LIMIT);
    // The object's context does not end with the request, so it would keep connections that were
    // left open.
    let path = format!("/subject/bodies/captures?marker=fault.slow-body.&count={CAPTURES}");
    assert_eq!(stage.worker.post(&path).json()["sent"], CAPTURES);
    let open = stage.receiver.open_connections();
    println!("figure: {open} connections open after {CAPTURES} bodies that never end");
    // The limit of a capture would also end them, but later.
    no_more_than_an_idle_one("end of endless bodies", BOUND / 2);
}

fn two_thousand_captures_leave_both_heaps_flat() {
    const ROUND: usize = 250;
    let receiver = Receiver::accepting();
    let options = Worker::fixture().secret("SENTRY_DSN", &receiver.dsn());
    let (worker, mut inspector) = options.start_inspected();
    let mut sizes = Vec::new();
    let began = Instant::now();
    for round in 0..9 {
        let path = format!("/subject/many/captures?marker=many.{round}.&count={ROUND}");
        let captured = worker.post(&path).json();
        assert_eq!(captured["sent"], ROUND, "{captured}");
        let memory = captured["memory"].as_u64().expect("a number");
        // No timer remains after a capture, so the isolate has nothing to do.
        let heap = inspector.heap_after_collection_beside(|| drop(worker.get("/instance")));
        sizes.push((memory, heap));
    }
    println!("figure: {} captures took {:?}", 9 * ROUND, began.elapsed());
    println!("figure: bytes of wasm memory and JavaScript heap, each {ROUND} captures: {sizes:?}");
    assert_eq!(receiver.count("many."), 9 * ROUND);
    // The first round is for warming up: it makes the client and compiles code.
    let (memory, heap) = sizes[1];
    for (later_memory, later_heap) in &sizes[2..] {
        assert_eq!(*later_memory, memory, "{sizes:?}");
        // An event has about a kilobyte. If each left its memory behind, the heap would grow by
        // more than a megabyte.
        assert!(*later_heap < heap + 200_000, "{sizes:?}");
    }
}
