//! Rows of a deleted user, removed: in batches where the key itself says whose they are, each by itself and under the
//! condition that it is still the user's where an attribute says so, which the application may change at any moment.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::delete_item::DeleteItemError;
use aws_sdk_dynamodb::types::{
    AttributeValue, DeleteRequest, PutRequest, ReturnValuesOnConditionCheckFailure, WriteRequest,
};
use futures_util::{StreamExt, TryStreamExt, stream};

use super::row_size::in_memory;
use super::rows::OwnedRow;
use crate::adapters::backoff::backoff;
use crate::adapters::dynamo::batch;
use crate::adapters::dynamo::batch::{MAX_WRITE_REQUESTS, MAX_WRITES};
use crate::adapters::dynamo::error::StoreError;
use crate::adapters::dynamo::row::Row;
use crate::core::controls::{Invariant, guards};

/// Batches under way at once.
const CONCURRENCY: usize = 8;
/// Single deletes under way at once.
const SINGLE_AT_ONCE: usize = 16;

/// A row that is about to be removed, in Profiles or in a table of the application's.
#[derive(Clone, Debug, PartialEq)]
pub struct PendingRemoval {
    pub table: String,
    pub key: Row,
    /// The attributes that may say whose it is, each with the user's id: one of them has to. None of them if the key says it.
    pub owners: Vec<(String, String)>,
    /// What is put in its place; nothing if it goes. Only rows of Profiles are redacted, and their key says whose they are.
    pub left: Option<Row>,
}

impl PendingRemoval {
    /// The removal of a row.
    pub fn new(owned: &OwnedRow, left: Option<Row>) -> PendingRemoval {
        let owners = owned.owner.iter().cloned().collect();
        PendingRemoval { table: owned.table.clone(), key: owned.key(), owners, left }
    }

    /// What it takes in memory, in bytes.
    pub fn size(&self) -> usize {
        in_memory(&self.key) + self.left.as_ref().map_or(0, in_memory)
    }

    fn write(self) -> Result<(String, WriteRequest), StoreError> {
        let unreadable = |error: aws_sdk_dynamodb::error::BuildError| StoreError::Unreadable(error.into());
        let write = WriteRequest::builder();
        let write = match self.left {
            None => write.delete_request(DeleteRequest::builder().set_key(Some(self.key)).build().map_err(unreadable)?),
            Some(left) => write.put_request(PutRequest::builder().set_item(Some(left)).build().map_err(unreadable)?),
        };
        Ok((self.table, write.build()))
    }
}

/// Removes these rows, or puts what is left of them. Answers how many of them are somebody else's by now, by table, and stay.
///
/// # Errors
///
/// [`StoreError`]: what is removed until then stays removed.
pub async fn remove(client: &Client, rows: Vec<PendingRemoval>) -> Result<BTreeMap<String, u64>, StoreError> {
    let (keyed, owned): (Vec<PendingRemoval>, Vec<PendingRemoval>) =
        rows.into_iter().partition(|row| row.owners.is_empty());
    let writes = keyed.into_iter().map(PendingRemoval::write).collect::<Result<Vec<_>, _>>()?;
    let batches: Vec<_> = writes.chunks(MAX_WRITES).map(|batch| batch::write(client, batch.to_vec())).collect();
    stream::iter(batches).buffer_unordered(CONCURRENCY).try_collect::<()>().await?;
    let single: Vec<_> = owned.into_iter().map(|row| remove_one(client, row)).collect();
    let mut done = stream::iter(single).buffer_unordered(SINGLE_AT_ONCE);
    let mut kept = BTreeMap::new();
    while let Some(one) = done.next().await {
        if let Some(table) = one? {
            *kept.entry(table).or_default() += 1;
        }
    }
    Ok(kept)
}

/// Removes a row if it is still the user's. Answers with its table if it is somebody else's by now.
async fn remove_one(client: &Client, row: PendingRemoval) -> Result<Option<String>, StoreError> {
    let PendingRemoval { table, key, owners, .. } = row;
    let owners = if guards(Invariant::I23) { owners } else { Vec::new() };
    let condition: Vec<String> = (0..owners.len()).map(|at| format!("#owner{at} = :owner{at}")).collect();
    let mut request = client
        .delete_item()
        .table_name(&table)
        .set_key(Some(key))
        .set_condition_expression(Some(condition.join(" OR ")).filter(|condition| !condition.is_empty()))
        .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
    for (at, (name, id)) in owners.into_iter().enumerate() {
        request = request
            .expression_attribute_names(format!("#owner{at}"), name)
            .expression_attribute_values(format!(":owner{at}"), AttributeValue::S(id));
    }
    let mut attempts = 1;
    loop {
        let Err(error) = request.clone().send().await else { return Ok(None) };
        if let Some(DeleteItemError::ConditionalCheckFailedException(refusal)) = error.as_service_error() {
            // A row that is gone is nobody's: an earlier attempt, another purge or the application has removed it.
            let is_there = refusal.item().is_some_and(|row| !row.is_empty());
            return Ok(is_there.then_some(table));
        }
        match StoreError::from_sdk(error) {
            // Throttled, or in the way of the application's transaction: as many attempts as a batch has.
            StoreError::Unavailable(..) if attempts < MAX_WRITE_REQUESTS => backoff(attempts).await,
            error => return Err(error),
        }
        attempts += 1;
    }
}
