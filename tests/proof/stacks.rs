//! Stacks: each stack of an event, resolved with the companion of the build, names the lines that
//! are marked in the sources of `tests/stacks`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use harness::bugsink;
use harness::case::{self, Trial};
use harness::environment;
use harness::receiver::Receiver;
use harness::shared::Shared;
use harness::symbols;
use harness::worker::{Build, Worker};
use serde_json::{Value, json};
use worker_sentry_symbols::{
    BUILD_ID, Checked, Location, Module, Optimized, Symbols, WasmOpt, check, compressed, optimize,
    split,
};

harness::trials![
    a_place_is_given_to_no_other_error,
    a_deep_stack_that_is_taken_a_thousand_times_is_at_most_fifty_frames_of_one_event,
    an_event_of_another_build_or_a_changed_address_is_noticed,
    bugsink_shows_the_line_of_source_through_the_source_map,
    the_upload_has_neither_names_nor_lines,
    optimised_code_is_smaller_and_has_a_line_for_as_many_calls,
    every_call_has_the_place_that_it_has_in_the_unoptimised_build,
    ..judged_by_sentry_cli(),
    ..marked(),
];

/// The tests that each build of the marked lines has to pass.
fn marked() -> Vec<Trial> {
    macro_rules! rules {
        ($($rule:ident),* $(,)?) => { [$((stringify!($rule), $rule as fn(Build))),*] };
    }
    let rules = rules![
        an_error_that_is_captured_says_where,
        an_error_that_was_kept_names_its_question_mark_and_the_awaits_around_it,
        a_panic_names_the_whole_way_to_it,
        generic_and_inlined_functions_are_frames_of_their_own,
        what_javascript_threw_below_rust_names_both,
        an_alarm_a_step_and_work_in_the_background_say_where,
    ];
    let mut builds = vec![
        (Build::Stacks, ""),
        (Build::StacksOptimized, "_in_optimised_code"),
    ];
    if environment::has_unwinding_build() {
        builds.push((Build::StacksUnwinding, "_in_a_build_that_unwinds"));
    }
    let trials = builds.into_iter().flat_map(|(build, name)| {
        rules.map(|(rule, run)| harness::trial!(format!("{rule}{name}"), move || run(build)))
    });
    trials.collect()
}

struct Stage {
    build: Build,
    worker: Worker,
    receiver: Receiver,
}

fn stage(build: Build) -> &'static Stage {
    static PLAIN: Shared<Stage> = Shared::new();
    static OPTIMIZED: Shared<Stage> = Shared::new();
    static UNWINDING: Shared<Stage> = Shared::new();
    let stage = match build {
        Build::StacksOptimized => &OPTIMIZED,
        Build::StacksUnwinding => &UNWINDING,
        _ => &PLAIN,
    };
    stage.get(|| Stage::new(build))
}

fn companion(build: Build) -> PathBuf {
    build.output().join("index_bg.debug.wasm")
}

const SOURCES: &str = "tests/stacks/src";
/// The handler that `#[event(fetch)]` generates consists of three functions.
const EVENT: [&str; 3] = ["event"; 3];

impl Stage {
    fn new(build: Build) -> Self {
        let (worker, receiver) = Worker::stacks(build).start_reporting();
        Stage {
            build,
            worker,
            receiver,
        }
    }

    /// The event of a case, as it was sent.
    fn sent(&self, case: &str) -> Value {
        let marker = format!("at-{case}");
        self.worker.post(&format!("/{case}?marker={marker}"));
        self.receiver.wait_for_event(&marker)
    }

    fn resolved(&self, case: &str) -> Value {
        self.named(self.sent(case))
    }

    /// An event with resolved frames.
    fn named(&self, mut event: Value) -> Value {
        if let Err(failure) = symbols::resolve(&mut event, &companion(self.build)) {
            panic!("{failure}\n{event:#}");
        }
        event
    }
}

/// The marks of the report's own stack.
fn reported(event: &Value) -> Vec<String> {
    symbols::marks(&event["threads"]["values"][0]["stacktrace"], SOURCES)
}

/// The exceptions of an event, outermost first.
fn exceptions(event: &Value) -> Vec<&Value> {
    let list = event["exception"]["values"].as_array().expect("exceptions");
    list.iter().rev().collect()
}

/// The marks of an exception's stack.
fn came_up(exception: &Value) -> Vec<String> {
    symbols::marks(&exception["stacktrace"], SOURCES)
}

/// These marks, followed by those of the handler.
fn below(handler: &[&str], marks: &[&str]) -> Vec<String> {
    let all = marks.iter().chain(handler);
    all.map(|it| (*it).to_owned()).collect()
}

/// These marks, followed by those of the main Worker's wrapped handler.
fn in_fetch(marks: &[&str]) -> Vec<String> {
    below(&[&["wrapper"][..], &EVENT].concat(), marks)
}

fn an_error_that_is_captured_says_where(build: Build) {
    let stage = stage(build);
    let captured = stage.resolved("captured");
    assert_eq!(
        reported(&captured),
        in_fetch(&["captured", "captured outside"])
    );
    let background = stage.resolved("background");
    assert_eq!(reported(&background), in_fetch(&["background"]));
    // The body has returned, so only the wrapper is in the stack.
    let returned = stage.resolved("returned");
    assert_eq!(reported(&returned), in_fetch(&[]));
    // The fields that receivers group by are the same as without a stack.
    for event in [captured, background, returned] {
        assert_eq!(exceptions(&event)[0]["stacktrace"], Value::Null);
        assert_eq!(event["threads"]["values"][0]["current"], true);
    }
}

/// The functions from the `?` outwards.
const KEPT: [&str; 4] = ["fails", "third", "second", "first"];

fn an_error_that_was_kept_names_its_question_mark_and_the_awaits_around_it(build: Build) {
    let stage = stage(build);
    let kept = stage.resolved("kept");
    let [bigger, failed] = exceptions(&kept)[..] else {
        panic!("{kept:#}");
    };
    let way = in_fetch(&[&KEPT[..], &["inner"]].concat());
    assert_eq!(came_up(failed), way);
    assert_eq!(bigger["stacktrace"], Value::Null, "it came up nowhere else");
    assert_eq!(kept["threads"], Value::Null, "the errors have their own");
    // This error was made from a text alone.
    let told = stage.resolved("told");
    let way = in_fetch(&[&KEPT[..], &["main of told"]].concat());
    assert_eq!(came_up(exceptions(&told)[0]), way);
}

fn a_panic_names_the_whole_way_to_it(build: Build) {
    // A panic ends every run of its isolate, so this test has a Worker of its own.
    let stage = Stage::new(build);
    let way = |event: &Value| came_up(exceptions(event)[0]);
    let panic = stage.resolved("panic");
    // The first mark is the panic's own place, which needs no companion.
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
        way(&stage.named(index)),
        in_fetch(&["index", "index", "main of index"])
    );
}

fn generic_and_inlined_functions_are_frames_of_their_own(build: Build) {
    let event = stage(build).resolved("generic");
    let marks = ["inlined", "generic", "main of generic"];
    assert_eq!(came_up(exceptions(&event)[0]), in_fetch(&marks));
}

fn what_javascript_threw_below_rust_names_both(build: Build) {
    let event = stage(build).resolved("javascript");
    let thrown = exceptions(&event)[0];
    assert_eq!(thrown["type"], "RangeError");
    let frames = thrown["stacktrace"]["frames"].as_array().expect("frames");
    // The bundler has removed the names of functions in JavaScript.
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

fn an_alarm_a_step_and_work_in_the_background_say_where(build: Build) {
    let stage = stage(build);
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
    let quiet = stage(Build::Stacks).resolved("quiet");
    assert_eq!(exceptions(&quiet)[0]["stacktrace"], Value::Null);
    assert_eq!(reported(&quiet), in_fetch(&[]));
}

/// The largest report with 50 frames, in bytes.
const DEEP: usize = 5_000;

fn a_deep_stack_that_is_taken_a_thousand_times_is_at_most_fifty_frames_of_one_event() {
    let stage = stage(Build::Stacks);
    let event = stage.sent("often");
    let stack = &exceptions(&event)[0]["stacktrace"];
    // The innermost of the fifty is the call that takes the stack, which is not sent.
    let frames = stack["frames"].as_array().map_or(0, Vec::len);
    assert!((45..=50).contains(&frames), "{frames}");
    let bytes = event.to_string().len();
    println!("figure: bytes of an event with {frames} frames: {bytes}");
    assert!(bytes < DEEP, "{bytes}: {event:#}");
    let event = stage.named(event);
    let way = came_up(exceptions(&event)[0]);
    let (last, rest) = way.split_first().expect("marks");
    assert_eq!(last, "bottom");
    assert!(rest.len() > 40, "{way:?}");
    assert!(rest.iter().all(|mark| mark == "deeper"), "{way:?}");
    let reported = stage.receiver.requests().into_iter();
    let of_it = reported.filter(|it| {
        let body = String::from_utf8_lossy(&it.request.body);
        body.contains("at-often")
    });
    assert_eq!(of_it.count(), 1, "each of the others was dealt with");
}

fn an_event_of_another_build_or_a_changed_address_is_noticed() {
    let event = stage(Build::Stacks).sent("captured");
    let frame = "/threads/values/0/stacktrace/frames/3/instruction_addr";
    let address = event.pointer(frame).and_then(Value::as_str);
    let digits = address
        .and_then(|it| it.strip_prefix("0x"))
        .expect("an address");
    let address = u64::from_str_radix(digits, 16).expect("hexadecimal digits");
    let mut changed = event.clone();
    *changed.pointer_mut(frame).expect("it is there") = json!(format!("{:#x}", address + 1));
    let failure = symbols::resolve(&mut changed, &companion(Build::Stacks)).expect_err("changed");
    assert!(failure.what().contains("is no instruction"), "{failure}");
    let mut other = event;
    other["debug_meta"]["images"][0]["debug_id"] = json!("01234567-89ab-cdef-0011-223344556677");
    let failure =
        symbols::resolve(&mut other, &companion(Build::Stacks)).expect_err("another build");
    assert!(
        failure.what().contains("the event is of build"),
        "{failure}"
    );
}

fn bugsink_shows_the_line_of_source_through_the_source_map() {
    let project = bugsink::project();
    project.take_source_map(&symbols::source_map(&companion(Build::Stacks)));
    let options = Worker::stacks(Build::Stacks).reporting_to(&project.dsn);
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
        let stack = project.shown(&marker).stack;
        assert!(stack.contains(line), "{case}: {stack}");
    }
}

fn the_upload_has_neither_names_nor_lines() {
    let event = stage(Build::Stacks).sent("captured");
    let frames = event["threads"]["values"][0]["stacktrace"]["frames"].as_array();
    let frames = frames.expect("frames");
    // A frame has only the offset: it is enough to find everything else, and it changes with each
    // build.
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

fn checked(build: Build) -> Checked {
    let (debug, bare) = (
        read(&companion(build)),
        read(&build.output().join("index_bg.wasm")),
    );
    let module = |data| Module::parse(data, "a module").unwrap_or_else(|it| panic!("{it}"));
    let checked = check((&module(&debug), "companion"), (&module(&bare), "upload"));
    checked.unwrap_or_else(|failure| panic!("{failure}"))
}

fn read(path: &Path) -> Vec<u8> {
    fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn optimised_code_is_smaller_and_has_a_line_for_as_many_calls() {
    let (plain, optimized) = (checked(Build::Stacks), checked(Build::StacksOptimized));
    let share = |it: Checked| it.exact as f64 / it.calls as f64;
    println!(
        "figure: exact calls {:.4} and {:.4}",
        share(plain),
        share(optimized)
    );
    assert!(share(optimized) > share(plain) - 0.005);
    // wasm-bindgen adds functions without a name. wasm-opt must not change their number.
    assert!(optimized.unknown <= plain.unknown);
    let size = |build: Build| read(&build.output().join("index_bg.wasm"));
    let (plain, optimized) = (size(Build::Stacks), size(Build::StacksOptimized));
    assert!(optimized.len() * 100 < plain.len() * 97);
    assert!(compressed(&optimized) < compressed(&plain));
}

/// The example's companion is the module that worker-build made, with an id. So the test looks up
/// each call there, and in the module that wasm-opt makes from it.
fn every_call_has_the_place_that_it_has_in_the_unoptimised_build() {
    let data = example_companion();
    let companion = Module::parse(&data, "companion").expect("a module");
    let before = unsplit(&companion);
    let made = example_optimized();
    assert_eq!(made.without_origin, 0);
    assert_eq!(made.origins.len(), made.calls);
    let parts = split(&made.data, "made", false).unwrap_or_else(|it| panic!("{it}"));
    let before = Module::parse(&before, "before").expect("a module");
    let after = Module::parse(&parts.companion, "after").expect("a module");
    let of = |module: &Module<'_>| Symbols::read(module, "symbols").expect("symbols");
    let (first, unsplit, optimized) = (of(&companion), of(&before), of(&after));
    let (first, unsplit, optimized) = (first.lookup(), unsplit.lookup(), optimized.lookup());
    let mut lines = 0;
    for &(here, there) in &made.origins {
        let place = unsplit.at(there);
        assert_eq!(first.at(there), place, "tier 1, {there:#x}");
        assert_eq!(
            optimized.at(here),
            place,
            "tier 2, {here:#x} and {there:#x}"
        );
        // This check does not use DWARF: both calls are in the same function and call the same
        // function.
        assert_eq!(named(&after, here), named(&before, there));
        lines += usize::from(place.first().is_some_and(Location::has_line));
    }
    println!("figure: calls with a line: {lines} of {}", made.calls);
    assert!(made.calls > 1_000);
    assert!(lines > made.calls * 9 / 10);
}

pub fn example_companion() -> Vec<u8> {
    read(&environment::path("PROOF_LISTINGS").join("index_bg.debug.wasm"))
}

/// The module of worker-build from which the tool made this companion.
fn unsplit(companion: &Module<'_>) -> Vec<u8> {
    companion.rebuilt(|it| !it.is_custom(BUILD_ID), &[])
}

/// The module that wasm-opt makes from the example's, with names and lines.
pub fn example_optimized() -> &'static Optimized {
    static OPTIMIZED: Shared<Optimized> = Shared::new();
    OPTIMIZED.get(|| {
        let data = example_companion();
        let before = unsplit(&Module::parse(&data, "companion").expect("a module"));
        let node = environment::path("PROOF_NODE");
        let script = environment::path("PROOF_NPM").join("binaryen/bin/wasm-opt");
        let wasm_opt = WasmOpt::new(&[node, script], "s").expect("a level");
        optimize(&before, "before", &wasm_opt).unwrap_or_else(|it| panic!("{it}"))
    })
}

/// The name of the function that contains an instruction, and of the function that it calls.
fn named(module: &Module<'_>, at: usize) -> (Option<String>, Option<String>) {
    let function = module.function_at(at).expect("it is in a function");
    let call = function.calls.iter().find(|it| it.0 == at).expect("a call");
    // LLVM adds a suffix to the names of some private functions, which DWARF does not have.
    let plain = |name: &String| name.split(".llvm.").next().map(str::to_owned);
    let name = |index: u32| module.names.get(&index).and_then(plain);
    (name(function.index), call.1.and_then(name))
}

/// The program in npm's package for this machine, if it is installed.
pub fn sentry_cli() -> Option<PathBuf> {
    let npm = std::env::var_os("PROOF_NPM")?;
    let packages = fs::read_dir(Path::new(&npm).join("@sentry")).ok()?;
    let mut programs = packages
        .flatten()
        .map(|package| package.path().join("bin/sentry-cli"))
        .filter(|path| !path.starts_with(Path::new(&npm).join("@sentry/cli")));
    programs.find(|path| path.is_file())
}

/// The features that sentry-cli finds in a file, or its error.
fn judged(program: &Path, file: &Path) -> Result<String, String> {
    let mut command = Command::new(program);
    command.args(["debug-files", "check", "--json"]).arg(file);
    let output = command.output().expect("sentry-cli starts");
    let text = String::from_utf8_lossy(&output.stdout);
    let report: Value = serde_json::from_str(&text).unwrap_or_else(|it| panic!("{it}: {text}"));
    let text = |name: &str| report[name].as_str().unwrap_or_default().to_owned();
    if output.status.success() && report["is_usable"] == true {
        Ok(text("features"))
    } else {
        Err(text("problem"))
    }
}

fn judged_by_sentry_cli() -> Option<Trial> {
    let Some(program) = sentry_cli() else {
        eprintln!("NOT CHECKED: what sentry-cli says, because npm has none for this machine");
        return None;
    };
    Some(harness::trial!(
        "sentry_cli_takes_a_companion_and_no_module_that_was_not_split",
        move || sentry_cli_takes_a_companion(&program)
    ))
}

fn sentry_cli_takes_a_companion(program: &Path) {
    case::used("sentry-cli");
    for build in [Build::Stacks, Build::StacksOptimized] {
        let said = judged(program, &companion(build));
        assert_eq!(said.as_deref(), Ok("symtab, debug"), "{build:?}");
    }
    // sentry-cli also accepts the uploaded module, which has no lines. It must never be sent.
    let upload = Build::Stacks.output().join("index_bg.wasm");
    assert_eq!(judged(program, &upload).as_deref(), Ok("symtab"));
    let data = read(&companion(Build::Stacks));
    let module = Module::parse(&data, "companion").expect("a module");
    let file = environment::path("PROOF_STACKS").join("unsplit.tmp");
    fs::write(&file, unsplit(&module)).expect("written");
    let said = judged(program, &file);
    fs::remove_file(&file).expect("it is there");
    let problem = said.expect_err("it has no id");
    assert!(problem.contains("missing debug identifier"), "{problem}");
}
