//! Reports errors of a response's body that come up after the response was returned.

use std::pin::Pin;

use futures_util::stream::{self, Stream, StreamExt};
use worker::Env;

use super::into_report::IntoReport;
use super::wrap::reported;
use crate::scope::Scope;

/// Reports each error of a stream, and passes its items on unchanged.
///
/// A response whose body is a stream is returned before the stream has run, so a wrapper
/// around the handler does not see the stream's errors. Wrap the stream itself before you give
/// it to `Response::from_stream`. The stream keeps the scope of the calling code.
///
/// An error is passed on when its report has been delivered, after five seconds at most.
/// With no `SENTRY_DSN`, the stream behaves as if it were not wrapped.
///
/// ```no_run
/// use futures_util::stream::{self, StreamExt};
/// use worker::{Env, Error, Response, Result};
/// use worker_sentry::with_sentry_in_stream;
///
/// fn respond(env: &Env) -> Result<Response> {
///     let lines = stream::iter(["a", "b"]).map(|line| Ok::<_, Error>(line.as_bytes().to_vec()));
///     Response::from_stream(with_sentry_in_stream(env, lines))
/// }
/// ```
pub fn with_sentry_in_stream<T, E, Kind>(
    env: &Env,
    stream: impl Stream<Item = Result<T, E>> + 'static,
) -> impl Stream<Item = Result<T, E>> + 'static
where
    T: 'static,
    E: 'static,
    Kind: 'static,
    for<'e> &'e E: IntoReport<'e, Kind>,
{
    let scope = Scope::continued();
    let env = env.clone();
    let stream: Pin<Box<dyn Stream<Item = Result<T, E>>>> = Box::pin(stream);
    stream::unfold(
        (stream, scope, env),
        |(mut stream, scope, env)| async move {
            let next = async {
                let next = stream.next().await.transpose();
                #[cfg(feature = "logs")]
                scope.has_more(matches!(next, Ok(Some(_))));
                next
            };
            // `transpose` makes the end of the stream a success without an item.
            let item = reported(&env, || scope.clone(), next).await.transpose()?;
            Some((item, (stream, scope, env)))
        },
    )
}
