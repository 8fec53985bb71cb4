//! Cloudflare's cron expressions in Sentry's dialect, and a monitor's default name.
//!
//! | | Cloudflare | Sentry |
//! | --- | --- | --- |
//! | weekdays | 1 to 7, from Sunday to Saturday | 0 to 6, from Sunday to Saturday |
//! | ranges across the end, such as `fri-sun` | yes | no |
//! | `5/15` | from 5 to the end | not everywhere |
//! | `L`, `W`, `#` | yes | no |
//! | day and weekday both given | either | either, unless one begins with `*` |
//!
//! A range across the end is translated as Cloudflare documents it. In the parser that
//! Cloudflare has published, such a range begins one value earlier (`fri-sun` on a Thursday).
//! Whether Cloudflare's servers do the same is not known. Sentry alerts about missing runs and
//! not about additional ones, so the documented reading is safe.
//!
//! Cloudflare: <https://developers.cloudflare.com/workers/configuration/cron-triggers/>
//! and its parser, <https://github.com/cloudflare/saffron>. Sentry:
//! <https://docs.sentry.io/product/crons/> and its parser, `cronsim`.

use crate::trace::sha1::sha1;

/// Sentry's limit for the name of a monitor, in bytes.
pub(crate) const MAX_SLUG: usize = 50;

const MONTHS: [&str; 12] = [
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// The values of a field, and the names that stand for them, the first for `min`.
struct Field {
    min: u8,
    max: u8,
    names: &'static [&'static str],
}

const FIELDS: [Field; 5] = [
    Field {
        min: 0,
        max: 59,
        names: &[],
    },
    Field {
        min: 0,
        max: 23,
        names: &[],
    },
    Field {
        min: 1,
        max: 31,
        names: &[],
    },
    Field {
        min: 1,
        max: 12,
        names: &MONTHS,
    },
    Field {
        min: 1,
        max: 7,
        names: &WEEKDAYS,
    },
];

/// One element of a field's list: a value, a range, or every `step`th value of a range.
#[derive(Clone, Copy)]
struct Part {
    start: u8,
    end: u8,
    step: u8,
}

/// Translates a cron expression of Cloudflare into Sentry's dialect.
///
/// Returns `None` for parts that Sentry's dialect lacks (`L`, `W`, `#`), for a range across the
/// end with a step, and for a malformed expression. Such a monitor has to be created in Sentry,
/// because a wrong schedule would raise false alerts.
pub(crate) fn translate(expression: &str) -> Option<String> {
    let mut texts = expression.split_ascii_whitespace();
    let mut fields: [Vec<Part>; 5] = Default::default();
    let mut stars = [false; 5];
    for (at, field) in FIELDS.iter().enumerate() {
        let text = texts.next()?;
        stars[at] = text == "*";
        fields[at] = read_list(text, field)?;
    }
    if texts.next().is_some() {
        return None;
    }
    let [minutes, hours, days, months, weekdays] = &fields;
    let both_days = !stars[2] && !stars[4];
    // A run needs only one of day and weekday to match, so if one is full, the other has no
    // effect.
    let every_day = both_days && (is_full(days, &FIELDS[2]) || is_full(weekdays, &FIELDS[4]));
    let mut to = String::with_capacity(expression.len() + 16);
    write_list(&mut to, minutes, &FIELDS[0], true);
    to.push(' ');
    write_list(&mut to, hours, &FIELDS[1], true);
    to.push(' ');
    if every_day {
        to.push('*');
    } else {
        write_list(&mut to, days, &FIELDS[2], !both_days);
    }
    to.push(' ');
    write_list(&mut to, months, &FIELDS[3], true);
    to.push(' ');
    if every_day || is_full(weekdays, &FIELDS[4]) {
        to.push('*');
    } else {
        write_weekdays(&mut to, mask(weekdays, &FIELDS[4]));
    }
    Some(to)
}

/// The default name of a monitor, made from the cron expression: `cron-` and the
/// expression with one or two letters for each sign. A name that is too long is cut and ends in
/// four digits of its SHA-1, so that two long expressions have different names.
pub(crate) fn slug(expression: &str) -> String {
    let mut slug = String::from("cron");
    for part in expression.split_ascii_whitespace() {
        slug.push('-');
        for c in part.chars() {
            match c.to_ascii_lowercase() {
                '*' => slug.push('x'),
                '-' => slug.push_str("to"),
                '/' => slug.push_str("by"),
                c if c.is_ascii_alphanumeric() => slug.push(c),
                _ => slug.push('_'),
            }
        }
    }
    if slug.len() > MAX_SLUG {
        let digest = sha1(slug.as_bytes());
        // The text is ASCII, so it can be cut at any byte.
        slug.truncate(MAX_SLUG - 5);
        slug.push('-');
        for byte in digest.iter().take(2) {
            for digit in [byte >> 4, byte & 15] {
                slug.push(char::from_digit(u32::from(digit), 16).unwrap_or('0'));
            }
        }
    }
    slug
}

/// The application's name for a monitor in the form that Sentry accepts: at most [`MAX_SLUG`]
/// lower-case letters, digits, `-` and `_`. Any other character becomes `-`.
pub(crate) fn named(name: &str) -> String {
    let sign = |c: char| match c.to_ascii_lowercase() {
        c if c.is_ascii_alphanumeric() || c == '_' => c,
        _ => '-',
    };
    name.trim().chars().take(MAX_SLUG).map(sign).collect()
}

fn read_list(text: &str, field: &Field) -> Option<Vec<Part>> {
    text.split(',').map(|part| read_part(part, field)).collect()
}

fn read_part(text: &str, field: &Field) -> Option<Part> {
    let (range, step) = match text.split_once('/') {
        Some((range, step)) => {
            let most = field.max - field.min;
            let step = read_number(step).filter(|step| (1..=most).contains(step))?;
            (range, Some(step))
        }
        None => (text, None),
    };
    let (start, end) = if range == "*" {
        (field.min, field.max)
    } else if let Some((start, end)) = range.split_once('-') {
        (read_value(start, field)?, read_value(end, field)?)
    } else {
        let start = read_value(range, field)?;
        (start, if step.is_some() { field.max } else { start })
    };
    let step = step.unwrap_or(1);
    (start <= end || step == 1).then_some(Part { start, end, step })
}

fn read_value(text: &str, field: &Field) -> Option<u8> {
    let named = field
        .names
        .iter()
        .position(|name| text.eq_ignore_ascii_case(name));
    match named {
        Some(at) => u8::try_from(at).ok().map(|at| field.min + at),
        None => read_number(text).filter(|number| (field.min..=field.max).contains(number)),
    }
}

/// Reads one or two digits.
fn read_number(text: &str) -> Option<u8> {
    match *text.as_bytes() {
        [one @ b'0'..=b'9'] => Some(one - b'0'),
        [ten @ b'0'..=b'9', one @ b'0'..=b'9'] => Some((ten - b'0') * 10 + one - b'0'),
        _ => None,
    }
}

/// The values of a list, the lowest bit being the field's first.
fn mask(parts: &[Part], field: &Field) -> u64 {
    let mut mask = 0;
    for part in parts {
        for value in field.min..=field.max {
            let is_in = if part.start <= part.end {
                (part.start..=part.end).contains(&value) && (value - part.start) % part.step == 0
            } else {
                value >= part.start || value <= part.end
            };
            mask |= u64::from(is_in) << (value - field.min);
        }
    }
    mask
}

fn is_full(parts: &[Part], field: &Field) -> bool {
    mask(parts, field).count_ones() == u32::from(field.max - field.min) + 1
}

/// Writes a list in numbers. `with_star` allows `*` for a full range. If both a day and a
/// weekday are given, it must be `false`: with a `*` at the beginning, Sentry requires both to
/// match.
fn write_list(to: &mut String, parts: &[Part], field: &Field, with_star: bool) {
    if with_star && is_full(parts, field) {
        to.push('*');
        return;
    }
    for (at, part) in parts.iter().enumerate() {
        if at > 0 {
            to.push(',');
        }
        if part.start > part.end {
            write_range(to, part.start, field.max);
            to.push(',');
            write_range(to, field.min, part.end);
            continue;
        }
        if with_star && (part.start, part.end) == (field.min, field.max) {
            to.push('*');
        } else {
            write_range(to, part.start, part.end);
        }
        if part.step > 1 && part.start < part.end {
            to.push('/');
            write_number(to, part.step);
        }
    }
}

fn write_range(to: &mut String, start: u8, end: u8) {
    write_number(to, start);
    if start != end {
        to.push('-');
        write_number(to, end);
    }
}

fn write_number(to: &mut String, number: u8) {
    if number >= 10 {
        to.push(char::from(b'0' + number / 10));
    }
    to.push(char::from(b'0' + number % 10));
}

/// Writes weekdays by name, because the same number means different days in the two dialects.
/// Three or more days in a row become a range.
fn write_weekdays(to: &mut String, mask: u64) {
    let is_in = |day: usize| day < WEEKDAYS.len() && mask >> day & 1 == 1;
    let mut is_first = true;
    let mut day = 0;
    while let Some(name) = WEEKDAYS.get(day) {
        if !is_in(day) {
            day += 1;
            continue;
        }
        if !is_first {
            to.push(',');
        }
        is_first = false;
        to.push_str(name);
        if is_in(day + 1) && is_in(day + 2) {
            while is_in(day + 1) {
                day += 1;
            }
            to.push('-');
            to.push_str(WEEKDAYS.get(day).copied().unwrap_or_default());
        }
        day += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The first rows are Cloudflare's own examples:
    /// <https://developers.cloudflare.com/workers/configuration/cron-triggers/#examples>
    #[test]
    fn a_monitors_own_name_has_only_what_sentry_takes() {
        assert_eq!(named(" Nightly sweep_2/EU "), "nightly-sweep_2-eu");
        assert_eq!(named("größe"), "gr--e");
        assert_eq!(named(&"x".repeat(80)).len(), MAX_SLUG);
    }

    #[test]
    fn expressions_mean_the_same_in_sentrys_dialect() {
        for (cloudflare, sentry) in [
            ("* * * * *", Some("* * * * *")),
            ("*/30 * * * *", Some("*/30 * * * *")),
            ("45 * * * *", Some("45 * * * *")),
            ("0 17 * * sun", Some("0 17 * * sun")),
            ("0 17 * * 1", Some("0 17 * * sun")),
            ("10 7 * * mon-fri", Some("10 7 * * mon-fri")),
            ("10 7 * * 2-6", Some("10 7 * * mon-fri")),
            ("0 15 1 * *", Some("0 15 1 * *")),
            ("0 18 * * 6L", None),
            ("0 18 * * friL", None),
            ("59 23 LW * *", None),
            ("0 9 L * *", None),
            ("0 9 15W * *", None),
            ("0 9 L-3 * *", None),
            ("0 10 * * MON#2", None),
            // Lists, steps, ranges across the end.
            ("0,30 9-17 * * MON,wed,7", Some("0,30 9-17 * * mon,wed,sat")),
            ("5/15 * * * *", Some("5-59/15 * * * *")),
            ("50-10 * * * *", Some("50-59,0-10 * * * *")),
            ("0 22-3 * * *", Some("0 22-23,0-3 * * *")),
            ("0 0 * * fri-sun", Some("0 0 * * sun,fri,sat")),
            ("0 0 * * 6-2", Some("0 0 * * sun,mon,fri,sat")),
            ("0 0 * * */2", Some("0 0 * * sun,tue,thu,sat")),
            ("0 0 * * 1-7", Some("0 0 * * *")),
            ("0 0 1 nov-feb *", Some("0 0 1 11-12,1-2 *")),
            ("0 0 1 JAN,7 *", Some("0 0 1 1,7 *")),
            ("50-10/2 0 * * *", None),
            ("0 22-3/2 * * *", None),
            // A day and a weekday: either of them.
            ("0 0 13 * fri", Some("0 0 13 * fri")),
            ("0 0 */2 * mon", Some("0 0 1-31/2 * mon")),
            ("0 0 */2 * *", Some("0 0 */2 * *")),
            ("0 0 13 * 1-7", Some("0 0 * * *")),
            ("0 0 1-31 * mon", Some("0 0 * * *")),
            // Blanks, and malformed expressions.
            ("  0  0 * *\t* ", Some("0 0 * * *")),
            ("", None),
            ("* * * *", None),
            ("* * * * * *", None),
            ("60 * * * *", None),
            ("* 24 * * *", None),
            ("* * 0 * *", None),
            ("* * 32 * *", None),
            ("* * * 13 *", None),
            ("* * * * 0", None),
            ("* * * * 8", None),
            ("*/0 * * * *", None),
            ("*/60 * * * *", None),
            ("1, * * * *", None),
            ("1-2-3 * * * *", None),
            ("-1 * * * *", None),
            ("001 * * * *", None),
            ("? * * * *", None),
            ("@hourly", None),
            ("mon * * * *", None),
            ("* * * * ü", None),
        ] {
            assert_eq!(translate(cloudflare).as_deref(), sentry, "{cloudflare:?}");
        }
    }

    #[test]
    fn the_name_of_a_monitor_is_the_expression_in_letters() {
        for (expression, name) in [
            ("* * * * *", "cron-x-x-x-x-x"),
            ("*/5 9-17 * * MON,FRI", "cron-xby5-9to17-x-x-mon_fri"),
            ("0 18 * * 6L", "cron-0-18-x-x-6l"),
            ("0 10 * * MON#2", "cron-0-10-x-x-mon_2"),
            (" 0  3 * * * ", "cron-0-3-x-x-x"),
        ] {
            assert_eq!(slug(expression), name);
        }
    }

    #[test]
    fn a_long_name_is_cut_and_still_its_own() {
        let long = |last| format!("0,5,10,15,20,25,30,35,40,45,50,55 0,1,2,3,4,5 * * {last}");
        let (one, other) = (slug(&long("mon")), slug(&long("tue")));
        assert_eq!((one.len(), other.len()), (MAX_SLUG, MAX_SLUG));
        assert_ne!(one, other);
    }

    /// Whether a list in Cloudflare's dialect contains a value, read directly from the text.
    fn cloudflare_holds(list: &str, value: u8, field: &Field) -> bool {
        list.split(',').any(|part| {
            let (range, step) = part.split_once('/').unwrap_or((part, "1"));
            let step: usize = step.parse().expect("a step");
            let number = |text: &str| {
                let named = field
                    .names
                    .iter()
                    .position(|name| *name == text.to_lowercase());
                named.map_or_else(
                    || text.parse().expect("a number"),
                    |at| at as u8 + field.min,
                )
            };
            let (from, to) = match range.split_once('-') {
                Some((from, to)) => (number(from), number(to)),
                None if range == "*" => (field.min, field.max),
                None if part.contains('/') => (number(range), field.max),
                None => (number(range), number(range)),
            };
            let all: Vec<u8> = if from <= to {
                (from..=to).collect()
            } else {
                (from..=field.max).chain(field.min..=to).collect()
            };
            all.into_iter().step_by(step).any(|each| each == value)
        })
    }

    /// Whether a list in Sentry's dialect contains a value. The dialect has no range across the
    /// end and no start with only a step; weekdays are names or numbers from 0.
    fn sentry_holds(list: &str, value: u8, max: u8, min: u8) -> bool {
        list.split(',').any(|part| {
            let (range, step) = part.split_once('/').unwrap_or((part, "1"));
            let step: usize = step.parse().expect("a step");
            let number = |text: &str| -> u8 {
                let named = WEEKDAYS.iter().position(|name| *name == text);
                named.map_or_else(|| text.parse().expect("a number"), |at| at as u8)
            };
            let (from, to) = match range.split_once('-') {
                Some((from, to)) => (number(from), number(to)),
                None if range == "*" => (min, max),
                None => {
                    assert!(!part.contains('/'), "{part}");
                    (number(range), number(range))
                }
            };
            assert!(from <= to, "{part}");
            (from..=to).step_by(step).any(|each| each == value)
        })
    }

    fn agree(expression: &str, translated: &str) {
        let ours: Vec<&str> = expression.split_ascii_whitespace().collect();
        let theirs: Vec<&str> = translated.split(' ').collect();
        for (at, field) in FIELDS
            .iter()
            .enumerate()
            .filter(|(at, _)| [0, 1, 3].contains(at))
        {
            for value in field.min..=field.max {
                assert_eq!(
                    cloudflare_holds(ours[at], value, field),
                    sentry_holds(theirs[at], value, field.max, field.min),
                    "{expression} became {translated}: {value}"
                );
            }
        }
        for day in 1..=31 {
            for weekday in 0..7 {
                let by_day = cloudflare_holds(ours[2], day, &FIELDS[2]);
                let by_weekday = cloudflare_holds(ours[4], weekday + 1, &FIELDS[4]);
                let here = match (ours[2], ours[4]) {
                    ("*", _) => by_weekday,
                    (_, "*") => by_day,
                    _ => by_day || by_weekday,
                };
                let by_day = sentry_holds(theirs[2], day, 31, 1);
                let by_weekday = sentry_holds(theirs[4], weekday, 6, 0);
                let there = if theirs[2].starts_with('*') || theirs[4].starts_with('*') {
                    by_day && by_weekday
                } else {
                    by_day || by_weekday
                };
                assert_eq!(
                    here, there,
                    "{expression} became {translated}: {day} {weekday}"
                );
            }
        }
    }

    #[test]
    fn every_weekday_and_every_range_of_weekdays_is_the_same_day() {
        for from in 1..=7 {
            for to in 1..=7 {
                for day in ["*", "13", "*/2", "1-31"] {
                    let numbers = format!("0 0 {day} * {from}-{to}");
                    let translated = translate(&numbers).expect("an expression");
                    agree(&numbers, &translated);
                    let names = format!("0 0 {day} * {}-{}", WEEKDAYS[from - 1], WEEKDAYS[to - 1]);
                    assert_eq!(translate(&names), Some(translated));
                }
            }
        }
    }

    /// An element of a list. A range across the end has no step.
    fn element(min: u8, max: u8) -> impl Strategy<Value = String> {
        (min..=max, min..=max, 1..=max - min, 0..5).prop_map(|(a, b, step, kind)| match kind {
            0 => a.to_string(),
            1 => format!("{a}-{b}"),
            2 => format!("{}-{}/{step}", a.min(b), a.max(b)),
            3 => format!("{a}/{step}"),
            _ => format!("*/{step}"),
        })
    }

    fn list(min: u8, max: u8) -> impl Strategy<Value = String> {
        let list = prop::collection::vec(element(min, max), 1..4).prop_map(|list| list.join(","));
        prop_oneof![1 => Just("*".to_owned()), 3 => list]
    }

    proptest! {
        #[test]
        fn any_expression_means_the_same_days_and_minutes_in_both_dialects(
            minute in list(0, 59),
            hour in list(0, 23),
            day in list(1, 31),
            month in list(1, 12),
            weekday in list(1, 7),
        ) {
            let expression = [minute, hour, day, month, weekday].join(" ");
            let translated = translate(&expression);
            prop_assert!(translated.is_some(), "{}", expression);
            agree(&expression, &translated.unwrap_or_default());
        }

        #[test]
        fn no_text_makes_it_panic(
            text in "\\PC{0,60}|[0-9*,/LW#a-z -]{0,60}",
            times in 1..150usize,
        ) {
            let text = text.repeat(times);
            let _ = translate(&text);
            let slug = slug(&text);
            prop_assert!(slug.len() <= MAX_SLUG);
            let is_fine = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_');
            prop_assert!(slug.bytes().all(is_fine), "{}", slug);
        }
    }
}
