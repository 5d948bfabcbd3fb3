//! Owned tables: tables of the application with rows of users, as `OWNED_TABLES` names them.

use serde::{Deserialize, Serialize};

use crate::core::id::{InternalId, UserId};
use crate::core::tables::{bare_table_name, table_name};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OwnedTable {
    /// Its name or ARN.
    pub table: String,
    /// The attribute with the user's id: the partition key of the table, or of the index.
    pub key: String,
    /// The table's sort key, for readers of the setting; it is only checked against the table.
    #[serde(default)]
    pub sort_key: Option<String>,
    /// The index by user, if the user is not the partition key of the table.
    #[serde(default)]
    pub index: Option<String>,
    /// Which of the two ids the attribute contains.
    #[serde(default)]
    pub id: IdKind,
    /// Has no effect: for readers of the setting, whether a user has at most one row in the table.
    #[serde(default)]
    pub unique_per_user: bool,
}

/// The two ids of a user.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IdKind {
    #[default]
    Clerk,
    Internal,
}

/// A user, by both ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    pub clerk: UserId,
    pub internal: InternalId,
}

impl Owner {
    /// One of the two ids, as rows contain it.
    pub fn id(&self, kind: IdKind) -> String {
        match kind {
            IdKind::Clerk => self.clerk.to_string(),
            IdKind::Internal => self.internal.to_string(),
        }
    }

    /// The partition of the user in the Directory and in Profiles.
    pub fn partition(&self) -> String {
        format!("USER#{}", self.internal)
    }
}

/// A JSON list of tables, each with a name and an attribute; no pair may occur twice.
pub fn owned_tables(text: &str) -> Option<Vec<OwnedTable>> {
    let tables: Vec<OwnedTable> = serde_json::from_str(text).ok()?;
    let is_name = |text: &str| (1..=255).contains(&text.len());
    let is_one = |at: usize, table: &OwnedTable| {
        let of =
            |table: &OwnedTable| (bare_table_name(&table.table).to_owned(), table.key.clone(), table.index.clone());
        let texts = [Some(&table.key), table.sort_key.as_ref(), table.index.as_ref()];
        table_name(&table.table).is_some()
            && texts.into_iter().flatten().all(|text| is_name(text))
            && !tables[..at].iter().any(|earlier| of(earlier) == of(table))
    };
    tables.iter().enumerate().all(|(at, table)| is_one(at, table)).then(|| tables.clone())
}
