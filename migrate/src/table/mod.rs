//! Tables of DynamoDB: as input of a migration of users, and with references that become Clerk ids.
//!
//! 1. [`item`] converts rows: to the lines of an export, and so to [`Row`](crate::input::Row)s;
//! 2. [`download`] stores a table as a file, which is the input of `rollcall migrate metadata` from then on;
//! 3. [`decide`] decides what a row becomes, [`shape`] which targets a table cannot have;
//! 4. [`pass`] goes over a table and writes Clerk ids beside the references, [`copy`] copies rows to a table with another
//!    key; both are repeated until nothing is left to write;
//! 5. [`undo`] removes what a run has written.
//!
//! The decisions are pure: `item`, `decide`, `shape`.

pub mod copy;
pub mod decide;
pub mod download;
pub mod item;
pub mod outcome;
pub mod pass;
pub mod shape;
pub mod undo;
