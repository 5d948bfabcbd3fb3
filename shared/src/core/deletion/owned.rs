//! Owned tables: the application's own tables that hold rows of users, as `OWNED_TABLES` names them.

use serde::{Deserialize, Serialize};

use crate::core::id::{InternalId, UserId};

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OwnedTable {
    /// Its name or ARN.
    pub table: String,
    /// The attribute that holds the user's id: the partition key of the table, or of the index.
    pub key: String,
    /// The table's sort key, for whoever reads the setting. What the table itself says counts.
    #[serde(default)]
    pub sort_key: Option<String>,
    /// The index in which a user's rows are found, if the table is not keyed by the user.
    #[serde(default)]
    pub index: Option<String>,
    /// Which of the two ids it is.
    #[serde(default)]
    pub id: IdKind,
    /// Whether a user has one row there at most.
    #[serde(default)]
    pub unique_per_user: bool,
}

/// The two ids of a user.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IdKind {
    /// Clerk's.
    #[default]
    Clerk,
    /// The application's own.
    Internal,
}

/// A user, by both ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Clerk's.
    pub clerk: UserId,
    /// The application's own.
    pub internal: InternalId,
}

impl Owner {
    /// One of the two, as rows hold it.
    #[must_use]
    pub fn id(&self, kind: IdKind) -> String {
        match kind {
            IdKind::Clerk => self.clerk.to_string(),
            IdKind::Internal => self.internal.to_string(),
        }
    }

    /// The partition of the user in the Directory and in Profiles.
    #[must_use]
    pub fn partition(&self) -> String {
        format!("USER#{}", self.internal)
    }
}
