//! The programs that `cargo xtask demo` starts, with a drill.

use std::fs;
use std::process::Command;

use book_compiler::rendered::unescaped;
use harness::process::Process;
use harness::{environment, http, wait};

harness::trials![a_drill_shows_its_panics_way_in_the_terminal_and_in_bugsink_with_each_line_right];

const FILE: &str = "listings/src/compilation_coordinator.rs";

/// The stack of the panic, innermost first. Each entry has the function of a frame, the line of the
/// source after which the search begins, and the frame's line. What follows the name of an `async
/// fn` is added by the compiler.
const WAY: [(&str, &str, &str); 3] = [
    (
        "CompilationCoordinator::give_up::{{closure}}",
        "async fn give_up(",
        "assert_eq!(",
    ),
    (
        "CompilationCoordinator::expire::{{closure}}",
        "async fn expire(",
        "Ok(stale) => self.give_up(&key, stale).await?,",
    ),
    (
        "CompilationCoordinator as worker::durable::DurableObject>::alarm::{{closure}}",
        "async fn alarm(",
        "with_sentry_in_isolate(&self.env, \"CompilationCoordinator\", Handler::Alarm, expiry).await?;",
    ),
];

fn a_drill_shows_its_panics_way_in_the_terminal_and_in_bugsink_with_each_line_right() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_demo"));
    command
        .arg("panic/alarm")
        .current_dir(environment::workspace());
    let demo = Process::start("demo", &command);
    demo.wait_for_line("What the Worker says", wait::START);
    let lines = demo.log().lines();
    let source = fs::read_to_string(environment::workspace().join(FILE)).expect("the example");
    let mut printed = lines.iter();
    for (function, after, text) in WAY {
        let mut numbered = source
            .lines()
            .zip(1..)
            .skip_while(|(line, _)| !line.contains(after));
        let (_, number) = numbered
            .find(|(line, _)| line.trim() == text)
            .unwrap_or_else(|| panic!("{FILE} has no `{text}` after `{after}`"));
        let place = format!("{function} ({FILE}:{number})");
        let frame = printed.find(|line| line.contains(&place));
        assert!(frame.is_some(), "no {place} in {lines:#?}");
        let shown = printed.next().map(String::as_str).unwrap_or_default();
        assert_eq!(shown.trim(), format!("{number} | {text}"));
    }
    let page = lines.iter().find_map(|line| {
        let line = line.trim();
        line.contains("/issues/issue/").then_some(line)
    });
    let page = http::request("GET", page.expect("the address of an issue"), &[], "").body;
    let marked: Vec<String> = page.split(MARKED).skip(1).map(line).collect();
    // A source map has one line for each offset, so Bugsink does not know inlined functions.
    let (_, _, panicked) = WAY[0];
    assert!(
        marked.iter().any(|it| it == panicked),
        "no {panicked} in {marked:#?}"
    );
}

/// The text before a frame's own line in Bugsink's page, which also shows the lines around it.
const MARKED: &str = " font-bold w-full\">";

/// The text of a line in Bugsink's page, without its colours.
fn line(html: &str) -> String {
    let end = html.find("</li>").unwrap_or(html.len());
    let parts = html[..end].split('<');
    let texts = parts.filter_map(|part| part.split_once('>').map(|(_, text)| text));
    unescaped(&texts.collect::<String>()).trim().to_owned()
}
