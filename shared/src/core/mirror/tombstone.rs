//! Tombstones: the rows of deleted entities under each deletion policy.
//!
//! A tombstone keeps the key, also of an entity that was never stored, so that no late event brings the entity back. It
//! keeps Clerk's id of the user until its effects are complete: owned tables may use it as their key.

use serde_json::{Map, Value, json};

use super::digest::Digest;
use super::item::Item;
use super::projection::Context;
use super::rank::Rank;
use crate::core::id::{EntityId, MembershipId};
use crate::core::millis::Millis;

/// What a deletion keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeletionPolicy {
    /// The row of the user without personal data, so that references to it stay valid.
    Redact,
    Purge,
    /// The whole row, with `deleted_at`.
    Retain,
}

impl DeletionPolicy {
    /// The value of `DELETION_POLICY`.
    pub fn name(self) -> &'static str {
        match self {
            DeletionPolicy::Redact => "redact",
            DeletionPolicy::Purge => "purge",
            DeletionPolicy::Retain => "retain",
        }
    }
}

/// The deletion of one entity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deletion {
    pub entity: EntityId,
    /// The id of the membership, for memberships.
    pub membership_id: Option<MembershipId>,
    /// The generation: 0 for users and organizations.
    pub generation: Millis,
    /// The time of the deletion in Clerk.
    pub at: Millis,
}

impl Deletion {
    /// The rank of this deletion's tombstone.
    pub fn rank(&self) -> Rank {
        Rank::deleted(self.generation, self.at)
    }

    /// The tombstone. `stored` is the row that it would replace: [`DeletionPolicy::Retain`] keeps its contents if it is
    /// of the same generation, live or deleted.
    pub fn tombstone(&self, policy: DeletionPolicy, stored: Option<&Item>, context: &Context<'_>) -> Item {
        let mut fields = self.ids(context);
        let mut times = (None, None);
        match (policy, stored) {
            (DeletionPolicy::Redact, _) => {
                if let EntityId::User(_) = self.entity {
                    let shown = json!({ "name": "Deleted User", "email": "redacted@deleted.com", "role": "user" });
                    fields.extend(object(shown));
                }
            }
            (DeletionPolicy::Retain, Some(stored)) if stored.rank.generation == self.generation => {
                let ids = std::mem::replace(&mut fields, stored.fields.clone());
                // The stored id is preferred: Clerk's id may have been removed since, permanently.
                for (name, id) in ids {
                    fields.entry(name).or_insert(id);
                }
                // Not in the index `members`: it contains only live members.
                fields.remove("user_pk");
                times = (stored.created_at, stored.updated_at);
            }
            (DeletionPolicy::Retain | DeletionPolicy::Purge, _) => {}
        }
        Item {
            key: self.entity.key(context.instance),
            rank: self.rank(),
            digest: Digest::tombstone(),
            provenance: context.provenance.clone(),
            created_at: times.0,
            updated_at: times.1,
            deleted_at: Some(self.at),
            fields,
        }
    }

    fn ids(&self, context: &Context<'_>) -> Map<String, Value> {
        object(match &self.entity {
            EntityId::User(user) => json!({ "id": context.instance.internal_id(user), "clerk_user_id": user }),
            EntityId::Organization(organization) => json!({ "organization_id": organization }),
            EntityId::Membership { user, organization } => {
                json!({ "organization_id": organization, "clerk_user_id": user, "membership_id": self.membership_id })
            }
        })
    }
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map.into_iter().filter(|(_, value)| !value.is_null()).collect(),
        other => unreachable!("a tombstone's fields are an object, not {other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::id::InstanceId;
    use crate::core::mirror::item::{Provenance, Writer};
    use crate::core::mirror::roles::Roles;

    fn millis(value: i64) -> Millis {
        Millis::try_from(value).unwrap()
    }

    fn deletion(kind: &str) -> Deletion {
        let (user, organization) = ("user_1".parse().unwrap(), "org_1".parse().unwrap());
        let entity = match kind {
            "user" => EntityId::User(user),
            "organization" => EntityId::Organization(organization),
            _ => EntityId::Membership { user, organization },
        };
        let membership_id = (kind == "membership").then(|| "orgmem_1".parse().unwrap());
        let generation = if kind == "membership" { millis(4) } else { Millis::ZERO };
        Deletion { entity, membership_id, generation, at: millis(9) }
    }

    /// The names of the projected fields that are kept, in order.
    fn left(kind: &str, policy: DeletionPolicy, stored: Option<&Item>) -> Vec<String> {
        let instance: InstanceId = "ins_1".parse().unwrap();
        let provenance = Provenance {
            applied_at: millis(10),
            applied_by: Writer::Webhook,
            delivery_id: Some("msg_1".parse().unwrap()),
        };
        let context = Context { instance: &instance, roles: Roles::usual(), provenance: &provenance };
        let deletion = deletion(kind);
        let item = deletion.tombstone(policy, stored, &context);
        assert_eq!((item.rank, item.deleted_at), (Rank::deleted(deletion.generation, millis(9)), Some(millis(9))));
        assert_eq!((&item.key, &item.digest), (&deletion.entity.key(&instance), &Digest::tombstone()));
        let mut fields: Vec<String> = item.fields.keys().cloned().collect();
        fields.sort();
        fields
    }

    fn stored(generation: i64, fields: Value) -> Item {
        Item {
            key: crate::core::id::Key { pk: "USER#1".to_owned(), sk: "ORG#org_1".to_owned() },
            rank: Rank::live(millis(generation), millis(5)),
            digest: Digest::new("membership", &Map::new()),
            provenance: Provenance { applied_at: millis(6), applied_by: Writer::Reconcile, delivery_id: None },
            created_at: Some(millis(generation)),
            updated_at: Some(millis(5)),
            deleted_at: None,
            fields: object(fields),
        }
    }

    #[test]
    fn each_policy_leaves_its_fields_and_no_other() {
        use DeletionPolicy::{Purge, Redact, Retain};
        let membership = ["clerk_user_id", "membership_id", "organization_id"];
        let fields = json!({ "membership_id": "orgmem_1", "role": "org:admin", "user_pk": "USER#1" });
        let known = stored(4, fields);
        for (kind, policy, known, expected) in [
            ("user", Redact, None, &["clerk_user_id", "email", "id", "name", "role"][..]),
            ("user", Purge, None, &["clerk_user_id", "id"]),
            ("user", Retain, None, &["clerk_user_id", "id"]),
            ("organization", Redact, None, &["organization_id"]),
            ("organization", Purge, None, &["organization_id"]),
            ("organization", Retain, None, &["organization_id"]),
            ("membership", Redact, Some(&known), &membership),
            ("membership", Purge, Some(&known), &membership),
            ("membership", Retain, None, &membership),
            ("membership", Retain, Some(&known), &["clerk_user_id", "membership_id", "organization_id", "role"]),
        ] {
            assert_eq!(left(kind, policy, known), expected, "{kind} under {policy:?}, known: {}", known.is_some());
        }
    }

    #[test]
    fn another_generation_is_not_retained() {
        let older = stored(3, json!({ "membership_id": "orgmem_0", "role": "org:admin" }));
        let bare = left("membership", DeletionPolicy::Retain, None);
        assert_eq!(left("membership", DeletionPolicy::Retain, Some(&older)), bare);
    }

    #[test]
    fn an_item_reads_back_as_it_was_written_fields_it_does_not_know_included() {
        let mut item = stored(4, json!({ "role": "org:admin", "public_metadata": { "a": [1, 2.5, null] }, "mark": 7 }));
        item.deleted_at = Some(millis(8));
        item.provenance.delivery_id = Some("msg_1".parse().unwrap());
        let attributes = Value::Object(item.to_attributes());
        assert_eq!(attributes["rank"], "0000000000004.0.0000000000005");
        assert_eq!(serde_json::from_value::<Item>(attributes).unwrap(), item);
    }
}
