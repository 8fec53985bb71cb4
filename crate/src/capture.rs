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
use crate::{before_send, guard};

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
            Turn::Load(ticket) => return load_client(runtime, isolate, ticket).await,
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
) -> Option<Rc<IsolateClient>> {
    let _give_back = GiveBack { isolate, ticket };
    let loading = pin!(load(runtime));
    let too_late = pin!(runtime.sleep(LOAD_MS as u32));
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
    let envelope = client.envelope(event)?;
    let left_ms = (deadline_ms - now_ms).max(0.0) as u32;
    deliver(runtime, client, id, envelope, left_ms).await
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

/// Names an unusable binding, once for each isolate.
fn complain(runtime: &impl Runtime, isolate: &Shared, complaint: Complaint) {
    let news = isolate
        .try_borrow_mut()
        .is_ok_and(|mut isolate| isolate.is_news(complaint));
    if news {
        runtime.warn(&format!("{} {}", complaint.binding, complaint.problem));
    }
}
