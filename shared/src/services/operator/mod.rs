//! What an operator does about one user, or about all.

pub mod analyze;
pub mod erase;
pub mod export;
pub mod restore;
pub mod undo;

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

/// What an operator works with.
pub struct Operator {
    pub stores: Stores,
    /// Where states go, and Clerk.
    pub applier: Applier,
    /// What follows from deletions.
    pub deletions: Deletions,
    /// Whether live users and memberships are kept at all.
    pub mirror: bool,
    /// Whether anything may be written, whatever is ordered.
    pub policy: Mode,
    /// What time it is.
    pub clock: Clock,
}

/// Why nothing was undone.
#[derive(Debug, Error)]
pub enum OperatorError {
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The request to Clerk failed.
    #[error(transparent)]
    Clerk(#[from] ClerkError),
    /// Nothing may be written.
    #[error("RECONCILE_POLICY=report allows no writes: set RECONCILE_POLICY=repair for this command")]
    ReportOnly,
    /// The Directory has never heard of it.
    #[error("no record for this id: check the id and CLERK_INSTANCE_ID")]
    Unknown,
    /// What the Directory holds of it is not as Rollcall writes it.
    #[error(
        "the Directory row cannot be read: its rank or digest is invalid. If the entity still exists in Clerk, remove \
         the row and run `rollcall reconcile`"
    )]
    Unreadable,
    /// It is an id of something else.
    #[error(
        "not an id of a user (user_…), an organization (org_…) or a membership (org_…/user_…), and not an internal id \
         (UUID)"
    )]
    WrongKind,
    /// The tombstone holds no id of Clerk's any more.
    #[error("the data and the Clerk id were removed: pass the Clerk id instead of the internal id")]
    Nameless,
    /// Clerk does not have it.
    #[error(
        "the entity does not exist in Clerk, so its deletion cannot be undone; `rollcall restore` restores rows \
             from a backup"
    )]
    Gone,
    /// Clerk still has it although it was deleted.
    #[error("Clerk still returns the user after the deletion: try again")]
    StillThere,
    /// Clerk's state of it cannot be stored.
    #[error("the membership in Clerk has no created_at and cannot be stored")]
    Undated,
    /// Its data are being removed.
    #[error(
        "the data are being removed: wait for the purge to finish, run `rollcall restore FILE...` with all backups of \
         this user, then run undo with the Clerk id"
    )]
    Purging,
    /// Its user or its organization has ended.
    #[error("the user or the organization of this membership is deleted: undo that deletion first")]
    Orphaned,
    /// Others were faster, every time.
    #[error("the entity is changing too fast: try again")]
    Contended,
}

impl Operator {
    /// Whether an operator may write with this key at all.
    pub(super) async fn check_operator(&self) -> Result<(), OperatorError> {
        if self.policy == Mode::Report {
            return Err(OperatorError::ReportOnly);
        }
        self.check_instance().await
    }

    /// Whether the key belongs to the instance whose copy this is.
    pub(super) async fn check_instance(&self) -> Result<(), OperatorError> {
        self.applier.clerk.identify().await?;
        Ok(())
    }

    /// Who is meant, and what is stored.
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
