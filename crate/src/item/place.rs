//! The place where something happened: a class and a handler.

use std::borrow::Cow;

/// The class that stands for the main Worker.
pub(crate) const MAIN: &str = "main";

/// A way into a Worker.
///
/// The names are those of the platform's handlers, in the form that `worker` gives them.
///
/// ```
/// use worker_sentry::Handler;
///
/// assert_eq!(Handler::WebsocketError.name(), "websocket_error");
/// assert_eq!(Handler::Rpc("compile".into()).name(), "compile");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Handler {
    /// A request, in the main Worker or in a Durable Object.
    Fetch,
    /// A batch of a queue.
    Queue,
    /// A cron trigger.
    Scheduled,
    /// An email.
    Email,
    /// A TCP connection.
    Connect,
    /// The alarm of a Durable Object.
    Alarm,
    /// A message on a socket that hibernates.
    WebsocketMessage,
    /// The end of a socket that hibernates.
    WebsocketClose,
    /// The failure of a socket that hibernates.
    WebsocketError,
    /// The constructor of a Durable Object or of a Workflow.
    New,
    /// A run of a Workflow.
    Run,
    /// The rollback of a Workflow's step.
    Rollback,
    /// A method of the application's own, called by RPC.
    Rpc(Cow<'static, str>),
}

impl Handler {
    /// The handler's name, as an event shows it.
    pub fn name(&self) -> &str {
        match self {
            Handler::Fetch => "fetch",
            Handler::Queue => "queue",
            Handler::Scheduled => "scheduled",
            Handler::Email => "email",
            Handler::Connect => "connect",
            Handler::Alarm => "alarm",
            Handler::WebsocketMessage => "websocket_message",
            Handler::WebsocketClose => "websocket_close",
            Handler::WebsocketError => "websocket_error",
            Handler::New => "new",
            Handler::Run => "run",
            Handler::Rollback => "rollback",
            Handler::Rpc(name) => name,
        }
    }

    /// Whether `worker` turns the error that this handler returns into a panic.
    /// <https://docs.rs/worker-macros/0.8.7/src/worker_macros/event.rs.html>
    pub(crate) fn panics_on_err(&self) -> bool {
        matches!(self, Handler::Queue | Handler::Email)
    }
}

/// The class and the handler that failed, as far as they are known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) class: Option<Cow<'static, str>>,
    pub(crate) handler: Option<Handler>,
}

impl Place {
    pub(crate) fn new(class: impl Into<Cow<'static, str>>, handler: Handler) -> Self {
        Place {
            class: Some(class.into()),
            handler: Some(handler),
        }
    }

    /// The class and the handler as far as they are known, each with its key in an event.
    pub(crate) fn names(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let class = self.class.as_deref();
        let handler = self.handler.as_ref().map(Handler::name);
        [("class", class), ("handler", handler)]
            .into_iter()
            .filter_map(|(key, name)| Some((key, name?)))
    }

    /// `Class.handler`, if both are known.
    pub(crate) fn transaction(&self) -> Option<String> {
        let (class, handler) = (self.class.as_deref()?, self.handler.as_ref()?);
        Some([class, ".", handler.name()].concat())
    }

    /// The type of the mechanism. It is the same as in Sentry's JavaScript SDK for this platform,
    /// because people filter and group by it.
    pub(crate) fn mechanism(&self) -> &'static str {
        let is_main = self.class.as_deref() == Some(MAIN);
        match &self.handler {
            None => "generic",
            Some(Handler::Run | Handler::Rollback) => "auto.faas.cloudflare.workflow",
            Some(_) if !is_main => "auto.faas.cloudflare.durable_object",
            Some(Handler::Queue) => "auto.faas.cloudflare.queue",
            Some(Handler::Scheduled) => "auto.faas.cloudflare.scheduled",
            Some(Handler::Email) => "auto.faas.cloudflare.email",
            Some(_) => "auto.http.cloudflare",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mechanism_is_named_as_in_the_javascript_sdk() {
        let mechanism = |class: &'static str, handler| Place::new(class, handler).mechanism();
        assert_eq!(mechanism("main", Handler::Fetch), "auto.http.cloudflare");
        assert_eq!(mechanism("main", Handler::Connect), "auto.http.cloudflare");
        assert_eq!(
            mechanism("main", Handler::Queue),
            "auto.faas.cloudflare.queue"
        );
        assert_eq!(
            mechanism("main", Handler::Scheduled),
            "auto.faas.cloudflare.scheduled"
        );
        assert_eq!(
            mechanism("main", Handler::Email),
            "auto.faas.cloudflare.email"
        );
        assert_eq!(
            mechanism("Limiter", Handler::Fetch),
            "auto.faas.cloudflare.durable_object"
        );
        assert_eq!(
            mechanism("Compilation", Handler::Run),
            "auto.faas.cloudflare.workflow"
        );
        assert_eq!(Place::default().mechanism(), "generic");
    }

    #[test]
    fn a_place_is_named_as_far_as_it_is_known() {
        let place = Place::new("Limiter", Handler::Rpc("compile".into()));
        assert_eq!(place.transaction().as_deref(), Some("Limiter.compile"));
        assert_eq!(
            place.names().collect::<Vec<_>>(),
            [("class", "Limiter"), ("handler", "compile")]
        );
        assert_eq!(Place::default().transaction(), None);
        assert_eq!(Place::default().names().count(), 0);
    }

    #[test]
    fn the_handlers_whose_error_becomes_a_panic_are_those_of_the_macros() {
        let all = [
            Handler::Fetch,
            Handler::Queue,
            Handler::Scheduled,
            Handler::Email,
            Handler::Connect,
            Handler::Alarm,
            Handler::Run,
        ];
        let panicking: Vec<_> = all.iter().filter(|it| it.panics_on_err()).collect();
        assert_eq!(panicking, [&Handler::Queue, &Handler::Email]);
    }
}
