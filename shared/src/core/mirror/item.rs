//! One row of the Directory, and its conversion to attributes.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use strum::IntoStaticStr;

use super::digest::Digest;
use super::rank::Rank;
use crate::core::id::{DeliveryId, EntityId, Key, Kind, MembershipId};
use crate::core::millis::Millis;

/// The attribute of a tombstone whose effects are complete: when, in Unix ms. Only an operator's undo changes a row
/// with this attribute. The tombstones of memberships get it together with their user's, when Clerk's id is removed
/// from them.
pub const CONSEQUENCES_AT: &str = "consequences_at";
/// The attribute of a user's tombstone whose purge has begun: when, in Unix ms. After that no undo is possible.
pub const PURGING_AT: &str = "purging_at";

/// The value that replaces Clerk's id of a redacted user.
pub const NOBODY: &str = "deleted";

/// The path by which a state reached the Directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase", const_into_str)]
pub enum Writer {
    Webhook,
    /// ensure-profile, for a caller whose row was missing.
    Ensure,
    Reconcile,
    /// The deletion of a user or an organization, for its memberships.
    Cascade,
    /// A command of an operator.
    Operator,
    /// Unknown: the attribute is missing or invalid. Never written.
    Unknown,
}

/// Whether all attributes of a row could be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whole {
    /// All attributes are as Rollcall writes them.
    Yes,
    /// An attribute that the rule does not need is invalid.
    No,
}

/// When and by which path a state was applied, and from which message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provenance {
    /// By this machine's clock. States are ordered by Clerk's times, never by this one.
    pub applied_at: Millis,
    pub applied_by: Writer,
    /// The message, if the state came with one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery_id: Option<DeliveryId>,
}

/// A row of the Directory. An absent attribute means null.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Item {
    /// The primary key.
    #[serde(flatten)]
    pub key: Key,
    /// The rank of the state; see [`super::rule`].
    pub rank: Rank,
    /// The digest of the contents.
    pub digest: Digest,
    /// How the state reached the Directory.
    #[serde(flatten)]
    pub provenance: Provenance,
    /// Clerk's time of creation, in Unix ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Millis>,
    /// Clerk's time of the last change, in Unix ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated_at: Option<Millis>,
    /// The time of the deletion, in Unix ms: on tombstones only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted_at: Option<Millis>,
    /// The projected fields, and all other attributes of the row.
    #[serde(flatten)]
    pub fields: Map<String, Value>,
}

impl Writer {
    /// The name in rows, logs and events.
    pub const fn name(self) -> &'static str {
        self.into_str()
    }
}

/// The projected fields that readers see: all but `user_pk`, which exists only for the index.
pub const SHOWN: [&str; 20] = [
    "banned",
    "clerk_user_id",
    "deprovisioned",
    "email",
    "email_verified",
    "external_id",
    "first_name",
    "id",
    "image_url",
    "last_name",
    "locked",
    "membership_id",
    "name",
    "organization_id",
    "permissions",
    "phone",
    "public_metadata",
    "role",
    "slug",
    "username",
];

impl Item {
    /// The row as attributes.
    ///
    /// # Panics
    ///
    /// Never: every part of an item has a JSON form with string keys.
    pub fn to_attributes(&self) -> Map<String, Value> {
        match serde_json::to_value(self) {
            Ok(Value::Object(attributes)) => attributes,
            other => unreachable!("an item is a JSON object, not {other:?}"),
        }
    }

    /// The row with these attributes; null stands for an attribute that cannot be read. Only the key, the rank and the
    /// digest are required; all other attributes that are not as Rollcall writes them count as absent.
    ///
    /// # Errors
    ///
    /// The key, if it exists, of a row without rank or digest.
    pub fn from_attributes(mut attributes: Map<String, Value>) -> Result<(Item, Whole), Option<Key>> {
        let (mut whole, row) = (Whole::Yes, &mut attributes);
        let key = Key { pk: take(row, "pk").ok_or(None)?, sk: take(row, "sk").ok_or(None)? };
        let (Some(rank), Some(digest)) = (take::<Rank>(row, "rank"), take(row, "digest")) else {
            return Err(Some(key));
        };
        // The time of the write is lost: Clerk's own time is the best estimate.
        let applied_at = take(row, "applied_at").unwrap_or_else(|| {
            whole = Whole::No;
            rank.version
        });
        // Without the time of the write it is unknown which write this was, so the writer is not used either.
        let applied_by = take(row, "applied_by").filter(|_| whole == Whole::Yes).unwrap_or_else(|| {
            whole = Whole::No;
            Writer::Unknown
        });
        let delivery_id = optional(row, "delivery_id", &mut whole);
        let times = ["created_at", "updated_at", "deleted_at"].map(|name| optional(row, name, &mut whole));
        let [created_at, updated_at, deleted_at] = times;
        // The presence of the mark is what counts, whatever its value. On a live row a mark means nothing, and must not
        // get into a tombstone that keeps the row.
        attributes.retain(|name, value| match name.as_str() {
            CONSEQUENCES_AT | PURGING_AT => rank.is_deleted(),
            _ => !value.is_null(),
        });
        let provenance = Provenance { applied_at, applied_by, delivery_id };
        let item = Item { key, rank, digest, provenance, created_at, updated_at, deleted_at, fields: attributes };
        Ok((item, whole))
    }

    /// The id of the membership, for memberships.
    pub fn membership_id(&self) -> Option<MembershipId> {
        self.fields.get("membership_id").and_then(Value::as_str).and_then(|id| id.parse().ok())
    }

    /// The entity of the row; nothing for a tombstone without Clerk's id, and for a row of another kind.
    pub fn entity(&self) -> Option<EntityId> {
        let text = |name: &str| self.fields.get(name).and_then(Value::as_str);
        Some(match Kind::from_key(&self.key)? {
            Kind::User => EntityId::User(text("clerk_user_id").filter(|id| *id != NOBODY)?.parse().ok()?),
            Kind::Organization => EntityId::Organization(text("organization_id")?.parse().ok()?),
            Kind::Membership => EntityId::Membership {
                user: text("clerk_user_id")?.parse().ok()?,
                organization: text("organization_id")?.parse().ok()?,
            },
        })
    }

    /// Whether this is a tombstone. Every reader must check this.
    pub fn is_deleted(&self) -> bool {
        self.rank.is_deleted()
    }

    /// Whether this is the tombstone of a user or an organization with pending effects.
    pub fn is_unfinished(&self) -> bool {
        self.is_deleted() && Kind::from_key(&self.key) != Some(Kind::Membership) && !self.is_finished()
    }

    /// Whether this is a tombstone whose effects are complete. The mark means nothing on a live row.
    pub fn is_finished(&self) -> bool {
        self.is_deleted() && self.fields.contains_key(CONSEQUENCES_AT)
    }

    /// Whether this is the tombstone of a user whose purge has begun.
    pub fn is_purging(&self) -> bool {
        self.is_deleted() && self.fields.contains_key(PURGING_AT) && !self.is_finished()
    }

    /// When the row was stored; nothing if the attribute is missing or invalid.
    pub fn stored_at(&self) -> Option<Millis> {
        (self.provenance.applied_by != Writer::Unknown).then_some(self.provenance.applied_at)
    }

    /// Whether this is a placeholder: the entity is known only from a session token.
    pub fn is_placeholder(&self) -> bool {
        self.rank == Rank::PLACEHOLDER
    }

    /// The fields that readers see: the projected fields and Clerk's times, without null and without Rollcall's own
    /// attributes.
    pub fn shown(&self) -> Map<String, Value> {
        let is_shown = |name: &&String| SHOWN.contains(&name.as_str());
        let mut shown: Map<String, Value> = self
            .fields
            .iter()
            .filter(|(name, _)| is_shown(name))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        for (name, time) in [("created_at", self.created_at), ("updated_at", self.updated_at)] {
            shown.extend(time.map(|time| (name.to_owned(), time.get().into())));
        }
        shown
    }
}

/// Takes a required attribute.
fn take<T: DeserializeOwned>(row: &mut Map<String, Value>, name: &str) -> Option<T> {
    serde_json::from_value(row.remove(name)?).ok()
}

/// Takes an optional attribute.
fn optional<T: DeserializeOwned>(row: &mut Map<String, Value>, name: &str, whole: &mut Whole) -> Option<T> {
    let value = row.remove(name)?;
    let read = serde_json::from_value(value).ok();
    if read.is_none() {
        *whole = Whole::No;
    }
    read
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A row with all possible attributes.
    fn row() -> Map<String, Value> {
        let row = json!({
            "pk": "USER#1c1157ac-33d3-5114-bbd8-09b23e2ca922",
            "sk": "ORG#org_1",
            "rank": "0000000000004.1.0000000000009",
            "digest": "tombstone",
            "applied_at": 20,
            "applied_by": "cascade",
            "delivery_id": "msg_1",
            "created_at": 4,
            "updated_at": 5,
            "deleted_at": 9,
            "membership_id": "orgmem_1",
            "consequences_at": 30,
            "role": "org:admin",
        });
        row.as_object().unwrap().clone()
    }

    #[test]
    fn a_row_reads_back_as_it_was_written() {
        let (item, whole) = Item::from_attributes(row()).unwrap();
        assert_eq!((item.to_attributes(), whole), (row(), Whole::Yes));
        assert_eq!(serde_json::from_value::<Item>(row().into()).unwrap(), item);
        assert!(item.is_finished());
    }

    #[test]
    fn fault_a13_a_row_is_read_for_what_the_rule_needs_and_the_rest_costs_nothing_but_itself() {
        let needed = ["pk", "sk", "rank", "digest"];
        let (good, _) = Item::from_attributes(row()).unwrap();
        for name in row().keys() {
            for broken in [None, Some(Value::Null), Some(json!({ "ada@example.com": 1 })), Some(json!([1]))] {
                let mut row = row();
                match &broken {
                    Some(broken) => drop(row.insert(name.clone(), broken.clone())),
                    None => drop(row.remove(name)),
                }
                let read = Item::from_attributes(row);
                if needed.contains(&name.as_str()) {
                    assert!(read.is_err(), "{name} {broken:?}");
                    continue;
                }
                let (item, _) = read.unwrap();
                assert_eq!((&item.key, item.rank, &item.digest), (&good.key, good.rank, &good.digest), "{name}");
                // The grace period of a deletion is counted from here.
                let applied_at = if name == "applied_at" { 9 } else { 20 };
                assert_eq!(item.provenance.applied_at.get(), applied_at, "{name} {broken:?}");
                assert_eq!(item.is_finished(), name != CONSEQUENCES_AT || broken.is_some(), "{name} {broken:?}");
                assert!(!format!("{:?}", item.provenance).contains("ada@"), "{name}");
            }
        }
    }
}
