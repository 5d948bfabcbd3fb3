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
    /// Clerk could not be asked.
    #[error(transparent)]
    Clerk(#[from] ClerkError),
    /// Nothing may be written.
    #[error("RECONCILE_POLICY=report: nothing but the webhook may write; set it to repair for this one command")]
    ReportOnly,
    /// The Directory has never heard of it.
    #[error("nothing is known of it: is the id right, and CLERK_INSTANCE_ID?")]
    Unknown,
    /// What the Directory holds of it is not as Rollcall writes it.
    #[error(
        "its row in the Directory cannot be read, as its rank or its digest is broken: look at the row, and remove it by hand \
         if Clerk still has the entity; `rollcall reconcile` then writes it anew"
    )]
    Unreadable,
    /// It is an id of something else.
    #[error(
        "this is no id of a user (user_…), an organization (org_…) or a membership (org_…/user_…), and no internal id \
         (a UUID)"
    )]
    WrongKind,
    /// The tombstone holds no id of Clerk's any more.
    #[error("its data were removed, and Clerk's id with them: name it by Clerk's id")]
    Nameless,
    /// Clerk does not have it.
    #[error("Clerk does not have it, so it cannot live here; `rollcall restore` brings its rows back from a backup")]
    Gone,
    /// Clerk still has it although it was deleted.
    #[error("Clerk still shows the user after the deletion: try again")]
    StillThere,
    /// Clerk's state of it cannot be stored.
    #[error("Clerk does not say when the membership was made, so it cannot be stored")]
    Undated,
    /// Its data are being removed.
    #[error(
        "its data are being removed right now: wait until that is done, then bring its rows back by \
         `rollcall restore FILE...` with all backups of this user, and only after that undo, by Clerk's id"
    )]
    Purging,
    /// Its user or its organization has ended.
    #[error("its user or its organization has ended: undo that first")]
    Orphaned,
    /// Others were faster, every time.
    #[error("it is changing too fast: try again")]
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
