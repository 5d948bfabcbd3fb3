//! DynamoDB: one module for each of the three tables, and one for owned tables.
//!
//! [`item`] reads rows of the Directory, [`row`] rows of other tables. [`caller`] reads all rows of a caller at once,
//! [`look`] reads rows for an operator, [`tables`] describes tables. [`application`] is a table of the application that is migrated. [`client`] creates the client for all of them, and [`error`] defines the errors.

pub mod application;
mod batch;
pub mod caller;
pub mod client;
pub mod connection;
pub mod directory;
pub mod error;
pub mod item;
pub mod look;
pub mod operations;
pub mod owned;
pub mod profiles;
pub mod row;
pub mod stores;
pub mod tables;
mod transaction;
