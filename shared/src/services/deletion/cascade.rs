//! The cascade: deletes the memberships of a deleted user or organization.
//!
//! Readers honour the tombstone of the parent at once; the cascade brings the rows into agreement. Each write checks
//! that the parent is still exactly that tombstone, so an undo stops the cascade, and a repetition changes nothing.
use crate::adapters::dynamo::directory::Directory;
use crate::adapters::dynamo::directory::write::{ClerkId, PutUnder};
use crate::adapters::dynamo::error::StoreError;
use crate::core::explain::reason::Reason;
use crate::core::id::{InstanceId, Key, Kind};
use crate::core::millis::Clock;
use crate::core::millis::Deadline;
use crate::core::mirror::item::{Item, Provenance, Writer};
use crate::core::mirror::projection::Context;
use crate::core::mirror::rank::Rank;
use crate::core::mirror::roles::Roles;
use crate::core::mirror::rule::{Exact, Guard};
use crate::core::mirror::tombstone::{Deletion, DeletionPolicy};

/// Attempts at deleting a membership if its row, or its parent's, is changing.
const MAX_ATTEMPTS: usize = 4;

/// The dependencies of a cascade.
pub struct Cascade {
    /// The Directory.
    pub directory: Directory,
    /// The configured instance.
    pub instance: InstanceId,
    pub deletion: DeletionPolicy,
    /// The clock.
    pub clock: Clock,
}

/// The result for one membership.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum One {
    /// The membership is deleted, with this rank.
    Ended {
        rank: Rank,
        /// Write units, the check included.
        units: f64,
    },
    /// The membership is deleted already, or its parent is live again.
    Nothing,
    /// Other writers have changed the row at every attempt.
    Busy,
}

/// The result of the effects of a tombstone.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Finished {
    /// Memberships that were deleted.
    pub ended: u64,
    /// Write units.
    pub units: f64,
    /// The effects that remain.
    pub left: Remaining,
}

/// Which effects of a tombstone remain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Remaining {
    /// None, and the tombstone is marked as finished.
    #[default]
    Nothing,
    /// The memberships are deleted. The user's data remain, which [`super::purge`] removes.
    UserData,
    /// None: the stored row is not this tombstone any more, and the new row has its own effects; or the tombstone was
    /// finished already.
    Superseded,
    /// The deadline was reached. The next attempt continues from there.
    Deadline,
    /// A membership was changing at every attempt, or cannot be read.
    Memberships,
}

impl Cascade {
    /// Deletes all memberships of a deleted user or organization, until the deadline. Then it marks the tombstone as
    /// finished, except a user's if data must be purged.
    ///
    /// # Errors
    ///
    /// [`StoreError`]: the deleted memberships stay deleted.
    pub async fn finish(&self, tombstone: &Item, deadline: Deadline) -> Result<Finished, StoreError> {
        let mut finished = Finished::default();
        let (mut parent, mut from, mut is_whole) = (tombstone.clone(), None, true);
        loop {
            if deadline.is_over((self.clock)()) {
                return Ok(Finished { left: Remaining::Deadline, ..finished });
            }
            let page = self.directory.members(&parent.key, from).await?;
            for key in &page.unreadable {
                let key = key.made_here();
                let (pk, sk) = (key.map(|key| &key.pk), key.map(|key| &key.sk));
                let reason = Reason::MembershipNotDeleted.name();
                tracing::error!(pk, sk, reason, "a membership cannot be read and was not deleted");
                is_whole = false;
            }
            let live: Vec<Item> = page.items.into_iter().filter(|item| !item.is_deleted()).collect();
            if !live.is_empty() {
                match self.end_together(&live, &parent).await? {
                    PutUnder::Applied { units } => {
                        finished.units += units;
                        finished.ended += u64::try_from(live.len()).unwrap_or(u64::MAX);
                    }
                    PutUnder::ConditionFailed => {
                        is_whole &= self.end_each(live, &parent, &mut finished).await?;
                        let now =
                            self.directory.read(std::slice::from_ref(&parent.key)).await?.items.remove(&parent.key);
                        match now.filter(Item::is_deleted) {
                            // A second tombstone of the same parent has the same effects.
                            Some(now) => parent = now,
                            None => return Ok(Finished { left: Remaining::Superseded, ..finished }),
                        }
                    }
                }
            }
            from = page.next;
            if from.is_none() {
                break;
            }
        }
        if !is_whole {
            return Ok(Finished { left: Remaining::Memberships, ..finished });
        }
        if self.deletion != DeletionPolicy::Retain && Kind::from_key(&parent.key) == Some(Kind::User) {
            return Ok(Finished {
                left: if parent.is_finished() { Remaining::Superseded } else { Remaining::UserData },
                ..finished
            });
        }
        match self.directory.finish(&parent, (self.clock)(), ClerkId::Keep).await? {
            Some(units) => Ok(Finished { units: finished.units + units, ..finished }),
            None => Ok(Finished { left: Remaining::Superseded, ..finished }),
        }
    }

    /// Deletes the memberships of a page in one transaction.
    async fn end_together(&self, live: &[Item], parent: &Item) -> Result<PutUnder, StoreError> {
        let tombstones: Option<Vec<(Item, Guard)>> = live.iter().map(|item| self.tombstone(item, parent)).collect();
        match tombstones {
            Some(tombstones) => self.directory.put_under(&tombstones, parent).await,
            // One of the rows lacks the ids of its membership.
            None => Ok(PutUnder::ConditionFailed),
        }
    }

    /// Deletes the memberships of a page one by one, because one of them, or the parent, has changed since the read.
    async fn end_each(&self, live: Vec<Item>, parent: &Item, finished: &mut Finished) -> Result<bool, StoreError> {
        let mut is_whole = true;
        for item in live {
            match self.end(item, parent.clone()).await? {
                One::Ended { units, .. } => {
                    finished.units += units;
                    finished.ended += 1;
                }
                One::Nothing => {}
                One::Busy => is_whole = false,
            }
        }
        Ok(is_whole)
    }

    /// Deletes a membership because its user or its organization is deleted.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn end(&self, membership: Item, parent: Item) -> Result<One, StoreError> {
        let (mut item, mut parent) = (Some(membership), Some(parent));
        for _ in 0..MAX_ATTEMPTS {
            let Some((stored, ended)) =
                item.zip(parent).filter(|(item, parent)| !item.is_deleted() && parent.is_deleted())
            else {
                return Ok(One::Nothing);
            };
            let Some(tombstone) = self.tombstone(&stored, &ended) else {
                let key = stored.key.made_here();
                let (pk, sk) = (key.map(|key| &key.pk), key.map(|key| &key.sk));
                let reason = Reason::MembershipNotDeleted.name();
                tracing::error!(pk, sk, reason, "the ids of a membership cannot be read; it was not deleted");
                return Ok(One::Busy);
            };
            let rank = tombstone.0.rank;
            match self.directory.put_under(&[tombstone], &ended).await? {
                PutUnder::Applied { units } => return Ok(One::Ended { rank, units }),
                PutUnder::ConditionFailed => {
                    let mut now = self.directory.read(&[stored.key.clone(), ended.key.clone()]).await?;
                    (item, parent) = (now.items.remove(&stored.key), now.items.remove(&ended.key));
                }
            }
        }
        Ok(One::Busy)
    }

    /// Deletes a membership if its user or its organization is deleted; nothing if both are live or not stored.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn end_orphan(&self, membership: &Item) -> Result<Option<One>, StoreError> {
        let Some(entity) = membership.entity() else { return Ok(None) };
        let parents: Vec<Key> = entity.parents().iter().map(|parent| parent.key(&self.instance)).collect();
        let parents = self.directory.read(&parents).await?.items;
        match parents.into_values().find(Item::is_deleted) {
            None => Ok(None),
            Some(parent) => self.end(membership.clone(), parent).await.map(Some),
        }
    }

    /// Removes Clerk's id from the tombstones of all memberships of a user whose tombstone is about to be finished, and
    /// marks them as finished. Returns whether all of them are done.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn forget_members(&self, user: &Item) -> Result<bool, StoreError> {
        let (mut from, mut is_whole) = (None, true);
        loop {
            let page = self.directory.members(&user.key, from).await?;
            for item in page.items.iter().filter(|item| !item.is_finished()) {
                is_whole &= self.forget_member(item).await?;
            }
            from = page.next;
            if from.is_none() {
                return Ok(is_whole);
            }
        }
    }

    /// Does the same for one of them. If the row has changed meanwhile, the stored row counts: a finished one is done,
    /// a live one is not.
    async fn forget_member(&self, membership: &Item) -> Result<bool, StoreError> {
        let mut stored = membership.clone();
        for _ in 0..MAX_ATTEMPTS {
            if stored.is_finished() || !stored.is_deleted() {
                return Ok(stored.is_finished());
            }
            if self.directory.finish(&stored, (self.clock)(), ClerkId::Remove).await?.is_some() {
                return Ok(true);
            }
            let mut now = self.directory.read(std::slice::from_ref(&stored.key)).await?;
            match now.items.remove(&stored.key) {
                Some(item) => stored = item,
                // A missing row is done; an unreadable one is not.
                None => return Ok(now.unreadable.is_empty()),
            }
        }
        Ok(false)
    }

    /// Does the same for one membership whose tombstone was written after its user's was finished.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn forget_late(&self, membership: &Item) -> Result<bool, StoreError> {
        let user = Key { pk: membership.key.pk.clone(), sk: "USER".to_owned() };
        let user = self.directory.read(std::slice::from_ref(&user)).await?.items.remove(&user);
        if !user.is_some_and(|user| self.forgets(&user)) {
            return Ok(false);
        }
        Ok(self.directory.finish(membership, (self.clock)(), ClerkId::Remove).await?.is_some())
    }

    /// Whether Clerk's id must be removed from the rows of this parent.
    pub(in crate::services) fn forgets(&self, parent: &Item) -> bool {
        let is_user = Kind::from_key(&parent.key) == Some(Kind::User);
        is_user && parent.is_deleted() && parent.is_finished() && self.deletion != DeletionPolicy::Retain
    }

    /// The tombstone of a membership, with the rank of its parent's deletion.
    fn tombstone(&self, stored: &Item, parent: &Item) -> Option<(Item, Guard)> {
        let provenance = Provenance { applied_at: (self.clock)(), applied_by: Writer::Cascade, delivery_id: None };
        let context = Context { instance: &self.instance, roles: Roles::usual(), provenance: &provenance };
        let entity = stored.entity().filter(|entity| entity.key(&self.instance) == stored.key)?;
        let deletion = Deletion {
            entity,
            membership_id: stored.membership_id(),
            generation: stored.rank.generation,
            at: parent.rank.version,
        };
        let guard = match self.deletion {
            // The tombstone keeps the contents that were read, so exactly that row must still be stored.
            DeletionPolicy::Retain => Guard::Exactly(Exact::from(stored)),
            DeletionPolicy::Redact | DeletionPolicy::Purge => Guard::Newer,
        };
        Some((deletion.tombstone(self.deletion, Some(stored), &context), guard))
    }
}
