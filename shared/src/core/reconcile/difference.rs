//! The differences between the Directory and Clerk, by name, and the difference of one entity that an operator names.

use serde_json::Value;
use strum::IntoStaticStr;

use super::presence::{Presence, is_settled, presence};
use crate::core::millis::Millis;
use crate::core::mirror::item::{Item, SHOWN};
use crate::core::mirror::rule::{Guard, Outcome, Stamp};

/// A difference. The names are those of the kinds of drift in the report of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, IntoStaticStr)]
#[strum(serialize_all = "lowercase", const_into_str)]
pub enum Difference {
    Missing,
    Outdated,
    Behind,
    Tied,
    Absent,
    Orphaned,
    Conflict,
    Ahead,
    Unproven,
    Unreadable,
    Unmirrored,
    /// Stored less than 15 minutes ago, and not what Clerk answers: Clerk may lag, or the event is on its way.
    Unconfirmed,
}

impl Difference {
    /// The name in output.
    pub const fn name(self) -> &'static str {
        self.into_str()
    }

    /// The difference of a listed row; nothing if the row agrees with Clerk.
    pub fn listed(found: Presence) -> Option<Difference> {
        match found {
            Presence::Unchanged => None,
            Presence::Missing => Some(Difference::Missing),
            Presence::Outdated => Some(Difference::Outdated),
            Presence::Behind => Some(Difference::Behind),
            Presence::Tied => Some(Difference::Tied),
            Presence::Conflict => Some(Difference::Conflict),
            Presence::Ahead => Some(Difference::Ahead),
        }
    }

    /// Whether a write by the rule resolves it. Clerk's confirmation of an absence is such a reason, too.
    pub fn is_repairable(self) -> bool {
        use Difference::{Absent, Behind, Missing, Orphaned, Outdated, Tied};
        matches!(self, Missing | Outdated | Behind | Tied | Absent | Orphaned)
    }
}

/// The difference of one entity. `stored` is its row, `clerk` Clerk's state as a row: nothing if Clerk has confirmed
/// that the entity does not exist. `is_mirrored` says whether live rows of this kind are stored.
pub fn difference(stored: Option<&Item>, clerk: Option<&Item>, is_mirrored: bool, now: Millis) -> Option<Difference> {
    let unsettled = |found, stored: &Item| if is_settled(stored, now) { found } else { Difference::Unconfirmed };
    match (stored, clerk) {
        (None, None) => None,
        (Some(stored), None) if stored.is_deleted() => None,
        (Some(stored), Some(_)) if !is_mirrored && stored.is_deleted() => Some(unsettled(Difference::Conflict, stored)),
        (stored, _) if !is_mirrored => stored.map(|_| Difference::Unmirrored),
        (Some(stored), None) => Some(unsettled(Difference::Absent, stored)),
        (stored, Some(clerk)) => match (presence(clerk, stored, now), stored) {
            // A run counts it as unchanged, because its listing may lag.
            (Presence::Unchanged, Some(stored)) if is_newer_than(stored, clerk) => Some(Difference::Unconfirmed),
            (found, _) => Difference::listed(found),
        },
    }
}

/// Whether the stored row is newer than Clerk's state and has other contents.
fn is_newer_than(stored: &Item, clerk: &Item) -> bool {
    let (offered, seen) = (Stamp::from(clerk), Stamp::from(stored));
    let is_older = Guard::Newer.refusal(&offered, Some(&seen)) == Outcome::Superseded;
    is_older && !Guard::Newer.admits(&offered, Some(&seen)) && seen.digest != offered.digest
}

/// A field whose values differ. Null stands for an absent field.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldDifference {
    pub name: &'static str,
    pub stored: Value,
    pub clerk: Value,
}

/// The times of a row.
const TIMES: [&str; 3] = ["created_at", "updated_at", "deleted_at"];

/// The fields whose values differ, in the order of their names, and then the times.
pub fn fields(stored: Option<&Item>, clerk: Option<&Item>) -> Vec<FieldDifference> {
    let value = |item: Option<&Item>, name: &str| item.and_then(|item| item.fields.get(name)).cloned();
    let of = |name: &'static str, stored: Option<Value>, clerk: Option<Value>| {
        (stored != clerk).then(|| FieldDifference {
            name,
            stored: stored.unwrap_or_default(),
            clerk: clerk.unwrap_or_default(),
        })
    };
    let mut found: Vec<FieldDifference> =
        SHOWN.iter().filter_map(|name| of(name, value(stored, name), value(clerk, name))).collect();
    let times = |item: Option<&Item>| {
        let times = item.map(|item| [item.created_at, item.updated_at, item.deleted_at]).unwrap_or_default();
        times.map(|time| time.map(|time| Value::from(time.get())))
    };
    for (name, (stored, clerk)) in TIMES.into_iter().zip(times(stored).into_iter().zip(times(clerk))) {
        found.extend(of(name, stored, clerk));
    }
    found
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, json};

    use super::*;
    use crate::core::id::Key;
    use crate::core::mirror::digest::Digest;
    use crate::core::mirror::item::{Provenance, Writer};
    use crate::core::mirror::rank::Rank;

    const NOW: i64 = 10_000_000;

    fn millis(value: i64) -> Millis {
        Millis::try_from(value).unwrap()
    }

    fn row(rank: Rank, name: &str, age: i64) -> Item {
        let digest = if rank.is_deleted() { Digest::tombstone() } else { Digest::new(name, &Map::new()) };
        Item {
            key: Key { pk: "USER#1".to_owned(), sk: "USER".to_owned() },
            rank,
            digest,
            provenance: Provenance { applied_at: millis(NOW - age), applied_by: Writer::Webhook, delivery_id: None },
            created_at: None,
            updated_at: Some(rank.version),
            deleted_at: rank.is_deleted().then_some(rank.version),
            fields: json!({ "name": name }).as_object().unwrap().clone(),
        }
    }

    #[test]
    fn one_entity_differs_as_a_run_would_say_and_what_is_recent_is_unconfirmed() {
        const OLD: i64 = 15 * 60 * 1000;
        let live = |version, name, age| row(Rank::live(Millis::ZERO, millis(version)), name, age);
        let ended = |age| row(Rank::deleted(Millis::ZERO, millis(5)), "", age);
        let clerk = live(5, "now", 0);
        for (stored, in_clerk, is_mirrored, expected) in [
            (None, Some(&clerk), true, Some(Difference::Missing)),
            (Some(live(4, "before", OLD)), Some(&clerk), true, Some(Difference::Outdated)),
            (Some(live(4, "now", OLD)), Some(&clerk), true, Some(Difference::Behind)),
            (Some(live(5, "other", OLD)), Some(&clerk), true, Some(Difference::Tied)),
            (Some(live(5, "now", OLD)), Some(&clerk), true, None),
            (Some(live(6, "later", OLD)), Some(&clerk), true, Some(Difference::Ahead)),
            (Some(live(6, "later", OLD - 1)), Some(&clerk), true, Some(Difference::Unconfirmed)),
            (Some(live(6, "now", 0)), Some(&clerk), true, None),
            (Some(ended(OLD)), Some(&clerk), true, Some(Difference::Conflict)),
            (Some(ended(OLD - 1)), Some(&clerk), true, Some(Difference::Unconfirmed)),
            (Some(live(5, "now", OLD)), None, true, Some(Difference::Absent)),
            (Some(live(5, "now", OLD - 1)), None, true, Some(Difference::Unconfirmed)),
            (Some(ended(0)), None, true, None),
            (None, Some(&clerk), false, None),
            (Some(live(5, "now", OLD)), Some(&clerk), false, Some(Difference::Unmirrored)),
            (Some(live(5, "now", OLD)), None, false, Some(Difference::Unmirrored)),
            (Some(ended(OLD)), Some(&clerk), false, Some(Difference::Conflict)),
        ] {
            let found = difference(stored.as_ref(), in_clerk, is_mirrored, millis(NOW));
            assert_eq!(found, expected, "{stored:?} {in_clerk:?} {is_mirrored}");
        }
    }

    #[test]
    fn the_differences_are_told_field_by_field() {
        let (stored, clerk) =
            (row(Rank::live(Millis::ZERO, millis(4)), "Ada", 0), row(Rank::live(Millis::ZERO, millis(5)), "Grace", 0));
        let found = fields(Some(&stored), Some(&clerk));
        assert_eq!(
            found,
            [
                FieldDifference { name: "name", stored: json!("Ada"), clerk: json!("Grace") },
                FieldDifference { name: "updated_at", stored: json!(4), clerk: json!(5) },
            ]
        );
        assert_eq!(fields(None, Some(&clerk))[0].stored, Value::Null);
        assert_eq!(fields(Some(&stored), Some(&stored)), []);
    }

    #[test]
    fn the_names_are_those_of_the_report() {
        let known: Vec<&str> =
            super::super::tally::Drift::default().by_name().into_iter().map(|(name, _)| name).collect();
        use Difference::{
            Absent, Ahead, Behind, Conflict, Missing, Orphaned, Outdated, Tied, Unmirrored, Unproven, Unreadable,
        };
        for found in
            [Missing, Outdated, Behind, Tied, Absent, Orphaned, Conflict, Ahead, Unproven, Unreadable, Unmirrored]
        {
            assert!(known.contains(&found.name()), "{found:?}");
        }
    }
}
