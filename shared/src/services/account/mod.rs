//! The account routes: [`me`], [`profile`], [`members`], [`users`], [`deletion`], and questions about
//! [roles and permissions](authorization). They read the Directory; with `MIRROR=off`, [`caller`] asks Clerk.

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
    /// The tables, the instance, the roles and the default values; with `MIRROR=off` also the client of Clerk.
    pub ensurer: Ensurer,
    /// The writable fields of a record.
    pub writable: Writable,
    /// Whether a change of a record requires `If-Match`.
    pub requires_if_match: bool,
    pub visibility: UserVisibility,
    pub pointers: RolePointers,
}

/// Why an account route cannot answer a request.
#[derive(Debug, Error)]
pub enum AccountError {
    /// The caller is rejected.
    #[error("the caller is denied access: {}", .0.code())]
    Denied(Refusal),
    /// The caller has no live membership of the organization, or the organization does not exist.
    #[error("the caller is no member of the organization")]
    NotAMember,
    /// The Directory has no row of the organization yet.
    #[error("the organization is not in the Directory")]
    OrganizationNotSynced,
    /// With `MIRROR=off` the Directory has no memberships to list.
    #[error("no users are copied")]
    NotCopied,
    /// With `MIRROR=off`: the request to Clerk failed, or was not sent because of other callers.
    #[error(transparent)]
    Clerk(Unasked),
    #[error(transparent)]
    Store(#[from] StoreError),
}
