//! Operations: what Rollcall keeps for itself.

pub mod owned_lists;
pub mod purges;
pub mod quarantine;
pub mod questions;
pub mod runs;
