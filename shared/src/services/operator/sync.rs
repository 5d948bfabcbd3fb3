//! Compares single entities with Clerk and repairs their rows, as a run of reconcile does with all entities.

use thiserror::Error;

use super::{Operator, OperatorError};
use crate::core::clerk::objects::Entity;
use crate::core::deletion::subject::Subject;
use crate::core::id::{EntityId, Kind};
use crate::core::millis::Millis;
use crate::core::mirror::decide;
use crate::core::mirror::decide::Next;
use crate::core::mirror::item::Item;
use crate::core::mirror::projection::Context;
use crate::core::mirror::rule::Outcome;
use crate::core::mirror::tombstone::Deletion;
use crate::core::reconcile::difference::{Difference, FieldDifference, difference, fields};
use crate::services::apply::ApplyError;
use crate::services::reconcile::NO_EVIDENCE;

/// An entity that was compared with Clerk.
#[derive(Clone, Debug)]
pub struct Compared {
    pub entity: EntityId,
    /// Nothing if the row agrees with Clerk.
    pub difference: Option<Difference>,
    /// The fields whose values differ.
    pub fields: Vec<FieldDifference>,
    /// The row that was read before Clerk was asked.
    pub stored: Option<Item>,
    /// Clerk's answer. `None`: Clerk has confirmed that the entity does not exist.
    found: Option<Entity>,
    /// The time before the first request.
    begun_at: Millis,
}

/// Why entities could not be compared.
#[derive(Debug, Error)]
pub enum SyncError {
    #[error(transparent)]
    Operator(#[from] OperatorError),
    /// One id is wrong, and the error says why.
    #[error("{0}")]
    One(String, #[source] OperatorError),
    /// These ids exist neither in Clerk nor in the Directory.
    #[error("{0}: neither Clerk nor the Directory has this id: check the id and CLERK_INSTANCE_ID")]
    Unknown(String),
}

impl Operator {
    /// Compares entities with Clerk, which is asked once for each and at most twice for all of them which instance it
    /// is. Nothing is written.
    ///
    /// # Errors
    ///
    /// [`SyncError`], if one of the ids is unknown or malformed, too.
    pub async fn compare(&self, subjects: &[Subject]) -> Result<Vec<Compared>, SyncError> {
        self.check_instance().await?;
        let mut compared: Vec<Compared> = Vec::new();
        for subject in subjects {
            let begun_at = (self.clock)();
            // Before Clerk is asked: a later write is another state or generation, and makes the repair fail.
            let (entity, stored) = self.find(subject).await.map_err(|error| about(subject, error))?;
            if compared.iter().any(|other| other.entity == entity) {
                continue;
            }
            let found = self.applier.clerk.fetch(&entity).await;
            let found = found.map_err(|error| about(subject, error.into()))?;
            if stored.is_none() && found.is_none() {
                self.applier.clerk.prove().await.map_err(OperatorError::from)?;
                return Err(SyncError::Unknown(entity.to_string()));
            }
            let clerk = found.clone().map(|found| self.shown(found)).transpose();
            let clerk = clerk.map_err(|error| about(subject, error))?;
            let difference = difference(stored.as_ref(), clerk.as_ref(), self.mirrors(entity.kind()), begun_at);
            let fields = fields(stored.as_ref(), clerk.as_ref()).into_iter();
            let fields = fields.filter(|_| difference.is_some() && clerk.is_some()).collect();
            compared.push(Compared { entity, difference, fields, stored, found, begun_at });
        }
        self.applier.clerk.prove().await.map_err(OperatorError::from)?;
        Ok(compared)
    }

    /// Applies Clerk's answer to a repairable difference by the rule. If another process has changed the row since, the
    /// newer state stays.
    ///
    /// # Errors
    ///
    /// [`OperatorError`].
    pub async fn repair(&self, compared: Compared) -> Result<Outcome, OperatorError> {
        self.check_policy()?;
        let provenance = self.provenance();
        let context = Context { instance: &self.applier.instance, roles: &self.applier.roles, provenance: &provenance };
        let Compared { entity, stored, found, begun_at, .. } = compared;
        let next = match (found, &stored) {
            (Some(found), stored) => decide::fetched(Some(found), stored.as_ref(), &NO_EVIDENCE, &context),
            (None, None) => return Err(OperatorError::Unknown),
            (None, Some(stored)) => {
                let deletion = Deletion {
                    entity: entity.clone(),
                    membership_id: stored.membership_id(),
                    generation: stored.rank.generation,
                    at: begun_at,
                };
                Next::Again(Box::new(decide::tombstone(deletion, self.deletions.cascade.deletion, &context)))
            }
        };
        let applied = self.applier.apply(&entity, next, stored, &NO_EVIDENCE, &context, None).await;
        applied.map(|applied| applied.outcome).map_err(|failure| failure.error.into())
    }

    /// Whether live rows of this kind are stored.
    pub(super) fn mirrors(&self, kind: Kind) -> bool {
        self.mirror || kind == Kind::Organization
    }
}

impl From<ApplyError> for OperatorError {
    fn from(error: ApplyError) -> OperatorError {
        match error {
            ApplyError::Store(error) => OperatorError::Store(error),
            ApplyError::Clerk(error) => OperatorError::Clerk(error),
            ApplyError::Undated => OperatorError::Undated,
            ApplyError::Behind | ApplyError::Contended => OperatorError::Contended,
        }
    }
}

/// The error about one id, if it is about that id alone.
fn about(subject: &Subject, error: OperatorError) -> SyncError {
    match error {
        OperatorError::Store(_) => error.into(),
        OperatorError::Clerk(ref cause) if !cause.concerns_one() => error.into(),
        error => SyncError::One(subject.to_string(), error),
    }
}
