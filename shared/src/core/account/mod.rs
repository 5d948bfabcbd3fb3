//! What the account routes decide, without IO: [`etag`] preconditions, [`document`] the values of a record that its owner may
//! write, [`write`](mod@write) the change of a record, [`authorization`] questions about roles and permissions, [`members`]
//! pages of an organization's members, [`visibility`] what one user sees of another. [`caller`] admits a caller, and [`context`]
//! is what the authorizer says of one.

pub mod authorization;
pub mod caller;
pub mod context;
pub mod document;
pub mod etag;
pub mod json;
pub mod members;
pub mod visibility;
pub mod write;
