//! The Directory: the table with the copy of Clerk.

pub mod members;
pub mod partition;
pub mod scan;
pub mod write;

use aws_sdk_dynamodb::Client;

use super::owned::rows::DynamoOwned;

#[derive(Clone, Debug)]
pub struct Directory {
    pub(super) client: Client,
    pub(super) table: String,
}

impl Directory {
    /// The Directory in `table`.
    pub fn new(client: Client, table: String) -> Directory {
        Directory { client, table }
    }

    /// The rows of one user, as an export reads them.
    pub fn partition(&self) -> DynamoOwned {
        DynamoOwned::partition(self.client.clone(), self.table.clone())
    }
}
