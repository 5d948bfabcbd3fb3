//! Settings: [`variables`] are those of all functions. Most are read in groups: [`tables`], [`mirror`], [`defaults`], [`account`],
//! [`deletion`]. The groups of Clerk and of the sessions are adapters, `clerk::access` and `clerk::sessions`.

pub mod account;
pub mod defaults;
pub mod deletion;
pub mod mirror;
pub mod tables;
pub mod variables;
