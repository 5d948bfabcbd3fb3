//! The write-back: adds a user's internal id and role in Clerk if they are missing there.

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

/// Requests for one user: one reads the metadata, one adds the missing keys.
const REQUESTS: u32 = 2;

/// The dependencies of the write-back.
pub struct Links {
    clerk: ClerkApi,
    instance: InstanceId,
    rate_share: u8,
    /// The request budget of all containers together.
    budget: Budget,
    clock: Clock,
}

/// The result for one user.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Linked {
    /// Whether Clerk has the user.
    pub found: bool,
    /// Whether something was missing and has been written.
    pub written: bool,
    /// Whether the metadata contain another internal id.
    pub conflicts: bool,
}

/// Why nothing was written.
#[derive(Debug, Error)]
pub enum LinkError {
    /// The request to Clerk failed.
    #[error(transparent)]
    Clerk(#[from] ClerkError),
    /// The request budget is used up.
    #[error("the function's share of Clerk's rate limit is used up")]
    Share,
    /// The request budget cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl LinkError {
    /// Whether Clerk may respond about other users.
    pub fn concerns_one(&self) -> bool {
        matches!(self, LinkError::Clerk(error) if error.concerns_one())
    }
}

impl Links {
    /// The write-back to this instance, with so many percent of Clerk's rate limit.
    pub fn new(clerk: ClerkApi, instance: InstanceId, rate_share: u8, budget: Budget, clock: Clock) -> Links {
        // The limits of a development instance, until Clerk has confirmed that it is a production instance.
        let clerk = clerk.rate_limited(RateLimiter::share(rate_share, false));
        Links { clerk, instance, rate_share, budget, clock }
    }

    /// Writes the internal id and the role of a user back to Clerk, if they are missing: see [`link`].
    ///
    /// # Errors
    ///
    /// [`LinkError`]: a retry may succeed.
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

/// Reads a user's metadata from Clerk and adds missing keys. If Clerk does not have the user, nothing is done: the
/// deletion has its own event.
///
/// Between the read and the write, another program may set the same key: Clerk has no conditional write.
///
/// # Errors
///
/// [`ClerkError`]: a retry may succeed.
pub async fn link(clerk: &ClerkApi, instance: &InstanceId, user: &UserId) -> Result<Linked, ClerkError> {
    let Some(Entity::User(found)) = clerk.fetch(&EntityId::User(user.clone())).await? else {
        // No retry is needed if it is proven that this instance does not have the user.
        clerk.prove().await?;
        return Ok(Linked::default());
    };
    let link = core::of_metadata(&found.public_metadata, instance.internal_id(user));
    let written = !link.missing.is_empty() && clerk.merge_public_metadata(user, &link.missing).await?.is_some();
    Ok(Linked { found: true, written, conflicts: link.conflicts })
}
