//! How far the purge of a deleted user is, for an operator who looks at the deletions.

use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;

use super::purge::due_at;
use crate::core::millis::Millis;
use crate::core::mirror::item::Item;

/// Ms after the end of the grace period after which the hourly purge should have begun: its schedule has five minutes
/// past the next full hour.
pub const LATE_AFTER: u64 = 2 * 60 * 60 * 1000;

/// Why the latest attempt at a purge failed. The next attempt overwrites it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PurgeFailure {
    /// When, in Unix ms.
    pub failed_at: Millis,
    /// The error, without contents of rows.
    pub error: String,
}

/// How far a purge is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr)]
#[strum(serialize_all = "lowercase", const_into_str)]
pub enum PurgeState {
    /// The grace period is not over.
    Waiting,
    /// The grace period is over, and the next hourly purge removes the data.
    Due,
    /// The hourly purge should have removed the data already.
    Late,
    /// An operator has restored rows of the user, so the purge will remove nothing.
    Restored,
    /// Data are being removed.
    Purging,
    /// The latest attempt failed.
    Failed,
    /// The tombstone cannot be read, so nothing is removed.
    Unreadable,
}

impl PurgeState {
    /// The state of the purge of this tombstone.
    pub fn of(tombstone: &Item, grace_hours: u64, failure: Option<&PurgeFailure>, now: Millis) -> PurgeState {
        let due_at = due_at(tombstone, grace_hours);
        match failure {
            Some(_) => PurgeState::Failed,
            None if now < due_at => PurgeState::Waiting,
            None if now.since(due_at) > LATE_AFTER => PurgeState::Late,
            None if tombstone.is_purging() => PurgeState::Purging,
            None => PurgeState::Due,
        }
    }

    /// The word in output.
    pub const fn name(self) -> &'static str {
        self.into_str()
    }

    /// Whether an operator should look for the cause.
    pub const fn is_problem(self) -> bool {
        matches!(self, PurgeState::Late | PurgeState::Failed | PurgeState::Unreadable)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Map;

    use super::*;
    use crate::core::id::Key;
    use crate::core::mirror::digest::Digest;
    use crate::core::mirror::item::{PURGING_AT, Provenance, Writer};
    use crate::core::mirror::rank::Rank;

    const HOUR: i64 = 60 * 60 * 1000;

    #[test]
    fn the_state_of_a_purge_follows_from_the_tombstone_the_clock_and_the_last_failure() {
        let millis = |value: i64| Millis::try_from(value).unwrap();
        let tombstone = |is_purging: bool| {
            let mut fields = Map::new();
            if is_purging {
                fields.insert(PURGING_AT.to_owned(), 1.into());
            }
            Item {
                key: Key { pk: "USER#7".to_owned(), sk: "USER".to_owned() },
                rank: Rank::deleted(Millis::ZERO, millis(5)),
                digest: Digest::tombstone(),
                provenance: Provenance { applied_at: millis(0), applied_by: Writer::Webhook, delivery_id: None },
                created_at: None,
                updated_at: None,
                deleted_at: Some(millis(5)),
                fields,
            }
        };
        let failure = PurgeFailure { failed_at: millis(9), error: "table tasks does not exist".to_owned() };
        for (now, is_purging, failed, expected) in [
            (24 * HOUR - 1, false, false, PurgeState::Waiting),
            (24 * HOUR, false, false, PurgeState::Due),
            (26 * HOUR, false, false, PurgeState::Due),
            (26 * HOUR, true, false, PurgeState::Purging),
            (26 * HOUR + 1, false, false, PurgeState::Late),
            (26 * HOUR + 1, true, false, PurgeState::Late),
            (24 * HOUR, true, true, PurgeState::Failed),
        ] {
            let state = PurgeState::of(&tombstone(is_purging), 24, Some(&failure).filter(|_| failed), millis(now));
            assert_eq!(state, expected, "{now} {is_purging} {failed}");
            assert_eq!(state.is_problem(), matches!(expected, PurgeState::Late | PurgeState::Failed));
        }
    }
}
