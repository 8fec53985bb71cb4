//! A runtime that tests control step by step.
//!
//! The clock does not advance until a test moves it, and each wait ends only when a
//! test ends it. Each [`Fake`] is one request's view; requests of the same
//! isolate share a [`World`].

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::error::Error;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::UNIX_EPOCH;

use uuid::Uuid;
#[cfg(test)]
use worker::Url;
use worker::wasm_bindgen::JsValue;

use super::{Binding, Kind, Look, Outgoing, PostError, Reply, Runtime, Seen, UrlParts};

/// The kind of a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    Secret,
    Timer { due_ms: u64 },
    Post,
}

/// One wait of one request.
#[derive(Clone, Debug)]
pub(crate) struct Waiting {
    pub(crate) id: usize,
    pub(crate) request: usize,
    pub(crate) wait: Wait,
}

/// How a wait ends.
#[derive(Clone, Debug)]
pub(crate) enum Outcome {
    Secret(Option<String>),
    Fired,
    Posted(Result<(u16, Option<&'static str>, Option<&'static str>), PostError>),
}

/// A function by which a [`World`] ends each wait at once, without the test.
pub(crate) type Reflex = fn(Wait) -> Outcome;

/// The state that the requests of one isolate share.
pub(crate) struct World {
    pub(crate) bindings: RefCell<BTreeMap<&'static str, Binding<()>>>,
    pub(crate) now_ms: Cell<u64>,
    pub(crate) waiting: RefCell<Vec<Waiting>>,
    outcomes: RefCell<BTreeMap<usize, Outcome>>,
    next_id: Cell<usize>,
    pub(crate) posted: RefCell<Vec<Sent>>,
    pub(crate) lines: RefCell<Vec<String>>,
    /// The stack that every caller gets.
    pub(crate) stack: RefCell<Option<String>>,
    /// How often a stack was asked for.
    pub(crate) stacks: Cell<usize>,
    pub(crate) build_id: Cell<Option<Uuid>>,
    /// Thrown values that no code handled, with their times.
    pub(crate) unhandled: RefCell<Vec<(Thing, f64)>>,
    /// How many times `has_dsn` was called.
    pub(crate) looks: Cell<usize>,
    random: Cell<u64>,
    /// How waits end if the test does not end them itself.
    pub(crate) reflex: RefCell<Option<Reflex>>,
}

/// A request that was sent.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) request: usize,
    pub(crate) service: Option<&'static str>,
    pub(crate) url: String,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: String,
    pub(crate) timeout_ms: u32,
    pub(crate) kept: bool,
}

impl Default for World {
    fn default() -> Self {
        World {
            bindings: RefCell::default(),
            // 2026-01-02T03:04:05.678Z
            now_ms: Cell::new(1_767_323_045_678),
            waiting: RefCell::default(),
            outcomes: RefCell::default(),
            next_id: Cell::default(),
            posted: RefCell::default(),
            lines: RefCell::default(),
            stack: RefCell::default(),
            stacks: Cell::default(),
            build_id: Cell::default(),
            unhandled: RefCell::default(),
            looks: Cell::default(),
            random: Cell::new(1),
            reflex: RefCell::default(),
        }
    }
}

impl World {
    /// Ends a wait. The request goes on at its next poll.
    pub(crate) fn end(&self, id: usize, outcome: Outcome) {
        self.waiting.borrow_mut().retain(|waiting| waiting.id != id);
        self.outcomes.borrow_mut().insert(id, outcome);
    }

    pub(crate) fn bind(&self, name: &'static str, text: &str) {
        self.bindings
            .borrow_mut()
            .insert(name, Binding::Text(text.to_owned()));
    }
}

/// One request's view of a [`World`].
#[derive(Clone, Default)]
pub(crate) struct Fake {
    pub(crate) world: Rc<World>,
    pub(crate) request: usize,
}

impl Fake {
    async fn wait(&self, wait: Wait) -> Outcome {
        let world = &self.world;
        if let Some(reflex) = *world.reflex.borrow() {
            if let Wait::Timer { due_ms } = wait {
                world.now_ms.set(world.now_ms.get().max(due_ms));
            }
            return reflex(wait);
        }
        let id = self.begin(wait);
        self.until_ended(id).await
    }

    fn begin(&self, wait: Wait) -> usize {
        let world = &self.world;
        let id = world.next_id.get();
        world.next_id.set(id + 1);
        world.waiting.borrow_mut().push(Waiting {
            id,
            request: self.request,
            wait,
        });
        id
    }

    async fn until_ended(&self, id: usize) -> Outcome {
        let world = &self.world;
        // Dropping this future removes the wait from the list.
        let _forget = Forget { world, id };
        poll_fn(|_| match world.outcomes.borrow_mut().remove(&id) {
            Some(outcome) => Poll::Ready(outcome),
            None => Poll::Pending,
        })
        .await
    }
}

struct Forget<'w> {
    world: &'w World,
    id: usize,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        let id = self.id;
        self.world
            .waiting
            .borrow_mut()
            .retain(|waiting| waiting.id != id);
    }
}

/// An invented JavaScript value. Two are equal if they are the same object.
#[derive(Clone, Debug, Default)]
pub(crate) struct Thing(Rc<Facts>);

/// The contents of a [`Thing`].
#[derive(Debug, Default)]
pub(crate) struct Facts {
    pub(crate) seen: Seen,
    pub(crate) cause: RefCell<Option<Thing>>,
    pub(crate) errors: RefCell<Vec<Thing>>,
    pub(crate) marks: Vec<&'static str>,
}

impl Thing {
    /// An `Error` with a name and a message.
    pub(crate) fn error(name: &str, message: &str) -> Self {
        Thing::of(Facts {
            seen: Seen {
                name: Some(name.to_owned()),
                message: Some(message.to_owned()),
                ..Seen::default()
            },
            ..Facts::default()
        })
    }

    pub(crate) fn of(facts: Facts) -> Self {
        Thing(Rc::new(facts))
    }

    pub(crate) fn caused_by(self, cause: &Thing) -> Self {
        self.0.cause.replace(Some(cause.clone()));
        self
    }

    pub(crate) fn with_errors(self, errors: &[Thing]) -> Self {
        self.0.errors.replace(errors.to_vec());
        self
    }
}

impl PartialEq for Thing {
    fn eq(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }
}

/// An error that holds a [`Thing`], as `worker::Error` holds a JavaScript value.
#[derive(Debug)]
pub(crate) struct Holding(pub(crate) Thing);

impl std::fmt::Display for Holding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the value has code that runs now")
    }
}

impl Error for Holding {}

/// A started request: the number of its wait, or its outcome if it ended at once.
pub(crate) struct Started {
    id: usize,
    at_once: Option<Outcome>,
}

impl Runtime for Fake {
    type Secret = ();
    type Value = Thing;
    type Sent = Started;

    fn now_ms(&self) -> f64 {
        self.world.now_ms.get() as f64
    }

    fn has_dsn(&self) -> bool {
        self.world.looks.set(self.world.looks.get() + 1);
        self.binding("SENTRY_DSN") != Binding::Absent
    }

    fn binding(&self, name: &'static str) -> Binding<()> {
        let bindings = self.world.bindings.borrow();
        bindings.get(name).cloned().unwrap_or(Binding::Absent)
    }

    async fn secret(&self, (): ()) -> Option<String> {
        match self.wait(Wait::Secret).await {
            Outcome::Secret(secret) => secret,
            other => panic!("a secret ended as {other:?}"),
        }
    }

    async fn sleep(&self, ms: u32) {
        let due_ms = self.world.now_ms.get() + u64::from(ms);
        self.wait(Wait::Timer { due_ms }).await;
    }

    fn send(&self, request: Outgoing<'_>, timeout_ms: u32, kept: bool) -> Started {
        self.world.posted.borrow_mut().push(Sent {
            request: self.request,
            service: request.service,
            url: request.url.to_owned(),
            headers: request.headers.to_vec(),
            body: String::from_utf8(request.body.to_vec()).expect("an envelope is text"),
            timeout_ms,
            kept,
        });
        let reflex = *self.world.reflex.borrow();
        match reflex {
            Some(reflex) => Started {
                id: 0,
                at_once: Some(reflex(Wait::Post)),
            },
            None => Started {
                id: self.begin(Wait::Post),
                at_once: None,
            },
        }
    }

    async fn answer(&self, sent: Started) -> Result<Reply, PostError> {
        let outcome = match sent.at_once {
            Some(outcome) => outcome,
            None => self.until_ended(sent.id).await,
        };
        match outcome {
            Outcome::Posted(outcome) => outcome.map(|(status, retry_after, rate_limits)| Reply {
                status,
                retry_after: retry_after.map(str::to_owned),
                rate_limits: rate_limits.map(str::to_owned),
            }),
            other => panic!("a post ended as {other:?}"),
        }
    }

    fn value(&self, value: &JsValue) -> Thing {
        let kind = match (value.is_null(), value.is_undefined()) {
            (true, _) => Kind::Null,
            (_, true) => Kind::Undefined,
            _ => Kind::Object,
        };
        Thing::of(Facts {
            seen: Seen {
                kind,
                ..Seen::default()
            },
            ..Facts::default()
        })
    }

    fn value_in(&self, error: &(dyn Error + 'static)) -> Option<Thing> {
        let holding: &Holding = error.downcast_ref()?;
        Some(holding.0.clone())
    }

    fn look(&self, Thing(facts): &Thing) -> Look<Thing> {
        Look {
            seen: facts.seen.clone(),
            cause: facts.cause.borrow().clone(),
            errors: facts.errors.borrow().clone(),
            marks: facts.marks.clone(),
        }
    }

    fn stack(&self) -> Option<String> {
        self.world.stacks.set(self.world.stacks.get() + 1);
        self.world.stack.borrow().clone()
    }

    fn build_id(&self) -> Option<Uuid> {
        self.world.build_id.get()
    }

    fn is_news(&self) -> bool {
        !self.world.unhandled.borrow().is_empty()
    }

    async fn resend(&self) {}

    fn take_unhandled(&self) -> Vec<(Thing, f64)> {
        self.world.unhandled.take()
    }

    fn will_trap(&self) {
        self.world.lines.borrow_mut().push("will trap".to_owned());
    }

    fn parse_url(&self, text: &str) -> Option<UrlParts> {
        parse_url(text)
    }

    fn parse_number(&self, text: &str) -> f64 {
        text.parse().unwrap_or(f64::NAN)
    }

    fn parse_date(&self, text: &str) -> f64 {
        let date = httpdate::parse_http_date(text).ok();
        let since = date.and_then(|date| date.duration_since(UNIX_EPOCH).ok());
        since.map_or(f64::NAN, |since| since.as_secs_f64() * 1_000.0)
    }

    /// The bytes differ at each call and are the same in each run of the tests.
    fn random_bytes<const N: usize>(&self) -> Option<[u8; N]> {
        let mut bytes = [0; N];
        for part in bytes.chunks_mut(8) {
            let next = self
                .world
                .random
                .get()
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            self.world.random.set(next);
            part.copy_from_slice(&next.rotate_left(17).to_le_bytes()[..part.len()]);
        }
        Some(bytes)
    }

    fn warn(&self, line: &str) {
        self.world.lines.borrow_mut().push(format!("warn: {line}"));
    }

    /// Always on, so that tests see every line.
    fn debug_switch(&self) -> Option<String> {
        Some("on".to_owned())
    }

    fn log(&self, line: &str) {
        self.world.lines.borrow_mut().push(format!("debug: {line}"));
    }
}

/// The parser of [`worker::Url`], which follows the same standard as that of the
/// runtime.
#[cfg(test)]
pub(crate) fn parse_url(text: &str) -> Option<UrlParts> {
    let url = Url::parse(text).ok()?;
    let port = url.port().map(|port| format!(":{port}"));
    Some(UrlParts {
        protocol: format!("{}:", url.scheme()),
        username: url.username().to_owned(),
        password: url.password().unwrap_or_default().to_owned(),
        host: url.host_str()?.to_owned() + &port.unwrap_or_default(),
        pathname: url.path().to_owned(),
        href: url.into(),
    })
}

/// Reads a plain URL. The laboratory has only such URLs, and the tables of Unicode of
/// [`worker::Url`] would be the largest part of its download.
#[cfg(not(test))]
pub(crate) fn parse_url(text: &str) -> Option<UrlParts> {
    plain_url(text)
}

/// Reads `PROTOCOL://[USER[:PASSWORD]@]HOST[/PATH]` without normalising it.
fn plain_url(text: &str) -> Option<UrlParts> {
    let (protocol, rest) = text.split_once("://")?;
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    let (username, password) = user.split_once(':').unwrap_or((user, ""));
    Some(UrlParts {
        href: text.to_owned(),
        protocol: [protocol, ":"].concat(),
        username: username.to_owned(),
        password: password.to_owned(),
        host: host.to_owned(),
        pathname: ["/", path].concat(),
    })
}

/// Polls a future until it is ready. For futures that go on without a waker.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..10_000 {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
    }
    panic!("the future waits for something nobody ends");
}

/// Returns `Pending` once, so that other futures are polled.
pub(crate) async fn yield_once() {
    let mut yielded = false;
    poll_fn(|_| {
        if std::mem::replace(&mut yielded, true) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_url_is_read_like_any_other() {
        for text in [
            "https://key@sentry.example.com/1",
            "https://key:old@s.example.com:8000/a/b/2",
        ] {
            assert_eq!(plain_url(text), parse_url(text));
        }
        assert_eq!(plain_url("no address"), None);
    }
}
