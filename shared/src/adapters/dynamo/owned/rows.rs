//! Reads all rows of one user in Profiles or in an owned table, whole, so that they can be restored. [`super::removal`]
//! removes them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::types::{
    AttributeValue, KeySchemaElement, KeyType, KeysAndAttributes, ScalarAttributeType, TableDescription,
};
use thiserror::Error;
use tokio::sync::OnceCell;

use super::row_size::in_memory;
use crate::adapters::dynamo::batch;
use crate::adapters::dynamo::error::StoreError;
use crate::adapters::dynamo::row::Row;
use crate::core::controls::{Invariant, guards};
use crate::core::deletion::owned::{IdKind, OwnedTable, Owner};
use crate::core::deletion::purge::{REDACTED_AT, kept};
use crate::core::millis::Millis;

/// Maximum number of rows per index query: as many as one request can read whole.
pub(super) const MAX_FOUND: usize = 100;
/// The target size of a page in memory, in bytes.
const PAGE: usize = 8 * 1024 * 1024;
/// The assumed size of the largest row before the first page, in bytes: so the first page has ten rows.
const UNKNOWN: usize = PAGE / 10;

/// A table with rows of users.
#[derive(Debug)]
pub struct DynamoOwned {
    pub(super) client: Client,
    table: OwnedTable,
    /// Whether `key` contains the user's partition key instead of the id.
    by_partition: bool,
    pub(super) schema: OnceCell<Vec<String>>,
    /// The size of the largest recent row, in bytes of memory. It limits the number of rows that are requested for a
    /// page.
    largest: AtomicUsize,
}

/// The key attributes of a table and of its indexes, as DynamoDB describes them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schema {
    /// The names of the table's own key attributes.
    pub key: Vec<String>,
    /// The type of each key attribute.
    pub types: HashMap<String, ScalarAttributeType>,
}

/// One row, with what is needed to restore it.
#[derive(Clone, Debug, PartialEq)]
pub struct OwnedRow {
    pub table: String,
    /// The names of its key attributes.
    pub key: Vec<String>,
    /// The attribute that names the owner, and the user's id in it; nothing if the attribute is part of the key, which
    /// never changes.
    pub owner: Option<(String, String)>,
    pub row: Row,
}

/// A position between two pages.
#[derive(Debug)]
pub struct Place(pub(super) Row);

/// Why a table's rows cannot be read.
#[derive(Debug, Error)]
pub enum OwnedError {
    /// The table does not exist.
    #[error("table {0} does not exist")]
    Missing(String),
    /// The table differs from its description in `OWNED_TABLES`.
    #[error("OWNED_TABLES: table {table}: {problem}")]
    Misnamed {
        table: String,
        /// The difference.
        problem: String,
    },
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl DynamoOwned {
    /// An owned table.
    pub fn new(client: Client, table: OwnedTable) -> DynamoOwned {
        DynamoOwned { client, table, by_partition: false, schema: OnceCell::new(), largest: AtomicUsize::new(UNKNOWN) }
    }

    /// One of Rollcall's own tables: all rows of a user's partition.
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
        DynamoOwned { client, table, by_partition: true, schema, largest: AtomicUsize::new(UNKNOWN) }
    }

    pub fn name(&self) -> &str {
        &self.table.table
    }

    /// The table's entry in `OWNED_TABLES`.
    pub fn setting(&self) -> &OwnedTable {
        &self.table
    }

    /// Checks that the table agrees with the setting. A missing table is accepted.
    ///
    /// # Errors
    ///
    /// [`OwnedError`], never for a missing table.
    pub async fn check(&self) -> Result<(), OwnedError> {
        match self.schema.get_or_try_init(|| self.own_key()).await {
            Ok(_) | Err(OwnedError::Missing(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// A page of a user's rows, whole and strongly consistent. An index shows new rows a moment later; rows that it
    /// shows are read again from the table, and rows that do not belong to the user any more are left out.
    ///
    /// # Errors
    ///
    /// [`OwnedError`].
    pub async fn page(&self, owner: &Owner, from: Option<Place>) -> Result<(Vec<OwnedRow>, Option<Place>), OwnedError> {
        self.page_of(self.id_of(owner), from).await
    }

    /// The same for a user by the id, or the partition, that the rows contain.
    ///
    /// # Errors
    ///
    /// [`OwnedError`].
    pub async fn page_of(&self, id: String, from: Option<Place>) -> Result<(Vec<OwnedRow>, Option<Place>), OwnedError> {
        let key = self.schema.get_or_try_init(|| self.own_key()).await?;
        let request = self.client.query().table_name(self.name()).set_index_name(self.table.index.clone());
        let mut request = request
            .limit(self.most())
            .set_exclusive_start_key(from.map(|place| place.0))
            .key_condition_expression("#owner = :id")
            .expression_attribute_names("#owner", &self.table.key)
            .expression_attribute_values(":id", AttributeValue::S(id.clone()));
        if self.table.index.is_none() {
            request = request.consistent_read(true);
        } else {
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
            // The index is eventually consistent, and the application may give a row to another user at any time.
            let is_of_owner = |row: &Row| row.get(&self.table.key).and_then(|value| value.as_s().ok()) == Some(&id);
            rows.retain(|row| is_of_owner(row) || !guards(Invariant::I23));
        }
        self.learn(&rows);
        let owner = Some((self.table.key.clone(), id)).filter(|(name, _)| !key.contains(name));
        let of_table = |row| OwnedRow { table: self.name().to_owned(), key: key.clone(), owner: owner.clone(), row };
        Ok((rows.into_iter().map(of_table).collect(), next))
    }

    /// Whether the rows are those of Profiles, whose partition key names the user.
    pub fn is_by_partition(&self) -> bool {
        self.by_partition
    }

    /// The user's id as the rows contain it.
    pub fn id_of(&self, owner: &Owner) -> String {
        if self.by_partition { owner.partition() } else { owner.id(self.table.id) }
    }

    /// The number of rows to request.
    pub(super) fn most(&self) -> i32 {
        let most = (PAGE / self.largest.load(Ordering::Relaxed).max(1)).max(1);
        // Rows that an index shows are read whole in one request.
        let most = if self.table.index.is_some() { most.min(MAX_FOUND) } else { most };
        i32::try_from(most).unwrap_or(i32::MAX)
    }

    /// Notes the size of the largest row. Each page halves the noted size, so that one large row does not slow down all
    /// later pages.
    pub(super) fn learn(&self, rows: &[Row]) {
        if let Some(largest) = rows.iter().map(in_memory).max() {
            let _ =
                self.largest.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |before| Some(largest.max(before / 2)));
        }
    }

    /// The rows that an index has found, read from the table.
    pub(super) async fn whole(&self, keys: Vec<Row>) -> Result<Vec<Row>, StoreError> {
        let mut rows = Vec::new();
        for some in keys.chunks(batch::MAX_KEYS) {
            let wanted = KeysAndAttributes::builder().set_keys(Some(some.to_vec())).consistent_read(true).build();
            let wanted = wanted.map_err(|error| StoreError::Unreadable(error.into()))?;
            let wanted = HashMap::from([(self.name().to_owned(), wanted)]);
            let (found, _) = batch::get(&self.client, wanted, batch::MAX_REQUESTS).await?;
            rows.extend(found.into_iter().map(|(_, row)| row));
        }
        Ok(rows)
    }

    pub(super) async fn own_key(&self) -> Result<Vec<String>, OwnedError> {
        Ok(self.describe().await?.key)
    }

    /// The table's keys as DynamoDB describes them, if they agree with the setting.
    ///
    /// # Errors
    ///
    /// [`OwnedError`].
    pub async fn describe(&self) -> Result<Schema, OwnedError> {
        let described = self.client.describe_table().table_name(self.name()).send().await;
        let described = described.map_err(|error| self.failure(error))?.table;
        let described = described.ok_or_else(|| OwnedError::Missing(self.name().to_owned()))?;
        let misnamed = |problem: String| OwnedError::Misnamed { table: self.name().to_owned(), problem };
        let OwnedTable { key, sort_key, index, .. } = &self.table;
        let of_index = match index {
            None => hash(described.key_schema()),
            Some(index) => {
                let missing = || misnamed(format!("index {index} does not exist"));
                let found = schema_of(&described, index).ok_or_else(missing)?;
                hash(&found)
            }
        };
        if of_index.as_ref() != Some(key) {
            let is = of_index.unwrap_or_default();
            return Err(misnamed(format!("the partition key is {is}, expected {key}")));
        }
        let names: Vec<String> = described.key_schema().iter().map(|part| part.attribute_name().to_owned()).collect();
        if let Some(sort_key) = sort_key.as_ref().filter(|sort_key| !names.contains(sort_key)) {
            return Err(misnamed(format!("{sort_key} is not a key of the table or index")));
        }
        let types = described.attribute_definitions().iter();
        let types = types.map(|it| (it.attribute_name().to_owned(), it.attribute_type().clone())).collect();
        Ok(Schema { key: names, types })
    }

    pub(super) fn failure<E>(
        &self,
        error: aws_sdk_dynamodb::error::SdkError<E, aws_sdk_dynamodb::config::http::HttpResponse>,
    ) -> OwnedError
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        match error.code() {
            Some("ResourceNotFoundException") if !self.by_partition => OwnedError::Missing(self.name().to_owned()),
            _ => OwnedError::Store(StoreError::from_sdk(error)),
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
    pub fn key(&self) -> Row {
        let key = self.row.iter().filter(|(name, _)| self.key.contains(name));
        key.map(|(name, value)| (name.clone(), value.clone())).collect()
    }

    /// The key as text, to distinguish rows of one table.
    pub fn key_text(&self) -> String {
        let values: Vec<Option<&AttributeValue>> = self.key.iter().map(|name| self.row.get(name)).collect();
        format!("{values:?}")
    }

    /// The redacted row; nothing if there is no personal data left to remove.
    pub fn redacted(&self, now: Millis) -> Option<Row> {
        let key = crate::adapters::dynamo::row::key_of(&self.row)?;
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
