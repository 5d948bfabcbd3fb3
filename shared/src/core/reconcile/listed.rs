//! The set of listed entities, as 8-byte hashes.

use sha2::{Digest as _, Sha256};

use crate::core::id::EntityId;

/// The Directory's state of a listed entity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Here {
    /// Live, or not yet stored.
    Live,
    Tombstone,
}

/// The entities of one kind that a run has listed.
///
/// Each is stored as 63 bits of a hash, salted by the run, and one bit for [`Here`]. Two of a million entities have the
/// same hash once in millions of runs; an absent one would then count as listed, until the next run has another salt.
#[derive(Clone, Debug, Default)]
pub struct ListedSet {
    entries: Vec<u64>,
    /// The number of entries, from the start, that are sorted and unique.
    sorted: usize,
}

/// The bit of a tombstone.
const TOMBSTONE: u64 = 1;

impl ListedSet {
    /// The entry of an entity, as it is stored between invocations.
    pub fn entry(salt: &str, entity: &EntityId, here: Here) -> u64 {
        let hash = hash(salt, entity);
        match here {
            Here::Live => hash,
            Here::Tombstone => hash | TOMBSTONE,
        }
    }

    /// Adds entries, in any order, also repeated ones.
    pub fn extend(&mut self, entries: impl IntoIterator<Item = u64>) {
        self.entries.extend(entries);
    }

    /// The number of different entities.
    pub fn count(&mut self) -> usize {
        self.sort();
        self.entries.len()
    }

    /// The Directory's state of an entity when it was listed; nothing if it was not listed.
    pub fn get(&mut self, salt: &str, entity: &EntityId) -> Option<Here> {
        self.sort();
        let hash = hash(salt, entity);
        let found = self.entries.binary_search_by_key(&hash, |entry| entry & !TOMBSTONE).ok()?;
        Some(if self.entries[found] & TOMBSTONE == 0 { Here::Live } else { Here::Tombstone })
    }

    #[expect(
        clippy::stable_sort_primitive,
        reason = "it takes what is in order already as it is: a page costs a merge"
    )]
    fn sort(&mut self) {
        if self.sorted < self.entries.len() {
            self.entries.sort();
            self.entries.dedup_by_key(|entry| *entry & !TOMBSTONE);
            self.sorted = self.entries.len();
        }
    }
}

fn hash(salt: &str, entity: &EntityId) -> u64 {
    let digest = Sha256::new().chain_update(salt).chain_update([0]).chain_update(entity.to_string()).finalize();
    let mut first = [0_u8; 8];
    first.copy_from_slice(&digest[..8]);
    u64::from_be_bytes(first) & !TOMBSTONE
}

/// Entries as the stored bytes, 8 each.
pub fn to_bytes(entries: &[u64]) -> Vec<u8> {
    entries.iter().flat_map(|entry| entry.to_be_bytes()).collect()
}

/// Entries from stored bytes; nothing if the bytes are incomplete.
pub fn from_bytes(bytes: &[u8]) -> Option<Vec<u64>> {
    let (entries, rest) = bytes.as_chunks::<8>();
    rest.is_empty().then(|| entries.iter().map(|entry| u64::from_be_bytes(*entry)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(number: usize) -> EntityId {
        EntityId::User(format!("user_{number}").parse().unwrap())
    }

    #[test]
    fn whoever_was_seen_is_found_and_nobody_else() {
        let mut seen = ListedSet::default();
        let here = |number: usize| if number.is_multiple_of(3) { Here::Tombstone } else { Here::Live };
        // All twice, as rows are repeated when a list shifts.
        for number in (0..1_000).chain(0..1_000) {
            seen.extend([ListedSet::entry("run", &user(number), here(number))]);
        }
        assert_eq!(seen.count(), 1_000);
        for number in 0..1_000 {
            assert_eq!(seen.get("run", &user(number)), Some(here(number)));
            assert_eq!(seen.get("run", &user(number + 1_000)), None);
            assert_eq!(seen.get("another run", &user(number)), None, "the salt is part of the hash");
        }
        seen.extend([ListedSet::entry("run", &user(5_000), Here::Live)]);
        assert_eq!(seen.get("run", &user(5_000)), Some(Here::Live));
        assert_eq!(seen.count(), 1_001);
    }

    #[test]
    fn entries_take_eight_bytes_each_and_read_back() {
        let entries: Vec<u64> = (0..500).map(|number| ListedSet::entry("run", &user(number), Here::Live)).collect();
        let bytes = to_bytes(&entries);
        assert_eq!(bytes.len(), 4_000);
        assert_eq!(from_bytes(&bytes), Some(entries));
        assert_eq!(from_bytes(&bytes[1..]), None);
    }
}
