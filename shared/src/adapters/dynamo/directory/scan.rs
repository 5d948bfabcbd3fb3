//! Reads many rows of the Directory: by keys, and all rows page by page.
//!
//! Comparisons read eventually consistent and only some attributes: that costs half, and every write has its condition.
//! Reads that decide about a deletion are strongly consistent and return whole rows.

use super::Directory;
use std::collections::{BTreeMap, HashMap};

use aws_sdk_dynamodb::types::{KeysAndAttributes, ReturnConsumedCapacity};

use crate::adapters::dynamo::batch;
use crate::adapters::dynamo::batch::attributes;
use crate::adapters::dynamo::error::StoreError;
use crate::adapters::dynamo::item;
use crate::adapters::dynamo::row::Row;
use crate::adapters::dynamo::row::key_of;
use crate::core::id::{EntityId, InstanceId, Key, PerKind};
use crate::core::mirror::item::{CONSEQUENCES_AT, Item};

/// Rows of one page of a scan.
pub const SEARCH_PAGE: i32 = 1_000;

/// The attributes that comparisons need, and the ids.
const COMPARED: [&str; 10] = [
    "pk",
    "sk",
    "rank",
    "digest",
    "applied_at",
    "applied_by",
    "membership_id",
    "clerk_user_id",
    "organization_id",
    CONSEQUENCES_AT,
];

/// The further attributes that effects depend on.
const SUBSCRIBED_EVENTS: [&str; 1] = ["public_metadata"];

/// The rows of a read, and its cost.
#[derive(Debug, Default)]
pub struct Rows {
    /// The rows by key.
    pub items: BTreeMap<Key, Item>,
    /// The keys of rows without a valid rank or digest.
    pub unreadable: Vec<Key>,
    /// DynamoDB read units.
    pub units: f64,
    /// The start of the next page; nothing after the last page.
    pub next: Option<Key>,
}

impl Directory {
    /// Reads what comparisons need of these rows: ranks, digests, ids, and the time and the writer of the last write.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn compare(&self, keys: &[Key]) -> Result<Rows, StoreError> {
        let compared = |keys: &[&Key]| {
            let keys = keys.iter().map(|key| attributes(key)).collect();
            let (expression, names) = projection(&[]);
            let wanted = KeysAndAttributes::builder().set_keys(Some(keys)).projection_expression(expression);
            let wanted = wanted.set_expression_attribute_names(Some(names)).build();
            wanted.map_err(|error| StoreError::Unreadable(error.into()))
        };
        let (rows, units) = batch::get_all(&self.client, &self.table, keys, compared).await?;
        Ok(Rows { units, ..read(rows) })
    }

    /// Reads these rows whole, strongly consistent.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn read(&self, keys: &[Key]) -> Result<Rows, StoreError> {
        let (rows, units) = batch::get_all(&self.client, &self.table, keys, batch::whole).await?;
        Ok(Rows { units, ..read(rows) })
    }

    /// Reads this row whole, strongly consistent; nothing if it does not exist.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; [`StoreError::Unreadable`] for a row without a valid rank or digest.
    pub async fn get(&self, key: &Key) -> Result<Option<Item>, StoreError> {
        let mut rows = self.read(std::slice::from_ref(key)).await?;
        if rows.unreadable.is_empty() {
            return Ok(rows.items.remove(key));
        }
        Err(StoreError::Unreadable("a row of the Directory".into()))
    }

    /// Reads the rows of these entities whole, strongly consistent: one request.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; [`StoreError::Unreadable`] if one of them has no valid rank or digest.
    pub async fn copies(
        &self,
        instance: &InstanceId,
        entities: PerKind<Option<EntityId>>,
    ) -> Result<PerKind<Option<Item>>, StoreError> {
        let keys = entities.map(|entity| entity.map(|entity| entity.key(instance)));
        let wanted: Vec<_> = keys.clone().into_array().into_iter().flatten().collect();
        let mut rows = self.read(&wanted).await?;
        if rows.unreadable.is_empty() {
            return Ok(keys.map(|key| key.and_then(|key| rows.items.remove(&key))));
        }
        Err(StoreError::Unreadable("a row of the Directory".into()))
    }

    /// A page of all rows behind `from`, with the attributes that comparisons need.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn scan_presence(&self, from: Option<&Key>) -> Result<Rows, StoreError> {
        self.scan(from, &[]).await
    }

    /// The same, with the attributes that effects depend on.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn scan_effects(&self, from: Option<&Key>) -> Result<Rows, StoreError> {
        self.scan(from, &SUBSCRIBED_EVENTS).await
    }

    async fn scan(&self, from: Option<&Key>, further: &[&str]) -> Result<Rows, StoreError> {
        let (expression, names) = projection(further);
        let request = self.client.scan().table_name(&self.table).limit(SEARCH_PAGE);
        let request = request.projection_expression(expression).set_expression_attribute_names(Some(names));
        let request = request.set_exclusive_start_key(from.map(attributes));
        let page = request.return_consumed_capacity(ReturnConsumedCapacity::Total).send().await;
        let page = page.map_err(StoreError::from_sdk)?;
        let units = page.consumed_capacity.as_ref().and_then(|capacity| capacity.capacity_units).unwrap_or_default();
        let next = page.last_evaluated_key.as_ref().and_then(key_of);
        Ok(Rows { units, next, ..read(page.items.unwrap_or_default()) })
    }
}

/// All names are written as placeholders, because some are reserved words.
fn projection(further: &[&str]) -> (String, HashMap<String, String>) {
    let placeholder = |name: &str| format!("#{name}");
    let names: HashMap<_, _> =
        COMPARED.iter().chain(further).map(|name| (placeholder(name), (*name).to_owned())).collect();
    (names.keys().cloned().collect::<Vec<_>>().join(", "), names)
}

fn read(rows: Vec<Row>) -> Rows {
    let mut read = Rows::default();
    for row in rows {
        let Some(key) = key_of(&row) else { continue };
        match item::item(row) {
            Ok(item) => drop(read.items.insert(key, item)),
            Err(_) => read.unreadable.push(key),
        }
    }
    read
}
