//! The authorizer's work for a caller with a session: one read of the copy, no request to Clerk.

use thiserror::Error;

use crate::adapters::dynamo::directory::Directory;
use crate::adapters::dynamo::error::StoreError;
use crate::core::account::caller::Caller;
use crate::core::account::context::Context;
use crate::core::ensure::admission::{Refusal, admit};
use crate::core::id::{InstanceId, PerKind};
use crate::core::millis::Millis;
use crate::core::mirror::item::Item;
use crate::core::session::claims::Session;
use crate::settings::mirror::Mirror;

#[derive(Debug)]
pub struct Authorizer {
    pub directory: Directory,
    pub instance: InstanceId,
    pub mirror: Mirror,
}

/// Why a caller is not authorized.
#[derive(Debug, Error)]
pub enum AuthorizeError {
    /// The caller is turned away.
    #[error("the caller is refused: {}", .0.code())]
    Refused(Refusal),
    /// The copy cannot be read, so nothing is known of the caller: neither that the caller may go on, nor the contrary.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Authorizer {
    /// What the copy says of the caller: one request.
    ///
    /// Where no user is copied (`MIRROR=off`), only a tombstone turns a caller away: a row from the time before says
    /// nothing any more, and Clerk is not asked.
    ///
    /// # Errors
    ///
    /// [`AuthorizeError`].
    pub async fn authorize(&self, session: &Session, now: Millis) -> Result<Context, AuthorizeError> {
        let entities = session.entities();
        if self.mirror.is_on {
            let caller = Caller::admitted(self.directory.copies(&self.instance, entities).await?)?;
            return Ok(Context::of(session, &caller, &self.instance, &self.mirror.roles, now));
        }
        let only_user = PerKind { organization: None, membership: None, ..entities };
        let user = self.directory.copies(&self.instance, only_user).await?.user.filter(Item::is_deleted);
        user.as_ref().map_or(Ok(()), |tombstone| admit(Some(tombstone)).map(drop))?;
        Ok(Context::without_copy(session, &self.instance, now))
    }
}

impl From<Refusal> for AuthorizeError {
    fn from(refusal: Refusal) -> AuthorizeError {
        AuthorizeError::Refused(refusal)
    }
}
