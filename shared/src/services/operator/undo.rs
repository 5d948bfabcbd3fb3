//! The undo of a deletion by an operator: replaces exactly the stored tombstone by Clerk's current state, and undoes
//! the deletions of the memberships that were deleted with it. It also replaces a live row that is dated ahead of
//! Clerk. The undo is the only operation that lowers a rank.

use super::{Operator, OperatorError};
use futures_util::{StreamExt, stream};

use crate::adapters::clerk::lists::{ClerkRow, PAGE};
use crate::adapters::dynamo::directory::write::Put;
use crate::core::clerk::objects::Entity;
use crate::core::deletion::subject::Subject;
use crate::core::explain::reason::Reason;
use crate::core::id::{EntityId, Key, Kind};
use crate::core::millis::Millis;
use crate::core::mirror::decide::AHEAD_AFTER;
use crate::core::mirror::item::{Item, Writer};
use crate::core::mirror::projection::Context;
use crate::core::mirror::rule::{Exact, Guard};

/// Attempts at a row that other writers are changing.
const MAX_ATTEMPTS: usize = 4;
/// Maximum number of concurrent writes of memberships.
const CONCURRENCY: usize = 16;

/// The result of an undo.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undo {
    pub entity: EntityId,
    /// Whether the entity was live already, so that only memberships were checked.
    pub lived: bool,
    /// Whether the row was live and dated ahead of Clerk, and was replaced by Clerk's state.
    pub was_ahead: bool,
    /// Whether the user's data were purged already; they are in the backups.
    pub was_purged: bool,
    /// Memberships whose deletion was undone.
    pub memberships: u64,
    /// Memberships that Clerk has and whose deletion could not be undone; the log names them.
    pub left: u64,
}

/// The plan of an undo.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UndoPlan {
    pub entity: EntityId,
    pub stands: Stands,
}

/// The stored state that an undo would change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stands {
    Ended {
        /// Whether the user's data were purged already; they are in the backups.
        was_purged: bool,
    },
    /// A live row whose time is ahead of Clerk's, so that changes in Clerk are not applied.
    Ahead {
        /// The time of the row, in Unix ms.
        stored: Millis,
        /// The time of Clerk's state, in Unix ms.
        clerk: Millis,
    },
    /// A live row that agrees with Clerk, or that Clerk's next change replaces.
    Alive,
}

enum One {
    Lives { was_purged: bool },
    Lived,
    WasAhead,
}

impl Operator {
    /// The entity that the operator names, and the plan of the undo.
    ///
    /// # Errors
    ///
    /// [`OperatorError`], as in [`Self::undo`].
    pub async fn can_undo(&self, subject: &Subject) -> Result<UndoPlan, OperatorError> {
        self.check_operator().await?;
        let (entity, stored) = self.find(subject).await?;
        let stored = stored.ok_or(OperatorError::Unknown)?;
        let found = self.applier.clerk.fetch_proven(&entity).await?.ok_or(OperatorError::Gone)?;
        if stored.is_deleted() && stored.is_purging() {
            return Err(OperatorError::Purging);
        }
        let stands = if stored.is_deleted() {
            Stands::Ended { was_purged: self.was_purged(&stored) }
        } else {
            let shown = self.shown(found)?;
            if self.is_ahead(&stored, &shown) {
                Stands::Ahead { stored: stored.rank.version, clerk: shown.rank.version }
            } else {
                Stands::Alive
            }
        };
        Ok(UndoPlan { entity, stands })
    }

    /// Clerk's state as a row.
    pub(super) fn shown(&self, found: Entity) -> Result<Item, OperatorError> {
        let provenance = self.provenance();
        let context = Context { instance: &self.applier.instance, roles: &self.applier.roles, provenance: &provenance };
        context.entity(found).ok_or(OperatorError::Undated)
    }

    /// Whether a live row is dated so far ahead of Clerk's state that neither a lagging replica nor a concurrent change
    /// explains it. Under `MIRROR=off` live rows are not replaced.
    fn is_ahead(&self, stored: &Item, shown: &Item) -> bool {
        let is_same_one = stored.rank.generation == shown.rank.generation;
        let ahead = stored.rank.version.since(shown.rank.version);
        !stored.is_deleted() && is_same_one && ahead > AHEAD_AFTER && self.keeps(stored)
    }

    fn keeps(&self, stored: &Item) -> bool {
        self.mirror || Kind::from_key(&stored.key) == Some(Kind::Organization)
    }

    pub(super) fn was_purged(&self, tombstone: &Item) -> bool {
        Kind::from_key(&tombstone.key) == Some(Kind::User) && tombstone.is_finished() && self.removes()
    }

    /// Undoes the deletion of a user, an organization or a membership, or replaces a live row that is dated ahead of
    /// Clerk.
    ///
    /// # Errors
    ///
    /// [`OperatorError`]: completed steps stay complete, and the same undo continues with the memberships.
    pub async fn undo(&self, subject: &Subject) -> Result<Undo, OperatorError> {
        self.check_operator().await?;
        let (entity, stored) = self.find(subject).await?;
        let stored = stored.ok_or(OperatorError::Unknown)?;
        let found = self.applier.clerk.fetch_proven(&entity).await?.ok_or(OperatorError::Gone)?;
        let parents: Vec<Key> = entity.parents().iter().map(|parent| parent.key(&self.applier.instance)).collect();
        if self.stores.directory.read(&parents).await?.items.values().any(Item::is_deleted) {
            return Err(OperatorError::Orphaned);
        }
        let one = self.revive(found, stored).await?;
        let mut undo = Undo { entity, lived: false, was_ahead: false, was_purged: false, memberships: 0, left: 0 };
        match one {
            One::Lived => undo.lived = true,
            One::WasAhead => undo.was_ahead = true,
            One::Lives { was_purged } => undo.was_purged = was_purged,
        }
        if self.mirror && entity_has_members(&undo.entity) {
            self.revive_members(&mut undo).await?;
        }
        if let EntityId::User(user) = &undo.entity {
            self.reopen_members(&undo.entity).await?;
            // The user is live, so the restored rows are as all other rows.
            self.stores.operations.forget_restoration(self.applier.instance.internal_id(user)).await?;
        }
        Ok(undo)
    }

    /// Replaces the stored tombstone, or the row that is dated ahead, by Clerk's state.
    async fn revive(&self, found: Entity, mut stored: Item) -> Result<One, OperatorError> {
        let item = self.shown(found)?;
        for _ in 0..MAX_ATTEMPTS {
            let is_ahead = self.is_ahead(&stored, &item);
            if !stored.is_deleted() && !is_ahead {
                return Ok(One::Lived);
            }
            if stored.is_deleted() && stored.is_purging() {
                return Err(OperatorError::Purging);
            }
            let lives = One::Lives { was_purged: self.was_purged(&stored) };
            if !self.keeps(&stored) {
                // Live users are not stored, so the tombstone is deleted.
                if self.applier.directory.withdraw(&stored).await? {
                    return Ok(lives);
                }
                let now =
                    self.stores.directory.read(std::slice::from_ref(&stored.key)).await?.items.remove(&stored.key);
                stored = now.ok_or(OperatorError::Unknown)?;
                continue;
            }
            let guard = Guard::Exactly(Exact::from(&stored));
            match self.applier.directory.put(&item, &guard).await? {
                Put::Applied { .. } => return Ok(if is_ahead { One::WasAhead } else { lives }),
                Put::ConditionFailed(now) => stored = *now.ok_or(OperatorError::Unknown)?,
            }
        }
        Err(OperatorError::Contended)
    }

    fn removes(&self) -> bool {
        self.deletions.purger.is_some()
    }

    /// Undoes the deletions of memberships that were deleted in the cascade of this user or organization: those that
    /// Clerk has, and that were not deleted by an event of their own.
    async fn revive_members(&self, undo: &mut Undo) -> Result<(), OperatorError> {
        let mut offset = 0;
        loop {
            let page = self.applier.clerk.memberships_of(&undo.entity, offset).await?;
            self.applier.clerk.prove().await?;
            let rows = page.rows.len();
            let found: Vec<Entity> = page.rows.into_iter().filter_map(read).collect();
            undo.left += u64::try_from(rows - found.len()).unwrap_or(u64::MAX);
            let instance = &self.applier.instance;
            let keys = found.iter().flat_map(|entity| {
                let id = entity.id();
                id.parents().into_iter().chain([id]).map(|id| id.key(instance)).collect::<Vec<_>>()
            });
            // A request may contain a key only once.
            let keys: std::collections::BTreeSet<Key> = keys.collect();
            let mut stored = self.stores.directory.read(&keys.into_iter().collect::<Vec<_>>()).await?.items;
            let has_ended = |id: &EntityId| stored.get(&id.key(instance)).is_some_and(Item::is_deleted);
            let found: Vec<Entity> =
                found.into_iter().filter(|entity| !entity.id().parents().iter().any(has_ended)).collect();
            let mut work = Vec::new();
            for entity in found {
                let item = stored.remove(&entity.id().key(instance));
                let with_parent = |item: &Item| {
                    item.is_deleted() && (item.provenance.applied_by == Writer::Cascade || item.is_finished())
                };
                if let Some(item) = item.filter(with_parent) {
                    work.push(self.revive_member(entity, item));
                }
            }
            let mut done = stream::iter(work).buffer_unordered(CONCURRENCY);
            while let Some(is_back) = done.next().await {
                if is_back? {
                    undo.memberships += 1;
                } else {
                    undo.left += 1;
                }
            }
            offset += u64::try_from(rows).unwrap_or(u64::MAX);
            if rows < PAGE || page.total.is_some_and(|total| offset >= total) {
                return Ok(());
            }
        }
    }

    /// Makes it possible that memberships that were deleted before their user come back: as long as the user's
    /// tombstone was finished, theirs were final.
    async fn reopen_members(&self, user: &EntityId) -> Result<(), OperatorError> {
        let (key, mut from) = (user.key(&self.applier.instance), None);
        loop {
            let page = self.deletions.cascade.directory.members(&key, from).await?;
            for item in page.items.iter().filter(|item| item.is_deleted() && item.is_finished()) {
                self.applier.directory.reopen(item).await?;
            }
            from = page.next;
            if from.is_none() {
                return Ok(());
            }
        }
    }

    async fn revive_member(&self, entity: Entity, stored: Item) -> Result<bool, OperatorError> {
        let id = entity.id();
        match self.revive(entity, stored).await {
            Ok(_) => Ok(true),
            Err(OperatorError::Store(error)) => Err(error.into()),
            Err(error) => {
                let reason = Reason::UndoFailed.name();
                tracing::warn!(id = %id, reason, %error, "the deletion of a membership cannot be undone");
                Ok(false)
            }
        }
    }
}

fn entity_has_members(entity: &EntityId) -> bool {
    matches!(entity, EntityId::User(_) | EntityId::Organization(_))
}

fn read(row: ClerkRow) -> Option<Entity> {
    match row {
        ClerkRow::Read(entity) => Some(*entity),
        ClerkRow::Unreadable(_) => None,
    }
}
