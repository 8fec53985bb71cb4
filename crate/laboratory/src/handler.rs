//! The ways in: how each fails, and how each reports.

use std::cell::RefCell;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;

use worker_sentry::laboratory::{Isolate, Platform, Task};
use worker_sentry::{Handler, Report};

use crate::naive::Naive;
use crate::word::Way;

/// A handler as the runtime runs it.
pub type Handling = Pin<Box<dyn Future<Output = Result<(), Failure>>>>;

/// The futures that a handler has given to `wait_until`.
pub type Background = Rc<RefCell<Vec<Task>>>;

/// The error of the application.
#[derive(Clone, Debug)]
pub struct Failure {
    text: &'static str,
    cause: Option<Cause>,
}

/// The cause of a [`Failure`].
#[derive(Clone, Debug)]
struct Cause(&'static str);

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text)
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl Error for Cause {}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        let cause = self.cause.as_ref()?;
        Some(cause)
    }
}

impl Way {
    /// The class and the handler.
    pub fn place(self) -> (&'static str, Handler) {
        match self {
            Way::Alarm => ("RateLimiterDo", Handler::Alarm),
            Way::Fetch => ("main", Handler::Fetch),
            Way::Socket => ("WsHibernationDo", Handler::WebsocketError),
            Way::Run => ("CompilationWorkflow", Handler::Run),
            Way::Panic => ("CompilationCoordinator", Handler::Alarm),
        }
    }

    /// The place as the book writes it.
    pub fn name(self) -> String {
        let (class, handler) = self.place();
        [class, ".", handler.name()].concat()
    }

    /// Whether the handler returns before its report is delivered.
    pub fn is_background(self) -> bool {
        matches!(self, Way::Fetch | Way::Socket)
    }

    /// The error by which the handler fails.
    pub fn failure(self) -> Failure {
        let (text, cause) = match self {
            Way::Alarm => ("the counters could not be stored", Some("storage is full")),
            Way::Fetch => ("the list has no rules", None),
            Way::Socket => ("the socket broke", None),
            Way::Run => ("step `download` failed", Some("status 503")),
            Way::Panic => ("index out of bounds: the len is 3 but the index is 7", None),
        };
        Failure {
            text,
            cause: cause.map(Cause),
        }
    }

    /// The handler with the crate's own wrapper around its work.
    pub fn handling(
        self,
        platform: Platform,
        isolate: Isolate,
        background: Background,
    ) -> Handling {
        let (class, handler) = self.place();
        let work = async move { Err(self.failure()) };
        let wait_until = move |task| background.borrow_mut().push(task);
        match self {
            Way::Alarm | Way::Run => {
                Box::pin(async move { platform.in_isolate(&isolate, class, handler, work).await })
            }
            Way::Fetch => Box::pin(async move {
                platform
                    .in_worker(&isolate, wait_until, handler, work)
                    .await
            }),
            Way::Socket => Box::pin(async move {
                let error = self.failure();
                let report = Report::new(&error).in_handler(class, handler);
                platform.capture_in_background(&isolate, wait_until, report);
                Ok(())
            }),
            Way::Panic => Box::pin(async move {
                platform.panic(&isolate, class, handler, self.failure().text);
                Ok(())
            }),
        }
    }

    /// The handler with the obvious guard.
    pub fn naively(self, platform: Platform, naive: Naive, background: Background) -> Handling {
        let capture = async move {
            let (class, handler) = self.place();
            naive
                .capture(&platform, class, handler, &self.failure())
                .await;
        };
        Box::pin(async move {
            match self {
                Way::Alarm | Way::Run => capture.await,
                Way::Fetch | Way::Socket => background.borrow_mut().push(Box::pin(capture)),
                // The obvious guard does not handle a panic.
                Way::Panic => {}
            }
            match self {
                Way::Socket | Way::Panic => Ok(()),
                _ => Err(self.failure()),
            }
        })
    }
}
