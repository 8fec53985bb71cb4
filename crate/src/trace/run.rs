//! The trace of one run, made when something asks for it, and the positions in the trace.
//!
//! Until something asks for the trace, no header is read, no id is made, and scopes have no
//! positions, so an unused trace costs nothing.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;

use super::head::Random;
use super::{Own, SpanId, Trace};

/// The source of the trace of a run.
pub(crate) trait Origin {
    /// Reads the incoming headers and makes the trace.
    fn begin(&self, own: &Own<'_>, random: Random) -> Trace;

    /// The method of the request that carried the trace.
    #[cfg(any(test, feature = "spans"))]
    fn method(&self) -> Option<String> {
        None
    }
}

/// The trace of one run, made when something asks for it.
#[derive(Default)]
pub(crate) struct RunTrace {
    origin: RefCell<Option<Rc<dyn Origin>>>,
    begun: RefCell<Option<Rc<Trace>>>,
    /// How many spans below the run's own span have a number.
    spans: Cell<u32>,
    /// The random numbers for the trace. They are set when the sampling decision is made before
    /// the trace begins.
    #[cfg(any(test, feature = "spans"))]
    random: Cell<Option<Random>>,
}

impl fmt::Debug for RunTrace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RunTrace").field(&self.begun).finish()
    }
}

impl RunTrace {
    /// Sets the source that the run continues. Only the first source counts, and only before the
    /// trace has begun. Returns `false` if the source was not taken.
    pub(crate) fn continues(&self, origin: Rc<dyn Origin>) -> bool {
        let has_begun = self.begun.try_borrow().map_or(true, |it| it.is_some());
        match self.origin.try_borrow_mut() {
            Ok(mut slot) if slot.is_none() && !has_begun => {
                *slot = Some(origin);
                true
            }
            _ => false,
        }
    }

    /// The trace. The first call begins it. `None` only if there are no random numbers.
    fn begin(&self, own: &Own<'_>, random: impl FnOnce() -> Option<Random>) -> Option<Rc<Trace>> {
        if let Some(trace) = self.begun.try_borrow().ok()?.clone() {
            return Some(trace);
        }
        let origin = self.origin.try_borrow().ok()?.clone();
        #[cfg(any(test, feature = "spans"))]
        let random = || self.random.get().or_else(random);
        let random = random()?;
        let trace = Rc::new(match origin {
            Some(origin) => origin.begin(own, random),
            None => Trace::head(own, None, random),
        });
        *self.begun.try_borrow_mut().ok()? = Some(Rc::clone(&trace));
        Some(trace)
    }
}

#[cfg(any(test, feature = "spans"))]
impl RunTrace {
    /// Whether the run will send its spans, decided by the incoming headers and the rate,
    /// without the Worker's configuration. This does not begin the trace.
    pub(crate) fn records(
        &self,
        rate: super::sampling::Rate,
        random: impl FnOnce() -> Option<Random>,
    ) -> bool {
        let (Ok(begun), Ok(origin)) = (self.begun.try_borrow(), self.origin.try_borrow()) else {
            return false;
        };
        if let Some(trace) = &*begun {
            return trace.records;
        }
        let Some(random) = self.random.get().or_else(random) else {
            return false;
        };
        self.random.set(Some(random));
        let own = Own {
            public_key: "",
            release: None,
            environment: "",
            org_id: None,
            rate: Some(rate),
        };
        let trace = match &*origin {
            Some(origin) => origin.begin(&own, random),
            None => Trace::head(&own, None, random),
        };
        trace.records
    }

    /// The method of the request that the run continues, if it is known.
    pub(crate) fn method(&self) -> Option<String> {
        self.origin.try_borrow().ok()?.as_ref()?.method()
    }
}

/// A position in the trace of a run: one of its spans.
#[derive(Clone, Debug, Default)]
pub(crate) struct Position {
    run: Rc<RunTrace>,
    /// The number of the span. The run's own span has the number 0.
    span: u32,
    /// The number of the span around it.
    parent: u32,
}

/// A position with its ids.
#[derive(Clone, Debug)]
pub(crate) struct Located {
    pub(crate) trace: Rc<Trace>,
    pub(crate) span_id: SpanId,
    pub(crate) parent_span_id: Option<SpanId>,
}

impl Position {
    /// The trace of the run that this position belongs to.
    pub(crate) fn run(&self) -> &RunTrace {
        &self.run
    }

    /// A new span below this one.
    pub(crate) fn below(&self) -> Position {
        let number = self.run.spans.get().wrapping_add(1).max(1);
        self.run.spans.set(number);
        Position {
            run: Rc::clone(&self.run),
            span: number,
            parent: self.span,
        }
    }

    /// Whether two positions are the same.
    #[cfg(any(test, feature = "spans"))]
    pub(crate) fn is_at(&self, other: &Position) -> bool {
        self.is_beside(other) && self.span == other.span
    }

    /// The number of the span, and that of the span around it.
    #[cfg(any(test, feature = "spans"))]
    pub(crate) fn numbers(&self) -> (u32, u32) {
        (self.span, self.parent)
    }

    /// Whether two positions are in the trace of one run.
    #[cfg(any(test, feature = "spans"))]
    pub(crate) fn is_beside(&self, other: &Position) -> bool {
        Rc::ptr_eq(&self.run, &other.run)
    }

    /// The ids of this position. Begins the trace if it has not begun.
    pub(crate) fn locate(
        &self,
        own: &Own<'_>,
        random: impl FnOnce() -> Option<Random>,
    ) -> Option<Located> {
        let trace = self.run.begin(own, random)?;
        let parent_span_id = match self.span {
            0 => trace.parent_span_id,
            _ => Some(trace.span(self.parent)),
        };
        Some(Located {
            span_id: trace.span(self.span),
            parent_span_id,
            trace,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::Incoming;
    use crate::trace::head::tests::OWN;

    const HEADER: &str = "771a43a4192642f0b136d5159a501700-b0e6f15b45c36b12-1";

    struct Header(Cell<u32>);
    impl Origin for Header {
        fn begin(&self, own: &Own<'_>, random: Random) -> Trace {
            self.0.set(self.0.get() + 1);
            let incoming = Incoming {
                sentry_trace: Some(HEADER),
                ..Incoming::default()
            };
            Trace::start(&incoming, own, None, random)
        }
    }

    fn header() -> Rc<Header> {
        Rc::new(Header(Cell::new(0)))
    }

    fn located(position: &Position) -> Located {
        let random = || Some([0xab; 24]);
        position.locate(&OWN, random).expect("random numbers")
    }

    #[test]
    fn what_came_in_is_read_once_and_only_when_something_asks() {
        let (position, origin) = (Position::default(), header());
        assert!(position.run().continues(Rc::clone(&origin) as _));
        assert_eq!(origin.0.get(), 0);
        let first = located(&position);
        let again = position.locate(&OWN, || panic!("no more random numbers"));
        assert_eq!(origin.0.get(), 1);
        assert_eq!(again.expect("begun").span_id, first.span_id);
        assert_eq!(
            format!("{:?}", first.trace.trace_id),
            "771a43a4192642f0b136d5159a501700"
        );
        assert!(first.parent_span_id.is_some());
    }

    #[test]
    fn the_first_that_a_run_continues_counts_and_none_after_it_has_begun() {
        let position = Position::default();
        assert!(position.run().continues(header()));
        assert!(!position.run().continues(header()));
        let late = Position::default();
        located(&late);
        assert!(!late.run().continues(header()));
        assert_eq!(located(&late).parent_span_id, None);
    }

    #[test]
    fn a_span_is_below_the_one_around_it() {
        let root = Position::default();
        let (child, sibling) = (root.below(), root.below());
        let grandchild = child.below();
        let id = |position: &Position| located(position).span_id;
        let parent = |position: &Position| located(position).parent_span_id;
        assert_eq!(parent(&root), None);
        assert_eq!(parent(&child), Some(id(&root)));
        assert_eq!(parent(&grandchild), Some(id(&child)));
        assert_ne!(id(&child), id(&sibling));
    }
}
