//! The undo of all conflicts of a run: of the entities that the run found deleted in the Directory and existing in
//! Clerk.

use thiserror::Error;

use super::undo::Undo;
use super::{Operator, OperatorError};
use crate::adapters::dynamo::error::StoreError;
use crate::adapters::dynamo::operations::runs::CandidatePage;
use crate::core::deletion::subject::Subject;
use crate::core::id::{EntityId, Key, Kind};
use crate::core::mirror::item::Item;
use crate::core::reconcile::run_id::RunId;

/// A conflict of a run, as its row is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunConflict {
    pub entity: EntityId,
    pub now: ConflictNow,
}

/// The state of the row of a conflict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConflictNow {
    /// Deleted: an undo makes the entity live again.
    Deleted,
    /// Deleted, and the user's data were removed or are being removed: they must be restored before the undo.
    Purged,
    /// Live, or the row is missing: the conflict is resolved.
    Resolved,
    /// The row cannot be read, so it is not known whether the conflict is resolved.
    Unreadable,
}

/// A page of conflicts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConflictPage {
    pub conflicts: Vec<RunConflict>,
    /// The position after the page.
    pub place: Key,
}

/// Why the conflicts of a run cannot be read.
#[derive(Debug, Error)]
pub enum UndoRunError {
    #[error(transparent)]
    Operator(#[from] OperatorError),
    /// There is no such run.
    #[error("run {0} does not exist")]
    Unknown(RunId),
    /// The run has conflicts, and the list of their ids was not stored or has expired.
    #[error("the ids of the conflicts of run {0} are no longer stored (they are kept for 8 days)")]
    Expired(RunId),
}

impl From<StoreError> for UndoRunError {
    fn from(error: StoreError) -> UndoRunError {
        OperatorError::Store(error).into()
    }
}

impl Operator {
    /// Whether the conflicts of a run can be undone: the settings allow writes, and the ids are stored.
    ///
    /// # Errors
    ///
    /// [`UndoRunError`].
    pub async fn can_undo_run(&self, id: &RunId) -> Result<(), UndoRunError> {
        self.check_operator().await?;
        let operations = &self.stores.operations;
        let run = operations.run(id).await?.ok_or_else(|| UndoRunError::Unknown(id.clone()))?;
        if run.total().drift.conflict == 0 {
            return Ok(());
        }
        for kind in Kind::ALL {
            if operations.candidates(id, kind, CandidatePage::Conflict, None).await?.is_some() {
                return Ok(());
            }
        }
        Err(UndoRunError::Expired(id.clone()))
    }

    /// The next page of the conflicts of one kind; nothing after the last page.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn conflicts(
        &self,
        run: &RunId,
        kind: Kind,
        after: Option<&Key>,
    ) -> Result<Option<ConflictPage>, StoreError> {
        let page = self.stores.operations.candidates(run, kind, CandidatePage::Conflict, after).await?;
        let Some((place, candidates)) = page else { return Ok(None) };
        let keys: Vec<Key> = candidates.iter().map(|found| found.entity.key(&self.applier.instance)).collect();
        let stored = self.stores.directory.read(&keys).await?;
        let conflicts = candidates.into_iter().zip(&keys).map(|(found, key)| {
            let now = if stored.unreadable.contains(key) {
                ConflictNow::Unreadable
            } else {
                self.conflict_now(kind, stored.items.get(key))
            };
            RunConflict { entity: found.entity, now }
        });
        Ok(Some(ConflictPage { conflicts: conflicts.collect(), place }))
    }

    fn conflict_now(&self, kind: Kind, stored: Option<&Item>) -> ConflictNow {
        match stored.filter(|stored| stored.is_deleted()) {
            None => ConflictNow::Resolved,
            Some(stored) if kind == Kind::User && (stored.is_purging() || self.was_purged(stored)) => {
                ConflictNow::Purged
            }
            Some(_) => ConflictNow::Deleted,
        }
    }

    /// Undoes one conflict. An error about this entity alone is the inner result; the others are not affected.
    ///
    /// # Errors
    ///
    /// [`OperatorError`] that concerns every entity.
    pub async fn undo_conflict(&self, entity: &EntityId) -> Result<Result<Undo, OperatorError>, OperatorError> {
        match self.undo(&Subject::Entity(entity.clone())).await {
            Err(error @ (OperatorError::Store(_) | OperatorError::ReportOnly)) => Err(error),
            Err(OperatorError::Clerk(error)) if !error.concerns_one() => Err(error.into()),
            undone => Ok(undone),
        }
    }
}
