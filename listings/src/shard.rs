//! Which rate limiter looks after which client.

/// Enough objects that no single one is busy, few enough that each has something
/// to sweep.
const SHARDS: u64 = 8;

/// The name of the object that counts a client's requests.
///
/// FNV-1a: any spread would do, but it must be the same in every isolate.
pub fn shard_of(client: &str) -> String {
    let hash = client
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
    format!("shard-{}", hash % SHARDS)
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
