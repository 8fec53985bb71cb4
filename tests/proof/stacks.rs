//! Stacks: each one of an event, resolved through the companion of the build, names the
//! lines that are marked in the sources of `tests/stacks`.

use std::path::PathBuf;

use libtest_mimic::Trial;
use proof::bugsink;
use proof::case::test;
use proof::environment;
use proof::receiver::Receiver;
use proof::shared::Shared;
use proof::symbols;
use proof::worker::Worker;
use serde_json::{Value, json};

pub fn trials() -> Vec<Trial> {
    vec![
        test(
            "stacks::an_error_that_is_captured_says_where",
            an_error_that_is_captured_says_where,
        ),
        test(
            "stacks::an_error_that_was_kept_names_its_question_mark_and_the_awaits_around_it",
            an_error_that_was_kept_names_its_question_mark,
        ),
        test(
            "stacks::a_panic_names_the_whole_way_to_it",
            a_panic_names_the_whole_way_to_it,
        ),
        test(
            "stacks::generic_and_inlined_functions_are_frames_of_their_own",
            generic_and_inlined_functions_are_frames,
        ),
        test(
            "stacks::what_javascript_threw_below_rust_names_both",
            what_javascript_threw_below_rust_names_both,
        ),
        test(
            "stacks::an_alarm_a_step_and_work_in_the_background_say_where",
            an_alarm_a_step_and_the_background_say_where,
        ),
        test(
            "stacks::a_place_is_given_to_no_other_error",
            a_place_is_given_to_no_other_error,
        ),
        test(
            "stacks::an_event_of_another_build_or_a_changed_address_is_noticed",
            a_changed_address_is_noticed,
        ),
        test(
            "stacks::bugsink_shows_the_line_of_source_through_the_source_map",
            bugsink_shows_the_line_of_source,
        ),
        test(
            "stacks::the_upload_has_neither_names_nor_lines",
            the_upload_has_neither_names_nor_lines,
        ),
    ]
}

struct Stage {
    worker: Worker,
    receiver: Receiver,
}

fn stage() -> &'static Stage {
    static STAGE: Shared<Stage> = Shared::new();
    STAGE.get(Stage::new)
}

fn companion() -> PathBuf {
    environment::path("PROOF_STACKS").join("index_bg.debug.wasm")
}

const SOURCES: &str = "tests/stacks/src";
/// The handler that `#[event(fetch)]` writes, of three functions.
const EVENT: [&str; 3] = ["event"; 3];

impl Stage {
    fn new() -> Self {
        let receiver = Receiver::accepting();
        let worker = Worker::stacks().reporting_to(&receiver.dsn()).start();
        Stage { worker, receiver }
    }

    /// The event of a case, as it was sent.
    fn sent(&self, case: &str) -> Value {
        let marker = format!("at-{case}");
        self.worker.post(&format!("/{case}?marker={marker}"));
        self.receiver.wait_for_event(&marker)
    }

    fn resolved(&self, case: &str) -> Value {
        resolved(self.sent(case))
    }
}

fn resolved(mut event: Value) -> Value {
    if let Err(failure) = symbols::resolve(&mut event, &companion()) {
        panic!("{failure}\n{event:#}");
    }
    event
}

/// The marks of the stack of the report itself.
fn reported(event: &Value) -> Vec<String> {
    symbols::marks(&event["threads"]["values"][0]["stacktrace"], SOURCES)
}

/// The exceptions of an event, the outermost first.
fn exceptions(event: &Value) -> Vec<&Value> {
    let list = event["exception"]["values"].as_array().expect("exceptions");
    list.iter().rev().collect()
}

/// The marks of the stack of an exception.
fn came_up(exception: &Value) -> Vec<String> {
    symbols::marks(&exception["stacktrace"], SOURCES)
}

/// Names, and behind them those of the handler.
fn below(handler: &[&str], marks: &[&str]) -> Vec<String> {
    let all = marks.iter().chain(handler);
    all.map(|it| (*it).to_owned()).collect()
}

/// These marks in the main Worker's wrapped handler.
fn in_fetch(marks: &[&str]) -> Vec<String> {
    below(&[&["wrapper"][..], &EVENT].concat(), marks)
}

fn an_error_that_is_captured_says_where() {
    let stage = stage();
    let captured = stage.resolved("captured");
    assert_eq!(
        reported(&captured),
        in_fetch(&["captured", "captured outside"])
    );
    let background = stage.resolved("background");
    assert_eq!(reported(&background), in_fetch(&["background"]));
    // The body has returned, so only the wrapper is left to be named.
    let returned = stage.resolved("returned");
    assert_eq!(reported(&returned), in_fetch(&[]));
    // What receivers group by is as it was without a stack.
    for event in [captured, background, returned] {
        assert_eq!(exceptions(&event)[0]["stacktrace"], Value::Null);
        assert_eq!(event["threads"]["values"][0]["current"], true);
    }
}

/// From the `?` outwards.
const KEPT: [&str; 4] = ["fails", "third", "second", "first"];

fn an_error_that_was_kept_names_its_question_mark() {
    let stage = stage();
    let kept = stage.resolved("kept");
    let [bigger, failed] = exceptions(&kept)[..] else {
        panic!("{kept:#}");
    };
    let way = in_fetch(&[&KEPT[..], &["inner"]].concat());
    assert_eq!(came_up(failed), way);
    assert_eq!(bigger["stacktrace"], Value::Null, "it came up nowhere else");
    assert_eq!(kept["threads"], Value::Null, "the errors have their own");
    // An error that was made of the text alone.
    let told = stage.resolved("told");
    let way = in_fetch(&[&KEPT[..], &["main of told"]].concat());
    assert_eq!(came_up(exceptions(&told)[0]), way);
}

fn a_panic_names_the_whole_way_to_it() {
    // A panic ends every run of its isolate, so the other tests have another Worker.
    let stage = Stage::new();
    let way = |event: &Value| came_up(exceptions(event)[0]);
    let panic = stage.resolved("panic");
    // The first is the panic's own place, which needs no companion.
    let marks = ["panic", "panic", "middle", "outer", "main of panic"];
    assert_eq!(way(&panic), in_fetch(&marks));
    let frames = panic["exception"]["values"][0]["stacktrace"]["frames"].as_array();
    let last = frames.and_then(|frames| frames.last()).expect("frames");
    assert_eq!(last["filename"], "tests/stacks/src/deep.rs");
    assert_eq!(last["instruction_addr"], Value::Null);
    let unwrap = stage.resolved("unwrap");
    assert_eq!(
        way(&unwrap),
        in_fetch(&["unwrap", "unwrap", "main of unwrap"])
    );
    stage.worker.post("/index?marker=at-index");
    let index = stage.receiver.wait_for_event_that("an index", |event| {
        let value = event["exception"]["values"][0]["value"].as_str();
        value.is_some_and(|value| value.starts_with("index out of bounds"))
    });
    assert_eq!(
        way(&resolved(index)),
        in_fetch(&["index", "index", "main of index"])
    );
}

fn generic_and_inlined_functions_are_frames() {
    let event = stage().resolved("generic");
    let marks = ["inlined", "generic", "main of generic"];
    assert_eq!(came_up(exceptions(&event)[0]), in_fetch(&marks));
}

fn what_javascript_threw_below_rust_names_both() {
    let event = stage().resolved("javascript");
    let thrown = exceptions(&event)[0];
    assert_eq!(thrown["type"], "RangeError");
    let frames = thrown["stacktrace"]["frames"].as_array().expect("frames");
    // The bundler has taken the names of the functions in JavaScript.
    let scripted = |it: &&Value| {
        it["filename"]
            .as_str()
            .is_some_and(|it| it.ends_with(".js"))
    };
    let innermost = frames.iter().rev().take_while(scripted).count();
    assert!(innermost >= 2, "{frames:#?}");
    let last = frames.last().expect("a frame");
    assert!(
        last["lineno"].is_u64() && last["colno"].is_u64(),
        "{last:#}"
    );
    assert_eq!(came_up(thrown), in_fetch(&["import", "main of javascript"]));
}

fn an_alarm_a_step_and_the_background_say_where() {
    let stage = stage();
    let alarm = stage.resolved("alarm");
    let marks = below(&["ring"], &KEPT);
    let way = came_up(exceptions(&alarm)[0]);
    assert_eq!(way[..marks.len()], marks, "{way:?}");
    let step = stage.resolved("step");
    let way = reported(&step);
    assert_eq!(way[..2], ["captured", "step"], "{way:?}");
    let late = stage.resolved("late");
    assert_eq!(came_up(exceptions(&late)[0]), ["late"]);
}

fn a_place_is_given_to_no_other_error() {
    let quiet = stage().resolved("quiet");
    assert_eq!(exceptions(&quiet)[0]["stacktrace"], Value::Null);
    assert_eq!(reported(&quiet), in_fetch(&[]));
}

fn a_changed_address_is_noticed() {
    let event = stage().sent("captured");
    let frame = "/threads/values/0/stacktrace/frames/3/instruction_addr";
    let address = event.pointer(frame).and_then(Value::as_str);
    let digits = address
        .and_then(|it| it.strip_prefix("0x"))
        .expect("an address");
    let address = u64::from_str_radix(digits, 16).expect("hexadecimal digits");
    let mut changed = event.clone();
    *changed.pointer_mut(frame).expect("it is there") = json!(format!("{:#x}", address + 1));
    let failure = symbols::resolve(&mut changed, &companion()).expect_err("changed");
    assert!(failure.what().contains("is no instruction"), "{failure}");
    let mut other = event;
    other["debug_meta"]["images"][0]["debug_id"] = json!("01234567-89ab-cdef-0011-223344556677");
    let failure = symbols::resolve(&mut other, &companion()).expect_err("another build");
    assert!(
        failure.what().contains("the event is of build"),
        "{failure}"
    );
}

fn bugsink_shows_the_line_of_source() {
    let project = bugsink::project();
    project.take_source_map(&symbols::source_map(&companion()));
    let options = Worker::stacks().reporting_to(&project.dsn);
    let worker = options.var("SENTRY_SOURCE_MAPS", "on").start();
    for (case, line) in [
        (
            "captured",
            "capture_exception_in_isolate(env, &failed).await; // AT captured",
        ),
        ("told", "Err(Failed::of(marker)).with_stack() // AT fails"),
        ("panic", "inner(marker); // AT middle"),
    ] {
        let marker = format!("shown-{case}");
        worker.post(&format!("/{case}?marker={marker}"));
        let stack = project.stack_of(&marker);
        assert!(stack.contains(line), "{case}: {stack}");
    }
}

fn the_upload_has_neither_names_nor_lines() {
    let event = stage().sent("captured");
    let frames = event["threads"]["values"][0]["stacktrace"]["frames"].as_array();
    let frames = frames.expect("frames");
    // A build's offsets say everything, and are what changes: nothing else is in a frame.
    for frame in frames
        .iter()
        .filter(|it| it["instruction_addr"].is_string())
    {
        let keys: Vec<_> = frame.as_object().expect("a frame").keys().collect();
        assert_eq!(keys, ["addr_mode", "in_app", "instruction_addr"]);
    }
    let image = &event["debug_meta"]["images"][0];
    let keys: Vec<_> = image.as_object().expect("an image").keys().collect();
    assert_eq!(keys, ["code_file", "code_id", "debug_id", "type"]);
    let meta = json!({"images": [image]});
    assert_eq!(event["debug_meta"], meta);
    println!("figure: frames of a capture: {}", frames.len());
}
