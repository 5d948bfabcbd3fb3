//! Settings: [`variables`] defines the variables of all functions. Most are read in groups: [`tables`], [`mirror`],
//! [`defaults`], [`deletion`], [`account`]. The groups of Clerk and of sessions are adapters, `clerk::access` and `clerk::sessions`.

pub mod account;
pub mod defaults;
pub mod deletion;
pub mod mirror;
pub mod tables;
pub mod variables;
