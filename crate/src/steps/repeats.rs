//! How often one error is sent, where the application has set a limit.
//!
//! Only [`set`] refers to the code that counts, so a Worker without a limit does not link that code.

use std::cell::{Cell, RefCell};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::num::NonZeroU32;

use super::client::IsolateClient;
use crate::item::draft::Draft;

/// How many different errors an isolate counts at a time. The counts of 100 errors take 2,400
/// bytes.
const MOST_ERRORS: usize = 100;
/// How long the repeats of an error are counted together, from the first event of that error.
///
/// The time begins with the event because full minutes of the clock would begin in all isolates
/// at once, and the receiver would get the events of all isolates at once.
const MINUTE_MS: f64 = 60_000.0;
/// The context that says how many events of an error were held back.
const CONTEXT: &str = "repeats";

/// The type of [`count`]. The function is called by its address, so it is linked only where the
/// address is set.
type Count = fn(&RefCell<Repeats>, &mut Draft, NonZeroU32, f64) -> Result<(), &'static str>;

#[derive(Clone, Copy)]
struct Limit {
    most: NonZeroU32,
    count: Count,
}

thread_local! {
    static LIMIT: Cell<Option<Limit>> = const { Cell::new(None) };
}

/// Sets how many events of one error are sent in a minute; `None` removes the limit.
pub(crate) fn set(most: Option<NonZeroU32>) {
    LIMIT.set(most.map(|most| Limit { most, count }));
}

/// Whether an event may leave, or what the console is told in its place.
///
/// Without a limit, this reads one value.
pub(crate) fn admit(
    client: &IsolateClient,
    draft: &mut Draft,
    now_ms: f64,
) -> Result<(), &'static str> {
    match LIMIT.get() {
        Some(limit) => (limit.count)(&client.repeats, draft, limit.most, now_ms),
        None => Ok(()),
    }
}

/// Counts an event. An event that is sent gets the number of events that were held back before
/// it.
fn count(
    repeats: &RefCell<Repeats>,
    draft: &mut Draft,
    most: NonZeroU32,
    now_ms: f64,
) -> Result<(), &'static str> {
    let Ok(mut repeats) = repeats.try_borrow_mut() else {
        return Ok(());
    };
    match repeats.count(issue(draft), most.get(), now_ms) {
        Some(0) => {}
        Some(held_back) => {
            if let Some(context) = draft.details.context(CONTEXT) {
                context.insert("held_back".to_owned(), held_back.into());
            }
        }
        None => return Err("limit_repeats allows no more of this error now; event held back"),
    }
    Ok(())
}

/// The identity of an error; two events with the same one are the same error. It is computed from
/// the fingerprint that the application gave. Without one, it is computed from the names and
/// messages of the chain, from a message's text, or from a panic's text and place.
fn issue(draft: &Draft) -> u64 {
    let mut hasher = DefaultHasher::new();
    let is_default = |part: &&String| matches!(part.as_str(), "{{ default }}" | "{{default}}");
    let fingerprint = &draft.details.fingerprint;
    for part in fingerprint.iter().filter(|part| !is_default(part)) {
        part.hash(&mut hasher);
    }
    if fingerprint.is_empty() || fingerprint.iter().any(|part| is_default(&part)) {
        draft.identity().hash(&mut hasher);
        draft.message.hash(&mut hasher);
        // A panic is the only chain without an identity of its own.
        if draft.identity() == 0 {
            for panic in &draft.chain.exceptions {
                panic.value.hash(&mut hasher);
                let stack = panic.stacktrace.as_ref();
                // The panic's own place is the last frame, which is the innermost.
                if let Some(at) = stack.and_then(|stack| stack.frames.last()) {
                    (&at.filename, at.lineno).hash(&mut hasher);
                }
            }
        }
    }
    hasher.finish()
}

/// The errors that an isolate counts.
#[derive(Debug, Default)]
pub(crate) struct Repeats(Vec<Repeated>);

/// One error, in the minute that began with its first event.
#[derive(Debug)]
struct Repeated {
    issue: u64,
    began_ms: f64,
    sent: u32,
    /// How many events were held back and are not yet named by an event that was sent.
    held_back: u32,
}

impl Repeated {
    fn new(issue: u64, began_ms: f64) -> Self {
        Repeated {
            issue,
            began_ms,
            sent: 1,
            held_back: 0,
        }
    }

    /// Whether the minute of this error goes on. A clock that was set back ends the minute.
    fn is_counted_at(&self, now_ms: f64) -> bool {
        (0.0..MINUTE_MS).contains(&(now_ms - self.began_ms))
    }
}

impl Repeats {
    /// Counts an event of an error. If the event may leave, says how many were held back
    /// since the last one that left.
    fn count(&mut self, issue: u64, most: u32, now_ms: f64) -> Option<u32> {
        if let Some(known) = self.0.iter_mut().find(|it| it.issue == issue) {
            if !known.is_counted_at(now_ms) {
                let held_back = known.held_back;
                *known = Repeated::new(issue, now_ms);
                return Some(held_back);
            }
            if known.sent >= most {
                known.held_back = known.held_back.saturating_add(1);
                return None;
            }
            known.sent += 1;
            // The limit was raised since then.
            return Some(std::mem::take(&mut known.held_back));
        }
        if self.0.len() < MOST_ERRORS {
            self.0.push(Repeated::new(issue, now_ms));
        } else if let Some(past) = self.0.iter_mut().find(|it| !it.is_counted_at(now_ms)) {
            *past = Repeated::new(issue, now_ms);
        }
        // An error for which there is no room is not counted, and leaves each time.
        Some(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::item::draft::drafted;
    use crate::item::place::Place;
    use crate::item::stack::Frame;
    use crate::platform::testing::Fake;
    use crate::steps::load::tests::config;
    use crate::steps::prepare;
    use serde_json::Value;

    #[test]
    fn so_many_events_of_one_error_leave_within_a_minute_from_the_first() {
        // The time, the error, and, if the event is sent, how many were held back before it.
        let steps = [
            (0.0, 1, Some(0)),
            (1.0, 1, Some(0)),
            (2.0, 1, None),
            // Each error has a count of its own.
            (3.0, 2, Some(0)),
            (4.0, 1, None),
            (5.0, 2, Some(0)),
            (6.0, 2, None),
            (59_999.0, 1, None),
            // A minute after the first event: the number held back is on one event only.
            (60_000.0, 1, Some(3)),
            (60_001.0, 1, Some(0)),
            (60_002.0, 1, None),
            // The minute of the other error began later.
            (60_002.0, 2, None),
            (60_003.0, 2, Some(2)),
            // After a clock is set back, events are still sent.
            (10.0, 1, Some(1)),
            (f64::NAN, 1, Some(0)),
        ];
        let mut repeats = Repeats::default();
        for (at, (now_ms, issue, told)) in steps.into_iter().enumerate() {
            assert_eq!(repeats.count(issue, 2, now_ms), told, "step {at}");
        }
    }

    #[test]
    fn an_error_for_which_there_is_no_room_leaves_until_a_minute_ends() {
        let mut repeats = Repeats::default();
        for issue in 0..MOST_ERRORS as u64 {
            assert_eq!(repeats.count(issue, 1, issue as f64), Some(0));
        }
        let new = MOST_ERRORS as u64;
        for _ in 0..3 {
            assert_eq!(repeats.count(new, 1, 1_000.0), Some(0));
        }
        assert_eq!(repeats.0.len(), MOST_ERRORS);
        assert_eq!(repeats.count(0, 1, 1_000.0), None, "it is counted on");
        // The minute of the first error is over, so there is room for another error.
        assert_eq!(repeats.count(new, 1, 60_000.0), Some(0));
        assert_eq!(repeats.count(new, 1, 60_000.0), None);
        assert_eq!(repeats.0.len(), MOST_ERRORS);
    }

    #[test]
    fn a_limit_that_is_raised_holds_from_the_next_event_on() {
        let mut repeats = Repeats::default();
        let told = [1, 1, 1, 3, 3, 3].map(|most| repeats.count(7, most, 0.0));
        assert_eq!(told, [Some(0), None, None, Some(2), Some(0), None]);
    }

    fn draft(text: &str) -> Draft {
        let error = text.parse::<u8>().expect_err("not a number");
        drafted(&Fake::default(), &error)
    }

    fn grouped(text: &str, fingerprint: &[&str]) -> u64 {
        let mut draft = draft(text);
        draft.details.fingerprint = fingerprint.iter().map(|&it| it.to_owned()).collect();
        issue(&draft)
    }

    #[test]
    fn one_error_is_one_fingerprint_or_else_the_same_names_and_messages() {
        assert_eq!(grouped("x", &[]), grouped("y", &[]));
        assert_ne!(grouped("x", &[]), grouped("", &[]));
        // With a fingerprint, the message does not matter.
        assert_eq!(grouped("x", &["ads"]), grouped("", &["ads"]));
        assert_ne!(grouped("x", &["ads"]), grouped("x", &["hosts"]));
        assert_ne!(grouped("x", &["ads"]), grouped("x", &[]));
        for default in ["{{ default }}", "{{default}}"] {
            // A fingerprint also divides events that would be the same error without it.
            let both = ["ads", default];
            assert_ne!(grouped("x", &both), grouped("", &both));
            assert_ne!(grouped("x", &both), grouped("x", &["ads"]));
            assert_eq!(grouped("x", &[default]), grouped("x", &[]));
        }
    }

    #[test]
    fn one_message_is_one_text_and_one_panic_one_text_and_place() {
        let message = |text| issue(&Draft::of_message(text, "info"));
        assert_eq!(message("swept"), message("swept"));
        assert_ne!(message("swept"), message("stored"));
        let panic = |text, line: Option<u64>| {
            let at = line.map(|line| Frame {
                filename: Some("src/lib.rs".to_owned()),
                lineno: Some(line),
                ..Frame::default()
            });
            issue(&Draft::of_panic(text, at, Place::default()))
        };
        assert_eq!(panic("no", Some(3)), panic("no", Some(3)));
        assert_ne!(panic("no", Some(3)), panic("no", Some(4)));
        assert_ne!(panic("no", Some(3)), panic("never", Some(3)));
        assert_ne!(panic("no", None), panic("no", Some(3)));
        assert_ne!(panic("no", None), panic("never", None));
    }

    fn limited(most: u32) -> (Fake, IsolateClient) {
        set(NonZeroU32::new(most));
        (Fake::default(), IsolateClient::build(config(&[])))
    }

    fn event(fake: &Fake, client: &IsolateClient, draft: Draft) -> Option<Value> {
        let envelope = prepare::envelope(fake, client, draft.into())?;
        let text = String::from_utf8(envelope.bytes).expect("text");
        serde_json::from_str(text.lines().nth(2)?).ok()
    }

    #[test]
    fn what_is_held_back_is_one_line_in_the_console_and_a_number_on_the_next_event() {
        let (fake, client) = limited(2);
        let send = |text: &str| event(&fake, &client, draft(text));
        let sent = (0..20).filter(|_| send("x").is_some()).count();
        assert_eq!(sent, 2);
        let other = send("").expect("another error");
        assert_eq!(other["contexts"]["repeats"], Value::Null);
        let line = "debug: limit_repeats allows no more of this error now; event held back";
        assert_eq!(fake.world.lines.take(), [line; 18]);
        fake.world.now_ms.set(fake.world.now_ms.get() + 60_000);
        let next = send("x").expect("another minute");
        assert_eq!(next["contexts"]["repeats"]["held_back"], 18);
        let next = send("x").expect("the second one");
        assert_eq!(next["contexts"]["repeats"], Value::Null);
        set(None);
    }

    #[test]
    fn without_a_limit_everything_leaves_and_each_isolate_counts_for_itself() {
        let (fake, client) = limited(1);
        let other = IsolateClient::build(config(&[]));
        let send = |client: &IsolateClient| event(&fake, client, draft("x")).is_some();
        assert_eq!([send(&client), send(&client)], [true, false]);
        assert!(send(&other));
        set(None);
        assert!((0..20).all(|_| send(&client)));
    }

    #[test]
    fn what_the_application_says_under_the_same_name_stays() {
        let (fake, client) = limited(1);
        let said = || {
            let mut draft = draft("x");
            let context = draft.details.context(CONTEXT).expect("a group");
            context.insert("mine".to_owned(), 7.into());
            event(&fake, &client, draft)
        };
        assert!(said().is_some() && said().is_none());
        fake.world.now_ms.set(fake.world.now_ms.get() + 60_000);
        let context = &said().expect("another minute")["contexts"]["repeats"];
        assert_eq!(
            (&context["mine"], &context["held_back"]),
            (&7.into(), &1.into())
        );
        set(None);
    }

    #[test]
    fn what_is_being_counted_is_let_go() {
        let (fake, client) = limited(1);
        let _counting = client.repeats.borrow_mut();
        assert!((0..2).all(|_| event(&fake, &client, draft("x")).is_some()));
        set(None);
    }
}
