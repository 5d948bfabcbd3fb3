//! Admission of a caller. Only this module decides whether a user is admitted, and whether a membership counts.

use crate::core::ensure::admission::{Refusal, admit};
use crate::core::id::PerKind;
use crate::core::mirror::item::Item;

/// An admitted caller.
#[derive(Clone, Debug)]
pub struct Caller {
    pub user: Item,
    /// The organization and the caller's membership of it. `None` unless both are live.
    pub member: Option<Member>,
}

/// A live membership.
#[derive(Clone, Debug)]
pub struct Member {
    pub organization: Item,
    pub membership: Item,
}

impl Caller {
    /// Admits the user. A membership counts only if its user, its organization and the membership itself are live.
    ///
    /// # Errors
    ///
    /// [`Refusal`], if the caller is rejected.
    pub fn admitted(copies: PerKind<Option<Item>>) -> Result<Caller, Refusal> {
        let user = admit(copies.user.as_ref())?.clone();
        let is_live = |item: &Item| !item.is_deleted() && !item.is_placeholder();
        let organization = copies.organization.filter(|organization| !organization.is_deleted());
        let membership = copies.membership.filter(is_live);
        let member = organization.zip(membership).map(|(organization, membership)| Member { organization, membership });
        Ok(Caller { user, member })
    }
}
