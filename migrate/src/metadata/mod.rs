//! Old fields of users become public metadata in Clerk.

pub mod apply;
pub mod decide;
pub mod journal;
mod lookups;
pub mod merge;
pub mod outcome;
pub mod plan;
pub mod survey;
pub mod undo;
pub mod values;
