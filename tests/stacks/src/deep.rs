//! Functions that are called one by another, some inlined, some not.

use std::fmt::Debug;

use thiserror::Error;
use worker_sentry::WithStack;

#[derive(Debug, Error)]
#[error("failed on purpose: {0}")]
pub struct Failed(String);

impl Failed {
    pub fn of(marker: &str) -> Self {
        Failed(marker.to_owned())
    }
}

#[inline(never)]
pub fn outer(marker: &str) {
    middle(&format!("deep {marker}")); // AT outer
    std::hint::black_box(());
}

#[inline(always)]
fn middle(marker: &str) {
    inner(marker); // AT middle
    std::hint::black_box(());
}

#[inline(never)]
fn inner(marker: &str) {
    if !marker.is_empty() {
        panic!("failed on purpose: {marker}"); // AT panic
    }
}

#[inline(never)]
pub fn index(marker: &str) -> u8 {
    let nothing: Vec<u8> = marker.bytes().take(0).collect();
    nothing[marker.len()] // AT index
}

#[inline(never)]
pub fn fails(marker: &str) -> Result<(), Failed> {
    Err(Failed::of(marker)).with_stack() // AT fails
}

/// The name of this function is long, because its type is.
#[inline(never)]
pub fn generic<T: Debug + IntoIterator + Clone>(what: &T) -> Result<(), Failed>
where
    T::Item: Debug,
{
    inlined(what, || format!("{:?}", what.clone().into_iter().next())) // AT generic
}

#[inline(always)]
fn inlined<T: Debug>(what: &T, text: impl FnOnce() -> String) -> Result<(), Failed> {
    std::hint::black_box(what);
    Err(Failed(text())).with_stack() // AT inlined
}

/// Fails as deep as it is told to.
#[inline(never)]
pub fn descended(depth: u32, marker: &str) -> Result<(), Failed> {
    if depth == 0 {
        return Err(Failed::of(marker)).with_stack(); // AT bottom
    }
    let below = descended(depth - 1, marker); // AT deeper
    std::hint::black_box(below)
}
