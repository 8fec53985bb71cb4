//! The rate limiter of each client.

use crate::fnv::Fnv;

/// The number of objects: enough that no single one is too busy, and few enough that each has
/// windows to sweep.
const SHARDS: u64 = 8;

/// The name of the object that counts a client's requests.
pub fn shard_of(client: &str) -> String {
    format!("shard-{}", Fnv::of(client).value() % SHARDS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_client_always_has_the_same_shard_and_all_shards_are_used() {
        assert_eq!(shard_of("alice"), shard_of("alice"));
        let used: BTreeSet<String> = (0..200).map(|n| shard_of(&format!("client-{n}"))).collect();
        assert_eq!(used.len() as u64, SHARDS);
    }
}
