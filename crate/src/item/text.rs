//! Texts of a limited length.

use std::borrow::Cow;
use std::fmt::{self, Write};

/// The longest value of an exception, in bytes. Sentry cuts longer ones.
/// <https://develop.sentry.dev/sdk/foundations/transport/event-payloads/exception/>
pub(crate) const MAX_VALUE: usize = 8_192;
/// Added to the end of a text that was cut.
const MARK: &str = "...";

/// Formats at most `limit` bytes and then stops, so that a message of ten megabytes costs no
/// more than a short one.
pub(crate) fn bounded(limit: usize, arguments: fmt::Arguments<'_>) -> String {
    struct Bounded {
        text: String,
        limit: usize,
    }
    impl Write for Bounded {
        fn write_str(&mut self, part: &str) -> fmt::Result {
            let room = self.limit - self.text.len();
            if part.len() <= room {
                self.text.push_str(part);
                return Ok(());
            }
            self.text.push_str(&part[..part.floor_char_boundary(room)]);
            Err(fmt::Error)
        }
    }
    let mut sink = Bounded {
        text: String::new(),
        limit: limit - MARK.len(),
    };
    let whole = sink.write_fmt(arguments).is_ok();
    let mut text = sink.text;
    // The formatting stopped at the limit, or a `Display` failed midway. In both cases a
    // part of the text is missing.
    if !whole {
        text.push_str(MARK);
    }
    // Some receivers keep events in databases that reject a text with a NUL.
    if text.contains('\0') {
        text = text.replace('\0', " ");
    }
    text
}

/// Cuts a text to at most `limit` bytes. A text that fits is returned without a copy.
pub(crate) fn cut(text: Cow<'static, str>, limit: usize) -> Cow<'static, str> {
    if text.len() <= limit && !text.contains('\0') {
        return text;
    }
    Cow::Owned(bounded(limit, format_args!("{text}")))
}

/// The index at which `part` begins in `text`.
///
/// `str::find` is faster on long texts, but its code is larger than all other code of this
/// module.
pub(crate) fn find(text: &str, part: &str) -> Option<usize> {
    let (text, part) = (text.as_bytes(), part.as_bytes());
    let (first, rest) = part.split_first()?;
    let last = text.len().checked_sub(rest.len())?;
    // At most positions the first byte differs, which saves the call that compares the rest.
    let mut starts = text[..last].iter().enumerate();
    starts.find_map(|(at, byte)| (byte == first && text[at + 1..].starts_with(rest)).then_some(at))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_text_is_cut_between_characters_or_not_at_all(text in "\\PC{0,60}|\0{0,9}", limit in 3..40usize) {
            let short = cut(Cow::Owned(text.clone()), limit);
            prop_assert!(short.len() <= limit);
            let plain = text.replace('\0', " ");
            match short.strip_suffix(MARK) {
                Some(start) if short != plain => {
                    prop_assert!(plain.starts_with(start) && short.len() + 4 > limit);
                }
                _ => prop_assert_eq!(short, plain),
            }
        }

        #[test]
        fn find_is_the_same_as_that_of_str(text in "[ab\n]{0,30}", part in "[ab\n]{1,4}") {
            prop_assert_eq!(find(&text, &part), text.find(&part));
        }

        #[test]
        fn bounded_never_exceeds_its_limit_and_keeps_what_fits(text in "\\PC{0,200}", limit in 3usize..100) {
            let cut = bounded(limit, format_args!("{text}"));
            prop_assert!(cut.len() <= limit);
            if text.len() <= limit - 3 {
                prop_assert_eq!(cut, text);
            }
        }
    }
}
