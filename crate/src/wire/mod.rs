//! From items to bytes: the receiver's address, the format of envelopes, and the receiver's
//! current rate limits.

pub(crate) mod dsn;
pub(crate) mod endpoint;
pub(crate) mod envelope;
pub(crate) mod limits;
