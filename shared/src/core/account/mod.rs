//! The rules of the account routes and of the authorizer, without IO:
//!
//! - [`caller`]: admission of a caller;
//! - [`etag`]: entity tags and preconditions;
//! - [`document`]: the values that an owner may store in a record;
//! - [`write`](mod@write): the change of a record;
//! - [`authorization`]: questions about roles and permissions;
//! - [`members`]: pages of an organization's members;
//! - [`visibility`]: the fields of a user that another user may see;
//! - [`context`]: the context that the authorizer returns.

pub mod authorization;
pub mod caller;
pub mod context;
pub mod document;
pub mod etag;
pub mod json;
pub mod members;
pub mod visibility;
pub mod write;
