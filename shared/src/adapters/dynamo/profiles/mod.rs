//! Profiles: the application's own records.

pub mod scan;
pub mod write;
