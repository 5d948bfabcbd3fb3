//! Removes rows of a deleted user: in batches if the key names the user; one by one, under the condition that the row
//! still belongs to the user, if another attribute names the user, because the application may change that attribute at
//! any time.

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

/// Maximum number of concurrent batches.
const CONCURRENCY: usize = 8;
/// Maximum number of concurrent single deletes.
const SINGLE_AT_ONCE: usize = 16;

/// A row of Profiles or of an owned table that is about to be removed.
#[derive(Clone, Debug, PartialEq)]
pub struct PendingRemoval {
    pub table: String,
    pub key: Row,
    /// The attributes that may name the owner, each with the user's id: one of them must match. None of them if the key
    /// names the owner.
    pub owners: Vec<(String, String)>,
    /// The redacted row that replaces it; nothing if the row is removed. Only rows of Profiles are redacted, and their
    /// key names the owner.
    pub left: Option<Row>,
    /// The row as it was read, if it is removed only while it is still so; otherwise empty.
    pub as_read: Row,
}

impl PendingRemoval {
    /// The removal of a row.
    pub fn new(owned: &OwnedRow, left: Option<Row>) -> PendingRemoval {
        let owners = owned.owner.iter().cloned().collect();
        PendingRemoval { table: owned.table.clone(), key: owned.key(), owners, left, as_read: Row::new() }
    }

    /// The removal of a row while the row is as it was read.
    pub fn as_read(owned: &OwnedRow, left: Option<Row>) -> PendingRemoval {
        PendingRemoval { as_read: owned.row.clone(), ..PendingRemoval::new(owned, left) }
    }

    /// The size in memory, in bytes.
    pub fn size(&self) -> usize {
        in_memory(&self.key) + self.left.as_ref().map_or(0, in_memory) + in_memory(&self.as_read)
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

/// Removes or redacts these rows. Returns by table how many rows belong to another user by now; those stay.
///
/// # Errors
///
/// [`StoreError`]: what is already removed stays removed.
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

/// Removes a row if it still belongs to the user. Returns its table if it belongs to another user by now.
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
            // A missing row is no problem: an earlier attempt, another purge or the application has removed it.
            let is_there = refusal.item().is_some_and(|row| !row.is_empty());
            return Ok(is_there.then_some(table));
        }
        match StoreError::from_sdk(error) {
            // Throttled, or a conflict with a transaction of the application: as many attempts as a batch has.
            StoreError::Unavailable(..) if attempts < MAX_WRITE_REQUESTS => backoff(attempts).await,
            error => return Err(error),
        }
        attempts += 1;
    }
}
