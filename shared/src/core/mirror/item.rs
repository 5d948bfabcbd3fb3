//! One row of the Directory, and how it maps to attributes.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use strum::IntoStaticStr;

use super::digest::Digest;
use super::rank::Rank;
use crate::core::id::{DeliveryId, EntityId, Key, Kind, MembershipId};
use crate::core::millis::Millis;

/// The mark on a tombstone whose consequences are all done: when, in Unix ms. Nothing but an operator's undo changes a row
/// that carries it. Memberships get it with their user, whose id of Clerk's they no longer hold.
pub const CONSEQUENCES_AT: &str = "consequences_at";
/// The mark on a user's tombstone whose data is being removed: since when, in Unix ms. An undo comes too late then.
pub const PURGING_AT: &str = "purging_at";

/// What stands for Clerk's id of a user who is redacted.
pub const NOBODY: &str = "deleted";

/// Through which path a state reached the Directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase", const_into_str)]
pub enum Writer {
    Webhook,
    /// A caller whose copy was missing.
    Ensure,
    Reconcile,
    /// The end of a user or an organization, carried to the memberships.
    Cascade,
    /// Somebody at a terminal.
    Operator,
    /// Nobody can tell: the row does not say so in words of Rollcall's. Never written.
    Unknown,
}

/// Whether a row could be read whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whole {
    /// All of it is as Rollcall writes it.
    Yes,
    /// Something that the rule does not need is not.
    No,
}

/// When, by whom and from which message a state was applied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provenance {
    /// This machine's clock. It never orders states: Clerk's times do.
    pub applied_at: Millis,
    pub applied_by: Writer,
    /// The message, if a message brought it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery_id: Option<DeliveryId>,
}

/// A row of the Directory. An absent attribute means null.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Item {
    /// Where it is kept.
    #[serde(flatten)]
    pub key: Key,
    /// Where its state stands; see [`super::rule`].
    pub rank: Rank,
    /// What its state says.
    pub digest: Digest,
    /// How it came here.
    #[serde(flatten)]
    pub provenance: Provenance,
    /// Clerk's time of creation, in Unix ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Millis>,
    /// Clerk's time of the last change, in Unix ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated_at: Option<Millis>,
    /// The moment of deletion, in Unix ms: present on tombstones only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted_at: Option<Millis>,
    /// The projected fields, and whatever else the row carries.
    #[serde(flatten)]
    pub fields: Map<String, Value>,
}

impl Writer {
    /// As it is stored, logged and told.
    pub const fn name(self) -> &'static str {
        self.into_str()
    }
}

/// The projected fields that readers see: all but `user_pk`, which is there for the index alone.
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

    /// The row in these attributes, of which null stands for one that cannot be read. Only the key, the rank and the digest
    /// are insisted upon; whatever else is not as Rollcall writes it counts as absent.
    ///
    /// # Errors
    ///
    /// The key, if there is one, of a row without them.
    pub fn from_attributes(mut attributes: Map<String, Value>) -> Result<(Item, Whole), Option<Key>> {
        let (mut whole, row) = (Whole::Yes, &mut attributes);
        let key = Key { pk: take(row, "pk").ok_or(None)?, sk: take(row, "sk").ok_or(None)? };
        let (Some(rank), Some(digest)) = (take::<Rank>(row, "rank"), take(row, "digest")) else {
            return Err(Some(key));
        };
        // The clock of whoever stored it is lost: Clerk's own time comes next to it.
        let applied_at = take(row, "applied_at").unwrap_or_else(|| {
            whole = Whole::No;
            rank.version
        });
        // Without the moment nobody knows of which write this is, whoever is named.
        let applied_by = take(row, "applied_by").filter(|_| whole == Whole::Yes).unwrap_or_else(|| {
            whole = Whole::No;
            Writer::Unknown
        });
        let delivery_id = optional(row, "delivery_id", &mut whole);
        let times = ["created_at", "updated_at", "deleted_at"].map(|name| optional(row, name, &mut whole));
        let [created_at, updated_at, deleted_at] = times;
        // That a mark is there says all, whatever it holds.
        // On a live row a mark means nothing, and must not get into the tombstone that keeps the row.
        attributes.retain(|name, value| match name.as_str() {
            CONSEQUENCES_AT | PURGING_AT => rank.is_deleted(),
            _ => !value.is_null(),
        });
        let provenance = Provenance { applied_at, applied_by, delivery_id };
        let item = Item { key, rank, digest, provenance, created_at, updated_at, deleted_at, fields: attributes };
        Ok((item, whole))
    }

    /// Which membership this is, for memberships.
    pub fn membership_id(&self) -> Option<MembershipId> {
        self.fields.get("membership_id").and_then(Value::as_str).and_then(|id| id.parse().ok())
    }

    /// Whose row it is; nothing for a tombstone that holds no Clerk id any more, and for a row of another kind.
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

    /// Whether this is a tombstone. Readers must ask.
    pub fn is_deleted(&self) -> bool {
        self.rank.is_deleted()
    }

    /// Whether this is the tombstone of a user or an organization whose consequences are not all done yet.
    pub fn is_unfinished(&self) -> bool {
        self.is_deleted() && Kind::from_key(&self.key) != Some(Kind::Membership) && !self.is_finished()
    }

    /// Whether this is a tombstone whose consequences are all done. The mark means nothing on a live row.
    pub fn is_finished(&self) -> bool {
        self.is_deleted() && self.fields.contains_key(CONSEQUENCES_AT)
    }

    /// Whether this is the tombstone of a user whose data are being removed.
    pub fn is_purging(&self) -> bool {
        self.is_deleted() && self.fields.contains_key(PURGING_AT) && !self.is_finished()
    }

    /// When the row was stored; nothing if somebody has removed or broken that.
    pub fn stored_at(&self) -> Option<Millis> {
        (self.provenance.applied_by != Writer::Unknown).then_some(self.provenance.applied_at)
    }

    /// Whether this is a placeholder: of the entity only a session token is known so far.
    pub fn is_placeholder(&self) -> bool {
        self.rank == Rank::PLACEHOLDER
    }

    /// What readers see: the projected fields and Clerk's times, null left out; nothing of how the copy is kept.
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

/// Takes an attribute that must be there.
fn take<T: DeserializeOwned>(row: &mut Map<String, Value>, name: &str) -> Option<T> {
    serde_json::from_value(row.remove(name)?).ok()
}

/// Takes an attribute that need not be there.
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

    /// A row with everything that one may have.
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
