//! Batch reads and writes; retries unprocessed keys and writes.

use std::collections::HashMap;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{
    AttributeValue, ConsumedCapacity, KeysAndAttributes, ReturnConsumedCapacity, WriteRequest,
};

use super::error::StoreError;
use super::row::Row;
use crate::adapters::backoff::backoff;
use crate::core::id::Key;

/// Maximum number of keys in one request. Source: AWS, API reference of `BatchGetItem`.
pub(in crate::adapters) const MAX_KEYS: usize = 100;
/// Maximum number of writes in one request, of any tables. Source: AWS, API reference of `BatchWriteItem`.
pub(in crate::adapters) const MAX_WRITES: usize = 25;
/// Maximum number of requests for unprocessed keys, which DynamoDB returns when it is short of capacity.
pub(in crate::adapters) const MAX_REQUESTS: u32 = 6;

/// Maximum number of requests for unprocessed writes: they take some seconds, as an owned table may have little
/// capacity.
pub(in crate::adapters) const MAX_WRITE_REQUESTS: u32 = 16;

/// The rows that exist, each with its table, and the used read units.
pub(in crate::adapters) async fn get(
    client: &Client,
    mut wanted: HashMap<String, KeysAndAttributes>,
    most_requests: u32,
) -> Result<(Vec<(String, Row)>, f64), StoreError> {
    let (mut found, mut units) = (Vec::new(), 0.0);
    for attempt in 0..most_requests {
        if attempt > 0 {
            backoff(attempt).await;
        }
        let request = client.batch_get_item().set_request_items(Some(wanted));
        let answer = request.return_consumed_capacity(ReturnConsumedCapacity::Total).send().await;
        let answer = answer.map_err(StoreError::from_sdk)?;
        units += answer.consumed_capacity().iter().filter_map(ConsumedCapacity::capacity_units).sum::<f64>();
        for (table, rows) in answer.responses.unwrap_or_default() {
            found.extend(rows.into_iter().map(|row| (table.clone(), row)));
        }
        wanted = answer.unprocessed_keys.unwrap_or_default();
        if wanted.is_empty() {
            return Ok((found, units));
        }
    }
    let short = format!("unprocessed keys in {} tables", wanted.len());
    Err(StoreError::Unavailable("UnprocessedKeys".to_owned(), short.into()))
}

/// The same for any number of keys of one table, with as many requests as needed.
pub(in crate::adapters) async fn get_all(
    client: &Client,
    table: &str,
    keys: &[Key],
    wanted: impl Fn(&[&Key]) -> Result<KeysAndAttributes, StoreError>,
) -> Result<(Vec<Row>, f64), StoreError> {
    let (mut found, mut units) = (Vec::new(), 0.0);
    let keys: Vec<&Key> = keys.iter().collect();
    for chunk in keys.chunks(MAX_KEYS) {
        let request = HashMap::from([(table.to_owned(), wanted(chunk)?)]);
        let (rows, more) = get(client, request, MAX_REQUESTS).await?;
        found.extend(rows.into_iter().map(|(_, row)| row));
        units += more;
    }
    Ok((found, units))
}

/// Carries out these writes, [`MAX_WRITES`] at most, and retries unprocessed ones.
pub(in crate::adapters) async fn write(client: &Client, wanted: Vec<(String, WriteRequest)>) -> Result<(), StoreError> {
    let mut left: HashMap<String, Vec<WriteRequest>> = HashMap::new();
    for (table, write) in wanted {
        left.entry(table).or_default().push(write);
    }
    for attempt in 0..MAX_WRITE_REQUESTS {
        if attempt > 0 {
            backoff(attempt).await;
        }
        let answer =
            client.batch_write_item().set_request_items(Some(left)).send().await.map_err(StoreError::from_sdk)?;
        left = answer.unprocessed_items.unwrap_or_default();
        left.retain(|_, writes| !writes.is_empty());
        if left.is_empty() {
            return Ok(());
        }
    }
    let short = format!("unprocessed writes in {} tables", left.len());
    Err(StoreError::Unavailable("UnprocessedItems".to_owned(), short.into()))
}

/// The primary key as attributes.
pub(in crate::adapters) fn attributes(key: &Key) -> Row {
    let text = |text: &str| AttributeValue::S(text.to_owned());
    HashMap::from([("pk".to_owned(), text(&key.pk)), ("sk".to_owned(), text(&key.sk))])
}

/// A request for whole rows, strongly consistent.
pub(in crate::adapters) fn whole(keys: &[&Key]) -> Result<KeysAndAttributes, StoreError> {
    let keys = keys.iter().map(|key| attributes(key)).collect();
    let keys = KeysAndAttributes::builder().set_keys(Some(keys)).consistent_read(true);
    keys.build().map_err(|error| StoreError::Unreadable(error.into()))
}
