//! Profiles: the table with the application's records.

pub mod record;
pub mod scan;
pub mod write;

use aws_sdk_dynamodb::Client;

use super::owned::rows::DynamoOwned;

/// The Profiles table, and the Directory with the owners of its records.
#[derive(Clone, Debug)]
pub struct Profiles {
    pub(super) client: Client,
    pub(super) table: String,
    directory: String,
}

impl Profiles {
    /// The records in `table` of the owners in the table `directory`.
    pub fn new(client: Client, table: String, directory: String) -> Profiles {
        Profiles { client, table, directory }
    }

    /// The rows of one user, as a purge and an export read them.
    pub fn partition(&self) -> DynamoOwned {
        DynamoOwned::partition(self.client.clone(), self.table.clone())
    }
}
