//! Removes rows of a user whose deletion was proven, in transactions that check the proof: the tombstone is still
//! exactly the one that was read, nothing was restored meanwhile, and each row is as its backup has it.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::delete_item::DeleteItemError;
use aws_sdk_dynamodb::types::{
    CancellationReason, Delete, Put, ReturnValuesOnConditionCheckFailure, TransactWriteItem,
};

use super::as_read::{AsRead, as_read};
use super::removal::PendingRemoval;
use crate::adapters::backoff::backoff;
use crate::adapters::dynamo::batch::MAX_WRITE_REQUESTS;
use crate::adapters::dynamo::directory::Directory;
use crate::adapters::dynamo::error::StoreError;
use crate::adapters::dynamo::operations::Operations;
use crate::adapters::dynamo::transaction::{Transacted, condition_failed, transact};
use crate::core::id::InternalId;
use crate::core::mirror::item::Item;

/// Rows in one transaction, beside at most two checks. Source: AWS, API reference of `TransactWriteItems`: 100 actions.
const MAX_TOGETHER: usize = 98;
/// So many bytes of memory the rows of one transaction take at most. Source: as above: 4 MB in all; a row takes less in
/// a request than in memory.
const MAX_BYTES: usize = 3 * 1024 * 1024;
const ALL_OLD: ReturnValuesOnConditionCheckFailure = ReturnValuesOnConditionCheckFailure::AllOld;

/// What the removal of rows depends on.
#[derive(Clone, Copy, Debug)]
pub struct Proven<'a> {
    pub directory: &'a Directory,
    /// The table with the notes of restorations, if restored rows stay.
    pub unless_restored: Option<&'a Operations>,
    pub user: InternalId,
    pub tombstone: &'a Item,
}

/// The result of a removal.
#[derive(Debug)]
pub struct ProvenRemoval<'a> {
    /// Rows that are removed or redacted, by table.
    pub removed: &'a mut BTreeMap<String, u64>,
    /// Rows that have changed since their backup, by table. They stay.
    pub kept: &'a mut BTreeMap<String, u64>,
    /// Whether the proof no longer holds. The remaining rows stay.
    pub is_disproven: bool,
}

/// Removes or redacts these rows, and adds to `result` what is done.
///
/// A table that is named by its ARN may belong to another account, which no transaction includes: its rows are removed
/// one by one while they are as they were read, and the proof is checked before each of them.
///
/// # Errors
///
/// [`StoreError`]: what is already removed stays removed.
pub async fn remove_proven(
    client: &Client,
    proven: &Proven<'_>,
    rows: Vec<PendingRemoval>,
    result: &mut ProvenRemoval<'_>,
) -> Result<(), StoreError> {
    let (elsewhere, here): (Vec<_>, Vec<_>) =
        rows.into_iter().partition(|row| row.table.starts_with("arn:") && row.left.is_none());
    let mut parts = Vec::<Vec<PendingRemoval>>::new();
    let mut size = 0;
    for row in here {
        let own = row.size();
        match parts.last_mut().filter(|part| part.len() < MAX_TOGETHER && size + own <= MAX_BYTES) {
            Some(part) => part.push(row),
            None => {
                size = 0;
                parts.push(vec![row]);
            }
        }
        size += own;
    }
    // One after the other: transactions with checks of the same tombstone conflict.
    for mut part in parts {
        let mut attempts = 1;
        while !part.is_empty() && !result.is_disproven {
            match together(client, proven, &mut part, result).await {
                Err(StoreError::Unavailable(..)) if attempts < MAX_WRITE_REQUESTS => {
                    backoff(attempts).await;
                    attempts += 1;
                }
                done => done?,
            }
        }
    }
    for row in elsewhere {
        if result.is_disproven || !holds(client, proven).await? {
            result.is_disproven = true;
            return Ok(());
        }
        alone(client, row, result).await?;
    }
    Ok(())
}

/// Removes these rows in one transaction, or drops the changed ones from them.
async fn together(
    client: &Client,
    proven: &Proven<'_>,
    part: &mut Vec<PendingRemoval>,
    result: &mut ProvenRemoval<'_>,
) -> Result<(), StoreError> {
    let mut actions = proven.checks()?;
    let checks = actions.len();
    for row in part.iter() {
        actions.push(action(row)?);
    }
    match transact(client, actions).await? {
        Transacted::Done { .. } => {
            for row in part.drain(..) {
                *result.removed.entry(row.table).or_default() += 1;
            }
        }
        Transacted::ConditionFailed(reasons) => {
            let (of_checks, of_rows) = reasons.split_at(checks.min(reasons.len()));
            if of_checks.iter().any(condition_failed) {
                result.is_disproven = true;
                return Ok(());
            }
            let mut reasons = of_rows.iter();
            part.retain(|row| {
                let Some(refused) = reasons.next().filter(|reason| condition_failed(reason)) else { return true };
                result.add_refused(row, is_there(refused));
                false
            });
        }
    }
    Ok(())
}

/// Whether the row exists: an earlier attempt, a purge or the application may have removed it.
fn is_there(refused: &CancellationReason) -> bool {
    refused.item().is_some_and(|row| !row.is_empty())
}

impl ProvenRemoval<'_> {
    fn add_refused(&mut self, row: &PendingRemoval, is_there: bool) {
        let rows = if is_there { &mut *self.kept } else { &mut *self.removed };
        *rows.entry(row.table.clone()).or_default() += 1;
    }
}

impl Proven<'_> {
    fn checks(&self) -> Result<Vec<TransactWriteItem>, StoreError> {
        let mut checks = vec![self.directory.is_still_exactly(self.tombstone)?];
        if let Some(operations) = self.unless_restored {
            checks.push(operations.is_not_restored(self.user, self.tombstone)?);
        }
        Ok(checks)
    }
}

/// Whether the proof holds at this moment.
async fn holds(client: &Client, proven: &Proven<'_>) -> Result<bool, StoreError> {
    let mut attempts = 1;
    loop {
        match transact(client, proven.checks()?).await {
            Err(StoreError::Unavailable(..)) if attempts < MAX_WRITE_REQUESTS => backoff(attempts).await,
            done => return Ok(matches!(done?, Transacted::Done { .. })),
        }
        attempts += 1;
    }
}

fn action(row: &PendingRemoval) -> Result<TransactWriteItem, StoreError> {
    let unreadable = |error: aws_sdk_dynamodb::error::BuildError| StoreError::Unreadable(error.into());
    let AsRead { condition, names, values } = as_read(&row.as_read);
    let action = TransactWriteItem::builder();
    let action = match &row.left {
        None => {
            let delete = Delete::builder()
                .table_name(&row.table)
                .set_key(Some(row.key.clone()))
                .condition_expression(condition)
                .set_expression_attribute_names(Some(names))
                .set_expression_attribute_values(Some(values))
                .return_values_on_condition_check_failure(ALL_OLD);
            action.delete(delete.build().map_err(unreadable)?)
        }
        Some(left) => {
            let put = Put::builder()
                .table_name(&row.table)
                .set_item(Some(left.clone()))
                .condition_expression(condition)
                .set_expression_attribute_names(Some(names))
                .set_expression_attribute_values(Some(values))
                .return_values_on_condition_check_failure(ALL_OLD);
            action.put(put.build().map_err(unreadable)?)
        }
    };
    Ok(action.build())
}

/// Removes one row if it is as it was read.
async fn alone(client: &Client, row: PendingRemoval, result: &mut ProvenRemoval<'_>) -> Result<(), StoreError> {
    let AsRead { condition, names, values } = as_read(&row.as_read);
    let request = client
        .delete_item()
        .table_name(&row.table)
        .set_key(Some(row.key.clone()))
        .condition_expression(condition)
        .set_expression_attribute_names(Some(names))
        .set_expression_attribute_values(Some(values))
        .return_values_on_condition_check_failure(ALL_OLD);
    let mut attempts = 1;
    loop {
        let Err(error) = request.clone().send().await else {
            *result.removed.entry(row.table).or_default() += 1;
            return Ok(());
        };
        if let Some(DeleteItemError::ConditionalCheckFailedException(refusal)) = error.as_service_error() {
            result.add_refused(&row, refusal.item().is_some_and(|row| !row.is_empty()));
            return Ok(());
        }
        match StoreError::from_sdk(error) {
            StoreError::Unavailable(..) if attempts < MAX_WRITE_REQUESTS => backoff(attempts).await,
            error => return Err(error),
        }
        attempts += 1;
    }
}
