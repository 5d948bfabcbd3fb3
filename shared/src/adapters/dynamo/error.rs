//! What can go wrong with the store, split by what the caller does about it.

use std::error::Error;

use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use thiserror::Error;

/// The code of a write that another transaction was in the way of.
pub(super) const TRANSACTION_CONFLICT: &str = "TransactionConflictException";

type Cause = Box<dyn Error + Send + Sync>;

/// A store operation that did not succeed. Losing a race is not among these: it is an outcome.
#[derive(Debug, Error)]
pub enum StoreError {
    /// Unreachable, slow or throttled: the same call may succeed later.
    #[error("DynamoDB is unavailable or throttled ({0})")]
    Unavailable(String, #[source] Cause),
    /// Refused for a reason that trying again will not change: a missing table, a missing permission, an invalid
    /// request.
    #[error("DynamoDB rejected the operation ({0})")]
    Refused(String, #[source] Cause),
    /// A row that Rollcall did not write.
    #[error("the stored item cannot be read")]
    Unreadable(Withheld),
}

/// Why a row cannot be read. Nothing is kept of it: it would quote the row.
#[derive(Debug)]
pub struct Withheld;

impl<Why: Into<Cause>> From<Why> for Withheld {
    fn from(_: Why) -> Withheld {
        Withheld
    }
}

/// Error codes of DynamoDB after which the same request may succeed.
/// Source: AWS, "Error handling with DynamoDB", the table of retryable errors.
const TRANSIENT: [&str; 9] = [
    "InternalServerError",
    "LimitExceededException",
    "ProvisionedThroughputExceededException",
    "ReplicatedWriteConflictException",
    "RequestLimitExceeded",
    "ServiceUnavailable",
    "ThrottlingException",
    TRANSACTION_CONFLICT,
    "TransactionInProgressException",
];

impl StoreError {
    /// Sorts an SDK error of any operation.
    pub(in crate::adapters) fn from_sdk<E>(error: SdkError<E, HttpResponse>) -> StoreError
    where
        E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    {
        let code = error.code().map(str::to_owned);
        let server_fault = error.raw_response().is_some_and(|response| response.status().is_server_error());
        match code {
            Some(code) if !server_fault && !TRANSIENT.contains(&code.as_str()) => {
                StoreError::Refused(code, error.into())
            }
            // No code at all: no answer came, in time or in a form that could be read.
            code => StoreError::Unavailable(code.unwrap_or_else(|| "no answer".to_owned()), error.into()),
        }
    }
}
