//! What is sent, before it is bytes: an event and its parts.
//!
//! Each type stands here once, with the one function that writes it. Nothing that a type
//! holds is left out by another one.

pub(crate) mod breadcrumb;
pub(crate) mod check_in;
pub(crate) mod draft;
pub(crate) mod event;
pub(crate) mod exception;
pub(crate) mod json;
#[cfg(any(test, feature = "logs"))]
pub(crate) mod log;
pub(crate) mod place;
pub(crate) mod protocol;
pub(crate) mod request;
pub(crate) mod schedule;
pub(crate) mod stack;
pub(crate) mod text;
pub(crate) mod thrown;
#[cfg(any(test, feature = "spans"))]
pub(crate) mod transaction;
pub(crate) mod type_name;
pub(crate) mod value;

/// What an item counts as when a receiver limits rates.
/// <https://develop.sentry.dev/sdk/foundations/transport/rate-limiting/>
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Category {
    /// Errors, messages and panics.
    Error,
    /// Transactions.
    Transaction,
    /// Spans that are sent by themselves.
    Span,
    /// Check-ins.
    Monitor,
    /// Structured logs.
    LogItem,
}

impl Category {
    /// Every category.
    pub(crate) const ALL: [Category; Category::COUNT] = [
        Category::Error,
        Category::Transaction,
        Category::Span,
        Category::Monitor,
        Category::LogItem,
    ];
    /// How many categories there are.
    pub(crate) const COUNT: usize = 5;

    /// Whether this is what a receiver calls by a name.
    ///
    /// Sentry reserves `default` and does not use it. Other receivers may mean errors by it.
    pub(crate) fn is_named(self, name: &str) -> bool {
        match self {
            Category::Error => matches!(name, "error" | "default"),
            Category::Transaction => name == "transaction",
            Category::Span => name == "span",
            Category::Monitor => name == "monitor",
            Category::LogItem => name == "log_item",
        }
    }
}

/// One item of an envelope.
pub(crate) trait Item {
    /// Its type in the item's header.
    fn kind(&self) -> &'static str;

    /// Its id, if it is an event.
    fn id(&self) -> Option<uuid::Uuid>;

    /// Its payload, unless it cannot be written as JSON.
    fn write(&self) -> Option<Vec<u8>>;

    /// Takes out the next part that Sentry can do without, a little more at each step.
    /// `false` means that no such part is left.
    fn trim(&mut self, step: usize) -> bool;

    /// How many entries it has and of which kind, if it is a list of them.
    #[cfg(any(test, feature = "logs"))]
    fn list(&self) -> Option<(usize, &'static str)> {
        None
    }

    /// An item that goes with it: its type and its payload.
    #[cfg(any(test, feature = "logs"))]
    fn beside(&self) -> Option<(&'static str, Vec<u8>)> {
        None
    }

    /// The trace that it is a part of, if its envelope is to say so.
    #[cfg(any(test, feature = "spans"))]
    fn trace(&self) -> Option<std::rc::Rc<crate::trace::Trace>> {
        None
    }
}
