//! Decisions over values: synchronous and pure, without SDK, HTTP client, clock and environment.
//!
//! Start with [`mirror`]: the rule that all writers obey. Then [`clerk`], Clerk's data. [`session`] authenticates
//! callers, [`ensure`] decides about callers. [`reconcile`] decides about whole listings and tables, [`deletion`] about
//! the effects of deletions, [`look`] which rows an operator is shown, [`explain`] tells why a row is as it is. [`doctor`]
//! judges a deployment, [`endpoint`] the webhook's endpoint at Svix, [`probe`] what an instance of Clerk does. [`controls`] lets the tests remove one check at a time.

pub mod account;
pub mod clerk;
pub mod controls;
pub mod deletion;
pub mod doctor;
pub mod endpoint;
pub mod ensure;
pub mod explain;
pub mod id;
pub mod look;
pub mod millis;
pub mod mirror;
pub mod probe;
pub mod problem;
pub mod profile;
pub mod reconcile;
pub mod session;
pub mod tables;
pub mod write_back;
