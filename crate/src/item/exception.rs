//! An error and the chain of its causes, as Sentry's exceptions.

use std::error::Error;

use super::json::Json;
use super::place::Place;
use super::stack::{self, Frame, Stack};
use super::text::{MAX_VALUE, bounded};
use super::thrown::{self, Described};
use super::type_name::{from_debug, type_name};
use crate::platform::{Look, Runtime};

/// Errors in a chain beyond this one are left out.
pub(crate) const MAX_CHAIN: usize = 32;

/// One error of a chain.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Exception {
    pub(crate) ty: String,
    pub(crate) value: Option<String>,
    pub(crate) stacktrace: Option<Stack>,
    pub(crate) mechanism: Option<Mechanism>,
}

/// How an error was reported, and its position in a group of errors.
/// <https://develop.sentry.dev/sdk/foundations/transport/event-payloads/exception/#exception-mechanism>
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Mechanism {
    pub(crate) ty: &'static str,
    pub(crate) handled: Option<bool>,
    pub(crate) data: Place,
    pub(crate) member: Option<Member>,
}

/// The position of an exception in a group of several, such as an `AggregateError`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Member {
    pub(crate) exception_id: usize,
    pub(crate) parent_id: Option<usize>,
    pub(crate) source: Option<String>,
    pub(crate) is_exception_group: bool,
}

impl Exception {
    /// Writes the mechanism into the open object.
    pub(crate) fn write(&self, json: &mut Json) {
        json.key("type");
        json.value(self.ty.as_str());
        json.maybe("value", self.value.as_deref());
        if let Some(stack) = &self.stacktrace {
            stack.write(json);
        }
        if let Some(mechanism) = &self.mechanism {
            json.key("mechanism");
            json.open("{");
            mechanism.write(json);
            json.plain("}");
        }
    }
}

impl Mechanism {
    fn write(&self, json: &mut Json) {
        json.text("type", self.ty);
        if let Some(handled) = self.handled {
            json.flag("handled", handled);
        }
        let mut names = self.data.names().peekable();
        if names.peek().is_some() {
            json.key("data");
            json.open("{");
            for (key, name) in names {
                json.maybe(key, Some(name));
            }
            json.plain("}");
        }
        if let Some(member) = &self.member {
            json.number("exception_id", member.exception_id as u64);
            if let Some(parent) = member.parent_id {
                json.number("parent_id", parent as u64);
            }
            json.maybe("source", member.source.as_deref());
            if member.is_exception_group {
                json.flag("is_exception_group", true);
            }
        }
    }
}

/// The value to read: an error, a JavaScript value, or a text.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Subject<'s, V> {
    /// An error, with the compiler's name of its type if the type is known.
    Error(&'s (dyn Error + 'static), Option<&'static str>),
    /// A value that JavaScript threw.
    Value(&'s V),
    /// A text that stands for an error.
    Text(&'s str),
}

/// A chain that was read.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Chain {
    /// The outermost error comes first.
    pub(crate) exceptions: Vec<Exception>,
    /// A hash by which this error is recognised when an outer wrapper gets it again.
    pub(crate) identity: u64,
    /// The marks that the platform sets on errors that it throws.
    pub(crate) marks: Vec<&'static str>,
}

/// Reads an error and the chain of its causes.
pub(crate) fn read<R: Runtime>(runtime: &R, subject: Subject<'_, R::Value>) -> Chain {
    let mut reader = Reader {
        runtime,
        chain: Chain::default(),
        seen: Vec::new(),
        members: Vec::new(),
        identity: Identity::new(),
    };
    match subject {
        Subject::Error(error, compiled) => reader.error(error, compiled),
        Subject::Value(value) => reader.value(value, None, None),
        Subject::Text(text) => reader.text(text),
    }
    reader.finish()
}

struct Reader<'r, R: Runtime> {
    runtime: &'r R,
    chain: Chain,
    /// The values that were already read, because a chain of `cause`s can be circular.
    seen: Vec<R::Value>,
    members: Vec<Member>,
    identity: Identity,
}

impl<R: Runtime> Reader<'_, R> {
    fn error(&mut self, error: &(dyn Error + 'static), compiled: Option<&'static str>) {
        let mut next = Some((error, compiled));
        let mut parent = None;
        while let Some((error, compiled)) = next {
            if self.is_full() {
                return;
            }
            // The name, the message, the stack and the causes of a JavaScript value are read
            // directly. Its `Display` would run code of the thrown value, which can throw again.
            if let Some(value) = self.runtime.value_in(error) {
                return self.value(&value, parent, None);
            }
            let exception = match thrown::in_debug(error) {
                Some(described) => self.described(described),
                None => self.plain(error, compiled),
            };
            parent = Some(self.push(exception, parent, None));
            next = error.source().map(|source| (source, None));
        }
    }

    fn plain(
        &mut self,
        error: &(dyn Error + 'static),
        compiled: Option<&'static str>,
    ) -> Exception {
        let text = bounded(MAX_VALUE, format_args!("{error}"));
        // The identity uses the type's name from `Debug`, because that is the same everywhere.
        // The compiler's name is known only where the error was captured.
        self.identity.add(&from_debug(error).unwrap_or_default());
        self.identity.add(&text);
        let (message, frames) = stack::split(&text);
        Exception {
            ty: type_name(error, compiled),
            stacktrace: frames.and_then(stack::parse),
            value: Some(message.to_owned()),
            mechanism: None,
        }
    }

    fn described(&mut self, described: Described) -> Exception {
        self.identity.add(&described.name);
        self.identity.add(&described.message);
        Exception {
            ty: described.name,
            value: Some(described.message),
            stacktrace: described.stack.as_deref().and_then(stack::parse),
            mechanism: None,
        }
    }

    fn value(&mut self, value: &R::Value, parent: Option<usize>, relation: Option<String>) {
        if self.is_full() || self.seen.contains(value) {
            return;
        }
        self.seen.push(value.clone());
        let Look {
            cause,
            errors,
            marks,
            seen,
        } = self.runtime.look(value);
        if parent.is_none() {
            self.chain.marks = marks;
        }
        let exception = self.described(thrown::describe(seen));
        let at = self.push(exception, parent, relation);
        if let Some(cause) = cause {
            self.value(&cause, Some(at), Some("cause".to_owned()));
        }
        self.members[at].is_exception_group = !errors.is_empty();
        for (index, error) in errors.iter().enumerate() {
            self.value(error, Some(at), Some(format!("errors[{index}]")));
        }
    }

    fn text(&mut self, text: &str) {
        let text = bounded(MAX_VALUE, format_args!("{text}"));
        let (message, stack) = stack::split(&text);
        let exception = self.described(Described {
            name: "Error".to_owned(),
            message: message.to_owned(),
            stack: stack.map(str::to_owned),
        });
        self.push(exception, None, None);
    }

    fn is_full(&self) -> bool {
        self.chain.exceptions.len() >= MAX_CHAIN
    }

    fn push(
        &mut self,
        exception: Exception,
        parent_id: Option<usize>,
        source: Option<String>,
    ) -> usize {
        let exception_id = self.chain.exceptions.len();
        self.chain.exceptions.push(exception);
        self.members.push(Member {
            exception_id,
            parent_id,
            source,
            is_exception_group: false,
        });
        exception_id
    }

    fn finish(mut self) -> Chain {
        self.chain.identity = self.identity.0;
        // Ids are written only for a chain with a group. The order of other chains is enough.
        if self.members.iter().any(|member| member.is_exception_group) {
            for (exception, member) in self.chain.exceptions.iter_mut().zip(self.members) {
                exception.mechanism = Some(Mechanism {
                    ty: "chained",
                    member: Some(member),
                    ..Mechanism::default()
                });
            }
        }
        self.chain
    }
}

/// The FNV-1a hash of texts. The hasher of the standard library also resists deliberate
/// collisions, which is not needed here, and its code is larger.
/// <https://datatracker.ietf.org/doc/draft-eastlake-fnv/>
struct Identity(u64);

impl Identity {
    fn new() -> Self {
        Identity(0xcbf2_9ce4_8422_2325)
    }

    /// Adds a text and a byte that marks its end.
    fn add(&mut self, text: &str) {
        for byte in text.bytes().chain([0xff]) {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
}

/// The exception of a panic. A panic has no causes.
pub(crate) fn panic(message: &str, at: Option<Frame>) -> Exception {
    Exception {
        ty: "panic".to_owned(),
        value: Some(bounded(MAX_VALUE, format_args!("{message}"))),
        stacktrace: at.map(|frame| Stack {
            frames: vec![frame],
        }),
        mechanism: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::testing::{Facts, Fake, Holding, Thing};
    use crate::platform::{MARKS, Seen};
    use serde_json::json;
    use std::fmt;

    #[derive(Debug, thiserror::Error)]
    #[error("the list could not be stored")]
    struct Outer(#[source] Holding);

    fn read_error(error: &(dyn Error + 'static)) -> Chain {
        read(&Fake::default(), Subject::Error(error, None))
    }

    fn types(chain: &Chain) -> Vec<(&str, &str)> {
        let exceptions = chain.exceptions.iter();
        exceptions
            .map(|it| (&*it.ty, it.value.as_deref().unwrap_or_default()))
            .collect()
    }

    #[test]
    fn what_javascript_threw_is_read_as_a_value_and_so_are_its_causes() {
        let cause = Thing::error("RangeError", "too many");
        let thrown = Thing::error("TypeError", "no list").caused_by(&cause);
        let chain = read_error(&Outer(Holding(thrown)));
        assert_eq!(
            types(&chain),
            [
                ("Outer", "the list could not be stored"),
                ("TypeError", "no list"),
                ("RangeError", "too many"),
            ]
        );
        assert!(chain.exceptions.iter().all(|it| it.mechanism.is_none()));
    }

    #[test]
    fn a_cause_that_leads_back_to_where_it_started_is_read_once() {
        let thrown = Thing::error("Error", "circle");
        let _ = thrown.clone().caused_by(&thrown);
        assert_eq!(read_error(&Holding(thrown)).exceptions.len(), 1);
    }

    #[test]
    fn the_errors_of_an_aggregate_are_a_group() {
        let inner = Thing::error("TypeError", "second").caused_by(&Thing::error("Error", "why"));
        let errors = [Thing::error("Error", "first"), inner];
        let thrown = Thing::error("AggregateError", "both failed").with_errors(&errors);
        let chain = read_error(&Holding(thrown));
        let members: Vec<_> = chain
            .exceptions
            .iter()
            .map(|it| {
                crate::item::json::written(|json| {
                    json.open("{");
                    it.mechanism.as_ref().expect("a mechanism").write(json);
                    json.plain("}");
                })
            })
            .collect();
        assert_eq!(
            members,
            [
                json!({"type": "chained", "exception_id": 0, "is_exception_group": true}),
                json!({"type": "chained", "exception_id": 1, "parent_id": 0, "source": "errors[0]"}),
                json!({"type": "chained", "exception_id": 2, "parent_id": 0, "source": "errors[1]"}),
                json!({"type": "chained", "exception_id": 3, "parent_id": 2, "source": "cause"}),
            ]
        );
    }

    #[test]
    fn the_platforms_marks_on_the_outermost_value_are_kept() {
        let marked = |marks: &[&'static str]| {
            Thing::of(Facts {
                marks: marks.to_vec(),
                ..Facts::default()
            })
        };
        let outer = marked(&MARKS).caused_by(&marked(&[]));
        assert_eq!(read_error(&Holding(outer)).marks, MARKS);
        let inner = marked(&[]).caused_by(&marked(&MARKS));
        assert_eq!(read_error(&Holding(inner)).marks, [""; 0]);
    }

    #[test]
    fn a_stack_inside_a_message_becomes_frames() {
        let text = "D1_ERROR: no such table\n    at f (index.js:3:14)";
        for chain in [
            read_error(&*Box::<dyn Error>::from(text)),
            read(&Fake::default(), Subject::Text(text)),
            read_error(&Holding(Thing::of(Facts {
                seen: Seen {
                    message: Some(text.to_owned()),
                    ..Seen::default()
                },
                ..Facts::default()
            }))),
        ] {
            assert_eq!(types(&chain), [("Error", "D1_ERROR: no such table")]);
            let stack = chain.exceptions[0].stacktrace.as_ref().expect("a stack");
            assert_eq!(stack.frames[0].function.as_deref(), Some("f"));
        }
    }

    #[derive(Debug)]
    struct Deep(Option<Box<Deep>>);
    impl fmt::Display for Deep {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("deep")
        }
    }
    impl Error for Deep {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            self.0.as_deref().map(|deep| deep as _)
        }
    }

    #[test]
    fn a_chain_is_cut_where_the_outermost_errors_are_kept() {
        let chain = (0..40).fold(Deep(None), |inner, _| Deep(Some(Box::new(inner))));
        assert_eq!(read_error(&chain).exceptions.len(), MAX_CHAIN);
        let wide: Vec<_> = (0..40).map(|_| Thing::error("Error", "one")).collect();
        let wide = Thing::error("AggregateError", "all").with_errors(&wide);
        let chain = read_error(&Holding(wide));
        assert_eq!(chain.exceptions.len(), MAX_CHAIN);
        assert_eq!(chain.exceptions[0].ty, "AggregateError");
    }

    struct Huge;
    impl fmt::Debug for Huge {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("Huge")
        }
    }
    impl fmt::Display for Huge {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            // This loop ends only because the writer returns an error.
            loop {
                f.write_str("äöü ")?;
            }
        }
    }
    impl Error for Huge {}

    #[test]
    fn a_message_without_end_is_cut_and_formatted_no_further() {
        let chain = read_error(&Huge);
        let value = chain.exceptions[0].value.as_deref().expect("a value");
        assert!(value.len() <= MAX_VALUE, "{}", value.len());
        assert!(value.ends_with("..."));
    }

    #[test]
    fn a_display_that_fails_causes_no_panic() {
        #[derive(Debug)]
        struct Broken;
        impl fmt::Display for Broken {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("half")?;
                Err(fmt::Error)
            }
        }
        impl Error for Broken {}
        assert_eq!(types(&read_error(&Broken)), [("Broken", "half...")]);
    }

    #[test]
    fn the_identity_is_that_of_the_chain_and_not_of_what_the_compiler_knew() {
        let error = "x".parse::<u8>().expect_err("not a number");
        let other = "".parse::<u8>().expect_err("empty");
        let known = read(
            &Fake::default(),
            Subject::Error(&error, Some("a::ParseIntError")),
        );
        assert_eq!(read_error(&error).identity, known.identity);
        assert_ne!(read_error(&error).identity, read_error(&other).identity);
    }
}
