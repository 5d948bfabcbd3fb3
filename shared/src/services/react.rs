//! The effects of changes of the Directory: processes stream records, each idempotently.
//!
//! Stream records are processed in order. If one fails, Lambda delivers it and all later ones again. Effects that are
//! lost for good are found by reconcile, which does the same steps.

use std::collections::BTreeSet;
use std::time::Duration;

use thiserror::Error;
use tokio::time::timeout;

use super::deletion::cascade::{One, Remaining};
use super::deletion::purge::PurgeError;
use super::deletion::{Deletions, Own};
use super::provision::Provision;
use super::write_back::Links;
use crate::adapters::aws::event_bus::{Bus, BusError, MAX_EVENTS};
use crate::adapters::dynamo::error::StoreError;
use crate::adapters::lambda::metrics;
use crate::core::controls::{Invariant, guards};
use crate::core::explain::reason::Reason;
use crate::core::id::{EntityId, Kind, UserId};
use crate::core::millis::Clock;
use crate::core::millis::Deadline;
use crate::core::mirror::change::{Change, What};
use crate::core::mirror::item::{Item, PURGING_AT};
use crate::core::write_back;

/// Time limit for the write-backs of one batch, with the waits for the rate limiter: the deletions in the next batch
/// must not wait for them.
const TIME_FOR_LINKS: Duration = Duration::from_secs(15);

/// One stream record.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// The row before; nothing if it is new.
    pub old: Option<Item>,
    /// The row after; nothing if it was deleted.
    pub new: Option<Item>,
}

pub struct Reactor {
    /// Creates the records of new users and memberships.
    pub provision: Provision,
    /// Completes the effects of deletions.
    pub deletions: Deletions,
    /// Whether the effects of deletions are processed: not if only the webhook may write the Directory.
    pub follows_ends: bool,
    /// The write-back, unless it is off.
    pub links: Option<Links>,
    /// The bus of the change events.
    pub bus: Bus,
    /// The clock.
    pub clock: Clock,
}

/// Why the effects of a stream record are not complete.
#[derive(Debug, Error)]
pub enum ReactError {
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The data of a deleted user could not be removed.
    #[error(transparent)]
    Purge(#[from] PurgeError),
    /// The bus did not accept the change event.
    #[error(transparent)]
    Bus(#[from] BusError),
    /// A deletion has too many effects for one invocation: the next one continues.
    #[error("the invocation ran out of time; the next invocation continues")]
    OutOfTime,
}

/// The stream record at which a batch stopped, and the reason.
#[derive(Debug, Error)]
#[error("stream record {at} of the batch: {error}")]
pub struct Stopped {
    /// The index of the first stream record that is not done.
    pub at: usize,
    #[source]
    pub error: ReactError,
}

impl Reactor {
    /// Processes the stream records of a batch, until the deadline.
    ///
    /// # Errors
    ///
    /// [`Stopped`]: all stream records before that one are done.
    pub async fn react(&self, records: &[Record], deadline: Deadline) -> Result<(), Stopped> {
        let (mut changes, mut unlinked) = (Vec::new(), BTreeSet::new());
        let mut stopped = Ok(());
        for (at, record) in records.iter().enumerate() {
            if let Err(error) = self.follow(record, deadline).await
                && guards(Invariant::I12)
            {
                stopped = Err(Stopped { at, error });
                break;
            }
            let Some(new) = &record.new else { continue };
            let Some(change) = Change::between(record.old.as_ref(), new) else { continue };
            changes.push((at, change));
            if self.links.is_some() {
                unlinked.extend(unlinked_user(new));
            }
        }
        if let Err(earlier) = self.tell(&changes).await {
            stopped = Err(earlier);
        }
        // Last, and without errors: reconcile does the remaining write-backs.
        self.write_back(&unlinked).await;
        stopped
    }

    /// Completes the effects of a stream record in the tables.
    async fn follow(&self, record: &Record, deadline: Deadline) -> Result<(), ReactError> {
        if deadline.is_over((self.clock)()) {
            return Err(ReactError::OutOfTime);
        }
        let Some(new) = &record.new else {
            let key = record.old.as_ref().and_then(|old| old.key.made_here());
            tracing::warn!(
                pk = key.map(|key| &key.pk),
                sk = key.map(|key| &key.sk),
                reason = Reason::RowRemoved.name(),
                "a Directory row was deleted, by an undo under MIRROR=off or by another program"
            );
            return Ok(());
        };
        // The mark of a purge is no deletion of its own: the purge that has set it continues, or the hourly purge does.
        if new.is_unfinished() && !new.fields.contains_key(PURGING_AT) && self.follows_ends {
            let followed = self.deletions.follow(new, deadline).await?;
            if let Own::Waits(until) = followed.own {
                tracing::info!(
                    pk = new.key.pk,
                    until = until.get(),
                    "the deletion can be undone within the grace period"
                );
            }
            let finished = followed.cascade;
            if finished.ended > 0 {
                tracing::info!(
                    pk = new.key.pk,
                    cascade_deleted = finished.ended,
                    "memberships of a deleted user or organization were deleted"
                );
            }
            match finished.left {
                Remaining::Nothing | Remaining::UserData | Remaining::Superseded => {}
                Remaining::Deadline => return Err(ReactError::OutOfTime),
                // An unreadable membership stays unreadable: it must not block all later stream records for a day. The
                // tombstone has no mark, so reconcile finds it.
                Remaining::Memberships => tracing::warn!(
                    pk = new.key.pk,
                    reason = Reason::MembershipNotDeleted.name(),
                    "some memberships of the deleted entity were not deleted; the next run of reconcile deletes them"
                ),
            }
        }
        if Kind::from_key(&new.key) == Some(Kind::Membership)
            && new.is_deleted()
            && !new.is_finished()
            && self.follows_ends
        {
            self.deletions.cascade.forget_late(new).await?;
        }
        let what = Change::between(record.old.as_ref(), new).map(|change| change.kind);
        if matches!(what, Some(What::Created | What::Restored)) {
            if Kind::from_key(&new.key) == Some(Kind::Membership) && self.follows_ends {
                match self.deletions.cascade.end_orphan(new).await? {
                    None | Some(One::Nothing) => {}
                    // Reconcile deletes the one that was changing.
                    Some(One::Ended { .. } | One::Busy) => return Ok(()),
                }
            }
            self.provision.create([new]).await?;
        }
        Ok(())
    }

    /// Publishes the changes in order on the bus, and logs them.
    async fn tell(&self, changes: &[(usize, Change)]) -> Result<(), Stopped> {
        for some in changes.chunks(MAX_EVENTS) {
            let events: Vec<&Change> = some.iter().map(|(_, change)| change).collect();
            self.bus.publish(&events).await.map_err(|error| Stopped { at: some[0].0, error: error.into() })?;
            for change in events {
                log(change);
            }
        }
        Ok(())
    }

    async fn write_back(&self, users: &BTreeSet<UserId>) {
        let Some(links) = &self.links else { return };
        let mut left = users.len();
        let all = async {
            for user in users {
                match links.link(user).await {
                    Ok(_) => left -= 1,
                    Err(error) => {
                        let reason = Reason::WriteBackFailed.name();
                        tracing::warn!(id = %user, reason, %error, "the write-back of dbId and role failed");
                        if !error.concerns_one() {
                            break;
                        }
                    }
                }
            }
        };
        // A write-back that is cut off counts as not begun: reconcile asks Clerk again.
        let _ = timeout(TIME_FOR_LINKS, all).await;
        if left > 0 {
            tracing::warn!(left, "some write-backs were not done; the next run of reconcile does them");
        }
    }
}

/// The user whose metadata lack something; nothing for other rows.
fn unlinked_user(item: &Item) -> Option<UserId> {
    let link = write_back::of_item(item);
    if link.conflicts {
        tracing::warn!(
            pk = item.key.pk,
            reason = Reason::WriteBackConflict.name(),
            "the dbId in the user's metadata in Clerk is not the internal id; the metadata was not changed"
        );
        metrics::writeback_conflict();
    }
    match item.entity()? {
        EntityId::User(user) if !link.missing.is_empty() => Some(user),
        _ => None,
    }
}

/// The audit log: the entity, the kind of change, the time and the writer; the names of fields, but no values.
fn log(change: &Change) {
    let Change { entity, kind, id, changed, rank, source, cache_tags } = change;
    tracing::info!(
        entity = entity.name(),
        kind = kind.name(),
        id,
        changed = changed.join(","),
        %rank,
        source = source.name(),
        cache_tags = cache_tags.join(","),
        "change"
    );
}
