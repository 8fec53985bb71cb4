//! One trace over several isolates: continues incoming traces, and passes traces on with calls.

use std::fmt;
use std::future::Future;
use std::rc::Rc;

use serde::{Deserialize, Serialize};
use worker::js_sys::futures::JsFuture;
use worker::wasm_bindgen::{JsCast, JsValue};
use worker::{Fetcher, Headers, Request, RequestInit, Response, Result, Stub};

use crate::panics;
use crate::platform::Runtime;
use crate::platform::workerd::{Workerd, get, native_span, put_texts, take};
use crate::scope::Scope;
use crate::steps;
use crate::steps::slot::shared;
use crate::trace::head::Random;
use crate::trace::outgoing::{self, Existing};
use crate::trace::run::{Located, Origin};
use crate::trace::{Incoming, Own, SpanId, Trace, TraceId, baggage, sentry_trace, traceparent};

/// Makes the current run a part of the trace that `source` carries: the trace of `sentry-trace`
/// and `baggage`, or else that of `traceparent`.
///
/// Call this first in a wrapped handler's body. Without this call, a run has a trace of its own.
/// Only the first source of a run counts. As soon as a report or a call that passes the trace on
/// has used the trace, it does not change any more.
///
/// Returns at once and keeps only a reference to the headers. They are read when something needs
/// the trace. If the headers are malformed, or come from another organisation in Sentry, the run
/// has a trace of its own. Outside of a wrapper or without a DSN, this does nothing.
///
/// ```no_run
/// # mod worker_module {
/// use worker::{Context, Env, Request, Response, Result, event};
/// use worker_sentry::{Handler, continue_trace, with_sentry_worker};
///
/// #[event(fetch)]
/// async fn fetch(request: Request, env: Env, context: Context) -> Result<Response> {
///     with_sentry_worker(&env, &context, Handler::Fetch, async {
///         continue_trace(&request);
///         Response::ok(request.path())
///     })
///     .await
/// }
/// # }
/// ```
///
/// The rules: <https://develop.sentry.dev/sdk/foundations/trace-propagation/>
pub fn continue_trace(source: &impl TraceSource) {
    if let Some(scope) = Scope::current()
        && !scope.position().run().continues(source.carried().0)
        && let Some(env) = panics::env()
    {
        Workerd::owned(&env).debug("this run has its trace already; what came in is not continued");
    }
}

/// A value that can carry an incoming trace: a [`Request`], its [`Headers`], [`TraceHeaders`]
/// from anywhere else, or a [`CloudflareTrace`].
///
/// ```no_run
/// use worker::Request;
/// use worker_sentry::{TraceSource, continue_trace};
///
/// fn begin(request: &Request, source: Option<&impl TraceSource>) {
///     match source {
///         Some(source) => continue_trace(source),
///         None => continue_trace(request),
///     }
/// }
/// ```
pub trait TraceSource: sealed::Sealed {
    /// A handle to the source.
    #[doc(hidden)]
    fn carried(&self) -> Carried;
}

/// A handle to what carries a trace. Not an API.
#[doc(hidden)]
pub struct Carried(Rc<dyn Origin>);

impl fmt::Debug for Carried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Carried")
    }
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for worker::Request {}
    impl Sealed for worker::Headers {}
    impl Sealed for super::TraceHeaders {}
    impl Sealed for super::CloudflareTrace {}
}

impl TraceSource for Request {
    fn carried(&self) -> Carried {
        #[cfg(feature = "spans")]
        return Carried(Rc::new(IncomingRequest(Clone::clone(self.inner()))));
        #[cfg(not(feature = "spans"))]
        self.headers().carried()
    }
}

/// A request. Its method is read as well as its headers.
#[cfg(feature = "spans")]
struct IncomingRequest(worker::web_sys::Request);

#[cfg(feature = "spans")]
impl Origin for IncomingRequest {
    fn begin(&self, own: &Own<'_>, random: Random) -> Trace {
        IncomingHeaders(Headers(self.0.headers())).begin(own, random)
    }

    fn method(&self) -> Option<String> {
        Some(self.0.method())
    }
}

impl TraceSource for Headers {
    fn carried(&self) -> Carried {
        // The clone refers to the same headers in JavaScript; it does not copy them.
        Carried(Rc::new(IncomingHeaders(Headers(self.0.clone()))))
    }
}

struct IncomingHeaders(Headers);

impl Origin for IncomingHeaders {
    fn begin(&self, own: &Own<'_>, random: Random) -> Trace {
        begin(Some(&self.0), None, own, random)
    }
}

/// Begins the trace of a request's headers, or else that of the platform's span.
fn begin(
    headers: Option<&Headers>,
    platform: Option<(TraceId, SpanId)>,
    own: &Own<'_>,
    random: Random,
) -> Trace {
    let read = |name| headers?.get(name).ok().flatten();
    let sentry_trace = read(sentry_trace::NAME);
    let (baggage, traceparent) = match sentry_trace {
        Some(_) => (read(baggage::NAME), None),
        None => (None, read(traceparent::NAME)),
    };
    let incoming = Incoming {
        sentry_trace: sentry_trace.as_deref(),
        baggage: baggage.as_deref(),
        traceparent: traceparent.as_deref(),
        platform,
        ..Incoming::default()
    };
    Trace::start(&incoming, own, None, random)
}

/// The trace that Cloudflare itself records, if it records this run.
///
/// Give it to [`continue_trace`]. The run's events then have the ids of Cloudflare's own span.
/// By these ids the trace is found in Cloudflare's dashboard and wherever its spans are
/// [exported] to. If Cloudflare does not trace the run, or the runtime does not expose the ids
/// (it does since [October 2026]), the run has a trace of its own.
///
/// Create it before the first `await` of a handler's body. Creating it calls the runtime once,
/// at once: after an `await` in Rust the runtime no longer knows which run is current.
/// Cloudflare itself passes its trace on to Durable Objects and service bindings.
///
/// Use it only without `SENTRY_TRACES_SAMPLE_RATE`. With a rate and the feature `spans`, the
/// run's own transaction is below Cloudflare's span, so the same work is shown twice.
///
/// ```no_run
/// # mod worker_module {
/// use worker::{Context, Env, Request, Response, Result, event};
/// use worker_sentry::{CloudflareTrace, Handler, continue_trace, with_sentry_worker};
///
/// #[event(fetch)]
/// async fn fetch(request: Request, env: Env, context: Context) -> Result<Response> {
///     with_sentry_worker(&env, &context, Handler::Fetch, async {
///         continue_trace(&CloudflareTrace::unless(&request));
///         Response::ok(request.path())
///     })
///     .await
/// }
/// # }
/// ```
///
/// [exported]: https://developers.cloudflare.com/workers/observability/exporting-opentelemetry-data/sentry/
/// [October 2026]: https://developers.cloudflare.com/changelog/post/2026-10-26-span-context-status-update-name/
#[derive(Clone, Debug)]
pub struct CloudflareTrace {
    headers: Option<Headers>,
    span: Option<(TraceId, SpanId)>,
}

impl CloudflareTrace {
    /// The trace of a run without a request: an alarm, a message, a Workflow.
    ///
    /// ```no_run
    /// use worker_sentry::{CloudflareTrace, continue_trace};
    ///
    /// async fn sweep() {
    ///     continue_trace(&CloudflareTrace::here());
    /// }
    /// ```
    pub fn here() -> Self {
        CloudflareTrace {
            headers: None,
            span: native_span().as_deref().and_then(ids),
        }
    }

    /// The trace of the request's headers if they carry one, or else Cloudflare's trace.
    ///
    /// ```no_run
    /// use worker::Request;
    /// use worker_sentry::{CloudflareTrace, continue_trace};
    ///
    /// async fn answer(request: Request) {
    ///     continue_trace(&CloudflareTrace::unless(&request));
    /// }
    /// ```
    pub fn unless(request: &Request) -> Self {
        CloudflareTrace {
            headers: Some(Headers(request.headers().0.clone())),
            ..CloudflareTrace::here()
        }
    }
}

fn ids(text: &str) -> Option<(TraceId, SpanId)> {
    let (trace_id, span_id) = text.split_at_checked(32)?;
    Some((TraceId::read(trace_id)?, SpanId::read(span_id)?))
}

impl TraceSource for CloudflareTrace {
    fn carried(&self) -> Carried {
        Carried(Rc::new(CloudflareTrace {
            headers: self.headers.as_ref().map(|it| Headers(it.0.clone())),
            span: self.span,
        }))
    }
}

impl Origin for CloudflareTrace {
    fn begin(&self, own: &Own<'_>, random: Random) -> Trace {
        begin(self.headers.as_ref(), self.span, own, random)
    }
}

/// A trace in a form that can be sent without headers: in a message of your own, in the
/// arguments of an RPC call, over a WebSocket.
///
/// [`current_trace`] makes it on the sending side, and [`continue_trace`] takes it on the
/// receiving side.
///
/// ```no_run
/// use serde::{Deserialize, Serialize};
/// use worker_sentry::{TraceHeaders, continue_trace, current_trace};
///
/// #[derive(Serialize, Deserialize)]
/// struct Call {
///     list: String,
///     trace: Option<TraceHeaders>,
/// }
///
/// async fn outgoing(list: String) -> Call {
///     Call { list, trace: current_trace().await }
/// }
///
/// fn incoming(call: &Call) {
///     if let Some(trace) = &call.trace {
///         continue_trace(trace);
///     }
/// }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceHeaders {
    /// The value of the header `sentry-trace`.
    #[serde(rename = "sentry-trace")]
    pub sentry_trace: String,
    /// The value of the header `baggage`, with Sentry's entries and perhaps those of others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baggage: Option<String>,
}

impl TraceSource for TraceHeaders {
    fn carried(&self) -> Carried {
        Carried(Rc::new(self.clone()))
    }
}

impl Origin for TraceHeaders {
    fn begin(&self, own: &Own<'_>, random: Random) -> Trace {
        let incoming = Incoming {
            sentry_trace: Some(&self.sentry_trace),
            baggage: self.baggage.as_deref(),
            ..Incoming::default()
        };
        Trace::start(&incoming, own, None, random)
    }
}

/// Returns the trace of the current run, for the receiver of a call or a message to continue
/// below the current span.
///
/// Returns `None` outside of a wrapper, without a DSN, or if the configuration cannot be
/// loaded. If the isolate has not loaded its configuration yet, this waits for the load, two
/// seconds at most.
///
/// ```no_run
/// # async fn example() {
/// if let Some(trace) = worker_sentry::current_trace().await {
///     worker::console_log!("{}", trace.sentry_trace);
/// }
/// # }
/// ```
pub async fn current_trace() -> Option<TraceHeaders> {
    let at = located().await?;
    let baggage = at.trace.dsc().as_baggage();
    Some(TraceHeaders {
        sentry_trace: at.trace.header(at.span_id).write(),
        baggage: (!baggage.is_empty()).then(|| baggage.to_owned()),
    })
}

/// The property of an object that carries a trace if there are no headers.
const KEY: &str = "__sentry_trace";

impl TraceHeaders {
    /// Puts the trace into a plain JavaScript object.
    pub(crate) fn put_into(&self, object: &JsValue) {
        let mut texts = vec![(sentry_trace::NAME, self.sentry_trace.as_str())];
        if let Some(baggage) = &self.baggage {
            texts.push((baggage::NAME, baggage));
        }
        put_texts(object, KEY, &texts);
    }

    /// The same trace with at most `room` bytes of baggage.
    #[cfg(feature = "queue")]
    pub(crate) fn within(mut self, room: usize) -> Self {
        let baggage = self.baggage.map(|it| baggage::bounded(it, room));
        self.baggage = baggage.filter(|it| !it.is_empty());
        self
    }

    /// Removes the trace from an object and returns it, so that the application does not see it.
    pub(crate) fn take_from(object: &JsValue) -> Option<Self> {
        let carried = take(object, KEY)?;
        let text = |name| get(&carried, name).as_string();
        Some(TraceHeaders {
            sentry_trace: text(sentry_trace::NAME)?,
            baggage: text(baggage::NAME),
        })
    }
}

/// The trace of an instance of a Workflow: that of its creator, or else one of its own that
/// is the same in each replay.
pub(crate) struct OfInstance {
    pub(crate) creator: Option<TraceHeaders>,
    pub(crate) instance_id: String,
}

impl Origin for OfInstance {
    fn begin(&self, own: &Own<'_>, random: Random) -> Trace {
        let creator = self.creator.as_ref();
        let incoming = Incoming {
            sentry_trace: creator.map(|trace| &*trace.sentry_trace),
            baggage: creator.and_then(|trace| trace.baggage.as_deref()),
            instance: Some(&self.instance_id),
            ..Incoming::default()
        };
        Trace::start(&incoming, own, None, random)
    }
}

/// The current position in the trace of the current run.
async fn located() -> Option<Located> {
    let position = Scope::current()?.position();
    let runtime = Workerd::owned(&panics::env()?);
    let client = steps::ready_client(&runtime, shared()).await?;
    position.locate(&client.own(), || runtime.random_bytes())
}

/// Adds to a request the headers that pass the trace of the current run on: `sentry-trace`
/// and `baggage`.
///
/// Use it only for requests to services of your own, because the receiver learns the trace's
/// id, the public key of the DSN, the release and the environment. Headers that the request
/// already has are kept: a `sentry-trace`, unless it is the one that this run continues, and
/// all entries in its `baggage`. If the headers cannot be changed, as those of the incoming
/// request, the request is copied and its body moves to the copy.
///
/// Returns the request unchanged outside of a wrapper, without a DSN, or if the configuration
/// cannot be loaded. Waits as [`current_trace`] does.
///
/// ```no_run
/// use worker::{Fetch, Method, Request, Response, Result};
/// use worker_sentry::traced_request;
///
/// async fn ask() -> Result<Response> {
///     let request = Request::new("https://lists.example.com/", Method::Get)?;
///     Fetch::Request(traced_request(request).await).send().await
/// }
/// ```
///
/// The rules:
/// <https://develop.sentry.dev/sdk/foundations/trace-propagation/dynamic-sampling-context/>
pub async fn traced_request(request: Request) -> Request {
    match located().await {
        Some(at) => with_headers(request, &at),
        None => request,
    }
}

fn with_headers(request: Request, at: &Located) -> Request {
    let read = |name| request.headers().get(name).ok().flatten();
    let (has_trace, has_baggage) = (read(sentry_trace::NAME), read(baggage::NAME));
    let existing = Existing {
        sentry_trace: has_trace.as_deref(),
        baggage: has_baggage.as_deref(),
        traceparent: false,
    };
    let headers = outgoing::headers(&at.trace, at.span_id, &existing, false);
    let set = |to: &Request| {
        let mut headers = headers.iter();
        headers.all(|(name, value)| to.headers().set(name, value).is_ok())
    };
    if set(&request) {
        return request;
    }
    match request.clone_mut() {
        Ok(copy) => {
            set(&copy);
            copy
        }
        Err(_) => request,
    }
}

#[cfg(feature = "spans")]
use super::spans::http_client as calling;

/// Makes a call. Without the feature `spans`, no span is recorded for it.
#[cfg(not(feature = "spans"))]
async fn calling(
    request: Request,
    call: impl AsyncFnOnce(Request) -> Result<Response>,
) -> Result<Response> {
    call(request).await
}

/// Calls to a Durable Object that pass the trace of the current run on.
///
/// The names are those of [`Stub`] with `traced_` before them. They fail as those do, and
/// wait and send as [`traced_request`] says.
///
/// ```no_run
/// use worker::{Request, Response, Result, Stub};
/// use worker_sentry::TracedStub;
///
/// async fn pass_on(stub: &Stub, request: Request) -> Result<Response> {
///     stub.traced_fetch_with_request(request).await
/// }
/// ```
pub trait TracedStub {
    /// As [`Stub::fetch_with_request`].
    fn traced_fetch_with_request(&self, request: Request)
    -> impl Future<Output = Result<Response>>;

    /// As [`Stub::fetch_with_str`].
    fn traced_fetch_with_str(&self, url: &str) -> impl Future<Output = Result<Response>>;
}

impl TracedStub for Stub {
    async fn traced_fetch_with_request(&self, request: Request) -> Result<Response> {
        let call = async |request| self.fetch_with_request(traced_request(request).await).await;
        calling(request, call).await
    }

    async fn traced_fetch_with_str(&self, url: &str) -> Result<Response> {
        let request = Request::new(url, worker::Method::Get)?;
        self.traced_fetch_with_request(request).await
    }
}

/// Calls to another Worker through a service binding that pass the trace of the current run
/// on.
///
/// The names are those of [`Fetcher`] with `traced_` before them. They fail as those do, and
/// wait and send as [`traced_request`] says.
///
/// ```no_run
/// use worker::{Env, Response, Result};
/// use worker_sentry::TracedFetcher;
///
/// async fn ask(env: &Env) -> Result<()> {
///     let lists = env.service("LISTS")?;
///     lists.traced_fetch("https://lists/", None).await?;
///     Ok(())
/// }
/// ```
pub trait TracedFetcher {
    /// As [`Fetcher::fetch`].
    fn traced_fetch(
        &self,
        url: impl Into<String>,
        init: Option<RequestInit>,
    ) -> impl Future<Output = Result<Response>>;

    /// As [`Fetcher::fetch_request`].
    fn traced_fetch_request(&self, request: Request) -> impl Future<Output = Result<Response>>;
}

impl TracedFetcher for Fetcher {
    async fn traced_fetch(
        &self,
        url: impl Into<String>,
        init: Option<RequestInit>,
    ) -> Result<Response> {
        let request = Request::new_with_init(&url.into(), &init.unwrap_or_default())?;
        self.traced_fetch_request(request).await
    }

    async fn traced_fetch_request(&self, request: Request) -> Result<Response> {
        let call = async |request| -> Result<Response> {
            // `worker`'s own method returns another type if the feature `http` of `worker` is on.
            let this: &JsValue = self.as_ref();
            let this: &worker::worker_sys::Fetcher = this.unchecked_ref();
            let answer = this.fetch(traced_request(request).await.inner())?;
            let answer = JsFuture::from(answer).await?;
            Ok(answer.dyn_into::<worker::web_sys::Response>()?.into())
        };
        calling(request, call).await
    }
}
