//! Ids of traces, spans and events: bytes that are not all zero, written as lower-case
//! hexadecimal digits.

use core::fmt;

use serde::{Serialize, Serializer};

use super::sha1::sha1;

/// An id of `N` bytes, 16 at most. At least one byte is not zero, because an id of zeros is
/// invalid for W3C and Sentry, and Relay rejects a transaction with such an id.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Id<const N: usize>([u8; N]);

/// The id of a trace.
pub(crate) type TraceId = Id<16>;
/// The id of a span.
pub(crate) type SpanId = Id<8>;

const DIGITS: &[u8; 16] = b"0123456789abcdef";

impl<const N: usize> Id<N> {
    /// The id with these bytes. `None` if all of them are zero.
    pub(crate) fn new(bytes: [u8; N]) -> Option<Self> {
        bytes.iter().any(|byte| *byte != 0).then_some(Id(bytes))
    }

    /// An id from random bytes. All zeros become the id that ends in 1.
    pub(crate) fn random(mut bytes: [u8; N]) -> Self {
        if bytes.iter().all(|byte| *byte == 0)
            && let Some(last) = bytes.last_mut()
        {
            *last = 1;
        }
        Id(bytes)
    }

    /// Reads exactly `2 * N` lower-case digits. The headers allow no upper case:
    /// <https://www.w3.org/TR/trace-context/#trace-id>
    pub(crate) fn read(text: &str) -> Option<Self> {
        read_hex(text.as_bytes()).and_then(Self::new)
    }

    /// The bytes.
    pub(crate) fn bytes(&self) -> &[u8; N] {
        &self.0
    }

    /// The id as text, without an allocation.
    pub(crate) fn with_text<R>(&self, use_text: impl FnOnce(&str) -> R) -> R {
        use_text(hex(&self.0, &mut [0; 32]))
    }

    /// Appends the id's text.
    pub(crate) fn write(&self, to: &mut String) {
        self.with_text(|text| to.push_str(text));
    }
}

/// Bytes as lower-case hexadecimal digits, 16 bytes at most.
pub(crate) fn hex<'t>(bytes: &[u8], text: &'t mut [u8; 32]) -> &'t str {
    for (byte, pair) in bytes.iter().zip(text.chunks_exact_mut(2)) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
    let digits = text.get(..2 * bytes.len()).unwrap_or_default();
    core::str::from_utf8(digits).unwrap_or_default()
}

impl TraceId {
    /// The trace id of an instance of a Workflow whose creator passed no trace: the
    /// instance's id without its dashes if it is a UUID, or else the first 16 bytes of its SHA-1.
    ///
    /// The same instance gives the same id, so all replays are in one trace.
    pub(crate) fn of_instance(instance: &str) -> Self {
        if let Some(id) = read_uuid(instance) {
            return id;
        }
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&sha1(instance.as_bytes())[..16]);
        Id::random(bytes)
    }

    /// The last four digits as a number from 0 to 65,535.
    pub(crate) fn last_four_digits(&self) -> u16 {
        u16::from_be_bytes([self.0[14], self.0[15]])
    }

    /// The last eight digits as a number. They are random in every common kind of trace id; the
    /// first digits may be a time.
    pub(crate) fn last_eight_digits(&self) -> u32 {
        u32::from_be_bytes([self.0[12], self.0[13], self.0[14], self.0[15]])
    }
}

impl SpanId {
    /// The span id of a Workflow's `run`: the last eight bytes of the SHA-1 of the
    /// instance's id. It is the same in each replay.
    pub(crate) fn of_instance(instance: &str) -> Self {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&sha1(instance.as_bytes())[12..]);
        Id::random(bytes)
    }
}

impl<const N: usize> Serialize for Id<N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.with_text(|text| serializer.serialize_str(text))
    }
}

impl<const N: usize> fmt::Debug for Id<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.with_text(|text| f.write_str(text))
    }
}

fn read_hex<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    if text.len() != 2 * N {
        return None;
    }
    let mut bytes = [0; N];
    for (pair, byte) in text.chunks_exact(2).zip(&mut bytes) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

/// The value of one lower-case hexadecimal digit.
pub(crate) fn digit(of: u8) -> Option<u8> {
    match of {
        b'0'..=b'9' => Some(of - b'0'),
        b'a'..=b'f' => Some(of - b'a' + 10),
        _ => None,
    }
}

/// Reads `8-4-4-4-12` hexadecimal digits of either case.
fn read_uuid(text: &str) -> Option<TraceId> {
    if text.len() != 36 {
        return None;
    }
    let mut digits = [0; 32];
    let mut rest = digits.iter_mut();
    for (at, byte) in text.bytes().enumerate() {
        match (at, byte) {
            (8 | 13 | 18 | 23, b'-') => {}
            (8 | 13 | 18 | 23, _) => return None,
            _ => *rest.next()? = byte.to_ascii_lowercase(),
        }
    }
    read_hex(&digits).and_then(Id::new)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_id_is_exactly_so_many_lower_case_digits_and_not_all_zero() {
        let text = "0123456789abcdef0123456789abcdef";
        let id = TraceId::read(text).expect("an id");
        assert_eq!(format!("{id:?}"), text);
        assert_eq!(serde_json::json!(id), text);
        assert_eq!(id.bytes()[..2], [0x01, 0x23]);
        for refused in [
            "",
            "0123456789abcdef0123456789abcde",
            "0123456789abcdef0123456789abcdef0",
            "0123456789ABCDEF0123456789ABCDEF",
            "0123456789abcdeg0123456789abcdef",
            "00000000000000000000000000000000",
            "éééééééééééééééé",
        ] {
            assert_eq!(TraceId::read(refused), None, "{refused:?}");
        }
        assert_eq!(SpanId::read("0000000000000000"), None);
        assert!(SpanId::read("00f067aa0ba902b7").is_some());
    }

    #[test]
    fn a_random_id_of_zeros_only_is_an_id_nevertheless() {
        assert_eq!(format!("{:?}", SpanId::random([0; 8])), "0000000000000001");
    }

    #[test]
    fn an_instances_trace_id_is_its_uuid_or_its_sha_1() {
        for (instance, id) in [
            (
                "4F0b5bd4-6c5d-4b3c-9f24-0c37c7f0d1aE",
                "4f0b5bd46c5d4b3c9f240c37c7f0d1ae",
            ),
            ("ae0ee067", "0d2b6d1743ce6d53af4f5ee416ad5d1b"),
            ("", "da39a3ee5e6b4b0d3255bfef95601890"),
            (
                "00000000-0000-0000-0000-000000000000",
                "b602d594afd2b0b327e07a06f36ca6a7",
            ),
            // The dashes are in other positions than those of a UUID.
            (
                "4f0b5bd46-c5d-4b3c-9f24-0c37c7f0d1ae",
                "a600517527b2e7a11c139c1168a78ff3",
            ),
        ] {
            let made = format!("{:?}", TraceId::of_instance(instance));
            assert_eq!(made, id, "{instance:?}");
        }
    }

    proptest! {
        #[test]
        fn an_id_that_is_written_is_read_back(bytes in any::<[u8; 16]>(), short in any::<[u8; 8]>()) {
            let id = TraceId::random(bytes);
            prop_assert_eq!(TraceId::read(&format!("{id:?}")), Some(id));
            let id = SpanId::random(short);
            let mut text = String::new();
            id.write(&mut text);
            prop_assert_eq!(SpanId::read(&text), Some(id));
        }

        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,40}|[0-9a-f-]{30,40}") {
            let _ = TraceId::read(&text);
            let id = TraceId::of_instance(&text);
            prop_assert_eq!(TraceId::of_instance(&text), id);
        }
    }
}
