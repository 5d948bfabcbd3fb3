//! Settings: [`variables`] are those of all functions, [`tables`] the three tables, [`deletion`] what deletions need.

pub mod deletion;
pub mod tables;
pub mod variables;
