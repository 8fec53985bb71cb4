//! From items to bytes: where they go, how they are written, and what the receiver does
//! not want at the moment.

pub(crate) mod dsn;
pub(crate) mod endpoint;
pub(crate) mod envelope;
pub(crate) mod limits;
