//! Keeps the place where an error came up.

use super::into_report::IntoReport;
use super::report::Report;
use crate::panics;
use crate::platform::Runtime;
use crate::platform::workerd::Workerd;
use crate::scope::Scope;
use crate::scope::places::Place;

/// Keeps where an error came up, for every `Result` whose error can be reported.
///
/// The wrapper around a handler sees an error only after the handler has returned it, so the
/// stack it can take is that of the wrapper itself. With [`with_stack`](WithStack::with_stack)
/// in front of a `?`, the event has the place of that `?` and the calls and `.await`s that led
/// to it.
///
/// ```
/// use worker_sentry::WithStack;
///
/// fn rules(list: &str) -> Result<u32, std::num::ParseIntError> {
///     let count = list.trim().parse::<u32>().with_stack()?;
///     Ok(count)
/// }
/// # assert_eq!(rules(" 7"), Ok(7));
/// # assert!(rules("seven").is_err());
/// ```
pub trait WithStack<Kind>: Sized {
    /// Returns the result unchanged. For an error, keeps the stack of calls that led here until
    /// the run of the handler ends.
    ///
    /// The event shows this stack for this error, also if a later `?` converts the error into
    /// another one: the error is recognised by its text, alone or within a longer text. If an
    /// error passes several calls of `with_stack` on its way out, the first call counts. A run
    /// keeps the stacks of its eight latest errors.
    ///
    /// Costs nothing on `Ok`. On `Err` it takes about ten microseconds. Outside of a wrapped
    /// handler or without a `SENTRY_DSN`, nothing is kept and the cost is close to zero. Never
    /// fails and never waits.
    #[must_use = "the error is still to be handled"]
    fn with_stack(self) -> Self;
}

impl<T, E, Kind> WithStack<Kind> for Result<T, E>
where
    for<'e> &'e E: IntoReport<'e, Kind>,
{
    #[inline]
    fn with_stack(self) -> Self {
        if let Err(error) = &self {
            keep(error.into_report());
        }
        self
    }
}

/// Keeps the stack of an error in the current scope. Without a DSN there is no scope.
#[cold]
#[inline(never)]
fn keep(report: Report<'_>) {
    let (Some(scope), Some(env)) = (Scope::current(), panics::env()) else {
        return;
    };
    keep_in(&scope, &Workerd::owned(&env), report);
}

fn keep_in(scope: &Scope, runtime: &impl Runtime, report: Report<'_>) {
    let Some(stack) = runtime.stack() else {
        return;
    };
    let chain = report.read(runtime).chain;
    scope.keep(&Place::of(&chain, stack));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::item::draft::Draft;
    use crate::item::exception;
    use crate::item::place::{self, Handler};
    use crate::platform::testing::Fake;
    use allocation_counter::measure;
    use std::num::ParseIntError;
    use std::rc::Rc;
    use thiserror::Error;

    fn scope() -> Rc<Scope> {
        Scope::new(place::Place::new("Object", Handler::Alarm))
    }

    fn failure() -> ParseIntError {
        "x".parse::<u8>().expect_err("not a number")
    }

    /// A stack as this crate takes it, with calls at these offsets, the innermost first.
    fn at(offsets: &[u32]) -> String {
        let mut stack = "Error".to_owned();
        for offset in [&[0xaa, 0xbb], offsets].concat() {
            stack += &format!("\n    at wasm://wasm/0a:wasm-function[1]:{offset:#x}");
        }
        stack
    }

    fn keep_at<'e, Kind>(scope: &Scope, offsets: &[u32], error: impl IntoReport<'e, Kind>) {
        let fake = Fake::default();
        fake.world.stack.replace(Some(at(offsets)));
        keep_in(scope, &fake, error.into_report());
    }

    /// The offsets of each error's stack, the outermost error first, without the crate's own
    /// frames.
    fn reported<'e, Kind>(scope: &Scope, error: impl IntoReport<'e, Kind>) -> Vec<Vec<u64>> {
        let mut draft: Draft = error.into_report().read(&Fake::default());
        scope.complete(&mut draft, None);
        let offsets = |it: &exception::Exception| {
            let frames = it.stacktrace.iter().flat_map(|it| it.frames.iter().rev());
            let addresses = frames.filter_map(|frame| Some(frame.instruction_addr?.0));
            addresses.skip(2).collect()
        };
        draft.chain.exceptions.iter().map(offsets).collect()
    }

    #[test]
    fn an_error_that_is_reported_later_has_the_stack_that_was_kept() {
        let scope = scope();
        keep_at(&scope, &[1, 2, 3], &failure());
        assert_eq!(reported(&scope, &failure()), [[1, 2, 3]]);
        let other = "".parse::<u8>().expect_err("empty");
        assert_eq!(reported(&scope, &other), [[0; 0]]);
    }

    #[derive(Debug, Error)]
    enum Bigger {
        #[error("the list is not to be read")]
        Read(#[from] ParseIntError),
        #[error(transparent)]
        Same(ParseIntError),
    }

    #[test]
    fn an_error_is_known_again_whatever_a_later_question_mark_made_of_it() {
        let scope = scope();
        keep_at(&scope, &[1, 2], &failure());
        let none: [u64; 0] = [];
        assert_eq!(
            reported(&scope, &Bigger::from(failure())),
            [&none[..], &[1, 2]]
        );
        assert_eq!(reported(&scope, &Bigger::Same(failure())), [[1, 2]]);
        assert_eq!(reported(&scope, &failure().to_string()), [[1, 2]]);
        let told = format!("line 7: {}", failure());
        assert_eq!(reported(&scope, &told), [[1, 2]]);
        let boxed: Box<dyn std::error::Error> = failure().into();
        assert_eq!(reported(&scope, &boxed), [[1, 2]]);
    }

    #[test]
    fn each_error_of_a_chain_has_the_place_where_it_came_up_itself() {
        let scope = scope();
        keep_at(&scope, &[1, 2, 3], &failure());
        keep_at(&scope, &[8, 3], &Bigger::from(failure()));
        assert_eq!(
            reported(&scope, &Bigger::from(failure())),
            [vec![8, 3], vec![1, 2, 3]]
        );
    }

    #[test]
    fn the_first_place_on_the_way_out_counts_and_the_last_of_several_tries() {
        let scope = scope();
        keep_at(&scope, &[1, 2, 3, 4], &failure());
        // The same error again in the function that called 2, from another line of that function.
        keep_at(&scope, &[9, 3, 4], &failure());
        keep_at(&scope, &[8, 4], &failure());
        assert_eq!(reported(&scope, &failure()), [[1, 2, 3, 4]]);
        // The same error from another place.
        keep_at(&scope, &[1, 2, 7, 4], &failure());
        assert_eq!(reported(&scope, &failure()), [[1, 2, 7, 4]]);
    }

    #[test]
    fn a_short_text_within_another_one_is_not_taken_for_the_same_error() {
        let scope = scope();
        keep_at(&scope, &[1], &"no".to_owned());
        assert_eq!(reported(&scope, &"no such list".to_owned()), [[0; 0]]);
        keep_at(&scope, &[2], &String::new());
        assert_eq!(reported(&scope, &"anything".to_owned()), [[0; 0]]);
    }

    #[test]
    fn a_place_is_kept_for_the_runs_around_and_not_for_those_inside() {
        let outer = scope();
        let inner = Scope::within(Some(Rc::clone(&outer)), place::Place::default());
        keep_at(&inner, &[1], &failure());
        assert_eq!(reported(&outer, &failure()), [[1]]);
        let outer = scope();
        let inner = Scope::within(Some(Rc::clone(&outer)), place::Place::default());
        keep_at(&outer, &[1], &failure());
        assert_eq!(reported(&inner, &failure()), [[0; 0]]);
    }

    #[test]
    fn the_oldest_place_is_forgotten_rather_than_the_list_grows() {
        let scope = scope();
        for number in 0..=crate::scope::places::REMEMBERED as u32 {
            keep_at(&scope, &[number], &format!("number {number}"));
        }
        assert_eq!(reported(&scope, &"number 0".to_owned()), [[0; 0]]);
        assert_eq!(reported(&scope, &"number 1".to_owned()), [[1]]);
    }

    #[test]
    fn places_that_are_kept_a_thousand_times_take_the_memory_of_eight() {
        let scope = scope();
        let fake = Fake::default();
        fake.world.stack.replace(Some(at(&[7; 60])));
        let keep = |numbers: std::ops::Range<u32>| {
            measure(|| {
                for number in numbers {
                    let error = format!("number {number:04}");
                    keep_in(&scope, &fake, (&error).into_report());
                }
            })
        };
        let first = keep(0..crate::scope::places::REMEMBERED as u32);
        assert!(first.bytes_current > 0);
        let more = keep(1_000..2_000);
        assert_eq!((more.count_current, more.bytes_current), (0, 0));
        assert_eq!(fake.world.stacks.get(), 1_008);
    }

    #[test]
    fn outside_of_a_run_nothing_is_kept_and_the_result_is_the_same() {
        assert_eq!(Err::<(), _>(failure()).with_stack(), Err(failure()));
        assert_eq!(Ok::<_, ParseIntError>(7).with_stack(), Ok(7));
    }
}
