//! The three tables together.

use aws_sdk_dynamodb::Client;

use super::directory::Directory;
use super::operations::Operations;
use super::profiles::Profiles;
use crate::settings::tables::Tables;

#[derive(Clone, Debug)]
pub struct Stores {
    /// The copy of Clerk.
    pub directory: Directory,
    /// The application's records.
    pub profiles: Profiles,
    /// Rollcall's own records.
    pub operations: Operations,
}

impl Stores {
    /// The tables of these names.
    pub fn new(client: &Client, tables: &Tables) -> Stores {
        let Tables { directory, profiles, operations } = tables;
        Stores {
            directory: Directory::new(client.clone(), directory.clone()),
            profiles: Profiles::new(client.clone(), profiles.clone(), directory.clone()),
            operations: Operations::new(client.clone(), operations.clone()),
        }
    }
}
