//! The Directory: the copy of Clerk.

pub mod members;
pub mod scan;
pub mod write;
