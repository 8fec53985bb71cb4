//! The cost of each way to build a Worker, and the quality of its stacks, measured on the example.

use std::fs;
use std::process::Command;

use bench_page::number;
use harness::{environment, run, shown};
use worker_sentry_symbols::{BUILD_ID, Checked, FEATURES, Module, check, compressed, split};

use crate::stacks;

const PAGE: &str = "src/stack-traces.md";
/// The tolerance. The example's own changes, and another machine's paths in messages of panics, are
/// smaller.
const SHARE: f64 = 0.03;

harness::trials![the_page_says_what_each_way_to_build_costs_and_buys];

fn the_page_says_what_each_way_to_build_costs_and_buys() {
    let data = stacks::example_companion();
    let companion = Module::parse(&data, "companion").expect("a module");
    let plain = Way::split_of(&companion.rebuilt(|it| !it.is_custom(BUILD_ID), &[]));
    let optimized = Way::split_of(&stacks::example_optimized().data);
    let alone = alone(&companion);
    let bytes = |size: usize| format!("{} bytes", number(size as f64));
    let row = |what: &str, cells: [String; 3]| format!("| {what} | {} |\n", cells.join(" | "));
    let ways = [&plain, &optimized];
    let of_both = |first: &str, cell: &dyn Fn(&Way) -> String| {
        let [plain, optimized] = ways.map(cell);
        [first.to_owned(), plain, optimized]
    };
    let with_line = |way: &Way| {
        let share = 100.0 * way.checked.exact as f64 / way.checked.calls as f64;
        format!("{share:.1} %")
    };
    let table = [
        "| The example | `worker-build` alone | with the program | with `--optimize` |\n\
         | --- | --- | --- | --- |\n"
            .to_owned(),
        row(
            "`index_bg.wasm`",
            of_both(&bytes(alone.len()), &|it| bytes(it.upload.len())),
        ),
        row(
            "the same, compressed",
            of_both(&bytes(compressed(&alone)), &|it| {
                bytes(compressed(&it.upload))
            }),
        ),
        row("companion", of_both("none", &|it| bytes(it.companion))),
        row(
            "calls with function, file and line",
            of_both("none", &with_line),
        ),
    ]
    .concat();
    // The upload is what each start of an isolate costs.
    assert!(compressed(&plain.upload) * 10 < compressed(&alone) * 9);
    shown::compare(PAGE, "tiers", &table, SHARE);
}

/// A way to build with a companion.
struct Way {
    upload: Vec<u8>,
    companion: usize,
    checked: Checked,
}

impl Way {
    fn split_of(module: &[u8]) -> Self {
        let parts = split(module, "the module", false).unwrap_or_else(|it| panic!("{it}"));
        let parsed = |data| Module::parse(data, "a module").expect("a module");
        let (debug, bare) = (parsed(&parts.companion), parsed(&parts.upload));
        let checked = check((&debug, "companion"), (&bare, "upload"));
        let checked = checked.unwrap_or_else(|it| panic!("{it}"));
        Way {
            companion: parts.companion.len(),
            checked,
            upload: parts.upload,
        }
    }
}

/// The module of the example without the program: worker-build runs wasm-opt and keeps the names of
/// functions.
fn alone(companion: &Module<'_>) -> Vec<u8> {
    let named = companion.rebuilt(|it| !it.is_dwarf() && !it.is_custom(BUILD_ID), &[]);
    let folder = run::new_directory("tiers");
    let [before, after] = ["before.wasm", "after.wasm"].map(|file| folder.join(file));
    fs::write(&before, named).expect("written");
    let mut command = Command::new(environment::path("PROOF_NODE"));
    command
        .arg(environment::path("PROOF_NPM").join("binaryen/bin/wasm-opt"))
        .args(["-Os", "--debuginfo", "-o"])
        .args([&after, &before])
        .args(FEATURES);
    let status = command.status().expect("wasm-opt starts");
    assert!(status.success(), "{status}");
    fs::read(after).expect("what wasm-opt wrote")
}
