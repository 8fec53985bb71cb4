//! Where the errors of a run came up, kept until one of them is reported.
//!
//! When a wrapper reports an error, the stack in which the error came up is gone, so the stack
//! is kept here. It is matched to the reported error by the error's text, because a `?` can
//! convert an error into another one. The text is still in the chain of causes, in a
//! `transparent` error, and in an error that was made from the text, as a `worker::Error` often
//! is.

use std::rc::Rc;

use crate::item::draft::Draft;
use crate::item::exception::{Chain, Exception};
use crate::item::stack;
use crate::item::text::find;

/// Places beyond this many are forgotten, the oldest first.
pub(crate) const REMEMBERED: usize = 8;
/// How many bytes of a text are compared.
const COMPARED: usize = 256;
/// A text with fewer bytes than this is not searched in longer texts, because it could be a
/// part of many unrelated ones.
const TELLING: usize = 8;

/// Where an error came up.
pub(crate) struct Place {
    /// The texts of the error and its causes, the outermost error first.
    texts: Vec<String>,
    /// The stack as V8 wrote it, one line for each frame.
    stack: String,
    /// [`give`]. It is called through a pointer, so that a Worker that never keeps a place does
    /// not link it.
    give: fn(&Place, &mut Draft),
}

impl Place {
    /// The place of the error with this chain.
    pub(crate) fn of(chain: &Chain, stack: String) -> Rc<Self> {
        let texts = chain.exceptions.iter().filter_map(text);
        Rc::new(Place {
            texts: texts.map(str::to_owned).collect(),
            stack,
            give,
        })
    }

    /// Adds the stack to the error of a draft that it belongs to, if there is one.
    pub(crate) fn give(&self, draft: &mut Draft) {
        (self.give)(self, draft);
    }

    /// Whether this is the same error as the earlier one, kept again in an outer function.
    ///
    /// In that case both stacks have the same first frames, those of the calls that keep a
    /// place, and the same last frames, those of the calls around the later place. Between them
    /// the later stack has one frame, that of the function that keeps the place, and the earlier
    /// stack has more.
    fn is_on_the_way_of(&self, earlier: &Place) -> bool {
        let (later, earlier_stack) = (self.stack.lines(), earlier.stack.lines());
        let (length, whole) = (later.clone().count(), earlier_stack.clone().count());
        let same = |(a, b): &(&str, &str)| a == b;
        let begin = later
            .clone()
            .zip(earlier_stack.clone())
            .take_while(same)
            .count();
        let end = later
            .rev()
            .zip(earlier_stack.rev())
            .take_while(same)
            .count();
        self.says(earlier) && length < whole && begin + 1 + end >= length
    }

    /// Whether this error has the text of the earlier one, or contains that text.
    fn says(&self, earlier: &Place) -> bool {
        match (self.texts.first(), earlier.texts.first()) {
            (Some(later), Some(earlier)) => later == earlier || is_made_of(later, earlier),
            _ => false,
        }
    }
}

/// Adds a place to those of a run.
pub(crate) fn keep(places: &mut Vec<Rc<Place>>, place: &Rc<Place>) {
    if places.iter().any(|earlier| place.is_on_the_way_of(earlier)) {
        return;
    }
    // The same error from another place, as after a retry: the later place replaces the earlier.
    places.retain(|earlier| earlier.texts.first() != place.texts.first());
    if places.len() == REMEMBERED {
        places.remove(0);
    }
    places.push(Rc::clone(place));
}

/// The text by which an error is recognised. `None` for an error without a text, which could
/// be any error.
fn text(exception: &Exception) -> Option<&str> {
    let text = exception.value.as_deref().filter(|it| !it.is_empty())?;
    Some(&text[..text.floor_char_boundary(COMPARED)])
}

fn is_made_of(text: &str, part: &str) -> bool {
    part.len() >= TELLING && find(text, part).is_some()
}

fn give(place: &Place, draft: &mut Draft) {
    let exceptions = &mut draft.chain.exceptions;
    let position = |is_it: &dyn Fn(&str) -> bool| {
        let mut texts = exceptions.iter().map(text);
        texts.position(|it| it.is_some_and(is_it))
    };
    let known = |wanted: &String| position(&|text| text == wanted);
    let made = |part: &String| position(&|text| is_made_of(text, part));
    let found = place.texts.iter().find_map(known);
    let found = found.or_else(|| place.texts.first().and_then(made));
    let Some(found) = found else {
        return;
    };
    // An error that JavaScript threw has its own stack, which may have no frames of Rust.
    // In that case the kept stack becomes that of the place of the report.
    let to = match exceptions[found].stacktrace {
        None => &mut exceptions[found].stacktrace,
        Some(_) => &mut draft.reported_at,
    };
    if to.is_none() {
        *to = stack::from_here(&place.stack);
    }
}
