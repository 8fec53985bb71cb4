//! A small module, made byte for byte. The fuzzers' package begins with it, too.

use wasm_encoder::{
    CodeSection, CustomSection, Function, FunctionSection, Instruction, Module as Encoder, NameMap,
    NameSection, TypeSection,
};

/// A module of two functions, of which the first calls the second: with custom sections before
/// and after the code, and with its names or without.
pub(crate) fn module(before: &[&str], named: bool, after: &[(&str, &[u8])]) -> Vec<u8> {
    let mut out = Encoder::new();
    for name in before {
        out.section(&custom(name, b"x"));
    }
    let mut types = TypeSection::new();
    types.ty().function([], []);
    out.section(&types);
    let mut functions = FunctionSection::new();
    functions.function(0).function(0);
    out.section(&functions);
    let mut code = CodeSection::new();
    for body in [
        &[Instruction::Call(1), Instruction::End][..],
        &[Instruction::End],
    ] {
        let mut function = Function::new([]);
        body.iter().for_each(|it| {
            function.instruction(it);
        });
        code.function(&function);
    }
    out.section(&code);
    if named {
        let mut map = NameMap::new();
        map.append(0, "_ZN3app5outer17h0123456789abcdefE");
        map.append(1, "_ZN3app5inner17h0123456789abcdefE");
        let mut names = NameSection::new();
        names.functions(&map);
        out.section(&names);
    }
    for (name, data) in after {
        out.section(&custom(name, data));
    }
    out.finish()
}

/// A custom section.
pub(crate) fn custom<'c>(name: &'c str, data: &'c [u8]) -> CustomSection<'c> {
    CustomSection {
        name: name.into(),
        data: data.into(),
    }
}
