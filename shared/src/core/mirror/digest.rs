//! The digest: a stable hash of the projected fields of an entity, without times.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

/// Increase this number when a projection keeps other fields or derives them in another way: all digests change, and
/// reconcile rewrites the stored rows. A row of an old projection is never taken for one of a new projection.
const PROJECTION: u32 = 2;

/// 128 bits of SHA-256 in hexadecimal, or the constant of all tombstones.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Digest(String);

impl Digest {
    /// The digest of the projected fields of one entity. `kind` makes the digests of different kinds differ.
    ///
    /// The fields are hashed in their canonical form (RFC 8785), so the order of Clerk's keys and the notation of
    /// numbers do not matter. Integers beyond 2^53 count as the nearest double.
    pub fn new(kind: &str, fields: &Map<String, Value>) -> Digest {
        let subject = json!({ "projection": PROJECTION, "kind": kind, "fields": fields });
        // A `Value` has string keys and finite numbers only, so it always has a canonical form.
        let canonical = serde_json_canonicalizer::to_vec(&subject).unwrap_or_else(|_| subject.to_string().into_bytes());
        let hash = Sha256::digest(&canonical);
        let mut first = [0_u8; 16];
        first.copy_from_slice(&hash[..16]);
        Digest(format!("{:032x}", u128::from_be_bytes(first)))
    }

    /// The digest of all tombstones: the effects of a deletion do not depend on its contents.
    pub fn tombstone() -> Digest {
        Digest("tombstone".to_owned())
    }

    /// The digest as it is stored.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(text: &str) -> Digest {
        Digest::new("user", &serde_json::from_str(text).unwrap())
    }

    #[test]
    fn key_order_and_number_form_do_not_matter() {
        assert_eq!(digest(r#"{"a":1,"b":{"x":1.0,"y":2}}"#), digest(r#"{"b":{"y":2,"x":1},"a":1.0}"#));
    }

    #[test]
    fn values_kinds_and_absence_do_matter() {
        let all = [
            digest("{}"),
            digest(r#"{"a":1}"#),
            digest(r#"{"a":"1"}"#),
            digest(r#"{"a":null}"#),
            Digest::new("organization", &Map::new()),
        ];
        for (at, one) in all.iter().enumerate() {
            assert!(all[at + 1..].iter().all(|other| other != one), "{one:?}");
        }
    }

    #[test]
    fn a_stored_digest_never_changes_by_accident() {
        // A change of this value means that every stored row is rewritten: increase PROJECTION and tell the users of
        // Rollcall.
        assert_eq!(digest(r#"{"name":"Ada Example"}"#).as_str(), "1864d34151a3211a04622b2b176e96e8");
    }
}
