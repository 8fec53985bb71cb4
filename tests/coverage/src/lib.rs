//! One of the repository's Workers, chosen by a feature, with its own counters to be
//! read: which of its lines ran.
//!
//! `cargo xtask coverage` builds it with `-Cinstrument-coverage` and puts `entry.mjs`
//! around it. Without the target wasm32 and that flag there is nothing here.

#![warn(missing_docs, unreachable_pub)]

#[cfg(feature = "fixture")]
pub use fixture::*;
#[cfg(feature = "listings")]
pub use listings::*;
#[cfg(feature = "snippet-fetch")]
pub use snippet_fetch::*;
#[cfg(feature = "snippet-object")]
pub use snippet_object::*;
#[cfg(feature = "snippet-workflow")]
pub use snippet_workflow::*;

#[cfg(target_arch = "wasm32")]
mod raw;
#[cfg(target_arch = "wasm32")]
mod ways;

#[cfg(target_arch = "wasm32")]
pub use ways::{arm_coverage, take_coverage};
