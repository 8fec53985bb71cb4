//! The compiler of the book. It reads and writes text, and starts no program.
//!
//! - `chapter`, `listing`: the pages as they are written, with their blocks and tables;
//! - `rendered`: the pages as mdBook and rustdoc made them;
//! - `checks`: mistakes that a page must not have;
//! - `proven`, `measured`: the records of what the tests proved, and of which lines they ran;
//! - `drawings`, `pictures`: what takes the place of a diagram's source, and of a picture;
//! - `api`, `anchors`, `publish`: the documentation of the crate as a part of the book, the
//!   places that stay, the folder to publish.
//!
//! The feature `mdbook`, which the program `book-compiler` needs, adds `preprocess` and `site`,
//! which mdBook starts, and `twins`.

pub mod anchors;
pub mod api;
mod chapter;
pub mod checks;
pub mod drawings;
mod files;
mod listing;
pub mod measured;
pub mod pictures;
#[cfg(feature = "mdbook")]
pub mod preprocess;
pub mod proven;
pub mod publish;
pub mod rendered;
#[cfg(feature = "mdbook")]
pub mod site;
#[cfg(feature = "mdbook")]
mod twins;

pub use chapter::{Chapter, Fence, Table, code_in, front_page};
pub use files::{
    copy, files, files_below, fingerprint, link, locked, plain, read, root, up, write,
};
pub use listing::Listing;
pub use rendered::Rendered;
