//! The interface for the laboratory of the book. Not an API: it changes with the crate.
//!
//! The steps, the scope and the states are those of every capture. Here they use the
//! runtime of the native tests, which the laboratory controls step by step, and an isolate of
//! their own instead of the thread's.

use std::cell::RefCell;
use std::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;

use uuid::Uuid;

use crate::api::wrap::drafts;
use crate::item::draft::Draft;
use crate::item::place::{Handler, MAIN, Place};
use crate::panics;
use crate::platform::testing::{self, Fake, Outcome};
use crate::platform::{Binding, PostError, Runtime};
use crate::scope::{Scope, resume};
use crate::steps::client::IsolateClient;
use crate::steps::slot::{self, Shared};
use crate::steps::{self, CAPTURE_MS, deliver, guard, load};
use crate::{IntoReport, Report};

/// A future that runs in the background of a handler.
pub type Task = Pin<Box<dyn Future<Output = ()>>>;

/// The state that all handlers of an experiment share: a clock, a store, a receiver, a console.
#[derive(Clone, Default)]
pub struct World(Rc<testing::World>);

/// The kind of a handler's wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// The secret store.
    Store,
    /// A timer of the handler.
    Timer {
        /// When the timer fires.
        due_ms: u64,
    },
    /// The receiver's answer.
    Receiver,
}

/// One wait of one handler.
#[derive(Clone, Copy, Debug)]
pub struct Waiting {
    /// The number of the wait.
    pub id: usize,
    /// The handler's number.
    pub handler: usize,
    /// The kind of the wait.
    pub wait: Wait,
}

/// How a wait ends.
#[derive(Clone, Copy, Debug)]
pub enum Ending {
    /// The store returns the DSN, or fails.
    Secret(Option<&'static str>),
    /// The timer fires.
    Fired,
    /// The receiver answers.
    Answered {
        /// The status.
        status: u16,
        /// The header `Retry-After`.
        retry_after: Option<&'static str>,
        /// The header `X-Sentry-Rate-Limits`.
        rate_limits: Option<&'static str>,
    },
    /// The connection is lost.
    CutOff,
    /// There was no answer in time.
    TimedOut,
}

/// A request to the receiver.
#[derive(Clone, Debug)]
pub struct Posted {
    /// The handler that sent it.
    pub handler: usize,
    /// The URL.
    pub url: String,
    /// The headers.
    pub headers: Vec<(&'static str, String)>,
    /// The envelope.
    pub body: String,
    /// The time limit.
    pub timeout_ms: u32,
}

impl World {
    /// Binds `SENTRY_DSN` to a secret store, or to nothing.
    pub fn bind_store(&self, is_bound: bool) {
        let mut bindings = self.0.bindings.borrow_mut();
        bindings.remove(load::DSN);
        if is_bound {
            bindings.insert(load::DSN, Binding::Secret(()));
        }
    }

    /// Milliseconds since the Unix epoch.
    pub fn now_ms(&self) -> u64 {
        self.0.now_ms.get()
    }

    /// Moves the clock. It never goes back.
    pub fn advance_to(&self, ms: u64) {
        self.0.now_ms.set(self.now_ms().max(ms));
    }

    /// All waits that have not ended.
    pub fn waiting(&self) -> Vec<Waiting> {
        let waiting = self.0.waiting.borrow();
        let known = waiting.iter().map(|it| Waiting {
            id: it.id,
            handler: it.request,
            wait: match it.wait {
                testing::Wait::Secret => Wait::Store,
                testing::Wait::Timer { due_ms } => Wait::Timer { due_ms },
                testing::Wait::Post => Wait::Receiver,
            },
        });
        known.collect()
    }

    /// Ends a wait. The handler goes on at its next poll.
    pub fn end(&self, id: usize, ending: Ending) {
        let outcome = match ending {
            Ending::Secret(secret) => Outcome::Secret(secret.map(str::to_owned)),
            Ending::Fired => Outcome::Fired,
            Ending::Answered {
                status,
                retry_after,
                rate_limits,
            } => Outcome::Posted(Ok((status, retry_after, rate_limits))),
            Ending::CutOff => Outcome::Posted(Err(PostError::Network)),
            Ending::TimedOut => Outcome::Posted(Err(PostError::TimedOut)),
        };
        self.0.end(id, outcome);
    }

    /// The requests to the receiver after the first `known` ones.
    pub fn posted(&self, known: usize) -> Vec<Posted> {
        let posted = self.0.posted.borrow();
        let news = posted.iter().skip(known).map(|it| Posted {
            handler: it.request,
            url: it.url.clone(),
            headers: it.headers.clone(),
            body: it.body.clone(),
            timeout_ms: it.timeout_ms,
        });
        news.collect()
    }

    /// The console's lines after the first `known` ones.
    pub fn lines(&self, known: usize) -> Vec<String> {
        self.0.lines.borrow().iter().skip(known).cloned().collect()
    }

    /// How many times a handler asked whether there is a DSN.
    pub fn looks(&self) -> usize {
        self.0.looks.get()
    }

    /// The platform as one handler sees it.
    pub fn platform(&self, handler: usize) -> Platform {
        Platform {
            fake: Fake {
                world: Rc::clone(&self.0),
                request: handler,
            },
            ids: Rc::default(),
        }
    }
}

/// The state that the handlers of one isolate share.
#[derive(Clone)]
pub struct Isolate(Rc<Shared>);

impl Default for Isolate {
    fn default() -> Self {
        Isolate(Rc::new(RefCell::new(slot::Isolate::new())))
    }
}

impl Isolate {
    /// `absent`, `loading` or `ready`.
    pub fn state(&self) -> &'static str {
        self.0.borrow().state()
    }
}

/// The platform as one handler sees it.
#[derive(Clone)]
pub struct Platform {
    fake: Fake,
    ids: Rc<RefCell<Vec<Option<Uuid>>>>,
}

/// A client that was loaded.
#[derive(Clone)]
pub struct Client(Rc<IsolateClient>);

impl Platform {
    /// The results of this handler's finished captures: the id of the event, or `None`.
    pub fn captured(&self) -> Vec<Option<String>> {
        let ids = self.ids.borrow();
        let text = |id: &Option<Uuid>| id.map(|id| id.simple().to_string());
        ids.iter().map(text).collect()
    }

    fn note(&self, id: Option<Uuid>) {
        self.ids.borrow_mut().push(id);
    }

    fn deliver(&self, isolate: &Isolate, draft: Draft) -> Task {
        let (platform, isolate) = (self.clone(), isolate.clone());
        Box::pin(async move {
            let id = steps::finish(&platform.fake, &isolate.0, draft.into()).await;
            platform.note(id);
        })
    }

    /// `with_sentry_in_isolate`.
    pub async fn in_isolate<T, E, Kind>(
        &self,
        isolate: &Isolate,
        class: &'static str,
        handler: Handler,
        body: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E>
    where
        for<'e> &'e E: IntoReport<'e, Kind>,
    {
        self.wrapped(isolate, Place::new(class, handler), None, body)
            .await
    }

    /// `with_sentry_worker`.
    pub async fn in_worker<T, E, Kind>(
        &self,
        isolate: &Isolate,
        wait_until: impl FnOnce(Task),
        handler: Handler,
        body: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E>
    where
        for<'e> &'e E: IntoReport<'e, Kind>,
    {
        let place = Place::new(MAIN, handler);
        let background: Option<Box<dyn FnOnce(Task) + '_>> = Some(Box::new(wait_until));
        self.wrapped(isolate, place, background, body).await
    }

    async fn wrapped<T, E, Kind>(
        &self,
        isolate: &Isolate,
        place: Place,
        wait_until: Option<Box<dyn FnOnce(Task) + '_>>,
        body: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E>
    where
        for<'e> &'e E: IntoReport<'e, Kind>,
    {
        if !guard::is_configured(&self.fake, &isolate.0) {
            return body.await;
        }
        let scope = Scope::new(place);
        let outcome = scope.run(body).await;
        for draft in drafts(&self.fake, &scope, &outcome) {
            scope.send(self.deliver(isolate, draft));
        }
        if scope.has_errands() {
            match wait_until {
                Some(wait_until) => wait_until(Box::pin(scope.finish())),
                None => scope.finish().await,
            }
        }
        resume(outcome)
    }

    /// `capture_exception_in_background`.
    pub fn capture_in_background(
        &self,
        isolate: &Isolate,
        wait_until: impl FnOnce(Task),
        report: Report<'_>,
    ) {
        if guard::is_configured(&self.fake, &isolate.0) {
            let draft = report.read(&self.fake);
            wait_until(self.deliver(isolate, draft));
        }
    }

    /// Reports a panic of a build that aborts, as the hook does. No code of the isolate runs
    /// after it.
    pub fn panic(&self, isolate: &Isolate, class: &'static str, handler: Handler, text: &str) {
        let draft = Draft::of_panic(text, None, Place::new(class, handler));
        let wait = steps::Wait::Nobody(CAPTURE_MS as u32);
        panics::send(&self.fake, &isolate.0, draft, wait);
    }

    /// Only steps 2 and 5, for an experiment with another guard than that of this crate.
    pub async fn load(&self) -> Option<Client> {
        let loaded = load::load(&self.fake).await.ok()?;
        Some(Client(Rc::new(IsolateClient::build(loaded.config))))
    }

    /// Only step 6.
    pub async fn send<E: Error + 'static>(
        &self,
        client: &Client,
        class: &'static str,
        handler: Handler,
        error: &E,
    ) {
        let report = Report::new(error).in_handler(class, handler).handled(false);
        let draft = report.read(&self.fake);
        let wait = steps::Wait::For(CAPTURE_MS as u32);
        let id = match steps::exit(&self.fake, &client.0, draft.into(), wait) {
            Some(delivery) => deliver::answer(&self.fake, &client.0, delivery).await,
            None => None,
        };
        self.note(id);
    }

    /// Whether a DSN is bound.
    pub fn has_dsn(&self) -> bool {
        self.fake.has_dsn()
    }
}
