//! DynamoDB: a folder for each of the three tables, and one for the application's own.
//!
//! [`item`] reads rows of the Directory, [`row`] any other. [`caller`] reads all about one caller at once, [`tables`] describes
//! tables. [`client`] makes the client that all of them use. [`error`] says what a caller does about a failure.

mod batch;
pub mod caller;
pub mod client;
pub mod connection;
pub mod directory;
pub mod error;
pub mod item;
pub mod operations;
pub mod owned;
pub mod profiles;
pub mod row;
pub mod stores;
pub mod tables;
mod transaction;
