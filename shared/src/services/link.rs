//! The write-back into Clerk: a user's internal id and role, where they are missing there.

use std::sync::atomic::{AtomicBool, Ordering};

use thiserror::Error;

use crate::adapters::clerk_api::{ClerkApi, ClerkError};
use crate::core::clerk::Entity;
use crate::core::id::{EntityId, InstanceId, UserId};
use crate::core::link as core;
use crate::core::reconcile::pace::Pace;

/// What writing back needs.
#[derive(Debug)]
pub struct Links {
    clerk: ClerkApi,
    instance: InstanceId,
    rate_share: u8,
    /// Whether the key is known to be this instance's.
    is_known: AtomicBool,
}

/// What became of a user's metadata.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Linked {
    /// Whether Clerk has the user.
    pub found: bool,
    /// Whether something was missing and has been written.
    pub written: bool,
    /// Whether another internal id stands there.
    pub conflicts: bool,
}

/// Why nothing was written.
#[derive(Debug, Error)]
pub enum LinkError {
    /// Clerk could not be asked, or did not take it.
    #[error(transparent)]
    Clerk(#[from] ClerkError),
    /// The key belongs to another instance, whose users are other people.
    #[error("the secret key belongs to another Clerk instance ({0}): check CLERK_SECRET_KEY and CLERK_INSTANCE_ID")]
    Foreign(InstanceId),
}

impl LinkError {
    /// Whether Clerk would answer about others.
    #[must_use]
    pub fn concerns_one(&self) -> bool {
        matches!(self, LinkError::Clerk(ClerkError::Unreadable(_) | ClerkError::Refused(_)))
    }
}

impl Links {
    /// Write-backs to this instance, at so many percent of Clerk's rate.
    #[must_use]
    pub fn new(clerk: ClerkApi, instance: InstanceId, rate_share: u8) -> Links {
        // Until Clerk has said that the instance is one in production.
        let clerk = clerk.paced(Pace::share(rate_share, false));
        Links { clerk, instance, rate_share, is_known: AtomicBool::new(false) }
    }

    /// Links a user: see [`link`].
    ///
    /// # Errors
    ///
    /// [`LinkError`]: nothing is lost if the same is tried again.
    pub async fn link(&self, user: &UserId) -> Result<Linked, LinkError> {
        if !self.is_known.load(Ordering::Relaxed) {
            let instance = self.clerk.instance().await?;
            if instance.id != self.instance {
                return Err(LinkError::Foreign(instance.id));
            }
            self.clerk.set_pace(&Pace::share(self.rate_share, instance.is_production));
            self.is_known.store(true, Ordering::Relaxed);
        }
        Ok(link(&self.clerk, &self.instance, user).await?)
    }
}

/// Asks Clerk what a user's metadata holds, and adds what is missing. A user whom Clerk does not have is left to the event
/// of that end.
///
/// Between the answer and the write lies one request's time, in which somebody may set the same key: Clerk offers no
/// condition that would tell.
///
/// # Errors
///
/// [`ClerkError`]: nothing is lost if the same is tried again.
pub async fn link(clerk: &ClerkApi, instance: &InstanceId, user: &UserId) -> Result<Linked, ClerkError> {
    let Some(Entity::User(found)) = clerk.fetch(&EntityId::User(user.clone())).await? else {
        return Ok(Linked::default());
    };
    let link = core::link(&found.public_metadata, instance.internal_id(user));
    let written = !link.missing.is_empty() && clerk.merge_public_metadata(user, &link.missing).await?.is_some();
    Ok(Linked { found: true, written, conflicts: link.conflicts })
}
