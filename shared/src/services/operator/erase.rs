//! The erasure of one user by an operator: deletes the user in Clerk, confirms the absence, writes the tombstone, and
//! removes the data at once or at the end of the grace period.

use thiserror::Error;

use super::export::Holdings;
use super::{Operator, OperatorError};
use crate::adapters::dynamo::directory::write::Put;
use crate::adapters::dynamo::owned::rows::OwnedError;
use crate::core::deletion::owned::Owner;
use crate::core::deletion::purge::due_at;
use crate::core::deletion::subject::Subject;
use crate::core::id::{EntityId, UserId};
use crate::core::millis::Deadline;
use crate::core::millis::Millis;
use crate::core::mirror::decide;
use crate::core::mirror::decide::Next;
use crate::core::mirror::item::Item;
use crate::core::mirror::projection::Context;
use crate::core::mirror::rule::{Exact, Guard};
use crate::core::mirror::tombstone::{Deletion, DeletionPolicy};
use crate::services::apply::ApplyError;
use crate::services::deletion::purge::PurgeError;
use crate::services::deletion::{Followed, Own, log};
use crate::services::reconcile::NO_EVIDENCE;

/// The user of a planned erasure.
#[derive(Clone, Debug, PartialEq)]
pub struct ToErase {
    pub user: UserId,
    /// The user's name in Clerk, else in the Directory, so that the operator notices a wrong id.
    pub name: Option<String>,
    /// The stored row of the Directory.
    pub stored: Option<Item>,
    /// Whether the id exists neither in Clerk nor in a table.
    pub is_unknown: bool,
}

/// The result of an erasure.
#[derive(Clone, Debug, PartialEq)]
pub struct Erasure {
    pub user: UserId,
    /// Whether Clerk still had the user.
    pub was_in_clerk: bool,
    /// The state of the user's data.
    pub own: Own,
    /// Whether a part failed, which the scheduled runs try again.
    pub is_left: bool,
}

/// Why an erasure stopped. Completed steps stay complete, and the erasure can be repeated.
#[derive(Debug, Error)]
pub enum EraseError {
    /// The erasure failed before anything was removed.
    #[error(transparent)]
    Operator(#[from] OperatorError),
    /// The data could not be removed.
    #[error(transparent)]
    Purge(#[from] PurgeError),
    /// An owned table could not be read.
    #[error(transparent)]
    Owned(#[from] OwnedError),
    /// The id does not exist anywhere.
    #[error(
        "this id exists neither in Clerk nor in the tables: check the id, CLERK_INSTANCE_ID and the table names \
         (DIRECTORY_TABLE, PROFILES_TABLE, OWNED_TABLES), or pass --even-if-unknown"
    )]
    Unknown,
    #[error("only users can be erased: delete organizations in Clerk")]
    NotAUser,
}

impl Operator {
    /// The user of a planned erasure. An id that exists neither in Clerk nor in a table is rejected, unless
    /// `even_if_unknown`: a tombstone is permanent. Nothing is written.
    ///
    /// # Errors
    ///
    /// [`EraseError`].
    pub async fn to_erase(
        &self,
        subject: &Subject,
        holdings: &Holdings,
        even_if_unknown: bool,
    ) -> Result<ToErase, EraseError> {
        self.check_instance().await?;
        let (EntityId::User(user), stored) = self.find(subject).await? else { return Err(EraseError::NotAUser) };
        let found = self.applier.clerk.fetch(&EntityId::User(user.clone())).await.map_err(OperatorError::from)?;
        let internal = self.applier.instance.internal_id(&user);
        let is_known = stored.is_some()
            || found.is_some()
            || holdings.has_rows_of(&Owner { clerk: user.clone(), internal }).await?;
        if !is_known && !even_if_unknown {
            return Err(EraseError::Unknown);
        }
        let provenance = self.provenance();
        let context = Context { instance: &self.applier.instance, roles: &self.applier.roles, provenance: &provenance };
        let shown = found.and_then(|entity| context.entity(entity));
        let name = shown.as_ref().or(stored.as_ref()).and_then(|item| item.fields.get("name")?.as_str());
        Ok(ToErase { name: name.map(str::to_owned), user, is_unknown: !is_known, stored })
    }

    /// Erases a user; `at_once` does not wait for the end of the grace period. A repetition removes rows that were
    /// created since.
    ///
    /// # Errors
    ///
    /// [`EraseError`].
    pub async fn erase(&self, user: &UserId, at_once: bool) -> Result<Erasure, EraseError> {
        self.check_operator().await?;
        let entity = EntityId::User(user.clone());
        let clerk = &self.applier.clerk;
        let deleted = clerk.delete_user(user).await.map_err(OperatorError::from)?;
        // As for every deletion, Clerk must confirm the absence first.
        if clerk.fetch_proven(&entity).await.map_err(OperatorError::from)?.is_some() {
            return Err(OperatorError::StillThere.into());
        }
        let tombstone = self.end_erased(&entity).await?;
        if self.deletions.purger.is_some() {
            // Restored rows are removed, too. First, because the purge keeps the rows while there is a note.
            let internal = self.applier.instance.internal_id(user);
            self.stores.operations.forget_restoration(internal).await.map_err(OperatorError::from)?;
        }
        let own = self.remove_erased(user, &tombstone, at_once).await?;
        // Another purge may have been faster: then nothing remains.
        let is_left = self.deletions.purger.is_some() && own == Own::Nothing && !self.is_finished(&tombstone).await?;
        let is_left = is_left || own == Own::Restored;
        Ok(Erasure { user: user.clone(), was_in_clerk: deleted.is_some(), own, is_left })
    }

    /// Whether another process has finished this tombstone meanwhile.
    async fn is_finished(&self, tombstone: &Item) -> Result<bool, OperatorError> {
        let stored =
            self.stores.directory.read(std::slice::from_ref(&tombstone.key)).await?.items.remove(&tombstone.key);
        Ok(stored.is_some_and(|stored| stored.is_deleted() && stored.is_finished()))
    }

    /// The tombstone of a user whom Clerk does not have: the stored one, or a new one.
    async fn end_erased(&self, entity: &EntityId) -> Result<Item, EraseError> {
        let provenance = self.provenance();
        let context = Context { instance: &self.applier.instance, roles: &self.applier.roles, provenance: &provenance };
        let key = entity.key(&self.applier.instance);
        let read = || self.stores.directory.read(std::slice::from_ref(&key));
        let stored = read().await.map_err(OperatorError::from)?.items.remove(&key);
        // Under `MIRROR=off` the tombstone of a user keeps only the fact of the deletion.
        let policy = if self.mirror { self.deletions.cascade.deletion } else { DeletionPolicy::Purge };
        if let Some(tombstone) = stored.filter(Item::is_deleted) {
            let was_retained = tombstone.is_finished() && tombstone.entity().is_some();
            return if was_retained && policy != DeletionPolicy::Retain {
                Ok(self.strip_retained(&tombstone, policy, &context).await?)
            } else {
                Ok(tombstone)
            };
        }
        let deletion = Deletion {
            entity: entity.clone(),
            membership_id: None,
            generation: Millis::ZERO,
            at: provenance.applied_at,
        };
        let next = Next::Again(Box::new(decide::tombstone(deletion, policy, &context)));
        self.applier.apply(entity, next, None, &NO_EVIDENCE, &context, None).await.map_err(|failure| match failure
            .error
        {
            ApplyError::Store(error) => OperatorError::Store(error),
            ApplyError::Clerk(error) => OperatorError::Clerk(error),
            ApplyError::Behind | ApplyError::Undated | ApplyError::Contended => OperatorError::Contended,
        })?;
        let stored = read().await.map_err(OperatorError::from)?.items.remove(&key);
        Ok(stored.filter(Item::is_deleted).ok_or(OperatorError::Contended)?)
    }

    /// Removes from the tombstones of a user and of the memberships the contents that an earlier policy has kept,
    /// because an erasure must remove them. The ranks stay. Returns the user's tombstone, with pending effects.
    async fn strip_retained(
        &self,
        user: &Item,
        policy: DeletionPolicy,
        context: &Context<'_>,
    ) -> Result<Item, OperatorError> {
        let mut from = None;
        loop {
            let page = self.deletions.cascade.directory.members(&user.key, from).await?;
            for member in page.items.iter().filter(|item| item.is_deleted()) {
                self.strip(member, policy, context).await?;
            }
            from = page.next;
            if from.is_none() {
                break;
            }
        }
        // Last: while the user's tombstone still has its contents, an interrupted erasure repeats these steps.
        self.strip(user, policy, context).await?.ok_or(OperatorError::Contended)
    }

    async fn strip(
        &self,
        tombstone: &Item,
        policy: DeletionPolicy,
        context: &Context<'_>,
    ) -> Result<Option<Item>, OperatorError> {
        let Some(entity) = tombstone.entity() else { return Ok(None) };
        let (generation, at) = (tombstone.rank.generation, tombstone.rank.version);
        let deletion = Deletion { entity, membership_id: tombstone.membership_id(), generation, at };
        let bare = deletion.tombstone(policy, None, context);
        let guard = Guard::Exactly(Exact::from(tombstone));
        match self.applier.directory.put(&bare, &guard).await? {
            Put::Applied { .. } => Ok(Some(bare)),
            Put::ConditionFailed(_) => Err(OperatorError::Contended),
        }
    }

    async fn remove_erased(&self, user: &UserId, tombstone: &Item, at_once: bool) -> Result<Own, EraseError> {
        let deletions = &self.deletions;
        let Some(purger) = &deletions.purger else {
            deletions.follow(tombstone, Deadline::NONE).await?;
            return Ok(Own::Nothing);
        };
        if tombstone.is_finished() {
            // Only rows that were created since, in tables to which other programs write.
            let owner = Owner { clerk: user.clone(), internal: self.applier.instance.internal_id(user) };
            let removed = purger.remove(&owner, tombstone, &deletions.cascade, Deadline::NONE).await?;
            // The stored row is another one, or is missing: remaining data must not count as removed.
            let removed = removed.ok_or(OperatorError::Contended)?;
            log(&tombstone.key, &removed);
            return Ok(Own::Removed(removed));
        }
        let Followed { own, .. } = if at_once {
            deletions.follow_at_once(tombstone, Deadline::NONE).await?
        } else {
            deletions.follow(tombstone, Deadline::NONE).await?
        };
        Ok(own)
    }

    /// When the grace period of a tombstone ends.
    pub fn hold_ends(&self, tombstone: &Item) -> Millis {
        due_at(tombstone, self.deletions.grace_hours)
    }
}
