//! A DynamoDB transaction: all of its writes, or none.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{CancellationReason, ConsumedCapacity, ReturnConsumedCapacity, TransactWriteItem};

use super::client::is_transient;
use super::error::StoreError;

/// The result of a transaction.
#[derive(Debug)]
pub(in crate::adapters) enum Transacted {
    /// All writes are done.
    Done {
        /// Write capacity units, indexes and checks included.
        units: f64,
    },
    /// A condition failed. The reasons are in the order of the transaction's items.
    ConditionFailed(Vec<CancellationReason>),
}

/// Carries out all writes or none.
pub(in crate::adapters) async fn transact(
    client: &Client,
    items: Vec<TransactWriteItem>,
) -> Result<Transacted, StoreError> {
    let request = client.transact_write_items().set_transact_items(Some(items));
    let request = request.return_consumed_capacity(ReturnConsumedCapacity::Total);
    let error = match request.send().await {
        Ok(output) => {
            let units = output.consumed_capacity().iter().filter_map(ConsumedCapacity::capacity_units).sum();
            return Ok(Transacted::Done { units });
        }
        Err(error) => error,
    };
    let Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) = error.as_service_error() else {
        return Err(StoreError::from_sdk(error));
    };
    let reasons = cancelled.cancellation_reasons();
    if reasons.iter().any(condition_failed) {
        return Ok(Transacted::ConditionFailed(reasons.to_vec()));
    }
    if is_transient(reasons) {
        return Err(StoreError::Unavailable("TransactionCanceledException".to_owned(), error.into()));
    }
    Err(StoreError::from_sdk(error))
}

/// Whether the condition of this item failed.
pub(in crate::adapters) fn condition_failed(reason: &CancellationReason) -> bool {
    reason.code() == Some("ConditionalCheckFailed")
}
