//! The Clerk ids of the new fields, each once: 28 bytes for an id of today's length.

use std::collections::BTreeSet;

use rollcall::core::id::UserId;

/// What is left of a Clerk id without `user_`: 27 characters today. Longer ones, and others, are kept as they are.
const REST: usize = 27;
const PREFIX: &str = "user_";
/// So many ids are collected at least before repeated ones are removed.
const LEAST: usize = 1 << 16;

/// A growing set of ids.
#[derive(Debug, Default)]
pub struct Distinct {
    /// The length of the rest of the id, and the rest. Sorted up to `settled`.
    packed: Vec<[u8; REST + 1]>,
    settled: usize,
    others: BTreeSet<UserId>,
}

impl Distinct {
    /// Adds an id, also one that is there.
    pub fn add(&mut self, id: &UserId) {
        match id.as_str().strip_prefix(PREFIX).map(str::as_bytes) {
            Some(rest) if rest.len() <= REST => {
                let mut packed = [0; REST + 1];
                packed[0] = u8::try_from(rest.len()).unwrap_or_default();
                packed[1..=rest.len()].copy_from_slice(rest);
                self.packed.push(packed);
                // Twice as many as there are different ones, at most.
                if self.packed.len() >= 2 * self.settled.max(LEAST) {
                    self.settle();
                }
            }
            _ => drop(self.others.insert(id.clone())),
        }
    }

    fn settle(&mut self) {
        self.packed.sort_unstable();
        self.packed.dedup();
        self.settled = self.packed.len();
    }

    /// The different ids, in the order of their texts.
    pub fn into_ids(mut self) -> (usize, impl Iterator<Item = UserId>) {
        self.settle();
        let ids = self.packed.into_iter().filter_map(|packed| {
            let rest = std::str::from_utf8(&packed[1..=usize::from(packed[0])]).ok()?;
            format!("{PREFIX}{rest}").parse().ok()
        });
        (self.settled + self.others.len(), ids.chain(self.others))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_id_comes_once_whatever_its_length() {
        let mut distinct = Distinct::default();
        let ids = [
            "user_1".to_owned(),
            format!("user_{}", "x".repeat(27)),
            format!("user_{}", "x".repeat(28)),
            "other".to_owned(),
        ];
        for _ in 0..3 {
            ids.iter().for_each(|id| distinct.add(&id.parse().unwrap()));
        }
        for number in 0..5 * LEAST {
            distinct.add(&format!("user_n{}", number % 10).parse().unwrap());
        }
        assert!(distinct.packed.len() < 2 * LEAST);
        let (count, all) = distinct.into_ids();
        let all: BTreeSet<String> = all.map(|id| id.to_string()).collect();
        let mut expected: BTreeSet<String> = ids.into_iter().collect();
        expected.extend((0..10).map(|number| format!("user_n{number}")));
        assert_eq!((count, all), (14, expected));
    }
}
