//! Decisions over values: synchronous, pure, with no SDK, no HTTP client, no clock and no environment.
//!
//! Read [`rank`] and [`rule`] first: they are the one rule that every writer obeys. Then [`event`] (what Clerk sent),
//! [`projection`] and [`tombstone`] (what is kept of it), [`item`] (the row of the Directory) and [`decide`] (which
//! write an event asks for, and what a refused write means). [`session`] says who a caller is, [`admission`] who is turned away,
//! [`ensure`] what a caller is owed, [`questions`] how often Clerk is asked about one, [`sync`] where a browser may be sent back
//! to. [`reconcile`] is about whole listings, [`analysis`] about whole tables. [`purge`] is what follows from a deletion once its
//! hold is over, [`owned`] in which tables of the application's, [`owned_list`] where
//! a long list of them is. [`controls`] lets the tests remove one guard at a time.

pub mod admission;
pub mod analysis;
pub mod change;
pub mod clerk;
pub mod controls;
pub mod decide;
pub mod digest;
pub mod ensure;
pub mod event;
pub mod id;
pub mod item;
mod lenient;
pub mod link;
pub mod millis;
pub mod origins;
pub mod owned;
pub mod owned_list;
pub mod problem;
pub mod profile;
pub mod projection;
pub mod purge;
pub mod questions;
pub mod rank;
pub mod reconcile;
pub mod removal;
pub mod restore;
pub mod roles;
pub mod rule;
pub mod session;
pub mod session_cookies;
pub mod session_problems;
pub mod settings;
pub mod subject;
pub mod sync;
pub mod tables;
pub mod tombstone;
