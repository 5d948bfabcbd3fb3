//! The rules of the Directory, the copy of Clerk.
//!
//! [`rank`] orders the states of an entity, and [`rule`] decides which state may replace which. [`projection`] and
//! [`tombstone`] select what is stored of an entity. [`item`] is a row of the Directory, [`digest`] compares contents,
//! [`roles`] are the allowed roles. [`decide`] selects the write of an event and interprets a failed condition,
//! [`change`] compares two images of a row.

pub mod change;
pub mod decide;
pub mod digest;
pub mod item;
pub mod projection;
pub mod rank;
pub mod roles;
pub mod rule;
pub mod tombstone;
