//! The deletions that wait for their purge: the notes of due purges, each with the tombstone, which decides.

use std::collections::{BTreeMap, BTreeSet};

use super::Look;
use crate::adapters::dynamo::error::StoreError;
use crate::adapters::dynamo::operations::purges::Note;
use crate::core::deletion::pending::{PurgeFailure, PurgeState};
use crate::core::deletion::purge::due_at;
use crate::core::id::{EntityId, InternalId, Key, UserId};
use crate::core::look::Seen;
use crate::core::millis::Millis;
use crate::core::mirror::item::Item;

/// Notes of one page: as many as tombstones that one request reads.
const TOGETHER: i32 = 100;

/// A deleted user whose data are not removed yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingPurge {
    /// The key of the note: the position after this purge.
    pub note: Key,
    /// The internal id.
    pub id: String,
    /// Nothing if the tombstone cannot be read.
    pub clerk_user_id: Option<UserId>,
    pub state: PurgeState,
    /// When the user was deleted in Clerk, in Unix ms.
    pub deleted_at: Option<Millis>,
    /// The end of the grace period in Unix ms; nothing if the tombstone cannot be read.
    pub due_at: Option<Millis>,
    /// Whether data are being removed, after which no undo is possible.
    pub has_begun: bool,
    /// Why the latest attempt failed.
    pub failure: Option<PurgeFailure>,
}

/// A page of purges of one hour.
#[derive(Debug, Default)]
pub struct PurgePage {
    pub purges: Vec<PendingPurge>,
    /// Notes that do not apply any more: the deletion was undone or replaced, or the purge is done.
    pub obsolete: u64,
    /// The start of the next page; nothing after the last page of the hour.
    pub next: Option<Key>,
}

impl Look {
    /// The hours for which there are notes, in order. There are at most as many as the longest grace period has, and
    /// those of the 30 days for which a note stays.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn purge_hours(&self) -> Result<BTreeSet<String>, StoreError> {
        let (mut hours, mut from) = (BTreeSet::new(), None);
        loop {
            let (found, next) = self.stores.operations.purge_hours(from.as_ref()).await?;
            hours.extend(found);
            from = next;
            if from.is_none() {
                return Ok(hours);
            }
        }
    }

    /// The next purges of an hour behind `after`.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn purges(
        &self,
        hour: &str,
        after: Option<&Key>,
        grace_hours: u64,
        now: Millis,
    ) -> Result<PurgePage, StoreError> {
        let (notes, next) = self.stores.operations.purge_notes(hour, after, TOGETHER).await?;
        let keys: Vec<Key> = notes.iter().map(|note| tombstone_of(&note.key)).collect();
        let rows = self.stores.whole_rows(&keys).await?.into_iter().filter_map(Seen::new);
        let mut stored: BTreeMap<Key, Seen> = rows.map(|seen| (seen.key.clone(), seen)).collect();
        let users: Vec<InternalId> = notes.iter().filter_map(|note| note.key.sk.parse().ok()).collect();
        let restored = self.stores.operations.restorations(&users).await?;
        let is_restored = |id: &str, tombstone: &Item| {
            let note = id.parse().ok().and_then(|user: InternalId| restored.get(&user));
            note.is_some_and(|note| note.is_under(tombstone))
        };
        let mut page = PurgePage { next, ..PurgePage::default() };
        for (note, key) in notes.into_iter().zip(keys) {
            let Note { key: note, due, failure } = note;
            let id = note.sk.clone();
            let tombstone = stored.remove(&key);
            let is_unreadable = tombstone.as_ref().is_some_and(|seen| seen.item.is_none()) || due.is_none();
            match (tombstone.and_then(|seen| seen.item), due) {
                _ if is_unreadable => page.purges.push(PendingPurge {
                    note,
                    id,
                    clerk_user_id: None,
                    state: PurgeState::Unreadable,
                    deleted_at: None,
                    due_at: None,
                    has_begun: false,
                    failure,
                }),
                (Some(tombstone), Some(due)) if due.is_about(&tombstone) => page.purges.push(PendingPurge {
                    note,
                    clerk_user_id: match tombstone.entity() {
                        Some(EntityId::User(user)) => Some(user),
                        _ => None,
                    },
                    state: if is_restored(&id, &tombstone) {
                        PurgeState::Restored
                    } else {
                        PurgeState::of(&tombstone, grace_hours, failure.as_ref(), now)
                    },
                    id,
                    deleted_at: tombstone.deleted_at,
                    due_at: Some(due_at(&tombstone, grace_hours)),
                    has_begun: tombstone.is_purging(),
                    failure,
                }),
                _ => page.obsolete += 1,
            }
        }
        Ok(page)
    }
}

fn tombstone_of(note: &Key) -> Key {
    Key { pk: format!("USER#{}", note.sk), sk: "USER".to_owned() }
}
