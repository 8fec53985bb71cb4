//! A layer for `tower`, and so for axum under `#[event(fetch)]`.
//!
//! An axum handler always returns a response, so a wrapper around the router does not see
//! errors. The layer looks at the response instead. An error can be attached to the response.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context as Task, Poll};

use http::{Request, Response, StatusCode};
use tower_layer::Layer;
use tower_service::Service;
use worker::send::{SendFuture, SendWrapper};
use worker::{Context, Env};

use super::into_report::IntoReport;
use super::recording;
use super::wrap::send_drafts;
use crate::item::draft::Draft;
use crate::item::place::{Handler, MAIN, Place};
use crate::panics;
use crate::platform::Runtime;
use crate::platform::workerd::{WaitUntil, Workerd, context as handle};
use crate::scope::{Scope, resume};
use crate::steps::guard;

/// Reports the requests that a router answers with a status of 500 or above.
///
/// Each such response is one event: of the error that is attached to it ([`with_error`]), or
/// of the status itself. If the run has already reported something, the response is not
/// reported. The report is sent in the background and does not delay the response. Panics
/// below the layer are reported with their request. With no `SENTRY_DSN`, the layer does
/// nothing.
///
/// With the feature `axum`, the event's transaction is the method and the matched route,
/// such as `GET /lists/{name}`. axum knows the route only inside of the router, so add the
/// layer with `Router::layer`, and not around the router.
///
/// ```no_run
/// # #[cfg(feature = "axum")]
/// # mod example {
/// use axum::Router;
/// use axum::routing::get;
/// use tower_service::Service;
/// use worker::{Context, Env, HttpRequest, Result, event};
/// use worker_sentry::tower::SentryLayer;
///
/// #[event(fetch)]
/// async fn fetch(
///     request: HttpRequest,
///     env: Env,
///     context: Context,
/// ) -> Result<http::Response<axum::body::Body>> {
///     let sentry = SentryLayer::new(&env, &context);
///     let mut router = Router::new()
///         .route("/", get(|| async { "a list of lists" }))
///         .layer(sentry);
///     Ok(router.call(request).await?)
/// }
/// # }
/// ```
#[derive(Clone)]
pub struct SentryLayer {
    way_in: Arc<SendWrapper<WayIn>>,
    is_reported: fn(StatusCode) -> bool,
}

/// The `env` and the context of the `fetch` that the layer is for.
struct WayIn {
    env: Env,
    context: Context,
}

impl SentryLayer {
    /// Makes a layer for one request: `env` and `context` are those of its `fetch`.
    pub fn new(env: &Env, context: &Context) -> Self {
        let way_in = WayIn {
            env: env.clone(),
            context: handle(context),
        };
        SentryLayer {
            way_in: Arc::new(SendWrapper::new(way_in)),
            is_reported: |status| status.is_server_error(),
        }
    }

    /// Sets which responses are reported. The default is a status of 500 or above.
    ///
    /// ```no_run
    /// # use worker::{Context, Env};
    /// # use worker_sentry::tower::SentryLayer;
    /// # fn layer(env: &Env, context: &Context) -> SentryLayer {
    /// SentryLayer::new(env, context)
    ///     .reporting(|status| status.is_server_error() && status.as_u16() != 503)
    /// # }
    /// ```
    #[must_use]
    pub fn reporting(mut self, is_reported: fn(StatusCode) -> bool) -> Self {
        self.is_reported = is_reported;
        self
    }
}

impl std::fmt::Debug for SentryLayer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("SentryLayer")
            .finish_non_exhaustive()
    }
}

impl<S> Layer<S> for SentryLayer {
    type Service = SentryService<S>;

    fn layer(&self, inner: S) -> SentryService<S> {
        SentryService {
            inner,
            layer: self.clone(),
        }
    }
}

/// A service with a [`SentryLayer`] around it.
#[derive(Clone, Debug)]
pub struct SentryService<S> {
    inner: S,
    layer: SentryLayer,
}

/// The future of a [`SentryService`]. It is `Send` because axum requires that. A Worker has only
/// one thread, so the future never moves to another.
type Answer<R, E> = SendFuture<Pin<Box<dyn Future<Output = Result<Response<R>, E>>>>>;

impl<S, B, R> Service<Request<B>> for SentryService<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Future: 'static,
    S::Error: 'static,
    R: 'static,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = Answer<R, S::Error>;

    fn poll_ready(&mut self, task: &mut Task<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(task)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        if guard::is_off(&self.layer.way_in.env) {
            return SendFuture::new(Box::pin(self.inner.call(request)));
        }
        let layer = self.layer.clone();
        let runtime = Workerd::new(&layer.way_in.env);
        panics::arm(&layer.way_in.env);
        let scope = Scope::new(Place::new(MAIN, Handler::Fetch));
        let scope = recording::begin(&runtime, scope);
        #[cfg(feature = "spans")]
        scope.set_data("http.request.method", request.method().as_str().to_owned());
        if let Some(name) = route(&request) {
            scope.set_name(name);
        }
        let answer = scope.enter(|| self.inner.call(request));
        SendFuture::new(Box::pin(layer.answered(scope, answer)))
    }
}

impl SentryLayer {
    async fn answered<R, E>(
        self,
        scope: Rc<Scope>,
        answer: impl Future<Output = Result<Response<R>, E>>,
    ) -> Result<Response<R>, E> {
        let WayIn { env, context } = &**self.way_in;
        let runtime = Workerd::new(env);
        let mut outcome = scope.run(answer).await;
        let mut drafts = scope.take_panics();
        if let Ok(Ok(response)) = &mut outcome {
            #[cfg(feature = "spans")]
            scope.set_http_status(response.status().as_u16());
            let brought = response.extensions_mut().remove::<Brought>();
            let brought = brought.map(|it| (**it.0).clone());
            if (self.is_reported)(response.status()) {
                drafts.extend(draft(&runtime, &scope, response.status(), brought));
            }
        }
        send_drafts(env, &runtime, &scope, drafts);
        if let Some(transaction) = recording::end(env, &scope, matches!(outcome, Ok(Ok(_)))) {
            match &outcome {
                Ok(Ok(_)) => WaitUntil::wait_until(context, transaction),
                _ => scope.send(transaction),
            }
        }
        if scope.has_errands() {
            // A panic ends all work in the background, so the report is awaited.
            match outcome.is_err() {
                true => scope.finish().await,
                // Not `Context::wait_until`, which panics if the runtime refuses the future.
                false => WaitUntil::wait_until(context, scope.finish()),
            }
        }
        resume(outcome)
    }
}

/// The draft for a response: of the error attached to it, or else of its status. `None` if the
/// run has already reported the failure.
fn draft(
    runtime: &impl Runtime,
    scope: &Rc<Scope>,
    status: StatusCode,
    brought: Option<Draft>,
) -> Option<Draft> {
    let draft = match brought {
        Some(draft) if scope.has_reported(draft.identity()) => return None,
        Some(draft) => draft,
        None if scope.has_reported_any() => return None,
        None => {
            let text = format!("answered with {status}");
            let mut draft = (&text).into_report().handled(false).read(runtime);
            scope.complete(&mut draft, None);
            draft
        }
    };
    // So that a wrapper around the router does not report the error again.
    scope.note(draft.identity());
    Some(draft)
}

/// The error that a response was made from, attached to the response for the layer.
#[derive(Clone)]
struct Brought(Arc<SendWrapper<Draft>>);

/// Attaches an error to the response that was made from it, for [`SentryLayer`].
///
/// Call it where your error becomes a response, in its `IntoResponse`. The layer decides by the
/// response's status whether the error is reported. With a 404, for example, it is not. Outside
/// of the layer or without a `SENTRY_DSN`, the response is returned unchanged.
///
/// ```no_run
/// # #[cfg(feature = "axum")]
/// # mod example {
/// use axum::http::StatusCode;
/// use axum::response::{IntoResponse, Response};
/// use worker_sentry::tower::with_error;
///
/// #[derive(Debug)]
/// pub struct ListError(worker::Error);
///
/// # impl std::fmt::Display for ListError {
/// #     fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { write!(f, "no list") }
/// # }
/// impl std::error::Error for ListError {
///     fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
///         Some(&self.0)
///     }
/// }
///
/// impl IntoResponse for ListError {
///     fn into_response(self) -> Response {
///         let response = (StatusCode::INTERNAL_SERVER_ERROR, "try again later").into_response();
///         with_error(response, &self)
///     }
/// }
/// # }
/// ```
pub fn with_error<'e, R, Kind>(
    mut response: Response<R>,
    error: impl IntoReport<'e, Kind>,
) -> Response<R> {
    if let (Some(env), Some(scope)) = (panics::env(), Scope::current()) {
        let report = error.into_report().handled(false);
        let source = report.error();
        let runtime = Workerd::owned(&env);
        let mut draft = report.read(&runtime);
        scope.complete(&mut draft, source);
        draft.take_stack(&runtime);
        let brought = Brought(Arc::new(SendWrapper::new(draft)));
        response.extensions_mut().insert(brought);
    }
    response
}

/// The method and the matched route, if axum has put the route on the request.
#[cfg(feature = "axum")]
fn route<B>(request: &Request<B>) -> Option<String> {
    let route = request.extensions().get::<axum::extract::MatchedPath>()?;
    Some([request.method().as_str(), " ", route.as_str()].concat())
}

#[cfg(not(feature = "axum"))]
fn route<B>(_: &Request<B>) -> Option<String> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::testing::Fake;
    #[cfg(feature = "axum")]
    use crate::platform::testing::block_on;

    fn scope() -> Rc<Scope> {
        Scope::new(Place::new(MAIN, Handler::Fetch))
    }

    fn brought() -> Draft {
        let error = "x".parse::<u8>().expect_err("not a number");
        (&error).into_report().read(&Fake::default())
    }

    fn drafted(scope: &Rc<Scope>, brought: Option<Draft>) -> Option<Draft> {
        draft(&Fake::default(), scope, StatusCode::BAD_GATEWAY, brought)
    }

    #[test]
    fn a_response_is_reported_as_the_error_it_brought_or_as_its_status() {
        let draft = drafted(&scope(), Some(brought())).expect("a draft");
        assert_eq!(draft.identity(), brought().identity());
        let draft = drafted(&scope(), None).expect("a draft");
        let said = &draft.chain.exceptions[0].value;
        assert_eq!(said.as_deref(), Some("answered with 502 Bad Gateway"));
        assert_eq!(draft.details.place, Place::new(MAIN, Handler::Fetch));
        assert!(!draft.details.handled);
    }

    #[test]
    fn what_a_run_has_reported_is_not_reported_again_by_its_response() {
        let scope = scope();
        scope.note(brought().identity());
        assert!(drafted(&scope, Some(brought())).is_none());
        assert!(drafted(&scope, None).is_none());
        let error = "".parse::<u8>().expect_err("empty");
        let another = (&error).into_report().read(&Fake::default());
        assert!(drafted(&scope, Some(another)).is_some());
    }

    #[test]
    fn outside_of_a_run_a_response_comes_back_as_it_was() {
        let response = with_error(Response::new(()), "no");
        assert!(response.extensions().get::<Brought>().is_none());
    }

    #[cfg(feature = "axum")]
    #[test]
    fn a_route_is_the_method_and_the_pattern_also_of_a_router_in_a_router() {
        use axum::Router;
        use axum::extract::Request;
        use axum::middleware::{Next, from_fn};
        use axum::routing::{get, post};
        let lists = Router::new().route("/{name}", get(|| async { "" }));
        let mut router: Router = Router::new()
            .nest("/lists", lists)
            .route("/compile", post(|| async { "" }))
            .layer(from_fn(|request: Request, _: Next| async move {
                route(&request).unwrap_or_default()
            }));
        let mut ask = |method: &str, path: &str| {
            let request = Request::builder().method(method).uri(path);
            let request = request.body(axum::body::Body::empty()).expect("a request");
            block_on(async {
                let response = router.call(request).await.expect("a response");
                let body = axum::body::to_bytes(response.into_body(), 1_000).await;
                String::from_utf8(body.expect("a body").to_vec()).expect("a text")
            })
        };
        assert_eq!(ask("GET", "/lists/easy"), "GET /lists/{name}");
        assert_eq!(ask("POST", "/compile"), "POST /compile");
        assert_eq!(ask("GET", "/nothing"), "");
    }
}
