//! The settings that decide what a run writes and where. A run continues only under the settings with which it began.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// A value longer than this, in bytes, is stored as its hash: the row of a run is written after every page.
const MAX_KEPT: usize = 64;

/// Settings by the names of their variables; empty for a run of a version that did not store them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Basis(BTreeMap<String, String>);

impl Basis {
    /// The settings of a run.
    pub fn new<'a>(settings: impl IntoIterator<Item = (&'a str, String)>) -> Basis {
        Basis(settings.into_iter().map(|(name, value)| (name.to_owned(), short(value))).collect())
    }

    /// Whether the settings are known: runs of earlier versions did not store them.
    pub fn is_known(&self) -> bool {
        !self.0.is_empty()
    }

    /// The names of the variables whose values differ.
    pub fn differences(&self, other: &Basis) -> Vec<String> {
        let names: BTreeSet<&String> = self.0.keys().chain(other.0.keys()).collect();
        names.into_iter().filter(|name| self.0.get(*name) != other.0.get(*name)).cloned().collect()
    }
}

fn short(value: String) -> String {
    if value.len() <= MAX_KEPT {
        return value;
    }
    let hash = Sha256::digest(value.as_bytes());
    let mut first = [0_u8; 8];
    first.copy_from_slice(&hash[..8]);
    format!("sha256:{:016x}", u64::from_be_bytes(first))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_names_of_settings_that_differ_are_told() {
        let of = |table: &str, policy: &str| {
            Basis::new([("DIRECTORY_TABLE", table.to_owned()), ("DELETION_POLICY", policy.to_owned())])
        };
        assert!(of("a", "redact").differences(&of("a", "redact")).is_empty());
        assert_eq!(of("a", "redact").differences(&of("b", "redact")), ["DIRECTORY_TABLE"]);
        assert_eq!(of("a", "redact").differences(&of("a", "purge")), ["DELETION_POLICY"]);
        let earlier = Basis::default();
        assert_eq!(earlier.differences(&of("a", "redact")).len(), 2);
        assert!(!earlier.is_known() && of("a", "redact").is_known());
    }

    #[test]
    fn a_long_value_is_kept_as_its_hash() {
        let of = |last: char| Basis::new([("OWNED_TABLES", format!("{}{last}", "x".repeat(4_000)))]);
        assert_eq!(of('a').differences(&of('b')), ["OWNED_TABLES"]);
        assert!(serde_json::to_string(&of('a')).unwrap().len() < 100);
    }
}
