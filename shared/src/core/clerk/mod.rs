//! Clerk's data: [`event`] parses the envelope of a webhook; [`objects`] are the users, organizations and memberships
//! in events, lists and responses; [`identifications`] are what names a user besides the id.

pub mod event;
pub mod identifications;
mod lenient;
pub mod objects;
