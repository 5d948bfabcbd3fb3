//! Tombstones: what stays of a deleted entity under each deletion policy.
//!
//! A tombstone keeps the key, whether the entity was known or not, so that nothing late brings the entity back. It
//! keeps Clerk's id of the user until its consequences are done: owned tables may be keyed by it.

use serde_json::{Map, Value, json};

use super::digest::Digest;
use super::id::{EntityId, MembershipId};
use super::item::Item;
use super::millis::Millis;
use super::projection::Context;
use super::rank::Rank;

/// What a deletion leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeletionPolicy {
    /// A user without a personal datum, so that rows which point at it stay valid.
    Redact,
    /// The key alone.
    Purge,
    /// Everything, with `deleted_at` set.
    Retain,
}

/// The end of one entity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deletion {
    /// Whose.
    pub entity: EntityId,
    /// Which membership, for memberships.
    pub membership_id: Option<MembershipId>,
    /// Of which generation: 0 for users and organizations.
    pub generation: Millis,
    /// When, by Clerk's time.
    pub at: Millis,
}

impl Deletion {
    /// The rank of this deletion's tombstone.
    #[must_use]
    pub fn rank(&self) -> Rank {
        Rank::deleted(self.generation, self.at)
    }

    /// The tombstone. `stored` is the item that it would replace; only [`DeletionPolicy::Retain`] keeps anything of it,
    /// and only of a live item of the same generation.
    #[must_use]
    pub fn tombstone(&self, policy: DeletionPolicy, stored: Option<&Item>, context: &Context<'_>) -> Item {
        let mut fields = self.ids(context);
        let mut times = (None, None);
        match policy {
            DeletionPolicy::Purge => {}
            DeletionPolicy::Redact => {
                if let EntityId::User(_) = self.entity {
                    // The values that the team behind SYSTEMS.md row D4 shows in place of a deleted user.
                    fields.extend(object(
                        json!({ "name": "Deleted User", "email": "redacted@deleted.com", "role": "user" }),
                    ));
                }
            }
            DeletionPolicy::Retain => {
                if let Some(stored) =
                    stored.filter(|stored| !stored.is_deleted() && stored.rank.generation == self.generation)
                {
                    let mut kept = stored.fields.clone();
                    // Out of index `members`: whoever is listed there is a member.
                    kept.remove("user_pk");
                    kept.extend(fields);
                    fields = kept;
                    times = (stored.created_at, stored.updated_at);
                }
            }
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
