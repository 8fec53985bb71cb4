//! Where the errors of a run came up, kept until one of them is reported.
//!
//! An error that a wrapper reports has left the code in which it came up. What is kept here
//! is known again by the text of the error, because a `?` can make another error of it: the
//! text survives in the chain of causes, in a `transparent` error, and in an error that was
//! made of the text, as a `worker::Error` often is.

use std::rc::Rc;

use crate::item::draft::Draft;
use crate::item::exception::{Chain, Exception};
use crate::item::stack;
use crate::item::text::find;

/// Places beyond this many are forgotten, the oldest first.
pub(crate) const REMEMBERED: usize = 8;
/// So much of a text is compared, in bytes.
const COMPARED: usize = 256;
/// A text that is shorter than this, in bytes, can be a part of many others.
const TELLING: usize = 8;

/// Where an error came up.
pub(crate) struct Place {
    /// What its chain says, the outermost error first.
    texts: Vec<String>,
    /// V8's lines, as they came.
    stack: String,
    /// [`give`], which only a Worker that keeps places has in it.
    give: fn(&Place, &mut Draft),
}

impl Place {
    /// The place of the error whose chain this is.
    pub(crate) fn of(chain: &Chain, stack: String) -> Rc<Self> {
        let texts = chain.exceptions.iter().filter_map(text);
        Rc::new(Place {
            texts: texts.map(str::to_owned).collect(),
            stack,
            give,
        })
    }

    /// Gives the place to the error of a draft that it belongs to.
    pub(crate) fn give(&self, draft: &mut Draft) {
        (self.give)(self, draft);
    }

    /// Whether this is the same error, kept again on its way out.
    ///
    /// The two stacks begin alike, with the calls that keep a place, and end alike, with the
    /// calls around the later place. Between them the later one has one frame, that of the
    /// function that keeps it, and the earlier one has more.
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

    /// Whether the error is an earlier one, or was made of its text.
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
    // The same error again, as a retry has it: the later one counts.
    places.retain(|earlier| earlier.texts.first() != place.texts.first());
    if places.len() == REMEMBERED {
        places.remove(0);
    }
    places.push(Rc::clone(place));
}

/// What an error says, by which it is known again. An error that says nothing could be any.
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
    // What JavaScript threw has a stack of its own, which can end within JavaScript.
    let to = match exceptions[found].stacktrace {
        None => &mut exceptions[found].stacktrace,
        Some(_) => &mut draft.reported_at,
    };
    if to.is_none() {
        *to = stack::from_here(&place.stack);
    }
}
