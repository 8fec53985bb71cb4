//! The functions that the page calls. They take and return only numbers, so the page needs no
//! glue code.
//!
//! The page passes the text of a run letter by letter, starts the run, and reads the result byte
//! by byte. A few thousand calls take less time than a frame of the screen.

use std::cell::RefCell;

use wasm_bindgen::prelude::wasm_bindgen;

use crate::run::Run;

thread_local! {
    static RUN: RefCell<String> = const { RefCell::new(String::new()) };
    static SHOWN: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// The longest text of a run. Further letters are ignored.
const MOST_LETTERS: usize = 8_000;

/// Adds a letter to the text of a run.
#[wasm_bindgen]
pub fn put(letter: u32) {
    RUN.with_borrow_mut(|run| {
        if run.len() < MOST_LETTERS {
            run.extend(char::from_u32(letter));
        }
    });
}

/// Runs the text from its beginning. Returns the length of the result in bytes.
///
/// The result is a [`View`](crate::View) as JSON. Unknown words are ignored.
#[wasm_bindgen]
pub fn run() -> u32 {
    let run = RUN.take();
    let shown = serde_json::to_vec(&Run::of(&run).view()).unwrap_or_default();
    let many = shown.len();
    SHOWN.set(shown);
    u32::try_from(many).unwrap_or_default()
}

/// The byte of the result at an index.
#[wasm_bindgen]
pub fn take(at: u32) -> u32 {
    let byte = |shown: &Vec<u8>| shown.get(at as usize).copied();
    SHOWN.with_borrow(byte).unwrap_or_default().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_in_is_run_and_can_be_taken_out() {
        "alarm.end".chars().for_each(|letter| put(letter.into()));
        let many = run();
        let bytes = (0..many).map(|at| u8::try_from(take(at)).expect("a byte"));
        let text = String::from_utf8(bytes.collect()).expect("text");
        let view = serde_json::to_string(&Run::of("alarm.end").view()).expect("JSON");
        assert_eq!(text, view);
        assert_eq!(take(many), 0);
    }
}
