//! The items that are sent, before they are written as bytes: events and the others.
//!
//! Each type is defined once, together with the one function that writes it, so no field can
//! get lost between two types.

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

/// The category in which a receiver limits the rate of an item.
/// <https://develop.sentry.dev/sdk/foundations/transport/rate-limiting/>
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Category {
    /// Errors, messages and panics.
    Error,
    /// Transactions.
    Transaction,
    /// Spans that are sent without a transaction.
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

    /// Whether a receiver means this category by `name`.
    ///
    /// Sentry reserves the name `default` and does not use it. Other receivers may use it for
    /// errors.
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
    /// The type in the item's header.
    fn kind(&self) -> &'static str;

    /// The item's id, if the item is an event.
    fn id(&self) -> Option<uuid::Uuid>;

    /// Writes the payload. `None` if it cannot be written as JSON.
    fn write(&self) -> Option<Vec<u8>>;

    /// Removes the next part that Sentry does not require, a little more at each step. Returns
    /// `false` if no such part is left.
    fn trim(&mut self, step: usize) -> bool;

    /// The number of entries and their content type, if the item is a list of entries.
    #[cfg(any(test, feature = "logs"))]
    fn list(&self) -> Option<(usize, &'static str)> {
        None
    }

    /// A second item for the same envelope: its type and its payload.
    #[cfg(any(test, feature = "logs"))]
    fn beside(&self) -> Option<(&'static str, Vec<u8>)> {
        None
    }

    /// The trace for the envelope's header, if the item has one.
    #[cfg(any(test, feature = "spans"))]
    fn trace(&self) -> Option<std::rc::Rc<crate::trace::Trace>> {
        None
    }
}
