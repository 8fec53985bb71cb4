//! The header `baggage`: entries of several vendors. Sentry's entries begin with `sentry-`.
//!
//! <https://develop.sentry.dev/sdk/foundations/trace-propagation/dynamic-sampling-context/#baggage-header>
//! and <https://www.w3.org/TR/baggage/>

use std::borrow::Cow;

/// The header's name.
pub(crate) const NAME: &str = "baggage";
/// The largest header, in bytes. <https://www.w3.org/TR/baggage/#limits>
pub(crate) const MAX_BYTES: usize = 8_192;

const PREFIX: &str = "sentry-";

/// How many bytes a trace may add to one message of a queue, and to all messages of a batch. A
/// queue accepts 128 KB for a message and 256 KB at once.
/// <https://developers.cloudflare.com/queues/platform/limits/>
#[cfg(any(test, feature = "queue"))]
const MAX_MESSAGE: usize = 1_200;
#[cfg(any(test, feature = "queue"))]
const MAX_BATCH: usize = 65_536;
/// How many bytes a trace adds without its baggage: 51 bytes of ids, and the JSON around them.
#[cfg(any(test, feature = "queue"))]
const BESIDE: usize = 101;

/// The most bytes of baggage for each message, if this many messages are sent together.
#[cfg(any(test, feature = "queue"))]
pub(crate) fn room(messages: usize) -> usize {
    let each = MAX_BATCH / messages.max(1);
    each.min(MAX_MESSAGE).saturating_sub(BESIDE)
}

/// The entries that Sentry specifies, the most important ones first.
#[cfg(any(test, feature = "queue"))]
const KNOWN: [&str; 9] = [
    "trace_id",
    "public_key",
    "sampled",
    "sample_rand",
    "sample_rate",
    "org_id",
    "environment",
    "release",
    "transaction",
];

/// Limits Sentry's entries to `max` bytes. Entries that fit are returned unchanged. Otherwise
/// the entries that Sentry specifies come first, then others as long as there is room. An entry
/// that does not fit is left out; no entry is cut.
#[cfg(any(test, feature = "queue"))]
pub(crate) fn bounded(ours: String, max: usize) -> String {
    if ours.len() <= max {
        return ours;
    }
    let mut kept = String::new();
    for known in KNOWN {
        for entry in entries(&ours).filter(|entry| key(entry) == Some(known)) {
            append(&mut kept, entry, max);
        }
    }
    let is_known = |entry: &&str| key(entry).is_some_and(|key| KNOWN.contains(&key));
    for entry in entries(&ours).filter(|entry| !is_known(entry)) {
        append(&mut kept, entry, max);
    }
    kept
}

/// The key of one of Sentry's entries, without `sentry-`.
#[cfg(any(test, feature = "queue"))]
fn key(entry: &str) -> Option<&str> {
    let entry = entry.strip_prefix(PREFIX)?;
    Some(entry.split_once('=').map_or(entry, |(key, _)| key).trim())
}

/// The entries of a header, without blanks around them.
fn entries(value: &str) -> impl Iterator<Item = &str> {
    value
        .split(',')
        .map(str::trim)
        .filter(|one| !one.is_empty())
}

/// Sentry's entries without a change, joined by commas. Entries beyond the limit of the
/// header are left out.
pub(crate) fn sentry_entries(value: &str) -> String {
    let mut ours = String::new();
    for entry in entries(value).filter(|entry| entry.starts_with(PREFIX)) {
        append(&mut ours, entry, MAX_BYTES);
    }
    ours
}

/// The keys, without `sentry-`, and the encoded values of Sentry's entries, in their order.
/// [`decode`] decodes a value. An entry without `=` is left out, because it has no value.
pub(crate) fn pairs(value: &str) -> impl Iterator<Item = (&str, &str)> {
    entries(value).filter_map(|entry| {
        let (key, value) = entry.strip_prefix(PREFIX)?.split_once('=')?;
        // The properties of an entry follow after a semicolon.
        let value = value.split(';').next().unwrap_or_default();
        Some((key.trim(), value.trim()))
    })
}

/// Appends one of Sentry's entries, if it fits.
pub(crate) fn push(to: &mut String, key: &str, value: &str) {
    let before = to.len();
    if before > 0 {
        to.push(',');
    }
    to.push_str(PREFIX);
    to.push_str(key);
    to.push('=');
    encode(to, value);
    if to.len() > MAX_BYTES {
        to.truncate(before);
    }
}

/// A request's header with our entries added. `None` if the header must not change: if it
/// already has entries of Sentry, if there are no entries to add, or if none fits.
pub(crate) fn join(existing: Option<&str>, ours: &str) -> Option<String> {
    let existing = existing.unwrap_or_default().trim();
    if entries(existing).any(|entry| entry.starts_with(PREFIX)) {
        return None;
    }
    let mut joined = String::from(existing);
    for entry in entries(ours) {
        append(&mut joined, entry, MAX_BYTES);
    }
    (joined.len() > existing.len()).then_some(joined)
}

/// Appends an entry, if the text then has at most `max` bytes.
fn append(to: &mut String, entry: &str, max: usize) {
    let comma = usize::from(!to.is_empty());
    if to.len() + comma + entry.len() <= max {
        if comma == 1 {
            to.push(',');
        }
        to.push_str(entry);
    }
}

const UPPER: &[u8; 16] = b"0123456789ABCDEF";

/// Percent-encodes the same characters as JavaScript's `encodeURIComponent`.
fn encode(to: &mut String, text: &str) {
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' => to.push(char::from(byte)),
            b'-' | b'_' | b'.' | b'!' | b'~' | b'*' | b'\'' | b'(' | b')' => {
                to.push(char::from(byte));
            }
            _ => {
                to.push('%');
                to.push(char::from(UPPER[usize::from(byte >> 4)]));
                to.push(char::from(UPPER[usize::from(byte & 15)]));
            }
        }
    }
}

/// Decodes percent-encoding. Malformed codes are not changed.
pub(crate) fn decode(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    let hex = |byte: Option<&u8>| super::ids::digit(byte?.to_ascii_lowercase());
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        at += 1;
        match (byte, hex(bytes.get(at)), hex(bytes.get(at + 1))) {
            (b'%', Some(high), Some(low)) => {
                decoded.push(high << 4 | low);
                at += 2;
            }
            _ => decoded.push(*byte),
        }
    }
    match String::from_utf8(decoded) {
        Ok(text) => Cow::Owned(text),
        Err(_) => Cow::Borrowed(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The example of Sentry's specification:
    /// <https://develop.sentry.dev/sdk/foundations/trace-propagation/dynamic-sampling-context/#baggage-header>
    const EXAMPLE: &str = "other-vendor-value-1=foo;bar;baz, \
        sentry-trace_id=771a43a4192642f0b136d5159a501700, \
        sentry-public_key=49d0f7386ad645858ae85020e393bef3, sentry-sample_rate=0.01337, \
        sentry-user_id=Am%C3%A9lie, other-vendor-value-2=foo;bar;";

    fn read(value: &str) -> Vec<(String, String)> {
        let owned = |(key, value): (&str, &str)| (key.to_owned(), decode(value).into_owned());
        pairs(value).map(owned).collect()
    }

    #[test]
    fn sentrys_entries_are_split_from_the_others_and_decoded() {
        let pairs = read(EXAMPLE);
        let expected = [
            ("trace_id", "771a43a4192642f0b136d5159a501700"),
            ("public_key", "49d0f7386ad645858ae85020e393bef3"),
            ("sample_rate", "0.01337"),
            ("user_id", "Amélie"),
        ];
        assert_eq!(
            pairs,
            expected.map(|(key, value)| (key.to_owned(), value.to_owned()))
        );
    }

    #[test]
    fn sentrys_entries_are_kept_as_text_in_their_order_unknown_ones_too() {
        assert_eq!(
            sentry_entries(EXAMPLE),
            "sentry-trace_id=771a43a4192642f0b136d5159a501700,\
             sentry-public_key=49d0f7386ad645858ae85020e393bef3,sentry-sample_rate=0.01337,\
             sentry-user_id=Am%C3%A9lie"
        );
        let odd = "sentry-new=%zz%2c;p=1,sentry-sample_rate=0.10,sentry-flag";
        assert_eq!(sentry_entries(odd), odd);
        assert_eq!(sentry_entries("a=b, my-sentry-x=1,Sentry-y=2"), "");
    }

    #[test]
    fn values_that_are_encoded_badly_do_no_harm() {
        for (value, read_as) in [
            ("sentry-a=%", "%"),
            ("sentry-a=%4", "%4"),
            ("sentry-a=%zz", "%zz"),
            ("sentry-a=%ff", "%ff"),
            ("sentry-a=%C3%A9", "é"),
            ("sentry-a=%c3%a9", "é"),
            ("sentry-a = b ", "b"),
            ("sentry-a=b;c=d", "b"),
            ("sentry-a=b=c", "b=c"),
            ("sentry-a=", ""),
        ] {
            assert_eq!(
                read(value),
                [("a".to_owned(), read_as.to_owned())],
                "{value}"
            );
        }
        assert_eq!(read("sentry-a,,=,a=b"), []);
    }

    #[test]
    fn ours_are_appended_to_those_of_others_and_never_to_sentrys() {
        let ours = "sentry-trace_id=1,sentry-release=r";
        for (existing, joined) in [
            (None, Some("sentry-trace_id=1,sentry-release=r")),
            (Some(""), Some("sentry-trace_id=1,sentry-release=r")),
            (
                Some("a=b;c"),
                Some("a=b;c,sentry-trace_id=1,sentry-release=r"),
            ),
            (
                Some(" a=b , c=d "),
                Some("a=b , c=d,sentry-trace_id=1,sentry-release=r"),
            ),
            (Some("sentry-trace_id=2"), None),
            (Some("a=b,  sentry-x"), None),
        ] {
            assert_eq!(join(existing, ours).as_deref(), joined, "{existing:?}");
        }
        assert_eq!(join(Some("a=b"), ""), None);
        assert_eq!(join(None, ""), None);
    }

    #[test]
    fn a_header_that_is_full_takes_what_fits() {
        let full = format!("a={}", "x".repeat(MAX_BYTES - 2));
        assert_eq!(join(Some(&full), "sentry-a=b"), None);
        let nearly = &full[..MAX_BYTES - 11];
        let joined = join(Some(nearly), "sentry-a=bc,sentry-a=b").expect("one that fits");
        assert_eq!(joined.len(), MAX_BYTES);
        assert!(joined.ends_with("x,sentry-a=b"));
    }

    #[test]
    fn a_trace_adds_1_200_bytes_to_a_message_at_most_and_64_kb_to_a_batch() {
        for (messages, bytes) in [
            (0, 1_099),
            (1, 1_099),
            (54, 1_099),
            (55, 1_090),
            (100, 554),
            (648, 0),
            (100_000, 0),
        ] {
            assert_eq!(room(messages), bytes, "{messages}");
        }
        for messages in 1..=100 {
            assert!(messages * (room(messages) + BESIDE) <= MAX_BATCH);
        }
        let ids = "771a43a4192642f0b136d5159a501700-b0e6f15b45c36b12-1".len();
        let least = r#","__sentry_trace":{"sentry-trace":"","baggage":""}"#.len();
        assert_eq!(ids + least, BESIDE);
    }

    #[test]
    fn what_does_not_fit_is_left_out_whole_and_what_sentry_does_not_specify_first() {
        let ours = "sentry-new=1,sentry-release=r,sentry-trace_id=t,sentry-sampled=true,\
                    sentry-flag,sentry-public_key=k";
        let known = "sentry-trace_id=t,sentry-public_key=k,sentry-sampled=true,sentry-release=r";
        for (max, kept) in [
            (ours.len(), ours.to_owned()),
            (ours.len() - 1, format!("{known},sentry-new=1")),
            (known.len() + 12, format!("{known},sentry-flag")),
            (known.len() + 11, known.to_owned()),
            (known.len(), known.to_owned()),
            (known.len() - 1, format!("{},sentry-new=1", &known[..57])),
            (17, "sentry-trace_id=t".to_owned()),
            (16, "sentry-release=r".to_owned()),
            (0, String::new()),
        ] {
            assert_eq!(bounded(ours.to_owned(), max), kept, "{max}");
        }
    }

    #[test]
    fn one_entry_that_is_too_long_takes_no_other_one_along() {
        let long = format!("sentry-transaction={}", "x".repeat(8_000));
        let all = format!("sentry-trace_id=t,{long},sentry-public_key=k,sentry-sampled=true");
        let kept = "sentry-trace_id=t,sentry-public_key=k,sentry-sampled=true";
        assert_eq!(bounded(all, room(1)), kept);
    }

    proptest! {
        #[test]
        fn what_is_kept_fits_and_each_entry_is_whole(
            ours in prop::collection::vec("sentry-[a-z_]{1,9}(=[a-z%0-9]{0,300})?", 0..12),
            max in 0..1_500usize,
        ) {
            let kept = bounded(ours.join(","), max);
            prop_assert!(kept.len() <= max);
            prop_assert!(entries(&kept).all(|entry| ours.iter().any(|it| it == entry)));
        }

        #[test]
        fn any_text_survives_the_way_through_a_header(
            values in prop::collection::vec(".{0,40}", 0..8),
            foreign in prop::option::of("[a-z]{1,8}=[a-z;]{0,8}"),
        ) {
            let mut ours = String::new();
            for (at, value) in values.iter().enumerate() {
                push(&mut ours, &format!("k{at}"), value);
            }
            prop_assert!(ours.bytes().all(|byte| byte.is_ascii_graphic()));
            let header = join(foreign.as_deref(), &ours).unwrap_or_default();
            prop_assert_eq!(sentry_entries(&header), ours);
            let back: Vec<_> = read(&header).into_iter().map(|(_, value)| value).collect();
            prop_assert_eq!(back, values);
        }

        #[test]
        fn no_header_makes_it_panic_or_grow_past_the_limit(
            existing in "\\PC{0,200}|(sentry-[a-z]{1,3}=[a-z%0-9]{0,900},){0,12}",
            ours in "(sentry-[a-z]{1,3}=[a-z%0-9]{0,900},){0,12}",
            times in 1..5usize,
        ) {
            let existing = existing.repeat(times);
            prop_assert!(sentry_entries(&existing).len() <= MAX_BYTES);
            let _ = read(&existing);
            if let Some(joined) = join(Some(&existing), &ours) {
                prop_assert!(joined.len() <= MAX_BYTES);
                prop_assert!(joined.starts_with(existing.trim()));
            }
        }
    }
}
