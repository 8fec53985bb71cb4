//! The name of an error's type, which Sentry shows as the title of an issue.
//!
//! The compiler knows the type of the captured error. The causes are `dyn Error`, so their
//! names are taken from their `Debug` text. A text that may not be a name is left out, because
//! a `Debug` that the application has written may begin with data.

use std::error::Error;

use super::text::bounded;

/// The name if no other is known.
const UNKNOWN: &str = "Error";
/// The longest name, in bytes. Longer names are cut.
const MAX_NAME: usize = 128;

/// The name of a type and, for an enum, of its variant: `RouteError::UnknownList`.
pub(crate) fn type_name(error: &(dyn Error + 'static), compiled: Option<&'static str>) -> String {
    let variant = from_debug(error);
    let Some(compiled) = compiled else {
        return variant.unwrap_or_else(|| UNKNOWN.to_owned());
    };
    let name = short(compiled);
    match variant {
        // A struct's `Debug` begins with the name of the struct.
        Some(variant) if !name.ends_with(&variant) && !name.contains('<') => {
            bounded(MAX_NAME, format_args!("{name}::{variant}"))
        }
        _ => name,
    }
}

/// The name at the start of a derived `Debug` text: of a struct, or of an enum's variant.
///
/// A derived `Debug` writes `Name`, `Name(…` or `Name { …`. If `Debug` writes the same text as
/// `Display`, it was not derived, and its first word is data.
pub(crate) fn from_debug(error: &(dyn Error + 'static)) -> Option<String> {
    let debug = bounded(MAX_NAME, format_args!("{error:?}"));
    let end = debug
        .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .unwrap_or(debug.len());
    let (name, rest) = debug.split_at(end);
    let is_type = name.starts_with(|c: char| c.is_ascii_uppercase())
        && (rest.is_empty() || rest.starts_with('(') || rest.starts_with(" {"));
    if !is_type || debug == bounded(MAX_NAME, format_args!("{error}")) {
        return None;
    }
    Some(name.to_owned())
}

/// A type's name without its modules: `Wrapper<Inner>`.
///
/// A type with the name `Error` keeps the module before it: `worker::Error`.
pub(crate) fn short(compiled: &str) -> String {
    let mut name = String::new();
    let mut rest = compiled;
    while !rest.is_empty() {
        let is_part = |c: char| c.is_alphanumeric() || matches!(c, '_' | ':');
        let end = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
        let (path, tail) = rest.split_at(end);
        push_last_segment(&mut name, path);
        let end = tail.find(is_part).unwrap_or(tail.len());
        let (between, next) = tail.split_at(end);
        name.push_str(between);
        rest = next;
    }
    bounded(MAX_NAME, format_args!("{name}"))
}

/// Appends the last segment of a path, and for `Error` also the module before it.
fn push_last_segment(to: &mut String, path: &str) {
    let (modules, name) = path.rsplit_once(':').unwrap_or(("", path));
    if name == UNKNOWN {
        // `std::io::error::Error` is commonly called `io::Error`.
        let modules = modules.trim_end_matches(':');
        let modules = modules.strip_suffix("::error").unwrap_or(modules);
        let module = modules.rsplit_once(':').map_or(modules, |(_, last)| last);
        to.push_str(module);
        if !module.is_empty() {
            to.push_str("::");
        }
    }
    to.push_str(name);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::fmt;

    #[derive(Debug, thiserror::Error)]
    #[error("no list is called {0}")]
    struct UnknownList(String);

    #[derive(Debug, thiserror::Error)]
    enum RouteError {
        #[error("no route")]
        NotFound,
        #[error("the list {name} is cold")]
        Cold { name: String },
    }

    #[derive(Debug, thiserror::Error)]
    #[error("wrapped")]
    struct Wrapper<T: fmt::Debug>(T);

    fn named<E: Error + 'static>(error: &E) -> String {
        type_name(error, Some(std::any::type_name::<E>()))
    }

    #[test]
    fn the_compilers_name_is_preferred_and_a_variant_follows_it() {
        assert_eq!(named(&UnknownList("easy".to_owned())), "UnknownList");
        assert_eq!(named(&RouteError::NotFound), "RouteError::NotFound");
        let cold = RouteError::Cold {
            name: "easy".to_owned(),
        };
        assert_eq!(named(&cold), "RouteError::Cold");
        assert_eq!(named(&Wrapper(7u8)), "Wrapper<u8>");
        assert_eq!(named(&Wrapper(cold)), "Wrapper<RouteError>");
        let number = "x".parse::<u8>().expect_err("not a number");
        assert_eq!(named(&number), "ParseIntError");
    }

    #[test]
    fn a_cause_has_the_name_that_a_derived_debug_begins_with() {
        assert_eq!(type_name(&RouteError::NotFound, None), "NotFound");
        assert_eq!(type_name(&UnknownList("x".to_owned()), None), "UnknownList");
    }

    /// An error whose `Debug` and `Display` both write its text.
    struct Text(&'static str);
    impl fmt::Debug for Text {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }
    }
    impl fmt::Display for Text {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }
    }
    impl Error for Text {}

    #[test]
    fn no_data_becomes_a_type() {
        for text in [
            "alice was not found",
            "Alice was not found",
            "Alice",
            "Alice(7)",
            "alice",
            "_alice",
            "7 lists",
            "\"quoted\"",
            "Ålice(1)",
            "a:b",
            "",
        ] {
            assert_eq!(type_name(&Text(text), None), "Error", "{text}");
            assert_eq!(named(&Text(text)), "Text", "{text}");
        }
        let boxed: Box<dyn Error> = "just text".into();
        assert_eq!(type_name(&*boxed, None), "Error");
    }

    #[test]
    fn a_type_that_is_called_error_keeps_the_module_it_is_known_by() {
        assert_eq!(short("worker::error::Error"), "worker::Error");
        assert_eq!(short("std::io::error::Error"), "io::Error");
        assert_eq!(short("app::Error"), "app::Error");
        assert_eq!(short("Error"), "Error");
        assert_eq!(
            short("app::Wrapper<alloc::boxed::Box<app::list::Cold>>"),
            "Wrapper<Box<Cold>>"
        );
    }

    proptest! {
        #[test]
        fn every_name_of_the_compilers_is_shortened(name in "\\PC{0,200}|[a-z:<>, &]{0,200}") {
            prop_assert!(short(&name).len() <= MAX_NAME);
        }
    }
}
