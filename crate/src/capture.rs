//! The six steps in order. Everything else in the crate is one of them.

use std::pin::pin;
use std::rc::Rc;

use futures_util::future::{Either, select};
use sentry_core::protocol::{Event, Uuid};

use crate::client::IsolateClient;
use crate::deliver::deliver;
use crate::event::Draft;
use crate::isolate::{Shared, Ticket, Turn};
use crate::load::{Complaint, load};
use crate::report::Report;
use crate::runtime::Runtime;
use crate::wrap::Scope;
use crate::{before_send, envelope, guard};

/// No capture takes longer than this, in milliseconds, whatever goes wrong.
pub(crate) const CAPTURE_MS: f64 = 5_000.0;
/// A load that takes longer than this counts as failed.
pub(crate) const LOAD_MS: f64 = 2_000.0;
/// How often a caller looks whether another one's load is done: at first, and
/// at most.
const FIRST_LOOK_MS: u32 = 5;
const LONGEST_LOOK_MS: u32 = 50;

// ANCHOR: capture
/// One capture, from the guard to the receiver's answer.
pub(crate) async fn capture(
    runtime: &impl Runtime,
    isolate: &Shared,
    report: Report<'_>,
) -> Option<Uuid> {
    // 1. Guard.
    if !guard::is_configured(runtime) {
        return None;
    }
    // The error is read before the first wait; after it, it may be gone.
    let draft = Draft::read(report);
    Scope::note(draft.identity());
    finish(runtime, isolate, draft).await
}

/// The steps that can wait.
pub(crate) async fn finish(runtime: &impl Runtime, isolate: &Shared, draft: Draft) -> Option<Uuid> {
    let deadline_ms = runtime.now_ms() + CAPTURE_MS;
    // 2. Load, 3. load failure, 4. initialise once, 5. build the client.
    let client = client(runtime, isolate, deadline_ms).await?;
    // 6. Capture and deliver.
    send(runtime, &client, draft, deadline_ms).await
}
// ANCHOR_END: capture

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

// ANCHOR: send
/// Builds the event and delivers it in what is left of the time.
async fn send(
    runtime: &impl Runtime,
    client: &IsolateClient,
    draft: Draft,
    deadline_ms: f64,
) -> Option<Uuid> {
    let now_ms = runtime.now_ms();
    if !client.limits.try_borrow().ok()?.allow(now_ms) {
        runtime.debug("the receiver asked for a pause; event dropped");
        return None;
    }
    let event = event(runtime, client.config.sample_rate, draft)?;
    let id = event.event_id;
    let event = client.prepare(event)?;
    let Some(envelope) = envelope::write(&client.config, event, &runtime.now_text()) else {
        runtime.debug("the event could not be written as JSON; dropped");
        return None;
    };
    let left_ms = (deadline_ms - now_ms).max(0.0) as u32;
    deliver(runtime, client, id, &envelope, left_ms).await
}
// ANCHOR_END: send

/// The event, unless it is sampled out or the application drops it.
///
/// Both are decided here and not in `sentry-core`, which would account for the
/// loss with a time stamp that it cannot take on this platform.
pub(crate) fn event(
    runtime: &impl Runtime,
    sample_rate: f32,
    draft: Draft,
) -> Option<Event<'static>> {
    if !sampled_in(runtime, sample_rate) {
        runtime.debug("event sampled out");
        return None;
    }
    let id = event_id(runtime)?;
    let event = draft.into_event(id, runtime.now_ms());
    let event = before_send::apply(event);
    if event.is_none() {
        runtime.debug("before_send dropped the event");
    }
    event
}

fn sampled_in(runtime: &impl Runtime, rate: f32) -> bool {
    if rate >= 1.0 {
        return true;
    }
    let Some([a, b, c, d, ..]) = runtime.random_bytes() else {
        return true;
    };
    let at = f64::from(u32::from_le_bytes([a, b, c, d])) / f64::from(u32::MAX);
    at < f64::from(rate)
}

/// A random id. `Uuid::new_v4` would do the same and panic where it cannot.
fn event_id(runtime: &impl Runtime) -> Option<Uuid> {
    let Some(bytes) = runtime.random_bytes() else {
        runtime.debug("no random numbers here; event lost");
        return None;
    };
    Some(uuid::Builder::from_random_bytes(bytes).into_uuid())
}

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

/// Names an unusable binding, once for each isolate.
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
    use crate::runtime::{Binding, PostError};
    use crate::testing::{Fake, Outcome, Wait, block_on};
    use std::cell::RefCell;
    use std::future::Future;
    use std::task::{Context, Waker};

    const GOOD: &str = "https://key:old@s.example.com/1";

    fn isolate() -> Shared {
        RefCell::new(crate::isolate::Isolate::new())
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
        block_on(capture(fake, isolate, Report::new(&error)))
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
        let mut capture = pin!(capture(&fake, &isolate, Report::new(&error)));
        let mut context = Context::from_waker(Waker::noop());
        while capture.as_mut().poll(&mut context).is_pending() {
            let waiting = fake.world.waiting.borrow().clone();
            // The store never answers; only timers end.
            let (id, due_ms) = waiting
                .iter()
                .find_map(|waiting| match waiting.wait {
                    Wait::Timer { due_ms } => Some((waiting.id, due_ms)),
                    _ => None,
                })
                .expect("a timer");
            fake.world.now_ms.set(due_ms);
            fake.world.end(id, Outcome::Fired);
        }
        let took_ms = fake.now_ms() - started_ms;
        assert!((late_ms..=CAPTURE_MS).contains(&took_ms), "{took_ms}");
    }

    #[test]
    fn step_4_initialise_once_later_calls_reuse_the_client() {
        let fake = accepting();
        let isolate = isolate();
        assert!(capture_one(&fake, &isolate).is_some());
        let first = isolate.borrow().ready().expect("a client");
        // Changed bindings are not looked at again.
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
            crate::deliver::USER_AGENT
        );
        assert_eq!(
            sent.headers,
            [
                ("Content-Type", "application/x-sentry-envelope".to_owned()),
                ("User-Agent", crate::deliver::USER_AGENT.to_owned()),
                ("X-Sentry-Auth", auth),
            ]
        );
        assert!(sent.body.contains(&id.simple().to_string()));
        assert_eq!(f64::from(sent.timeout_ms), CAPTURE_MS);
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
            // A plain DSN needs no waiting, so only posts reach the reflex; the
            // guard timer of the load is dropped before it is polled.
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
        crate::set_before_send(|mut event| {
            event
                .tags
                .insert("seen".to_owned(), event.exception.len().to_string());
            Some(event)
        });
        assert!(capture_one(&fake, &isolate).is_some());
        assert!(fake.world.posted.borrow()[0].body.contains(r#""seen":"1""#));
        crate::set_before_send(|_| None);
        assert_eq!(capture_one(&fake, &isolate), None);
        assert_eq!(fake.world.posted.borrow().len(), 1);
        crate::set_before_send(Some);
    }
}
