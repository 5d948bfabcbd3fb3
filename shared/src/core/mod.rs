//! Decisions over values: synchronous, pure, with no SDK, no HTTP client, no clock and no environment.
//!
//! Read [`mirror`] first: the one rule that every writer obeys. Then [`clerk`], what Clerk sends. [`session`] says who a caller is
//! and who is refused, [`ensure`] what a caller is given. [`reconcile`] is about whole listings and whole tables,
//! [`deletion`] about what follows from a deletion. [`controls`] lets the tests remove one guard at a time.

pub mod account;
pub mod clerk;
pub mod controls;
pub mod deletion;
pub mod ensure;
pub mod id;
pub mod millis;
pub mod mirror;
pub mod problem;
pub mod profile;
pub mod reconcile;
pub mod session;
pub mod tables;
pub mod write_back;
