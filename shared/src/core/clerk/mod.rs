//! Clerk's data: [`event`] parses the envelope of a webhook; [`objects`] are the users, organizations and memberships
//! in events, lists and responses.

pub mod event;
mod lenient;
pub mod objects;
