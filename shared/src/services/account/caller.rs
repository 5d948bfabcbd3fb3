//! Reads and admits the caller: the rows of the user and, for a request about an organization, of the organization and
//! of the caller's membership.

use super::{Account, AccountError};
use crate::core::account::caller::Caller;
use crate::core::ensure::admission::Refusal;
use crate::core::id::{InstanceId, OrganizationId, PerKind};
use crate::core::millis::Millis;
use crate::core::mirror::item::Item;
use crate::core::session::claims::{ActiveOrganization, Session};
use crate::services::ensure::uncopied::Denied;

impl Account {
    pub fn instance(&self) -> &InstanceId {
        &self.ensurer.applier.instance
    }

    /// Reads the caller, and the caller's membership of an organization. Sends one request to DynamoDB.
    ///
    /// # Errors
    ///
    /// [`AccountError`]. A caller who is not a member causes no error here.
    pub async fn caller(
        &self,
        session: &Session,
        organization: Option<&OrganizationId>,
        now: Millis,
    ) -> Result<Caller, AccountError> {
        let session = in_organization(session, organization);
        let copies = self.ensurer.stores.directory.copies(self.instance(), session.entities()).await?;
        self.admitted(&session, copies, now).await
    }

    /// Admits a caller whose rows were read. With `MIRROR=off` it asks Clerk about the caller.
    ///
    /// # Errors
    ///
    /// [`AccountError`].
    pub(super) async fn admitted(
        &self,
        session: &Session,
        copies: PerKind<Option<Item>>,
        now: Millis,
    ) -> Result<Caller, AccountError> {
        if self.ensurer.mirror {
            return Ok(Caller::admitted(copies)?);
        }
        match self.ensurer.copies_from_clerk(copies, session, now).await? {
            Ok(copies) => Ok(Caller::admitted(copies)?),
            Err(Denied { unasked: Some(unasked), .. }) => Err(AccountError::Clerk(unasked)),
            Err(Denied { refusal, .. }) => Err(AccountError::Denied(refusal)),
        }
    }
}

/// A session with this organization as its active one. Claims about another organization are removed.
pub(super) fn in_organization(session: &Session, organization: Option<&OrganizationId>) -> Session {
    let mut session = session.clone();
    session.organization = organization.map(|id| {
        let active = session.organization.take().filter(|active| active.id == *id);
        let other = || ActiveOrganization { id: id.clone(), slug: None, role: None, permissions: Vec::new() };
        active.unwrap_or_else(other)
    });
    session
}

impl From<Refusal> for AccountError {
    fn from(refusal: Refusal) -> AccountError {
        AccountError::Denied(refusal)
    }
}
