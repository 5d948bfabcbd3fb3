//! What follows from the end of a user or an organization: its memberships end, then the grace period begins, and when
//! that is
//! over, what the policy removes is removed.
//!
//! The stream brings each tombstone here once, the nightly run again as long as it is unfinished. The hourly settling
//! goes
//! by the notes that were left then; a note is nothing but a reason to look at the tombstone.

pub mod cascade;
pub mod purge;

use aws_sdk_dynamodb::Client;
use futures_util::{StreamExt, stream};
use tokio::sync::Semaphore;

use super::deletion::cascade::{Cascade, Finished, Remaining};
use super::deletion::purge::{MAX_PAGES, PurgeError, Purged, Purger, Removed};
use crate::adapters::aws::backups::Backups;
use crate::adapters::dynamo::error::StoreError;
use crate::adapters::dynamo::operations::Operations;
use crate::adapters::dynamo::owned::rows::DynamoOwned;
use crate::adapters::dynamo::stores::Stores;
use crate::core::deletion::purge::{Due, partitions};
use crate::core::id::{InstanceId, Key};
use crate::core::millis::Clock;
use crate::core::millis::{Deadline, Millis};
use crate::core::mirror::item::Item;
use crate::core::mirror::tombstone::DeletionPolicy;
use crate::settings::deletion::Removal;

/// Purges at once.
const CONCURRENCY: usize = 8;

/// What following deletions needs.
pub struct Deletions {
    /// The ends of memberships.
    pub cascade: Cascade,
    /// The notes of what is due.
    pub operations: Operations,
    /// The removal; nothing where everything is kept.
    pub purger: Option<Purger>,
    /// For how many hours a deletion can be taken back.
    pub grace_hours: u64,
    /// For how many days backups in a folder stay.
    pub backup_days: u64,
    /// What time it is.
    pub clock: Clock,
}

/// What became of a tombstone's consequences.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Followed {
    /// Memberships that have ended, and the write units of that.
    pub cascade: Finished,
    /// What else is so.
    pub own: Own,
}

/// What became of a user's own data.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Own {
    /// There is nothing to be done about them, or not yet.
    #[default]
    Nothing,
    /// They wait for the end of the grace period, in Unix ms.
    Waits(Millis),
    Removed(Removed),
}

/// What a settling did.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct PurgeReport {
    /// Users whose data were removed.
    pub purged: u64,
    /// Rows that were removed or redacted.
    pub rows: u64,
    /// Notes that were no longer true: the deletion was undone, repeated, or is done.
    pub dropped: u64,
    /// Purges that have failed or are not whole, and old backups that could not be removed. They are tried again.
    pub left: u64,
    /// Whether the time was over before all was looked at.
    pub out_of_time: bool,
    /// Tables of `OWNED_TABLES` that do not exist, by name.
    pub missing_tables: Vec<String>,
    /// Days whose backups in a folder were older than `BACKUP_DAYS`, and were removed.
    pub expired_backups: u64,
}

enum One {
    Purged(Removed),
    Dropped,
    Left,
}

impl Deletions {
    /// The deletions of an instance's copy, as the settings want them. Without a place for backups nothing is removed.
    pub fn over(
        stores: &Stores,
        removal: Removal,
        instance: &InstanceId,
        dynamodb: &Client,
        backups: Option<Backups>,
        clock: Clock,
    ) -> Deletions {
        let client = || dynamodb.clone();
        let backups = backups.filter(|_| removal.policy != DeletionPolicy::Retain);
        let purger = backups.map(|backups| Purger {
            dynamodb: client(),
            profiles: stores.profiles.partition(),
            owned: removal.owned.into_iter().map(|table| DynamoOwned::new(client(), table)).collect(),
            backups,
            clock: clock.clone(),
            pages: Semaphore::new(MAX_PAGES),
        });
        Deletions {
            cascade: Cascade {
                directory: stores.directory.clone(),
                instance: instance.clone(),
                deletion: removal.policy,
                clock: clock.clone(),
            },
            operations: stores.operations.clone(),
            purger,
            grace_hours: removal.grace_hours,
            backup_days: removal.backup_days,
            clock,
        }
    }

    /// Does what follows from the end of a user or an organization, until the deadline. Where deletions can be taken
    /// back it removes nothing, and notes when that is to be done.
    ///
    /// # Errors
    ///
    /// [`PurgeError`]: what is done stays done.
    pub async fn follow(&self, tombstone: &Item, deadline: Deadline) -> Result<Followed, PurgeError> {
        if self.grace_hours == 0 {
            return self.follow_or_note(tombstone, deadline).await;
        }
        let cascade = self.cascade.finish(tombstone, deadline).await?;
        if matches!(cascade.left, Remaining::UserData | Remaining::Memberships)
            && self.purger.is_some()
            && let Some(due) = Due::from_tombstone(tombstone, self.grace_hours)
        {
            self.operations.note_purge(&due).await?;
            return Ok(Followed { cascade, own: Own::Waits(due.due_at) });
        }
        Ok(Followed { cascade, own: Own::Nothing })
    }

    /// The same where there is no grace period. What only an operator can mend must keep nobody else waiting: it is
    /// noted, and every
    /// settling tries it again.
    async fn follow_or_note(&self, tombstone: &Item, deadline: Deadline) -> Result<Followed, PurgeError> {
        let followed = self.follow_at_once(tombstone, deadline).await;
        match &followed {
            Err(PurgeError::Store(_)) => return followed,
            Err(error) => failed(tombstone, error),
            Ok(followed) if followed.cascade.left == Remaining::Memberships => {}
            Ok(_) => return followed,
        }
        if let Some(due) = Due::from_tombstone(tombstone, self.grace_hours) {
            self.operations.note_purge(&due).await?;
        }
        Ok(followed.unwrap_or_default())
    }

    /// The same, whether the grace period is over or not.
    ///
    /// # Errors
    ///
    /// [`PurgeError`]: what is done stays done.
    pub async fn follow_at_once(&self, tombstone: &Item, deadline: Deadline) -> Result<Followed, PurgeError> {
        if let (Some(purger), Some(_)) = (&self.purger, Due::from_tombstone(tombstone, self.grace_hours)) {
            let left = |left| Followed { cascade: Finished { left, ..Finished::default() }, own: Own::Nothing };
            return Ok(match self.purge(purger, tombstone, deadline).await? {
                Purged::Done(removed) => Followed { own: Own::Removed(removed), ..Followed::default() },
                Purged::Changed => left(Remaining::Superseded),
                Purged::Left(why) => left(why),
            });
        }
        let cascade = self.cascade.finish(tombstone, deadline).await?;
        Ok(Followed { cascade, own: Own::Nothing })
    }

    /// Whether a user's data wait for the end of the grace period.
    pub fn waits(&self, tombstone: &Item) -> bool {
        let due = Due::from_tombstone(tombstone, self.grace_hours).filter(|_| self.purger.is_some());
        due.is_some_and(|due| (self.clock)() < due.due_at)
    }

    /// Removes what is due by now, until the deadline.
    ///
    /// # Errors
    ///
    /// [`StoreError`]: what is done stays done. A purge that fails by itself is counted and tried again.
    pub async fn purge_due(&self, deadline: Deadline) -> Result<PurgeReport, StoreError> {
        let mut settled = PurgeReport::default();
        let Some(purger) = &self.purger else { return Ok(settled) };
        for partition in partitions((self.clock)()) {
            let mut from = None;
            loop {
                if deadline.is_over((self.clock)()) {
                    settled.out_of_time = true;
                    return Ok(settled);
                }
                let (due, next) = self.operations.due_purges(&partition, from).await?;
                self.purge_page(purger, &due, deadline, &mut settled).await?;
                from = next;
                if from.is_none() {
                    break;
                }
            }
        }
        match purger.backups.expire((self.clock)(), self.backup_days) {
            Ok(days) => settled.expired_backups = days,
            Err(error) => {
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                tracing::error!(%error, cause, "expired backups cannot be removed");
                settled.left += 1;
            }
        }
        Ok(settled)
    }

    async fn purge_page(
        &self,
        purger: &Purger,
        due: &[Due],
        deadline: Deadline,
        settled: &mut PurgeReport,
    ) -> Result<(), StoreError> {
        if due.is_empty() {
            return Ok(());
        }
        let keys: Vec<Key> = due.iter().map(Due::tombstone).collect();
        let mut stored = self.cascade.directory.read(&keys).await?;
        for key in &stored.unreadable {
            tracing::error!(pk = key.pk, "a tombstone cannot be read, so the data of its user were not removed");
            settled.left += 1;
        }
        let is_readable = |(_, key): &(&Due, &Key)| !stored.unreadable.contains(key);
        let readable: Vec<(&Due, &Key)> = due.iter().zip(&keys).filter(is_readable).collect();
        let one = |(due, key)| self.purge_one(purger, due, stored.items.remove(key), deadline);
        let work: Vec<_> = readable.into_iter().map(one).collect();
        let mut done = stream::iter(work).buffer_unordered(CONCURRENCY);
        while let Some(one) = done.next().await {
            match one? {
                One::Purged(removed) => {
                    settled.purged += 1;
                    settled.rows += removed.rows.values().sum::<u64>();
                    for table in removed.missing {
                        if !settled.missing_tables.contains(&table) {
                            settled.missing_tables.push(table);
                        }
                    }
                }
                One::Dropped => settled.dropped += 1,
                One::Left => {
                    settled.left += 1;
                    settled.out_of_time |= deadline.is_over((self.clock)());
                }
            }
        }
        Ok(())
    }

    async fn purge_one(
        &self,
        purger: &Purger,
        due: &Due,
        stored: Option<Item>,
        deadline: Deadline,
    ) -> Result<One, StoreError> {
        let one = match stored.filter(|stored| due.is_about(stored)) {
            None => One::Dropped,
            // The grace period is a longer one by now.
            Some(tombstone) if self.waits(&tombstone) => {
                if let Some(due) = Due::from_tombstone(&tombstone, self.grace_hours) {
                    self.operations.note_purge(&due).await?;
                }
                One::Dropped
            }
            Some(tombstone) => match self.purge(purger, &tombstone, deadline).await {
                Ok(Purged::Done(removed)) => One::Purged(removed),
                Ok(Purged::Changed) => One::Dropped,
                Ok(Purged::Left(why)) => {
                    if why == Remaining::Memberships {
                        tracing::warn!(pk = tombstone.key.pk, "a membership blocks the purge");
                    }
                    return Ok(One::Left);
                }
                Err(error) => {
                    failed(&tombstone, &error);
                    return Ok(One::Left);
                }
            },
        };
        self.operations.forget_purge(due).await?;
        Ok(one)
    }

    async fn purge(&self, purger: &Purger, tombstone: &Item, deadline: Deadline) -> Result<Purged, PurgeError> {
        let outcome = purger.purge(tombstone, &self.cascade, deadline).await?;
        if let Purged::Done(removed) = &outcome {
            log(&tombstone.key, removed);
        }
        Ok(outcome)
    }
}

/// A purge that is tried again, by the hour and by night.
pub(in crate::services) fn failed(tombstone: &Item, error: &PurgeError) {
    let cause = std::error::Error::source(error).map(ToString::to_string);
    tracing::error!(pk = tombstone.key.pk, %error, cause, "a purge failed and will be retried");
}

/// One line for each table: counts, and no personal data.
pub(in crate::services) fn log(tombstone: &Key, removed: &Removed) {
    for table in &removed.missing {
        tracing::warn!(pk = tombstone.pk, table, "an owned table does not exist");
    }
    for (table, rows) in &removed.kept {
        tracing::info!(pk = tombstone.pk, table, rows, "rows that now belong to another user were kept");
    }
    for (table, rows) in &removed.rows {
        tracing::info!(pk = tombstone.pk, table, rows, "rows of a deleted user were removed");
    }
    tracing::info!(
        pk = tombstone.pk,
        rows = removed.rows.values().sum::<u64>(),
        backups = removed.backups.len(),
        "purge finished"
    );
}
