//! A fixture that many tests use. The first of them makes it.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::OnceLock;

use crate::case;

/// A fixture that is made when it is first used. If that fails, every test that needs it fails at
/// once with the same message, instead of waiting for the same deadline again.
#[derive(Debug)]
pub struct Shared<T>(OnceLock<Result<T, String>>);

impl<T> Shared<T> {
    /// A fixture that is not made yet.
    pub const fn new() -> Self {
        Shared(OnceLock::new())
    }

    /// The fixture.
    ///
    /// # Panics
    ///
    /// If `make` panicked, now or in an earlier test.
    pub fn get(&self, make: impl FnOnce() -> T) -> &T {
        let made = self.0.get_or_init(|| {
            case::aside(|| catch_unwind(AssertUnwindSafe(make))).map_err(case::message)
        });
        match made {
            Ok(fixture) => fixture,
            // Not `panic!`, which would name this place instead of the place where `make` failed.
            Err(message) => resume_unwind(Box::new(message.clone())),
        }
    }
}

impl<T> Default for Shared<T> {
    fn default() -> Self {
        Self::new()
    }
}
