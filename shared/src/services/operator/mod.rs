//! The operator's services: explain, sync, set-role, undo, erase, export, restore and analyze; [`fix_profiles`],
//! [`cleanup`] and [`duplicates`], which work on whole tables; the probe of an instance of Clerk; [`look`] only reads.

pub mod analyze;
pub mod cleanup;
pub mod duplicates;
pub mod erase;
pub mod explain;
pub mod export;
pub mod fix_profiles;
pub mod look;
mod patience;
pub mod probe;
pub mod restore;
pub mod set_role;
pub mod sync;
pub mod undo;
pub mod undo_run;

use thiserror::Error;

use crate::adapters::clerk::error::ClerkError;
use crate::adapters::dynamo::error::StoreError;
use crate::adapters::dynamo::stores::Stores;
use crate::core::deletion::subject::Subject;
use crate::core::id::{EntityId, Key};
use crate::core::millis::Clock;
use crate::core::mirror::item::{Item, Provenance, Writer};
use crate::core::reconcile::run::Mode;
use crate::services::apply::Applier;
use crate::services::deletion::Deletions;
use crate::services::provision::Provision;

/// The dependencies of the operator's services.
pub struct Operator {
    pub stores: Stores,
    /// Applies states to the Directory and fetches entities from Clerk.
    pub applier: Applier,
    /// Creates missing records.
    pub provision: Provision,
    /// Completes the effects of deletions.
    pub deletions: Deletions,
    /// Whether live users and memberships are stored.
    pub mirror: bool,
    /// Whether the settings allow writes at all.
    pub policy: Mode,
    /// The clock.
    pub clock: Clock,
}

/// Why a command stopped.
#[derive(Debug, Error)]
pub enum OperatorError {
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The request to Clerk failed.
    #[error(transparent)]
    Clerk(#[from] ClerkError),
    /// The settings allow no writes.
    #[error("RECONCILE_POLICY=report allows no writes: pass --override RECONCILE_POLICY=repair for this command")]
    ReportOnly,
    /// The Directory has no row of the entity.
    #[error("the Directory has no row for this id: check the id and CLERK_INSTANCE_ID")]
    Unknown,
    /// The row of the Directory lacks a valid rank or digest.
    #[error(
        "the Directory row cannot be read: its rank or digest is invalid, so another program has written the row. \
         `rollcall explain` with the same id says what to do"
    )]
    Unreadable,
    /// The id is not one of a user, an organization or a membership.
    #[error(
        "not an id of a user (user_…), an organization (org_…) or a membership (org_…/user_…), and not an internal id \
         (UUID)"
    )]
    WrongKind,
    /// The tombstone does not contain Clerk's id any more.
    #[error("the data and the Clerk id were removed: pass the Clerk id instead of the internal id")]
    Nameless,
    /// Clerk does not have it.
    #[error(
        "the entity does not exist in Clerk, so its deletion cannot be undone; `rollcall restore` restores rows \
             from a backup"
    )]
    Gone,
    /// Clerk still has the entity after its deletion.
    #[error("Clerk still returns the user after the deletion: try again")]
    StillThere,
    /// Clerk's state of the membership has no creation time.
    #[error("the membership in Clerk has no created_at and cannot be stored")]
    Undated,
    /// The purge of the data has begun.
    #[error(
        "the data are being removed: wait for the purge to finish, run `rollcall restore FILE...` with all backups of \
         this user, then run undo with the Clerk id"
    )]
    Purging,
    /// The user or the organization of the membership is deleted.
    #[error("the user or the organization of this membership is deleted: undo that deletion first")]
    Orphaned,
    /// Other writers have changed the row at every attempt.
    #[error("other processes changed the Directory row at every attempt: run the command again")]
    Contended,
}

impl Operator {
    /// Whether an operator may write with these settings and this secret key.
    pub(super) async fn check_operator(&self) -> Result<(), OperatorError> {
        self.check_policy()?;
        self.check_instance().await
    }

    /// Whether the settings allow writes to the Directory.
    ///
    /// # Errors
    ///
    /// [`OperatorError::ReportOnly`].
    pub fn check_policy(&self) -> Result<(), OperatorError> {
        if self.policy == Mode::Report { Err(OperatorError::ReportOnly) } else { Ok(()) }
    }

    /// Checks that the secret key belongs to the configured instance.
    ///
    /// # Errors
    ///
    /// [`OperatorError::Clerk`].
    pub async fn check_instance(&self) -> Result<(), OperatorError> {
        self.applier.clerk.identify().await?;
        Ok(())
    }

    /// The entity that the operator names, and its stored row.
    pub(super) async fn find(&self, subject: &Subject) -> Result<(EntityId, Option<Item>), OperatorError> {
        if !subject.is_of_a_known_kind() {
            return Err(OperatorError::WrongKind);
        }
        let key = match subject {
            Subject::Entity(entity) => entity.key(&self.applier.instance),
            Subject::Internal(id) => Key { pk: format!("USER#{id}"), sk: "USER".to_owned() },
        };
        let mut rows = self.stores.directory.read(std::slice::from_ref(&key)).await?;
        if !rows.unreadable.is_empty() {
            return Err(OperatorError::Unreadable);
        }
        match (subject, rows.items.remove(&key)) {
            (Subject::Entity(entity), stored) => Ok((entity.clone(), stored)),
            (Subject::Internal(_), None) => Err(OperatorError::Unknown),
            (Subject::Internal(_), Some(stored)) => {
                let entity = stored.entity().filter(|entity| entity.key(&self.applier.instance) == key);
                Ok((entity.ok_or(OperatorError::Nameless)?, Some(stored)))
            }
        }
    }

    fn provenance(&self) -> Provenance {
        Provenance { applied_at: (self.clock)(), applied_by: Writer::Operator, delivery_id: None }
    }
}
