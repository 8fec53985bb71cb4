//! All that the integration is to this Worker, and the same without it.

use std::future::Future;

use worker::{Context, Env};

use crate::BrokenLine;

/// The host that a capture is made in.
#[derive(Clone, Copy)]
pub(crate) enum Place {
    Fetch,
    Alarm,
    #[cfg(feature = "workflow")]
    Run,
}

#[cfg(feature = "sentry")]
mod with {
    use worker_sentry::{
        Handler, Report, capture_exception_in_isolate, with_sentry_in_isolate, with_sentry_worker,
    };

    use super::{BrokenLine, Context, Env, Future, Place};

    pub(crate) async fn capture(env: &Env, place: Place, error: &BrokenLine) {
        let (class, handler) = match place {
            Place::Fetch => ("main", Handler::Fetch),
            Place::Alarm => ("Bench", Handler::Alarm),
            #[cfg(feature = "workflow")]
            Place::Run => ("BenchFlow", Handler::Run),
        };
        let report = Report::new(error).in_handler(class, handler);
        capture_exception_in_isolate(env, report).await;
    }

    pub(crate) async fn in_main(
        env: &Env,
        context: &Context,
        body: impl Future<Output = Result<(), BrokenLine>>,
    ) -> Result<(), BrokenLine> {
        with_sentry_worker(env, context, Handler::Fetch, body).await
    }

    pub(crate) async fn in_alarm(
        env: &Env,
        body: impl Future<Output = Result<(), BrokenLine>>,
    ) -> Result<(), BrokenLine> {
        with_sentry_in_isolate(env, "Bench", Handler::Alarm, body).await
    }

    #[cfg(feature = "workflow")]
    pub(crate) async fn in_run(
        env: &Env,
        body: impl Future<Output = Result<(), BrokenLine>>,
    ) -> Result<(), BrokenLine> {
        with_sentry_in_isolate(env, "BenchFlow", Handler::Run, body).await
    }
}

#[cfg(not(feature = "sentry"))]
mod without {
    use super::{BrokenLine, Context, Env, Future, Place};

    pub(crate) async fn capture(_: &Env, _: Place, _: &BrokenLine) {}

    pub(crate) async fn in_main(
        _: &Env,
        _: &Context,
        body: impl Future<Output = Result<(), BrokenLine>>,
    ) -> Result<(), BrokenLine> {
        body.await
    }

    pub(crate) async fn in_alarm(
        _: &Env,
        body: impl Future<Output = Result<(), BrokenLine>>,
    ) -> Result<(), BrokenLine> {
        body.await
    }
}

#[cfg(feature = "sentry")]
pub(crate) use with::*;
#[cfg(not(feature = "sentry"))]
pub(crate) use without::*;
