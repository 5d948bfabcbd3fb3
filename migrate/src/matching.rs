//! Which user of Clerk an old row belongs to. The answer is a decision about security: public metadata decides roles, so a
//! wrong match gives one person's rights or data to another one.
//!
//! In this order: the Clerk id in the row; an `external_id` that equals the old id; the e-mail address, only if asked for,
//! and only if the address is proven on both sides and belongs to one row and one user.

use rollcall::core::clerk::identifications::{AddressProof, IdentifiedUser};
use serde::{Deserialize, Serialize};
use strum::{Display, IntoStaticStr};

/// What of a row names its user.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Keys {
    /// The old id, as text.
    pub legacy_id: Option<String>,
    pub clerk_id: Option<String>,
    /// As [`comparable`](rollcall::core::clerk::identifications::comparable) returns it.
    pub address: Option<String>,
    /// Whether the old system had proof that the address belongs to the person.
    pub is_address_proven: bool,
    /// Whether another row has the same address.
    pub is_address_shared: bool,
    /// Whether the old system had deleted the person.
    pub is_deleted: bool,
}

/// What the operator allows.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Rules {
    /// Users may be matched by their e-mail address.
    pub by_address: bool,
    /// [`AddressProof::Import`] counts as a proof.
    pub trust_imported_addresses: bool,
}

/// By what a row was matched.
#[derive(Clone, Copy, Debug, Display, IntoStaticStr, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Rule {
    ClerkId,
    ExternalId,
    Email,
}

/// Why a row has no user.
#[derive(Clone, Copy, Debug, Display, IntoStaticStr, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Unmatched {
    /// The instance has no user with the Clerk id of the row. The id may be one of another instance. The address is not
    /// tried: the row has said who its user is.
    ClerkIdNotFound,
    /// Nothing in the row leads to a user.
    NoUser,
    /// The old system had no proof of the address.
    RowAddressUnproven,
    /// Clerk has no proof of the address.
    ClerkAddressUnproven,
    /// Clerk's proof comes from an import.
    ClerkAddressImported,
}

/// Why it is unclear whose a row is.
#[derive(Clone, Copy, Debug, Display, IntoStaticStr, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Ambiguous {
    /// Two rules lead to different users.
    Contradiction,
    /// Several rows have the address.
    AddressOfSeveralRows,
    /// Several users have proven the address, or have the external id.
    SeveralUsers,
    /// Another row leads to the same user.
    UserOfSeveralRows,
    /// Another row has the same old id.
    IdOfSeveralRows,
}

/// Whose a row is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Match<'a> {
    User(&'a IdentifiedUser, Rule),
    Unmatched(Unmatched),
    Ambiguous(Ambiguous),
    /// The old system had deleted the person.
    Deleted,
}

/// Finds the user of a row among `users`: all that Clerk has found for the ids and addresses of the row, and any others.
pub fn find<'a>(keys: &Keys, users: &'a [IdentifiedUser], rules: Rules) -> Match<'a> {
    if keys.is_deleted {
        return Match::Deleted;
    }
    let external = |user: &&IdentifiedUser| keys.legacy_id.is_some() && user.external_id == keys.legacy_id;
    let mut by_external_id = users.iter().filter(external);
    let (by_external_id, second) = (by_external_id.next(), by_external_id.next());
    if second.is_some() {
        return Match::Ambiguous(Ambiguous::SeveralUsers);
    }
    if let Some(id) = &keys.clerk_id {
        return match (users.iter().find(|user| user.id.as_str() == id), by_external_id) {
            (None, _) => Match::Unmatched(Unmatched::ClerkIdNotFound),
            (Some(user), Some(other)) if user.id != other.id => Match::Ambiguous(Ambiguous::Contradiction),
            (Some(user), _) => Match::User(user, Rule::ClerkId),
        };
    }
    if let Some(user) = by_external_id {
        return Match::User(user, Rule::ExternalId);
    }
    match &keys.address {
        Some(address) if rules.by_address => by_address(keys, address, users, rules),
        _ => Match::Unmatched(Unmatched::NoUser),
    }
}

fn by_address<'a>(keys: &Keys, address: &str, users: &'a [IdentifiedUser], rules: Rules) -> Match<'a> {
    if keys.is_address_shared {
        return Match::Ambiguous(Ambiguous::AddressOfSeveralRows);
    }
    let proofs = |user: &IdentifiedUser| {
        let same = user.addresses.iter().filter(|other| other.text == address);
        same.map(|other| other.proof).collect::<Vec<_>>()
    };
    let owners: Vec<(&IdentifiedUser, Vec<AddressProof>)> =
        users.iter().map(|user| (user, proofs(user))).filter(|(_, proofs)| !proofs.is_empty()).collect();
    if owners.is_empty() {
        return Match::Unmatched(Unmatched::NoUser);
    }
    if !keys.is_address_proven {
        return Match::Unmatched(Unmatched::RowAddressUnproven);
    }
    let is_enough = |proof: &AddressProof| match proof {
        AddressProof::User => true,
        AddressProof::Import => rules.trust_imported_addresses,
        AddressProof::Nobody => false,
    };
    let mut proven = owners.iter().filter(|(_, proofs)| proofs.iter().any(is_enough));
    match (proven.next(), proven.next()) {
        // The user was imported from another row.
        (Some((user, _)), None) if user.external_id.is_some() && user.external_id != keys.legacy_id => {
            Match::Ambiguous(Ambiguous::Contradiction)
        }
        (Some((user, _)), None) => Match::User(user, Rule::Email),
        (Some(_), Some(_)) => Match::Ambiguous(Ambiguous::SeveralUsers),
        (None, _) if owners.iter().any(|(_, proofs)| proofs.contains(&AddressProof::Import)) => {
            Match::Unmatched(Unmatched::ClerkAddressImported)
        }
        (None, _) => Match::Unmatched(Unmatched::ClerkAddressUnproven),
    }
}

#[cfg(test)]
mod tests {
    use rollcall::core::clerk::identifications::{Address, comparable};
    use serde_json::Map;

    use super::*;

    fn user(id: &str, external_id: Option<&str>, addresses: &[(&str, AddressProof)]) -> IdentifiedUser {
        let addresses =
            addresses.iter().map(|(text, proof)| Address { text: comparable(text).unwrap(), proof: *proof });
        IdentifiedUser {
            id: id.parse().unwrap(),
            external_id: external_id.map(Into::into),
            addresses: addresses.collect(),
            public_metadata: Map::new(),
        }
    }

    fn row(email: &str) -> Keys {
        Keys { legacy_id: Some("1".into()), address: comparable(email), is_address_proven: true, ..Keys::default() }
    }

    const BY_ADDRESS: Rules = Rules { by_address: true, trust_imported_addresses: false };

    #[test]
    fn a1_an_address_counts_only_if_it_is_proven_on_both_sides_and_belongs_to_one_row_and_one_user() {
        let users = [
            user("user_1", None, &[("ann@example.com", AddressProof::User)]),
            user("user_2", None, &[("bob@x.org", AddressProof::Nobody)]),
            user("user_3", None, &[("eve@x.org", AddressProof::User)]),
            user("user_4", None, &[("dan@x.org", AddressProof::User)]),
            user("user_5", None, &[("fay@x.org", AddressProof::Import)]),
            user("user_6", None, &[("gus@x.org", AddressProof::User)]),
            user("user_7", None, &[("carol@x.org", AddressProof::User)]),
            user("user_8", Some("another row"), &[("hal@x.org", AddressProof::User)]),
            user("user_9", None, &[("both@x.org", AddressProof::User)]),
            user("user_10", None, &[("both@x.org", AddressProof::User)]),
        ];
        let find = |keys: &Keys| match find(keys, &users, BY_ADDRESS) {
            Match::User(user, rule) => format!("{} by {rule}", user.id),
            Match::Unmatched(reason) => reason.to_string(),
            Match::Ambiguous(reason) => reason.to_string(),
            Match::Deleted => "deleted".to_owned(),
        };
        let gus = Keys { clerk_id: Some("user_dev".into()), ..row("gus@x.org") };
        for (keys, expected) in [
            (row(" Ann@Example.com "), "user_1 by email"),
            (row("bob@x.org"), "clerk_address_unproven"),
            (Keys { is_address_proven: false, ..row("eve@x.org") }, "row_address_unproven"),
            (row("dan+shop@x.org"), "no_user"),
            (row("fay@x.org"), "clerk_address_imported"),
            (gus, "clerk_id_not_found"),
            (Keys { is_address_shared: true, ..row("CAROL@x.org") }, "address_of_several_rows"),
            (row("hal@x.org"), "contradiction"),
            (row("both@x.org"), "several_users"),
            (Keys { is_deleted: true, ..row("ann@example.com") }, "deleted"),
            (Keys::default(), "no_user"),
            // A look-alike: the first letter is Cyrillic.
            (row("\u{0430}nn@example.com"), "no_user"),
        ] {
            assert_eq!(find(&keys), expected, "{keys:?}");
        }
        let fay = row("fay@x.org");
        let trusting = Rules { trust_imported_addresses: true, ..BY_ADDRESS };
        assert!(
            matches!(super::find(&fay, &users, trusting), Match::User(user, Rule::Email) if user.id.as_str() == "user_5")
        );
        assert_eq!(super::find(&row("ann@example.com"), &users, Rules::default()), Match::Unmatched(Unmatched::NoUser));
    }

    #[test]
    fn ids_come_before_addresses_and_must_not_contradict_one_another() {
        let users = [
            user("user_1", Some("old_1"), &[("a@x.org", AddressProof::User)]),
            user("user_2", None, &[("b@x.org", AddressProof::User)]),
        ];
        let keys = |legacy: Option<&str>, clerk: Option<&str>| Keys {
            legacy_id: legacy.map(Into::into),
            clerk_id: clerk.map(Into::into),
            ..row("b@x.org")
        };
        let find = |keys: &Keys| find(keys, &users, BY_ADDRESS);
        assert_eq!(find(&keys(Some("old_1"), None)), Match::User(&users[0], Rule::ExternalId));
        assert_eq!(find(&keys(Some("old_1"), Some("user_1"))), Match::User(&users[0], Rule::ClerkId));
        assert_eq!(find(&keys(Some("old_1"), Some("user_2"))), Match::Ambiguous(Ambiguous::Contradiction));
        assert_eq!(find(&keys(Some("old_9"), Some("user_2"))), Match::User(&users[1], Rule::ClerkId));
        assert_eq!(find(&keys(None, None)), Match::User(&users[1], Rule::Email));
        let twins = [users[0].clone(), IdentifiedUser { id: "user_3".parse().unwrap(), ..users[0].clone() }];
        assert_eq!(
            super::find(&keys(Some("old_1"), None), &twins, BY_ADDRESS),
            Match::Ambiguous(Ambiguous::SeveralUsers)
        );
    }
}
