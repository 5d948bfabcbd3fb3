//! Decides what a row of Clerk's listing needs, given the stored row.

use crate::core::controls::{Invariant, guards};
use crate::core::millis::Millis;
use crate::core::mirror::item::Item;
use crate::core::mirror::rule::{Guard, Outcome, Stamp};

/// A listing may lag behind Clerk's changes, and events need time: a row that was stored less than this many ms before
/// the start of the run is not a difference yet.
pub const SETTLED_AFTER: u64 = 15 * 60 * 1000;

/// What a listed row needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Presence {
    /// Nothing: the same state is stored.
    Unchanged,
    /// A write: no row is stored.
    Missing,
    /// A write: an older state is stored.
    Outdated,
    /// A write: the same contents are stored under a lower rank. Otherwise a late deletion of an earlier membership
    /// would be applied.
    Behind,
    /// A fetch: other contents are stored under the same rank, or another membership of the same generation.
    Tied,
    /// Only a report: deleted in the Directory long ago, and live in Clerk.
    Conflict,
    /// Only a report: the stored state has been newer than Clerk's for long.
    Ahead,
}

/// What `row` needs in a run that began at `start`.
pub fn presence(row: &Item, stored: Option<&Item>, start: Millis) -> Presence {
    let Some(stored) = stored else { return Presence::Missing };
    let (offered, seen) = (Stamp::from(row), Stamp::from(stored));
    if Guard::Newer.admits(&offered, Some(&seen)) {
        return match seen.digest == offered.digest {
            false => Presence::Outdated,
            true if guards(Invariant::I1) => Presence::Behind,
            true => Presence::Unchanged,
        };
    }
    match Guard::Newer.refusal(&offered, Some(&seen)) {
        Outcome::Tie => Presence::Tied,
        Outcome::Duplicate if !guards(Invariant::I14) => Presence::Tied,
        Outcome::Superseded if !is_settled(stored, start) => Presence::Unchanged,
        Outcome::Superseded if stored.is_deleted() => Presence::Conflict,
        Outcome::Superseded if seen.digest != offered.digest => Presence::Ahead,
        _ => Presence::Unchanged,
    }
}

/// Whether a row was stored long enough ago that Clerk's listings must agree with it.
pub fn is_settled(stored: &Item, start: Millis) -> bool {
    start.since(stored.provenance.applied_at) >= SETTLED_AFTER
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, json};

    use super::*;
    use crate::core::id::Key;
    use crate::core::mirror::digest::Digest;
    use crate::core::mirror::item::{Provenance, Writer};
    use crate::core::mirror::rank::Rank;

    const START: i64 = 10_000_000;

    fn millis(value: i64) -> Millis {
        Millis::try_from(value).unwrap()
    }

    fn item(rank: Rank, content: &str, membership: Option<&str>, age: i64) -> Item {
        let fields = json!({ "membership_id": membership, "content": content }).as_object().unwrap().clone();
        let digest = if rank.is_deleted() { Digest::tombstone() } else { Digest::new(content, &Map::new()) };
        let applied_at = millis(START - age);
        Item {
            key: Key { pk: "USER#1".to_owned(), sk: "USER".to_owned() },
            rank,
            digest,
            provenance: Provenance { applied_at, applied_by: Writer::Webhook, delivery_id: None },
            created_at: None,
            updated_at: None,
            deleted_at: None,
            fields,
        }
    }

    #[test]
    fn every_state_that_may_be_stored_is_told_from_the_others() {
        let live = |generation, version| Rank::live(millis(generation), millis(version));
        let deleted = |generation, version| Rank::deleted(millis(generation), millis(version));
        let (old, young) = (15 * 60 * 1000, 15 * 60 * 1000 - 1);
        let row = item(live(4, 7), "a", Some("orgmem_1"), 0);
        for (stored, expected) in [
            (None, Presence::Missing),
            (Some(item(live(4, 7), "a", Some("orgmem_1"), old)), Presence::Unchanged),
            (Some(item(live(4, 6), "b", Some("orgmem_1"), old)), Presence::Outdated),
            (Some(item(live(4, 6), "a", Some("orgmem_1"), old)), Presence::Behind),
            (Some(item(live(3, 9), "a", Some("orgmem_0"), old)), Presence::Behind),
            (Some(item(deleted(3, 9), "", Some("orgmem_0"), old)), Presence::Outdated),
            (Some(item(Rank::PLACEHOLDER, "p", None, young)), Presence::Outdated),
            (Some(item(live(4, 7), "b", Some("orgmem_1"), old)), Presence::Tied),
            (Some(item(live(4, 6), "a", Some("orgmem_2"), old)), Presence::Tied),
            (Some(item(live(4, 8), "b", Some("orgmem_1"), young)), Presence::Unchanged),
            (Some(item(live(4, 8), "b", Some("orgmem_1"), old)), Presence::Ahead),
            (Some(item(live(4, 8), "a", Some("orgmem_1"), old)), Presence::Unchanged),
            (Some(item(deleted(4, 5), "", Some("orgmem_1"), young)), Presence::Unchanged),
            (Some(item(deleted(4, 5), "", Some("orgmem_1"), old)), Presence::Conflict),
            (Some(item(deleted(5, 5), "", Some("orgmem_2"), old)), Presence::Conflict),
        ] {
            assert_eq!(presence(&row, stored.as_ref(), millis(START)), expected, "{stored:?}");
        }
    }
}
