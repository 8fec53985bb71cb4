//! Everything that this Worker uses of the crate, and replacements for builds without it.

use std::future::Future;

use worker::{Context, Env};

use crate::BrokenLine;

/// The host in which a capture is made.
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

    /// A capture after ten breadcrumbs. Each call needs a run of its own, because breadcrumbs
    /// belong to a run.
    #[cfg(feature = "more")]
    pub(crate) async fn capture_after_ten(
        env: &Env,
        place: Place,
        line: usize,
    ) -> Result<(), BrokenLine> {
        use worker_sentry::{Breadcrumb, add_breadcrumb};
        for n in 0..10 {
            let read = format!("line {n} of the list is read");
            add_breadcrumb(Breadcrumb::new(read).category("list"));
        }
        capture(env, place, &BrokenLine(line)).await;
        Ok(())
    }

    /// Uses the capabilities whose features are on.
    pub(crate) async fn said(_line: usize) {
        #[cfg(feature = "logs")]
        worker_sentry::Log::info("a line is broken")
            .with("line", _line)
            .send();
        #[cfg(feature = "tracing")]
        tracing::info!(line = _line, "a line is broken");
        #[cfg(feature = "spans")]
        worker_sentry::span("list", "read", async {}).await;
    }

    #[cfg(feature = "tracing")]
    #[worker::event(start)]
    fn start() {
        use tracing_subscriber::prelude::*;
        tracing_subscriber::registry()
            .with(worker_sentry::tracing::SentryLayer::new())
            .init();
    }

    /// Runs a body as one run of a monitor.
    #[cfg(feature = "more")]
    pub(crate) async fn in_cron(
        env: &Env,
        context: &Context,
        body: impl Future<Output = Result<(), BrokenLine>>,
    ) -> Result<(), BrokenLine> {
        use worker_sentry::{Monitor, with_monitor};
        let monitor = Monitor::cron("*/15 * * * *").slug("bench");
        let body = with_monitor(monitor, body);
        with_sentry_worker(env, context, Handler::Scheduled, body).await
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

    pub(crate) async fn said(_: usize) {}

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
