//! The purge of a deleted user's data: marks the tombstone, writes a backup, removes the rows, and marks the tombstone
//! as finished.
//!
//! It can be interrupted at any point and repeated: removed rows are not found again, and rows without a mark are
//! processed again.

use std::collections::{BTreeMap, HashMap, VecDeque};

use thiserror::Error;
use tokio::sync::Semaphore;

use super::cascade::{Cascade, Remaining};
use crate::adapters::aws::backups::{BackupError, Backups};
use crate::adapters::dynamo::directory::write::ClerkId;
use crate::adapters::dynamo::error::StoreError;
use crate::adapters::dynamo::operations::Operations;
use crate::adapters::dynamo::owned::backup::{FORMAT, Header, Line};
use crate::adapters::dynamo::owned::proven::{Proven, ProvenRemoval, remove_proven};
use crate::adapters::dynamo::owned::removal::{PendingRemoval, remove};
use crate::adapters::dynamo::owned::rows::{DynamoOwned, OwnedError, OwnedRow, Place};
use crate::core::deletion::owned::Owner;
use crate::core::deletion::purge::is_still;
use crate::core::id::{EntityId, InternalId, Kind};
use crate::core::millis::Clock;
use crate::core::millis::Deadline;
use crate::core::mirror::item::Item;
use crate::core::mirror::tombstone::DeletionPolicy;

/// A backup is written, and its rows are removed, as soon as it has so many rows,
const MAX_ROWS: usize = 1_000;
/// or takes so many bytes of memory. A row may have 400 KB.
const MAX_BYTES: usize = 4 * 1024 * 1024;
/// Pages that all purges together may have in memory at once. A page is a megabyte in the table, but up to eighty times
/// as much in memory if it consists of small maps; its lines in a backup are a few megabytes more.
pub const MAX_PAGES: usize = 2;

pub struct Purger {
    /// The DynamoDB client.
    pub dynamodb: aws_sdk_dynamodb::Client,
    pub profiles: DynamoOwned,
    /// The owned tables.
    pub owned: Vec<DynamoOwned>,
    pub backups: Backups,
    /// The table with the notes of restorations.
    pub operations: Operations,
    /// The clock.
    pub clock: Clock,
    /// Permits for the pages in memory: [`MAX_PAGES`].
    pub pages: Semaphore,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    /// Rows, by table.
    pub rows: BTreeMap<String, u64>,
    /// Rows that the application has given to another user meanwhile, by table. They stay.
    pub kept: BTreeMap<String, u64>,
    /// Tables that do not exist.
    pub missing: Vec<String>,
    /// Backups written, by name.
    pub backups: Vec<String>,
}

/// Rows of a user that are to be removed.
pub struct Rows<'a> {
    pub user: InternalId,
    /// The tables, each with the id, or the partition, of the user in it.
    pub holdings: Vec<(&'a DynamoOwned, String)>,
    /// Whether the rows are redacted and not removed: only rows of Profiles can be.
    pub redacts: bool,
    /// The conditions of a clean-up; nothing for a purge, whose mark on the tombstone prevents an undo.
    pub clean_up: Option<CleanUp<'a>>,
}

/// The conditions of a clean-up: it removes a row only while the row is as the backup has it, and while the tombstone
/// is the one that was read.
#[derive(Clone, Copy, Debug)]
pub struct CleanUp<'a> {
    /// The run, which is part of the names of its backups.
    pub run: &'a str,
    /// The table with the notes of restorations, if restored rows stay.
    pub unless_restored: Option<&'a Operations>,
}

/// The result of a purge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Purged {
    /// The purge is complete, and the tombstone is finished.
    Done(Removed),
    /// An operator has restored rows of the user, so all rows of the user stay. The tombstone is finished, so an undo is
    /// possible, and a clean-up shows the rows.
    Restored,
    /// The stored row is not this tombstone any more: the deletion was undone, or another purge has finished it.
    Changed,
    /// The deadline was reached, or a membership was changing at every attempt or cannot be read. The next purge
    /// continues.
    Left(Remaining),
}

/// Why a purge stopped. Removed rows stay removed, and the purge can be repeated.
#[derive(Debug, Error)]
pub enum PurgeError {
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An owned table cannot be used.
    #[error(transparent)]
    Owned(#[from] OwnedError),
    /// The backup could not be written, so no further rows were removed.
    #[error(transparent)]
    Backup(#[from] BackupError),
}

/// The rows that are about to be removed.
#[derive(Default)]
struct Batch {
    lines: String,
    rows: Vec<PendingRemoval>,
    /// The size of the rows in memory, in bytes.
    size: usize,
    /// The keys of the rows with their positions. A row that is found in two ways must not be in one request twice.
    keys: HashMap<(String, String), usize>,
}

impl Batch {
    fn is_full(&self) -> bool {
        self.rows.len() >= MAX_ROWS || self.lines.len() + self.size >= MAX_BYTES
    }
}

impl Purger {
    /// Purges the user of this tombstone, until the deadline.
    ///
    /// # Errors
    ///
    /// [`PurgeError`].
    pub async fn purge(&self, tombstone: &Item, cascade: &Cascade, deadline: Deadline) -> Result<Purged, PurgeError> {
        // The tombstone may have been read some time ago.
        let stored = again(tombstone, cascade).await?.filter(Item::is_unfinished);
        let Some(tombstone) = stored else { return Ok(Purged::Changed) };
        match cascade.finish(&tombstone, deadline).await?.left {
            Remaining::UserData => {}
            Remaining::Nothing | Remaining::Superseded => return Ok(Purged::Changed),
            Remaining::Deadline => return Ok(Purged::Left(Remaining::Deadline)),
            Remaining::Memberships => return Ok(left(&tombstone, cascade).await?),
        }
        let Some(owner) = owner(&tombstone, cascade) else { return Ok(Purged::Changed) };
        if self.is_restored(owner.internal, &tombstone).await? {
            return self.finish(&tombstone, cascade, Purged::Restored).await;
        }
        // Problems that only an operator can resolve must be found while an undo is still possible.
        for table in self.tables(cascade) {
            table.check().await?;
        }
        if cascade.directory.begin_purge(&tombstone, (self.clock)()).await?.is_none() {
            return Ok(Purged::Changed);
        }
        let Some(removed) = self.remove(&owner, &tombstone, cascade, deadline).await? else {
            if deadline.is_over((self.clock)()) {
                return Ok(Purged::Left(Remaining::Deadline));
            }
            // The restoration may have begun after the purge.
            return if self.is_restored(owner.internal, &tombstone).await? {
                self.finish(&tombstone, cascade, Purged::Restored).await
            } else {
                Ok(Purged::Changed)
            };
        };
        self.finish(&tombstone, cascade, Purged::Done(removed)).await
    }

    /// Whether an operator has restored rows of the user under this tombstone. Only an operator removes them again.
    async fn is_restored(&self, user: InternalId, tombstone: &Item) -> Result<bool, StoreError> {
        Ok(self.operations.restoration(user).await?.is_some_and(|note| note.is_under(tombstone)))
    }

    /// Finishes the tombstone with this result, unless the stored row is another one.
    async fn finish(&self, tombstone: &Item, cascade: &Cascade, result: Purged) -> Result<Purged, PurgeError> {
        if !cascade.forget_members(tombstone).await? {
            return Ok(left(tombstone, cascade).await?);
        }
        let id = match cascade.deletion {
            DeletionPolicy::Redact => ClerkId::Redact,
            DeletionPolicy::Purge => ClerkId::Remove,
            DeletionPolicy::Retain => ClerkId::Keep,
        };
        let finished = cascade.directory.finish(tombstone, (self.clock)(), id).await?;
        Ok(if finished.is_some() { result } else { Purged::Changed })
    }

    /// The tables with rows of users.
    fn tables(&self, cascade: &Cascade) -> impl Iterator<Item = &DynamoOwned> {
        let purges = cascade.deletion == DeletionPolicy::Purge;
        std::iter::once(&self.profiles).chain(self.owned.iter().filter(move |_| purges))
    }

    /// Removes all rows of a user; nothing if the deadline was reached, if the tombstone has changed, or if an operator
    /// restores rows.
    ///
    /// # Errors
    ///
    /// [`PurgeError`].
    pub async fn remove(
        &self,
        owner: &Owner,
        tombstone: &Item,
        cascade: &Cascade,
        deadline: Deadline,
    ) -> Result<Option<Removed>, PurgeError> {
        let holdings = self.tables(cascade).map(|table| (table, table.id_of(owner))).collect();
        let redacts = cascade.deletion == DeletionPolicy::Redact;
        let rows = Rows { user: owner.internal, holdings, redacts, clean_up: None };
        let mut removed = Removed::default();
        let is_done = self.remove_from(rows, tombstone, cascade, deadline, &mut removed).await?;
        Ok(is_done.then_some(removed))
    }

    /// Removes these rows of a user, as [`Self::remove`] does, and adds to `removed` what is done, also if it fails or is
    /// interrupted. Returns whether all is done.
    ///
    /// # Errors
    ///
    /// [`PurgeError`].
    pub async fn remove_from(
        &self,
        of: Rows<'_>,
        tombstone: &Item,
        cascade: &Cascade,
        deadline: Deadline,
        removed: &mut Removed,
    ) -> Result<bool, PurgeError> {
        let mut batches = VecDeque::from([Batch::default()]);
        for (table, id) in &of.holdings {
            let mut from = None;
            loop {
                if deadline.is_over((self.clock)()) {
                    return Ok(false);
                }
                let next = match self.collect(table, id, from, &of, &mut batches).await {
                    Ok(next) => next,
                    Err(PurgeError::Owned(OwnedError::Missing(table))) => {
                        removed.missing.push(table);
                        break;
                    }
                    Err(error) => return Err(error),
                };
                while batches.len() > 1 || batches.front().is_some_and(Batch::is_full) {
                    let Some(batch) = batches.pop_front() else { break };
                    if !self.flush(batch, &of, tombstone, cascade, removed).await? {
                        return Ok(false);
                    }
                }
                from = next;
                if from.is_none() {
                    break;
                }
            }
        }
        while let Some(batch) = batches.pop_front() {
            if !self.flush(batch, &of, tombstone, cascade, removed).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Reads a page, and keeps only the parts for the backup and the removal, which are much smaller than the page.
    async fn collect(
        &self,
        table: &DynamoOwned,
        id: &str,
        from: Option<Place>,
        of: &Rows<'_>,
        batches: &mut VecDeque<Batch>,
    ) -> Result<Option<Place>, PurgeError> {
        // The semaphore is never closed, and a task never waits for a second permit.
        let _page = self.pages.acquire().await;
        let (rows, next) = table.page_of(id.to_owned(), from).await?;
        for row in rows {
            if batches.back().is_none_or(Batch::is_full) {
                batches.push_back(Batch::default());
            }
            if let Some(batch) = batches.back_mut() {
                self.add(batch, row, of)?;
            }
        }
        Ok(next)
    }

    fn add(&self, batch: &mut Batch, row: OwnedRow, of: &Rows<'_>) -> Result<(), BackupError> {
        let key = (row.table.clone(), row.key_text());
        if let Some(at) = batch.keys.get(&key) {
            // A row that was found in two ways is removed if it still belongs to the user in one of them.
            let owners = &mut batch.rows[*at].owners;
            match row.owner {
                Some(owner) if !owners.is_empty() && !owners.contains(&owner) => owners.push(owner),
                Some(_) => {}
                None => owners.clear(),
            }
            return Ok(());
        }
        let now = (self.clock)();
        let left = of.redacts.then(|| row.redacted(now));
        if left == Some(None) {
            // A redacted row stays as it is.
            return Ok(());
        }
        let pending = match of.clean_up {
            None => PendingRemoval::new(&row, left.flatten()),
            Some(_) => PendingRemoval::as_read(&row, left.flatten()),
        };
        let line = Line::new(row, of.redacts.then_some(now));
        batch.lines += &serde_json::to_string(&line).map_err(BackupError::Unwritable)?;
        batch.lines.push('\n');
        batch.size += pending.size();
        batch.keys.insert(key, batch.rows.len());
        batch.rows.push(pending);
        Ok(())
    }

    /// Writes the backup of a batch, and then removes its rows. Not if another purge was faster: the user may be live
    /// again.
    async fn flush(
        &self,
        batch: Batch,
        of: &Rows<'_>,
        tombstone: &Item,
        cascade: &Cascade,
        removed: &mut Removed,
    ) -> Result<bool, PurgeError> {
        let Batch { mut lines, rows, .. } = batch;
        if rows.is_empty() {
            return Ok(true);
        }
        let now = (self.clock)();
        let header = Header {
            rollcall_backup: FORMAT,
            instance: cascade.instance.clone(),
            user: of.user,
            rank: tombstone.rank,
            written_at: now,
        };
        let header = serde_json::to_string(&header).map_err(BackupError::Unwritable)?;
        let run = of.clean_up.map(|it| format!("-{}", it.run)).unwrap_or_default();
        let name = format!("{}/{}/{}{run}-{:08x}.ndjson", now.utc_date(), of.user, now.get(), fastrand::u32(..));
        lines.insert_str(0, &format!("{header}\n"));
        self.backups.keep(&name, lines).await?;
        if again(tombstone, cascade).await?.is_none() {
            return Ok(false);
        }
        removed.backups.push(name);
        if let Some(CleanUp { unless_restored, .. }) = of.clean_up {
            let proven = Proven { directory: &cascade.directory, unless_restored, user: of.user, tombstone };
            let (gone, kept) = (&mut removed.rows, &mut removed.kept);
            let mut result = ProvenRemoval { removed: gone, kept, is_disproven: false };
            remove_proven(&self.dynamodb, &proven, rows, &mut result).await.map_err(OwnedError::Store)?;
            return Ok(!result.is_disproven);
        }
        // A restoration may have begun after the purge.
        if self.is_restored(of.user, tombstone).await? {
            return Ok(false);
        }
        let mut gone: BTreeMap<String, u64> = BTreeMap::new();
        for pending in &rows {
            *gone.entry(pending.table.clone()).or_default() += 1;
        }
        // The failure of one table, for example of its permissions, does not stop the purges of other tables.
        let kept = remove(&self.dynamodb, rows).await.map_err(OwnedError::Store)?;
        for (table, rows) in gone {
            let kept = kept.get(&table).copied().unwrap_or_default();
            for (all, rows) in [(&mut removed.rows, rows - kept), (&mut removed.kept, kept)] {
                if rows > 0 {
                    *all.entry(table.clone()).or_default() += rows;
                }
            }
        }
        Ok(true)
    }
}

/// The tombstone as it is stored now; nothing if the row is another one, or is missing.
async fn again(tombstone: &Item, cascade: &Cascade) -> Result<Option<Item>, StoreError> {
    let stored = cascade.directory.get(&tombstone.key).await?;
    Ok(stored.filter(|stored| is_still(tombstone, stored)))
}

/// The result of a purge with remaining memberships: if another purge was faster, the tombstone is finished.
async fn left(tombstone: &Item, cascade: &Cascade) -> Result<Purged, StoreError> {
    let is_still = again(tombstone, cascade).await?.is_some();
    Ok(if is_still { Purged::Left(Remaining::Memberships) } else { Purged::Changed })
}

/// The user of the tombstone, by both ids; nothing for a tombstone without Clerk's id.
fn owner(tombstone: &Item, cascade: &Cascade) -> Option<Owner> {
    match tombstone.entity().filter(|entity| entity.kind() == Kind::User)? {
        EntityId::User(clerk) => Some(Owner { internal: cascade.instance.internal_id(&clerk), clerk }),
        EntityId::Organization(_) | EntityId::Membership { .. } => None,
    }
}
