//! The caller, admitted: the one gate, and the one answer to which membership counts.

use crate::core::ensure::admission::{Refusal, admit};
use crate::core::id::PerKind;
use crate::core::mirror::item::Item;

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

impl Caller {
    /// Admits the user, and honours tombstones: a membership is live only with its user and its organization.
    ///
    /// # Errors
    ///
    /// [`Refusal`]: why the caller is turned away.
    pub fn admitted(copies: PerKind<Option<Item>>) -> Result<Caller, Refusal> {
        let user = admit(copies.user.as_ref())?.clone();
        let is_live = |item: &Item| !item.is_deleted() && !item.is_placeholder();
        let organization = copies.organization.filter(|organization| !organization.is_deleted());
        let membership = copies.membership.filter(is_live);
        let member = organization.zip(membership).map(|(organization, membership)| Member { organization, membership });
        Ok(Caller { user, member })
    }
}
