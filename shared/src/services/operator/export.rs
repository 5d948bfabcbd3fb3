//! Exports all stored data about one user as JSON: the rows of the three tables and of the owned tables.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value};
use thiserror::Error;

use super::{Operator, OperatorError};
use crate::adapters::dynamo::operations::Operations;
use crate::adapters::dynamo::owned::rows::{DynamoOwned, OwnedError};
use crate::adapters::dynamo::row::plain;
use crate::core::controls::{Invariant, guards};
use crate::core::deletion::owned::Owner;
use crate::core::deletion::purge::Due;
use crate::core::deletion::subject::Subject;
use crate::core::id::{EntityId, InternalId, UserId};
use crate::core::millis::Millis;

#[derive(Debug, Serialize)]
pub struct Export {
    /// The internal id.
    pub id: InternalId,
    pub clerk_user_id: UserId,
    /// When it was read, in Unix ms.
    pub exported_at: Millis,
    /// The rows of the user and of each membership.
    pub directory: Vec<Map<String, Value>>,
    pub profiles: Vec<Map<String, Value>>,
    /// The rows of the owned tables, by table.
    pub owned: BTreeMap<String, Vec<Map<String, Value>>>,
    /// Tables of `OWNED_TABLES` that do not exist.
    pub missing_tables: Vec<String>,
    /// When the data are purged, if the user is deleted, in Unix ms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub removed_at: Option<Millis>,
    /// Notes of signed events about the user that could not be processed.
    pub quarantine: Vec<Map<String, Value>>,
}

/// Why nothing was exported.
#[derive(Debug, Error)]
pub enum ExportError {
    /// The user was not found, or a table could not be read.
    #[error(transparent)]
    Operator(#[from] OperatorError),
    #[error(transparent)]
    Owned(#[from] OwnedError),
    #[error(
        "no table has a row for this id: check the id, CLERK_INSTANCE_ID and the table names (DIRECTORY_TABLE, \
         PROFILES_TABLE, OWNED_TABLES)"
    )]
    Unknown,
    #[error("only users can be exported")]
    NotAUser,
}

/// The tables of an export.
pub struct Holdings {
    pub directory: DynamoOwned,
    pub profiles: DynamoOwned,
    /// The owned tables.
    pub owned: Vec<DynamoOwned>,
    /// The Operations table, with the quarantine.
    pub operations: Operations,
}

impl Operator {
    /// Exports the stored data about a user.
    ///
    /// # Errors
    ///
    /// [`ExportError`].
    pub async fn export(&self, subject: &Subject, holdings: &Holdings) -> Result<Export, ExportError> {
        // Under the settings of another instance the partition key of a user differs, and the export would be empty.
        self.check_instance().await?;
        let (entity, stored) = self.find(subject).await?;
        let EntityId::User(clerk) = entity else { return Err(ExportError::NotAUser) };
        let now = (self.clock)();
        let owner = Owner { internal: self.applier.instance.internal_id(&clerk), clerk };
        let (mut tables, mut missing_tables) = (BTreeMap::new(), Vec::new());
        for table in &holdings.owned {
            match all(table, &owner).await {
                Ok(rows) => tables.entry(table.name().to_owned()).or_insert_with(Vec::new).extend(rows),
                Err(OwnedError::Missing(table)) => missing_tables.push(table),
                Err(error) => return Err(error.into()),
            }
        }
        let due = stored.as_ref().and_then(|stored| Due::from_tombstone(stored, self.deletions.grace_hours));
        let quarantine =
            holdings.operations.quarantined(owner.clerk.as_str(), now).await.map_err(OperatorError::from)?;
        let (directory, profiles) = (all(&holdings.directory, &owner).await?, all(&holdings.profiles, &owner).await?);
        let rows = directory.len() + profiles.len() + tables.values().map(Vec::len).sum::<usize>();
        if rows + quarantine.len() == 0 && guards(Invariant::I19) {
            return Err(ExportError::Unknown);
        }
        Ok(Export {
            id: owner.internal,
            exported_at: now,
            directory,
            profiles,
            owned: tables,
            missing_tables,
            removed_at: due.filter(|_| self.deletions.purger.is_some()).map(|due| due.due_at),
            quarantine,
            clerk_user_id: owner.clerk,
        })
    }
}

impl Holdings {
    /// Whether one of the tables has a row of this user; a missing table has none.
    ///
    /// # Errors
    ///
    /// [`OwnedError`].
    pub async fn has_rows_of(&self, owner: &Owner) -> Result<bool, OwnedError> {
        for table in [&self.directory, &self.profiles].into_iter().chain(&self.owned) {
            let mut from = None;
            loop {
                let (rows, next) = match table.page(owner, from).await {
                    Ok(page) => page,
                    Err(OwnedError::Missing(_)) => break,
                    Err(error) => return Err(error),
                };
                if !rows.is_empty() {
                    return Ok(true);
                }
                from = next;
                if from.is_none() {
                    break;
                }
            }
        }
        Ok(false)
    }
}

async fn all(table: &DynamoOwned, owner: &Owner) -> Result<Vec<Map<String, Value>>, OwnedError> {
    let (mut rows, mut from) = (Vec::new(), None);
    loop {
        let (page, next) = table.page(owner, from).await?;
        rows.extend(page.into_iter().map(|owned| plain(owned.row)));
        from = next;
        if from.is_none() {
            return Ok(rows);
        }
    }
}
