//! Rollcall keeps an application's DynamoDB copy of its Clerk users, organizations and memberships in step with Clerk.
//!
//! A tour in reading order:
//!
//! 1. [`core::rank`] and [`core::rule`]: the one rule that every writer obeys, as pure functions.
//! 2. [`core::event`], [`core::projection`], [`core::tombstone`]: from what Clerk sends to what is kept.
//! 3. [`core::decide`]: which write an event asks for, and what a refused write means.
//! 4. [`core::reconcile`]: decisions about whole listings: what a page asks for, and which absences to believe.
//! 5. [`services`]: the order of IO around those decisions.
//! 6. [`adapters`]: DynamoDB, Clerk's Backend API, Svix signatures, Secrets Manager.
//!
//! Arrows point one way, services → adapters → core. The core compiles alone (`--no-default-features`).

pub mod core;

#[cfg(feature = "adapters")]
pub mod adapters;
#[cfg(feature = "adapters")]
pub mod services;
