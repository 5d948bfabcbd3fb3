//! The write-back into Clerk: a user's internal id and role, where they are missing there.

use thiserror::Error;

use super::ensure::questions::Budget;
use crate::adapters::clerk::api::ClerkApi;
use crate::adapters::clerk::error::ClerkError;
use crate::adapters::dynamo::error::StoreError;
use crate::core::clerk::objects::Entity;
use crate::core::ensure::questions;
use crate::core::id::{EntityId, InstanceId, UserId};
use crate::core::millis::Clock;
use crate::core::reconcile::rate_limiter::RateLimiter;
use crate::core::write_back as core;

/// Requests for one user: what is there, and what is added.
const REQUESTS: u32 = 2;

/// What writing back needs.
pub struct Links {
    clerk: ClerkApi,
    instance: InstanceId,
    rate_share: u8,
    /// What all containers together may ask.
    budget: Budget,
    clock: Clock,
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
    /// All containers together have asked as much as they may for now.
    #[error("the share of Clerk's rate is used up")]
    Share,
    /// What they have asked cannot be counted.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl LinkError {
    /// Whether Clerk would answer about others.
    pub fn concerns_one(&self) -> bool {
        matches!(self, LinkError::Clerk(error) if error.concerns_one())
    }
}

impl Links {
    /// Write-backs to this instance, at so many percent of Clerk's rate.
    pub fn new(clerk: ClerkApi, instance: InstanceId, rate_share: u8, budget: Budget, clock: Clock) -> Links {
        // Until Clerk has said that the instance is one in production.
        let clerk = clerk.rate_limited(RateLimiter::share(rate_share, false));
        Links { clerk, instance, rate_share, budget, clock }
    }

    /// Links a user: see [`link`].
    ///
    /// # Errors
    ///
    /// [`LinkError`]: nothing is lost if the same is tried again.
    pub async fn link(&self, user: &UserId) -> Result<Linked, LinkError> {
        let known = self.clerk.known_so_far().await;
        let most = questions::budget(self.rate_share, known.as_ref().is_some_and(|instance| instance.is_production));
        if !self.budget.take(REQUESTS + u32::from(known.is_none()), most, (self.clock)()).await? {
            return Err(LinkError::Share);
        }
        // Clerk is asked once for each value of the key.
        let known = self.clerk.known().await?;
        self.clerk.set_rate(&RateLimiter::share(self.rate_share, known.is_production));
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
        // Nobody need look again, if it is this instance that does not have the user.
        clerk.prove().await?;
        return Ok(Linked::default());
    };
    let link = core::of_metadata(&found.public_metadata, instance.internal_id(user));
    let written = !link.missing.is_empty() && clerk.merge_public_metadata(user, &link.missing).await?.is_some();
    Ok(Linked { found: true, written, conflicts: link.conflicts })
}
