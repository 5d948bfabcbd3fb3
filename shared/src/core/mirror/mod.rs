//! The copy of Clerk, row by row.
//!
//! [`rank`] and [`rule`] say which state may replace which. [`projection`] and [`tombstone`] say what is kept of an entity,
//! [`item`] is the row of the Directory, [`digest`] tells whether two rows say the same, [`roles`] which names are roles.
//! [`decide`] picks the write of an event and reads a refused write, [`change`] compares two images of a row.

pub mod change;
pub mod decide;
pub mod digest;
pub mod item;
pub mod projection;
pub mod rank;
pub mod roles;
pub mod rule;
pub mod tombstone;
