//! Effects of a deletion: deletes the memberships (cascade), notes the due purge, purges after the grace period.
//!
//! The stream delivers each tombstone once, and the nightly run finds it again while effects are pending. The hourly
//! purge reads the notes of due purges; a note only says which tombstone to check.

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
use crate::core::deletion::pending::PurgeFailure;
use crate::core::deletion::purge::{Due, partitions};
use crate::core::explain::reason::Reason;
use crate::core::id::{InstanceId, Key};
use crate::core::millis::Clock;
use crate::core::millis::{Deadline, Millis};
use crate::core::mirror::item::Item;
use crate::core::mirror::tombstone::DeletionPolicy;
use crate::settings::deletion::Removal;

/// Maximum number of concurrent purges.
const CONCURRENCY: usize = 8;

/// Why a purge waits whose memberships are not deleted.
const UNDELETED_MEMBERSHIP: &str = "a membership of the user is not deleted yet, or its row cannot be read";

/// The dependencies of the effects of deletions.
pub struct Deletions {
    /// The cascade.
    pub cascade: Cascade,
    /// The Operations table with the notes of due purges.
    pub operations: Operations,
    /// The purge; nothing if the deletion policy removes nothing.
    pub purger: Option<Purger>,
    /// The grace period in hours.
    pub grace_hours: u64,
    /// How long backups in a folder stay, in days.
    pub backup_days: u64,
    /// The clock.
    pub clock: Clock,
}

/// The result of the effects of a tombstone.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Followed {
    /// The result of the cascade.
    pub cascade: Finished,
    /// The state of the user's own data.
    pub own: Own,
}

/// The state of a deleted user's own data.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Own {
    /// Nothing needs to be removed, or not yet.
    #[default]
    Nothing,
    /// The data are removed after the grace period, which ends at this time.
    Waits(Millis),
    Removed(Removed),
    /// An operator has restored rows of the user, so the data stay.
    Restored,
}

/// The report of an hourly purge.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct PurgeReport {
    /// Users who were purged.
    pub purged: u64,
    /// Rows that were removed or redacted.
    pub rows: u64,
    /// Users whose data stay because an operator has restored rows of them.
    pub restored: u64,
    /// Notes that are not needed any more: the deletion was undone, repeated, or already purged.
    pub obsolete: u64,
    /// Purges that failed or are not complete, and old backups that could not be removed. They are tried again.
    pub failed: u64,
    /// Whether the deadline was reached before all notes were processed.
    pub out_of_time: bool,
    /// Tables of `OWNED_TABLES` that do not exist, by name.
    pub missing_tables: Vec<String>,
    /// Days whose backups in a folder were older than `BACKUP_DAYS` and were removed.
    pub expired_backups: u64,
}

enum One {
    Purged(Removed),
    Restored,
    Obsolete,
    Left,
}

impl Deletions {
    /// The effects of deletions under these settings. Without a place for backups nothing is removed.
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
            operations: stores.operations.clone(),
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

    /// Completes the effects of the deletion of a user or an organization, until the deadline. With a grace period it
    /// removes no data, and notes the due purge.
    ///
    /// # Errors
    ///
    /// [`PurgeError`]: completed effects stay complete.
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

    /// The same without a grace period. An error that only an operator can resolve must not block other stream records:
    /// the purge is noted, and each hourly purge tries it again.
    async fn follow_or_note(&self, tombstone: &Item, deadline: Deadline) -> Result<Followed, PurgeError> {
        let followed = self.follow_at_once(tombstone, deadline).await;
        match &followed {
            Err(PurgeError::Store(_)) => return followed,
            Err(error) => {
                log_failure(tombstone, error);
                if let Some(due) = Due::from_tombstone(tombstone, self.grace_hours) {
                    // Without the note nobody would try again before the night.
                    self.operations.note_failed_purge(&due, &self.failure(error.to_string())).await?;
                }
            }
            Ok(followed) if followed.cascade.left == Remaining::Memberships => {
                if let Some(due) = Due::from_tombstone(tombstone, self.grace_hours) {
                    self.operations.note_purge(&due).await?;
                }
            }
            Ok(_) => return followed,
        }
        Ok(followed.unwrap_or_default())
    }

    /// The same, without waiting for the grace period.
    ///
    /// # Errors
    ///
    /// [`PurgeError`]: completed effects stay complete.
    pub async fn follow_at_once(&self, tombstone: &Item, deadline: Deadline) -> Result<Followed, PurgeError> {
        if let (Some(purger), Some(_)) = (&self.purger, Due::from_tombstone(tombstone, self.grace_hours)) {
            let left = |left| Followed { cascade: Finished { left, ..Finished::default() }, own: Own::Nothing };
            return Ok(match self.purge(purger, tombstone, deadline).await? {
                Purged::Done(removed) => Followed { own: Own::Removed(removed), ..Followed::default() },
                Purged::Restored => Followed { own: Own::Restored, ..Followed::default() },
                Purged::Changed => left(Remaining::Superseded),
                Purged::Left(why) => left(why),
            });
        }
        let cascade = self.cascade.finish(tombstone, deadline).await?;
        Ok(Followed { cascade, own: Own::Nothing })
    }

    /// Whether a user's data are within the grace period.
    pub fn waits(&self, tombstone: &Item) -> bool {
        let due = Due::from_tombstone(tombstone, self.grace_hours).filter(|_| self.purger.is_some());
        due.is_some_and(|due| (self.clock)() < due.due_at)
    }

    /// Carries out the purges that are due, until the deadline.
    ///
    /// # Errors
    ///
    /// [`StoreError`]: completed purges stay complete. A purge that fails by itself is counted and tried again.
    pub async fn purge_due(&self, deadline: Deadline) -> Result<PurgeReport, StoreError> {
        let mut report = PurgeReport::default();
        let Some(purger) = &self.purger else { return Ok(report) };
        for partition in partitions((self.clock)()) {
            let mut from = None;
            loop {
                if deadline.is_over((self.clock)()) {
                    report.out_of_time = true;
                    return Ok(report);
                }
                let (due, next) = self.operations.due_purges(&partition, from).await?;
                self.purge_page(purger, &due, deadline, &mut report).await?;
                from = next;
                if from.is_none() {
                    break;
                }
            }
        }
        match purger.backups.expire((self.clock)(), self.backup_days) {
            Ok(days) => report.expired_backups = days,
            Err(error) => {
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                tracing::error!(%error, cause, "expired backups cannot be removed");
                report.failed += 1;
            }
        }
        Ok(report)
    }

    async fn purge_page(
        &self,
        purger: &Purger,
        due: &[Due],
        deadline: Deadline,
        report: &mut PurgeReport,
    ) -> Result<(), StoreError> {
        if due.is_empty() {
            return Ok(());
        }
        let keys: Vec<Key> = due.iter().map(Due::tombstone).collect();
        let mut stored = self.cascade.directory.read(&keys).await?;
        for key in &stored.unreadable {
            let reason = Reason::RowUnreadable.name();
            tracing::error!(
                pk = key.pk,
                reason,
                "a tombstone cannot be read, so the data of its user were not removed"
            );
            report.failed += 1;
        }
        let is_readable = |(_, key): &(&Due, &Key)| !stored.unreadable.contains(key);
        let readable: Vec<(&Due, &Key)> = due.iter().zip(&keys).filter(is_readable).collect();
        let one = |(due, key)| self.purge_one(purger, due, stored.items.remove(key), deadline);
        let work: Vec<_> = readable.into_iter().map(one).collect();
        let mut done = stream::iter(work).buffer_unordered(CONCURRENCY);
        while let Some(one) = done.next().await {
            match one? {
                One::Purged(removed) => {
                    report.purged += 1;
                    report.rows += removed.rows.values().sum::<u64>();
                    for table in removed.missing {
                        if !report.missing_tables.contains(&table) {
                            report.missing_tables.push(table);
                        }
                    }
                }
                One::Restored => report.restored += 1,
                One::Obsolete => report.obsolete += 1,
                One::Left => {
                    report.failed += 1;
                    report.out_of_time |= deadline.is_over((self.clock)());
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
            None => One::Obsolete,
            // The grace period was extended since.
            Some(tombstone) if self.waits(&tombstone) => {
                if let Some(due) = Due::from_tombstone(&tombstone, self.grace_hours) {
                    self.operations.note_purge(&due).await?;
                }
                One::Obsolete
            }
            Some(tombstone) => match self.purge(purger, &tombstone, deadline).await {
                Ok(Purged::Done(removed)) => One::Purged(removed),
                Ok(Purged::Restored) => One::Restored,
                Ok(Purged::Changed) => One::Obsolete,
                Ok(Purged::Left(why)) => {
                    if why == Remaining::Memberships {
                        tracing::warn!(
                            pk = tombstone.key.pk,
                            reason = Reason::PurgeWaits.name(),
                            "the purge waits: a membership of the user is not deleted yet"
                        );
                        self.note_failure(due, UNDELETED_MEMBERSHIP.to_owned()).await;
                    }
                    return Ok(One::Left);
                }
                Err(error) => {
                    log_failure(&tombstone, &error);
                    self.note_failure(due, error.to_string()).await;
                    return Ok(One::Left);
                }
            },
        };
        self.operations.forget_purge(due).await?;
        Ok(one)
    }

    /// Logs a failed purge, and notes why it failed. The hourly purge and the nightly run try it again.
    pub(in crate::services) async fn failed(&self, tombstone: &Item, error: &PurgeError) {
        log_failure(tombstone, error);
        if let Some(due) = Due::from_tombstone(tombstone, self.grace_hours) {
            self.note_failure(&due, error.to_string()).await;
        }
    }

    /// Notes why a purge failed. The note is for operators only: without it the purge is tried again all the same.
    async fn note_failure(&self, due: &Due, error: String) {
        if let Err(error) = self.operations.note_failed_purge(due, &self.failure(error)).await {
            tracing::warn!(%error, "the failure of a purge cannot be noted");
        }
    }

    fn failure(&self, error: String) -> PurgeFailure {
        PurgeFailure { failed_at: (self.clock)(), error }
    }

    async fn purge(&self, purger: &Purger, tombstone: &Item, deadline: Deadline) -> Result<Purged, PurgeError> {
        let outcome = purger.purge(tombstone, &self.cascade, deadline).await?;
        match &outcome {
            Purged::Done(removed) => log(&tombstone.key, removed),
            Purged::Restored => tracing::warn!(
                pk = tombstone.key.pk,
                "the purge removed nothing: an operator has restored rows of the user; run `rollcall undo`, or `rollcall \
                 cleanup --restored`"
            ),
            Purged::Changed | Purged::Left(_) => {}
        }
        Ok(outcome)
    }
}

fn log_failure(tombstone: &Item, error: &PurgeError) {
    let cause = std::error::Error::source(error).map(ToString::to_string);
    let reason = Reason::PurgeFailed.name();
    tracing::error!(pk = tombstone.key.pk, reason, %error, cause, "a purge failed and will be retried");
}

/// Logs one line for each table: counts, and no personal data.
pub(in crate::services) fn log(tombstone: &Key, removed: &Removed) {
    for table in &removed.missing {
        let reason = Reason::TableMissing.name();
        tracing::warn!(
            pk = tombstone.pk,
            table,
            reason,
            "a table in OWNED_TABLES does not exist; the purge skipped it"
        );
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
