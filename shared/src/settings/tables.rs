//! The names of the three tables.

use super::variables::{DIRECTORY_TABLE, OPERATIONS_TABLE, PROFILES_TABLE, Reader, Variable};
use crate::core::tables::table_name;

/// The names or ARNs of the three tables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tables {
    /// The copy of Clerk.
    pub directory: String,
    /// The application's records.
    pub profiles: String,
    /// Rollcall's own records.
    pub operations: String,
}

impl Tables {
    pub const VARIABLES: [Variable; 3] = [DIRECTORY_TABLE, PROFILES_TABLE, OPERATIONS_TABLE];

    /// Reads the three names; nothing if one of them is missing or invalid, which the reader notes.
    pub fn read(reader: &mut Reader<'_>) -> Option<Tables> {
        let directory = reader.read(&DIRECTORY_TABLE, table_name);
        let profiles = reader.read(&PROFILES_TABLE, table_name);
        let operations = reader.read(&OPERATIONS_TABLE, table_name);
        if directory.is_some() && directory == profiles {
            reader.contradicts(&PROFILES_TABLE, "names the same table as DIRECTORY_TABLE: set two different tables");
        }
        Some(Tables { directory: directory?, profiles: profiles?, operations: operations? })
    }

    pub fn names(&self) -> [&String; 3] {
        [&self.directory, &self.profiles, &self.operations]
    }
}
