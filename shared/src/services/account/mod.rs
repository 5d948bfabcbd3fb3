//! What signed-in callers ask about themselves and about one another, read from the copy: [`me`], [`profile`], [`members`],
//! [`users`], and questions about [roles and permissions](authorization). Where no user is copied (`MIRROR=off`), [`caller`]
//! asks Clerk.

pub mod authorization;
pub mod caller;
pub mod deletion;
pub mod me;
pub mod members;
pub mod profile;
pub mod users;

use thiserror::Error;

use crate::adapters::dynamo::error::StoreError;
use crate::core::account::authorization::RolePointers;
use crate::core::account::visibility::UserVisibility;
use crate::core::account::write::Writable;
use crate::core::ensure::admission::Refusal;
use crate::services::ensure::{Ensurer, Unasked};

/// The account routes.
#[derive(Debug)]
pub struct Account {
    /// The tables, the instance, the roles and the defaults; where no user is copied, also the way to Clerk.
    pub ensurer: Ensurer,
    /// The fields of a record that its owner may write.
    pub writable: Writable,
    /// Whether a change of a record needs `If-Match`.
    pub requires_if_match: bool,
    pub visibility: UserVisibility,
    pub pointers: RolePointers,
}

/// Why a request about a caller is not answered.
#[derive(Debug, Error)]
pub enum AccountError {
    /// The caller is turned away.
    #[error("the caller is refused: {}", .0.code())]
    Refused(Refusal),
    /// The caller has no live membership of the organization, or there is no such organization.
    #[error("the caller is no member of the organization")]
    NotAMember,
    /// With `MIRROR=off` the copy has no users and no memberships that could be listed.
    #[error("no users are copied")]
    NotCopied,
    /// Where no user is copied: the request to Clerk failed.
    #[error(transparent)]
    Clerk(Unasked),
    #[error(transparent)]
    Store(#[from] StoreError),
}
