//! The removal of a deleted user's data: claimed on the tombstone, backed up, removed, and last of all noted as done.
//!
//! It can be killed anywhere and begun again: what is removed is not found any more, what is not yet noted is done again.

use std::collections::{BTreeMap, HashSet};

use thiserror::Error;

use super::Clock;
use super::cascade::{Cascade, Left};
use crate::adapters::backups::{BackupError, Backups, FORMAT, Header, Line};
use crate::adapters::dynamo_directory::ClerkId;
use crate::adapters::dynamo_owned::{Doomed, DynamoOwned, OwnedError, OwnedRow, remove};
use crate::adapters::store_error::StoreError;
use crate::core::id::{EntityId, Kind};
use crate::core::item::Item;
use crate::core::millis::Millis;
use crate::core::owned::Owner;
use crate::core::purge::is_still;
use crate::core::tombstone::DeletionPolicy;

/// A backup is written, and its rows are removed, when it has so many rows,
const MOST_ROWS: usize = 1_000;
/// or so many bytes. A row may have 400 KB.
const MOST_BYTES: usize = 4 * 1024 * 1024;

/// What removing needs.
pub struct Purger {
    /// A client of DynamoDB.
    pub dynamodb: aws_sdk_dynamodb::Client,
    /// The application's records.
    pub profiles: DynamoOwned,
    /// The application's own tables.
    pub owned: Vec<DynamoOwned>,
    /// Where backups go.
    pub backups: Backups,
    /// What time it is.
    pub clock: Clock,
}

/// What was removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    /// Rows, by table.
    pub rows: BTreeMap<String, u64>,
    /// Tables that do not exist.
    pub missing: Vec<String>,
    /// Backups written, by name.
    pub backups: Vec<String>,
}

/// What became of a purge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Purged {
    /// It is done, and the tombstone says so.
    Done(Removed),
    /// It is not that tombstone any more: somebody has undone the deletion, or finished it.
    Changed,
    /// The time was over, or a membership is changing all the time, or cannot be read. What is done is not done again.
    Left(Left),
}

/// Why a purge stopped. What it has done until then stays, and it can be begun again.
#[derive(Debug, Error)]
pub enum PurgeError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A table of the application's.
    #[error(transparent)]
    Owned(#[from] OwnedError),
    /// The backup could not be written, so nothing more was removed.
    #[error(transparent)]
    Backup(#[from] BackupError),
}

/// What is about to be removed.
#[derive(Default)]
struct Batch {
    lines: String,
    rows: Vec<Doomed>,
    /// What it holds already. A row that is found in two ways may not be in one request twice.
    keys: HashSet<(String, String)>,
}

impl Purger {
    /// Removes the data of a user whose tombstone this is, until `until` at the latest.
    ///
    /// # Errors
    ///
    /// [`PurgeError`].
    pub async fn purge(
        &self,
        tombstone: &Item,
        cascade: &Cascade,
        until: Option<Millis>,
    ) -> Result<Purged, PurgeError> {
        // It may have been read a while ago.
        let stored = again(tombstone, cascade).await?.filter(Item::is_unfinished);
        let Some(tombstone) = stored else { return Ok(Purged::Changed) };
        match cascade.finish(&tombstone, until).await?.left {
            Left::Own => {}
            Left::Nothing | Left::Changed => return Ok(Purged::Changed),
            left @ (Left::Time | Left::Memberships) => return Ok(Purged::Left(left)),
        }
        let Some(owner) = owner(&tombstone, cascade) else { return Ok(Purged::Changed) };
        // What only an operator can mend is found before an undo comes too late.
        for table in self.tables(cascade) {
            table.check().await?;
        }
        if cascade.directory.begin_purge(&tombstone, (self.clock)()).await?.is_none() {
            return Ok(Purged::Changed);
        }
        let Some(removed) = self.remove(&owner, &tombstone, cascade, until).await? else {
            let is_over = until.is_some_and(|until| (self.clock)() >= until);
            return Ok(if is_over { Purged::Left(Left::Time) } else { Purged::Changed });
        };
        if !cascade.forget_members(&tombstone).await? {
            return Ok(Purged::Left(Left::Memberships));
        }
        let id = match cascade.deletion {
            DeletionPolicy::Redact => ClerkId::IsReplaced,
            DeletionPolicy::Purge => ClerkId::Goes,
            DeletionPolicy::Retain => ClerkId::Stays,
        };
        let finished = cascade.directory.finish(&tombstone, (self.clock)(), id).await?;
        Ok(if finished.is_some() { Purged::Done(removed) } else { Purged::Changed })
    }

    /// The tables of which rows are removed.
    fn tables(&self, cascade: &Cascade) -> impl Iterator<Item = &DynamoOwned> {
        let purges = cascade.deletion == DeletionPolicy::Purge;
        std::iter::once(&self.profiles).chain(self.owned.iter().filter(move |_| purges))
    }

    /// Removes whatever there is of a user; nothing comes back if the time was over, or if the tombstone is not any more what
    /// it was.
    ///
    /// # Errors
    ///
    /// [`PurgeError`].
    pub async fn remove(
        &self,
        owner: &Owner,
        tombstone: &Item,
        cascade: &Cascade,
        until: Option<Millis>,
    ) -> Result<Option<Removed>, PurgeError> {
        let mut removed = Removed::default();
        let mut batch = Batch::default();
        let redacts = cascade.deletion == DeletionPolicy::Redact;
        for table in self.tables(cascade) {
            let mut from = None;
            loop {
                if until.is_some_and(|until| (self.clock)() >= until) {
                    return Ok(None);
                }
                let (rows, next) = match table.page(owner, from).await {
                    Ok(page) => page,
                    Err(OwnedError::Missing(table)) => {
                        removed.missing.push(table);
                        break;
                    }
                    Err(error) => return Err(error.into()),
                };
                for row in rows {
                    self.add(&mut batch, row, redacts)?;
                    let is_full = batch.rows.len() >= MOST_ROWS || batch.lines.len() >= MOST_BYTES;
                    if is_full && !self.flush(&mut batch, owner, tombstone, cascade, &mut removed).await? {
                        return Ok(None);
                    }
                }
                from = next;
                if from.is_none() {
                    break;
                }
            }
        }
        let is_whole = self.flush(&mut batch, owner, tombstone, cascade, &mut removed).await?;
        Ok(is_whole.then_some(removed))
    }

    fn add(&self, batch: &mut Batch, row: OwnedRow, redacts: bool) -> Result<(), BackupError> {
        if !batch.keys.insert((row.table.clone(), row.key_text())) {
            return Ok(());
        }
        let now = (self.clock)();
        let left = redacts.then(|| row.redacted(now));
        if left == Some(None) {
            // What was redacted before is left as it is.
            return Ok(());
        }
        let left = left.flatten();
        let line = Line::of(&row, redacts.then_some(now));
        batch.lines += &serde_json::to_string(&line).map_err(BackupError::Unwritable)?;
        batch.lines.push('\n');
        batch.rows.push(Doomed { owned: row, left });
        Ok(())
    }

    /// Backs a batch up, and only then removes its rows. Not if another purge was faster: the user may live again by now.
    async fn flush(
        &self,
        batch: &mut Batch,
        owner: &Owner,
        tombstone: &Item,
        cascade: &Cascade,
        removed: &mut Removed,
    ) -> Result<bool, PurgeError> {
        let Batch { lines, rows, .. } = std::mem::take(batch);
        if rows.is_empty() {
            return Ok(true);
        }
        let now = (self.clock)();
        let header = Header {
            rollcall_backup: FORMAT,
            instance: cascade.instance.clone(),
            user: owner.internal,
            rank: tombstone.rank,
            written_at: now,
        };
        let header = serde_json::to_string(&header).map_err(BackupError::Unwritable)?;
        let name = format!("{}/{}/{}-{:08x}.ndjson", now.utc_date(), owner.internal, now.get(), fastrand::u32(..));
        self.backups.keep(&name, format!("{header}\n{lines}")).await?;
        if again(tombstone, cascade).await?.is_none() {
            return Ok(false);
        }
        removed.backups.push(name);
        for doomed in &rows {
            *removed.rows.entry(doomed.owned.table.clone()).or_default() += 1;
        }
        // A failure of one of the tables, as when it cannot be read: all others' purges go on.
        remove(&self.dynamodb, rows).await.map_err(OwnedError::Store)?;
        Ok(true)
    }
}

/// A tombstone as it is now; nothing if it is another one, or none.
async fn again(tombstone: &Item, cascade: &Cascade) -> Result<Option<Item>, StoreError> {
    let stored = cascade.survey.one(&tombstone.key).await?;
    Ok(stored.filter(|stored| is_still(tombstone, stored)))
}

/// Whose tombstone it is, by both ids; nothing for one that holds no id of Clerk's any more.
fn owner(tombstone: &Item, cascade: &Cascade) -> Option<Owner> {
    match tombstone.entity().filter(|entity| entity.kind() == Kind::User)? {
        EntityId::User(clerk) => Some(Owner { internal: cascade.instance.internal_id(&clerk), clerk }),
        EntityId::Organization(_) | EntityId::Membership { .. } => None,
    }
}
