//! The plan of a page: the writes and fetches that Clerk's rows need, given the stored rows.

use std::collections::{BTreeMap, BTreeSet};

use super::listed::{Here, ListedSet};
use super::presence::{Presence, presence};
use super::tally::Tally;
use crate::core::id::{EntityId, Key, UserId};
use crate::core::millis::Millis;
use crate::core::mirror::item::Item;

/// What one page of one kind needs.
#[derive(Debug, Default, PartialEq)]
pub struct Plan {
    /// The writes, with the stored rows and the reasons.
    pub writes: Vec<Change>,
    /// The entities that must be fetched from Clerk, with the rows that were stored before.
    pub fetches: Vec<(EntityId, Option<Item>)>,
    /// The differences that only an operator can resolve.
    pub reports: Vec<(EntityId, Presence)>,
    /// The listed entities, as entries of [`ListedSet`].
    pub entries: Vec<u64>,
    /// A listed user who is live in the Directory.
    pub control_user: Option<UserId>,
    pub tally: Tally,
}

/// One write of a plan.
#[derive(Debug, PartialEq)]
pub struct Change {
    pub entity: EntityId,
    pub found: Presence,
    /// The new row.
    pub item: Box<Item>,
    /// The stored row, as far as the comparison has read it.
    pub stored: Option<Item>,
}

/// The rows of a page by key, because a list that shifts repeats rows. A membership without a creation time has no
/// item.
pub type Offered = BTreeMap<Key, (EntityId, Option<Item>)>;

/// Plans a page of a run that began at `start` and salts the listed entities with `salt`. `stored` are the Directory's
/// rows of these keys, `unreadable` those without a valid rank or digest: they are not changed.
pub fn plan(
    offered: Offered,
    mut stored: BTreeMap<Key, Item>,
    unreadable: &BTreeSet<Key>,
    start: Millis,
    salt: &str,
) -> Plan {
    let mut plan = Plan::default();
    for (key, (entity, item)) in offered {
        let stored = stored.remove(&key);
        let found = match &item {
            _ if unreadable.contains(&key) => None,
            Some(item) => Some(presence(item, stored.as_ref(), start)),
            // A membership without its creation time: fetched separately, it may have one.
            None => Some(Presence::Tied),
        };
        let has_ended = matches!(found, Some(Presence::Unchanged | Presence::Conflict))
            && stored.as_ref().is_some_and(Item::is_deleted);
        let here = if has_ended { Here::Tombstone } else { Here::Live };
        plan.entries.push(ListedSet::entry(salt, &entity, here));
        if let (EntityId::User(user), Here::Live) = (&entity, here) {
            plan.control_user = Some(user.clone());
        }
        let Some(found) = found else { continue };
        plan.tally.count(found);
        match (found, item) {
            (Presence::Missing | Presence::Outdated | Presence::Behind, Some(item)) => {
                plan.writes.push(Change { entity, found, item: Box::new(item), stored });
            }
            (Presence::Tied, _) => plan.fetches.push((entity, stored)),
            (Presence::Conflict | Presence::Ahead, _) => plan.reports.push((entity, found)),
            _ => {}
        }
    }
    plan
}

#[cfg(test)]
mod tests {
    use serde_json::Map;

    use super::*;
    use crate::core::id::InstanceId;
    use crate::core::mirror::digest::Digest;
    use crate::core::mirror::item::{Provenance, Writer};
    use crate::core::mirror::rank::Rank;
    use crate::core::reconcile::tally::Drift;

    const START: i64 = 10_000_000;

    fn millis(value: i64) -> Millis {
        Millis::try_from(value).unwrap()
    }

    fn user(number: u32) -> (Key, EntityId) {
        let entity = EntityId::User(format!("user_{number}").parse().unwrap());
        (entity.key(&"ins_1".parse::<InstanceId>().unwrap()), entity)
    }

    fn item(number: u32, rank: Rank, content: &str) -> Item {
        Item {
            key: user(number).0,
            rank,
            digest: Digest::new(content, &Map::new()),
            provenance: Provenance { applied_at: Millis::ZERO, applied_by: Writer::Webhook, delivery_id: None },
            created_at: None,
            updated_at: None,
            deleted_at: None,
            fields: Map::new(),
        }
    }

    #[test]
    fn a_page_is_written_fetched_reported_and_remembered_as_each_row_asks() {
        let live = |version| Rank::live(Millis::ZERO, millis(version));
        let offered: Offered = (0..7)
            .map(|number| {
                let (key, entity) = user(number);
                (key, (entity, Some(item(number, live(5), "new"))))
            })
            .collect();
        // Nothing for 0; the others: the same, older, tied, deleted, newer, unreadable.
        let stored = [
            item(1, live(5), "new"),
            item(2, live(4), "old"),
            item(3, live(5), "old"),
            item(4, Rank::deleted(Millis::ZERO, millis(1)), "gone"),
            item(5, live(6), "newer"),
        ];
        let stored = stored.into_iter().map(|item| (item.key.clone(), item)).collect();
        let plan = plan(offered, stored, &BTreeSet::from([user(6).0]), millis(START), "run");
        let mut writes: Vec<_> = plan.writes.iter().map(|write| (write.entity.to_string(), write.found)).collect();
        writes.sort();
        let named = |number: u32| format!("user_{number}");
        assert_eq!(writes, [(named(0), Presence::Missing), (named(2), Presence::Outdated)]);
        assert_eq!(plan.fetches.iter().map(|(entity, _)| entity.to_string()).collect::<Vec<_>>(), [named(3)]);
        let mut reports: Vec<_> = plan.reports.iter().map(|(entity, found)| (entity.to_string(), *found)).collect();
        reports.sort();
        assert_eq!(reports, [(named(4), Presence::Conflict), (named(5), Presence::Ahead)]);
        let drift = Drift { missing: 1, outdated: 1, tied: 1, conflict: 1, ahead: 1, ..Drift::default() };
        assert_eq!(plan.tally, Tally { unchanged: 1, drift, ..Tally::default() });
        let mut seen = ListedSet::default();
        seen.extend(plan.entries);
        for number in 0..7 {
            let here = if number == 4 { Here::Tombstone } else { Here::Live };
            assert_eq!(seen.get("run", &user(number).1), Some(here), "{number}");
        }
    }
}
