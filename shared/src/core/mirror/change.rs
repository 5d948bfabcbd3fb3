//! Change events: ids and names of changed fields, no values.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use strum::IntoStaticStr;

use super::item::{Item, SHOWN, Writer};
use super::rank::Rank;
use crate::core::id::{Key, Kind};

/// The kind of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase", const_into_str)]
pub enum What {
    /// The entity is new in the Directory, or a membership has come back.
    Created,
    /// Fields have changed.
    Updated,
    Deleted,
    /// An operator has undone the deletion.
    Restored,
}

impl What {
    /// The name in events.
    pub const fn name(self) -> &'static str {
        self.into_str()
    }
}

/// One change, as it is published on the bus and logged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The kind of the entity.
    pub entity: Kind,
    pub kind: What,
    /// The user's internal id, the organization's id, or both ids of a membership as `<organization>/<user>`.
    pub id: String,
    /// The names of the changed fields, sorted.
    pub changed: Vec<String>,
    /// The rank of the new state: of two changes the one with the greater rank is the later one, and a repeated change
    /// has the same rank.
    pub rank: Rank,
    /// The writer of the new state.
    pub source: Writer,
    /// The tags of cached data about the entity.
    pub cache_tags: Vec<String>,
}

impl Change {
    /// The change between two images of a row; nothing if the contents are equal, and for a row that is not an entity.
    pub fn between(old: Option<&Item>, new: &Item) -> Option<Change> {
        let kind = Kind::from_key(&new.key)?;
        let what = what(old, new)?;
        let id = Ids::from_key(&new.key)?;
        Some(Change {
            entity: kind,
            kind: what,
            id: id.written(),
            changed: changed(old, new),
            rank: new.rank,
            source: new.provenance.applied_by,
            cache_tags: id.cache_tags(),
        })
    }

    /// The name of the change, such as `user.updated`.
    pub fn name(&self) -> String {
        format!("{}.{}", self.entity.name(), self.kind.name())
    }
}

fn what(old: Option<&Item>, new: &Item) -> Option<What> {
    let Some(old) = old else {
        return Some(if new.is_deleted() { What::Deleted } else { What::Created });
    };
    let is_same_one = old.rank.generation == new.rank.generation || old.is_placeholder();
    match (old.is_deleted(), new.is_deleted()) {
        // All tombstones have the same digest: a second deletion is no change.
        _ if old.digest == new.digest && is_same_one => None,
        (true, true) => None,
        (false, true) => Some(What::Deleted),
        (_, false) if !is_same_one => Some(What::Created),
        (true, false) => Some(What::Restored),
        (false, false) => Some(What::Updated),
    }
}

fn changed(old: Option<&Item>, new: &Item) -> Vec<String> {
    let value = |item: Option<&Item>, name: &str| -> Option<Value> {
        item.and_then(|item| item.fields.get(name)).filter(|value| !value.is_null()).cloned()
    };
    let differs = |name: &&str| value(old, name) != value(Some(new), name);
    SHOWN.into_iter().filter(differs).map(str::to_owned).collect()
}

/// The ids of an entity, from its key: a tombstone without Clerk's id still has its key.
enum Ids<'a> {
    User(&'a str),
    Organization(&'a str),
    Membership { organization: &'a str, user: &'a str },
}

impl<'a> Ids<'a> {
    fn from_key(key: &'a Key) -> Option<Ids<'a>> {
        let id = key.pk.split_once('#')?.1;
        Some(match Kind::from_key(key)? {
            Kind::User => Ids::User(id),
            Kind::Organization => Ids::Organization(id),
            Kind::Membership => Ids::Membership { organization: key.sk.split_once('#')?.1, user: id },
        })
    }

    fn written(&self) -> String {
        match self {
            Ids::User(id) | Ids::Organization(id) => (*id).to_owned(),
            Ids::Membership { organization, user } => format!("{organization}/{user}"),
        }
    }

    /// One tag for the kind, one for the entity, and one for the rows that belong to a user or an organization.
    fn cache_tags(&self) -> Vec<String> {
        let id = self.written();
        match self {
            Ids::User(user) => vec!["global:users".to_owned(), format!("id:{id}-users"), format!("user:{user}-users")],
            Ids::Organization(_) => vec!["global:organizations".to_owned(), format!("id:{id}-organizations")],
            Ids::Membership { organization, user } => vec![
                "global:memberships".to_owned(),
                format!("id:{id}-memberships"),
                format!("user:{user}-memberships"),
                format!("organization:{organization}-memberships"),
            ],
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, json};

    use super::*;
    use crate::core::millis::Millis;
    use crate::core::mirror::digest::Digest;
    use crate::core::mirror::item::Provenance;

    fn millis(value: i64) -> Millis {
        Millis::try_from(value).unwrap()
    }

    fn item(key: (&str, &str), rank: Rank, fields: &Value) -> Item {
        let fields: Map<String, Value> = fields.as_object().unwrap().clone();
        let digest = if rank.is_deleted() { Digest::tombstone() } else { Digest::new("user", &fields) };
        let provenance = Provenance { applied_at: Millis::ZERO, applied_by: Writer::Webhook, delivery_id: None };
        let deleted_at = rank.is_deleted().then_some(rank.version);
        let key = Key { pk: key.0.to_owned(), sk: key.1.to_owned() };
        Item { key, rank, digest, provenance, created_at: None, updated_at: None, deleted_at, fields }
    }

    const USER: (&str, &str) = ("USER#7", "USER");
    const MEMBERSHIP: (&str, &str) = ("USER#7", "ORG#org_1");

    fn live(generation: i64, version: i64) -> Rank {
        Rank::live(millis(generation), millis(version))
    }

    fn ended(generation: i64, version: i64) -> Rank {
        Rank::deleted(millis(generation), millis(version))
    }

    #[test]
    fn a_change_is_told_as_the_contract_has_it_and_holds_no_value() {
        let old = item(USER, live(0, 1), &json!({ "id": "7", "name": "Ada", "email": "ada@example.com" }));
        let new = item(USER, live(0, 2), &json!({ "id": "7", "name": "Ada Example", "email": "ada@example.com" }));
        let told = serde_json::to_value(Change::between(Some(&old), &new)).unwrap();
        let expected = json!({
            "entity": "user", "kind": "updated", "id": "7", "changed": ["name"], "rank": new.rank.to_string(),
            "source": "webhook", "cache_tags": ["global:users", "id:7-users", "user:7-users"],
        });
        assert_eq!(told, expected);
    }

    #[test]
    fn every_entity_has_its_id_and_its_tags() {
        let of = |key| {
            let change = Change::between(None, &item(key, live(4, 4), &json!({}))).unwrap();
            (change.name(), change.id, change.cache_tags)
        };
        let (name, id, tags) = of(MEMBERSHIP);
        assert_eq!((name.as_str(), id.as_str()), ("membership.created", "org_1/7"));
        assert_eq!(tags[1..], ["id:org_1/7-memberships", "user:7-memberships", "organization:org_1-memberships"]);
        let (name, id, tags) = of(("ORG#org_1", "ORG"));
        assert_eq!((name.as_str(), id.as_str()), ("organization.created", "org_1"));
        assert_eq!(tags, ["global:organizations", "id:org_1-organizations"]);
        assert_eq!(Change::between(None, &item(("LEASE", "reconcile"), live(0, 1), &json!({}))), None);
    }

    #[test]
    fn what_happened_is_told_by_the_two_states_alone() {
        use What::{Created, Deleted, Restored, Updated};
        let state = |rank, name: &str| item(MEMBERSHIP, rank, &json!({ "role": name }));
        let (member, admin) = ("org:member", "org:admin");
        for (old, new, expected) in [
            (None, state(live(4, 4), member), Some(Created)),
            (None, state(ended(4, 4), member), Some(Deleted)),
            (Some(state(Rank::PLACEHOLDER, member)), state(live(4, 4), admin), Some(Updated)),
            (Some(state(Rank::PLACEHOLDER, member)), state(live(4, 4), member), None),
            (Some(state(live(4, 4), member)), state(live(4, 5), admin), Some(Updated)),
            (Some(state(live(4, 4), member)), state(live(4, 5), member), None),
            (Some(state(live(4, 4), member)), state(live(6, 6), member), Some(Created)),
            (Some(state(live(4, 4), member)), state(ended(4, 5), member), Some(Deleted)),
            (Some(state(ended(4, 5), member)), state(ended(4, 6), member), None),
            (Some(state(ended(4, 5), member)), state(ended(6, 7), member), None),
            (Some(state(ended(4, 5), member)), state(live(4, 4), member), Some(Restored)),
            (Some(state(ended(4, 5), member)), state(live(6, 6), member), Some(Created)),
        ] {
            let told = Change::between(old.as_ref(), &new).map(|change| change.kind);
            assert_eq!(told, expected, "{:?} {}", old.map(|old| old.rank.to_string()), new.rank);
        }
    }
}
