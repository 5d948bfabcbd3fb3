//! Rollcall keeps an application's DynamoDB copy of its Clerk users, organizations and memberships in sync with Clerk.
//!
//! A tour in reading order:
//!
//! 1. [`core::mirror::rank`] and [`core::mirror::rule`]: the one rule that every writer obeys, as pure functions.
//! 2. [`core::clerk`], [`core::mirror::projection`], [`core::mirror::tombstone`]: from what Clerk sends to what is kept.
//! 3. [`core::mirror::decide`]: which write an event asks for, and what a refused write means.
//! 4. [`core::reconcile`]: decisions about whole listings: what a page asks for, and which absences to believe.
//! 5. [`settings`]: the variables of all functions, read and checked.
//! 6. [`services`]: the order of IO around those decisions.
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
