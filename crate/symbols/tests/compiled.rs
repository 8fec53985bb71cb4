//! The tool on what rustc makes: a small crate with marked lines, compiled here for
//! wasm32-unknown-unknown. Where that target is not installed, a test says so and ends.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use serde_json::{Value, json};
use tempfile::TempDir;
use worker_sentry_symbols::{Module, Symbols, check, split};

const SOURCE: &str = r#"
#[inline(always)]
fn doubled(n: u32) -> u32 {
    leaf(n) * 2 // MARK inlined
}

#[inline(never)]
fn leaf(n: u32) -> u32 {
    let list = [1, 2, 3];
    list[std::hint::black_box(n) as usize] // MARK panic
}

#[inline(never)]
fn middle(n: u32) -> u32 {
    doubled(n + 1) + 1 // MARK middle
}

#[unsafe(no_mangle)]
pub extern "C" fn run(n: u32) -> u32 {
    middle(n) + 1 // MARK run
}
"#;

struct Made {
    folder: TempDir,
    data: Vec<u8>,
}

/// What rustc makes of the source, once for all tests.
fn made() -> Option<&'static Made> {
    static MADE: OnceLock<Option<Made>> = OnceLock::new();
    let made = MADE.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir(folder.path().join("src")).expect("a folder");
        fs::write(folder.path().join("src/lib.rs"), SOURCE).expect("written");
        let out = Command::new("rustc")
            .args([
                "--edition=2024",
                "--crate-type=cdylib",
                "--target=wasm32-unknown-unknown",
            ])
            .args([
                "-Copt-level=s",
                "-Cdebuginfo=1",
                "-Cpanic=abort",
                "--crate-name=app",
            ])
            .args(["src/lib.rs", "-o", "app.wasm"])
            .current_dir(folder.path())
            .output()
            .expect("rustc starts");
        let error = String::from_utf8_lossy(&out.stderr);
        if !out.status.success() {
            assert!(error.contains("target may not be installed"), "{error}");
            return None;
        }
        let data = fs::read(folder.path().join("app.wasm")).expect("rustc wrote it");
        Some(Made { folder, data })
    });
    if made.is_none() {
        eprintln!("not run: rustup target add wasm32-unknown-unknown");
    }
    made.as_ref()
}

fn line_of(mark: &str) -> u64 {
    let mark = format!("// MARK {mark}");
    let at = SOURCE.lines().position(|it| it.ends_with(&mark));
    at.expect("a mark") as u64 + 1
}

/// The offset of the call from the function whose name has this in it to the other.
fn call(module: &Module<'_>, from: &str, to: &str) -> (u32, usize) {
    let named =
        |index: &u32, part: &str| module.names.get(index).is_some_and(|it| it.contains(part));
    let function = module
        .functions
        .iter()
        .find(|it| named(&it.index, from))
        .expect(from);
    let calls = function.calls.iter();
    let found = calls
        .filter(|it| it.1.is_some_and(|callee| named(&callee, to)))
        .map(|it| it.0)
        .next();
    (function.index, found.expect(to))
}

struct Project {
    folder: TempDir,
}

impl Project {
    /// worker-build's output folder, as it is before `build`.
    fn new(made: &Made) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir(folder.path().join("build")).expect("a folder");
        fs::write(folder.path().join("build/index_bg.wasm"), &made.data).expect("written");
        Project { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn run(&self, arguments: &[&str], input: &str) -> Output {
        use std::io::Write as _;
        let mut child = Command::new(env!("CARGO_BIN_EXE_worker-sentry-symbols"))
            .args(arguments)
            .env("WASM_OPT_BIN", self.path("wasm-opt"))
            .current_dir(self.folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        let mut stdin = child.stdin.take().expect("piped");
        // One that does not read its input may have ended by now.
        let _ = stdin.write_all(input.as_bytes());
        drop(stdin);
        child.wait_with_output().expect("it ends")
    }

    fn good(&self, arguments: &[&str], input: &str) -> String {
        let out = self.run(arguments, input);
        assert!(
            out.status.success(),
            "{arguments:?}: {}",
            String::from_utf8_lossy(&out.stderr)
        );
        String::from_utf8(out.stdout).expect("text")
    }

    fn bad(&self, arguments: &[&str], input: &str) -> String {
        let out = self.run(arguments, input);
        assert!(
            !out.status.success(),
            "{}",
            String::from_utf8_lossy(&out.stdout)
        );
        String::from_utf8(out.stderr).expect("text")
    }
}

fn event(id: &str, offsets: &[usize]) -> Value {
    let frame = |at: &usize| json!({"instruction_addr": format!("{at:#x}"), "addr_mode": "rel:0"});
    let mut frames: Vec<Value> = offsets.iter().map(frame).collect();
    frames.insert(
        0,
        json!({"function": "fetch", "filename": "index.js", "lineno": 3}),
    );
    json!({
        "platform": "native",
        "debug_meta": {"images": [{"type": "wasm", "debug_id": id, "code_file": "index_bg.wasm"}]},
        "exception": {"values": [{"type": "panic", "value": "out of bounds",
            "stacktrace": {"frames": frames}}]},
    })
}

#[test]
fn build_takes_names_and_lines_away_and_moves_no_code() {
    let Some(made) = made() else { return };
    let parts = split(&made.data, "app.wasm", false).expect("it splits");
    let before = Module::parse(&made.data, "before").expect("a module");
    let upload = Module::parse(&parts.upload, "upload").expect("a module");
    let companion = Module::parse(&parts.companion, "companion").expect("a module");
    for module in [&upload, &companion] {
        assert_eq!(module.code, before.code);
        assert_eq!(
            module.data[module.code.clone()],
            made.data[before.code.clone()]
        );
        assert_eq!(module.build_id(), Some(parts.id));
        assert!(
            module
                .sections
                .last()
                .is_some_and(|it| it.is_custom("build_id"))
        );
    }
    assert!(upload.names.is_empty());
    assert!(!upload.sections.iter().any(|it| it.is_dwarf()));
    assert!(parts.upload.len() < made.data.len() / 2);
    assert_eq!(companion.names, before.names);
    let kept = split(&made.data, "app.wasm", true)
        .expect("it splits")
        .upload;
    assert_eq!(
        Module::parse(&kept, "kept").expect("a module").names,
        before.names
    );
    assert!(parts.mangled);
    check((&companion, "companion"), (&upload, "upload")).expect("they belong together");
}

#[test]
fn build_may_run_again_and_says_the_sizes() {
    let Some(made) = made() else { return };
    let project = Project::new(made);
    let first = project.good(&["build"], "");
    assert!(
        first.contains(&format!("before     {:>10} bytes", made.data.len())),
        "{first}"
    );
    assert!(first.contains("gzip"), "{first}");
    let upload = fs::read(project.path("build/index_bg.wasm")).expect("there");
    assert!(project.good(&["build"], "").contains("split already"));
    assert_eq!(
        fs::read(project.path("build/index_bg.wasm")).expect("there"),
        upload
    );
    assert!(
        project
            .bad(&["build", "--keep-names"], "")
            .contains("what to do: run `worker-build")
    );
    let checked = project.good(&["check"], "");
    assert!(checked.contains("exact"), "{checked}");
    fs::remove_file(project.path("build/index_bg.debug.wasm")).expect("there");
    assert!(project.bad(&["build"], "").contains("its companion"));
}

impl Project {
    /// Stands in for wasm-opt. It is called as `IN -o OUT -Os …`.
    #[cfg(unix)]
    fn wasm_opt(&self, script: &str) {
        use std::os::unix::fs::PermissionsExt as _;
        let path = self.path("wasm-opt");
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("set");
    }
}

/// One that changes nothing: what comes out of it is written anew from the maps alone.
#[cfg(unix)]
const UNCHANGED: &str = r#"cp "$1" "$3" && cp "${1%.wasm}.map" "${3%.wasm}.map""#;

#[cfg(unix)]
#[test]
fn optimised_code_keeps_the_functions_and_lines_of_every_call() {
    let Some(made) = made() else { return };
    let project = Project::new(made);
    project.wasm_opt(&format!("echo \"$@\" >> called\n{UNCHANGED}"));
    let said = project.good(&["build", "--optimize"], "");
    assert!(said.contains("of which 0 have no line"), "{said}");
    let called = fs::read_to_string(project.path("called")).expect("it was called");
    assert!(called.contains(" -Os --debuginfo "), "{called}");
    assert!(called.contains("--skip-pass=inlining "), "{called}");
    let data = fs::read(project.path("build/index_bg.debug.wasm")).expect("there");
    let (before, after) = (
        Module::parse(&made.data, "before").expect("a module"),
        Module::parse(&data, "after").expect("a module"),
    );
    assert_eq!(after.names.len(), before.names.len());
    let (old, new) = (
        Symbols::read(&before, "before").expect("symbols"),
        Symbols::read(&after, "after").expect("symbols"),
    );
    assert!(new.roots().iter().all(|it| old.roots().contains(it)));
    let (old, new) = (old.lookup(), new.lookup());
    let mut inlined = 0;
    for function in &before.functions {
        for at in &function.instructions {
            let there = old.at(*at);
            if !there.is_empty() {
                assert_eq!(new.at(*at), there, "{at:#x}");
            }
            inlined += usize::from(there.len() > 1);
        }
    }
    assert!(inlined > 0);
    let checked = project.good(&["check"], "");
    assert!(checked.contains("wasm-opt   -Os\n"), "{checked}");
    assert!(!String::from_utf8_lossy(&data).contains("f12"));
}

#[cfg(unix)]
#[test]
fn optimised_code_may_be_built_again_at_its_level_only() {
    let Some(made) = made() else { return };
    let project = Project::new(made);
    project.wasm_opt(UNCHANGED);
    project.good(&["build", "--optimize=z"], "");
    let upload = fs::read(project.path("build/index_bg.wasm")).expect("there");
    let again = project.good(&["build", "--optimize=z"], "");
    assert!(again.contains("split already"), "{again}");
    for other in [&["build"][..], &["build", "--optimize"]] {
        let said = project.bad(other, "");
        assert!(said.contains("split already, with -Oz"), "{said}");
    }
    let now = fs::read(project.path("build/index_bg.wasm")).expect("there");
    assert_eq!(now, upload);
    let other = Project::new(made);
    other.good(&["build"], "");
    let said = other.bad(&["build", "--optimize"], "");
    assert!(said.contains("split already, without wasm-opt"), "{said}");
}

#[cfg(unix)]
#[test]
fn a_call_that_wasm_opt_made_has_a_function_and_no_line() {
    let Some(made) = made() else { return };
    let project = Project::new(made);
    project.wasm_opt(r#"cp "$1" "$3" && echo '{"version":3,"mappings":"A"}' > "${3%.wasm}.map""#);
    let said = project.good(&["build", "--optimize"], "");
    let data = fs::read(project.path("build/index_bg.debug.wasm")).expect("there");
    let module = Module::parse(&data, "companion").expect("a module");
    let calls: usize = module.functions.iter().map(|it| it.calls.len()).sum();
    let none = format!("{calls} calls, of which {calls} have no line");
    assert!(said.contains(&none), "{said}");
    let symbols = Symbols::read(&module, "companion").expect("symbols");
    let found = symbols.lookup().at(call(&module, "middle", "leaf").1);
    let shown: Vec<_> = found
        .iter()
        .map(|it| (it.function.as_str(), it.path.as_str(), it.line))
        .collect();
    assert_eq!(shown, [("app::middle", "", 0)]);
}

#[cfg(unix)]
#[test]
fn a_wasm_opt_that_fails_leaves_the_module_as_it_was() {
    let Some(made) = made() else { return };
    let project = Project::new(made);
    let said = project.bad(&["build", "--optimize"], "");
    assert!(said.contains("cannot start"), "{said}");
    for (script, words) in [
        ("echo no such option >&2; exit 3", "no such option"),
        ("exit 0", "cannot read"),
        (
            r#"cp "$1" "$3"; echo '{}' > "${3%.wasm}.map""#,
            "source map",
        ),
    ] {
        project.wasm_opt(script);
        let said = project.bad(&["build", "--optimize"], "");
        assert!(
            said.contains(words) && said.contains("without --optimize"),
            "{said}"
        );
    }
    let said = project.bad(&["build", "--optimize=9"], "");
    assert!(said.contains("--optimize=z"), "{said}");
    let data = fs::read(project.path("build/index_bg.wasm")).expect("there");
    assert_eq!(data, made.data);
    assert!(!project.path("build/index_bg.debug.wasm").exists());
}

#[test]
fn dwarf_of_other_code_is_refused() {
    let Some(made) = made() else { return };
    let module = Module::parse(&made.data, "m").expect("a module");
    // The names of all functions, moved by one: as if a tool had put them in another order.
    let mut names = wasm_encoder::NameMap::new();
    let mut all: Vec<_> = module.names.iter().collect();
    all.sort();
    for (at, (index, _)) in all.iter().enumerate() {
        names.append(**index, all[(at + 1) % all.len()].1);
    }
    let mut section = wasm_encoder::NameSection::new();
    section.functions(&names);
    let section = {
        let mut out = wasm_encoder::Module::new();
        out.section(&section);
        out.finish()
    };
    let moved = Module::parse(&section, "names")
        .expect("a module")
        .custom("name")
        .expect("names")
        .to_vec();
    let data = module.rebuilt(|it| !it.is_custom("name"), &[("name", &moved)]);
    let failure = split(&data, "app.wasm", false).expect_err("it is refused");
    assert!(failure.what().contains("is not of its code"), "{failure}");
    assert!(failure.todo().contains("--no-opt"), "{failure}");
}

#[test]
fn check_notices_another_build_and_a_changed_byte() {
    let Some(made) = made() else { return };
    let parts = split(&made.data, "app.wasm", false).expect("it splits");
    let companion = Module::parse(&parts.companion, "companion").expect("a module");
    let verdict = |upload: &[u8]| {
        check(
            (&companion, "companion"),
            (
                &Module::parse(upload, "upload").expect("a module"),
                "upload",
            ),
        )
    };
    let checked = verdict(&parts.upload).expect("they belong together");
    assert_eq!(
        checked.calls,
        checked.exact + checked.without_line + checked.named_only + checked.unknown
    );
    assert!(checked.exact > 0);
    let upload = Module::parse(&parts.upload, "upload").expect("a module");
    let other = upload.rebuilt(|it| !it.is_custom("build_id"), &[("build_id", &[9; 16])]);
    assert!(
        verdict(&other)
            .expect_err("another id")
            .what()
            .contains("of build 09090909")
    );
    // A callee is another one.
    let (_, at) = call(&companion, "middle", "leaf");
    let mut changed = parts.upload.clone();
    changed[at + 1] ^= 1;
    assert!(
        verdict(&changed)
            .expect_err("other code")
            .what()
            .contains("code differs")
    );
    assert!(
        verdict(&parts.companion)
            .expect_err("swapped")
            .what()
            .contains("has DWARF")
    );
    assert!(
        verdict(&made.data)
            .expect_err("not split")
            .todo()
            .contains("worker-sentry-symbols build")
    );
}

#[test]
fn an_event_resolves_to_the_marked_lines_with_what_was_inlined() {
    let Some(made) = made() else { return };
    let project = Project::new(made);
    project.good(&["build"], "");
    let data = fs::read(project.path("build/index_bg.debug.wasm")).expect("there");
    let module = Module::parse(&data, "companion").expect("a module");
    let id = module.build_id().expect("an id").to_string();
    let offsets = [
        call(&module, "run", "middle").1,
        call(&module, "middle", "leaf").1,
    ];
    let sources = made.folder.path().display().to_string();
    let arguments = ["resolve", "--json", "--sources", &sources];
    let out = project.good(&arguments, &event(&id, &offsets).to_string());
    let out: Value = serde_json::from_str(&out).expect("JSON");
    let frames = out
        .pointer("/exception/values/0/stacktrace/frames")
        .and_then(Value::as_array)
        .expect("frames");
    let seen: Vec<_> = frames
        .iter()
        .map(|it| {
            (
                it["function"].as_str().unwrap_or_default(),
                it["filename"].as_str().unwrap_or_default(),
                it["lineno"].as_u64().unwrap_or(0),
            )
        })
        .collect();
    assert_eq!(
        seen,
        [
            ("fetch", "index.js", 3),
            ("run", "src/lib.rs", line_of("run")),
            ("app::middle", "src/lib.rs", line_of("middle")),
            ("app::doubled", "src/lib.rs", line_of("inlined")),
        ]
    );
    assert_eq!(frames[3]["context_line"], "    leaf(n) * 2 // MARK inlined");
    assert_eq!(frames[3]["in_app"], true);
    // No path of the machine that built it is in what is printed.
    assert!(!out.to_string().contains(&sources), "{out}");

    let text = project.good(
        &["resolve", "--sources", &sources],
        &event(&id, &offsets).to_string(),
    );
    assert!(
        text.contains(&format!(
            "    at app::doubled (src/lib.rs:{})\n",
            line_of("inlined")
        )),
        "{text}"
    );
    assert!(text.contains("| leaf(n) * 2 // MARK inlined"), "{text}");
}

#[test]
fn an_event_of_another_build_or_with_a_changed_offset_is_refused() {
    let Some(made) = made() else { return };
    let project = Project::new(made);
    project.good(&["build"], "");
    let data = fs::read(project.path("build/index_bg.debug.wasm")).expect("there");
    let module = Module::parse(&data, "companion").expect("a module");
    let id = module.build_id().expect("an id").to_string();
    let (_, at) = call(&module, "middle", "leaf");
    let other = event("00112233-4455-6677-8899-aabbccddeeff", &[at]);
    let said = project.bad(&["resolve"], &other.to_string());
    assert!(
        said.contains("of build 00112233") && said.contains("--companion"),
        "{said}"
    );
    let said = project.bad(&["resolve"], &event(&id, &[at + 1]).to_string());
    assert!(said.contains("is no instruction of build"), "{said}");
    let said = project.bad(&["resolve"], r#"{"exception": {"values": []}}"#);
    assert!(said.contains("names no build"), "{said}");
    assert!(project.bad(&["resolve"], "{").contains("is no event"));
}

#[test]
fn a_console_stack_goes_through_with_its_frames_resolved() {
    let Some(made) = made() else { return };
    let project = Project::new(made);
    project.good(&["build"], "");
    let data = fs::read(project.path("build/index_bg.debug.wasm")).expect("there");
    let module = Module::parse(&data, "companion").expect("a module");
    let (index, at) = call(&module, "middle", "leaf");
    let frame = |index: u32, at: usize| {
        format!("    at wasm://wasm/001326ce:wasm-function[{index}]:{at:#x}\n")
    };
    let stack = |middle: String| {
        format!("before\nError\n{middle}    at async fetch (index.js:1:2)\nafter\n")
    };
    let out = project.good(
        &[
            "resolve",
            "--map",
            &format!("{}=", made.folder.path().display()),
        ],
        &stack(frame(index, at)),
    );
    let (inlined, middle) = (line_of("inlined"), line_of("middle"));
    assert_eq!(
        out,
        format!(
            "before\nError\n    at app::doubled (src/lib.rs:{inlined}) [inlined]\n       \
             {inlined:>5} | leaf(n) * 2 // MARK inlined\n    at app::middle (src/lib.rs:{middle})\n       \
             {middle:>5} | doubled(n + 1) + 1 // MARK middle\n    at async fetch (index.js:1:2)\nafter\n"
        )
    );
    for wrong in [frame(index + 1, at), frame(index, at + 1)] {
        let input = stack(frame(index, at) + &wrong);
        let out = project.run(&["resolve"], &input);
        assert_eq!(String::from_utf8_lossy(&out.stdout), input);
        assert!(!out.status.success());
        assert!(String::from_utf8_lossy(&out.stderr).contains("another build"));
    }
}

#[test]
fn a_frame_at_the_start_of_a_function_is_of_that_function() {
    // What V8 names for the innermost frame where the stack is full.
    let Some(made) = made() else { return };
    let project = Project::new(made);
    project.good(&["build"], "");
    let data = fs::read(project.path("build/index_bg.debug.wasm")).expect("there");
    let module = Module::parse(&data, "companion").expect("a module");
    let (index, _) = call(&module, "middle", "leaf");
    let function = module.functions.iter().find(|it| it.index == index);
    let function = function.expect("the function");
    let start = function.body.start;
    assert!(start < function.instructions[0]);
    let id = module.build_id().expect("an id").to_string();
    let shown = project.good(&["resolve"], &event(&id, &[start]).to_string());
    assert!(shown.contains("at app::middle ("), "{shown}");
    let frame = format!("    at wasm://wasm/001326ce:wasm-function[{index}]:{start:#x}\n");
    let shown = project.good(&["resolve"], &frame);
    assert!(shown.starts_with("    at app::middle ("), "{shown}");
    // The length in front of the body is of no function.
    let said = project.bad(&["resolve"], &event(&id, &[start - 1]).to_string());
    assert!(said.contains("is no instruction of build"), "{said}");
    project.good(&["sourcemap", "-o", "out/a.map"], "");
    let text = fs::read_to_string(project.path("out/a.map")).expect("written");
    let map: Value = serde_json::from_str(&text).expect("JSON");
    let mappings = map["mappings"].as_str().expect("mappings");
    let first = function.instructions[0] as i64;
    assert!(token(mappings, first).is_some());
    assert_eq!(token(mappings, start as i64), token(mappings, first));
    assert_ne!(token(mappings, start as i64 - 1), token(mappings, first));
}

#[test]
fn each_form_that_v8_writes_a_frame_in_is_resolved_and_others_stay() {
    let Some(made) = made() else { return };
    let project = Project::new(made);
    project.good(&["build"], "");
    let data = fs::read(project.path("build/index_bg.debug.wasm")).expect("there");
    let module = Module::parse(&data, "companion").expect("a module");
    let (index, at) = call(&module, "run", "middle");
    let place = format!("wasm-function[{index}]:{at:#x}");
    for line in [
        format!("    at wasm://wasm/001326ce:{place}"),
        format!("    at wasm://wasm/app.wasm-001326ce:{place}"),
        format!("    at app::run (wasm://wasm/001326ce:{place})"),
        format!("    at async app.wasm.app::run (wasm://wasm/app.wasm-001326ce:{place})"),
        // Where a console leaves out the address of the module.
        format!("    at {place}"),
        // wrangler's prefix of a line that it passes on.
        format!("[wrangler:error]     at {place}"),
    ] {
        let shown = project.good(&["resolve"], &format!("{line}\n"));
        assert!(shown.contains("at run ("), "{line}: {shown}");
        assert!(!shown.contains("wasm-function"), "{line}: {shown}");
    }
    for line in [
        "    at wasm-function[x]:0x10",
        "    at wasm-function[1]:10",
        "    at wasm-function[1]:0x",
        "    at wasm-function[1]:0xfffffffffffffffff",
        "    at wasm-function[99999999999]:0x10",
        "    at index.js:0x10",
    ] {
        let line = format!("{line}\n");
        assert_eq!(project.good(&["resolve"], &line), line);
    }
}

#[cfg(unix)]
#[test]
fn a_source_map_has_no_name_for_what_has_no_line() {
    let Some(made) = made() else { return };
    let project = Project::new(made);
    // Nothing of what comes out of it is known to have been there.
    project.wasm_opt(r#"cp "$1" "$3" && echo '{"version":3,"mappings":"A"}' > "${3%.wasm}.map""#);
    project.good(&["build", "--optimize"], "");
    project.good(&["sourcemap", "-o", "out/a.map"], "");
    let text = fs::read_to_string(project.path("out/a.map")).expect("written");
    let map: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(map["names"], json!([]));
    assert_eq!(map["sources"], json!([]));
    let data = fs::read(project.path("build/index_bg.debug.wasm")).expect("there");
    let module = Module::parse(&data, "companion").expect("a module");
    let mappings = map["mappings"].as_str().expect("mappings");
    // A column without a place ends what the one before it has.
    assert_eq!(mappings.split(',').count(), module.functions.len());
    let (_, at) = call(&module, "middle", "leaf");
    assert_eq!(token(mappings, at as i64), None);
}

#[test]
fn the_source_map_has_the_id_the_sources_and_the_line_of_a_column() {
    let Some(made) = made() else { return };
    let project = Project::new(made);
    project.good(&["build"], "");
    project.good(&["sourcemap", "-o", "out/a.map"], "");
    let text = fs::read_to_string(project.path("out/a.map")).expect("written");
    let map: Value = serde_json::from_str(&text).expect("JSON");
    let data = fs::read(project.path("build/index_bg.debug.wasm")).expect("there");
    let module = Module::parse(&data, "companion").expect("a module");
    assert_eq!(
        map["debug_id"],
        module.build_id().expect("an id").to_string()
    );
    let sources = map["sources"].as_array().expect("sources");
    let own = sources
        .iter()
        .position(|it| it == "src/lib.rs")
        .expect("the source");
    assert_eq!(
        map["sourcesContent"][own].as_str().expect("content").trim(),
        SOURCE.trim()
    );
    assert!(!text.contains(&made.folder.path().display().to_string()));
    let (_, at) = call(&module, "middle", "leaf");
    let found = token(map["mappings"].as_str().expect("mappings"), at as i64);
    assert_eq!(found, Some((own as i64, line_of("inlined") as i64 - 1)));
}

/// Source and line of the last segment at or before a column.
fn token(mappings: &str, column: i64) -> Option<(i64, i64)> {
    const DIGITS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut at, mut source, mut line, mut found) = (0, 0, 0, None);
    for segment in mappings.split(',') {
        let (mut fields, mut value, mut shift) = (Vec::new(), 0i64, 0);
        for digit in segment.chars() {
            let digit = DIGITS.find(digit).expect("a digit") as i64;
            value |= (digit & 31) << shift;
            shift += 5;
            if digit & 32 == 0 {
                fields.push(if value & 1 == 1 {
                    -(value >> 1)
                } else {
                    value >> 1
                });
                (value, shift) = (0, 0);
            }
        }
        at += fields[0];
        if at > column {
            break;
        }
        found = (fields.len() > 1).then(|| {
            source += fields[1];
            line += fields[2];
            (source, line)
        });
    }
    found
}

#[test]
fn upload_hands_over_the_companion_and_never_the_upload() {
    let Some(made) = made() else { return };
    let project = Project::new(made);
    let said = project.bad(&["upload", "--print"], "");
    assert!(said.contains("worker-sentry-symbols build"), "{said}");
    project.good(&["build"], "");
    let companion = Path::new("build")
        .join("index_bg.debug.wasm")
        .display()
        .to_string();
    let printed = project.good(
        &[
            "upload",
            "--print",
            "--sentry-cli",
            "my-cli",
            "--",
            "--org",
            "acme co",
        ],
        "",
    );
    assert_eq!(
        printed,
        format!("my-cli debug-files upload --include-sources --org 'acme co' {companion}\n")
    );
    let said = project.bad(
        &["upload", "--print", "--companion", "build/index_bg.wasm"],
        "",
    );
    assert!(said.contains("--companion"), "{said}");
}

#[test]
fn every_command_explains_itself() {
    let Some(made) = made() else { return };
    let project = Project::new(made);
    for command in ["build", "check", "upload", "resolve", "sourcemap"] {
        let help = project.good(&[command, "--help"], "");
        assert!(
            help.contains("--companion") && help.contains("Usage"),
            "{help}"
        );
    }
}

#[test]
fn the_symbols_name_the_folder_that_was_built_in() {
    let Some(made) = made() else { return };
    let module = Module::parse(&made.data, "m").expect("a module");
    let symbols = Symbols::read(&module, "m").expect("symbols");
    let folder = made.folder.path().canonicalize().expect("a folder");
    assert!(
        symbols.roots().contains(&folder.display().to_string()),
        "{:?}",
        symbols.roots()
    );
}
