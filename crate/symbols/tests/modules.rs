//! What the tool does with modules that are made here, byte for byte.

mod small;

use proptest::prelude::*;
use small::module;
use tempfile::tempdir;
use wasm_encoder::{Module as Encoder, TypeSection};
use worker_sentry_symbols::{BuildId, Failure, Module, files, split};

fn refused(data: &[u8]) -> Failure {
    split(data, "index_bg.wasm", false).expect_err("it is refused")
}

fn says(failure: &Failure, what: &str, todo: &str) {
    assert!(failure.what().contains(what), "{failure}");
    assert!(failure.todo().contains(todo), "{failure}");
}

#[test]
fn what_is_no_module_is_refused() {
    says(
        &refused(b"not wasm"),
        "not a whole WebAssembly module",
        "--wasm",
    );
    let whole = module(&[], true, &[]);
    says(
        &refused(&whole[..whole.len() - 3]),
        "not a whole",
        "worker-build",
    );
    // A component begins like a module, with another version.
    says(&refused(b"\0asm\x0d\0\x01\0"), "component", "worker-build");
}

#[test]
fn a_module_that_is_split_already_is_refused() {
    let data = module(&[], true, &[("build_id", &[7; 16])]);
    says(&refused(&data), "split already", "worker-build");
}

#[test]
fn a_custom_section_before_the_code_is_refused_by_its_name() {
    let data = module(&["dylink.0"], true, &[(".debug_info", b"")]);
    says(&refused(&data), "`dylink.0`", "wasm32-unknown-unknown");
}

#[test]
fn a_module_without_dwarf_is_refused_with_the_lines_to_add() {
    let failure = refused(&module(&[], true, &[]));
    says(&failure, "no DWARF", "debug = 1");
    says(&failure, "no DWARF", "dwarf-debug-info = true");
}

#[test]
fn a_module_without_names_is_refused() {
    let data = module(&[], false, &[(".debug_info", b"")]);
    says(&refused(&data), "no names", "strip");
}

#[test]
fn dwarf_that_names_no_function_is_refused() {
    let data = module(&[], true, &[(".debug_info", b""), (".debug_line", b"")]);
    says(&refused(&data), "names no function", "line-tables-only");
}

#[test]
fn the_id_is_of_the_code_and_not_of_names_and_dwarf() {
    let id = |data: &[u8]| Module::parse(data, "m").expect("a module").computed_id();
    let bare = module(&[], false, &[]);
    assert_eq!(id(&bare), id(&module(&[], true, &[(".debug_info", b"1")])));
    let changed = {
        let mut out = Encoder::new();
        let mut types = TypeSection::new();
        types.ty().function([], []);
        out.section(&types);
        out.finish()
    };
    assert_ne!(id(&bare), id(&changed));
}

#[test]
fn an_offset_in_the_code_finds_its_function_and_its_calls() {
    let data = module(&[], true, &[]);
    let module = Module::parse(&data, "m").expect("a module");
    let (at, callee) = module.functions[0].calls[0];
    assert_eq!((data[at], callee), (0x10, Some(1)));
    assert_eq!(module.function_at(at).map(|it| it.index), Some(0));
    assert_eq!(module.function_at(0), None);
    assert_eq!(module.function_at(data.len()), None);
}

#[test]
fn the_module_is_found_in_both_layouts_of_worker_build() {
    let folder = tempdir().expect("a folder");
    let (now, before) = (
        folder.path().join("index_bg.wasm"),
        folder.path().join("worker/index.wasm"),
    );
    let failure = files::find_module(folder.path()).expect_err("nothing there");
    says(&failure, "index_bg.wasm", "worker-build --release --no-opt");
    files::write(&before, b"").expect("written");
    assert_eq!(files::find_module(folder.path()), Ok(before.clone()));
    files::write(&now, b"").expect("written");
    files::write(
        &folder.path().join("index.js"),
        b"import './worker/shim.mjs'",
    )
    .expect("written");
    assert_eq!(files::find_module(folder.path()), Ok(before));
    files::write(
        &folder.path().join("index.js"),
        b"import w from './index_bg.wasm'",
    )
    .expect("written");
    assert_eq!(files::find_module(folder.path()), Ok(now));
}

#[test]
fn a_companion_that_wrangler_would_upload_is_refused() {
    let folder = tempdir().expect("a folder");
    let module = folder.path().join("build/index_bg.wasm");
    let companion = files::companion_of(&module);
    assert_eq!(companion, folder.path().join("build/index_bg.debug.wasm"));
    let refuse =
        |companion: &std::path::Path| files::refuse_uploaded(folder.path(), &module, companion);
    assert_eq!(refuse(&companion), Ok(()));
    for (name, text) in [
        ("wrangler.toml", "no_bundle = true"),
        ("wrangler.jsonc", "{ \"find_additional_modules\": true }"),
    ] {
        let file = folder.path().join(name);
        files::write(&file, text.as_bytes()).expect("written");
        says(&refuse(&companion).expect_err(name), name, "--companion");
        let elsewhere = folder.path().join("target/x.wasm");
        assert_eq!(refuse(&elsewhere), Ok(()));
        files::write(&file, b"# no_bundle = true").expect("written");
        assert_eq!(refuse(&companion), Ok(()));
    }
}

fn any_custom() -> impl Strategy<Value = (String, Vec<u8>)> {
    ("[a-z._]{0,12}", prop::collection::vec(any::<u8>(), 0..300))
}

proptest! {
    #[test]
    fn sections_are_the_whole_file_and_come_back_byte_for_byte(
        all in prop::collection::vec(any_custom(), 0..8)
    ) {
        let after: Vec<_> = all.iter().map(|(name, data)| (name.as_str(), data.as_slice())).collect();
        let data = module(&[], true, &after);
        let read = Module::parse(&data, "m").expect("a module");
        let mut end = 8;
        for section in &read.sections {
            prop_assert_eq!(section.whole.start, end);
            end = section.whole.end;
        }
        prop_assert_eq!(end, data.len());
        prop_assert_eq!(&read.rebuilt(|_| true, &[]), &data);
        // What is taken away at the end moves nothing in front of it.
        let bare = read.rebuilt(|it| it.kind != 0, &[("build_id", &[1; 16])]);
        let bare = Module::parse(&bare, "m").expect("a module");
        prop_assert_eq!(&bare.code, &read.code);
        prop_assert_eq!(&bare.data[bare.code.clone()], &data[read.code.clone()]);
        prop_assert_eq!(bare.build_id(), Some(BuildId::new([1; 16])));
        prop_assert_eq!(bare.computed_id(), read.computed_id());
    }

    #[test]
    fn no_bytes_make_it_panic(mut data in prop::collection::vec(any::<u8>(), 0..200), at in 0usize..90, byte: u8) {
        let _ = Module::parse(&data, "m");
        data.splice(0..0, *b"\0asm\x01\0\0\0");
        let _ = split(&data, "m", false);
        let mut changed = module(&[], true, &[(".debug_info", &[0; 9])]);
        let at = at % changed.len();
        changed[at] = byte;
        let _ = split(&changed, "m", false);
    }

    #[test]
    fn an_id_is_read_as_it_is_written(bytes: [u8; 16]) {
        let id = BuildId::new(bytes);
        prop_assert_eq!(BuildId::read(&id.to_string()), Some(id));
        prop_assert_eq!(BuildId::read(&id.to_string().replace('-', "")), Some(id));
        prop_assert_eq!(BuildId::read(&format!("{id}0")), None);
    }
}
