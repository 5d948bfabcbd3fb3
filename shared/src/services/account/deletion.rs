//! `DELETE /me`: users delete their own accounts. The route deletes the user only in Clerk. The webhook's event or the
//! next run of reconcile changes the tables, as after every deletion in Clerk.

use thiserror::Error;

use crate::adapters::clerk::api::ClerkApi;
use crate::adapters::clerk::error::ClerkError;
use crate::adapters::dynamo::error::StoreError;
use crate::core::ensure::questions::budget;
use crate::core::id::InstanceId;
use crate::core::millis::Millis;
use crate::core::session::claims::Session;
use crate::services::ensure::questions::{Leave, Questions};

/// A first factor that was verified this number of minutes ago is too old, as in Clerk's SDKs.
/// Source: clerk/javascript, `packages/shared/src/authorization.ts`.
const FRESH_MINUTES: u32 = 10;

/// The name by which Operations counts these requests.
const QUESTION: &str = "DELETE";
/// The maximum number of requests to Clerk for one deletion: the instance of the secret key, the deletion, and the
/// confirmation of a 404.
const MAX_REQUESTS: u32 = 3;

/// The client and the limits for deletions in Clerk.
#[derive(Debug)]
pub struct AccountDeletion {
    /// It verifies that the secret key belongs to the instance: otherwise a 404 from another instance would look like a
    /// deletion.
    pub clerk: ClerkApi,
    pub instance: InstanceId,
    /// The limiter: one deletion for each caller in ten seconds.
    pub questions: Questions,
    /// The share of Clerk's rate limit that may be used, in percent.
    pub rate_share: u8,
}

/// Why an account was not deleted. After a timeout, Clerk may have deleted the user nevertheless; then Clerk's event
/// follows.
#[derive(Debug, Error)]
pub enum DeletionError {
    /// Another user acts in the name of the caller (impersonation).
    #[error("the session is an impersonation")]
    Impersonated,
    /// The first factor was verified ten minutes ago or earlier, or never.
    #[error("the sign-in is too old")]
    Stale,
    /// The same caller has sent a deletion within the last ten seconds.
    #[error("this caller has requested the deletion of the account less than ten seconds ago")]
    NotAsked,
    /// The function's share of Clerk's rate limit is used up.
    #[error("the function's share of Clerk's rate limit is used up (CLERK_RATE_SHARE)")]
    Share,
    #[error(transparent)]
    Clerk(#[from] ClerkError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl AccountDeletion {
    /// Deletes the caller in Clerk, if the session's first factor was verified recently. If Clerk does not have the
    /// user any more, the result is a success, too.
    ///
    /// # Errors
    ///
    /// [`DeletionError`].
    pub async fn delete(&self, session: &Session, now: Millis) -> Result<(), DeletionError> {
        if session.is_impersonated() {
            return Err(DeletionError::Impersonated);
        }
        if session.first_factor_age.is_none_or(|minutes| minutes >= FRESH_MINUTES) {
            return Err(DeletionError::Stale);
        }
        let most = budget(self.rate_share, self.clerk.has_production_key().await);
        let caller = self.instance.internal_id(&session.user);
        match self.questions.leave(caller, QUESTION.to_owned(), (MAX_REQUESTS, most), now).await? {
            Leave::Granted(_) => {}
            Leave::Spent(_) => return Err(DeletionError::Share),
            Leave::Earlier(_) => return Err(DeletionError::NotAsked),
        }
        if self.clerk.delete_user(&session.user).await?.is_none() {
            self.clerk.prove().await?;
        }
        Ok(())
    }
}
