//! Purges: when the data of a deleted user are removed, and which data are kept.
//!
//! Between the deletion and the purge lies the grace period, in which an operator can undo the deletion completely. A
//! [`Due`] notes the purge under the hour in which the grace period ends. The note is valid only while the stored
//! tombstone is still exactly the one for which the note was made.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::FormatItem;
use time::macros::format_description;

use crate::core::id::{Key, Kind};
use crate::core::millis::Millis;
use crate::core::mirror::item::Item;
use crate::core::mirror::rank::Rank;

/// An hour in ms.
const HOUR: u64 = 60 * 60 * 1000;
/// The longest grace period, in hours: a year.
pub const MAX_GRACE_HOURS: u64 = 365 * 24;
/// The default grace period, in hours.
pub const DEFAULT_GRACE_HOURS: u64 = 24;
/// The default time that backups stay, in days.
pub const DEFAULT_BACKUP_DAYS: u64 = 30;
/// The number of hours that an hourly purge looks back. If no hourly purge ran for a day, the nightly run does its
/// work.
const LOOKS_BACK: u64 = 25;

const DAY_AND_HOUR: &[FormatItem<'_>] = format_description!("[year]-[month]-[day]T[hour]");

/// The note of a due purge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Due {
    /// The internal id of the user.
    pub sk: String,
    /// The rank of the tombstone.
    pub rank: Rank,
    /// When the tombstone was stored, in Unix ms.
    pub applied_at: Millis,
    /// When the grace period ends, in Unix ms.
    pub due_at: Millis,
}

impl Due {
    /// The note for a user's tombstone; nothing for other rows.
    pub fn from_tombstone(tombstone: &Item, grace_hours: u64) -> Option<Due> {
        let user = Kind::from_key(&tombstone.key).filter(|kind| *kind == Kind::User && tombstone.is_unfinished());
        let sk = user.and(tombstone.key.pk.split_once('#'))?.1.to_owned();
        let applied_at = tombstone.provenance.applied_at;
        Some(Due { sk, rank: tombstone.rank, applied_at, due_at: due_at(tombstone, grace_hours) })
    }

    /// The partition of the note: that of the first full hour after the grace period.
    pub fn partition(&self) -> String {
        partition(self.due_at.get().div_ceil(HOUR))
    }

    /// The row of the user.
    pub fn tombstone(&self) -> Key {
        Key { pk: format!("USER#{}", self.sk), sk: "USER".to_owned() }
    }

    /// Whether this row is still the tombstone of the note, and is not finished.
    pub fn is_about(&self, stored: &Item) -> bool {
        stored.is_unfinished() && stored.rank == self.rank && stored.provenance.applied_at == self.applied_at
    }
}

/// Whether a row is still the tombstone that was read before. The rank does not suffice: after an undo, the same
/// message can write a tombstone of the same rank again, which has its own grace period.
pub fn is_still(read: &Item, stored: &Item) -> bool {
    let state = |item: &Item| (item.rank, item.provenance.applied_at, item.is_deleted() && item.is_finished());
    state(read) == state(stored)
}

/// When the grace period of a tombstone ends. It is counted by this machine's clock from the write of the tombstone:
/// Clerk's time of the deletion may be days ago, and an operator needs the whole grace period.
pub fn due_at(tombstone: &Item, grace_hours: u64) -> Millis {
    let due = tombstone.provenance.applied_at.get().saturating_add(grace_hours * HOUR);
    i64::try_from(due).ok().and_then(|due| Millis::try_from(due).ok()).unwrap_or(Millis::MAX)
}

/// The partitions with the purges that are due by `now`, the latest first.
pub fn partitions(now: Millis) -> Vec<String> {
    let hour = now.get() / HOUR;
    (hour.saturating_sub(LOOKS_BACK)..=hour).rev().map(partition).collect()
}

fn partition(hour: u64) -> String {
    let seconds = i64::try_from(hour * (HOUR / 1000)).unwrap_or_default();
    let at = OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    format!("PURGE#{}", at.format(DAY_AND_HOUR).unwrap_or_default())
}

/// The mark of a redacted record in Profiles: the time, in Unix ms.
pub const REDACTED_AT: &str = "redacted_at";

/// The attributes that a redacted row of Profiles keeps: of Rollcall's own records the attributes that Rollcall set, of
/// other rows the key. All other attributes may be personal data.
pub fn kept(key: &Key) -> &'static [&'static str] {
    if key.sk == "PROFILE" || key.sk.starts_with("ORG#") { &crate::core::profile::RESERVED } else { &["pk", "sk"] }
}

#[cfg(test)]
mod tests {
    use serde_json::Map;

    use super::*;
    use crate::core::mirror::digest::Digest;
    use crate::core::mirror::item::{CONSEQUENCES_AT, Provenance, Writer};

    fn millis(value: u64) -> Millis {
        Millis::try_from(i64::try_from(value).unwrap()).unwrap()
    }

    fn tombstone(pk: &str, sk: &str, applied_at: u64) -> Item {
        let provenance = Provenance { applied_at: millis(applied_at), applied_by: Writer::Webhook, delivery_id: None };
        let (rank, deleted_at) = (Rank::deleted(Millis::ZERO, millis(5)), Some(millis(5)));
        let key = Key { pk: pk.to_owned(), sk: sk.to_owned() };
        let (digest, fields) = (Digest::tombstone(), Map::new());
        Item { key, rank, digest, provenance, created_at: None, updated_at: None, deleted_at, fields }
    }

    /// 2026-01-01T00:00:00Z.
    const MIDNIGHT: u64 = 1_767_225_600_000;

    #[test]
    fn a_note_is_found_in_the_first_full_hour_after_the_hold_and_not_before() {
        for (applied_at, grace_hours, expected) in [
            (MIDNIGHT, 24, "PURGE#2026-01-02T00"),
            (MIDNIGHT + 1, 24, "PURGE#2026-01-02T01"),
            (MIDNIGHT - 1, 0, "PURGE#2026-01-01T00"),
        ] {
            let due = Due::from_tombstone(&tombstone("USER#7", "USER", applied_at), grace_hours).unwrap();
            assert_eq!(due.partition(), expected);
            assert_eq!(due.due_at.get(), applied_at + grace_hours * HOUR);
            let found_at = |now: u64| partitions(millis(now)).contains(&due.partition());
            let hour = due.due_at.get().div_ceil(HOUR) * HOUR;
            assert!(!found_at(hour - 1) && found_at(hour) && found_at(hour + 25 * HOUR) && !found_at(hour + 26 * HOUR));
        }
    }

    #[test]
    fn a_note_is_about_exactly_one_tombstone() {
        let stored = tombstone("USER#7", "USER", 9);
        let due = Due::from_tombstone(&stored, 1).unwrap();
        assert!(due.is_about(&stored) && due.tombstone() == stored.key);
        assert!(!due.is_about(&tombstone("USER#7", "USER", 10)), "deleted again");
        assert!(!is_still(&stored, &tombstone("USER#7", "USER", 10)) && is_still(&stored, &stored));
        let mut later = stored.clone();
        later.rank.version = millis(6);
        assert!(!due.is_about(&later) && !is_still(&stored, &later));
        let mut finished = stored.clone();
        finished.fields.insert(CONSEQUENCES_AT.to_owned(), 9.into());
        assert!(!is_still(&stored, &finished) && is_still(&finished, &finished));
        assert!(!due.is_about(&finished) && Due::from_tombstone(&finished, 1).is_none());
        assert!(Due::from_tombstone(&tombstone("ORG#org_1", "ORG", 9), 1).is_none());
        assert!(Due::from_tombstone(&tombstone("USER#7", "ORG#org_1", 9), 1).is_none());
    }

    #[test]
    fn a_redacted_record_keeps_what_rollcall_set_and_another_row_its_key() {
        let of = |sk: &str| kept(&Key { pk: "USER#7".to_owned(), sk: sk.to_owned() });
        assert!(of("PROFILE").contains(&"user_id") && of("ORG#org_1").contains(&"created_at"));
        assert_eq!(of("NOTE#1"), ["pk", "sk"]);
    }
}
