//! What Clerk sends: [`event`] is the envelope of a webhook, [`objects`] are the users, organizations and memberships in
//! events, lists and answers alike.

pub mod event;
mod lenient;
pub mod objects;
