//! A WebAssembly module as bytes: its sections, its functions, and the offsets of its
//! instructions.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

use sha2::{Digest, Sha256};
use wasm_encoder::{CustomSection, Encode as _};
use wasmparser::{Encoding, KnownCustom, Name, Operator, Parser, Payload, TypeRef};

use crate::Failure;

/// The custom section that holds the id of a build. Sentry's tools read it.
pub const BUILD_ID: &str = "build_id";

const HEADER: usize = 8;
const CUSTOM: u8 = 0;
const CODE: u8 = 10;

/// A section, as ranges of the module's bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// WebAssembly's number of the section's kind: 0 is a custom section, 10 is the code.
    pub kind: u8,
    /// The name of a custom section.
    pub name: Option<String>,
    /// The whole section, including the byte of its kind.
    pub whole: Range<usize>,
    /// The section's contents, without the kind, the length and a custom section's name.
    pub contents: Range<usize>,
}

impl Section {
    /// Whether this is the custom section of this name.
    pub fn is_custom(&self, name: &str) -> bool {
        self.name.as_deref() == Some(name)
    }

    /// Whether this is one of the custom sections with DWARF.
    pub fn is_dwarf(&self) -> bool {
        self.name
            .as_deref()
            .is_some_and(|it| it.starts_with(".debug_"))
    }
}

/// A function that the module defines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Function {
    /// The function's index in the module. Imported functions are counted too.
    pub index: u32,
    /// The body in the file, without its length: locals, then instructions.
    pub body: Range<usize>,
    /// The offset of each instruction in the file, ascending.
    pub instructions: Vec<usize>,
    /// The offset of each instruction that calls, and the index of the callee if the call is a
    /// direct one.
    pub calls: Vec<(usize, Option<u32>)>,
}

impl Function {
    /// Whether the instruction at this offset of the file is a call.
    pub fn calls_at(&self, offset: usize) -> bool {
        self.calls.binary_search_by_key(&offset, |it| it.0).is_ok()
    }

    /// Whether a stack can have this offset of the file for a frame of the function. It can have
    /// the offset of an instruction, or the start of the body, where V8 detects a stack overflow.
    pub fn is_named_at(&self, offset: usize) -> bool {
        offset == self.body.start || self.instructions.binary_search(&offset).is_ok()
    }
}

/// A module that was read.
#[derive(Debug, Clone)]
pub struct Module<'d> {
    /// The file.
    pub data: &'d [u8],
    /// The sections, in the order of the file. Together with the header of 8 bytes,
    /// they are the whole file.
    pub sections: Vec<Section>,
    /// The contents of the code section.
    pub code: Range<usize>,
    /// The functions that the module defines, in the order of the file.
    pub functions: Vec<Function>,
    /// How many functions the module imports.
    pub imported: u32,
    /// The functions' names in the name section, by index.
    pub names: HashMap<u32, String>,
}

impl<'d> Module<'d> {
    /// Reads a module. `file` is the name of the file for messages.
    ///
    /// Fails if `data` is not a WebAssembly module, or if it is malformed.
    pub fn parse(data: &'d [u8], file: &str) -> Result<Self, Failure> {
        let broken = |error: &dyn std::fmt::Display| {
            Failure::new(
                format!("{file} is not a whole WebAssembly module: {error}"),
                "run worker-build again, or name the module with --wasm",
            )
        };
        let mut module = Module {
            data,
            sections: Vec::new(),
            code: 0..0,
            functions: Vec::new(),
            imported: 0,
            names: HashMap::new(),
        };
        let mut end = HEADER;
        for payload in Parser::new(0).parse_all(data) {
            let payload = payload.map_err(|error| broken(&error))?;
            if let Some((kind, contents)) = payload.as_section() {
                let mut section = Section {
                    kind,
                    name: None,
                    whole: end..contents.end,
                    contents,
                };
                end = section.whole.end;
                if let Payload::CustomSection(custom) = &payload {
                    section.name = Some(custom.name().to_owned());
                    section.contents = custom.data_offset()..end;
                }
                module.sections.push(section);
            }
            module.read(payload).map_err(|error| broken(&error))?;
        }
        if end != data.len() {
            return Err(broken(&"bytes are left over"));
        }
        Ok(module)
    }

    fn read(&mut self, payload: Payload<'_>) -> Result<(), Cow<'static, str>> {
        let said = |error: wasmparser::BinaryReaderError| Cow::Owned(error.to_string());
        match payload {
            Payload::Version { encoding, .. } if encoding != Encoding::Module => {
                return Err("it is a component".into());
            }
            Payload::ImportSection(imports) => {
                for import in imports {
                    if let TypeRef::Func(_) = import.map_err(said)?.ty {
                        self.imported += 1;
                    }
                }
            }
            Payload::CodeSectionStart { range, .. } => self.code = range,
            Payload::CodeSectionEntry(body) => {
                let defined = u32::try_from(self.functions.len()).unwrap_or(u32::MAX);
                let mut function = Function {
                    index: self.imported.saturating_add(defined),
                    body: body.range(),
                    instructions: Vec::new(),
                    calls: Vec::new(),
                };
                let operators = body.get_operators_reader().map_err(said)?;
                for operator in operators.into_iter_with_offsets() {
                    let (operator, at) = operator.map_err(said)?;
                    function.instructions.push(at);
                    match operator {
                        Operator::Call { function_index }
                        | Operator::ReturnCall { function_index } => {
                            function.calls.push((at, Some(function_index)));
                        }
                        Operator::CallIndirect { .. }
                        | Operator::ReturnCallIndirect { .. }
                        | Operator::CallRef { .. }
                        | Operator::ReturnCallRef { .. } => function.calls.push((at, None)),
                        _ => {}
                    }
                }
                self.functions.push(function);
            }
            Payload::CustomSection(custom) => {
                if let KnownCustom::Name(names) = custom.as_known() {
                    // A malformed name section counts as empty, because runtimes accept
                    // it, too.
                    for name in names.into_iter().map_while(Result::ok) {
                        if let Name::Function(map) = name {
                            let named = map.into_iter().map_while(Result::ok);
                            self.names
                                .extend(named.map(|it| (it.index, it.name.to_owned())));
                        }
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// The contents of the custom section of this name. If there are several, the last one.
    pub fn custom(&self, name: &str) -> Option<&'d [u8]> {
        let section = self.sections.iter().rev().find(|it| it.is_custom(name))?;
        self.data.get(section.contents.clone())
    }

    /// The id in the custom section `build_id`.
    pub fn build_id(&self) -> Option<BuildId> {
        let bytes = self.custom(BUILD_ID)?.get(..16)?;
        Some(BuildId(bytes.try_into().ok()?))
    }

    /// Computes the id of this module: the start of the SHA-256 of all sections except custom
    /// ones. So names, DWARF and the id itself do not change the id.
    pub fn computed_id(&self) -> BuildId {
        let mut hash = Sha256::new();
        for section in self.sections.iter().filter(|it| it.kind != CUSTOM) {
            hash.update(&self.data[section.whole.clone()]);
        }
        let hash = hash.finalize();
        let mut id = [0; 16];
        id.copy_from_slice(&hash[..16]);
        BuildId(id)
    }

    /// The function whose body contains this offset of the file.
    pub fn function_at(&self, offset: usize) -> Option<&Function> {
        let after = self.functions.partition_point(|it| it.body.end <= offset);
        self.functions
            .get(after)
            .filter(|it| it.body.contains(&offset))
    }

    /// The custom section before the code, if there is one. Removing it would move the code.
    pub fn custom_before_code(&self) -> Option<&Section> {
        self.sections
            .iter()
            .take_while(|it| it.kind != CODE)
            .find(|it| it.kind == CUSTOM)
    }

    /// Makes a module of the sections for which `keep` returns `true`, byte for byte, followed by
    /// the custom sections `more`.
    ///
    /// ```
    /// # use worker_sentry_symbols::Module;
    /// let module = Module::parse(b"\0asm\x01\0\0\0", "empty.wasm")?;
    /// let named = module.rebuilt(|_| true, &[("note", b"hello")]);
    /// assert_eq!(Module::parse(&named, "named.wasm")?.custom("note"), Some(&b"hello"[..]));
    /// # Ok::<(), worker_sentry_symbols::Failure>(())
    /// ```
    pub fn rebuilt(&self, keep: impl Fn(&Section) -> bool, more: &[(&str, &[u8])]) -> Vec<u8> {
        let mut out = self.data[..HEADER].to_vec();
        for section in self.sections.iter().filter(|it| keep(it)) {
            out.extend_from_slice(&self.data[section.whole.clone()]);
        }
        for (name, data) in more {
            append(&mut out, name, data);
        }
        out
    }
}

fn append(out: &mut Vec<u8>, name: &str, data: &[u8]) {
    let section = CustomSection {
        name: name.into(),
        data: data.into(),
    };
    out.push(CUSTOM);
    section.encode(out);
}

/// The id that two files of the same build share: 16 bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BuildId([u8; 16]);

impl BuildId {
    /// Makes an id from the 16 bytes of the custom section.
    pub fn new(bytes: [u8; 16]) -> Self {
        BuildId(bytes)
    }

    /// The bytes of the custom section.
    pub fn bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// Reads 32 hexadecimal digits, with the hyphens of a UUID or without.
    ///
    /// ```
    /// use worker_sentry_symbols::BuildId;
    /// let id = BuildId::read("00112233-4455-6677-8899-AABBCCDDEEFF").unwrap();
    /// assert_eq!(id.to_string(), "00112233-4455-6677-8899-aabbccddeeff");
    /// assert_eq!(BuildId::read("0011"), None);
    /// ```
    pub fn read(text: &str) -> Option<Self> {
        let mut digits = text.chars().filter(|it| *it != '-');
        let mut id = [0; 16];
        for byte in &mut id {
            let high = digits.next()?.to_digit(16)?;
            let low = digits.next()?.to_digit(16)?;
            *byte = u8::try_from(high * 16 + low).ok()?;
        }
        digits.next().is_none().then_some(BuildId(id))
    }
}

/// Writes the id as a UUID, as Sentry writes a debug id.
impl std::fmt::Display for BuildId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (at, byte) in self.0.iter().enumerate() {
            if matches!(at, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl std::fmt::Debug for BuildId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "BuildId({self})")
    }
}
