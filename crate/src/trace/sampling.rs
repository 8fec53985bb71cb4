//! Sampling of traces: rates, the random value that all services of a trace share, and the
//! decision.
//!
//! Rates and random values are whole millionths. `sample_rand` has six digits by specification,
//! and with whole numbers the upload needs no code to format floating-point numbers.
//!
//! <https://develop.sentry.dev/sdk/foundations/trace-propagation/#propagated-random-value>

use super::TraceId;

const MILLION: u32 = 1_000_000;

/// The share of traces that are recorded, from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rate(u32);

/// The random value of a trace, from 0 to 0.999999.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rand(u32);

impl Rate {
    /// The rate that a Worker was configured with. `None` if it is not between 0 and 1.
    /// A positive rate below a millionth counts as a millionth, so that only 0 means never.
    pub(crate) fn new(rate: f64) -> Option<Self> {
        if !(0.0..=1.0).contains(&rate) {
            return None;
        }
        let millionths = (rate * 1_000_000.0 + 0.5) as u32;
        Some(Rate(millionths.max(u32::from(rate > 0.0))))
    }

    /// The rate as a share of 1.
    pub(crate) fn share(self) -> f32 {
        self.0 as f32 / 1_000_000.0
    }

    /// Reads a rate, such as `0.25`, `1` or `5e-3`. Digits past the sixth round it up.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let (millionths, exact) = millionths(text)?;
        let up = millionths + u32::from(!exact);
        (up <= MILLION).then_some(Rate(up))
    }

    /// The rate as Sentry wants it: a JSON number without trailing zeros.
    pub(crate) fn text(self) -> String {
        let text = six_digits(self.0);
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    }
}

impl Rand {
    /// Reads an incoming value. `None` if it is not in `[0, 1)`. Digits after the sixth are cut
    /// off.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let (millionths, _) = millionths(text)?;
        (millionths < MILLION).then_some(Rand(millionths))
    }

    /// The value of a trace that carries none. It is derived from the trace's id, so that this
    /// crate derives the same value everywhere.
    pub(crate) fn of_trace(trace_id: &TraceId) -> Self {
        let share = u64::from(trace_id.last_eight_digits());
        Rand(((share * u64::from(MILLION)) >> 32) as u32)
    }

    /// The value of an instance of a Workflow: the last four digits of its trace id, divided
    /// by 65,535. The digits `ffff` would give 1, which is not allowed; they give the largest
    /// allowed value.
    pub(crate) fn of_instance(trace_id: &TraceId) -> Self {
        let share = u32::from(trace_id.last_four_digits());
        let millionths = u64::from(share) * u64::from(MILLION) / 65_535;
        Rand((millionths as u32).min(MILLION - 1))
    }

    /// This value, moved so that it agrees with a decision made with a rate: into `[0, rate)`
    /// for a positive decision, into `[rate, 1)` for a negative one.
    ///
    /// If the rate does not allow the decision (positive at 0, negative at 1), the result is the
    /// nearest end of the range.
    pub(crate) fn agreeing_with(self, sampled: bool, rate: Rate) -> Self {
        let (from, to) = if sampled {
            (0, rate.0)
        } else {
            (rate.0, MILLION)
        };
        let width = u64::from(to.saturating_sub(from));
        let moved = from + (u64::from(self.0) * width / u64::from(MILLION)) as u32;
        Rand(moved.min(MILLION - 1))
    }

    /// Six digits after the point: `0.012345`.
    pub(crate) fn text(self) -> String {
        six_digits(self.0)
    }
}

/// The decision on a trace. The parent's flag decides, or else the Worker's own rate. Without
/// both there is no decision, and the next service may decide.
pub(crate) fn decide(parent: Option<bool>, rate: Option<Rate>, rand: Rand) -> Option<bool> {
    parent.or_else(|| rate.map(|rate| rand.0 < rate.0))
}

/// The organisation of a DSN whose host belongs to Sentry, such as
/// `o123.ingest.us.sentry.io`. `None` for other hosts.
/// <https://develop.sentry.dev/sdk/foundations/transport/authentication/#parsing-the-dsn>
pub(crate) fn org_id(host: &str) -> Option<&str> {
    let (label, rest) = host.strip_prefix('o')?.split_once('.')?;
    let is_number = !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_digit());
    (is_number && rest.starts_with("ingest.")).then_some(label)
}

/// Whether a trace of another service is continued. `false` if both organisations are known
/// and differ: the spans of such a trace would be spread over two organisations, and the flags
/// of a stranger would decide how many spans the Worker's owner pays for.
/// <https://develop.sentry.dev/sdk/foundations/trace-propagation/#stricttracecontinuation>
pub(crate) fn may_continue(theirs: Option<&str>, own: Option<&str>) -> bool {
    match (theirs, own) {
        (Some(theirs), Some(own)) => theirs == own,
        _ => true,
    }
}

fn six_digits(millionths: u32) -> String {
    let mut text = String::with_capacity(8);
    let mut unit = MILLION;
    for place in 0..7 {
        text.push(char::from(b'0' + (millionths / unit % 10) as u8));
        if place == 0 {
            text.push('.');
        }
        unit /= 10;
    }
    text
}

/// Reads a JSON number from 0 to a few millions. Returns it in millionths, rounded down, and
/// whether the result is exact.
fn millionths(text: &str) -> Option<(u32, bool)> {
    let (number, exponent) = match text.split_once(['e', 'E']) {
        Some((number, exponent)) => (number, small_number(exponent)?),
        None => (text, 0),
    };
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && part.is_empty() {
        return None;
    }
    // Digit number `at` counts `10^(first - at)` millionths.
    let first = whole.len() as i64 - 1 + 6 + i64::from(exponent);
    let (mut sum, mut exact) = (0_u64, true);
    for (at, digit) in whole.bytes().chain(part.bytes()).enumerate() {
        if !digit.is_ascii_digit() {
            return None;
        }
        match first - at as i64 {
            0.. => {
                sum = sum
                    .saturating_mul(10)
                    .saturating_add(u64::from(digit - b'0'))
            }
            _ => exact &= digit == b'0',
        }
    }
    // If the digits end before the place of the millionths, zeros follow.
    let read = (whole.len() + part.len()) as i64;
    for _ in read..(first + 1).min(read + 20) {
        sum = sum.saturating_mul(10);
    }
    Some((u32::try_from(sum).ok()?, exact))
}

/// Reads an exponent. `None` for more than three digits, because no SDK writes them.
fn small_number(text: &str) -> Option<i32> {
    let (sign, digits) = match text.as_bytes() {
        [b'-', digits @ ..] => (-1, digits),
        [b'+', digits @ ..] => (1, digits),
        digits => (1, digits),
    };
    if !(1..=3).contains(&digits.len()) {
        return None;
    }
    let mut number = 0;
    for digit in digits {
        if !digit.is_ascii_digit() {
            return None;
        }
        number = number * 10 + i32::from(digit - b'0');
    }
    Some(sign * number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rate(text: &str) -> Rate {
        Rate::read(text).expect(text)
    }

    #[test]
    fn a_number_is_read_in_every_notation_of_jsons() {
        for (text, read) in [
            ("0", Some((0, true))),
            ("1", Some((1_000_000, true))),
            ("1.0", Some((1_000_000, true))),
            ("0.123456", Some((123_456, true))),
            ("0.1234567", Some((123_456, false))),
            ("0.12345600", Some((123_456, true))),
            (".5", Some((500_000, true))),
            ("5.", Some((5_000_000, true))),
            ("5e-1", Some((500_000, true))),
            ("1E-6", Some((1, true))),
            ("1e-7", Some((0, false))),
            ("12.5e-2", Some((125_000, true))),
            ("0.00005e4", Some((500_000, true))),
            ("1e+0", Some((1_000_000, true))),
            ("0e999", Some((0, true))),
            ("1e999", None),
            ("99999999999999999999", None),
            ("-0.1", None),
            ("+0.1", None),
            ("", None),
            (".", None),
            ("e1", None),
            ("1e", None),
            ("1e1234", None),
            ("1e-x", None),
            ("0,5", None),
            ("0.5.1", None),
            ("NaN", None),
            ("true", None),
        ] {
            assert_eq!(millionths(text), read, "{text:?}");
        }
    }

    #[test]
    fn a_rate_is_from_0_to_1_and_a_random_value_below_1() {
        assert_eq!(Rand::read("1"), None);
        assert_eq!(
            Rand::read("0.9999999").map(Rand::text).as_deref(),
            Some("0.999999")
        );
        assert_eq!(Rand::read("0").map(Rand::text).as_deref(), Some("0.000000"));
        assert_eq!(Rate::read("1.0000001"), None);
        assert_eq!(Rate::read("2"), None);
        for (given, text) in [
            (0.0, Some("0")),
            (1.0, Some("1")),
            (0.1, Some("0.1")),
            (0.01337, Some("0.01337")),
            (1e-9, Some("0.000001")),
            (-0.1, None),
            (1.1, None),
            (f64::NAN, None),
        ] {
            assert_eq!(Rate::new(given).map(Rate::text).as_deref(), text, "{given}");
        }
    }

    /// <https://develop.sentry.dev/sdk/foundations/trace-propagation/#propagation-decision-matrix>
    #[test]
    fn the_parents_flag_wins_then_the_rate_then_nobody_decides() {
        let rand = Rand::read("0.5").expect("a number");
        for (parent, own, decision) in [
            (None, None, None),
            (None, Some("0"), Some(false)),
            (None, Some("1"), Some(true)),
            (None, Some("0.5"), Some(false)),
            (None, Some("0.500001"), Some(true)),
            (Some(true), None, Some(true)),
            (Some(true), Some("0"), Some(true)),
            (Some(true), Some("1"), Some(true)),
            (Some(false), None, Some(false)),
            (Some(false), Some("0"), Some(false)),
            (Some(false), Some("1"), Some(false)),
        ] {
            assert_eq!(
                decide(parent, own.map(rate), rand),
                decision,
                "{parent:?} {own:?}"
            );
        }
    }

    #[test]
    fn an_instances_value_is_its_last_four_digits_by_65_535() {
        for (digits, value) in [
            ([0, 0], "0.000000"),
            ([0x80, 0], "0.500007"),
            ([0xff, 0xfe], "0.999984"),
            ([0xff, 0xff], "0.999999"),
        ] {
            let mut bytes = [1; 16];
            bytes[14..].copy_from_slice(&digits);
            assert_eq!(Rand::of_instance(&TraceId::random(bytes)).text(), value);
        }
    }

    /// <https://develop.sentry.dev/sdk/foundations/trace-propagation/#stricttracecontinuation>
    #[test]
    fn a_trace_of_another_organisation_is_not_continued() {
        for (theirs, own, continued) in [
            (Some("1"), Some("1"), true),
            (None, Some("1"), true),
            (Some("1"), None, true),
            (None, None, true),
            (Some("1"), Some("2"), false),
        ] {
            assert_eq!(may_continue(theirs, own), continued, "{theirs:?} {own:?}");
        }
    }

    #[test]
    fn the_organisation_is_in_the_host_of_sentrys_own_receivers() {
        for (host, id) in [
            ("o123.ingest.sentry.io", Some("123")),
            ("o1.ingest.us.sentry.io", Some("1")),
            ("sentry.example.com", None),
            ("o123.example.com", None),
            ("o.ingest.example.com", None),
            ("o12x.ingest.example.com", None),
            ("x1.ingest.example.com", None),
            ("o123", None),
            ("", None),
        ] {
            assert_eq!(org_id(host), id, "{host:?}");
        }
    }

    proptest! {
        #[test]
        fn a_value_below_the_rate_means_sampled_and_no_other_does(
            base in 0..MILLION,
            at in 0..=MILLION,
            sampled in any::<bool>(),
        ) {
            let (rand, rate) = (Rand(base), Rate(at));
            prop_assert_eq!(decide(None, Some(rate), rand), Some(base < at));
            let possible = if sampled { at > 0 } else { at < MILLION };
            let moved = rand.agreeing_with(sampled, rate);
            prop_assert!(moved.0 < MILLION);
            if possible {
                prop_assert_eq!(moved.0 < at, sampled);
            }
        }

        #[test]
        fn a_rate_that_was_cut_still_agrees_with_its_decision(
            digits in "0\\.0{0,7}[0-9]{1,12}",
            base in 0..MILLION,
            sampled in any::<bool>(),
        ) {
            let exact: f64 = digits.parse().expect("a number");
            let moved = Rand(base).agreeing_with(sampled, rate(&digits));
            if exact > 0.0 && exact < 0.999_999 {
                let value: f64 = moved.text().parse().expect("a number");
                prop_assert_eq!(value < exact, sampled, "{} {}", value, digits);
            }
        }

        #[test]
        fn texts_are_read_back_as_they_were_written(value in 0..MILLION) {
            prop_assert_eq!(Rand::read(&Rand(value).text()), Some(Rand(value)));
            prop_assert_eq!(Rate::read(&Rate(value).text()), Some(Rate(value)));
            prop_assert_eq!(Rand(value).text().len(), 8);
            let number: f64 = Rate(value).text().parse().expect("a number");
            prop_assert_eq!(Rate::new(number), Some(Rate(value)));
        }

        #[test]
        fn the_value_of_a_trace_is_derived_and_spread_evenly(bytes in any::<[u8; 16]>()) {
            let id = TraceId::random(bytes);
            let value = Rand::of_trace(&id);
            prop_assert_eq!(Rand::of_trace(&id), value);
            let share = f64::from(id.last_eight_digits()) / 4_294_967_296.0;
            prop_assert!((f64::from(value.0) / 1e6 - share).abs() < 2e-6);
        }

        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,40}|[0-9.e+-]{0,40}", times in 1..250usize) {
            let text = text.repeat(times);
            let _ = (Rate::read(&text), Rand::read(&text), org_id(&text));
        }
    }
}
