//! The end of a user or an organization, carried to the memberships.
//!
//! Readers honour the one tombstone at once; this only makes the rows say so, too. Each write checks that the parent
//! is
//! still exactly that tombstone, so an undo stops it, and doing it again changes nothing.
use crate::adapters::dynamo::directory::Directory;
use crate::adapters::dynamo::directory::write::{ClerkId, PutUnder};
use crate::adapters::dynamo::error::StoreError;
use crate::core::id::{InstanceId, Key, Kind};
use crate::core::millis::Clock;
use crate::core::millis::Deadline;
use crate::core::mirror::item::{Item, Provenance, Writer};
use crate::core::mirror::projection::Context;
use crate::core::mirror::rank::Rank;
use crate::core::mirror::roles::Roles;
use crate::core::mirror::rule::{Exact, Guard};
use crate::core::mirror::tombstone::{Deletion, DeletionPolicy};

/// Attempts at ending a membership whose item, or whose parent, is changing.
const MAX_ATTEMPTS: usize = 4;

/// What carrying an end on needs.
pub struct Cascade {
    /// The copy of Clerk.
    pub directory: Directory,
    /// Whose copy this is.
    pub instance: InstanceId,
    pub deletion: DeletionPolicy,
    /// What time it is.
    pub clock: Clock,
}

/// What became of one membership.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum One {
    /// It has ended, at this rank and for so many write units.
    Ended {
        rank: Rank,
        /// Write units, the check included.
        units: f64,
    },
    /// There is nothing to end any more, or its parent lives again.
    Nothing,
    /// Others were faster, every time.
    Busy,
}

/// What became of a tombstone's consequences.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Finished {
    /// Memberships that have ended.
    pub ended: u64,
    /// Write units.
    pub units: f64,
    /// What is left to do.
    pub left: Remaining,
}

/// How far the consequences of a tombstone have come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Remaining {
    /// All is done, and the tombstone says so.
    #[default]
    Nothing,
    /// The memberships are deleted. The data of the user are left, which [`super::purge`] removes.
    UserData,
    /// It is not that tombstone any more, and whoever has changed it has consequences of its own; or it was marked
    /// already.
    Superseded,
    /// The deadline was reached. What is done is not done again.
    Deadline,
    /// A membership was changing all the time, or cannot be read.
    Memberships,
}

impl Cascade {
    /// Ends all memberships of a user or an organization that has ended, unless the deadline is over before. When that
    /// is done it
    /// marks the tombstone, but for a user's of whom something is to be removed.
    ///
    /// # Errors
    ///
    /// [`StoreError`]: what is done stays done.
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
                tracing::error!(pk, sk, "a membership cannot be read and was not deleted");
                is_whole = false;
            }
            let live: Vec<Item> = page.items.into_iter().filter(|item| !item.is_deleted()).collect();
            if !live.is_empty() {
                match self.end_together(&live, &parent).await? {
                    PutUnder::Applied { units } => {
                        finished.units += units;
                        finished.ended += u64::try_from(live.len()).unwrap_or(u64::MAX);
                    }
                    PutUnder::Refused => {
                        is_whole &= self.end_each(live, &parent, &mut finished).await?;
                        let now =
                            self.directory.read(std::slice::from_ref(&parent.key)).await?.items.remove(&parent.key);
                        match now.filter(Item::is_deleted) {
                            // A second deletion of it is as good.
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

    /// All of a page in one transaction.
    async fn end_together(&self, live: &[Item], parent: &Item) -> Result<PutUnder, StoreError> {
        let tombstones: Option<Vec<(Item, Guard)>> = live.iter().map(|item| self.tombstone(item, parent)).collect();
        match tombstones {
            Some(tombstones) => self.directory.put_under(&tombstones, parent).await,
            // Whose it is cannot be told of one of them.
            None => Ok(PutUnder::Refused),
        }
    }

    /// Each of a page by itself: something about one of them was not as it was read.
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

    /// Ends a membership because its user or its organization has ended.
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
                tracing::error!(pk, sk, "the ids of a membership cannot be read");
                return Ok(One::Busy);
            };
            let rank = tombstone.0.rank;
            match self.directory.put_under(&[tombstone], &ended).await? {
                PutUnder::Applied { units } => return Ok(One::Ended { rank, units }),
                PutUnder::Refused => {
                    let mut now = self.directory.read(&[stored.key.clone(), ended.key.clone()]).await?;
                    (item, parent) = (now.items.remove(&stored.key), now.items.remove(&ended.key));
                }
            }
        }
        Ok(One::Busy)
    }

    /// Ends a membership if its user or its organization has ended; nothing if both live, or are not known.
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

    /// Takes the user's id of Clerk's out of the tombstones of all memberships of a user who is about to be finished,
    /// and marks
    /// them. Answers whether that is all of them.
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

    /// Does that with one of them. Somebody else may have marked it meanwhile, or it has ended once more: what is
    /// stored counts.
    /// One that lives again is not done.
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
                // Gone is as good; what cannot be read is not done.
                None => return Ok(now.unreadable.is_empty()),
            }
        }
        Ok(false)
    }

    /// Does the same with one tombstone of a membership that has come after its user was finished.
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

    /// Whether nothing that holds an id of Clerk's may be kept of what belongs to this one.
    pub(in crate::services) fn forgets(&self, parent: &Item) -> bool {
        let is_user = Kind::from_key(&parent.key) == Some(Kind::User);
        is_user && parent.is_deleted() && parent.is_finished() && self.deletion != DeletionPolicy::Retain
    }

    /// The tombstone of a membership, with the rank that its parent's end gives it.
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
            // It keeps what was read, so that must still be what it replaces.
            DeletionPolicy::Retain => Guard::Exactly(Exact::from(stored)),
            DeletionPolicy::Redact | DeletionPolicy::Purge => Guard::Newer,
        };
        Some((deletion.tombstone(self.deletion, Some(stored), &context), guard))
    }
}
