//! Rows of one user, wherever they are: in Profiles and in the application's own tables, read whole so that they can be
//! put back, and removed in batches.

use std::collections::HashMap;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::types::{
    AttributeValue, DeleteRequest, KeySchemaElement, KeyType, KeysAndAttributes, PutRequest, TableDescription,
    WriteRequest,
};
use futures_util::{StreamExt, TryStreamExt, stream};
use thiserror::Error;
use tokio::sync::OnceCell;

use super::backups::Line;
use super::dynamo_batch::{self, MOST_WRITES, Row};
use super::store_error::StoreError;
use crate::core::controls::{Invariant, guards};
use crate::core::millis::Millis;
use crate::core::owned::{IdKind, OwnedTable, Owner};
use crate::core::purge::{REDACTED_AT, kept};

/// Rows that are looked up in an index at once: as many as are read whole in one request.
const MOST_FOUND: i32 = 100;
/// Batches under way at once.
const AT_ONCE: usize = 8;

/// A table with rows of users.
#[derive(Debug)]
pub struct DynamoOwned {
    client: Client,
    table: OwnedTable,
    /// Whether `key` holds the user's partition, and not the bare id.
    by_partition: bool,
    schema: OnceCell<Vec<String>>,
}

/// One row, with what is needed to put it back.
#[derive(Clone, Debug, PartialEq)]
pub struct OwnedRow {
    /// Its table.
    pub table: String,
    /// The names of its key attributes.
    pub key: Vec<String>,
    /// All of it.
    pub row: Row,
}

/// A row that is about to be removed.
#[derive(Clone, Debug, PartialEq)]
pub struct Doomed {
    /// The row.
    pub owned: OwnedRow,
    /// What is put in its place; nothing if it goes.
    pub left: Option<Row>,
}

/// A place between two pages.
#[derive(Debug)]
pub struct Place(Row);

/// Why a table's rows cannot be read.
#[derive(Debug, Error)]
pub enum OwnedError {
    /// There is no such table.
    #[error("there is no table {0}")]
    Missing(String),
    /// The table is not as `OWNED_TABLES` says.
    #[error("OWNED_TABLES: table {table}: {problem}")]
    Misnamed {
        /// Which.
        table: String,
        /// What is not so.
        problem: String,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl DynamoOwned {
    /// A table of the application's.
    #[must_use]
    pub fn new(client: Client, table: OwnedTable) -> DynamoOwned {
        DynamoOwned { client, table, by_partition: false, schema: OnceCell::new() }
    }

    /// One of Rollcall's own tables: all rows of a user's partition.
    #[must_use]
    pub fn partition(client: Client, table: String) -> DynamoOwned {
        let table = OwnedTable {
            table,
            key: "pk".to_owned(),
            sort_key: Some("sk".to_owned()),
            index: None,
            id: IdKind::Internal,
            unique_per_user: false,
        };
        let schema = OnceCell::new_with(Some(vec!["pk".to_owned(), "sk".to_owned()]));
        DynamoOwned { client, table, by_partition: true, schema }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.table.table
    }

    /// Whether the table is as the setting says; one that does not exist is.
    ///
    /// # Errors
    ///
    /// [`OwnedError`], never for a missing table.
    pub async fn check(&self) -> Result<(), OwnedError> {
        match self.schema.get_or_try_init(|| self.describe()).await {
            Ok(_) | Err(OwnedError::Missing(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// A page of a user's rows, whole and strongly consistent. By an index they are found a moment after they were written.
    ///
    /// # Errors
    ///
    /// [`OwnedError`].
    pub async fn page(&self, owner: &Owner, from: Option<Place>) -> Result<(Vec<OwnedRow>, Option<Place>), OwnedError> {
        let key = self.schema.get_or_try_init(|| self.describe()).await?;
        let id = if self.by_partition { owner.partition() } else { owner.id(self.table.id) };
        let request = self.client.query().table_name(self.name()).set_index_name(self.table.index.clone());
        let mut request = request
            .set_exclusive_start_key(from.map(|place| place.0))
            .key_condition_expression("#owner = :id")
            .expression_attribute_names("#owner", &self.table.key)
            .expression_attribute_values(":id", AttributeValue::S(id));
        if self.table.index.is_none() {
            request = request.consistent_read(true);
        } else {
            // All of them are read whole at once.
            request = request.limit(MOST_FOUND);
            let names: Vec<String> = (0..key.len()).map(|at| format!("#key{at}")).collect();
            request = request.projection_expression(names.join(", "));
            for (placeholder, name) in names.into_iter().zip(key) {
                request = request.expression_attribute_names(placeholder, name);
            }
        }
        let found = request.send().await.map_err(|error| self.failure(error))?;
        let next = found.last_evaluated_key.filter(|key| !key.is_empty()).map(Place);
        let mut rows = found.items.unwrap_or_default();
        if self.table.index.is_some() {
            rows = self.whole(rows).await?;
        }
        let of_table = |row| OwnedRow { table: self.name().to_owned(), key: key.clone(), row };
        Ok((rows.into_iter().map(of_table).collect(), next))
    }

    /// The rows that an index has found, as they are in the table.
    async fn whole(&self, keys: Vec<Row>) -> Result<Vec<Row>, StoreError> {
        let mut rows = Vec::new();
        for some in keys.chunks(dynamo_batch::MOST_KEYS) {
            let wanted = KeysAndAttributes::builder().set_keys(Some(some.to_vec())).consistent_read(true).build();
            let wanted = wanted.map_err(|error| StoreError::Unreadable(error.into()))?;
            let wanted = HashMap::from([(self.name().to_owned(), wanted)]);
            let (found, _) = dynamo_batch::get(&self.client, wanted, dynamo_batch::MOST_REQUESTS).await?;
            rows.extend(found.into_iter().map(|(_, row)| row));
        }
        Ok(rows)
    }

    /// The names of the table's key attributes, if it is as the setting says.
    async fn describe(&self) -> Result<Vec<String>, OwnedError> {
        let described = self.client.describe_table().table_name(self.name()).send().await;
        let described = described.map_err(|error| self.failure(error))?.table;
        let described = described.ok_or_else(|| OwnedError::Missing(self.name().to_owned()))?;
        let misnamed = |problem: String| OwnedError::Misnamed { table: self.name().to_owned(), problem };
        let OwnedTable { key, sort_key, index, .. } = &self.table;
        let of_index = match index {
            None => hash(described.key_schema()),
            Some(index) => {
                let found = schema_of(&described, index).ok_or_else(|| misnamed(format!("it has no index {index}")))?;
                hash(&found)
            }
        };
        if of_index.as_ref() != Some(key) {
            let is = of_index.unwrap_or_default();
            return Err(misnamed(format!("rows are found there by {is}, not by {key}")));
        }
        let names: Vec<String> = described.key_schema().iter().map(|part| part.attribute_name().to_owned()).collect();
        if let Some(sort_key) = sort_key.as_ref().filter(|sort_key| !names.contains(sort_key)) {
            return Err(misnamed(format!("{sort_key} is no key of it")));
        }
        Ok(names)
    }

    fn failure<E>(
        &self,
        error: aws_sdk_dynamodb::error::SdkError<E, aws_sdk_dynamodb::config::http::HttpResponse>,
    ) -> OwnedError
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        match error.code() {
            Some("ResourceNotFoundException") if !self.by_partition => OwnedError::Missing(self.name().to_owned()),
            _ => OwnedError::Store(StoreError::of(error)),
        }
    }
}

fn hash(schema: &[KeySchemaElement]) -> Option<String> {
    let hash = schema.iter().find(|part| *part.key_type() == KeyType::Hash);
    hash.map(|part| part.attribute_name().to_owned())
}

fn schema_of(table: &TableDescription, index: &str) -> Option<Vec<KeySchemaElement>> {
    let global = table.global_secondary_indexes().iter().map(|index| (index.index_name(), index.key_schema()));
    let local = table.local_secondary_indexes().iter().map(|index| (index.index_name(), index.key_schema()));
    global.chain(local).find(|(name, _)| *name == Some(index)).map(|(_, schema)| schema.to_vec())
}

impl OwnedRow {
    /// How to remove it.
    fn removed(&self) -> Result<WriteRequest, StoreError> {
        let key = self.row.iter().filter(|(name, _)| self.key.contains(name));
        let key = key.map(|(name, value)| (name.clone(), value.clone())).collect();
        let delete = DeleteRequest::builder().set_key(Some(key)).build();
        let delete = delete.map_err(|error| StoreError::Unreadable(error.into()))?;
        Ok(WriteRequest::builder().delete_request(delete).build())
    }

    /// Its key as text, for telling rows of one table apart.
    #[must_use]
    pub fn key_text(&self) -> String {
        let values: Vec<Option<&AttributeValue>> = self.key.iter().map(|name| self.row.get(name)).collect();
        format!("{values:?}")
    }

    /// What is left of it when it is redacted; nothing if nothing more can be removed.
    #[must_use]
    pub fn redacted(&self, now: Millis) -> Option<Row> {
        let key = super::dynamo_profiles::key_of(&self.row)?;
        let left = kept(&key);
        let is_redacted = |name: &String| left.contains(&name.as_str()) || name == REDACTED_AT;
        if self.row.keys().all(is_redacted) && self.row.contains_key(REDACTED_AT) {
            return None;
        }
        let mut row: Row = self.row.clone();
        row.retain(|name, _| left.contains(&name.as_str()) || !guards(Invariant::I13));
        row.insert(REDACTED_AT.to_owned(), AttributeValue::N(now.get().to_string()));
        Some(row)
    }
}

/// What became of a row that was put back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PutBack {
    /// It is there again.
    Done,
    /// There is another one in its place.
    Taken,
    /// Its table does not exist.
    NoTable,
}

/// Puts a row back: where nothing is, where only what was left of it is, or whatever is there.
///
/// # Errors
///
/// [`StoreError`].
pub async fn put_back(client: &Client, line: Line, replaces: bool) -> Result<PutBack, StoreError> {
    let mut request = client.put_item().table_name(&line.table);
    if !replaces {
        let key = line.key.first().cloned().unwrap_or_default();
        let mut condition = "attribute_not_exists(#key)".to_owned();
        if let Some(at) = line.redacted_at {
            condition += " OR #redacted = :redacted";
            request = request
                .expression_attribute_names("#redacted", REDACTED_AT)
                .expression_attribute_values(":redacted", AttributeValue::N(at.get().to_string()));
        }
        request = request.condition_expression(condition).expression_attribute_names("#key", key);
    }
    match request.set_item(Some(line.row())).send().await {
        Ok(_) => Ok(PutBack::Done),
        Err(error) => match error.code() {
            Some("ConditionalCheckFailedException") => Ok(PutBack::Taken),
            Some("ResourceNotFoundException") => Ok(PutBack::NoTable),
            _ => Err(StoreError::of(error)),
        },
    }
}

/// Removes these rows, or puts what is left of them, in batches of 25, some of them at once.
///
/// # Errors
///
/// [`StoreError`]: what is removed until then stays removed.
pub async fn remove(client: &Client, rows: Vec<Doomed>) -> Result<(), StoreError> {
    let mut writes = Vec::with_capacity(rows.len());
    for Doomed { owned, left } in rows {
        let write = match left {
            None => owned.removed()?,
            Some(row) => {
                let put = PutRequest::builder().set_item(Some(row)).build();
                let put = put.map_err(|error| StoreError::Unreadable(error.into()))?;
                WriteRequest::builder().put_request(put).build()
            }
        };
        writes.push((owned.table, write));
    }
    let batches: Vec<_> = writes.chunks(MOST_WRITES).map(|batch| dynamo_batch::write(client, batch.to_vec())).collect();
    stream::iter(batches).buffer_unordered(AT_ONCE).try_collect().await
}
