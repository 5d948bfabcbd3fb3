//! Owned tables: tables of the application with rows of users.

mod as_read;
pub mod backup;
pub mod duplicates;
pub mod proven;
pub mod removal;
pub mod restore;
mod row_size;
pub mod rows;
pub mod scan;
