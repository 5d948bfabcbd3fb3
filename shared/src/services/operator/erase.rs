//! An operator's erasure of one user: deleted in Clerk, proven to be gone there, ended here, and removed at the end of the
//! hold or at once.

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

/// Whose erasure it would be.
#[derive(Clone, Debug, PartialEq)]
pub struct ToErase {
    pub user: UserId,
    /// The name of this person, as Clerk has it, or else the copy: so that somebody sees whom a slip would hit.
    pub name: Option<String>,
    /// What the Directory holds.
    pub stored: Option<Item>,
    /// Whether neither Clerk nor any table knows the id.
    pub is_unknown: bool,
}

/// What an erasure did.
#[derive(Clone, Debug, PartialEq)]
pub struct Erasure {
    pub user: UserId,
    /// Whether Clerk still had the user.
    pub was_in_clerk: bool,
    /// What became of the data.
    pub own: Own,
    /// Whether something could not be done, and is left to the schedule.
    pub is_left: bool,
}

/// Why an erasure stopped. What it has done until then stays, and it can be begun again.
#[derive(Debug, Error)]
pub enum EraseError {
    /// Before anything was removed.
    #[error(transparent)]
    Operator(#[from] OperatorError),
    /// The data could not be removed.
    #[error(transparent)]
    Purge(#[from] PurgeError),
    /// A table of the application's could not be read.
    #[error(transparent)]
    Owned(#[from] OwnedError),
    /// Nobody knows the id.
    #[error(
        "neither Clerk nor the tables know this id: check it, CLERK_INSTANCE_ID, and the names of the tables \
         (DIRECTORY_TABLE, PROFILES_TABLE, OWNED_TABLES); --even-if-unknown erases it all the same"
    )]
    Unknown,
    #[error("only a user can be erased: an organization is deleted in Clerk")]
    NotAUser,
}

impl Operator {
    /// Whose erasure this would be. An id that neither Clerk nor a table knows is refused, unless `even_if_unknown`: a
    /// tombstone is for ever. Nothing is written.
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

    /// Erases a user; `at_once` does not wait for the end of the grace period. Doing it again removes what has come since.
    ///
    /// # Errors
    ///
    /// [`EraseError`].
    pub async fn erase(&self, user: &UserId, at_once: bool) -> Result<Erasure, EraseError> {
        self.check_operator().await?;
        let entity = EntityId::User(user.clone());
        let clerk = &self.applier.clerk;
        let deleted = clerk.delete_user(user).await.map_err(OperatorError::from)?;
        // The end here rests on Clerk's word that the user is gone, as every other one.
        if clerk.fetch_proven(&entity).await.map_err(OperatorError::from)?.is_some() {
            return Err(OperatorError::StillThere.into());
        }
        let tombstone = self.end_erased(&entity).await?;
        let own = self.remove_erased(user, &tombstone, at_once).await?;
        // Another purge may have been faster: then nothing is left.
        let is_left = self.deletions.purger.is_some() && own == Own::Nothing && !self.is_finished(&tombstone).await?;
        Ok(Erasure { user: user.clone(), was_in_clerk: deleted.is_some(), own, is_left })
    }

    /// Whether somebody else has finished a tombstone meanwhile.
    async fn is_finished(&self, tombstone: &Item) -> Result<bool, OperatorError> {
        let stored =
            self.stores.directory.read(std::slice::from_ref(&tombstone.key)).await?.items.remove(&tombstone.key);
        Ok(stored.is_some_and(|stored| stored.is_deleted() && stored.is_finished()))
    }

    /// The tombstone of a user whom Clerk does not have: the one that is there, or a new one.
    async fn end_erased(&self, entity: &EntityId) -> Result<Item, EraseError> {
        let provenance = self.provenance();
        let context = Context { instance: &self.applier.instance, roles: &self.applier.roles, provenance: &provenance };
        let key = entity.key(&self.applier.instance);
        let read = || self.stores.directory.read(std::slice::from_ref(&key));
        let stored = read().await.map_err(OperatorError::from)?.items.remove(&key);
        // Without a mirror there is nothing to keep of a user but the fact of the deletion.
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

    /// Takes out of a user's tombstone, and those of the memberships, what an earlier policy has kept: an erasure is asked for
    /// more than that. The ranks stay. Answers with the tombstone, unfinished.
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
        // Last: as long as it is whole, this is done again.
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
            Put::Refused(_) => Err(OperatorError::Contended),
        }
    }

    async fn remove_erased(&self, user: &UserId, tombstone: &Item, at_once: bool) -> Result<Own, EraseError> {
        let deletions = &self.deletions;
        let Some(purger) = &deletions.purger else {
            deletions.follow(tombstone, Deadline::NONE).await?;
            return Ok(Own::Nothing);
        };
        if tombstone.is_finished() {
            // Nothing but rows that have come since, in tables that Rollcall does not guard.
            let owner = Owner { clerk: user.clone(), internal: self.applier.instance.internal_id(user) };
            let removed = purger.remove(&owner, tombstone, &deletions.cascade, Deadline::NONE).await?;
            // Another tombstone, or none, stands there by now: what is left must not pass for removed.
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
