//! Errors of DynamoDB, by what the caller does about them.

use std::error::Error;

use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use thiserror::Error;

use crate::core::explain::reason::Reason;

/// The error code of a write that conflicts with another transaction.
pub(super) const TRANSACTION_CONFLICT: &str = "TransactionConflictException";

type Cause = Box<dyn Error + Send + Sync>;

/// Why a store operation failed. A failed condition is not an error, but a result.
#[derive(Debug, Error)]
pub enum StoreError {
    /// DynamoDB is unreachable, slow or throttling: the same request may succeed later.
    #[error("DynamoDB is unavailable or throttled ({0})")]
    Unavailable(String, #[source] Cause),
    /// DynamoDB rejected the request, and a retry does not help: a missing table, a missing permission, an invalid
    /// request.
    #[error("DynamoDB rejected the operation ({0})")]
    Rejected(String, #[source] Cause),
    /// A row that cannot be read: Rollcall did not write it, or another release wrote it.
    #[error("a row of the Directory or of Operations cannot be read")]
    Unreadable(Withheld),
}

/// Why a row cannot be read, without contents: the cause would quote the row.
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
    /// The error in the log and in explanations.
    pub fn reason(&self) -> Reason {
        match self {
            StoreError::Unavailable(..) => Reason::StoreUnavailable,
            StoreError::Rejected(..) => Reason::StoreRejected,
            StoreError::Unreadable(_) => Reason::StoreUnreadable,
        }
    }

    /// Converts an SDK error of any operation.
    pub(in crate::adapters) fn from_sdk<E>(error: SdkError<E, HttpResponse>) -> StoreError
    where
        E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    {
        let code = error.code().map(str::to_owned);
        let server_fault = error.raw_response().is_some_and(|response| response.status().is_server_error());
        match code {
            Some(code) if !server_fault && !TRANSIENT.contains(&code.as_str()) => {
                StoreError::Rejected(code, error.into())
            }
            // No code: no response came in time, or it could not be parsed.
            code => StoreError::Unavailable(code.unwrap_or_else(|| "no answer".to_owned()), error.into()),
        }
    }
}
