//! What names a user of Clerk besides the id: the external id, and e-mail addresses with their proof.
//!
//! A migration finds the users of old rows by them, so a wrong reading gives one person's rights to another one.

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::core::id::UserId;

/// A user of Clerk, as far as a migration needs the user. Source: Backend API, schema `User`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct IdentifiedUser {
    pub id: UserId,
    #[serde(default)]
    pub external_id: Option<String>,
    #[serde(rename = "email_addresses")]
    pub addresses: Vec<Address>,
    /// All of it. A user without a readable one is unreadable: the decision what to write depends on it.
    pub public_metadata: Map<String, Value>,
}

/// An e-mail address of a user of Clerk. Source: schema `EmailAddress`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(from = "Wire")]
pub struct Address {
    /// See [`comparable`].
    pub text: String,
    pub proof: AddressProof,
}

/// Who has proven that an address belongs to a user of Clerk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressProof {
    /// The user, by a code, a link or an identity provider.
    User,
    /// An administrator or an import: `POST /users` marks addresses as verified, whatever the importer knew.
    Import,
    Nobody,
}

impl AddressProof {
    /// Reads `verification.status`, `verification.strategy` and `reserved`. A strategy that is missing is nobody's proof of
    /// a person.
    pub fn of(status: Option<&str>, strategy: Option<&str>, is_reserved: bool) -> AddressProof {
        match (status, strategy) {
            (Some("verified"), _) if is_reserved => AddressProof::Nobody,
            (Some("verified"), Some("admin" | "ticket") | None) => AddressProof::Import,
            (Some("verified"), Some(_)) => AddressProof::User,
            _ => AddressProof::Nobody,
        }
    }
}

/// An address for comparison: without spaces around it, and ASCII letters in lower case; nothing for an empty one. Letters
/// of other alphabets stay, because folding would make two look-alike addresses one. Dots and `+tag` belong to the address.
pub fn comparable(address: &str) -> Option<String> {
    let trimmed = address.trim_matches(' ');
    (!trimmed.is_empty()).then(|| trimmed.to_ascii_lowercase())
}

#[derive(Deserialize)]
struct Wire {
    email_address: String,
    #[serde(default)]
    reserved: bool,
    verification: Option<Verification>,
}

#[derive(Deserialize)]
struct Verification {
    status: Option<String>,
    strategy: Option<String>,
}

impl From<Wire> for Address {
    fn from(wire: Wire) -> Address {
        let (status, strategy) = wire.verification.map_or((None, None), |given| (given.status, given.strategy));
        let proof = AddressProof::of(status.as_deref(), strategy.as_deref(), wire.reserved);
        Address { text: comparable(&wire.email_address).unwrap_or_default(), proof }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn clerks_verification_says_who_has_proven_an_address() {
        for (status, strategy, is_reserved, proof) in [
            (Some("verified"), Some("email_code"), false, AddressProof::User),
            (Some("verified"), Some("from_oauth_google"), false, AddressProof::User),
            (Some("verified"), Some("admin"), false, AddressProof::Import),
            (Some("verified"), Some("ticket"), false, AddressProof::Import),
            (Some("verified"), None, false, AddressProof::Import),
            (Some("verified"), Some("email_code"), true, AddressProof::Nobody),
            (Some("transferable"), Some("from_oauth_google"), false, AddressProof::Nobody),
            (Some("unverified"), Some("email_code"), false, AddressProof::Nobody),
            (Some("failed"), Some("email_code"), false, AddressProof::Nobody),
            (Some("expired"), Some("email_link"), false, AddressProof::Nobody),
            (None, None, true, AddressProof::Nobody),
        ] {
            assert_eq!(AddressProof::of(status, strategy, is_reserved), proof, "{status:?} {strategy:?}");
        }
    }

    #[test]
    fn a_user_without_readable_metadata_or_addresses_is_unreadable() {
        let whole = json!({
            "id": "user_1", "external_id": null, "public_metadata": {"a": 1}, "email_addresses": [
                {"email_address": " Ann@Example.COM ", "verification": {"status": "verified", "strategy": "email_code"}},
                {"email_address": "b@x.org", "reserved": true, "verification": null},
            ],
        });
        let user: IdentifiedUser = serde_json::from_value(whole.clone()).unwrap();
        assert_eq!(user.addresses[0], Address { text: "ann@example.com".into(), proof: AddressProof::User });
        assert_eq!(user.addresses[1].proof, AddressProof::Nobody);
        for (field, value) in [
            ("public_metadata", json!(null)),
            ("public_metadata", json!("text")),
            ("email_addresses", json!(null)),
            ("id", json!("")),
        ] {
            let mut broken = whole.clone();
            broken[field] = value;
            assert!(serde_json::from_value::<IdentifiedUser>(broken).is_err(), "{field}");
        }
    }
}
