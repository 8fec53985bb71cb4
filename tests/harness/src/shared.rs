//! A fixture that many tests use and the first of them makes.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::OnceLock;

use crate::case;

/// Made on first use. If that fails, every test that needs it fails at once with
/// the same message, instead of trying again and waiting for the same deadline.
#[derive(Debug)]
pub struct Shared<T>(OnceLock<Result<T, String>>);

impl<T> Shared<T> {
    /// Nothing yet.
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
            // Not `panic!`: the place to look at is where `make` failed.
            Err(message) => resume_unwind(Box::new(message.clone())),
        }
    }
}

impl<T> Default for Shared<T> {
    fn default() -> Self {
        Self::new()
    }
}
