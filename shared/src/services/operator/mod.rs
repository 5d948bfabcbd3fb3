//! What an operator does about one user, or about all.

pub mod analyze;
pub mod erase;
pub mod export;
pub mod restore;
pub mod undo;
