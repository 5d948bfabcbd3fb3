//! What can go wrong with Clerk, split by what the caller does about it.

use thiserror::Error;

use crate::core::id::InstanceId;

/// What can go wrong with Clerk. "Not found" is an answer, not an error.
#[derive(Debug, Error)]
pub enum ClerkError {
    /// Unreachable, slow, failing or out of rate.
    #[error("Clerk is unavailable")]
    Unavailable(#[source] Option<reqwest::Error>),
    /// The key was not accepted.
    #[error("Clerk refused the secret key with status {0}: check CLERK_SECRET_KEY")]
    Unauthorized(u16),
    /// The instance does not have what was asked for, as one without organizations.
    #[error("the Clerk instance has this switched off")]
    SwitchedOff,
    /// Clerk understood the request and does not accept it, as a cursor whose user is gone.
    #[error("Clerk does not accept the request (status {0})")]
    Refused(u16),
    /// An answer that is not Clerk's: a proxy's error page, a body of another shape.
    #[error("Clerk's answer cannot be read (status {0})")]
    Unreadable(u16),
    /// The key belongs to another instance, whose users are other people.
    #[error("the secret key belongs to another Clerk instance ({0}): check CLERK_SECRET_KEY and CLERK_INSTANCE_ID")]
    Foreign(InstanceId),
}

impl ClerkError {
    /// Whether Clerk fails about this one entity, so that others can still be asked about.
    #[must_use]
    pub fn concerns_one(&self) -> bool {
        matches!(self, ClerkError::Unreadable(_) | ClerkError::Refused(_))
    }
}
