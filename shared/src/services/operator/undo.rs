//! An operator's undo: what Clerk shows now takes the place of exactly the tombstone that is there, and the memberships
//! that
//! ended with it live again; or of exactly the live row that is dated ahead of Clerk. The one act that lowers a rank.

use super::{Operator, OperatorError};
use futures_util::{StreamExt, stream};

use crate::adapters::clerk::lists::{ClerkRow, PAGE};
use crate::adapters::dynamo::directory::write::Put;
use crate::core::clerk::objects::Entity;
use crate::core::deletion::subject::Subject;
use crate::core::id::{EntityId, Key, Kind};
use crate::core::millis::Millis;
use crate::core::mirror::decide::AHEAD_AFTER;
use crate::core::mirror::item::{Item, Writer};
use crate::core::mirror::projection::Context;
use crate::core::mirror::rule::{Exact, Guard};

/// Attempts at a row that is changing.
const MAX_ATTEMPTS: usize = 4;
/// Memberships that are written at once.
const CONCURRENCY: usize = 16;

/// What an undo did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undo {
    pub entity: EntityId,
    /// Whether it lived already, so that only memberships were looked at.
    pub lived: bool,
    /// Whether it lived, dated ahead of Clerk, and is now as Clerk shows it.
    pub was_ahead: bool,
    /// Whether its data had been removed already, and are in the backups.
    pub was_purged: bool,
    /// Memberships that live again.
    pub memberships: u64,
    /// Memberships that Clerk shows and that could not be brought back; the log names them.
    pub left: u64,
}

/// What an undo would do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UndoPlan {
    pub entity: EntityId,
    pub stands: Stands,
}

/// What stands in the place of what an operator wants to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stands {
    Ended {
        /// Whether the data of the user have been removed already, and are in the backups.
        was_purged: bool,
    },
    /// A live row that is dated ahead of Clerk, so that no change in Clerk replaces it.
    Ahead {
        /// Its time, in Unix ms.
        stored: Millis,
        /// Clerk's, in Unix ms.
        clerk: Millis,
    },
    /// What Clerk shows, or what Clerk's next change replaces.
    Alive,
}

enum One {
    Lives { was_purged: bool },
    Lived,
    WasAhead,
}

impl Operator {
    /// Who is meant, and what an undo would do.
    ///
    /// # Errors
    ///
    /// [`OperatorError`], as [`Self::undo`] has it.
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

    /// What Clerk shows, as a row.
    fn shown(&self, found: Entity) -> Result<Item, OperatorError> {
        let provenance = self.provenance();
        let context = Context { instance: &self.applier.instance, roles: &self.applier.roles, provenance: &provenance };
        context.entity(found).ok_or(OperatorError::Undated)
    }

    /// Whether a live row is dated so far ahead of what Clerk shows that no lagging replica and no race explains it.
    /// Without a
    /// mirror nobody who lives is replaced.
    fn is_ahead(&self, stored: &Item, shown: &Item) -> bool {
        let is_same_one = stored.rank.generation == shown.rank.generation;
        let ahead = stored.rank.version.since(shown.rank.version);
        !stored.is_deleted() && is_same_one && ahead > AHEAD_AFTER && self.keeps(stored)
    }

    fn keeps(&self, stored: &Item) -> bool {
        self.mirror || Kind::from_key(&stored.key) == Some(Kind::Organization)
    }

    fn was_purged(&self, tombstone: &Item) -> bool {
        Kind::from_key(&tombstone.key) == Some(Kind::User) && tombstone.is_finished() && self.removes()
    }

    /// Takes the end of a user, an organization or a membership back, or the date ahead of Clerk of one that lives.
    ///
    /// # Errors
    ///
    /// [`OperatorError`]; what is done stays done, and the same undo goes on with the memberships.
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
        if let EntityId::User(_) = &undo.entity {
            self.reopen_members(&undo.entity).await?;
        }
        Ok(undo)
    }

    /// Puts what Clerk shows in the place of the tombstone that is stored, or of the row that is dated ahead.
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
                // Nobody who lives is stored, so the tombstone is all that there is to take back.
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
                Put::Refused(now) => stored = *now.ok_or(OperatorError::Unknown)?,
            }
        }
        Err(OperatorError::Contended)
    }

    fn removes(&self) -> bool {
        self.deletions.purger.is_some()
    }

    /// Brings back the memberships that ended with somebody who lives again: those that Clerk shows, and that ended by
    /// no word of
    /// Clerk's own.
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
            // A key may be asked for only once.
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

    /// Lets memberships that ended before their user did come back some day: while the user was finished, nothing
    /// could.
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
                tracing::warn!(id = %id, %error, "a membership cannot be restored");
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
