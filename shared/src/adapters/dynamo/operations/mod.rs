//! The Operations table: runs, lease, quarantine, due purges, restorations, limits.

pub mod health;
pub mod owned_lists;
pub mod purges;
pub mod quarantine;
pub mod questions;
pub mod restorations;
pub mod runs;

use aws_sdk_dynamodb::Client;

#[derive(Clone, Debug)]
pub struct Operations {
    pub(super) client: Client,
    pub(super) table: String,
}

impl Operations {
    /// The Operations table of this name.
    pub fn new(client: Client, table: String) -> Operations {
        Operations { client, table }
    }
}
