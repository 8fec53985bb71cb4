//! FNV-1a: a hash that is the same in every isolate and on every machine. The standard library does
//! not promise that for its own hash.

use std::fmt;

/// A hash that more bytes can be added to.
#[derive(Clone, Copy, Debug)]
pub struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Fnv(0xcbf2_9ce4_8422_2325)
    }
}

impl Fnv {
    /// The hash of a text.
    pub fn of(text: &str) -> Self {
        let mut hash = Fnv::default();
        hash.update(text.as_bytes());
        hash
    }

    /// Adds more bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    /// The hash as a number.
    pub fn value(self) -> u64 {
        self.0
    }
}

impl fmt::Write for Fnv {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.update(text.as_bytes());
        Ok(())
    }
}

impl fmt::Display for Fnv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::Fnv;

    #[test]
    fn the_hash_is_the_published_one() {
        // From the test vectors of the hash's authors.
        assert_eq!(Fnv::of("").value(), 0xcbf2_9ce4_8422_2325);
        assert_eq!(Fnv::of("foobar").to_string(), "85944171f73967e8");
    }

    #[test]
    fn text_may_come_in_pieces() {
        let mut hash = Fnv::of("foo");
        write!(hash, "bar").expect("a hash takes all text");
        assert_eq!(hash.value(), Fnv::of("foobar").value());
    }
}
