//! The DynamoDB client, which retries requests after conflicts with transactions.
//!
//! The SDK retries throttling and server errors by itself. DynamoDB also rejects a write or a condition check while
//! another transaction uses the item. The SDK does not retry that error, so `TransactionConflicts` tells it to. All
//! attempts stay within the time limit of the operation.

use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::interceptors::InterceptorContext;
use aws_sdk_dynamodb::config::retry::{ClassifyRetry, RetryAction, RetryConfig};
use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::operation::delete_item::DeleteItemError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::CancellationReason;

use super::error::TRANSACTION_CONFLICT;
/// Attempts at one operation.
pub const MAX_ATTEMPTS: u32 = 4;

/// Reasons for which a transaction is cancelled without a failed condition, so that it may succeed later. `None` is the
/// reason of the items that did not cause the cancellation. Source: AWS, `TransactWriteItems`, cancellation reasons.
const TRANSIENT_REASONS: [&str; 4] =
    ["None", "ProvisionedThroughputExceeded", "ThrottlingError", "TransactionConflict"];

/// A client with this AWS configuration.
pub fn client(aws: &SdkConfig) -> Client {
    let retries = aws.retry_config().cloned().unwrap_or_else(RetryConfig::standard).with_max_attempts(MAX_ATTEMPTS);
    let settings = aws_sdk_dynamodb::config::Builder::from(aws).retry_config(retries);
    Client::from_conf(settings.retry_classifier(TransactionConflicts).build())
}

/// Retries what failed because of another transaction.
#[derive(Debug)]
struct TransactionConflicts;

impl ClassifyRetry for TransactionConflicts {
    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        let Some(Err(error)) = context.output_or_error() else { return RetryAction::NoActionIndicated };
        let Some(error) = error.as_operation_error() else { return RetryAction::NoActionIndicated };
        let code = (error.downcast_ref().and_then(PutItemError::code))
            .or_else(|| error.downcast_ref().and_then(UpdateItemError::code))
            .or_else(|| error.downcast_ref().and_then(DeleteItemError::code));
        let is_conflict = code == Some(TRANSACTION_CONFLICT)
            || matches!(error.downcast_ref(), Some(TransactWriteItemsError::TransactionCanceledException(cancelled))
                if is_transient(cancelled.cancellation_reasons()));
        if is_conflict { RetryAction::transient_error() } else { RetryAction::NoActionIndicated }
    }

    fn name(&self) -> &'static str {
        "TransactionConflicts"
    }
}

/// Whether a transaction that was cancelled for these reasons may succeed later.
pub(super) fn is_transient(reasons: &[CancellationReason]) -> bool {
    reasons.iter().all(|reason| reason.code().is_none_or(|code| TRANSIENT_REASONS.contains(&code)))
}
