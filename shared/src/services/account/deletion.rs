//! `DELETE /me`: a user deletes the account. Only Clerk is changed: the deletion's event, or the next run of reconcile, does
//! everything else, as for every other deletion.

use thiserror::Error;

use crate::adapters::clerk::api::ClerkApi;
use crate::adapters::clerk::error::ClerkError;
use crate::adapters::dynamo::error::StoreError;
use crate::core::ensure::questions::budget;
use crate::core::id::InstanceId;
use crate::core::millis::Millis;
use crate::core::session::claims::Session;
use crate::services::ensure::questions::{Leave, Questions};

/// A sign-in counts as fresh for so many minutes: Clerk's rule, by which ten are too old already.
/// Source: clerk/javascript, `packages/shared/src/authorization.ts`.
const FRESH_MINUTES: u32 = 10;

/// The name of the question, under which requests are counted.
const QUESTION: &str = "DELETE";
/// The requests of one deletion: whose key it is, the deletion, and the proof of a 404.
const MAX_REQUESTS: u32 = 3;

/// The way to Clerk for users who delete their accounts.
#[derive(Debug)]
pub struct AccountDeletion {
    /// With the proof of the instance: a 404 under the key of another instance would look like a deletion.
    pub clerk: ClerkApi,
    pub instance: InstanceId,
    /// Permission to send a request to Clerk: one deletion of a caller in ten seconds.
    pub questions: Questions,
    /// The share of Clerk's rate limit that may be used, in percent.
    pub rate_share: u8,
}

/// Why an account was not deleted. Nothing was changed, or Clerk has deleted the user without an answer in time: then the
/// deletion's event follows.
#[derive(Debug, Error)]
pub enum DeletionError {
    /// Somebody acts in the name of the user.
    #[error("the session is an impersonation")]
    Impersonated,
    /// The first factor was verified ten minutes ago or earlier, or never.
    #[error("the sign-in is too old")]
    Stale,
    /// The same caller has sent a deletion within the last ten seconds.
    #[error("a deletion of this caller was sent a moment ago")]
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
    /// Deletes the user of a fresh session in Clerk. A user whom Clerk does not have any more is deleted, too.
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
