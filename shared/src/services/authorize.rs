//! Authorizes a caller with a verified session for the authorizer: one read of the Directory, no request to Clerk.

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
    /// The caller is rejected.
    #[error("the caller is denied access: {}", .0.code())]
    Denied(Refusal),
    /// The Directory cannot be read, so the function can neither allow nor deny the request.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Authorizer {
    /// The context of the caller. Sends one request to DynamoDB.
    ///
    /// With `MIRROR=off`, it rejects a caller only because of a tombstone. It ignores a user's row that was stored
    /// while the mirror was on, and it does not ask Clerk.
    ///
    /// # Errors
    ///
    /// [`AuthorizeError`].
    pub async fn authorize(&self, session: &Session, now: Millis) -> Result<Context, AuthorizeError> {
        let entities = session.entities();
        if self.mirror.is_on {
            let caller = Caller::admitted(self.directory.copies(&self.instance, entities).await?)?;
            return Ok(Context::new(session, &caller, &self.instance, &self.mirror.roles, now));
        }
        let only_user = PerKind { organization: None, membership: None, ..entities };
        let user = self.directory.copies(&self.instance, only_user).await?.user.filter(Item::is_deleted);
        user.as_ref().map_or(Ok(()), |tombstone| admit(Some(tombstone)).map(drop))?;
        Ok(Context::without_copy(session, &self.instance, now))
    }
}

impl From<Refusal> for AuthorizeError {
    fn from(refusal: Refusal) -> AuthorizeError {
        AuthorizeError::Denied(refusal)
    }
}
