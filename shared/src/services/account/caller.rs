//! The caller, admitted: the copies of the user and, if the request is about an organization, of the organization and the
//! caller's membership.

use super::{Account, AccountError};
use crate::adapters::dynamo::error::StoreError;
use crate::core::ensure::admission::{Refusal, admit};
use crate::core::id::{InstanceId, Kind, OrganizationId, PerKind};
use crate::core::millis::Millis;
use crate::core::mirror::item::Item;
use crate::core::session::claims::{ActiveOrganization, Session};
use crate::services::ensure::uncopied::Denied;

/// A caller who may go on.
#[derive(Clone, Debug)]
pub struct Caller {
    pub user: Item,
    /// The live organization and the caller's live membership of it; nothing unless both are.
    pub member: Option<Member>,
}

/// A live membership.
#[derive(Clone, Debug)]
pub struct Member {
    pub organization: Item,
    pub membership: Item,
}

impl Account {
    pub fn instance(&self) -> &InstanceId {
        &self.ensurer.applier.instance
    }

    /// Reads the caller, and the caller's membership of an organization: one request.
    ///
    /// # Errors
    ///
    /// [`AccountError`]; a caller who is no member is no error here.
    pub async fn caller(
        &self,
        session: &Session,
        organization: Option<&OrganizationId>,
        now: Millis,
    ) -> Result<Caller, AccountError> {
        let session = in_organization(session, organization);
        let keys = session.entities().map(|entity| entity.map(|entity| entity.key(self.instance())));
        let wanted: Vec<_> = keys.clone().into_array().into_iter().flatten().collect();
        let mut rows = self.ensurer.stores.directory.read(&wanted).await?;
        let unreadable = |kind: Kind| keys.get(kind).as_ref().is_some_and(|key| rows.unreadable.contains(key));
        if Kind::ALL.into_iter().any(unreadable) {
            return Err(StoreError::Unreadable("a row of the Directory".into()).into());
        }
        self.admitted(&session, keys.map(|key| key.and_then(|key| rows.items.remove(&key))), now).await
    }

    /// Admits a caller whose copies were read; where no user is copied, Clerk is asked.
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
            return caller(copies);
        }
        match self.ensurer.copies_from_clerk(copies, session, now).await? {
            Ok(copies) => caller(copies),
            Err(Denied { unasked: Some(unasked), .. }) => Err(AccountError::Clerk(unasked)),
            Err(Denied { refusal, .. }) => Err(AccountError::Refused(refusal)),
        }
    }
}

/// Admits the user, and honours tombstones: a membership is live only with its user and its organization.
///
/// # Errors
///
/// [`AccountError::Refused`].
fn caller(copies: PerKind<Option<Item>>) -> Result<Caller, AccountError> {
    let user = admit(copies.user.as_ref()).map_err(AccountError::Refused)?.clone();
    let is_live = |item: &Item| !item.is_deleted() && !item.is_placeholder();
    let organization = copies.organization.filter(|organization| !organization.is_deleted());
    let membership = copies.membership.filter(is_live);
    let member = organization.zip(membership).map(|(organization, membership)| Member { organization, membership });
    Ok(Caller { user, member })
}

/// The session as if it were active in an organization; of claims about another organization nothing stays.
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
        AccountError::Refused(refusal)
    }
}
