//! The six steps of a capture, in order. Each module is one of them or a part of one.
//!
//! - step 1, `guard`: checks whether there is a `SENTRY_DSN`.
//! - step 2, `load`: turns the bindings into a configuration.
//! - steps 3 and 4, `slot`: tries a failed load again, and makes one client for each isolate.
//! - step 5, `client`: what an isolate keeps for all its captures.
//! - step 6, `prepare` and `deliver`: turn the error into an envelope and send it.

pub(crate) mod before_send;
pub(crate) mod client;
pub(crate) mod deliver;
pub(crate) mod guard;
#[cfg(test)]
mod interleavings;
pub(crate) mod load;
pub(crate) mod prepare;
pub(crate) mod repeats;
pub(crate) mod slot;

use std::pin::{Pin, pin};
use std::rc::Rc;

use futures_util::future::{Either, select};
use uuid::Uuid;

use crate::item::draft::Draft;
use crate::platform::Runtime;
use client::IsolateClient;
use deliver::Delivery;
use load::{Complaint, load};
use prepare::Parcel;
use slot::{Shared, Ticket, Turn};

/// The most milliseconds that a capture takes, also if something fails.
pub(crate) const CAPTURE_MS: f64 = 5_000.0;
/// A load that takes longer than this many milliseconds counts as failed.
pub(crate) const LOAD_MS: f64 = 2_000.0;
/// How long a caller waits, in milliseconds, before it checks again whether another caller's
/// load has ended: the first time, and at most.
const FIRST_LOOK_MS: u32 = 5;
const LONGEST_LOOK_MS: u32 = 50;

// ANCHOR: capture
/// One capture, from the guard to the receiver's answer.
pub(crate) async fn capture<R: Runtime>(
    runtime: &R,
    isolate: &Shared,
    read: impl FnOnce(&R) -> Option<Draft>,
) -> Option<Uuid> {
    // 1. Guard.
    if !guard::is_configured(runtime, isolate) {
        return None;
    }
    // The error is read before the first wait; after it, it may be gone.
    let draft = read(runtime)?;
    finish(runtime, isolate, draft.into()).await
}

/// The steps that can wait. They are in a box, so that each kind of capture has a small future
/// and none has a copy of these steps.
pub(crate) fn finish<'a>(
    runtime: &'a impl Runtime,
    isolate: &'a Shared,
    parcel: Parcel,
) -> Pin<Box<dyn Future<Output = Option<Uuid>> + 'a>> {
    Box::pin(finish_within(runtime, isolate, parcel, CAPTURE_MS))
}

/// The same, for what has less time left.
pub(crate) async fn finish_within(
    runtime: &impl Runtime,
    isolate: &Shared,
    parcel: Parcel,
    most_ms: f64,
) -> Option<Uuid> {
    // 2. Load, 3. load failure, 4. initialise once, 5. build the client.
    let (client, left_ms) = match ready(isolate) {
        Some(client) => (client, most_ms),
        None => {
            let deadline_ms = runtime.now_ms() + most_ms;
            let client = client(runtime, isolate, deadline_ms).await?;
            (client, (deadline_ms - runtime.now_ms()).max(0.0))
        }
    };
    // 6. Capture and deliver.
    let delivery = exit(runtime, &client, parcel, Wait::For(left_ms as u32))?;
    deliver::answer(runtime, &client, delivery).await
}
// ANCHOR_END: capture

/// How long an answer may take, in milliseconds, and what waits for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    /// The request that captured.
    For(u32),
    /// Nothing waits, because the WebAssembly instance ends.
    Nobody(u32),
    /// Nothing waits, and the runtime may also drop the request. Therefore the request is kept
    /// until it is answered, so that the next WebAssembly instance can send it again.
    NextInstance(u32),
}

// ANCHOR: exit
/// The one exit. Decides whether something is sent, and starts the request that carries it.
///
/// A capture waits for the answer; a panic, which ends the instance, does not.
pub(crate) fn exit<R: Runtime>(
    runtime: &R,
    client: &IsolateClient,
    parcel: Parcel,
    wait: Wait,
) -> Option<Delivery<R>> {
    let envelope = prepare::envelope(runtime, client, parcel)?;
    Some(deliver::start(runtime, client, envelope, wait))
}
// ANCHOR_END: exit

/// The isolate's client, if there is one already.
fn ready(isolate: &Shared) -> Option<Rc<IsolateClient>> {
    isolate.try_borrow().ok()?.ready()
}

/// The isolate's client without waiting, for a panic. If there is none yet, one is made from the
/// bindings that can be read at once.
pub(crate) fn client_now(runtime: &impl Runtime, isolate: &Shared) -> Option<Rc<IsolateClient>> {
    match ready(isolate) {
        Some(client) => Some(client),
        None => Some(Rc::new(IsolateClient::build(
            load::load_now(runtime).ok()?.config,
        ))),
    }
}

/// The isolate's client, for a call that passes a trace on. If there is none yet, waits for a
/// load, `LOAD_MS` at most.
pub(crate) async fn ready_client(
    runtime: &impl Runtime,
    isolate: &Shared,
) -> Option<Rc<IsolateClient>> {
    match ready(isolate) {
        Some(client) => Some(client),
        None => client(runtime, isolate, runtime.now_ms() + LOAD_MS).await,
    }
}

// ANCHOR: client
/// The isolate's client: at hand, loaded by us, or loaded by somebody else.
async fn client(
    runtime: &impl Runtime,
    isolate: &Shared,
    deadline_ms: f64,
) -> Option<Rc<IsolateClient>> {
    let mut look_ms = FIRST_LOOK_MS;
    loop {
        let turn = isolate
            .try_borrow_mut()
            .ok()?
            .turn(runtime.now_ms(), LOAD_MS);
        match turn {
            Turn::Ready(client) => return Some(client),
            Turn::Load(ticket) => {
                return load_client(runtime, isolate, ticket, deadline_ms).await;
            }
            Turn::Wait if runtime.now_ms() >= deadline_ms => {
                runtime.debug("the configuration was not loaded in time; event lost");
                return None;
            }
            Turn::Wait => {
                runtime.sleep(look_ms).await;
                look_ms = (look_ms * 2).min(LONGEST_LOOK_MS);
            }
        }
    }
}
// ANCHOR_END: client

// ANCHOR: load_client
/// Loads, and gives the turn back whatever happens: by failing, by taking too
/// long, or by this future being dropped halfway.
async fn load_client(
    runtime: &impl Runtime,
    isolate: &Shared,
    ticket: Ticket,
    deadline_ms: f64,
) -> Option<Rc<IsolateClient>> {
    let _give_back = GiveBack { isolate, ticket };
    let loading = pin!(load(runtime));
    // Whoever has waited for others before has less time left.
    let left_ms = (deadline_ms - runtime.now_ms()).clamp(0.0, LOAD_MS);
    let too_late = pin!(runtime.sleep(left_ms as u32));
    let loaded = match select(loading, too_late).await {
        Either::Left((Ok(loaded), _)) => loaded,
        Either::Left((Err(complaint), _)) => {
            complain(runtime, isolate, complaint);
            return None;
        }
        Either::Right(_) => {
            runtime.debug("loading the configuration took too long; will try again");
            return None;
        }
    };
    for complaint in loaded.complaints {
        complain(runtime, isolate, complaint);
    }
    let client = isolate.try_borrow_mut().ok()?.loaded(|| {
        runtime.debug("client initialised");
        IsolateClient::build(loaded.config)
    });
    Some(client)
}
// ANCHOR_END: load_client

// ANCHOR: give_back
/// Clears the in-flight slot when a load ends without a client.
struct GiveBack<'i> {
    isolate: &'i Shared,
    ticket: Ticket,
}

impl Drop for GiveBack<'_> {
    fn drop(&mut self) {
        if let Ok(mut isolate) = self.isolate.try_borrow_mut() {
            isolate.failed(self.ticket);
        }
    }
}
// ANCHOR_END: give_back

/// Writes a complaint about a binding to the console, once for each isolate.
fn complain(runtime: &impl Runtime, isolate: &Shared, complaint: Complaint) {
    let news = isolate
        .try_borrow_mut()
        .is_ok_and(|mut isolate| isolate.is_news(complaint));
    if news {
        runtime.warn(&format!("{} {}", complaint.binding, complaint.problem));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::item::draft::drafted;
    use crate::item::{Category, Item};
    use crate::platform::testing::{Fake, Outcome, Wait, block_on};
    use crate::platform::workerd::SERVICE;
    use crate::platform::{Binding, PostError};
    use crate::steps::prepare::Make;
    use crate::wire::endpoint::user_agent;
    use std::cell::RefCell;
    use std::future::Future;
    use std::task::{Context, Poll, Waker};

    const GOOD: &str = "https://key:old@s.example.com/1";

    fn isolate() -> Shared {
        RefCell::new(slot::Isolate::new())
    }

    fn answering(reflex: fn(Wait) -> Outcome) -> Fake {
        let fake = Fake::default();
        fake.world.bind("SENTRY_DSN", GOOD);
        *fake.world.reflex.borrow_mut() = Some(reflex);
        fake
    }

    fn accepting() -> Fake {
        answering(|wait| match wait {
            Wait::Secret => Outcome::Secret(None),
            Wait::Timer { .. } => Outcome::Fired,
            Wait::Post => Outcome::Posted(Ok((200, None, None))),
        })
    }

    fn capture_one(fake: &Fake, isolate: &Shared) -> Option<Uuid> {
        let error = "x".parse::<u8>().expect_err("no number");
        block_on(capture(fake, isolate, |runtime| {
            Some(drafted(runtime, &error))
        }))
    }

    #[test]
    fn step_1_guard_without_a_dsn_nothing_happens_at_all() {
        let fake = accepting();
        fake.world.bindings.borrow_mut().clear();
        let isolate = isolate();
        assert_eq!(capture_one(&fake, &isolate), None);
        assert!(fake.world.posted.borrow().is_empty());
        assert!(fake.world.lines.borrow().is_empty());
        assert!(isolate.borrow().ready().is_none());
    }

    #[test]
    fn step_2_load_a_malformed_dsn_is_named_once_and_never_shown() {
        let fake = accepting();
        fake.world.bind("SENTRY_DSN", "hunter2");
        let isolate = isolate();
        for _ in 0..3 {
            assert_eq!(capture_one(&fake, &isolate), None);
        }
        let lines = fake.world.lines.borrow();
        let warnings: Vec<_> = lines
            .iter()
            .filter(|line| line.starts_with("warn"))
            .collect();
        assert_eq!(
            warnings,
            ["warn: SENTRY_DSN is not a Sentry DSN; nothing is reported"]
        );
        assert!(!lines.iter().any(|line| line.contains("hunter2")));
    }

    #[test]
    fn step_3_load_failure_the_next_call_tries_again_from_scratch() {
        let fake = accepting();
        fake.world
            .bindings
            .borrow_mut()
            .insert("SENTRY_DSN", Binding::Secret(()));
        let isolate = isolate();
        assert_eq!(capture_one(&fake, &isolate), None);
        fake.world.bind("SENTRY_DSN", GOOD);
        assert!(capture_one(&fake, &isolate).is_some());
    }

    #[test]
    fn step_3_load_failure_a_load_that_starts_late_ends_with_its_capture() {
        let fake = Fake::default();
        fake.world
            .bindings
            .borrow_mut()
            .insert("SENTRY_DSN", Binding::Secret(()));
        let isolate = isolate();
        let started_ms = fake.now_ms();
        // Another request's load that is going to expire a second before us.
        let late_ms = CAPTURE_MS - 1_000.0;
        let _ = isolate.borrow_mut().turn(started_ms, late_ms);
        let error = "x".parse::<u8>().expect_err("no number");
        let capture = capture(&fake, &isolate, |runtime| Some(drafted(runtime, &error)));
        // The store never answers.
        with_timers_only(&fake, capture);
        let took_ms = fake.now_ms() - started_ms;
        assert!((late_ms..=CAPTURE_MS).contains(&took_ms), "{took_ms}");
    }

    /// Runs a future of whose waits only the timers end, each at its due time. Returns its output
    /// and the length of each timer.
    fn with_timers_only<F: Future>(fake: &Fake, future: F) -> (F::Output, Vec<u64>) {
        *fake.world.reflex.borrow_mut() = None;
        let mut future = pin!(future);
        let mut context = Context::from_waker(Waker::noop());
        let mut timers = Vec::new();
        loop {
            if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
                return (output, timers);
            }
            let waiting = fake.world.waiting.borrow().clone();
            let due = waiting.iter().find_map(|waiting| match waiting.wait {
                Wait::Timer { due_ms } => Some((waiting.id, due_ms)),
                _ => None,
            });
            let (id, due_ms) = due.expect("a timer");
            timers.push(due_ms - fake.world.now_ms.get());
            fake.world.now_ms.set(due_ms);
            fake.world.end(id, Outcome::Fired);
        }
    }

    /// A runtime whose DSN is in a Secrets Store that has not answered yet.
    fn asking() -> Fake {
        let fake = Fake::default();
        let secret = Binding::Secret(());
        fake.world
            .bindings
            .borrow_mut()
            .insert("SENTRY_DSN", secret);
        fake
    }

    #[test]
    fn step_3_load_failure_a_load_that_fails_gives_its_turn_back_at_once() {
        let fake = asking();
        // The store has nothing.
        *fake.world.reflex.borrow_mut() = Some(|_| Outcome::Secret(None));
        let isolate = isolate();
        let started_ms = fake.now_ms();
        assert_eq!(capture_one(&fake, &isolate), None);
        assert_eq!(isolate.borrow().state(), "absent");
        fake.world.bind("SENTRY_DSN", GOOD);
        *fake.world.reflex.borrow_mut() = Some(|_| Outcome::Posted(Ok((200, None, None))));
        assert!(capture_one(&fake, &isolate).is_some());
        assert_eq!(fake.now_ms(), started_ms, "nobody waited for the load");
    }

    #[test]
    fn step_3_load_failure_a_load_that_is_dropped_or_too_slow_gives_its_turn_back() {
        let fake = asking();
        let isolate = isolate();
        let deadline_ms = fake.now_ms() + CAPTURE_MS;
        let mut dropped = Box::pin(client(&fake, &isolate, deadline_ms));
        let mut context = Context::from_waker(Waker::noop());
        assert!(dropped.as_mut().poll(&mut context).is_pending());
        assert_eq!(isolate.borrow().state(), "loading");
        drop(dropped);
        assert_eq!(isolate.borrow().state(), "absent");
        let (slow, timers) = with_timers_only(&fake, client(&fake, &isolate, deadline_ms));
        assert!(slow.is_none());
        assert_eq!(timers, [LOAD_MS as u64]);
        assert_eq!(isolate.borrow().state(), "absent");
    }

    #[test]
    fn step_2_load_what_only_passes_a_trace_on_waits_as_long_as_a_load_may_take() {
        // The capture's own load.
        let fake = asking();
        let (none, timers) = with_timers_only(&fake, ready_client(&fake, &isolate()));
        assert!(none.is_none());
        assert_eq!(timers, [LOAD_MS as u64]);
        // The load of another capture, which is checked at growing intervals.
        let isolate = isolate();
        let _ = isolate.borrow_mut().turn(fake.now_ms(), 2.0 * CAPTURE_MS);
        let (none, timers) = with_timers_only(&fake, ready_client(&fake, &isolate));
        assert!(none.is_none());
        assert_eq!(timers[..5], [5, 10, 20, 40, 50]);
        assert!(timers[5..].iter().all(|ms| *ms == 50), "{timers:?}");
        let took_ms: u64 = timers.iter().sum();
        assert!((2_000..2_050).contains(&took_ms), "{took_ms}");
    }

    #[test]
    fn step_2_load_what_only_passes_a_trace_on_takes_the_client_that_is_there_and_waits_for_nothing()
     {
        let fake = accepting();
        let isolate = isolate();
        assert!(capture_one(&fake, &isolate).is_some());
        let client = isolate.borrow().ready();
        let (ready, timers) = with_timers_only(&fake, ready_client(&fake, &isolate));
        assert!(Rc::ptr_eq(
            &ready.expect("a client"),
            &client.expect("a client")
        ));
        assert_eq!(timers, [0; 0]);
    }

    #[test]
    fn step_3_load_failure_a_capture_ends_with_its_own_time_while_another_loads() {
        let fake = accepting();
        let isolate = isolate();
        let started_ms = fake.now_ms();
        // Another request's load that may take longer than this capture.
        let _ = isolate.borrow_mut().turn(started_ms, 2.0 * CAPTURE_MS);
        let error = "x".parse::<u8>().expect_err("no number");
        let capture = capture(&fake, &isolate, |runtime| Some(drafted(runtime, &error)));
        with_timers_only(&fake, capture);
        let took_ms = fake.now_ms() - started_ms;
        assert!(
            (CAPTURE_MS..CAPTURE_MS + 1_000.0).contains(&took_ms),
            "{took_ms}"
        );
        let lines = fake.world.lines.borrow();
        let late = "the configuration was not loaded in time; event lost";
        assert!(lines.iter().any(|line| line.contains(late)), "{lines:?}");
        assert!(fake.world.posted.borrow().is_empty());
    }

    #[test]
    fn step_1_guard_an_isolate_that_is_busy_is_asked_past() {
        let fake = accepting();
        let isolate = isolate();
        let busy = isolate.borrow_mut();
        assert!(guard::is_configured(&fake, &isolate));
        fake.world.bindings.borrow_mut().clear();
        assert!(!guard::is_configured(&fake, &isolate));
        drop(busy);
    }

    #[test]
    fn what_cannot_be_written_as_json_is_not_sent_and_that_is_said() {
        struct Unwritable;
        impl crate::item::Item for Unwritable {
            fn kind(&self) -> &'static str {
                "event"
            }
            fn id(&self) -> Option<Uuid> {
                None
            }
            fn write(&self) -> Option<Vec<u8>> {
                None
            }
            fn trim(&mut self, _step: usize) -> bool {
                false
            }
        }
        let fake = accepting();
        let isolate = isolate();
        let make: Make = Box::new(|_| Some(Box::new(Unwritable)));
        block_on(finish(&fake, &isolate, Parcel::Item(Category::Error, make)));
        assert!(fake.world.posted.borrow().is_empty());
        let lines = fake.world.lines.borrow();
        let said = "the event could not be written as JSON; dropped";
        assert!(lines.iter().any(|line| line.contains(said)), "{lines:?}");
    }

    #[test]
    fn step_4_initialise_once_later_calls_reuse_the_client() {
        let fake = accepting();
        let isolate = isolate();
        assert!(capture_one(&fake, &isolate).is_some());
        let first = isolate.borrow().ready().expect("a client");
        // Changed bindings are not read again.
        fake.world
            .bind("SENTRY_DSN", "https://key@other.example.com/2");
        assert!(capture_one(&fake, &isolate).is_some());
        assert!(Rc::ptr_eq(
            &first,
            &isolate.borrow().ready().expect("a client")
        ));
        let posted = fake.world.posted.borrow();
        assert!(posted.iter().all(|sent| sent.url.contains("s.example.com")));
    }

    #[test]
    fn step_6_deliver_a_request_is_what_sentry_wants() {
        let fake = accepting();
        let id = capture_one(&fake, &isolate()).expect("an id");
        let posted = fake.world.posted.borrow();
        let [sent] = posted.as_slice() else {
            panic!("{} requests", posted.len());
        };
        assert_eq!(sent.url, "https://s.example.com/api/1/envelope/");
        let auth = format!(
            "Sentry sentry_version=7, sentry_client={}, sentry_key=key, sentry_secret=old",
            user_agent()
        );
        assert_eq!(
            sent.headers,
            [
                ("Content-Type", "application/x-sentry-envelope".to_owned()),
                ("User-Agent", user_agent()),
                ("X-Sentry-Auth", auth),
            ]
        );
        assert!(sent.body.contains(&id.simple().to_string()));
        assert_eq!(f64::from(sent.timeout_ms), CAPTURE_MS);
    }

    #[test]
    fn step_6_deliver_a_service_carries_every_envelope_if_one_is_bound() {
        let fake = accepting();
        let mut bindings = fake.world.bindings.borrow_mut();
        bindings.insert(SERVICE, Binding::Service);
        drop(bindings);
        let isolate = isolate();
        capture_one(&fake, &isolate).expect("an id");
        fake.world.bindings.borrow_mut().remove(SERVICE);
        capture_one(&fake, &self::isolate()).expect("an id");
        let posted = fake.world.posted.borrow();
        let carriers: Vec<_> = posted.iter().map(|sent| sent.service).collect();
        assert_eq!(carriers, [Some(SERVICE), None]);
    }

    #[test]
    fn step_6_deliver_an_answer_other_than_2xx_is_no_id_and_no_retry() {
        for reflex in [
            (|_| Outcome::Posted(Ok((400, None, None)))) as fn(Wait) -> Outcome,
            |_| Outcome::Posted(Ok((302, None, None))),
            |_| Outcome::Posted(Ok((500, None, None))),
            |_| Outcome::Posted(Err(PostError::Network)),
            |_| Outcome::Posted(Err(PostError::TimedOut)),
        ] {
            // A plain DSN is read without waiting, so only posts reach the reflex. The timer that
            // limits the load is dropped before it is polled.
            let fake = answering(reflex);
            let isolate = isolate();
            assert_eq!(capture_one(&fake, &isolate), None);
            assert_eq!(fake.world.posted.borrow().len(), 1);
            assert_eq!(capture_one(&fake, &isolate), None);
            assert_eq!(fake.world.posted.borrow().len(), 2);
        }
    }

    #[test]
    fn step_6_deliver_a_pause_that_was_asked_for_is_kept() {
        let fake = answering(|_| Outcome::Posted(Ok((429, Some("10"), None))));
        let isolate = isolate();
        capture_one(&fake, &isolate);
        capture_one(&fake, &isolate);
        assert_eq!(fake.world.posted.borrow().len(), 1);
        fake.world.now_ms.set(fake.world.now_ms.get() + 10_000);
        capture_one(&fake, &isolate);
        assert_eq!(fake.world.posted.borrow().len(), 2);
    }

    /// An item that is not an event.
    struct Beat(String);
    impl Item for Beat {
        fn kind(&self) -> &'static str {
            "check_in"
        }
        fn id(&self) -> Option<Uuid> {
            None
        }
        fn write(&self) -> Option<Vec<u8>> {
            Some(self.0.clone().into_bytes())
        }
        fn trim(&mut self, _: usize) -> bool {
            false
        }
    }

    fn beat(fake: &Fake, isolate: &Shared, category: Category) {
        let make: Make = Box::new(|client: &IsolateClient| {
            Some(Box::new(Beat(client.config.environment.to_string())))
        });
        block_on(finish(fake, isolate, Parcel::Item(category, make)));
    }

    #[test]
    fn what_is_no_event_leaves_by_the_same_exit_unsampled_and_with_the_clients_words() {
        let fake = accepting();
        fake.world.bind("SENTRY_SAMPLE_RATE", "0");
        fake.world.bind("ENVIRONMENT", "staging");
        before_send::set(Box::new(|_| None));
        beat(&fake, &isolate(), Category::Monitor);
        before_send::set(Box::new(Some));
        let posted = fake.world.posted.borrow();
        let lines: Vec<_> = posted[0].body.lines().collect();
        assert!(!lines[0].contains("event_id"), "{}", lines[0]);
        assert_eq!(lines[1..], [r#"{"type":"check_in","length":7}"#, "staging"]);
    }

    #[test]
    fn a_pause_holds_back_its_own_category_and_no_other() {
        let limited: [fn(Wait) -> Outcome; 5] = [
            |_| Outcome::Posted(Ok((429, None, Some("60:error:key")))),
            |_| Outcome::Posted(Ok((429, None, Some("60:transaction:key")))),
            |_| Outcome::Posted(Ok((429, None, Some("60:span:key")))),
            |_| Outcome::Posted(Ok((429, None, Some("60:monitor:key")))),
            |_| Outcome::Posted(Ok((429, None, Some("60:log_item:key")))),
        ];
        for (category, reflex) in Category::ALL.into_iter().zip(limited) {
            let fake = answering(reflex);
            let isolate = isolate();
            beat(&fake, &isolate, category);
            assert_eq!(fake.world.posted.borrow().len(), 1);
            for each in Category::ALL {
                beat(&fake, &isolate, each);
            }
            // All except the paused category.
            let sent = fake.world.posted.borrow().len();
            assert_eq!(sent, Category::COUNT, "{category:?}");
        }
    }

    #[test]
    fn a_sample_rate_drops_its_share_before_anything_is_sent() {
        let fake = accepting();
        fake.world.bind("SENTRY_SAMPLE_RATE", "0.25");
        let isolate = isolate();
        let sent = (0..400)
            .filter(|_| capture_one(&fake, &isolate).is_some())
            .count();
        assert!((60..140).contains(&sent), "{sent} of 400");
        assert_eq!(fake.world.posted.borrow().len(), sent);
        fake.world.bind("SENTRY_SAMPLE_RATE", "0");
        let isolate = self::isolate();
        assert_eq!(capture_one(&fake, &isolate), None);
    }

    #[test]
    fn before_send_sees_changes_and_drops() {
        let fake = accepting();
        let isolate = isolate();
        before_send::set(Box::new(|mut event| {
            event
                .tags
                .insert("seen".to_owned(), event.exception.len().to_string());
            Some(event)
        }));
        assert!(capture_one(&fake, &isolate).is_some());
        assert!(fake.world.posted.borrow()[0].body.contains(r#""seen":"1""#));
        before_send::set(Box::new(|_| None));
        assert_eq!(capture_one(&fake, &isolate), None);
        assert_eq!(fake.world.posted.borrow().len(), 1);
        before_send::set(Box::new(Some));
    }
}
