//! Reads which records exist in the Profiles table, without their contents.

use super::Profiles;
use std::collections::BTreeSet;

use aws_sdk_dynamodb::types::{KeysAndAttributes, ReturnConsumedCapacity};

use crate::adapters::dynamo::batch;
use crate::adapters::dynamo::batch::attributes;
use crate::adapters::dynamo::directory::scan::SEARCH_PAGE;
use crate::adapters::dynamo::error::StoreError;
use crate::adapters::dynamo::row::Row;
use crate::adapters::dynamo::row::key_of;
use crate::core::deletion::purge::REDACTED_AT;
use crate::core::id::Key;

/// Only the keys and the mark of a redaction are read. DynamoDB charges for whole rows all the same.
const KEYS: &str = "pk, sk, redacted_at";

/// The records of a read, and its cost.
#[derive(Debug, Default)]
pub struct Found {
    pub keys: BTreeSet<Key>,
    /// Those of them that are redacted.
    pub redacted: BTreeSet<Key>,
    /// DynamoDB read units.
    pub units: f64,
    /// The start of the next page; nothing after the last page.
    pub next: Option<Key>,
}

impl Profiles {
    /// Which of these records exist; `consistent` for twice the price.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn existing(&self, keys: &[Key], consistent: bool) -> Result<Found, StoreError> {
        let wanted = |keys: &[&Key]| {
            let keys = keys.iter().map(|key| attributes(key)).collect();
            let wanted = KeysAndAttributes::builder().set_keys(Some(keys)).projection_expression(KEYS);
            wanted.consistent_read(consistent).build().map_err(|error| StoreError::Unreadable(error.into()))
        };
        let (rows, units) = batch::get_all(&self.client, &self.table, keys, wanted).await?;
        Ok(Found { units, ..read(&rows) })
    }

    /// A page of all records behind `from`.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn scan(&self, from: Option<&Key>) -> Result<Found, StoreError> {
        let request = self.client.scan().table_name(&self.table).limit(SEARCH_PAGE).projection_expression(KEYS);
        let request = request.set_exclusive_start_key(from.map(attributes));
        let page = request.return_consumed_capacity(ReturnConsumedCapacity::Total).send().await;
        let page = page.map_err(StoreError::from_sdk)?;
        let units = page.consumed_capacity.as_ref().and_then(|capacity| capacity.capacity_units).unwrap_or_default();
        let next = page.last_evaluated_key.as_ref().and_then(key_of);
        Ok(Found { units, next, ..read(page.items()) })
    }
}

fn read(rows: &[Row]) -> Found {
    let redacted = rows.iter().filter(|row| row.contains_key(REDACTED_AT));
    Found {
        keys: rows.iter().filter_map(key_of).collect(),
        redacted: redacted.filter_map(key_of).collect(),
        ..Found::default()
    }
}
