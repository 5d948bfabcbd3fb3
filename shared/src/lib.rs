//! Rollcall keeps an application's DynamoDB copy of its Clerk users, organizations and memberships in sync with Clerk.
//!
//! A tour in reading order:
//!
//! 1. [`core::mirror::rank`] and [`core::mirror::rule`]: the one rule that every writer obeys, as pure functions.
//! 2. [`core::clerk`], [`core::mirror::projection`], [`core::mirror::tombstone`]: from Clerk's data to rows.
//! 3. [`core::mirror::decide`]: which write an event needs, and what a failed condition means.
//! 4. [`core::reconcile`]: decisions about whole listings: what a page needs, and which absences to accept.
//! 5. [`settings`]: the variables of all functions, read and checked.
//! 6. [`services`]: the sequences of requests around those decisions.
//! 7. [`adapters`]: DynamoDB, Clerk's Backend API, AWS, Lambda.
//!
//! Each layer has the same modules: `clerk`, `ensure`, `reconcile`, `deletion`. Dependencies go one way: services →
//! adapters → settings → core. The core and the settings compile alone (`--no-default-features`).

pub mod core;
pub mod settings;

#[cfg(feature = "adapters")]
pub mod adapters;
#[cfg(feature = "adapters")]
pub mod services;
