//! Settings: [`variables`] are those of all functions, [`deletion`] those of deletions.

pub mod deletion;
pub mod variables;
